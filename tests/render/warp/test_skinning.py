"""Limbs moved by their bones: what each map keeps, and what happens at joints and hands."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from pipeline.render.warp.skinning import LENT_WIDTH, LimbMotion
from tests.helpers.drawn_arm import ELBOW, SHOULDER, WRIST, motion, pieces, posed, turned

REST = (SHOULDER, ELBOW, WRIST)
UPPER, FORE, HAND = pieces()


def test_at_rest_no_node_moves() -> None:
    moves = motion(posed(REST, REST))
    for piece in (UPPER, FORE, HAND):
        assert moves.moved(piece).shape == (2, len(piece.nodes))
        assert moves.moved(piece).max() < 1e-6


def test_a_longer_bone_stretches_along_and_keeps_its_width() -> None:
    far = (SHOULDER[0], SHOULDER[1] + 2 * (ELBOW[1] - SHOULDER[1]))
    places = motion(posed((SHOULDER, far, (far[0], far[1] + 0.2)))).place(UPPER)[0]
    rigid = (UPPER.before == 1) & (UPPER.after == 0)
    nodes = UPPER.nodes[rigid]
    inside = nodes[:, 1] > SHOULDER[1]
    along = SHOULDER[1] + 2 * (nodes[:, 1] - SHOULDER[1])
    assert torch.allclose(places[rigid][inside, 1], along[inside], atol=1e-5)
    assert torch.allclose(places[rigid][~inside], nodes[~inside], atol=1e-5)  # past its end
    assert torch.allclose(places[rigid][:, 0], nodes[:, 0], atol=1e-5)


@pytest.mark.parametrize(
    ("longer", "there"), [(1.0, 0.0), (1.25, 0.5), (1.3, 1.0), (1.4, 1.0), (2.0, 1.0)]
)
def test_a_layer_is_opaque_before_it_has_its_width(longer: float, there: float) -> None:
    wrist = tuple(e + longer * (w - e) for e, w in zip(ELBOW, WRIST, strict=True))
    moves = motion(posed((SHOULDER, ELBOW, wrist)))
    assert moves.opacity(replace(FORE, fade=(1.2, 1.4)))[0] == pytest.approx(there, abs=1e-3)
    assert moves.opacity(FORE)[0] == 1


@pytest.mark.parametrize(("longer", "width"), [(1.21, 0.3), (1.3, 0.5), (1.4, 1.0), (2.0, 1.0)])
def test_what_is_lent_grows_in_width_and_is_opaque_at_once(longer: float, width: float) -> None:
    wrist = tuple(e + longer * (w - e) for e, w in zip(ELBOW, WRIST, strict=True))
    moves = motion(posed((SHOULDER, ELBOW, wrist)))
    bone = torch.tensor([ELBOW, WRIST])
    lent = replace(FORE, fade=(1.2, 1.4), source=bone)
    assert moves.opacity(lent)[0] == 1
    off = lent.nodes[:, 0] - ELBOW[0]
    across = moves.place(lent)[0, :, 0] - ELBOW[0]
    assert torch.allclose(across, off * LENT_WIDTH * width, atol=2e-3 * off.abs().max().item())


def test_what_is_lent_is_absent_from_a_short_bone() -> None:
    lent = replace(FORE, fade=(1.2, 1.4), source=torch.tensor([ELBOW, WRIST]))
    assert motion(posed(REST)).opacity(lent)[0] == 0


def test_the_photos_own_forearm_slims_as_it_goes() -> None:
    wrist = tuple(e + 1.5 * (w - e) for e, w in zip(ELBOW, WRIST, strict=True))
    moves = motion(posed((SHOULDER, ELBOW, wrist)))
    going = replace(FORE, fade=(1.6, 1.4))
    whole = moves.place(FORE)[0, :, 0] - ELBOW[0]
    slim = moves.place(going)[0, :, 0] - ELBOW[0]
    assert torch.allclose(slim, whole / 2, atol=1e-4)


def test_only_bones_are_stretched() -> None:
    with pytest.raises(TypeError, match="only a bone"):
        motion(posed(REST)).opacity(replace(HAND, fade=(1.2, 1.4)))


def test_the_size_ratio_acts_across() -> None:
    places = motion(posed(REST), ratio=1.5).place(FORE)[0]
    rigid = (FORE.before == 1) & (FORE.after == 0)
    across = (FORE.nodes[rigid][:, 0] - ELBOW[0]) * 1.5
    assert torch.allclose(places[rigid][:, 0] - ELBOW[0], across, atol=1e-5)


@pytest.mark.parametrize("bend", [-2.4, -1.2, 1.2, 2.4])
def test_around_a_bent_joint_nodes_keep_their_distance_to_it(bend: float) -> None:
    moves = motion(posed(turned(0.4, bend)))
    elbow = torch.tensor(turned(0.4, bend)[1])
    mixed = (FORE.before > 0) & (FORE.before < 1)
    before = (FORE.nodes[mixed] - torch.tensor(ELBOW)).norm(dim=-1)
    after = (moves.place(FORE)[0, mixed] - elbow).norm(dim=-1)
    assert torch.allclose(before, after, atol=1e-4)


def test_pieces_agree_where_they_overlap() -> None:
    moves = motion(posed(turned(0.3, 1.4)))
    ends = [dict(zip(_keys(p.nodes), moves.place(p)[0], strict=True)) for p in (UPPER, FORE)]
    both = ends[0].keys() & ends[1].keys()
    assert len(both) > 50
    assert max((ends[0][key] - ends[1][key]).norm() for key in both) < 1e-4


def _keys(nodes: Tensor) -> list[tuple[int, ...]]:
    return [tuple(row) for row in (nodes * 1e5).round().int().tolist()]


def test_a_hand_without_points_turns_with_its_forearm() -> None:
    target = posed(turned(0.0, 0.9))
    places = motion(target).place(HAND)[0]
    free = HAND.before == 1
    wrist = torch.tensor(turned(0.0, 0.9)[2])
    cos, sin = math.cos(0.9), math.sin(0.9)
    turn = torch.tensor([[cos, -sin], [sin, cos]])
    expected = (HAND.nodes[free] - torch.tensor(WRIST)) @ turn.T + wrist
    assert torch.allclose(places[free], expected, atol=1e-5)


def test_a_hand_whose_points_both_show_follows_them() -> None:
    shape = torch.rand(21, 2, generator=torch.Generator().manual_seed(0)) * 0.05
    ends = [torch.tensor(WRIST), torch.tensor(WRIST) + 0.03]
    quarter = torch.tensor([[0.0, 1.0], [-1.0, 0.0]])
    reference = _with_hand(shape + ends[0])
    target = _with_hand((shape * 1.2) @ quarter + ends[1])
    moves = LimbMotion(reference, target, torch.eye(2, 3)[None], torch.ones(1))
    free = HAND.before == 1
    expected = ((HAND.nodes[free] - ends[0]) * 1.2) @ quarter + ends[1]
    assert torch.allclose(moves.place(HAND)[0, free], expected, atol=1e-4)
    huge = _with_hand((shape * 3) @ quarter + ends[1])
    still = torch.eye(2, 3)[None]
    held = LimbMotion(reference, huge, still, torch.ones(1), bends=torch.zeros(1, 2)).place(HAND)[
        0, free
    ]
    spread = (held.std(0).norm(), HAND.nodes[free].std(0).norm())
    assert spread[0] / spread[1] == pytest.approx(1.6, abs=0.01)  # a detector's mistake


def test_a_hand_of_another_shape_stays_on_its_forearm() -> None:
    shape = torch.rand(21, 2, generator=torch.Generator().manual_seed(0)) * 0.05
    shape[0] = 0
    other = shape.clone()
    other[1:] += torch.tensor([0.04, 0.04])  # the fingers begin a palm further on
    wrist = torch.tensor(WRIST)
    still = torch.eye(2, 3)[None]
    moves = LimbMotion(
        _with_hand(shape + wrist),
        _with_hand(other + wrist),
        still,
        torch.ones(1),
        bends=torch.zeros(1, 2),
    )
    free = HAND.before == 1
    nearest = (HAND.nodes[free] - wrist).norm(dim=-1).argmin()
    root = moves.place(HAND)[0, free][nearest]
    reach = (HAND.nodes[free][nearest] - wrist).norm()
    assert (root - wrist).norm() < 1.6 * reach + 0.01


def _with_hand(points: Tensor):
    pose = posed(REST)
    hands = pose.hands.clone()
    hands[0, 1] = points
    seen = torch.tensor([[False, True]])
    return replace(
        pose, hands=hands, hands_seen=seen, hand_points_seen=seen[..., None].expand(-1, -1, 21)
    )


def test_a_borrowed_forearm_lies_along_the_targets() -> None:
    source = torch.tensor([ELBOW, SHOULDER])
    piece = replace(FORE, source=source, nodes=torch.tensor([ELBOW, SHOULDER, (0.35, 0.4)]))
    moves = motion(posed(turned(0.0, 1.57)))
    places = moves.place(piece)[0]
    elbow, wrist = (torch.tensor(turned(0.0, 1.57)[k]) for k in (1, 2))
    assert torch.allclose(places[:2], torch.stack([elbow, wrist]), atol=1e-5)
    axis = (wrist - elbow) / (wrist - elbow).norm()
    off = places[2] - elbow
    across = (off - (off @ axis) * axis).norm()
    assert across == pytest.approx((0.35 - SHOULDER[0]) * LENT_WIDTH, abs=1e-5)


def test_a_shin_without_a_foot_goes_on_as_its_thigh() -> None:
    body = torch.zeros(1, 18, 2)
    body[0, 8:11] = torch.tensor([[0.3, 0.4], [0.3, 0.6], [0.0, 0.0]])
    reference = replace(posed(REST), body=body)
    goal = body.clone()
    goal[0, 9] = torch.tensor([0.4, 0.55])
    target = replace(posed(REST), body=goal)
    leg = replace(FORE, limb=2, bone=1, before=torch.ones(1), after=torch.zeros(1))
    leg = replace(leg, nodes=torch.tensor([[0.3, 0.8]]), partner=torch.zeros(1))
    moves = LimbMotion(reference, target, torch.eye(2, 3)[None], torch.ones(1))
    assert torch.allclose(moves.place(leg)[0, 0], torch.tensor([0.5, 0.7]), atol=1e-5)


def test_a_skirt_goes_half_with_either_leg() -> None:
    body = torch.zeros(1, 18, 2)
    body[0, 8:14] = torch.tensor(
        [[0.3, 0.4], [0.3, 0.6], [0.3, 0.8], [0.4, 0.4], [0.4, 0.6], [0.4, 0.8]]
    )
    goal = body.clone()
    goal[0, 8:11, 0] += 0.1
    reference, target = (replace(posed(REST), body=points) for points in (body, goal))
    moves = LimbMotion(reference, target, torch.eye(2, 3)[None], torch.ones(1))
    half = torch.tensor([0.5])
    node = torch.tensor([[0.35, 0.5]])
    leg = replace(FORE, limb=2, bone=0, before=half * 2, after=half * 0, partner=half, nodes=node)
    assert torch.allclose(moves.place(leg)[0, 0], node[0] + torch.tensor([0.05, 0.0]), atol=1e-5)


def test_a_piece_is_shown_where_the_target_shows_its_joints() -> None:
    raw = posed(REST, REST)
    raw.body_seen[1, 4] = False
    moves = motion(raw)
    unit = torch.full((2,), 0.2)
    shown = [moves.shown(piece, raw, unit).tolist() for piece in (UPPER, FORE, HAND)]
    assert shown == [[True, True], [True, False], [True, False]]
    thigh = replace(UPPER, limb=2)
    assert moves.shown(thigh, raw, unit).tolist() == [True, True]
