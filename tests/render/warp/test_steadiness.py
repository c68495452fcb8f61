"""Steadiness: what is noise stands still, what is larger moves, lips speak, unseen torsos wait."""

from dataclasses import replace

import pytest
import torch

from pipeline.motion.keypoints import CHIN, CORE_POINTS, HIPS, KNEES, R_WRIST
from pipeline.render import warp
from pipeline.render.warp import steadiness
from pipeline.render.warp.geometry import Skeleton, complete, head_unit, skeleton
from tests.helpers.stick_person import WARP_SIZE as SIZE
from tests.helpers.stick_person import small_person

LIPS = slice(48, 68)


@pytest.fixture
def person() -> Skeleton:
    """A completed reference of one frame."""
    points = warp.Points.of(small_person())
    pose = skeleton(points.body[0], points.hands[0], points.face[0], SIZE[1] / SIZE[0])
    return complete(pose, head_unit(pose))


def shifted(pose: Skeleton, way: torch.Tensor) -> Skeleton:
    """Shift every point by `way` (2,), metric."""
    return replace(pose, body=pose.body + way, hands=pose.hands + way, face=pose.face + way)


def steady(person: Skeleton, target: Skeleton) -> Skeleton:
    return steadiness.steady(person, target, head_unit(person))[0]


def test_a_share_grows_from_nothing_at_the_noise_to_all() -> None:
    distance = torch.linspace(0, 40, 4001)
    kept = distance * steadiness.share_beyond(distance, 1.0)
    assert kept[distance <= 1].max() == 0
    assert kept.diff().min() >= 0
    assert kept.diff().max() < 2.1 * 0.01  # no jump, and no more than twice the tremble
    assert kept[-1] > 0.99 * distance[-1]


def test_a_tremble_of_every_point_leaves_the_reference(person: Skeleton) -> None:
    way = 0.9 * steadiness.HEAD * head_unit(person) * torch.tensor([0.6, 0.8])
    calm = steady(person, shifted(person, way))
    for part in ("body", "hands", "face"):
        assert torch.allclose(getattr(calm, part), getattr(person, part), atol=1e-6), part


def test_a_step_aside_stays_a_step_aside(person: Skeleton) -> None:
    way = head_unit(person) * torch.tensor([1.0, 0.0])
    there = shifted(person, way)
    calm = steady(person, there)
    assert (calm.face - there.face).norm(dim=-1).max() < 0.01 * way[0]
    seen = person.body_seen
    assert (calm.body - there.body)[seen].norm(dim=-1).max() < 0.1 * way[0]


def test_lips_move_by_all_of_their_way_in_a_head_that_keeps_still(person: Skeleton) -> None:
    face = person.face.clone()
    opening = 0.5 * steadiness.FEATURE * head_unit(person)
    face[:, LIPS, 1] += opening
    face[:, CHIN, 1] += opening
    calm = steady(person, replace(person, face=face))
    assert torch.allclose(calm.face, face, atol=1e-6)


def test_brows_that_tremble_keep_still(person: Skeleton) -> None:
    face = person.face.clone()
    face[:, 19, 1] += 0.5 * steadiness.FEATURE * head_unit(person)
    calm = steady(person, replace(person, face=face))
    assert abs(float(calm.face[0, 19, 1] - person.face[0, 19, 1])) < 0.1 * float(
        face[0, 19, 1] - person.face[0, 19, 1]
    )


def test_brows_are_free_in_a_head_that_moves(person: Skeleton) -> None:
    unit = head_unit(person)
    there = shifted(person, unit * torch.tensor([0.3, 0.0]))
    face = there.face.clone()
    face[:, 19, 1] += 0.5 * steadiness.FEATURE * unit
    calm = steady(person, replace(there, face=face))
    assert (calm.face - face)[:, 19, 1].abs().max() < 0.1 * steadiness.FEATURE * unit


def test_an_arm_gestures_as_one(person: Skeleton) -> None:
    unit = head_unit(person)
    body = person.body.clone()
    body[:, R_WRIST, 0] += unit
    elbow = 0.5 * steadiness.ARM * unit
    body[:, R_WRIST - 1, 0] += elbow
    calm = steady(person, replace(person, body=body))
    assert torch.allclose(calm.body[:, 3:5], body[:, 3:5], atol=2e-3 * float(unit))
    body[:, R_WRIST] = person.body[:, R_WRIST]
    calm = steady(person, replace(person, body=body))
    assert torch.allclose(calm.body[:, 3:5], person.body[:, 3:5], atol=1e-6)


def test_hips_without_knees_are_guesses(person: Skeleton) -> None:
    unit = head_unit(person)
    body = person.body.clone()
    body[:, HIPS] += 0.5 * steadiness.LOOSE_HIP * unit
    seen = torch.ones_like(person.body_seen)
    person = replace(person, body_seen=seen)
    whole = replace(person, body=body)
    assert (steady(person, whole).body - body)[:, HIPS].norm(dim=-1).max() < 0.02 * unit
    seen = seen.clone()
    seen[:, KNEES] = False
    cut = replace(whole, body_seen=seen)
    calm = steady(person, cut)
    assert torch.allclose(calm.body[:, HIPS], person.body[:, HIPS], atol=1e-6)


def test_a_torso_that_is_not_seen_does_not_nod_with_the_head(person: Skeleton) -> None:
    unit = head_unit(person)
    seen = person.body_seen.clone()
    seen[:, CORE_POINTS] = False
    person = replace(person, body_seen=seen)
    nod = shifted(person, 0.9 * steadiness.NECK_WAY * unit * torch.tensor([0.0, 1.0]))
    calm = steady(person, nod)
    assert torch.allclose(calm.body[:, CORE_POINTS], person.body[:, CORE_POINTS], atol=1e-5)
    assert (calm.face - person.face).norm(dim=-1).min() > 0.04 * unit
    away = shifted(person, unit * torch.tensor([1.0, 0.0]))
    calm = steady(person, away)
    assert (calm.body - away.body)[:, CORE_POINTS].norm(dim=-1).max() < 0.1 * unit


def test_the_photo_of_a_person_who_only_trembles_is_the_photo() -> None:
    picture = torch.rand(1, 3, *SIZE, generator=torch.Generator().manual_seed(0))
    points = warp.Points.of(small_person())
    plates = warp.plates(picture, points)
    step = torch.tensor([0.5 / SIZE[1], 0.0, 0.0]) * 0.1
    there = warp.Points(*(p + step for p in (points.body, points.hands, points.face)))
    out = warp.warp(plates, there)
    assert (out.image[0] - picture).abs().amax() < 2e-3
    assert out.validity.min() > 0.999
