"""Ctrl-C, `kill` and a closed terminal: all end a command in the same way, which keeps its work."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

INTERRUPTED = "interrupted"


@contextlib.contextmanager
def interrupts() -> Iterator[None]:
    """Turn the signals that ask a program to end into KeyboardInterrupt, as Ctrl-C is."""
    before = {}
    if threading.current_thread() is threading.main_thread():
        for name in ("SIGTERM", "SIGHUP"):
            number = getattr(signal, name, None)  # Windows has no SIGHUP
            if number is not None and signal.getsignal(number) is signal.SIG_DFL:  # not nohup's
                before[number] = signal.signal(number, _interrupt)
    try:
        yield
    finally:
        for number, action in before.items():
            signal.signal(number, action)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
