"""Close portraits: people and bodies that a detector guesses in somebody's head are left out."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from pipeline.analysis.detectors.detection import largest_note
from pipeline.motion.keypoints import CHIN, CORE_POINTS, HEAD_POINTS, NOSE_ROOT
from pipeline.values import BODY, HANDS, Detection, Keypoints, Pose

# Of the way from the nose's root to the chin. Detectors mark necks at 1.4 to 2.0 of it, at 0.9 on a
# man who looks down, and at -0.1 to -1.6 where a picture shows a head alone.
HIGHEST_TRUNK = 0.5
# Of the face's sides, around it: a body without a face whose middle lies there is found in hair
HAIR = 0.8
HEAD_ALONE = "the picture shows a head without a body, so only the head moves"


@dataclass(frozen=True)
class Box:
    """Corners (2,) of what is seen, in fractions of the picture."""

    low: np.ndarray
    high: np.ndarray

    @property
    def sides(self) -> np.ndarray:
        """(2,) width and height."""
        return self.high - self.low

    @property
    def middle(self) -> np.ndarray:
        """(2,) the center."""
        total = self.low + self.high
        return total / 2

    def holds(self, place: np.ndarray) -> bool:
        """Tell whether a place (2,) lies inside."""
        after = place > self.low
        before = place < self.high
        return bool(np.all(after & before))


def leave_out_people_in_faces(detection: Detection) -> Detection:
    """Leave out people who are found inside the head of another one, larger in the picture.

    A small face counts as inside where its middle lies in the other face, a body without a face
    where its middle lies in the other head, hair included.
    """
    people = detection.people
    kept = []
    for index, person in enumerate(people):
        others = [other for other in people if other is not person]
        if not any(_is_in_head(person, other) for other in others):
            kept.append(index)
    if len(kept) == len(people):
        return detection
    masks = detection.masks
    if len(masks) == len(people):
        masks = tuple(masks[index] for index in kept)
    notes = [note for note in detection.notes if note != largest_note(len(people))]
    if len(kept) > 1:
        notes.append(largest_note(len(kept)))
    inside = tuple(people[index] for index in kept)
    return Detection(inside, masks, tuple(notes))


def _is_in_head(person: Pose, other: Pose) -> bool:
    """Tell whether a person lies inside the head of another one."""
    face = _box(other.face)
    own_face = _box(person.face)
    if face is None:
        return False
    if own_face is None:
        body = _box(person.body)
        hair = HAIR * face.sides
        head = Box(face.low - hair, face.high + hair)
        return body is not None and head.holds(body.middle)
    smaller = own_face.sides < face.sides
    return bool(smaller.all()) and face.holds(own_face.middle)


def _box(points: Keypoints) -> Box | None:
    """Find the box of what is seen in a picture; None where nothing is."""
    seen = points.visible[0]
    if not seen.any():
        return None
    places = points.xy[0, seen]
    return Box(
        low=places.min(0),
        high=places.max(0),
    )


def leave_out_guessed_bodies(detection: Detection) -> Detection:
    """Leave out bodies whose trunk would lie in their own face."""
    people = tuple(without_guessed_body(person) for person in detection.people)
    return replace(detection, people=people)


def notes(reference: Pose) -> list[str]:
    """Say that a picture shows a head alone, where it does."""
    seen = np.flatnonzero(reference.body.visible[0])
    below_head = set(seen.tolist()) - set(HEAD_POINTS)
    return [] if below_head else [HEAD_ALONE]


def without_guessed_body(person: Pose) -> Pose:
    """Keep only face, eyes, ears and nose where neck, a shoulder or a hip of a picture's person
    lies above their mouth.

    Heights are taken along the face's own axis, so that a tilted head does not matter.
    """
    if not _trunk_in_face(person):
        return person
    kept = np.isin(np.arange(BODY), HEAD_POINTS)
    score = np.where(kept, person.body.score, 0.0)
    head = Keypoints(person.body.xy, score)
    no_hands = Keypoints.missing(len(person), HANDS)
    return replace(
        person,
        body=head,
        hands=no_hands,
    )


def _trunk_in_face(person: Pose) -> bool:
    """Tell whether a point of the trunk lies above the mouth."""
    face_seen = person.face.all_seen((NOSE_ROOT, CHIN))
    if not face_seen[0]:
        return False
    face = person.face.xy[0] * person.pixel_scale
    root = face[NOSE_ROOT]
    axis = face[CHIN] - root
    trunk = list(CORE_POINTS)
    seen = person.body.visible[0, trunk]
    places = person.body.xy[0, trunk] * person.pixel_scale
    along = (places - root) @ axis
    squared_length = axis @ axis
    high = along < HIGHEST_TRUNK * squared_length
    return bool(np.any(high & seen))
