"""Similarity: which texts resemble each other, among millions, and which of those are known from before."""
