"""Find clips whose pixels lie on their side or upside down though no tag says so."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from pipeline import media
from pipeline.analysis import detectors
from pipeline.analysis.detectors import cache
from pipeline.analysis.progress import finish
from pipeline.motion.keypoints import HIPS, NOSE, SHOULDERS
from pipeline.values import InputError, Pose, Video

LOOKS = 5  # frames, spread over the first seconds, in which the person's body is looked at
LOOK_SECONDS = 10.0
LOOK_SIDE_PX = 640
QUARTER_DEG = 90.0
NEAR_DEG = 30.0  # a body that leans further from a quarter turn belongs to a person who moves
LEAST_SHARE = 0.7  # of the looks that agree on the turn
TURN_NAMES = {1: "to the left", 2: "upside down", 3: "to the right"}


def quarter_turns(path: str | Path, seconds: float, detector: str) -> int:
    """Return by how many quarters to the left a clip must be turned for people to stand upright.

    Args:
        path: a clip.
        seconds: its length.
        detector: the name of what looks for people.
    """
    seconds = min(seconds, LOOK_SECONDS)
    fps = LOOKS / seconds
    key = f"{media.content_hash(path)}-upright-{fps!r}"
    fps = min(fps, media.MAX_FPS)
    video = media.read_video(path, fps, LOOK_SIDE_PX, seconds)
    try:
        loaded = detectors.load(detector)
        work = cache.video(loaded, video, key)
        detection = finish(work)
    except InputError:  # what is wrong with the clip is said when all of it is read
        return 0
    turns: list[int | None] = []
    for person in detection.people:
        turns += _turns(person)
    known = [turn for turn in turns if turn is not None]
    if not known:
        return 0
    counts = np.bincount(known, minlength=4)
    most = int(np.argmax(counts))
    share = counts[most] / len(turns)
    return most if share >= LEAST_SHARE else 0


def turned(video: Video, turns: int) -> Video:
    """Return a clip turned by quarters to the left."""
    if turns == 0:
        return video
    return Video(_turned_chunks(video.chunks(), turns), video.fps)


def note(turns: int) -> tuple[str, ...]:
    """Return what a user must know about a turned clip."""
    if turns == 0:
        return ()
    name = TURN_NAMES[turns]
    return (f"people lie on their side or head in the driving clip, so that it is turned {name}",)


def _turned_chunks(chunks: Iterator[np.ndarray], turns: int) -> Iterator[np.ndarray]:
    for chunk in chunks:
        upright = np.rot90(chunk, turns, axes=(1, 2))
        yield np.ascontiguousarray(upright)


def _turns(person: Pose) -> Iterator[int | None]:
    """Yield for each frame with a body the quarters by which it lies; None between quarters."""
    points = person.body.xy * person.pixel_scale
    for places, visible in zip(points, person.body.visible, strict=True):
        up = _up(places, visible)
        if up is None:
            continue
        right, down = up
        angle = np.degrees(np.arctan2(right, -down))
        quarters = round(angle / QUARTER_DEG)
        away = angle - quarters * QUARTER_DEG
        yield quarters % 4 if abs(away) <= NEAR_DEG else None


def _up(places: np.ndarray, visible: np.ndarray) -> np.ndarray | None:
    """Return (2,) from the hips to the shoulders, or from these to the nose; None if unseen."""
    shoulders = _middle(places, visible, SHOULDERS)
    hips = _middle(places, visible, HIPS)
    nose = _middle(places, visible, (NOSE,))
    if shoulders is None:
        return None
    if hips is not None:
        return shoulders - hips
    return None if nose is None else nose - shoulders


def _middle(places: np.ndarray, visible: np.ndarray, points: tuple[int, ...]) -> np.ndarray | None:
    """Return (2,) the mean of those of the points that are seen; None if none is."""
    seen = [point for point in points if visible[point]]
    return places[seen].mean(axis=0) if seen else None
