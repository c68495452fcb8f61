"""The status line and progress bar as HTML."""

from __future__ import annotations

import time

from pipeline.values import Progress


def line(text: str, share: float | None = None) -> str:
    """The status as HTML, with a bar where a share is known."""
    return f"<div>{text}</div>" + (
        "" if share is None else f"<progress value='{share:.3f}' max='1'></progress>"
    )


def bar(step: Progress, began: float) -> str:
    """Stage, share, time left."""
    share = min(1.0, step.step / max(step.total, 1))
    left = (time.perf_counter() - began) * (1 - share) / share if share else None
    eta = "" if left is None or step.total < 2 else f" · about {left:.0f} s left"
    return line(f"<b>{step.stage.capitalize()}</b>: {step.step} of {step.total}{eta}", share)
