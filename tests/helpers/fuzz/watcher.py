"""Run workers one after the other and watch them: hangs, crashes and memory are failures, too.

A worker that stands still over the time limit, takes too much memory or dies is counted as a
failure of its case; a new worker goes on with the next one.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from queue import Empty, Queue
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
STEP_SECONDS = 0.05  # of computing that count as any
START_SECONDS = 180.0  # a worker imports, makes the originals and runs valid inputs first
LOOK_SECONDS = 0.25
DUMP_SECONDS = 1.0  # for a hanging worker to say where it stands
LAST_LINES = 40  # of what a dead worker printed
SLOWEST = 5


@dataclass(frozen=True)
class Limits:
    """From when on a case is a failure.

    Attributes:
        seconds: of computing: a busy machine is no hang.
        still_seconds: without any computing: it waits for something that does not come.
        megabytes: of memory.
    """

    seconds: float = 20.0
    still_seconds: float = 60.0
    megabytes: int = 4096


LIMITS = Limits()


@dataclass
class Summary:
    """What became of all cases.

    Attributes:
        results: how many gave a result.
        refused: how many ended in an `InputError`.
        failures: the rows of those that failed.
        rows: all rows.
        peak_mb: the most memory that a worker held.
    """

    seed: int
    first: int
    results: int = 0
    refused: int = 0
    failures: list[dict[str, Any]] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)
    peak_mb: int = 0

    def add(self, row: dict[str, Any]) -> None:
        """Count a row."""
        self.rows.append(row)
        self.peak_mb = max(self.peak_mb, row.get("peak_mb", 0))
        if row["outcome"] == "result":
            self.results += 1
        elif row["outcome"] == "refused":
            self.refused += 1
        else:
            self.failures.append(row)

    def to_dict(self) -> dict[str, Any]:
        """Return the figures as plain JSON values."""
        slowest = sorted(self.rows, key=lambda row: -row["seconds"])[:SLOWEST]
        noise = sorted({text for row in self.rows for text in row.get("noise", ())})
        return {
            "seed": self.seed,
            "first": self.first,
            "inputs": len(self.rows),
            "results": self.results,
            "input_errors": self.refused,
            "failures": self.failures,
            "slowest": [[row["seconds"], row["index"], row["kind"]] for row in slowest],
            "seconds": round(sum(row["seconds"] for row in self.rows), 1),
            "peak_mb": self.peak_mb,
            "noise": noise,
        }


def watch(
    seed: int,
    first: int,
    count: int,
    folder: Path,
    keep: Path | None = None,
    command: Sequence[str] = (sys.executable, "-m", "tests.helpers.fuzz.worker"),
    limits: Limits = LIMITS,
) -> Iterator[dict[str, Any]]:
    """Run cases `first` to `first + count - 1` of a seed; yield a row for each.

    Args:
        seed, first, count: which cases.
        folder: for originals, caches and what the cases write.
        keep: where the files of failing cases are copied; None = nowhere.
        command: starts a worker.
        limits: beyond which a case is a failure.
    """
    stop = first + count
    while first < stop:
        worker = _Worker([
            *command, "--seed", str(seed), "--first", str(first), "--stop", str(stop),
            "--folder", str(folder), *(["--keep", str(keep)] if keep else []),
        ], folder)  # fmt: skip
        begun = None
        for row in worker.rows(limits):
            if "begins" in row:
                begun = row
                continue
            yield row
            first = row["index"] + 1
            begun = None
        if first >= stop:
            return
        if begun is None:
            raise RuntimeError(f"a worker ended before its first case: {worker.last_words()}")
        if keep is not None:
            _keep(folder, keep, seed, begun["begins"])
        yield worker.obituary(begun)
        first = begun["begins"] + 1


def _keep(folder: Path, keep: Path, seed: int, index: int) -> None:
    from tests.helpers.fuzz.worker import keep_files

    place = folder / f"case_{index}"
    if place.is_dir():
        keep_files(place, keep / f"{seed}_{index}")


class _Worker:
    """One worker process, the rows that it reports and why it ended."""

    def __init__(self, command: Sequence[str], folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._log = folder / "worker.log"
        self._reason = ""
        self._peak_mb = 0
        self._began = time.monotonic()
        self._computed_before = 0.0
        self._computed_last = 0.0
        self._moved = self._began
        environment = os.environ | {
            "APV_CACHE": str(folder / "cache"),
            "TMPDIR": str(folder),
            "OMP_NUM_THREADS": "1",
            "HF_HUB_OFFLINE": "1",
            "PYTHONPATH": str(ROOT),
        }
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=log, env=environment, cwd=ROOT
            )

    def rows(self, limits: Limits) -> Iterator[dict[str, Any]]:
        """Yield what the worker reports until it ends or is stopped."""
        lines: Queue[bytes | None] = Queue()
        reader = threading.Thread(target=self._read, args=(lines,), daemon=True)
        reader.start()
        now_allowed = replace(limits, seconds=START_SECONDS, still_seconds=START_SECONDS)
        self._began = time.monotonic()
        while True:
            try:
                line = lines.get(timeout=LOOK_SECONDS)
            except Empty:
                self._look(now_allowed)
                continue
            if line is None:
                self._process.wait()
                return
            now_allowed = limits
            self._began = time.monotonic()
            self._computed_before = _computed_seconds(self._process.pid)
            yield json.loads(line)

    def _read(self, lines: Queue[bytes | None]) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            lines.put(line)
        lines.put(None)

    def _look(self, limits: Limits) -> None:
        """Stop the worker where it stands still or takes too much memory."""
        megabytes = _resident_megabytes(self._process.pid)
        self._peak_mb = max(self._peak_mb, megabytes)
        if self._process.poll() is not None or self._reason:
            return
        if megabytes > limits.megabytes:
            self._stop(f"takes {megabytes} MB of memory")
            return
        now = time.monotonic()
        computed = _computed_seconds(self._process.pid)
        if computed >= self._computed_last + STEP_SECONDS:
            self._computed_last = computed
            self._moved = now
        if computed - self._computed_before > limits.seconds:
            self._stop(f"hangs for over {limits.seconds:g} s")
        elif now - max(self._moved, self._began) > limits.still_seconds:
            self._stop(f"stands still for over {limits.still_seconds:g} s")

    def _stop(self, reason: str) -> None:
        """Ask where the worker stands, then end it."""
        self._reason = reason
        self._process.send_signal(signal.SIGUSR1)
        time.sleep(DUMP_SECONDS)
        self._process.kill()

    def obituary(self, begun: dict[str, Any]) -> dict[str, Any]:
        """Return the row of the case in which the worker ended."""
        sentence = self._reason or f"dies with exit code {self._process.returncode}"
        return {
            "index": begun["begins"],
            "kind": begun["kind"],
            "outcome": "failed",
            "sentence": sentence,
            "seconds": round(time.monotonic() - self._began, 3),
            "peak_mb": self._peak_mb,
            "details": self.last_words(),
        }

    def last_words(self) -> str:
        """Return the last lines that the worker printed: a stack, where there is one."""
        lines = self._log.read_text(errors="replace").splitlines()
        return "\n".join(lines[-LAST_LINES:])


def _computed_seconds(pid: int) -> float:
    """Return the processor time of a process, all threads together; 0 if unknown."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    ticks = int(fields[11]) + int(fields[12])  # as user and as system
    return ticks / os.sysconf("SC_CLK_TCK")


def _resident_megabytes(pid: int) -> int:
    """Return the memory that a process holds now; 0 where the system does not tell."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError, ValueError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE") >> 20
