"""What the server keeps of one visitor."""

from __future__ import annotations

import secrets
import shutil
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.analysis.analyse import Analysis
from pipeline.studio import request, steps
from pipeline.values import Motion


class Stop(threading.Event):
    """The wish to cancel; a copy is a fresh one: gradio copies the first state for every visitor."""

    def __deepcopy__(self, memo: dict) -> Stop:
        return Stop()


class Again(Exception):
    """The page told the same edit a second time: there is nothing to do, and nothing to say."""


Rows = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Visit:
    """What one visitor's browser session holds on the server; handlers replace it, they do not change it.

    home: the one folder that the page's server serves and cleans; folder: this visitor's own part of it.
    accents: those that the visitor gave for the speech of this content hash, "" for the one analysed next.
    typed: the table of accents that the page sent last since they were detected.
    """

    home: str
    request: request.Request | None = None
    inputs: steps.Inputs | None = None
    analysis: Analysis | None = None
    accents: Rows | None = None
    speech: str = ""
    typed: list[list[Any]] | None = None
    stop: Stop = field(default_factory=Stop)
    folder: str = ""

    def file(self, name: str, kind: str = "mp4") -> str:
        """A new path in this visitor's own folder, inside the one folder that Gradio serves and cleans."""
        return str(Path(self.folder) / f"{name}_{secrets.token_hex(4)}.{kind}")


@dataclass(frozen=True)
class Made:
    """A result and what it was made of, whatever the visitor analyses afterwards."""

    visit: Visit
    request: request.Request
    motion: Motion
    path: str


def forget(visit: Visit) -> None:
    """Ends the work of a visitor who left, and deletes that visitor's files."""
    visit.stop.set()
    if visit.folder:
        shutil.rmtree(visit.folder, ignore_errors=True)
