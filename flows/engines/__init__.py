"""Engines: where the steps of a flow run, here or as Prefect tasks."""
