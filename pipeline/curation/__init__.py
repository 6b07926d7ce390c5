"""Curation: every current record is prepared, compared, measured and scored, and gets its fate."""
