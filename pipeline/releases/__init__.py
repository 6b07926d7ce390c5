"""Releases: accepted records become an immutable version whose splits never leak and never move."""
