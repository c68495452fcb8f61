"""Speech with labels: synthesized, sung, under music."""
