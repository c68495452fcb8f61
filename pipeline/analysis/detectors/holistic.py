"""The offline default: MediaPipe's holistic networks for every person of a picture or clip."""

from __future__ import annotations

import logging
from collections.abc import Generator

import numpy as np

from pipeline.analysis.detectors import onnx, skeleton_check
from pipeline.analysis.detectors.detection import (
    NO_FRAMES,
    NO_PERSON,
    NoPersonError,
    Sighting,
    center_distance,
    check,
    clip_notes,
    notes,
    picture_size,
    pose,
    prediction_error,
    rank,
    shrink,
)
from pipeline.analysis.detectors.missing_hands import add_missing_hands
from pipeline.analysis.detectors.people import FollowedPerson, Follower, Locator
from pipeline.analysis.detectors.person_mask import to_edges
from pipeline.analysis.detectors.regions import Region
from pipeline.values import Detection, InputError, Pose, Video

# Longer pictures are shrunk first; full HD is not, since shrinking costs as much as it saves.
MAX_SIDE_PX = 2048
# A person in a tile that lies further inside a known person is a part of that person.
MAX_INSIDE = 0.5
ANY_INSIDE = 1.0  # no limit: the whole picture shows whole people
LOOK_EVERY = 12  # frames between two counts of the people in a clip
SEARCH_EVERY = 96  # frames between two searches in tiles (0.25 s each) while somebody is in sight
MAX_PEOPLE = 4  # followed at a time: each costs as much as the first
REPORT_EVERY = 8  # frames between two progress reports
SAME_PLACE = 0.2  # distance of the centers of two regions of one person, in sides of the larger
SAME_SIZE = 1.6  # ratio of the sides of two regions of one person
# Two tracks nearer than this, in diagonals, follow one person; people who pass reach 0.1.
DOUBLE_DIAGONALS = 0.05
# In picture sizes: smaller differences of prediction errors do not tell whose person it is.
ERROR_STEP = 0.02
RETURN_DISTANCE = 0.25  # in picture sizes: a person who is nearer to where one was lost is that one

log = logging.getLogger(__name__)


class Holistic:
    """Pose, hands, face and person mask by MediaPipe's networks; calls leave no state behind."""

    name = "holistic"
    version = "5"

    def __init__(self) -> None:
        onnx.runtime()

    def image(self, image: np.ndarray) -> Detection:
        """Detect all people of a picture (H,W,3) uint8, largest first.

        Closer looks search the largest one's missing hands. Refuse a picture without any.
        """
        check(image)
        size = picture_size(image)
        small = shrink(image, MAX_SIDE_PX)
        people = _find_everyone(small)
        if not people:
            raise NoPersonError(NO_PERSON)
        people.sort(key=Sighting.area, reverse=True)
        people[0] = add_missing_hands(small, people[0])
        poses = tuple(pose([person], 1.0, size) for person in people)
        coarse_masks = [person.mask for person in people if person.mask is not None]
        masks = tuple(to_edges(image, mask) for mask in coarse_masks)
        return Detection(poses, masks, notes(poses))

    def video(self, video: Video) -> Generator[int, None, Detection]:
        """Yield the frames done.

        Return all people, largest first, with score 0 where one is out of sight.
        """
        crowd = _Crowd(video.fps)
        done = 0
        size = None
        for chunk in video.chunks():
            size = picture_size(chunk)
            if done == 0 and skeleton_check.is_skeleton_clip(chunk):
                return Detection((), (), (skeleton_check.CLIP_SENTENCE,))
            for frame in chunk:
                crowd.follow(shrink(frame, MAX_SIDE_PX))
                done += 1
                if done % REPORT_EVERY == 0:
                    yield done
        if size is None:
            raise InputError(NO_FRAMES)
        poses = crowd.poses(size)
        return Detection(poses, (), clip_notes(poses))


def _find_everyone(image: np.ndarray) -> list[FollowedPerson]:
    """Find each person of a picture once, with mask."""
    locator = Locator()
    follower = Follower(want_mask=True)
    searches = (
        (locator.people, ANY_INSIDE),
        (locator.around_faces, ANY_INSIDE),
        (locator.in_tiles, MAX_INSIDE),
    )
    people: list[FollowedPerson] = []
    for search, most_inside in searches:
        for region in search(image):
            person = _look_twice(follower, image, region, people)
            if person is not None and not _is_known(person, people, most_inside):
                people.append(person)
    return people


def _look_twice(
    follower: Follower, image: np.ndarray, region: Region, people: list[FollowedPerson]
) -> FollowedPerson | None:
    """Look for a person in a region that no known person covers; None where there is none.

    A second look, into the region that the first one gives, is sharper.
    """
    if any(_is_same_place(region, person.next_region) for person in people):
        return None
    first = follower.see(image, region)
    if first is None:
        return None
    second = follower.see(image, first.next_region)
    return first if second is None else second


def _is_known(person: FollowedPerson, people: list[FollowedPerson], most_inside: float) -> bool:
    """Tell whether a person is one of `people`, or lies inside one by more than `most_inside`."""
    return any(
        person.is_same_person(other) or person.share_inside(other) > most_inside for other in people
    )


def _is_same_place(one: Region, other: Region) -> bool:
    """Tell whether two regions cover the same person."""
    distance = np.hypot(one.x - other.x, one.y - other.y)
    larger = max(one.side, other.side)
    smaller = min(one.side, other.side)
    return bool(distance < SAME_PLACE * larger and larger < SAME_SIZE * smaller)


class _Track:
    """One person through a clip: who looks at the person, and what was seen by frame number."""

    def __init__(self, fps: float) -> None:
        self.follower = Follower(fps)
        self.seen: dict[int, FollowedPerson] = {}
        self.region: Region | None = None  # where to look in the next frame; None = out of sight

    def last(self) -> FollowedPerson:
        """Return the newest sighting."""
        return self.seen[max(self.seen)]


class _Crowd:
    """All people of a clip, frame by frame."""

    def __init__(self, fps: float) -> None:
        self.fps = fps
        self.tracks: list[_Track] = []
        self.frames = 0
        self._locator = Locator()
        self._explorer = Follower()  # looks into regions where nobody is followed yet

    def follow(self, image: np.ndarray) -> None:
        """Look at the next frame: where people were before, and from time to time for others."""
        for track in self.tracks:
            if track.region is not None:
                self._look(track, image, track.region)
        self._end_doubles()
        if not self._in_sight() or self.frames % LOOK_EVERY == 0:
            for region in self._locator.people(image):
                self._explore(region, image, ANY_INSIDE)
        interval = SEARCH_EVERY if self._in_sight() else LOOK_EVERY
        if self.frames % interval == 0:
            for region in self._locator.anywhere(image):
                self._explore(region, image, MAX_INSIDE)
        self.frames += 1

    def poses(self, size: tuple[int, int]) -> tuple[Pose, ...]:
        """Return one pose per person who is seen long enough, largest first; see `rank`."""
        return rank([track.seen for track in self.tracks], self.frames, self.fps, size)

    def _look(self, track: _Track, image: np.ndarray, region: Region) -> None:
        sighting = track.follower.see(image, region)
        if sighting is None:
            track.region = None
            return
        track.region = sighting.next_region
        track.seen[self.frames] = sighting

    def _end_doubles(self) -> None:
        """Where two tracks follow one person, end the one with the larger prediction error.

        Where the errors are alike, end the shorter track.
        """
        ranked = sorted(self._in_sight(), key=self._claim)
        for i, track in enumerate(ranked):
            if any(self._is_double(track, better) for better in ranked[:i]):
                track.region = None
                del track.seen[self.frames]

    def _claim(self, track: _Track) -> tuple[int, int]:
        """Return the sort key of a track's claim to its person; the smallest claims most."""
        error = prediction_error(track.seen, self.frames, track.last())
        return round(error / ERROR_STEP), -len(track.seen)

    def _is_double(self, track: _Track, better: _Track) -> bool:
        if better.region is None:
            return False
        return track.last().is_same_person(better.last(), DOUBLE_DIAGONALS)

    def _in_sight(self) -> list[_Track]:
        return [track for track in self.tracks if track.region is not None]

    def _explore(self, region: Region, image: np.ndarray, most_inside: float) -> None:
        """Look into a region where nobody is followed.

        Give its person to a lost track or a new one.
        """
        tracks = self._in_sight()
        if len(tracks) >= MAX_PEOPLE:
            return
        known = [track.last() for track in tracks]
        if any(_is_same_place(region, person.next_region) for person in known):
            return
        person = self._explorer.see(image, region)
        if person is None or _is_known(person, known, most_inside):
            return
        track = self._lost_track(person)
        if track is None:
            track = _Track(self.fps)
            self.tracks.append(track)
            log.info("person %d appears in frame %d", len(self.tracks), self.frames)
        self._look(track, image, person.next_region)
        if not track.seen:
            self.tracks.remove(track)

    def _lost_track(self, person: FollowedPerson) -> _Track | None:
        """Return the track that lost a person nearest to this one, or None.

        While nobody is in sight any distance is near enough.
        """
        lost = [track for track in self.tracks if track.region is None]
        if not lost:
            return None
        distances = [center_distance(track.last(), person) for track in lost]
        nearest = min(distances)
        if self._in_sight() and nearest > RETURN_DISTANCE:
            return None
        return lost[distances.index(nearest)]
