"""Measurements of motion, pictures and speed; METRICS.md defines every row that a report prints.

`COMMANDS` is the one table of the commands `python -m pipeline evaluate NAME`. A new metric command
is one row: its name and a module with `main(argv) -> int`.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence

from pipeline.values import InputError

COMMANDS = {
    "motion": "pipeline.evaluation.motion",
    "mini": "pipeline.evaluation.mini",
    "lips": "pipeline.evaluation.lips",
    "photos": "pipeline.evaluation.photos",
    "reenact": "pipeline.evaluation.reenact",
    "videos": "pipeline.evaluation.videos.command",
    "protocol": "pipeline.evaluation.protocols.command",
    "alignment": "pipeline.evaluation.alignment",
    "calibration": "pipeline.evaluation.motion.calibration",
}


def run(name: str | None, argv: Sequence[str]) -> int:
    """Run one command with its own arguments and return its exit code.

    Raises InputError where the name is missing or unknown.
    """
    if name not in COMMANDS:
        names = ", ".join(COMMANDS)
        problem = "evaluate needs a name" if name is None else f"evaluate does not know {name}"
        raise InputError(f"{problem}; name one of {names}")
    module = importlib.import_module(COMMANDS[name])
    return module.main(argv)
