"""Ctrl-C and `kill` ask a training to end after the iteration in work, so that it can be saved."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType


class StopRequest:
    """Whether somebody asked for the end; a second time ends at once."""

    def __init__(self) -> None:
        self.is_set = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Take a signal."""
        if self.is_set:
            raise KeyboardInterrupt
        self.is_set = True


@contextlib.contextmanager
def stop_requests() -> Iterator[StopRequest]:
    """Note signals that ask the program to end, while the context lasts."""
    request = StopRequest()
    before = {}
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            before[number] = signal.signal(number, request)
    try:
        yield request
    finally:
        for number, action in before.items():
            signal.signal(number, action)
