"""Strengths per region: a planted person whose head, torso, arms and hands all move."""

import numpy as np
import pytest

from pipeline.motion.refocus import Regions, refocus
from tests.helpers.motions import as_motion
from tests.helpers.stick_person import planted


@pytest.fixture(scope="module")
def motion():
    return as_motion(planted(120, size=(768, 768), scale=120.0))


def turned(before, after, start, stop) -> np.ndarray:
    """Largest turn in radians of the bone between two of all 128 points, against the same bone
    before."""

    def bone(motion):
        pose = motion.pose
        xy = np.concatenate([pose.body.xy, pose.hands.xy, pose.face.xy], 1) * (
            pose.size[1],
            pose.size[0],
        )
        return (xy[:, stop] - xy[:, start]) @ (1, 1j)

    return np.abs(np.angle(bone(after) * np.conj(bone(before)))).max()


HEAD, TORSO, ARM, HAND = (1, 0), (1, 2), (2, 3), (4, 18 + 21 + 9)


def test_ones_change_no_bit(motion):
    plain, even = (
        refocus(motion, 1.3, 0.2, "both"),
        refocus(motion, 1.3, 0.2, "both", regions=Regions()),
    )
    for part in ("body", "hands", "face"):
        assert np.array_equal(getattr(plain.pose, part).xy, getattr(even.pose, part).xy)
    assert np.array_equal(plain.control_strength, even.control_strength)


def test_zeros_are_the_driving_video(motion):
    still = refocus(motion, 1.0, regions=Regions(0, 0, 0, 0))
    for part in ("body", "hands", "face"):
        assert np.array_equal(getattr(still.pose, part).xy, getattr(motion.pose, part).xy)


@pytest.mark.parametrize("name", ["torso", "head", "arms", "hands"])
def test_one_region_moves_alone(motion, name):
    only = refocus(
        motion, 1.0, regions=Regions(**({"torso": 0, "head": 0, "arms": 0, "hands": 0} | {name: 1}))
    )
    turn = {"head": turned(motion, only, *HEAD), "torso": turned(motion, only, *TORSO)}
    turn |= {"arms": turned(motion, only, *ARM), "hands": turned(motion, only, *HAND)}
    assert turn[name] > np.radians(0.3)
    carried = {"torso": ("arms", "hands", "head", "torso"), "arms": ("arms", "hands")}.get(
        name, (name,)
    )
    assert all(turn[other] < 1e-9 for other in turn if other not in carried), turn


def test_a_region_at_half_is_the_slider_at_half_for_it(motion):
    half = refocus(motion, 1.0, regions=Regions(0, 0.5, 0, 0))
    slider = refocus(motion, 0.5, regions=Regions(0, 1, 0, 0))
    assert np.array_equal(half.pose.face.xy, slider.pose.face.xy)
    full = refocus(motion, 1.0, regions=Regions(0, 1, 0, 0))
    assert turned(motion, half, *HEAD) < turned(motion, full, *HEAD)


@pytest.mark.parametrize("value", [-0.1, 2.1, float("nan"), float("inf")])
def test_bad_factors_are_refused(motion, value):
    with pytest.raises(ValueError, match="arms intensity"):
        refocus(motion, 1.0, regions=Regions(arms=value))


def test_the_product_is_bounded_and_never_cut_silently(motion):
    refocus(motion, 1.0, regions=Regions(arms=2))
    with pytest.raises(ValueError, match="together"):
        refocus(motion, 1.5, regions=Regions(arms=1.5))
