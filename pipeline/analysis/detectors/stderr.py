"""Keeps MediaPipe's C++ notices out of the user's terminal: Python has no switch for them."""

from __future__ import annotations

import os
import re
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

# Notices (I) and warnings (W) of absl and TensorFlow Lite; errors (E, F) and all other text pass.
NOTICE = re.compile(
    rb"^([IW]\d{4} |INFO: Created TensorFlow|WARNING: All log messages before absl)"
)

_lock = threading.Lock()
_users = 0  # threads inside `quiet`: the first turns stderr away, the last gives it back
_saved = -1
_kept: IO[bytes] | None = None


@contextmanager
def quiet() -> Iterator[None]:
    """Holds back what is written to stderr meanwhile, then writes it without the notices."""
    _enter()
    try:
        yield
    finally:
        _leave()


def _enter() -> None:
    global _users, _saved, _kept
    with _lock:
        _users += 1
        if _users > 1:
            return
        try:
            _kept = tempfile.TemporaryFile()  # noqa: SIM115
            _saved = os.dup(2)
        except (
            OSError
        ):  # no room to hold it back, or a process without stderr: nothing is kept clean
            _saved, _kept = -1, None
            return
        os.dup2(_kept.fileno(), 2)


def _leave() -> None:
    global _users, _saved, _kept
    with _lock:
        _users -= 1
        if _users or _saved < 0 or _kept is None:
            return
        os.dup2(_saved, 2)
        _kept.seek(0)
        text = b"".join(line for line in _kept if not NOTICE.match(line))
        os.write(_saved, text)
        os.close(_saved)
        _kept.close()
        _saved, _kept = -1, None
