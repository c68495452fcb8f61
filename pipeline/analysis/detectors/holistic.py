"""The offline default detector: MediaPipe's bundled holistic models for every person of a picture or clip."""

from __future__ import annotations

import logging
from collections.abc import Generator
from typing import Any

import numpy as np

from pipeline.analysis.detectors import skeleton_check
from pipeline.analysis.detectors.detection import (
    NO_FRAMES,
    NO_PERSON,
    Sighting,
    check,
    clip_notes,
    distance,
    notes,
    pose,
    rank,
    shrunk,
    strayed,
)
from pipeline.analysis.detectors.mediapipe_graphs import Follower, Locator, Region, mediapipe
from pipeline.analysis.detectors.person_mask import to_edges
from pipeline.analysis.detectors.stderr import quiet
from pipeline.values import Detection, InputError, Pose, Video

MAX_SIDE = (
    2048  # longer pictures are shrunk first; full HD is not: shrinking costs as much as it saves
)
MAX_INSIDE = (
    0.5  # a find in a tile that lies further inside a known person is a part of that person
)
LOOK_EVERY = 12  # frames between two counts of the people in a clip
SEARCH_EVERY = 96  # frames between two searches in tiles (0.25 s each) while somebody is in sight
MAX_PEOPLE = 4  # followed at a time: each costs as much as the first
REPORT_EVERY = 8  # frames between two progress reports
SAME_PLACE = 0.2  # regions whose centres are this near, in sides, hold the same person
SAME_SIZE = 1.6  # and whose sides differ by no more than this factor
DOUBLE = 0.05  # of the diagonal: nearer tracks are one person; those who pass each other come within a tenth
STRAY = 0.02  # of the picture: differences below it do not tell whose way led here

log = logging.getLogger(__name__)


class Holistic:
    """Pose, hands, face and person mask by MediaPipe 0.10.21; no state is kept between calls."""

    name = "holistic"
    version = "4"

    def __init__(self) -> None:
        mediapipe()

    def image(self, image: np.ndarray) -> Detection:
        """All people of a picture (H, W, 3) uint8, largest first; raises ValueError where there is none."""
        check(image)
        size = image.shape[:2]
        with quiet():
            people = sorted(_everyone(shrunk(image, MAX_SIDE)), key=Sighting.area, reverse=True)
        if not people:
            raise InputError(NO_PERSON)
        poses = tuple(pose([person], 1.0, size) for person in people)
        masks = tuple(to_edges(image, person.mask) for person in people)
        return Detection(poses, masks, notes(poses))

    def video(self, video: Video) -> Generator[int, None, Detection]:
        """Yields frames done; returns all people, largest first, with score 0 where one is out of sight."""
        crowd, done, size = _Crowd(video.fps), 0, None
        try:
            for chunk in video.chunks():
                size = chunk.shape[1:3]
                if done == 0 and skeleton_check.is_skeleton_clip(chunk):
                    return Detection((), (), (skeleton_check.CLIP_SAID,))
                for frame in chunk:
                    with quiet():
                        crowd.follow(shrunk(frame, MAX_SIDE))
                    done += 1
                    if done % REPORT_EVERY == 0:
                        yield done
        finally:
            crowd.close()
        if size is None:
            raise InputError(NO_FRAMES)
        poses = crowd.poses(size)
        return Detection(poses, (), clip_notes(poses))


def _everyone(image: np.ndarray) -> list[Sighting]:
    """Each person of a picture once, with mask; a second look, where the first one points, is sharper."""
    size = image.shape[:2]
    locator, follower = Locator(), Follower(want_mask=True)
    people: list[Sighting] = []
    try:
        searches = (
            (locator.people, 1.0),
            (locator.around_faces, 1.0),
            (locator.in_tiles, MAX_INSIDE),
        )
        for search, most_inside in searches:
            for region in search(image):
                if any(_same_place(region, person.rect, size) for person in people):
                    continue
                first = follower.see(image, region.rect(size))
                found = None if first is None else follower.see(image, first.rect) or first
                if found is not None and not any(
                    found.same_person(other) or found.inside(other) > most_inside
                    for other in people
                ):
                    people.append(found)
    finally:
        locator.close()
        follower.close()
    return people


def _same_place(region: Region, rect: Any, size: tuple[int, int]) -> bool:
    """Whether a region and a NormalizedRect cover the same person."""
    side, height, width = rect.width * size[1], *size
    apart = np.hypot(region.x - rect.x_center * width, region.y - rect.y_center * height)
    larger, smaller = max(side, region.side), min(side, region.side)
    return bool(apart < SAME_PLACE * larger and larger < SAME_SIZE * smaller)


class _Track:
    """One person through a clip: the graph that follows them and what it saw, by frame number."""

    def __init__(self, fps: float) -> None:
        self.follower = Follower(fps)
        self.seen: dict[int, Sighting] = {}
        self.rect: Any | None = None  # where to look in the next frame; None = out of sight

    def last(self) -> Sighting:
        return self.seen[max(self.seen)]


class _Crowd:
    """All people of a clip, frame by frame."""

    def __init__(self, fps: float) -> None:
        self.fps = fps
        self.tracks: list[_Track] = []
        self.graphs: dict[type, Any] = {}  # Locator and Follower, made when first needed
        self.frames = 0

    def follow(self, image: np.ndarray) -> None:
        """Looks at the next frame: where people were before, and every LOOK_EVERY frames for others."""
        for track in self.tracks:
            if track.rect is not None:
                self._look(track, image, track.rect)
        self._part_doubles()
        if not self._alive() or self.frames % LOOK_EVERY == 0:
            for region in self._graph(Locator).people(image):
                self._welcome(region, image, 1.0)
        if self.frames % (LOOK_EVERY if not self._alive() else SEARCH_EVERY) == 0:
            for region in self._graph(Locator).anywhere(image):
                self._welcome(region, image, MAX_INSIDE)
        self.frames += 1

    def poses(self, size: tuple[int, int]) -> tuple[Pose, ...]:
        """One pose per person who is seen long enough, largest (area summed over time) first."""
        return rank([track.seen for track in self.tracks], self.frames, self.fps, size)

    def close(self) -> None:
        for graph in (*self.graphs.values(), *(track.follower for track in self.tracks)):
            graph.close()

    def _graph(self, kind: type) -> Any:
        if kind not in self.graphs:
            self.graphs[kind] = kind()
        return self.graphs[kind]

    def _look(self, track: _Track, image: np.ndarray, rect: Any) -> None:
        sighting = track.follower.see(image, rect)
        track.rect = None if sighting is None else sighting.rect
        if sighting is not None:
            track.seen[self.frames] = sighting

    def _part_doubles(self) -> None:
        """Where two tracks have slid onto one person, the one that strayed, or the younger, loses sight."""

        def claim(track: _Track) -> tuple[int, int]:
            return round(strayed(track.seen, self.frames, track.last()) / STRAY), -len(track.seen)

        alive = sorted(self._alive(), key=claim)
        for i, track in enumerate(alive):
            if any(
                o.rect is not None and track.last().same_person(o.last(), DOUBLE) for o in alive[:i]
            ):
                track.rect = None
                del track.seen[self.frames]

    def _alive(self) -> list[_Track]:
        return [track for track in self.tracks if track.rect is not None]

    def _welcome(self, region: Region, image: np.ndarray, most_inside: float) -> None:
        """Gives a region in which nobody is followed yet to the person last lost there, or to a new one."""
        size = image.shape[:2]
        alive = self._alive()
        if len(alive) >= MAX_PEOPLE or any(
            _same_place(region, track.rect, size) for track in alive
        ):
            return
        found = self._graph(Follower).see(image, region.rect(size))
        known = [track.last() for track in alive]
        if found is None or any(
            found.same_person(k) or found.inside(k) > most_inside for k in known
        ):
            return
        lost = [track for track in self.tracks if track.rect is None]
        track = min(lost, key=lambda t: distance(t.last(), found), default=None)
        if track is None or (alive and distance(track.last(), found) > 0.25):
            track = _Track(self.fps)
            self.tracks.append(track)
            log.info("person %d appears in frame %d", len(self.tracks), self.frames)
        self._look(track, image, found.rect)
        if not track.seen:
            track.follower.close()
            self.tracks.remove(track)
