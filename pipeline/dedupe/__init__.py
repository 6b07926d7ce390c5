"""Which rows are the same, which resemble each other, and which of them is kept."""
