"""Metrics: functions of arrays; METRICS.md defines them."""
