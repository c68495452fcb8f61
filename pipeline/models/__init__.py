"""Torch modules with diffusers configs; no files, no user interface."""
