"""Deployment: the entrypoints of Prefect deployments."""
