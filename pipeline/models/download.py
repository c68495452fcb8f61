"""Fetches model sets with huggingface-hub: resumable, with progress, HF_TOKEN and HF_HUB_OFFLINE as there."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.models.registry import (
    OTHER,
    File,
    ModelSet,
    check_file,
    check_sum,
    facts,
    find,
    located,
)
from pipeline.values import InputError

POLL_SECONDS = 0.5


@dataclass(frozen=True)
class Fetched:
    """One step of a download: bytes `done` of `total` (None = unknown) of `file`; path once complete."""

    file: str
    done: int
    total: int | None
    path: Path | None = None


def download(name: str, repository: str | None = None) -> Iterator[Fetched]:
    """Yields the progress of fetching what a set and its needed sets lack, resuming what was begun.

    `repository` stands in for the set's own id. HF_TOKEN and HF_HUB_OFFLINE act as in huggingface-hub.
    """
    row = find(name)
    if row.folder:
        located(name)  # it comes with the program
        return
    for needed in row.needs:
        yield from download(needed)
    if repository is not None:
        row.place.mkdir(parents=True, exist_ok=True)
        (row.place / OTHER).write_text(repository, encoding="utf-8")
    for file in row.files:
        path, known = row.place / file.path, facts(row, file)
        if not _sound(path, known):
            yield from _fetch(row, file, file.repository or repository or row.repository)
            try:
                check_file(path, known)
                check_sum(path, known)
            except ValueError:
                path.unlink(missing_ok=True)  # so that it is fetched anew
                raise


def _sound(path: Path, facts: File | None) -> bool:
    """Whether a file is there and passes its check; a damaged one is removed."""
    try:
        check_file(path, facts)
    except ValueError:
        path.unlink(missing_ok=True)
        return False
    return True


class Stopped(Exception):
    """Raised inside a download whose generator was closed."""


def _fetch(row: ModelSet, file: File, source: str | None) -> Iterator[Fetched]:
    """Runs one download in a thread, so that its progress can be yielded and closing stops it."""
    import huggingface_hub

    news: queue.Queue[Fetched] = queue.Queue()
    stop = threading.Event()
    pool = ThreadPoolExecutor(1)
    work = pool.submit(
        huggingface_hub.hf_hub_download,
        source, file.path, revision=row.revision, local_dir=row.place,
        tqdm_class=_reporter(file.path, news, stop),
    )  # fmt: skip
    try:
        while not (work.done() and news.empty()):
            with suppress(queue.Empty):
                yield news.get(timeout=POLL_SECONDS if not work.done() else 0)
        error = work.exception()
        if error is not None:
            raise InputError(explain(error, source, file)) from error
        path = Path(work.result())
        yield Fetched(file.path, path.stat().st_size, path.stat().st_size, path)
    finally:
        stop.set()
        pool.shutdown(wait=False)


def _reporter(name: str, news: queue.Queue[Fetched], stop: threading.Event) -> type:
    """A tqdm class that reports to `news` instead of drawing, and ends the download once `stop` is set."""
    from tqdm.auto import tqdm

    class Reporter(tqdm):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            self.whole, self.got = kwargs.get("total"), kwargs.get("initial") or 0
            super().__init__(*args, **{**kwargs, "disable": True})

        def update(self, n: float | None = 1) -> None:
            self.got += n or 0
            news.put(Fetched(name, int(self.got), None if self.whole is None else int(self.whole)))
            if stop.is_set():
                raise Stopped(name)

    return Reporter


def explain(error: BaseException, repository: str | None, file: File) -> str:
    """One sentence for an error of huggingface-hub, with the remedy."""
    from huggingface_hub import errors

    page = f"https://huggingface.co/{repository}"
    if isinstance(error, errors.GatedRepoError):
        return (
            f"{repository} is gated: accept its licence at {page}, set HF_TOKEN to a token of yours, "
            f"then download {file.path} again"
        )
    if isinstance(error, errors.LocalEntryNotFoundError | errors.OfflineModeIsEnabled):
        return (
            f"{file.path} of {repository} could not be fetched: no connection, or HF_HUB_OFFLINE is set; "
            "unset it, or put the file in place by hand"
        )
    if isinstance(error, errors.RepositoryNotFoundError):
        return f"there is no repository {repository} that this token may read; check --repository and HF_TOKEN"
    if isinstance(error, errors.EntryNotFoundError):
        return f"{repository} has no file {file.path}; choose another with --repository OWNER/NAME"
    return f"{file.path} of {repository} could not be fetched ({error}); run the command again to resume"
