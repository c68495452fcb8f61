"""Pictures so close that they show a head alone: bodies that a detector guesses are left out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pipeline.motion.keypoints import CHIN, CORE_POINTS, HEAD_POINTS, NOSE_ROOT
from pipeline.values import BODY, HANDS, Detection, Keypoints, Pose

# Of the way from the nose's root to the chin. Detectors mark necks at 1.4 to 2.0 of it, at 0.9 on a
# man who looks down, and at -0.1 to -1.6 where a picture shows a head alone.
HIGHEST_TRUNK = 0.5
HEAD_ALONE = "the picture shows a head without a body, so only the head moves"


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
