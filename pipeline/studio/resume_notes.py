"""Notes beside an unfinished output: how a render goes on, and what must be as before for that.

They are a safetensors file: arrays and text, nothing that runs.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from pipeline import __version__, media
from pipeline.models.model_settings import find_model
from pipeline.render.runtime.device import Placement
from pipeline.studio.request import FILE_FIELDS, Request
from pipeline.values import InputError, Keypoints, Motion, Pose, ResumePoint

KIND = "apv-studio-unfinished-1"
MAX_NOTES_BYTES = 1 << 30  # latents of a few frames; a larger file is refused unread
DAMAGED = (SafetensorError, OSError, KeyError, TypeError, ValueError, RecursionError)
# What is compared beside the options, and what is said where it differs
OTHERWISE = {
    "model files": "the files of `model` are others than before",
    "motion": "the analysis of the inputs gives another motion than before",
}
# The options that say where networks run, by the names in `Placement`
PLACEMENT_OPTIONS = {"compiling": "compile", "layout": "channels_last"}

Identity = Mapping[str, str]


@dataclass(frozen=True)
class Notes:
    """What a run leaves for the next one.

    Attributes:
        identity: what decided the frames, by name, as text.
        extent: how far the output is finished.
        point: what the renderer needs to go on.
    """

    identity: Identity
    extent: media.Extent
    point: ResumePoint

    def to_bytes(self) -> bytes:
        """Return the content of a safetensors file."""
        metadata = {
            "kind": KIND,
            "identity": json.dumps(dict(self.identity)),
            "extent": json.dumps(self.extent.to_dict()),
            "frames": json.dumps(self.point.frames),
            "numbers": json.dumps(dict(self.point.numbers)),
        }
        return save(dict(self.point.arrays), metadata)


@dataclass(frozen=True)
class Record:
    """A run whose output can be gone on with.

    Attributes:
        identity: what decides its frames, as far as it is known.
        earlier: what an earlier run left to go on with, if anything.
    """

    identity: Identity
    earlier: Notes | None = None

    @property
    def finished_frames(self) -> int:
        """How many frames an earlier run finished."""
        return 0 if self.earlier is None else self.earlier.extent.frames

    def joined(self, more: Identity) -> Record:
        """Return the record of a run of which more is known; refuse what is not as before."""
        if self.earlier is not None:
            _refuse_changes(self.earlier.identity, more)
        return replace(self, identity={**self.identity, **more})

    def notes(self, extent: media.Extent, point: ResumePoint) -> bytes:
        """Return the notes on what is finished now."""
        return Notes(self.identity, extent, point).to_bytes()


def open_record(request: Request, output: str, is_resumed: bool) -> Record:
    """Return the record of a run.

    Args:
        request: what is asked for.
        output: where it goes.
        is_resumed: whether what an earlier run left there is gone on with. Other inputs or options
            are refused; where nothing is left, the run starts afresh.
    """
    record = Record({})
    if is_resumed and media.notes_path(output).exists():
        record = Record({}, read_notes(output))
    return record.joined(request_identity(request))


def read_notes(output: str) -> Notes:
    """Read what a run left beside its output; raise InputError where it is damaged."""
    path = media.notes_path(output)
    try:
        if path.stat().st_size > MAX_NOTES_BYTES:
            raise ValueError("it is too large")
        with safe_open(path, "np") as file:
            metadata = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if metadata.get("kind") != KIND:
            raise ValueError("it holds other things")
        extent = media.Extent.of(_mapping(metadata["extent"]))
        numbers = {name: _count(value) for name, value in _mapping(metadata["numbers"]).items()}
        frames = _count(json.loads(metadata["frames"]))
        identity = {name: str(value) for name, value in _mapping(metadata["identity"]).items()}
        if extent.frames != frames:
            raise ValueError("its numbers of frames differ")
    except DAMAGED as error:
        raise InputError(
            f"{path} is damaged ({_first_line(error)}), so that nothing goes on from it; start "
            "afresh without `resume`"
        ) from error
    return Notes(identity, extent, ResumePoint(frames, arrays, numbers))


def _mapping(text: str) -> dict[str, Any]:
    values = json.loads(text)
    if not isinstance(values, dict):
        raise ValueError("it holds no names")
    return values


def _count(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"{value!r} is no count")
    return value


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]


# ---- what decides the frames


def request_identity(request: Request) -> dict[str, str]:
    """Return the options, the content of the inputs, the model's files and the versions."""
    identity = {name: json.dumps(value) for name, value in asdict(request).items()}
    for name in FILE_FIELDS:
        path = getattr(request, name)
        identity[name] = media.content_hash(path) if path else ""
    identity["model files"] = _files_digest(request.model)
    identity["program"] = f"{__version__} with torch {torch.__version__}"
    return identity


def motion_identity(picture: np.ndarray, motion: Motion, placed: Placement) -> dict[str, str]:
    """Return the digest of what is rendered, and where the networks run."""
    digest = hashlib.sha256()
    arrays = [picture, *_pose_arrays(motion.pose), *_pose_arrays(motion.reference)]
    arrays += [motion.intensity, motion.excitation, motion.control_strength, motion.audio_tokens]
    for optional in (motion.mask, motion.mesh):
        arrays.append(np.zeros(0) if optional is None else optional)
    for array in arrays:
        digest.update(repr((array.shape, array.dtype.str)).encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    identity = {"motion": digest.hexdigest()}
    for name, value in asdict(placed).items():
        identity[PLACEMENT_OPTIONS.get(name, name)] = json.dumps(value)
    return identity


def _pose_arrays(pose: Pose) -> list[np.ndarray]:
    parts: tuple[Keypoints, ...] = (pose.body, pose.hands, pose.face)
    facts = np.array([pose.fps, *pose.size], float)
    return [facts, *(part.xy for part in parts), *(part.score for part in parts)]


def _files_digest(model: str) -> str:
    """Return a digest of the names, sizes and times of a model's files; reading all takes long."""
    digest = hashlib.sha256()
    for path in find_model(model).files():
        facts = Path(path).stat()
        digest.update(repr((path.name, facts.st_size, facts.st_mtime_ns)).encode())
    return digest.hexdigest()


def _refuse_changes(before: Identity, now: Identity) -> None:
    """Raise InputError that names what is not as before."""
    changes = []
    for name, value in now.items():
        if before.get(name) != value:
            changes.append(_change(name, before.get(name, "unknown"), value))
    if changes:
        what = ", ".join(changes)
        raise InputError(
            f"nothing goes on here, for {what}; make it as before, or start afresh without `resume`"
        )


def _change(name: str, before: str, now: str) -> str:
    """Say what is different."""
    if name in OTHERWISE:
        return OTHERWISE[name]
    if name in FILE_FIELDS:
        if "" in (before, now):
            was = "given" if before else "not given"
            return f"`{name}` was {was} before"
        return f"`{name}` is another file than before"
    if name == "program":
        return f"the program was {before} and is {now}"
    return f"`{name}` was {before} and is {now}"
