"""The mask of the person who speaks, without what belongs to the people beside."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from pipeline.motion.keypoints import BODY_LIMBS
from pipeline.values import Detection, Pose

CLAIMED = 0.1  # alpha from which a mask claims a pixel
POINTS_PER_LIMB = 12


def own_mask(detection: Detection, index: int) -> np.ndarray:
    """Return the mask (H,W) of one of the people of a picture, who have one mask each.

    A pixel that several masks claim belongs to the person whose skeleton is nearest: detectors take
    the hand of a neighbor for one's own.
    """
    mask = detection.masks[index]
    own_tree = _tree(detection.people[index])
    if own_tree is None:
        return mask
    mine = mask.copy()
    for other, person in enumerate(detection.people):
        other_tree = _tree(person)
        if other == index or other_tree is None:
            continue
        claimed = mine > CLAIMED
        claimed &= detection.masks[other] > CLAIMED
        rows, columns = np.nonzero(claimed)
        if len(rows) == 0:
            continue
        corners = np.stack([columns, rows], 1)
        centers = corners + 0.5
        own_distance, _ = own_tree.query(centers)
        other_distance, _ = other_tree.query(centers)
        lost = other_distance < own_distance
        mine[rows[lost], columns[lost]] = 0
    return mine


def _tree(person: Pose) -> cKDTree | None:
    """Return the pixels of a person's points and along the limbs; None where nothing is seen."""
    body = person.body.xy[0] * person.pixel_scale
    seen = person.body.visible[0]
    hands = person.hands.xy[0] * person.pixel_scale
    hands_seen = person.hands.visible[0]
    face = person.face.xy[0] * person.pixel_scale
    face_seen = person.face.visible[0]
    places = [
        body[seen],
        hands[hands_seen],
        face[face_seen],
    ]
    shares = np.linspace(0, 1, POINTS_PER_LIMB)
    for start, stop in BODY_LIMBS:
        if seen[start] and seen[stop]:
            way = body[stop] - body[start]
            along = body[start] + shares[:, None] * way
            places.append(along)
    points = np.concatenate(places)
    return cKDTree(points) if len(points) else None
