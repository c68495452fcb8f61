"""Faces under the warp: tiny ones, and ones that turn."""

import math

import torch

from pipeline.motion.average_face import average_face
from pipeline.render.warp import face
from pipeline.render.warp.face_turn import hold_turn, signed_areas
from pipeline.render.warp.geometry import Skeleton, grid, skeleton
from pipeline.render.warp.head_turn import HeadTurn, head_turn, rotation
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
    turn = head_turn(reference, target, head, torch.ones(FRAMES), unit)
    moved = face.residual(turn, reference, target, nodes, unit)
    assert torch.isfinite(moved).all()


def seen_from(tilts: torch.Tensor, head: float = 0.3) -> Skeleton:
    """Return average faces, `head` picture heights tall, after tilts (N,2) in radians."""
    points = torch.from_numpy(average_face()) @ rotation(tilts).transpose(1, 2)
    middle = torch.tensor([ASPECT / 2, 0.5])
    return skeleton_of((points[..., :2] * head + middle) / torch.tensor([ASPECT, 1.0]))


def found_turn(reference: Skeleton, target: Skeleton) -> HeadTurn:
    """Return the turn of heads whose similarity is not known."""
    count = len(target.face)
    head = torch.eye(2, 3).expand(count, 2, 3)
    return head_turn(reference, target, head, torch.ones(count), torch.full((count,), 0.3))


def test_a_turn_and_a_nod_are_found_and_the_head_keeps_its_size() -> None:
    tilts = torch.tensor([(0.0, 0.5), (0.0, -0.3), (-0.4, 0.0), (0.2, 0.3)])
    turn = found_turn(seen_from(torch.zeros(4, 2)), seen_from(tilts))
    assert torch.allclose(turn.tilt, tilts, atol=0.03)
    assert torch.allclose(turn.ratio, torch.ones(4), atol=0.02)


def test_a_head_that_trembles_is_not_tilted() -> None:
    noise = torch.randn(8, 2, generator=torch.Generator().manual_seed(1)) * 0.01
    turn = found_turn(seen_from(torch.zeros(8, 2)), seen_from(noise))
    assert turn.tilt.norm(dim=-1).max() < 0.01


def test_a_turned_skull_folds_nowhere() -> None:
    tilts = torch.tensor([(0.0, 0.9), (0.0, -0.6), (0.7, 0.0), (-0.5, 0.5)])
    turn = found_turn(seen_from(torch.zeros(4, 2)), seen_from(tilts))
    places = turn.grid_places(grid((60, 100), SIZE, ASPECT, tilts))
    across = places[..., :-1, 1:] - places[..., :-1, :-1]
    down = places[..., 1:, :-1] - places[..., :-1, :-1]
    assert (across[:, 0] * down[:, 1] - across[:, 1] * down[:, 0]).min() > 0


def test_a_head_without_a_face_keeps_its_similarity() -> None:
    reference = seen_from(torch.zeros(1, 2))
    target = seen_from(torch.tensor([(0.0, 0.4)]))
    target.face_seen[:] = False
    turn = found_turn(reference, target)
    nodes = grid((12, 20), SIZE, ASPECT, reference.face)
    assert torch.allclose(turn.grid_places(nodes)[0], nodes, atol=1e-5)
    assert math.isclose(float(turn.ratio), 1.0)


HEAD = 0.3  # picture heights
CHEEKS_AND_NOSE = ((2, 48, 31), (14, 35, 54), (36, 27, 31), (45, 35, 27), (48, 8, 54))


def held_face(reference: Skeleton, target: Skeleton) -> torch.Tensor:
    """Return the target's faces (N,68,2) as far as they are followed."""
    turn = found_turn(reference, target)
    _, face = hold_turn(turn, reference, target, torch.full((len(target.face),), HEAD))
    return face


def test_faces_that_look_ahead_are_followed() -> None:
    tilts = torch.tensor([(0.0, 0.15), (0.0, -0.25), (0.15, 0.0), (-0.2, 0.1)])
    target = seen_from(tilts)
    assert torch.allclose(held_face(seen_from(torch.zeros(4, 2)), target), target.face, atol=1e-5)


def test_a_face_that_would_fold_is_held() -> None:
    reference = seen_from(torch.tensor([(0.0, 0.6), (0.0, -0.6), (0.0, 0.0)]))
    target = seen_from(torch.tensor([(0.0, -0.6), (0.3, 0.6), (0.0, 1.3)]))
    triangles = torch.tensor(CHEEKS_AND_NOSE)
    before = signed_areas(reference.face[:, triangles])
    free = signed_areas(target.face[:, triangles]) / before
    held = signed_areas(held_face(reference, target)[:, triangles]) / before
    assert ((free < 0.1) | (free > 3)).any(1).all()
    assert (held > 0.1).all()
    assert (held < 3).all()


def test_lips_of_a_held_face_open_as_far_as_they_speak() -> None:
    reference = seen_from(torch.tensor([(0.0, 0.6)]))
    target = seen_from(torch.tensor([(0.0, -0.6)]))
    for opening in (0.0, 0.05):
        target.face[:, 65:68] = target.face[:, [63, 62, 61]]
        target.face[:, 65:68, 1] += opening
        face = held_face(reference, target)
        assert not torch.allclose(face, target.face, atol=0.01)
        gap = face[:, 65:68] - face[:, [63, 62, 61]]
        assert torch.allclose(gap[..., 1], torch.full((1, 3), opening), atol=1e-6)


def test_a_face_that_turns_on_and_on_is_held_without_a_jump() -> None:
    steps = torch.linspace(0, 1.2, 61)
    target = seen_from(torch.stack([torch.zeros(61), steps], -1))
    face = held_face(seen_from(torch.zeros(61, 2)), target)
    way = (face[1:] - face[:-1]).norm(dim=-1).amax(1)
    assert way.max() < 0.06 * HEAD
