"""Arms that the reference shows only in part: where they rest, and what warp and control show."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from pipeline.motion import keypoints, partial_arms, skeleton
from pipeline.render import warp
from pipeline.render.draft import draft, layers
from pipeline.render.warp.geometry import head_unit
from pipeline.render.warp.layers import ARM_ROWS
from pipeline.values import Keypoints, Motion, Pose
from tests.helpers.stick_person import figure
from tests.helpers.tiny import motion, portrait, tiny_pipeline

RIGHT_ARM, RIGHT_HAND, LEFT_HAND = [3, 4], slice(21, 42), slice(0, 21)
PIXELS = np.array([96, 128])  # of `figure`'s picture, width and height


def without(pose: Pose, joints: list[int], hand: slice = RIGHT_HAND) -> Pose:
    body, hands = pose.body.score.copy(), pose.hands.score.copy()
    body[:, joints] = hands[:, hand] = 0
    return replace(pose, body=Keypoints(pose.body.xy, body), hands=Keypoints(pose.hands.xy, hands))


def placed(pose: Pose, place: dict[int, tuple[float, float]]) -> Pose:
    xy = pose.body.xy.copy()
    for joint, where in place.items():
        xy[:, joint] = where
    return replace(pose, body=Keypoints(xy, pose.body.score))


def moved(pose: Pose, turn: complex, shift: complex) -> Pose:
    """All points under z -> turn z + shift in pixels."""
    parts = {}
    for name in ("body", "hands", "face"):
        points = getattr(pose, name)
        z = (points.xy * PIXELS) @ (1, 1j) * turn + shift
        parts[name] = Keypoints(np.stack([z.real, z.imag], -1) / PIXELS, points.score)
    return replace(pose, **parts)


def waving(reference: Pose, frames: int = 5) -> Motion:
    """A driver who raises the right arm over the shoulder, beside a reference."""
    up = np.linspace(0, 1, frames)[:, None]
    pose = figure(1)[np.zeros(frames, int)]
    xy, hands = pose.body.xy.copy(), pose.hands.xy.copy()
    wrist = xy[:, 4] + up * (-0.16, -0.5)
    hands[:, RIGHT_HAND] += (wrist - xy[:, 4])[:, None]
    xy[:, 3] += up * (-0.14, -0.2)
    xy[:, 4] = wrist
    pose = replace(
        pose, body=Keypoints(xy, pose.body.score), hands=Keypoints(hands, pose.hands.score)
    )
    return replace(motion(frames), pose=pose, reference=reference)


# ---- what is measured


def test_the_head_height_is_the_warps() -> None:
    for pose in (figure(1), without(figure(1), []), figure(1, size=(200, 300))):
        bare = replace(pose, face=Keypoints.missing(1, 68))
        for one in (pose, bare, without(bare, [2]), without(bare, [2, 16])):
            aspect = one.size[1] / one.size[0]
            points = warp.Points.of(one)
            metric = warp.geometry.skeleton(points.body[0], points.hands[0], points.face[0], aspect)
            assert keypoints.head_height(one)[0] / one.size[0] == pytest.approx(
                float(head_unit(metric)), rel=1e-5
            )


# ---- where they rest


def test_whole_arms_and_nobody_give_the_very_same_motion() -> None:
    whole = motion(4)
    assert partial_arms.rested(whole) is whole and partial_arms.uncut(whole) is whole.reference
    nobody = replace(whole, reference=Pose.empty(1, 25, (128, 96)))
    assert partial_arms.rested(nobody) is nobody and partial_arms.notice(nobody) is None


@pytest.mark.parametrize("hips", [True, False])
def test_a_rested_arm_goes_where_the_torso_goes(hips: bool) -> None:
    reference = without(figure(1), [4] if hips else [4, 8, 11])
    turn, shift = 1.2 * np.exp(0.3j), 7 - 4j
    driver = moved(figure(1), turn, shift)[np.zeros(3, int)]
    wild = placed(driver, {3: (0.1, 0.1), 4: (0.1, -0.2)})
    out = partial_arms.rested(replace(motion(3), pose=wild, reference=reference)).pose
    wanted = moved(reference, turn, shift)
    assert np.allclose(out.body.xy[:, RIGHT_ARM], wanted.body.xy[:, RIGHT_ARM])
    assert np.allclose(out.hands.xy[:, RIGHT_HAND], wanted.hands.xy[:, RIGHT_HAND])
    other = [k for k in range(18) if k not in RIGHT_ARM]
    assert np.array_equal(out.body.xy[:, other], wild.body.xy[:, other])
    assert np.array_equal(out.hands.xy[:, LEFT_HAND], wild.hands.xy[:, LEFT_HAND])
    assert np.array_equal(out.face.xy, wild.face.xy)
    assert out.body.score[:, 3].all() and not out.body.score[:, 4].any()


def test_bones_keep_their_length_times_the_torsos_on_the_frames_own_shoulder() -> None:
    reference = without(figure(1), [])
    reference = placed(reference, {4: (0.34, 0.97)})
    pose = figure(6)
    body = pose.body.xy.copy()
    body[:, 2] += np.linspace(0, 0.04, 6)[:, None] * (1, -1)  # a shrug: no similarity of the torso
    driven = replace(
        motion(6), pose=replace(pose, body=Keypoints(body, pose.body.score)), reference=reference
    )
    out = partial_arms.rested(driven).pose
    core = [1, 2, 5, 8, 11]

    def pixels(p: Pose) -> np.ndarray:
        return p.body.xy * PIXELS

    def spread(points: np.ndarray) -> np.ndarray:
        return np.sqrt(((points - points.mean(1, keepdims=True)) ** 2).sum((1, 2)))

    ratio = spread(pixels(out)[:, core]) / spread(pixels(reference)[:, core])
    assert np.ptp(ratio) > 0.01
    for a, b in ((2, 3), (3, 4)):
        bones = [
            np.linalg.norm(pixels(p)[:, b] - pixels(p)[:, a], axis=1) for p in (out, reference)
        ]
        assert np.allclose(bones[0], bones[1] * ratio)


def test_scores_are_the_references_and_none_without_a_shoulder() -> None:
    reference = without(figure(1), [4])
    scores = reference.body.score.copy()
    scores[0, 3] = 0.7
    reference = replace(reference, body=Keypoints(reference.body.xy, scores))
    driven = waving(reference)
    scores = driven.pose.body.score.copy()
    scores[2, 2] = 0.1
    out = partial_arms.rested(
        replace(driven, pose=replace(driven.pose, body=Keypoints(driven.pose.body.xy, scores)))
    )
    assert out.pose.body.score[:, 3].tolist() == [0.7, 0.7, 0, 0.7, 0.7]
    hidden = partial_arms.rested(waving(without(figure(1), RIGHT_ARM)))
    assert (
        not hidden.pose.body.score[:, RIGHT_ARM].any()
        and not hidden.pose.hands.score[:, RIGHT_HAND].any()
    )
    assert hidden.pose.body.score[:, 2].all()


def test_an_arm_whose_shoulder_the_reference_lacks_goes_with_the_rest_of_the_torso() -> None:
    reference = without(figure(1), [2])
    driver = moved(figure(1), 1.1, 3 + 2j)
    out = partial_arms.rested(replace(motion(1), pose=driver, reference=reference)).pose
    assert np.allclose(
        out.body.xy[:, RIGHT_ARM], moved(reference, 1.1, 3 + 2j).body.xy[:, RIGHT_ARM]
    )
    apart = without(figure(1), [1, 2, 5, 8, 11])
    out = partial_arms.rested(replace(motion(1), pose=driver, reference=apart)).pose
    assert np.isfinite(out.body.xy).all() and not out.body.score[:, RIGHT_ARM].any()


def test_a_point_is_one_picture_whatever_size_the_driver_says() -> None:
    driven = waving(without(figure(1), [4]))
    odd = replace(driven, pose=replace(driven.pose, size=(64, 640)))
    assert np.array_equal(
        partial_arms.rested(odd).pose.body.xy, partial_arms.rested(driven).pose.body.xy
    )


def test_a_dropped_arm_lies_nowhere_beyond_the_picture() -> None:
    """There its place would count for the warp, and the arm would be cut out."""
    beyond = placed(without(figure(1), [3, 4], RIGHT_HAND), {3: (-0.1, 0.8), 4: (-0.1, 1.2)})
    driven = replace(motion(3), reference=beyond, mask=np.ones((96, 128), np.float32))
    pose = partial_arms.uncut(driven)
    assert (pose.body.xy[0, [3, 4]] == 0).all() and (pose.hands.xy[0, RIGHT_HAND] == 0).all()
    assert np.array_equal(pose.body.xy[0, 5:], beyond.body.xy[0, 5:])


# ---- part of the way


def half_trusted(reference: Pose) -> Motion:
    """A waving motion whose right arm's joints are found with a doubtful score."""
    scores = reference.body.score.copy()
    scores[0, 3] = 0.4
    return waving(replace(reference, body=Keypoints(reference.body.xy, scores)))


def test_a_doubtful_arm_goes_part_of_the_way_with_the_drivers_scores() -> None:
    reference = figure(1)
    driven = half_trusted(reference)
    out = partial_arms.rested(driven).pose
    assert np.array_equal(out.body.score, driven.pose.body.score)
    assert np.array_equal(out.hands.score, driven.pose.hands.score)
    heights = out.body.xy[:, 4, 1]
    rest = reference.body.xy[0, 4, 1]
    goal = driven.pose.body.xy[-1, 4, 1]
    assert rest > heights[-1] > goal and abs(heights[0] - rest) < 0.02
    assert np.array_equal(out.body.xy[:, [5, 6, 7]], driven.pose.body.xy[:, [5, 6, 7]])
    assert partial_arms.uncut(driven) is driven.reference
    assert partial_arms.notice(driven).startswith("The right arm moves only 50 % of the way")


def test_the_way_grows_with_trust_from_rest_to_the_driver() -> None:
    driven = waving(figure(1))
    steps = []
    for stability in (0.4, 0.5, 0.6, 0.7):
        out = partial_arms.rested(driven, (stability, 1.0)).pose
        steps.append(out.body.xy[-1, 4, 1])
    assert (np.diff(steps) < 0).all()
    rests = partial_arms.rested(waving(without(figure(1), [4]))).pose
    assert steps[0] == pytest.approx(figure(1).body.xy[0, 4, 1], abs=0.01)
    assert rests.body.xy[-1, 4, 1] == pytest.approx(steps[0], abs=1e-9)
    assert steps[-1] == driven.pose.body.xy[-1, 4, 1]


# ---- what is shown


def outline() -> np.ndarray:
    """(128,96) mask of a person with upper arms, as `sleeved` paints it."""
    mask = np.zeros((128, 96), np.float32)
    mask[10:128, 24:72] = 1
    return mask


def sleeved() -> np.ndarray:
    """The portrait with a red right upper arm."""
    picture = portrait()
    picture[48:84, 26:34] = (230, 20, 20)
    return picture


def red(frames: np.ndarray) -> np.ndarray:
    """(T,H,W) bool."""
    color = frames.astype(int)
    return (color[..., 0] - color[..., 1:].max(-1)) > 100


@pytest.mark.parametrize("mask", [outline(), None], ids=["mask", "no mask"])
def test_the_draft_leaves_a_cut_off_arm_where_it_is(mask: np.ndarray | None) -> None:
    driven = replace(waving(without(figure(1), [4])), mask=mask)
    frames = np.concatenate(list(draft(sleeved(), driven, (128, 96))))
    assert (np.abs(frames.astype(int) - frames[:1]).max(-1) > 12).mean() < 0.002
    assert red(frames).sum((1, 2)).min() > 0.9 * red(frames)[0].sum()
    whole = replace(waving(figure(1)), mask=mask)
    frames = np.concatenate(list(draft(sleeved(), whole, (128, 96))))
    kept = red(frames[-1:]) & red(frames[:1])
    assert kept.sum() < 0.6 * red(frames[:1]).sum()  # a whole arm still gestures


@pytest.mark.parametrize("mask", [outline(), None], ids=["mask", "no mask"])
def test_a_resting_arm_is_not_cut_out(mask: np.ndarray | None) -> None:
    driven = replace(waving(without(figure(1), [4])), mask=mask)
    rows = {limb.row for limb in layers(sleeved(), driven, (128, 96)).limbs[0]}
    assert ARM_ROWS[0] not in rows
    assert ARM_ROWS[1] in rows  # the other arm as ever


def test_the_control_pictures_show_no_raised_arm() -> None:
    pipe, driven = tiny_pipeline(), waving(without(figure(1), [4]))

    def control(moves: Motion) -> torch.Tensor:
        clip = pipe.condition.open(portrait(), moves, (128, 96), pipe.vae, pipe.reference_tokens)
        return clip.conditions(0, len(moves)).branches[-1].control

    shown = control(driven)
    drawn = skeleton.draw(partial_arms.rested(driven).pose, tuple(shown.shape[2:]), "preview")
    assert torch.equal(shown, torch.from_numpy(drawn).permute(0, 3, 1, 2).float() / 255)
    width = shown.shape[3]
    shoulder = round(0.38 * shown.shape[2])
    raised = (slice(None), slice(None), slice(0, shoulder), slice(0, round(0.3 * width)))
    assert not shown[raised].any()
    assert control(waving(figure(1)))[raised].any()


@pytest.mark.parametrize(
    ("joints", "sides"), [([4], "The right arm"), ([4, 7], "Both arms"), ([3, 4], "The right arm")]
)
def test_the_user_is_told_which_arm_rests(joints: list[int], sides: str) -> None:
    pipe, driven = tiny_pipeline(), waving(without(figure(1), joints))
    said = pipe.expectation(driven, (128, 96))
    assert said.startswith(f"{sides} stay") and said.count(".") == 1
    assert "does not show all of" in said
    still = replace(driven, pose=without(driven.pose, [3, 6]))
    assert pipe.expectation(still, (128, 96)) is None
    assert pipe.expectation(waving(figure(1)), (128, 96)) is None
