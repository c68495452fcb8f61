"""Hold the values that pass between stages: frozen dataclasses over numpy arrays. Row t is video
frame t.

Coordinates are fractions of the picture's width and height; a score of 0 means that the point is
missing.
Pictures are RGB uint8 of shape (H, W, 3). Nothing here opens a file except `Pose.save` and
`Pose.load`.
"""

from __future__ import annotations

import lzma
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from pipeline import InputError as InputError

BODY = 18  # OpenPose's body points
HANDS = 42  # the left hand's 21 points, then the right hand's
FACE = 68  # iBUG's face points
VISIBLE = 0.3  # a point with a lower score is treated as missing (the published code's threshold)
MAX_POSE_FRAMES = 60 * 60 * 30  # one hour at 30 fps: a pose file that claims more is refused unread
FURTHEST = 1e6  # in pictures: no real point is further away, and squares of it do not overflow
# What numpy, zipfile and the unpackers raise on a file that is cut off, scrambled, encrypted or
# claims a giant array
DAMAGED: tuple[type[Exception], ...] = (
    OSError,
    KeyError,
    ValueError,
    TypeError,
    EOFError,
    RuntimeError,
    MemoryError,
    ArithmeticError,
    SyntaxError,
    tokenize.TokenError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
)


@dataclass(frozen=True)
class Audio:
    """Mono sound: `samples` (n,) float32 in [-1, 1] at `rate` Hz."""

    samples: np.ndarray
    rate: int

    @property
    def seconds(self) -> float:
        return len(self.samples) / self.rate

    def frames(self, fps: float) -> int:
        """Count the video frames that last as long as the sound, to the nearest one, at least
        one."""
        return max(1, round(self.seconds * fps))


@dataclass(frozen=True)
class Keypoints:
    """Points of one kind: `xy` (T,K,2) float64 fractions, `score` (T,K) in [0, 1], 0 = missing."""

    xy: np.ndarray
    score: np.ndarray

    def __post_init__(self) -> None:
        if self.xy.ndim != 3 or self.xy.shape[2] != 2 or self.score.shape != self.xy.shape[:2]:
            shapes = f"{self.xy.shape} and {self.score.shape}"
            raise ValueError(f"key points need xy (T,K,2) and score (T,K), got {shapes}")

    def __len__(self) -> int:
        return len(self.xy)

    def __getitem__(self, rows: slice | np.ndarray) -> Keypoints:
        return Keypoints(self.xy[rows], self.score[rows])

    @property
    def visible(self) -> np.ndarray:
        """(T,K) bool: the points whose score passes the threshold of the published code."""
        return self.score > VISIBLE

    def all_seen(self, points: Sequence[int] | np.ndarray) -> np.ndarray:
        """(T,) bool: the frames in which all of some points are visible."""
        return np.all(self.visible[:, list(points)], 1)

    @staticmethod
    def missing(frames: int, points: int) -> Keypoints:
        """Make points that are missing in every frame."""
        return Keypoints(np.zeros((frames, points, 2)), np.zeros((frames, points)))


@dataclass(frozen=True)
class Pose:
    """One person over time: body (T,18), hands (T,42), face (T,68) key points; `size` is (H, W) in
    pixels."""

    body: Keypoints
    hands: Keypoints
    face: Keypoints
    fps: float
    size: tuple[int, int]

    def __post_init__(self) -> None:
        shapes = [self.body.xy.shape[:2], self.hands.xy.shape[:2], self.face.xy.shape[:2]]
        if shapes != [(len(self.body), k) for k in (BODY, HANDS, FACE)]:
            raise ValueError(
                f"a pose needs (T,18), (T,42) and (T,68) points with one T, got {shapes}"
            )

    def __len__(self) -> int:
        return len(self.body)

    def __getitem__(self, rows: slice | np.ndarray) -> Pose:
        return Pose(self.body[rows], self.hands[rows], self.face[rows], self.fps, self.size)

    @property
    def pixel_scale(self) -> np.ndarray:
        """(2,) width and height: fractions times this are pixels."""
        height, width = self.size
        return np.array([width, height], float)

    @staticmethod
    def empty(frames: int, fps: float, size: tuple[int, int]) -> Pose:
        """Make a pose in which every point is missing: drawn, it is the paper's black skeleton
        picture."""
        return Pose(
            Keypoints.missing(frames, BODY),
            Keypoints.missing(frames, HANDS),
            Keypoints.missing(frames, FACE),
            fps,
            size,
        )

    def save(self, path: str | Path) -> None:
        """Write a `.npz` without pickles: body_xy (T,18,2), body_score (T,18) and so on, fps, size
        (H,W)."""
        arrays: dict[str, Any] = {
            "fps": np.float64(self.fps),
            "size": np.asarray(self.size, np.int64),
        }
        for name, part in (("body", self.body), ("hands", self.hands), ("face", self.face)):
            arrays[f"{name}_xy"] = part.xy
            arrays[f"{name}_score"] = part.score
        try:
            # An open file, so that numpy does not append a suffix of its own to the name.
            with open(path, "wb") as file:
                np.savez_compressed(file, **arrays)
        except OSError as error:
            raise InputError(
                f"pose file {path} cannot be written ({error.strerror or error}); choose a folder "
                "with room that you may write to"
            ) from error

    @staticmethod
    def load(path: str | Path) -> Pose:
        """Read what `save` wrote; raise InputError naming the file when anything is not as it
        should be."""
        try:
            with np.load(path, allow_pickle=False) as file:
                return _pose_from(file)
        except FileNotFoundError:
            raise InputError(f"pose file {path} does not exist") from None
        except DAMAGED as error:
            raise InputError(
                f"{path} is not a pose file of this project ({array_damage(error)}); "
                "write one with `python -m pipeline pose`"
            ) from error


def _pose_from(file: np.lib.npyio.NpzFile) -> Pose:
    """Check declared sizes before decoding an array, then bounds and finiteness."""
    archive = file.zip
    assert archive is not None  # the file is open
    declared_bytes = sum(info.file_size for info in archive.infolist())
    bytes_per_frame = (BODY + HANDS + FACE) * 3 * 8
    if declared_bytes > MAX_POSE_FRAMES * bytes_per_frame:
        raise InputError("it is larger than an hour of poses")
    body = _keypoints_from(file, "body", BODY)
    hands = _keypoints_from(file, "hands", HANDS)
    face = _keypoints_from(file, "face", FACE)
    lengths = (len(body), len(hands), len(face))
    if len(set(lengths)) > 1:
        raise InputError(f"body, hands and face have {lengths} frames, not as many as each other")
    rate = numbers_from(file, "fps")
    sides = numbers_from(file, "size")
    if rate.size != 1 or sides.size != 2:
        raise InputError("fps is not one number, or size is not height and width")
    fps = rate.item()
    height, width = sides.ravel().tolist()
    if not (0 < fps <= 1000 and 1 <= height <= 65536 and 1 <= width <= 65536):
        raise InputError(f"fps {fps:g} or size {height:g}x{width:g} makes no sense")
    return Pose(body, hands, face, fps, (int(height), int(width)))


def numbers_from(file: np.lib.npyio.NpzFile, name: str) -> np.ndarray:
    """Return an array of an archive as float64; raise InputError where it holds no numbers."""
    if name not in file:
        raise InputError(f"it has no array {name}")
    values = file[name]
    if not isinstance(values, np.ndarray):
        raise InputError(f"{name} is no array")
    if values.dtype.kind not in "fiub":
        raise InputError(f"{name} holds {values.dtype}, not numbers")
    if values.ndim and len(values) > MAX_POSE_FRAMES:
        raise InputError(f"{name} has {len(values)} frames, over an hour of poses")
    return values.astype(np.float64)


def check_places(xy: np.ndarray, score: np.ndarray, name: str) -> None:
    """Raise InputError for key points that are nowhere, or so far away that sums overflow."""
    if not (np.isfinite(xy).all() and np.isfinite(score).all()):
        raise InputError(f"{name} holds numbers that are not finite")
    if xy.size and np.abs(xy).max() > FURTHEST:
        raise InputError(f"{name} holds {np.abs(xy).max():.3g}, which is no fraction of a picture")


def array_damage(error: Exception) -> str:
    """Say in plain words why an archive of arrays cannot be read."""
    if isinstance(error, InputError):
        return str(error)
    if isinstance(error, PermissionError):
        return "it may not be opened"
    return "it is damaged, or no archive of number arrays"


def _keypoints_from(file: np.lib.npyio.NpzFile, name: str, count: int) -> Keypoints:
    xy = numbers_from(file, f"{name}_xy")
    score = numbers_from(file, f"{name}_score")
    if xy.shape[1:] != (count, 2) or score.shape != xy.shape[:2]:
        raise InputError(
            f"{name}_xy has the shape {xy.shape} and {name}_score {score.shape}, "
            f"not (T, {count}, 2) and (T, {count})"
        )
    check_places(xy, score, name)
    if score.size and (score.min() < 0 or score.max() > 1):
        raise InputError(f"{name}_score lies outside 0 to 1")
    return Keypoints(xy, score)


@dataclass(frozen=True)
class Detection:
    """What a detector sees in a picture or clip: all people, largest first, and their cut-out
    masks.

    `masks` holds one (H,W) float32 mask in [0, 1] for each person of a picture, and none for a
    clip.
    `notes` are sentences for the user.
    """

    people: tuple[Pose, ...]
    masks: tuple[np.ndarray, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Motion:
    """Everything that a backbone needs besides the reference image.

    pose: the driving pose in the reference's picture, T frames.
    reference: the reference image's own pose, one frame.
    mask: (H,W) float32 cut-out of the person in the reference image, or None.
    mesh: (T,468,2) the face mesh in fractions of the picture, or None.
    intensity: (T,) how emphatic the speech is, in [0, 1].
    excitation: (T,) how far that is from the speaker's usual level, in [-1, 1].
    control_strength: (T,) factor on the control network's output, 1 = plain.
    audio_tokens: (T,n,d) tokens of the speech around each frame.
    """

    pose: Pose
    reference: Pose
    mask: np.ndarray | None
    mesh: np.ndarray | None
    intensity: np.ndarray
    excitation: np.ndarray
    control_strength: np.ndarray
    audio_tokens: np.ndarray

    def __len__(self) -> int:
        return len(self.pose)

    def __getitem__(self, rows: slice) -> Motion:
        return replace(
            self,
            pose=self.pose[rows],
            mesh=None if self.mesh is None else self.mesh[rows],
            intensity=self.intensity[rows],
            excitation=self.excitation[rows],
            control_strength=self.control_strength[rows],
            audio_tokens=self.audio_tokens[rows],
        )


@dataclass(frozen=True)
class Video:
    """`frames` (T,H,W,3) uint8 or an iterator of such chunks, at `fps`, with or without sound."""

    frames: np.ndarray | Iterator[np.ndarray]
    fps: float
    audio: Audio | None = None

    def chunks(self) -> Iterator[np.ndarray]:
        """Iterate over the frames as chunks (t,H,W,3); an array is one chunk."""
        if isinstance(self.frames, np.ndarray):
            return iter([self.frames])
        return iter(self.frames)


@dataclass(frozen=True)
class ResumePoint:
    """Where a render goes on after its first `frames` frames: a backbone's own arrays and
    numbers."""

    frames: int
    arrays: Mapping[str, np.ndarray]
    numbers: Mapping[str, int]


@dataclass(frozen=True)
class Progress:
    """One step of the work: `step` of `total` in `stage`.

    frames: finished pictures (t,H,W,3) uint8, in order. preview: (H,W,3) an estimate of a frame
    that is not finished. resume_point: what a render needs to go on after `frames`.
    """

    stage: str
    step: int
    total: int
    frames: np.ndarray | None = None
    preview: np.ndarray | None = None
    resume_point: ResumePoint | None = None
