"""What the server keeps of one visitor."""

from __future__ import annotations

import secrets
import shutil
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.studio.request import Request
from pipeline.studio.steps import AnalysedInputs, Inputs
from pipeline.values import InputError, Motion


class StopEvent(threading.Event):
    """The wish to cancel. A copy is a new event: gradio copies the first state for each visitor."""

    def __deepcopy__(self, memo: dict[int, Any]) -> StopEvent:
        return StopEvent()


AccentRows = tuple[tuple[float, float], ...]  # seconds and strengths
Table = list[list[Any]]  # the cells of the table of accents as the page sends them


@dataclass(frozen=True)
class Visit:
    """What one visitor's browser session holds on the server.

    Handlers replace it, they do not change it.

    Args:
        home: the one folder that the page's server serves and cleans.
        analysed: what the visitor analysed last.
        accents: the visitor's own accents, for the speech of `speech_hash`.
        speech_hash: the content hash of that speech, "" for the speech that is analysed next.
        last_table: the table of accents that the page sent last since they were detected.
        stop: set where the visitor wants the work to end.
        folder: this visitor's own part of `home`.
    """

    home: str
    analysed: AnalysedInputs | None = None
    accents: AccentRows | None = None
    speech_hash: str = ""
    last_table: Table | None = None
    stop: StopEvent = field(default_factory=StopEvent)
    folder: str = ""

    def need_analysis(self) -> AnalysedInputs:
        """Return what was analysed; raise InputError that says what to press where nothing was."""
        if self.analysed is None:
            raise InputError("nothing is analysed yet; press 1 Analyse first")
        return self.analysed

    def new_file(self, name: str, kind: str = "mp4") -> str:
        """Return a new path in this visitor's own folder."""
        return str(Path(self.folder) / f"{name}_{secrets.token_hex(4)}.{kind}")


@dataclass(frozen=True)
class FinishedVideo:
    """A result and what it was made of, whatever the visitor analyses afterwards."""

    visit: Visit
    request: Request
    inputs: Inputs
    motion: Motion
    path: str


def forget(visit: Visit) -> None:
    """End the work of a visitor who left, and delete that visitor's files."""
    visit.stop.set()
    if visit.folder:
        shutil.rmtree(visit.folder, ignore_errors=True)
