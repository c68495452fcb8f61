"""Videos cut in several processes; one at which a process crashes stops nothing but itself."""

from __future__ import annotations

import logging
import multiprocessing
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass

from pipeline.training.data import clip_worker
from pipeline.training.data.clip_worker import Task, WorkSettings
from pipeline.values import InputError

log = logging.getLogger(__name__)

CRASHED = "the process that read it crashed; it is left out, and tried again by the next run"


@dataclass(frozen=True)
class Failure:
    """A video at which the work broke off, by our fault or a decoder's."""

    name: str
    sentence: str


def run_tasks(tasks: list[Task], settings: WorkSettings, workers: int) -> Iterator[str | Failure]:
    """Yield the SHA-256 of each video that is done, or a failure, in the order of their ends.

    A crash of one process (a decoder's fault, or no memory left) breaks the whole pool: the videos
    that were in work are tried one by one, so that the culprit is known.
    """
    waiting = list(tasks)
    suspects: list[Task] = []
    while waiting or suspects:
        if suspects:
            alone = [suspects.pop(0)]
            yield from _run(alone, settings, 1, [])
        else:
            batch = waiting
            waiting = []
            broken: list[Task] = []
            yield from _run(batch, settings, workers, broken)
            suspects = broken[:workers]
            waiting = broken[workers:]


def _run(
    tasks: list[Task], settings: WorkSettings, workers: int, broken: list[Task]
) -> Iterator[str | Failure]:
    """Run tasks in a pool of their own; what a crash left undone goes to `broken`.

    Those that were in work come first there. A single task that crashes is a failure.
    """
    is_alone = len(tasks) == 1
    rest = list(tasks)
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=clip_worker.start)
    running: dict[Future[str], Task] = {}
    try:
        while rest or running:
            while rest and len(running) < workers:
                task = rest.pop(0)
                running[pool.submit(clip_worker.work, task, settings)] = task
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                task = running.pop(future)
                error = future.exception()
                if isinstance(error, BrokenProcessPool):
                    if is_alone:
                        yield Failure(task.name, CRASHED)
                        return
                    broken += [task, *running.values(), *rest]
                    return
                yield _result(future, task, error)
    finally:
        _end(pool)


def _result(future: Future[str], task: Task, error: BaseException | None) -> str | Failure:
    """Return what a finished task is worth; raise what stops all of them."""
    if error is None:
        return future.result()
    if isinstance(error, InputError) or not isinstance(error, Exception):
        raise error
    log.error("%s breaks the work", task.name, exc_info=error)
    kind = type(error).__name__
    return Failure(task.name, f"internal error ({kind}: {error}); the log has more")


def _end(pool: ProcessPoolExecutor) -> None:
    """End the pool's processes at once: what they work on is not needed any more."""
    processes = list((pool._processes or {}).values())
    pool.shutdown(wait=False, cancel_futures=True)
    for process in processes:
        process.terminate()
    for process in processes:
        process.join()
