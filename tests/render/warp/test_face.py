"""Faces under the warp: tiny ones, and ones that turn."""

import torch

from pipeline.render.warp import face
from pipeline.render.warp.geometry import Skeleton, grid, skeleton
from tests.helpers.face68 import placed

SIZE = (720, 1280)
ASPECT = SIZE[1] / SIZE[0]
FACE_HEIGHT = 10  # pixels from the brows to the chin
FACE_HEIGHT_EYE_DISTANCES = 2.2
UNIT = 0.02  # picture heights: the least height of a head that the warp reckons with
FRAMES = 24


def skeleton_of(faces: torch.Tensor) -> Skeleton:
    """Return people of whom only the face is seen, places (N,68,2) as fractions."""
    count = len(faces)
    points = torch.cat([faces, torch.ones_like(faces[..., :1])], -1)
    return skeleton(torch.zeros(count, 18, 3), torch.zeros(count, 42, 3), points, ASPECT)


def test_a_tiny_face_in_a_large_picture_moves() -> None:
    eye_distance = FACE_HEIGHT / FACE_HEIGHT_EYE_DISTANCES
    still = torch.from_numpy(placed(SIZE, eye_distance)).float()
    tilted = torch.from_numpy(placed(SIZE, eye_distance, 10.0, 0.2)).float()
    shifts = torch.linspace(-0.4, 0.4, FRAMES)[:, None, None]
    reference = skeleton_of(still + shifts)
    target = skeleton_of(tilted + shifts)
    nodes = grid((24, 40), SIZE, ASPECT, still)
    head = torch.eye(2, 3).expand(FRAMES, 2, 3)
    unit = torch.full((FRAMES,), UNIT)
    moved = face.residual(head, torch.ones(FRAMES), reference, target, nodes, unit)
    assert torch.isfinite(moved).all()
