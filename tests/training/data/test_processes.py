"""Real processes: results of all videos, and one at which a process crashes stops nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipeline.training.data.clip_worker import SCRATCH, Finished, Task, WorkSettings, result_path
from pipeline.training.data.processes import CRASHED, Failure, run_tasks
from tests.helpers.filmed_people import cut_settings, film, pictures

pytestmark = pytest.mark.slow


class DeadlyTask(Task):
    """Kills the process that receives it."""

    def __reduce__(self):
        return (os.abort, ())


def test_a_crash_is_named_and_the_others_are_done(tmp_path: Path) -> None:
    waiting = tmp_path / "waiting"
    (waiting / SCRATCH).mkdir(parents=True)
    tasks = []
    for number in range(3):
        path = film(tmp_path / f"{number}.mp4", [pictures(10, number)])
        kind = DeadlyTask if number == 1 else Task
        tasks.append(kind(path, path.name, f"{number}" * 64, waiting))
    results = list(run_tasks(tasks, WorkSettings(cut_settings("body")), 2))
    assert Failure("1.mp4", CRASHED) in results and len(results) == 3
    for digit in ("0", "2"):
        assert digit * 64 in results
        finished = Finished.load(result_path(waiting, digit * 64))
        assert finished.source.dropped[0].reason == "too short"
