"""Does a mouth fit its sound? SyncNet's scores of points (T, d) of both.

Chung and Zisserman 2016, "Out of time". Of the mean distances over offsets of +-15 frames, the
distance (Sync-D) is the least, the confidence (Sync-C) is the median less the least. METRICS.md
defines the rows.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import torch

from pipeline.evaluation.metrics.mfcc import SAMPLE_RATE, mfcc, to_16_bit
from pipeline.evaluation.metrics.sync_crops import LEAST_TRACK_FRAMES, cut_tracks, tracks
from pipeline.models.sync_mini import SyncMini, mouth_windows, sound_windows
from pipeline.models.syncnet import FPS, WINDOW_FRAMES, SyncNet
from pipeline.motion.keypoints import CHIN, INNER_LIP, NOSE_ROOT
from pipeline.values import Audio, InputError, Keypoints

MOST_OFFSET_FRAMES = 15
FRAME_SAMPLES = SAMPLE_RATE // FPS
EPSILON = 1e-6  # added to every difference, as torch's pairwise distance does
UPPER_INNER_LIP = [61, 62, 63]
LOWER_INNER_LIP = [67, 66, 65]
LEAST_PX = 1e-6

Padding = Literal["padded", "valid"]


@dataclass(frozen=True)
class SyncScores:
    """How well a mouth fits its sound.

    Attributes:
        confidence: median over offsets of the mean distance, less the least; up.
        distance: the least mean distance; down.
        offset_frames: of that least one. Positive: the sound is early, delay it by so much.
    """

    confidence: float
    distance: float
    offset_frames: int


@dataclass(frozen=True)
class SyncOfVideo:
    """Both readings of one video: padded with silence as published, and overlaps alone."""

    padded: SyncScores
    valid: SyncScores


class SyncEmbedder(Protocol):
    """What turns a mouth and its sound into points of one space.

    Attributes:
        name: "syncnet" or "sync_mini". Only SyncNet's scores are called Sync-C and Sync-D.
    """

    name: str

    def embed(self, mouths: np.ndarray, samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the points (T, d) of the mouths and of the sound (n,) at 16 kHz in [-1, 1]."""


class SyncNetEmbedder:
    """SyncNet: mouths are crops (T, 224, 224, 3) uint8 BGR at 25 frames/s."""

    name = "syncnet"

    def __init__(self, network: SyncNet) -> None:
        self.network = network

    def embed(self, mouths: np.ndarray, samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return points (T, 1024) of both; as published the last window is not looked at."""
        frames = min(len(mouths), len(samples) // FRAME_SAMPLES)
        count = frames - WINDOW_FRAMES
        _check_length(count, frames)
        spoken = samples[: frames * FRAME_SAMPLES]
        numbers = to_16_bit(spoken)
        cepstra = mfcc(numbers)
        video = self.network.embed_mouths(mouths[: frames - 1])
        audio = self.network.embed_sounds(cepstra)
        return video, audio[:count]


class SyncMiniEmbedder:
    """The project's small network: mouths are openings (T,) at 25 frames/s.

    It knows no pixels, and its points lie on the unit sphere: scores compare with its own alone.
    """

    name = "sync_mini"

    def __init__(self, network: SyncMini) -> None:
        self.network = network

    @torch.no_grad()
    def embed(self, mouths: np.ndarray, samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return points (T, 64) of both; the openings' own range stands for the true one."""
        frames = min(len(mouths), len(samples) // FRAME_SAMPLES)
        _check_length(frames, frames)
        values = samples.astype(np.float32)
        audio = Audio(values, SAMPLE_RATE)
        sound = sound_windows(audio, frames)
        opening = mouths[:frames]
        mouth = mouth_windows(opening, truth=opening)
        sound_points, mouth_points = self.network(sound, mouth)
        return mouth_points.numpy(), sound_points.numpy()


def sync_scores(video: np.ndarray, audio: np.ndarray, padding: Padding = "padded") -> SyncScores:
    """Compare points (T, d) of a mouth with those of its sound over offsets of +-15 frames.

    Args:
        video: of the mouth, one row a frame.
        audio: of the sound, one row a frame.
        padding: "padded" compares frames without a counterpart with zeros, as published, which
            lowers the confidence of short clips; "valid" leaves them out.

    Raises InputError for clips of 15 rows or less, and for unequal lengths.
    """
    if len(video) != len(audio):
        raise InputError(f"{len(video)} rows of a mouth and {len(audio)} of its sound do not pair")
    _check_length(len(video), len(video))
    offsets = np.arange(-MOST_OFFSET_FRAMES, MOST_OFFSET_FRAMES + 1)
    means = [_mean_distance(video, audio, offset, padding) for offset in offsets]
    best = int(np.argmin(means))
    distance = means[best]
    confidence = float(np.median(means)) - distance
    return SyncScores(confidence, distance, -int(offsets[best]))


def _mean_distance(video: np.ndarray, audio: np.ndarray, offset: int, padding: Padding) -> float:
    """Return the mean distance of frame i's mouth and frame i + offset's sound."""
    frames = np.arange(len(video))
    heard = frames + offset
    is_inside = (heard >= 0) & (heard < len(audio))
    if padding == "valid":
        frames = frames[is_inside]
        sound = audio[heard[is_inside]]
    else:
        sound = np.zeros_like(audio)
        inside = heard[is_inside]
        sound[is_inside] = audio[inside]
    mouth = video[frames].astype(np.float64)
    differences = mouth - sound + EPSILON
    distances = np.linalg.norm(differences, axis=1)
    return float(distances.mean())


def sync_of_video(embedder: SyncEmbedder, mouths: np.ndarray, samples: np.ndarray) -> SyncOfVideo:
    """Score one track: `mouths` as the embedder wants them, samples (n,) at 16 kHz in [-1, 1].

    Both begin at the same moment.
    """
    video, audio = embedder.embed(mouths, samples)
    padded = sync_scores(video, audio, "padded")
    valid = sync_scores(video, audio, "valid")
    return SyncOfVideo(padded, valid)


@dataclass(frozen=True)
class SyncFigures:
    """The scores of all tracks of a clip.

    Attributes:
        tracks: one entry for each stretch with a face.
        coverage: share of the frames that lie in a track with sound.
    """

    tracks: tuple[SyncOfVideo, ...]
    coverage: float

    def mean(self, padding: Padding) -> SyncScores | None:
        """Return the mean over tracks, their median offset; None without a track."""
        scores = [getattr(track, padding) for track in self.tracks]
        if not scores:
            return None
        confidence = statistics.fmean(score.confidence for score in scores)
        distance = statistics.fmean(score.distance for score in scores)
        offset = statistics.median(score.offset_frames for score in scores)
        return SyncScores(confidence, distance, round(offset))


def sync_by_pixels(
    embedder: SyncNetEmbedder,
    frames: Iterable[np.ndarray],
    face: Keypoints,
    size: tuple[int, int],
    samples: np.ndarray,
) -> SyncFigures:
    """Score every track of a clip by SyncNet.

    Args:
        embedder: of SyncNet.
        frames: RGB (H, W, 3) uint8 at 25 frames/s, as many as `face` has; read once, in order.
        face: the 68 points found in these frames.
        size: height and width of the frames.
        samples: the sound (n,) at 16 kHz in [-1, 1].
    """
    clip = _Clip(embedder, samples)
    for track, crops in cut_tracks(frames, face, size):
        clip.add(track, crops)
    return clip.figures(len(face))


def sync_by_points(
    embedder: SyncMiniEmbedder, face: Keypoints, size: tuple[int, int], samples: np.ndarray
) -> SyncFigures:
    """Score every track of a clip by the small network, from key points at 25 frames/s alone."""
    openings = mouth_openings(face, size)
    clip = _Clip(embedder, samples)
    for track in tracks(face):
        clip.add(track, openings[track])
    return clip.figures(len(face))


class _Clip:
    """The scores of a clip's tracks while they are collected."""

    def __init__(self, embedder: SyncEmbedder, samples: np.ndarray) -> None:
        self.embedder = embedder
        self.samples = samples
        self.scores: list[SyncOfVideo] = []
        self.scored_frames = 0

    def add(self, track: slice, mouths: np.ndarray) -> None:
        """Score a track, unless its sound is shorter than the shortest track."""
        sound = self.samples[track.start * FRAME_SAMPLES :]
        if len(sound) < LEAST_TRACK_FRAMES * FRAME_SAMPLES:
            return
        self.scores.append(sync_of_video(self.embedder, mouths, sound))
        self.scored_frames += len(mouths)

    def figures(self, frames: int) -> SyncFigures:
        return SyncFigures(tuple(self.scores), self.scored_frames / max(1, frames))


def mouth_openings(face: Keypoints, size: tuple[int, int]) -> np.ndarray:
    """Return the inner lips' gap over the face's height (T,), of frames without a face nearby ones.

    The height is the median over the clip of the distance from the nose's root to the chin, so that
    the jaw's own movement does not count.
    """
    height, width = size
    xy = face.xy * (width, height)
    seen = face.visible[:, INNER_LIP].all(1)
    if not seen.any():
        return np.zeros(len(xy))
    down = xy[:, CHIN] - xy[:, NOSE_ROOT]
    face_heights = np.linalg.norm(down, axis=1)
    face_height = np.median(face_heights[seen])
    gaps = xy[:, LOWER_INNER_LIP] - xy[:, UPPER_INNER_LIP]
    gap = np.linalg.norm(gaps, axis=2).mean(1)
    opening = gap / max(face_height, LEAST_PX)
    rows = np.arange(len(xy))
    return np.interp(rows, rows[seen], opening[seen])


def _check_length(rows: int, frames: int) -> None:
    if rows <= MOST_OFFSET_FRAMES:
        raise InputError(
            f"a clip of {frames} frames with sound is too short for offsets of "
            f"{MOST_OFFSET_FRAMES} frames; give over {MOST_OFFSET_FRAMES + WINDOW_FRAMES}"
        )
