"""The status line and the progress bar as HTML."""

from __future__ import annotations

import time

from pipeline.values import Progress


def line(text: str, share: float | None = None) -> str:
    """Return the status as HTML, with a bar where the share that is done is known."""
    if share is None:
        return f"<div>{text}</div>"
    return f"<div>{text}</div><progress value='{share:.3f}' max='1'></progress>"


def bar(step: Progress, start: float) -> str:
    """Return the stage, the share that is done and the time left.

    `start` is the `perf_counter` second in which the stage began.
    """
    share = min(1.0, step.step / max(step.total, 1))
    text = f"<b>{step.stage.capitalize()}</b>: {step.step} of {step.total}"
    if share > 0 and step.total >= 2:
        elapsed = time.perf_counter() - start
        left = elapsed * (1 - share) / share
        text += f" · about {left:.0f} s left"
    return line(text, share)
