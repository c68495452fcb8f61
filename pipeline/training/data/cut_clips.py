"""One video -> training clips, and what was dropped of it and why."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from pipeline import media
from pipeline.analysis import detectors
from pipeline.analysis.detectors import Detector
from pipeline.analysis.progress import finish
from pipeline.training.data import clip_filters, shots
from pipeline.training.data.clip_filters import Drop, Filters
from pipeline.training.data.clip_members import sound_of
from pipeline.training.data.training_clips import SAMPLE_RATE_HZ, Kind, TrainingClip
from pipeline.values import Detection, InputError, Pose, Video

log = logging.getLogger(__name__)

RULES = 1  # raised when equal settings make other clips: old shards are not mixed with new ones
DECODED_SHARE = 0.9  # of the frames that a file states: with fewer a note says so


@dataclass(frozen=True)
class CutSettings:
    """How videos become clips.

    detector: of bodies and hands. face_detector: of faces, one for both kinds of clips.
    most_seconds: of a clip; longer shots are split. most_fps: faster videos are thinned out.
    most_side_px: longer side; larger frames are shrunk.
    """

    kind: Kind
    detector: str = detectors.DEFAULT
    face_detector: str = detectors.DEFAULT
    most_seconds: float = 5.0
    most_fps: float = 30.0
    most_side_px: int = 1024
    filters: Filters = field(default_factory=Filters)


@dataclass(frozen=True)
class Detectors:
    """The detector of bodies and hands, and that of faces; they may be one."""

    body: Detector
    face: Detector

    @staticmethod
    def load(settings: CutSettings) -> Detectors:
        """Load what the settings name."""
        body = detectors.load(settings.detector)
        if settings.face_detector == settings.detector:
            return Detectors(body, body)
        return Detectors(body, detectors.load(settings.face_detector))

    def people(self, frames: np.ndarray, fps: float) -> Detection:
        """Detect all people of a clip; their faces are the face detector's."""
        detection = finish(self.body.video(Video(frames, fps)))
        if self.face is self.body or not detection.people:
            return detection
        faces = finish(self.face.video(Video(frames, fps)))
        people = tuple(_with_face(person, faces.people) for person in detection.people)
        return replace(detection, people=people)


@dataclass(frozen=True)
class Piece:
    """A part of a video: the clip that it became, or why it became none.

    start_seconds, stop_seconds: where it lies in the video.
    """

    start_seconds: float
    stop_seconds: float
    result: TrainingClip | Drop


@dataclass(frozen=True)
class CutVideo:
    """What one video became, and sentences about how it was read."""

    pieces: Iterator[Piece]
    notes: list[str]


def cut(path: Path, source: str, settings: CutSettings, networks: Detectors) -> CutVideo:
    """Cut a video into training clips; raise InputError where it cannot be read.

    Args:
        path: the video.
        source: its name in the shards and the report.
        settings: kind, detectors and limits.
        networks: the detectors.
    """
    facts = media.probe(path)
    fps = min(facts.fps, settings.most_fps)
    drop = clip_filters.too_small((facts.height, facts.width), settings.filters)
    if drop is not None:
        return CutVideo(iter([Piece(0.0, facts.seconds, drop)]), [])
    notes: list[str] = []
    small = media.read_video(path, fps, shots.SHOT_SIDE_PX)
    rows = shots.find_shots(small)
    if not rows:
        raise InputError(f"video {path} has no frame that can be decoded; give a file that plays")
    stated_frames = facts.seconds * fps
    if rows[-1].stop < DECODED_SHARE * stated_frames:
        notes.append(f"only {rows[-1].stop} of about {stated_frames:.0f} frames can be decoded")
    samples = _read_sound(path, notes) if facts.has_audio else None
    pieces = _pieces(path, source, rows, samples, settings, networks)
    return CutVideo(pieces, notes)


def _pieces(
    path: Path,
    source: str,
    rows: list[slice],
    samples: np.ndarray | None,
    settings: CutSettings,
    networks: Detectors,
) -> Iterator[Piece]:
    """Yield all pieces in order; one piece's frames at a time are in memory."""
    facts = media.probe(path)
    fps = min(facts.fps, settings.most_fps)
    most_frames = max(1, round(settings.most_seconds * fps))
    video = media.read_video(path, fps, settings.most_side_px)
    reader = _FrameReader(video)
    for shot in rows:
        frames = shot.stop - shot.start
        drop = clip_filters.too_short(frames, fps, settings.filters)
        for part in [shot] if drop else shots.split(shot, most_frames):
            start = part.start / fps
            stop = part.stop / fps
            if drop is not None:
                reader.skip(part)
                yield Piece(start, stop, drop)
                continue
            pictures = reader.read(part)
            sound = None
            if samples is not None:
                sound = sound_of(samples, start, stop - start)
            yield Piece(start, stop, _clip(pictures, fps, sound, source, settings, networks))


def _clip(
    frames: np.ndarray,
    fps: float,
    sound: np.ndarray | None,
    source: str,
    settings: CutSettings,
    networks: Detectors,
) -> TrainingClip | Drop:
    """Detect the pose of one piece and check it."""
    kind = settings.kind
    filters = settings.filters
    drop = clip_filters.too_short(len(frames), fps, filters)
    if drop is not None:
        return drop
    detection = networks.people(frames, fps)
    drop = clip_filters.not_one_person(detection)
    if drop is not None:
        return drop
    pose = detection.people[0]
    drop = clip_filters.cut_inside(frames, pose)
    if drop is None:
        drop = clip_filters.few_poses(pose, kind, filters)
    if drop is None:
        drop = clip_filters.blurred(frames, pose, kind, filters)
    if drop is not None:
        return drop
    return TrainingClip(kind, frames, pose, sound, None, source)


def _read_sound(path: Path, notes: list[str]) -> np.ndarray | None:
    """Read a video's sound (n,) at 16 kHz; where that fails, a note says so."""
    try:
        return media.read_audio(path, SAMPLE_RATE_HZ).samples
    except InputError as error:
        notes.append(f"its sound is left out: {error}")
        return None


def _with_face(person: Pose, others: tuple[Pose, ...]) -> Pose:
    """Return a person with the face of the nearest of the people that another detector sees."""
    missing = Pose.empty(len(person), person.fps, person.size)
    face = missing.face
    nearest = np.inf
    for other in others:
        both = person.body.visible & other.body.visible
        if not both.any():
            continue
        ways = np.linalg.norm(person.body.xy - other.body.xy, axis=2)
        distance = float(ways[both].mean())
        if distance < nearest:
            nearest = distance
            face = other.face
    return replace(person, face=face)


class _FrameReader:
    """Reads a video's frames by number, forwards only, with even sides."""

    def __init__(self, video: Video) -> None:
        self._chunks = video.chunks()
        self._chunk: np.ndarray | None = None
        self._first = 0  # number of the chunk's first frame

    def skip(self, rows: slice) -> None:
        """Pass over frames."""
        for _ in self._parts(rows):
            pass

    def read(self, rows: slice) -> np.ndarray:
        """Return frames (t,H,W,3), fewer where the video breaks off."""
        parts = [part.copy() for part in self._parts(rows)]
        if not parts:
            return np.empty((0, 2, 2, 3), np.uint8)
        return np.concatenate(parts)

    def _parts(self, rows: slice) -> Iterator[np.ndarray]:
        """Yield the rows' frames chunk by chunk."""
        at = rows.start
        while at < rows.stop:
            if self._chunk is None or at >= self._first + len(self._chunk):
                if self._chunk is not None:
                    self._first += len(self._chunk)
                self._chunk = next(self._chunks, None)
                if self._chunk is None:
                    return
                continue
            start = at - self._first
            stop = min(rows.stop - self._first, len(self._chunk))
            height, width = self._chunk.shape[1:3]
            yield self._chunk[start:stop, : height - height % 2, : width - width % 2]
            at = self._first + stop
