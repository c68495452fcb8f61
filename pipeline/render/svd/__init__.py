"""The SVD-shaped backbone."""
