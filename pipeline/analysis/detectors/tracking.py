"""Follow people through a clip for detectors that look at each frame by itself.

A track predicts where its person is in the next frame from the motion of the last frames. People
who cross each other, or hide each other for a moment, so keep their own tracks.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence

import numpy as np

from pipeline.analysis.detectors import skeleton_check
from pipeline.analysis.detectors.detection import (
    NO_FRAMES,
    NO_PERSON,
    NoPersonError,
    Sighting,
    check,
    clip_notes,
    notes,
    picture_size,
    pose,
    prediction_error,
    rank,
)
from pipeline.values import Detection, InputError, Video

# Farthest that a person may be from the predicted place, in picture widths and heights
SAME_PERSON = 0.25


def picture(image: np.ndarray, people: Callable[[np.ndarray], list[Sighting]]) -> Detection:
    """Detect all people of a picture (H,W,3) uint8, largest first; refuse a picture without any.

    people: lists the people of a picture.
    """
    check(image)
    sightings = sorted(people(image), key=Sighting.area, reverse=True)
    if not sightings:
        raise NoPersonError(NO_PERSON)
    size = picture_size(image)
    poses = tuple(pose([person], 1.0, size) for person in sightings)
    return Detection(poses, (), notes(poses))


def clip(
    video: Video, people: Callable[[np.ndarray], list[list[Sighting]]], at_once: int
) -> Generator[int, None, Detection]:
    """Yield the frames done; return all people, largest first, each as long as the clip.

    people: lists the people of each of up to `at_once` frames (t,H,W,3).
    """
    tracks: list[dict[int, Sighting]] = []
    done = 0
    size = None
    for chunk in video.chunks():
        size = picture_size(chunk)
        if done == 0 and skeleton_check.is_skeleton_clip(chunk):
            return Detection((), (), (skeleton_check.CLIP_SENTENCE,))
        for start in range(0, len(chunk), at_once):
            frames = chunk[start : start + at_once]
            for sightings in people(frames):
                join(tracks, sightings, done)
                done += 1
            yield done
    if size is None:
        raise InputError(NO_FRAMES)
    poses = rank(tracks, done, video.fps, size)
    return Detection(poses, (), clip_notes(poses))


def join(tracks: list[dict[int, Sighting]], people: Sequence[Sighting], frame: int) -> None:
    """Add each person of a frame to the nearest free track, or to a new one."""
    pairs = []
    for track_index, track in enumerate(tracks):
        for person_index, person in enumerate(people):
            distance = prediction_error(track, frame, person)
            if distance <= SAME_PERSON:
                pairs.append((distance, track_index, person_index))
    joined_tracks: set[int] = set()
    joined_people: set[int] = set()
    for _, track_index, person_index in sorted(pairs):
        if track_index in joined_tracks or person_index in joined_people:
            continue
        tracks[track_index][frame] = people[person_index]
        joined_tracks.add(track_index)
        joined_people.add(person_index)
    for person_index, person in enumerate(people):
        if person_index not in joined_people:
            tracks.append({frame: person})
