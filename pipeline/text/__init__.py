"""Text: how it is cleaned, cut into words, counted in tokens, screened, and where two texts differ."""
