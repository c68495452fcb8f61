"""Which arms of a picture are trusted, how far, and what the user is told."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.motion import arm_trust, keypoints
from pipeline.motion.arm_trust import Trust, combine, judge, sentences
from pipeline.values import Keypoints, Pose
from tests.helpers.stick_person import figure

LEFT_HAND, RIGHT_HAND = keypoints.LEFT_HAND, keypoints.RIGHT_HAND
ROWS, COLUMNS = 128, 96  # of `figure`'s picture
FINE = 4  # cells of a mask to a pixel


def shares(pose: Pose, mask: np.ndarray | None = None) -> tuple[float, float]:
    """Of the right and the left arm."""
    trusts = judge(pose, mask)
    return trusts["right"].share, trusts["left"].share


def without(pose: Pose, joints: list[int], hand: slice = RIGHT_HAND) -> Pose:
    body, hands = pose.body.score.copy(), pose.hands.score.copy()
    body[:, joints] = hands[:, hand] = 0
    return replace(pose, body=Keypoints(pose.body.xy, body), hands=Keypoints(pose.hands.xy, hands))


def placed(pose: Pose, place: dict[int, tuple[float, float]]) -> Pose:
    """Joints put elsewhere; a wrist takes its hand along."""
    xy, hands = pose.body.xy.copy(), pose.hands.xy.copy()
    for joint, where in place.items():
        if joint in keypoints.WRISTS:
            rows = RIGHT_HAND if joint == keypoints.R_WRIST else LEFT_HAND
            hands[:, rows] += where - xy[:, None, joint]
        xy[:, joint] = where
    body = Keypoints(xy, pose.body.score)
    return replace(pose, body=body, hands=Keypoints(hands, pose.hands.score))


def unit() -> float:
    """The head's height in pixels."""
    return float(keypoints.head_height(figure(1))[0])


def disk(center: complex, radius: float) -> np.ndarray:
    """Mask, four times as fine as the picture, of a disk in the picture's pixels x + iy."""
    y, x = (np.mgrid[: FINE * ROWS, : FINE * COLUMNS] + 0.5) / FINE
    return (abs(x + 1j * y - center) < radius).astype(np.float32)


def arms_only(pose: Pose, width: float) -> np.ndarray:
    """Mask of a person's arms as thick lines that end in fists."""
    mask = disk(0, 0)
    for rows in keypoints.ARMS.values():
        joints = keypoints.complex_pixels(pose.body.xy[0, list(rows.joints)], pose.size)
        for start, end in zip(joints, joints[1:], strict=False):
            for place in np.linspace(start, end, 20):
                mask = np.maximum(mask, disk(place, width))
        fist = joints[2] + 0.25 * unit() * (joints[2] - joints[1]) / abs(joints[2] - joints[1])
        mask = np.maximum(mask, disk(fist, 0.2 * unit()))
    return mask


# ---- joints and hands


def test_an_arm_is_trusted_with_its_joints_and_hand() -> None:
    one = figure(1)
    assert shares(one) == (1, 1)
    for joint in (2, 3, 4):
        assert shares(without(one, [joint])) == (0, 1)
    assert shares(without(one, [6], LEFT_HAND)) == (1, 0)
    assert judge(without(one, [4]))["right"].fault is arm_trust.CUT_OFF
    some = one.hands.score.copy()
    some[0, 21:32] = 0  # 10 of 21 points left
    assert shares(replace(one, hands=Keypoints(one.hands.xy, some))) == (1, 1)


def test_an_arm_that_leaves_the_picture_is_trusted_by_its_hand() -> None:
    """A detector carries the elbow on beyond the edge, without a score."""
    one = figure(1)
    shoulder, _, wrist = keypoints.R_ARM
    outside = {shoulder: (0.1, 0.4), 3: (-0.1, 0.55), wrist: (0.1, 0.6)}
    score = one.body.score.copy()
    score[0, 3] = 0
    cut = placed(replace(one, body=Keypoints(one.body.xy, score)), outside)
    mask = arms_only(cut, 0.2 * unit())
    assert shares(cut)[0] == shares(cut, mask)[0] == 1
    assert judge(without(cut, [3]))["right"].fault is arm_trust.CUT_OFF
    inside = placed(cut, {3: (0.1, 0.55)})
    assert judge(inside)["right"].fault is arm_trust.CUT_OFF


def test_doubtful_joints_lower_the_share_smoothly() -> None:
    one = figure(1)
    found = []
    for score in np.linspace(0.3, 0.5, 21):
        scores = one.body.score.copy()
        scores[0, 3] = score
        found.append(shares(replace(one, body=Keypoints(one.body.xy, scores)))[0])
    assert found[0] == 0 and found[-1] == 1
    steps = np.diff(found)
    assert (steps >= 0).all() and steps.max() < 0.1


def test_without_points_a_hand_counts_where_it_would_lie_in_the_picture() -> None:
    bare = without(figure(1), [])
    tall = unit() / ROWS
    # a hand is 0.7 and half its width 0.12 head heights
    for height, expected in ((1 - 0.84 * tall, 1), (1 - 0.80 * tall, 0)):
        hanging = placed(bare, {3: (0.34, height - 0.16), 4: (0.34, height)})
        assert shares(hanging) == pytest.approx((expected, 1), abs=0.01)
    for height, expected in ((1 - 0.14 * tall, 1), (1 - 0.1 * tall, 0)):
        sideways = placed(
            bare, {2: (0.3, 0.8), 3: (0.3, height), 4: (0.5, height)}
        )  # along the edge
        assert shares(sideways) == (expected, 1)


def test_with_a_mask_a_hand_without_points_must_stand_free() -> None:
    bare = placed(without(figure(1), []), {3: (0.2, 0.55), 4: (0.22, 0.36)})  # a raised fist
    free = arms_only(bare, 3)
    assert shares(bare, free) == (1, 1)
    pocket = np.ones((ROWS, COLUMNS), np.float32)
    trust = judge(bare, pocket)["right"]
    assert trust == Trust(0, arm_trust.HIDDEN_HAND)
    found = []
    for edge in range(0, FINE * COLUMNS, 2):  # the body comes nearer to the fist
        near = free.copy()
        near[:, edge:] = 1
        found.append(shares(bare, near)[0])
    assert found[0] == 0 and found[-1] == 1
    assert any(0.1 < share < 0.9 for share in found) and np.diff(found).min() > -0.05
    cut = free.copy()
    cut[: FINE * 46] = 0  # nothing beyond the wrist
    assert shares(bare, cut)[0] == 0


# ---- what was found wrong


def test_short_bones_are_foreshortened_and_long_ones_are_wrong() -> None:
    one = figure(1)
    assert shares(placed(one, {3: (0.35, 0.45), 4: (0.36, 0.47)})) == (1, 1)
    shoulder_heads = 0.28 * COLUMNS / keypoints.HEAD_WIDTHS / ROWS
    torso_heads = 0.41 / 2.2  # more, as the head is small
    heads = max(shoulder_heads, torso_heads)
    long = placed(one, {3: (0.36, 0.4 + 2.7 * heads), 4: (0.36, 0.5)})
    assert judge(long)["right"] == Trust(0, arm_trust.ODD_BONES)
    both = placed(long, {6: (0.64, 0.4 + 2.7 * heads), 7: (0.64, 0.5)})
    assert shares(both) == (1, 1)  # then the head seems small: it looks down


def test_points_beside_the_person_are_not_followed() -> None:
    one = figure(1)
    mask = np.zeros((ROWS, COLUMNS), np.float32)
    mask[:, 43:] = 1
    assert judge(one, mask)["right"] == Trust(0, arm_trust.BESIDE)
    assert judge(one, mask)["left"] == Trust(1)


def test_a_hand_far_from_its_wrist_is_another_thing() -> None:
    one = figure(1)
    hands = one.hands.xy.copy()
    hands[:, RIGHT_HAND, 0] -= unit() / COLUMNS
    loose = replace(one, hands=Keypoints(hands, one.hands.score))
    assert judge(loose)["right"] == Trust(0, arm_trust.LOOSE_HAND)
    assert judge(loose)["left"] == Trust(1)


def test_folded_hands_and_crossed_forearms_rest() -> None:
    one = figure(1)
    folded = placed(one, {3: (0.3, 0.6), 4: (0.5, 0.7), 6: (0.7, 0.6), 7: (0.5, 0.7)})
    assert shares(folded) == (0, 0)
    assert judge(folded)["left"].fault is arm_trust.TOUCHING_HANDS
    hidden = without(folded, [])
    assert judge(hidden)["left"].fault is arm_trust.TOUCHING_HANDS
    crossed = placed(one, {3: (0.3, 0.6), 4: (0.66, 0.5), 6: (0.7, 0.6), 7: (0.34, 0.5)})
    assert judge(crossed)["right"] == Trust(0, arm_trust.CROSSED)
    assert judge(crossed)["left"] == Trust(0, arm_trust.CROSSED)


def test_an_unstable_part_map_lowers_trust_and_never_raises_it() -> None:
    assert combine(Trust(1), 1.0) == Trust(1)
    assert combine(Trust(1), 0.0) == Trust(0, arm_trust.UNSTABLE)
    assert 0 < combine(Trust(1), 0.55).share < 1
    rests = Trust(0, arm_trust.HIDDEN_HAND)
    assert combine(rests, 0.0) == rests
    assert judge(figure(1), stability=(0.0, 1.0))["right"].fault is arm_trust.UNSTABLE


# ---- what is said


@pytest.mark.parametrize(
    "name", [n for n in dir(arm_trust) if isinstance(getattr(arm_trust, n), arm_trust.Fault)]
)
def test_each_fault_is_one_sentence_with_a_remedy(name: str) -> None:
    fault = getattr(arm_trust, name)
    one = sentences({"right": Trust(1), "left": Trust(0, fault)})
    both = sentences({"right": Trust(0, fault), "left": Trust(0, fault)})
    for said, start in (
        (one, "The left arm stays as it is "),
        (both, "Both arms stay as they are "),
    ):
        assert len(said) == 1 and said[0].startswith(start + "because ")
        assert said[0].count(".") == 1 and "; use a" in said[0] and "{" not in said[0]


def test_two_reasons_are_two_sentences() -> None:
    said = sentences(
        {"right": Trust(0.4, arm_trust.UNSTABLE), "left": Trust(0, arm_trust.HIDDEN_HAND)}
    )
    assert said[0].startswith("The right arm moves only 40 % of the way because")
    assert said[1].startswith("The left arm stays as it is because")
    assert sentences({"right": Trust(1), "left": Trust(0.998, arm_trust.UNSTABLE)}) == []
