"""Ingest: files of raw rows become records, each with the key it is known by from then on."""
