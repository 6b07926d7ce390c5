"""Reporting: what people read about a dataset, from the report to the story of one record."""
