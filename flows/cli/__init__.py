"""The command line: what people type, and what they see in the terminal."""
