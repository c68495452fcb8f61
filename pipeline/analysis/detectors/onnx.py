"""Run ONNX files in bounded batches.

The files come from outside, so they are checked before they are opened and used.
"""

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

BATCH_SIZES = range(1, 65)  # that a file may be made for
MAX_BYTES = 2**30  # the published files have 217 and 134 MB
CUDA = "CUDAExecutionProvider"
CPU = "CPUExecutionProvider"
CUDA_OPTIONS = {"cudnn_conv_algo_search": "HEURISTIC"}  # the default measures every batch size anew
AT_ONCE = {CUDA: 16, CPU: 4}  # pictures in a call: on a CPU more only delays progress and Cancel
ERRORS_ONLY = 3  # log level of onnxruntime; its notices would fill the user's terminal
MAX_ERROR_CHARACTERS = 200
# Exceptions of onnxruntime on files and inputs that it cannot use
ERROR_NAMES = (
    "EPFail", "Fail", "InvalidArgument", "InvalidGraph", "InvalidProtobuf", "NoModel", "NoSuchFile",
    "NotFound", "NotImplemented", "RuntimeException",
)  # fmt: skip
# Threads that wait by spinning hold the cores that the others need: 218 instead of 40 ms per frame
# of the holistic detector with two threads on two shared cores.
NO_SPINNING = {"session.intra_op.allow_spinning": "0", "session.inter_op.allow_spinning": "0"}


@dataclass(frozen=True)
class Network:
    """One ONNX file: float32 pictures of one shape in, arrays of fixed shapes out.

    The file is opened at the first run.

    picture: shape of one picture. outputs: shape of each output for one picture, in the file's
    order. remedy: what the user does about a file that cannot be used.
    """

    path: Path
    picture: tuple[int, ...]
    outputs: tuple[tuple[int, ...], ...]
    remedy: str

    @property
    def mark(self) -> str:
        """Size and date of the file: detections by another one are not mistaken for this one's."""
        facts = self._file_facts()
        return f"{facts.st_size}.{facts.st_mtime_ns}"

    def run(
        self, pictures: Iterable[np.ndarray], count: int | None = None
    ) -> Iterator[tuple[np.ndarray, ...]]:
        """Yield the outputs of each picture, in order; hold as many pictures as one call takes.

        count: of the outputs that are wanted, the first ones; all by default.
        """
        waiting = iter(pictures)
        while batch := list(islice(waiting, self.at_once)):
            yield from self._call(batch, count)

    @cached_property
    def at_once(self) -> int:
        """Pictures in a call: what the file is made for, else what suits the device."""
        made_for = self._session.get_inputs()[0].shape[0]
        return made_for if isinstance(made_for, int) else AT_ONCE[provider()]

    def _call(self, batch: list[np.ndarray], count: int | None) -> Iterator[tuple[np.ndarray, ...]]:
        """Run one batch, filled with black pictures where the file is made for a larger one."""
        declared = self._session.get_inputs()[0]
        batch_size = declared.shape[0] if isinstance(declared.shape[0], int) else len(batch)
        black = np.zeros(self.picture, np.float32)
        filling = [black] * (batch_size - len(batch))
        pictures = np.stack([*batch, *filling])
        try:
            results = self._session.run(self._names(count), {declared.name: pictures})
        except errors() as error:
            raise self._broken(f"fails on a picture ({_short(error)})") from error
        for result, shape in zip(results, self.outputs[:count], strict=True):
            if result.shape != (batch_size, *shape):
                raise self._broken(
                    f"gave an output of shape {result.shape} instead of (N, {_text(shape)})"
                )
        wanted = [result[: len(batch)] for result in results]
        return zip(*wanted, strict=True)

    def _names(self, count: int | None) -> list[str] | None:
        """Return the names of the first outputs; None = all."""
        if count is None:
            return None
        declared = self._session.get_outputs()[:count]
        return [output.name for output in declared]

    @cached_property
    def _session(self) -> Any:
        """The open session, its declared shapes checked."""
        self._file_facts()
        try:
            session = open_session(self.path)
        except errors() as error:
            raise self._broken(
                f"is not an ONNX network that can be run ({_short(error)})"
            ) from error
        self._check_shapes(session)
        return session

    def _file_facts(self) -> os.stat_result:
        """Return the file's facts; refuse a size out of bounds."""
        try:
            facts = self.path.stat()
        except OSError as error:
            raise self._broken(f"cannot be read ({error.strerror})") from error
        if not 0 < facts.st_size <= MAX_BYTES:
            raise self._broken(f"has {facts.st_size} bytes, where 1 to {MAX_BYTES} are expected")
        return facts

    def _check_shapes(self, session: Any) -> None:
        """Compare what the file declares.

        An axis without a number may have any length until it is run.
        """
        inputs = session.get_inputs()
        declared = [arg.shape for arg in (*inputs, *session.get_outputs())]
        wanted = [self.picture, *self.outputs]
        if len(inputs) == 1 and len(declared) == len(wanted):
            pairs = zip(declared, wanted, strict=True)
            if all(_fits(shape, wanted_shape) for shape, wanted_shape in pairs):
                return
        outputs_text = " and ".join(f"(N, {_text(shape)})" for shape in self.outputs)
        declared_text = ", ".join(f"({_text(shape)})" for shape in declared)
        raise self._broken(
            f"is another network: one from pictures (N, {_text(self.picture)}) to {outputs_text} "
            f"is needed, its shapes are {declared_text}"
        )

    def _broken(self, what: str) -> InputError:
        return InputError(f"the weights file {self.path} {what}; {self.remedy}")


def open_session(path: Path) -> Any:
    """Open an ONNX file to be run: the only place where a session is made."""
    library = runtime()
    options = library.SessionOptions()
    options.log_severity_level = ERRORS_ONLY
    options.intra_op_num_threads = threads()
    for key, value in NO_SPINNING.items():
        options.add_session_config_entry(key, value)
    providers = [(CUDA, CUDA_OPTIONS), CPU] if provider() == CUDA else [CPU]
    return library.InferenceSession(str(path), options, providers=providers)


def runtime() -> ModuleType:
    """Import onnxruntime; refuse with the remedy where it is absent."""
    try:
        import onnxruntime
    except ImportError as error:
        raise InputError(
            f"the detectors need onnxruntime, which cannot be imported ({error}); "
            "run `pip install -r requirements.txt`"
        ) from error
    return onnxruntime


def provider() -> str:
    """Return CUDA where the installed onnxruntime has it, else the CPU."""
    return CUDA if CUDA in runtime().get_available_providers() else CPU


def threads() -> int:
    """Return OMP_NUM_THREADS, which onnxruntime itself does not read.

    0 = as many as there are cores.
    """
    text = os.environ.get("OMP_NUM_THREADS", "")
    return int(text) if text.isdecimal() else 0


def errors() -> tuple[type[Exception], ...]:
    """Return what onnxruntime raises on bad files and inputs; its classes have no common parent."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    known = [getattr(state, name, None) for name in ERROR_NAMES]
    return tuple(kind for kind in known if kind is not None)


def _fits(declared: list[int | str | None], wanted: tuple[int, ...]) -> bool:
    """Tell whether a declared shape, batch first, can hold `wanted`."""
    if len(declared) != len(wanted) + 1:
        return False
    batch_size = declared[0]
    if isinstance(batch_size, int) and batch_size not in BATCH_SIZES:
        return False
    for side, wanted_side in zip(declared[1:], wanted, strict=True):
        if isinstance(side, int) and side != wanted_side:
            return False
    return True


def _text(shape: Iterable[int | str | None]) -> str:
    return ", ".join(str(side) for side in shape)


def _short(error: Exception) -> str:
    """Return the last part of onnxruntime's message, on one line.

    It begins with codes and the path.
    """
    last = str(error).split(" : ")[-1]
    last = last.split("failed:")[-1]
    words = last.split()
    return " ".join(words)[:MAX_ERROR_CHARACTERS].rstrip(".")
