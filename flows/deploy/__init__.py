"""Deployment: what Prefect deployments name as their entrypoint."""
