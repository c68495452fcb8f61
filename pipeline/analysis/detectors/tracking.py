"""People followed through a clip by detectors that look at each frame by itself; pictures and clips for them.

A person is expected in the next frame where the last frames' motion takes them, so two who cross each other
or hide each other for a moment keep their own histories.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence

import numpy as np

from pipeline.analysis.detectors import skeleton_check
from pipeline.analysis.detectors.detection import (
    NO_FRAMES,
    NO_PERSON,
    Sighting,
    check,
    clip_notes,
    notes,
    pose,
    rank,
    strayed,
)
from pipeline.values import Detection, InputError, Video

SAME_PERSON = (
    0.25  # farthest a person may be from where they are expected, in picture widths and heights
)


def picture(image: np.ndarray, people: Callable[[np.ndarray], list[Sighting]]) -> Detection:
    """All people of a picture (H, W, 3) uint8, largest first; raises ValueError where there is none."""
    check(image)
    found = sorted(people(image), key=Sighting.area, reverse=True)
    if not found:
        raise InputError(NO_PERSON)
    poses = tuple(pose([person], 1.0, image.shape[:2]) for person in found)
    return Detection(poses, (), notes(poses))


def clip(
    video: Video, people: Callable[[np.ndarray], list[list[Sighting]]], at_once: int
) -> Generator[int, None, Detection]:
    """Yields frames done; returns all people, largest first, each as long as the clip.

    `people` lists those of each of up to `at_once` frames (t, H, W, 3).
    """
    histories: list[dict[int, Sighting]] = []
    done, size = 0, None
    for chunk in video.chunks():
        size = chunk.shape[1:3]
        if done == 0 and skeleton_check.is_skeleton_clip(chunk):
            return Detection((), (), (skeleton_check.CLIP_SAID,))
        for start in range(0, len(chunk), at_once):
            for seen in people(chunk[start : start + at_once]):
                join(histories, seen, done)
                done += 1
            yield done
    if size is None:
        raise InputError(NO_FRAMES)
    poses = rank(histories, done, video.fps, size)
    return Detection(poses, (), clip_notes(poses))


def join(histories: list[dict[int, Sighting]], people: Sequence[Sighting], frame: int) -> None:
    """Adds each person of a frame to the nearest history that is free, or to a new one."""
    pairs = sorted(
        (apart, h, p)
        for h, history in enumerate(histories)
        for p, person in enumerate(people)
        if (apart := strayed(history, frame, person)) <= SAME_PERSON
    )
    taken: set[int] = set()
    placed: set[int] = set()
    for _, h, p in pairs:
        if h not in taken and p not in placed:
            histories[h][frame] = people[p]
            taken.add(h)
            placed.add(p)
    histories.extend({frame: person} for p, person in enumerate(people) if p not in placed)
