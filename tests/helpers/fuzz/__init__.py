"""Fuzzing: mutated inputs and absurd settings through `preview`, all from one seed.

`python -m tests.helpers.fuzz --help` runs any number of them; `tests/end_to_end/test_fuzz.py` runs
a fixed few.
"""
