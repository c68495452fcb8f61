"""Fetch model sets with huggingface-hub: resumable, with progress.

HF_TOKEN and HF_HUB_OFFLINE act as in huggingface-hub.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.models import web_file
from pipeline.models.model_files import File, check_file, check_sum
from pipeline.models.model_set import ModelSet
from pipeline.models.registry import OTHER_REPOSITORY, find, known_facts, located
from pipeline.values import InputError

POLL_SECONDS = 0.5


@dataclass(frozen=True)
class DownloadStep:
    """A moment of a download.

    Attributes:
        file: its path in the repository.
        done: bytes so far.
        total: bytes in all, None = unknown.
        path: on this machine, once complete.
    """

    file: str
    done: int
    total: int | None
    path: Path | None = None


class Stopped(Exception):
    """Raised inside a download whose generator was closed."""


def download(name: str, repository: str | None = None) -> Iterator[DownloadStep]:
    """Yield the progress of fetching what a set and its needed sets lack, resuming what was begun.

    `repository` stands in for the set's own id or its files' addresses.
    """
    row = find(name)
    if row.folder:
        located(name)  # it comes with the program
        return
    for needed in row.needs:
        yield from download(needed)
    if repository is not None:
        row.place.mkdir(parents=True, exist_ok=True)
        marker = row.place / OTHER_REPOSITORY
        marker.write_text(repository, encoding="utf-8")
    for file in row.files:
        path = row.place / file.path
        facts = known_facts(row, file)
        if _is_whole(path, facts):
            continue
        source = file.repository or repository or row.repository
        yield from _fetch(row, file, source or file.address)
        try:
            check_file(path, facts)
            check_sum(path, facts)
        except ValueError:
            path.unlink(missing_ok=True)  # so that it is fetched anew
            raise


def _is_whole(path: Path, facts: File | None) -> bool:
    """Say whether a file is there and passes its check; remove a damaged one."""
    try:
        check_file(path, facts)
    except ValueError:
        path.unlink(missing_ok=True)
        return False
    return True


def _fetch(row: ModelSet, file: File, source: str | None) -> Iterator[DownloadStep]:
    """Run one download in a thread, so that its progress can be yielded and closing stops it."""
    import huggingface_hub

    steps: queue.Queue[DownloadStep] = queue.Queue()
    stop = threading.Event()
    pool = ThreadPoolExecutor(1)
    reporter = _reporter(file.path, steps, stop)
    if source == file.address:
        work = pool.submit(web_file.fetch, source, row.place / file.path, reporter)
    else:
        work = pool.submit(
            huggingface_hub.hf_hub_download,
            source,
            file.path,
            revision=row.revision,
            local_dir=row.place,
            tqdm_class=reporter,
        )
    try:
        while not (work.done() and steps.empty()):
            timeout = 0 if work.done() else POLL_SECONDS
            with suppress(queue.Empty):
                yield steps.get(timeout=timeout)
        error = work.exception()
        if error is not None:
            raise InputError(explain(error, source, file)) from error
        path = Path(work.result())
        size = path.stat().st_size
        yield DownloadStep(file.path, size, size, path)
    finally:
        stop.set()
        pool.shutdown(wait=False)


def _reporter(name: str, steps: queue.Queue[DownloadStep], stop: threading.Event) -> type:
    """Return a tqdm class that reports to `steps` and ends the download once `stop` is set."""
    from tqdm.auto import tqdm

    class Reporter(tqdm):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            total = kwargs.get("total")
            self.total_bytes = None if total is None else int(total)
            self.done_bytes = kwargs.get("initial") or 0
            super().__init__(*args, **{**kwargs, "disable": True})

        def update(self, n: float | None = 1) -> None:
            self.done_bytes += n or 0
            steps.put(DownloadStep(name, int(self.done_bytes), self.total_bytes))
            if stop.is_set():
                raise Stopped(name)

    return Reporter


def explain(error: BaseException, repository: str | None, file: File) -> str:
    """Return one sentence for an error of huggingface-hub, with the remedy."""
    from huggingface_hub import errors

    page = f"https://huggingface.co/{repository}"
    if isinstance(error, errors.GatedRepoError):
        return (
            f"{repository} is gated: accept its license at {page}, "
            f"set HF_TOKEN to a token of yours, then download {file.path} again"
        )
    if isinstance(error, errors.LocalEntryNotFoundError | errors.OfflineModeIsEnabled):
        return (
            f"{file.path} of {repository} could not be fetched: no connection, or HF_HUB_OFFLINE "
            "is set; unset it, or put the file in place by hand"
        )
    if isinstance(error, errors.RepositoryNotFoundError):
        return (
            f"there is no repository {repository} that this token may read; "
            "name another repository, or check HF_TOKEN"
        )
    if isinstance(error, errors.EntryNotFoundError):
        return f"{repository} has no file {file.path}; name another repository that has it"
    return (
        f"{file.path} of {repository} could not be fetched ({error}); start the download again, "
        "it goes on where it stopped"
    )
