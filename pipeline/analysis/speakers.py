"""Who speaks in a reference image that shows several people: a number, or a point of the picture.

People are numbered from 1: those whose face is seen come first, the largest of them is number 1 and
speaks unless another one is asked for. A point is in fractions of the picture, or in its pixels
where one of both is above 1.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pipeline.analysis.detectors.detection import NO_FACE, largest_note
from pipeline.analysis.speaker_mask import own_mask
from pipeline.motion.retarget import Person, read_choice
from pipeline.values import Detection, InputError, Pose

Point = tuple[float, float]

FACE_MARGIN = 0.5  # of the face's height: forehead, hair and ears count as the face
BODY_MARGIN = 0.1  # of the box of the body's points, which lie inside the body
ON_MASK = 0.5  # alpha from which a point lies on a person
UNKNOWN_FACE = "no face was seen"


def parse_speaker(text: str) -> Person:
    """Read the speaker whom a user names: a number from 1, or a point "x,y"."""
    choice = read_choice(text)
    if choice is not None:
        return choice
    raise InputError(
        f"speaker {text!r:.40} is not understood; give a number from 1, or a point of the "
        "reference image like 0.3,0.5 in fractions or 320,240 in pixels"
    )


def in_order(detection: Detection) -> Detection:
    """Return the people of a picture in the order of their numbers, those with a face first."""
    faceless = [not person.face.visible.any() for person in detection.people]
    order = np.argsort(faceless, kind="stable")
    return _ordered(detection, order.tolist())


def choose(detection: Detection, speaker: Person | None) -> int:
    """Return the index of the speaker among the people of a picture, who are in order.

    Refuse a number that nobody has, a point outside the picture or on nobody, and someone without a
    face.
    """
    people = detection.people
    if speaker is None:
        return 0
    if isinstance(speaker, tuple):
        index = _at_point(detection, speaker)
    else:
        if not 1 <= speaker <= len(people):
            raise InputError(f"there is no person number {speaker} to speak; {listed(people)}")
        index = speaker - 1
    if not people[index].face.visible.any():
        raise InputError(f"person number {index + 1} shows no face to speak; {listed(people)}")
    return index


def with_speaker(detection: Detection, speaker: Person | None) -> Detection:
    """Return what was detected with the speaker as its first person, and a note on the choice.

    A point was chosen in sight of the others; it needs no note.
    """
    people = detection.people
    index = choose(detection, speaker)
    others = [k for k in range(len(people)) if k != index]
    about_largest = (largest_note(len(people)), NO_FACE)
    notes = [sentence for sentence in detection.notes if sentence not in about_largest]
    if not isinstance(speaker, tuple):
        notes += note(people, index)
    ordered = _ordered(detection, [index, *others])
    masks = ordered.masks
    if len(people) > 1 and len(masks) == len(people):
        masks = (own_mask(ordered, 0), *masks[1:])
    return replace(ordered, masks=masks, notes=tuple(notes))


def face_place(person: Pose) -> Point | None:
    """Return the middle of the face in fractions of the picture; None where none is seen."""
    seen = person.face.visible[0]
    if not seen.any():
        return None
    face = person.face.xy[0, seen]
    x, y = face.mean(axis=0)
    return float(x), float(y)


def listed(people: tuple[Pose, ...]) -> str:
    """List the people of a picture with their numbers and places, as the end of a sentence."""
    places = []
    for number, person in enumerate(people, 1):
        place = face_place(person)
        if place is None:
            where = UNKNOWN_FACE
        else:
            x, y = place
            where = f"at {x:.2f},{y:.2f}"
        places.append(f"number {number} {where}")
    count = len(people)
    verb = "person is" if count == 1 else "people are"
    all_places = ", ".join(places)
    return f"{count} {verb} found: {all_places}"


def note(people: tuple[Pose, ...], index: int) -> tuple[str, ...]:
    """Tell who of several people speaks; nothing about one."""
    if len(people) < 2:
        return ()
    return (
        f"{len(people)} people are found in the reference image; number {index + 1} speaks, the "
        "others stay as they are",
    )


def _ordered(detection: Detection, order: list[int]) -> Detection:
    """Return the people, and their masks where there is one for each, in another order."""
    people = tuple(detection.people[k] for k in order)
    masks = detection.masks
    if len(masks) == len(people):
        masks = tuple(masks[k] for k in order)
    return replace(detection, people=people, masks=masks)


def _at_point(detection: Detection, point: Point) -> int:
    """Return the index of the person at a point: by the face, else by the mask, else by the box."""
    people = detection.people
    height, width = people[0].size
    place = np.array(point)
    where = f"the speaker's point {point[0]:g},{point[1]:g}"
    if max(point) > 1:
        place = place / (width, height)
    if place.max() > 1 or place.min() < 0:
        raise InputError(
            f"{where} lies outside the reference image of {width}x{height} pixels; {listed(people)}"
        )
    hits = [
        [_is_on_face(person, place) for person in people],
        _are_on_masks(detection, place),
        [_is_in_box(person, place) for person in people],
    ]
    for found in hits:
        if any(found):
            return _nearest(people, place, found)
    raise InputError(f"nobody is at {where} of the reference image; {listed(people)}")


def _nearest(people: tuple[Pose, ...], place: np.ndarray, found: list[bool]) -> int:
    """Return the index of the found person whose points are nearest to the place (2,)."""
    distances = []
    for person, is_found in zip(people, found, strict=True):
        xy, seen = _points(person)
        ways = np.linalg.norm(xy[seen] - place, axis=1)
        distances.append(ways.mean() if is_found else np.inf)
    return int(np.argmin(distances))


def _points(person: Pose) -> tuple[np.ndarray, np.ndarray]:
    """Return body and face (n,2) of a person in a picture, and which points are seen (n,)."""
    body = person.body
    face = person.face
    xy = np.concatenate([body.xy[0], face.xy[0]])
    seen = np.concatenate([body.visible[0], face.visible[0]])
    return xy, seen


def _is_on_face(person: Pose, place: np.ndarray) -> bool:
    """Tell whether a place (2,) lies on the face."""
    seen = person.face.visible[0]
    if not seen.any():
        return False
    return _is_inside(person.face.xy[0, seen], place, FACE_MARGIN)


def _is_in_box(person: Pose, place: np.ndarray) -> bool:
    """Tell whether a place (2,) lies in the box of the person's points."""
    xy, seen = _points(person)
    return _is_inside(xy[seen], place, BODY_MARGIN)


def _is_inside(points: np.ndarray, place: np.ndarray, margin: float) -> bool:
    """Tell whether a place (2,) lies in the box of points (n,2), widened by shares of its sides."""
    if len(points) == 0:
        return False
    low = points.min(axis=0)
    high = points.max(axis=0)
    border = margin * (high - low)
    inside = (place >= low - border) & (place <= high + border)
    return bool(inside.all())


def _are_on_masks(detection: Detection, place: np.ndarray) -> list[bool]:
    """Tell on whose masks a place (2,) lies; on nobody's where there is not one for each."""
    people = detection.people
    if len(detection.masks) != len(people):
        return [False] * len(people)
    height, width = detection.masks[0].shape
    x, y = place * (width, height)
    column = min(int(x), width - 1)
    row = min(int(y), height - 1)
    alphas = [mask[row, column] for mask in detection.masks]
    return [bool(alpha > ON_MASK) for alpha in alphas]
