"""Data that the embedded models learn from."""
