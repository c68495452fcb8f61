"""ONNX files, which come from outside: checked before they are opened and used, run in bounded batches."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from pipeline.values import InputError

BATCHES = range(1, 65)  # that a file may be made for
MAX_BYTES = 2**30  # the published files have 217 and 134 MB
CUDA, CPU = "CUDAExecutionProvider", "CPUExecutionProvider"
CUDA_OPTIONS = {
    "cudnn_conv_algo_search": "HEURISTIC"
}  # the default measures anew for every batch size
AT_ONCE = {CUDA: 16, CPU: 4}  # pictures in a call: on a CPU more only delays progress and Cancel
REMEDY = (
    "delete it and run `python -m pipeline models --download dwpose`, or use --detector holistic"
)


@dataclass(frozen=True)
class Network:
    """One ONNX file: float32 pictures of one shape in, arrays of fixed shapes out; opened when first run."""

    path: Path
    picture: tuple[int, ...]  # shape of one picture
    outputs: tuple[
        tuple[int, ...], ...
    ]  # shape of each output for one picture, in the file's order

    @property
    def mark(self) -> str:
        """Size and date of the file: detections by another one are not mistaken for this one's."""
        facts = self._facts()
        return f"{facts.st_size}.{facts.st_mtime_ns}"

    def run(self, pictures: Iterable[np.ndarray]) -> Iterator[tuple[np.ndarray, ...]]:
        """The outputs of each picture, in order; as many pictures are held at a time as one call takes."""
        waiting = iter(pictures)
        while batch := list(islice(waiting, self.at_once)):
            yield from self._call(batch)

    @cached_property
    def at_once(self) -> int:
        """Pictures in a call: what the file is made for, else what the device likes."""
        made_for = self._session.get_inputs()[0].shape[0]
        return made_for if isinstance(made_for, int) else AT_ONCE[provider()]

    def _call(self, batch: list[np.ndarray]) -> Iterator[tuple[np.ndarray, ...]]:
        given = self._session.get_inputs()[0]
        blank = np.zeros(self.picture, np.float32)
        missing = given.shape[0] - len(batch) if isinstance(given.shape[0], int) else 0
        try:
            results = self._session.run(None, {given.name: np.stack([*batch, *[blank] * missing])})
        except errors() as error:
            raise self._broken(f"fails on a picture ({_short(error)})") from error
        for result, shape in zip(results, self.outputs, strict=True):
            if result.shape != (len(batch) + missing, *shape):
                raise self._broken(
                    f"gave an output of shape {result.shape} instead of (N, {_text(shape)})"
                )
        return zip(*(result[: len(batch)] for result in results), strict=True)

    @cached_property
    def _session(self) -> Any:
        """The open session, its declared shapes checked; raises ValueError with one sentence and a remedy."""
        self._facts()
        library = runtime()
        options = library.SessionOptions()
        options.log_severity_level = 3  # errors only: its notices would fill the user's terminal
        options.intra_op_num_threads = threads()
        providers = [(CUDA, CUDA_OPTIONS), CPU] if provider() == CUDA else [CPU]
        try:
            session = library.InferenceSession(str(self.path), options, providers=providers)
        except errors() as error:
            raise self._broken(
                f"is not an ONNX network that can be run ({_short(error)})"
            ) from error
        self._check_shapes(session)
        return session

    def _facts(self) -> os.stat_result:
        """The file's facts, its size within bounds."""
        try:
            facts = self.path.stat()
        except OSError as error:
            raise self._broken(f"cannot be read ({error.strerror})") from error
        if not 0 < facts.st_size <= MAX_BYTES:
            raise self._broken(f"has {facts.st_size} bytes, where 1 to {MAX_BYTES} are expected")
        return facts

    def _check_shapes(self, session: Any) -> None:
        """Compares what the file declares; an axis without a number may have any length until it is run."""
        declared = [arg.shape for arg in (*session.get_inputs(), *session.get_outputs())]
        wanted = [self.picture, *self.outputs]
        fits = len(session.get_inputs()) == 1 and len(declared) == len(wanted)
        if not fits or not all(_fits(d, w) for d, w in zip(declared, wanted, strict=True)):
            said = " and ".join(f"(N, {_text(shape)})" for shape in self.outputs)
            got = ", ".join(f"({_text(shape)})" for shape in declared)
            raise self._broken(
                f"is another network: one from pictures (N, {_text(self.picture)}) to {said} is needed, "
                f"its shapes are {got}"
            )

    def _broken(self, what: str) -> InputError:
        return InputError(f"the weights file {self.path} {what}; {REMEDY}")


def runtime() -> ModuleType:
    """The onnxruntime package; raises ValueError with the remedy where it is absent."""
    try:
        import onnxruntime
    except ImportError as error:
        raise InputError(
            f"the dwpose detector needs onnxruntime, which cannot be imported ({error}); "
            "run `pip install -r requirements.txt`, or use --detector holistic"
        ) from error
    return onnxruntime


def provider() -> str:
    """CUDA where the installed onnxruntime has it, else the CPU."""
    return CUDA if CUDA in runtime().get_available_providers() else CPU


def threads() -> int:
    """OMP_NUM_THREADS, which onnxruntime itself does not read, or 0 = as many as there are cores."""
    said = os.environ.get("OMP_NUM_THREADS", "")
    return int(said) if said.isdecimal() else 0


def errors() -> tuple[type[Exception], ...]:
    """What onnxruntime raises on files and inputs that it cannot use; its classes have no common parent."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    names = "EPFail Fail InvalidArgument InvalidGraph InvalidProtobuf NoModel NoSuchFile NotFound"
    known = [
        getattr(state, name, None) for name in f"{names} NotImplemented RuntimeException".split()
    ]
    return tuple(kind for kind in known if kind is not None)


def _fits(declared: list[int | str | None], wanted: tuple[int, ...]) -> bool:
    """Whether a declared shape, batch first, can hold `wanted`."""
    if len(declared) != len(wanted) + 1 or (
        isinstance(declared[0], int) and declared[0] not in BATCHES
    ):
        return False
    return all(d == w for d, w in zip(declared[1:], wanted, strict=True) if isinstance(d, int))


def _text(shape: Iterable[int | str | None]) -> str:
    return ", ".join(str(side) for side in shape)


def _short(error: Exception) -> str:
    """The last part of onnxruntime's message, on one line: it begins with codes and the path."""
    last = str(error).split(" : ")[-1].split("failed:")[-1]
    return " ".join(last.split())[:200].rstrip(".")
