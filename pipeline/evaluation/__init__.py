"""Measurements: benchmarks and metrics."""
