"""Review: what annotators are asked in Label Studio, what they answer, and what the answers come to."""
