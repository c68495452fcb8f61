import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.evaluation import alignment
from pipeline.evaluation.alignment import planted
from pipeline.evaluation.alignment.planted import ADULT, CHILD, LONG_LEGS, Person
from pipeline.motion import keypoints, retarget
from pipeline.motion.retarget import bones, proportions
from pipeline.values import Keypoints, Pose

LEGS, ARMS = (
    (9, 10, 12, 13),
    ((2, 3, "upper arms"), (3, 4, "forearms"), (5, 6, "upper arms"), (6, 7, "forearms")),
)
BODY_SIDES = [
    0,
    1,
    5,
    6,
    7,
    2,
    3,
    4,
    11,
    12,
    13,
    8,
    9,
    10,
    15,
    14,
    17,
    16,
]  # left and right change places


FACE_SIDES = [*range(16, -1, -1), *range(26, 16, -1), *range(27, 31), *range(35, 30, -1)]
FACE_SIDES += [45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40]
FACE_SIDES += [*range(54, 47, -1), *range(59, 54, -1), *range(64, 59, -1), *range(67, 64, -1)]


def pixels(pose: Pose) -> np.ndarray:
    return pose.body.xy * np.array([pose.size[1], pose.size[0]])


def dance(seed: int = 0, frames: int = 60) -> planted.Dance:
    return planted.dancing(frames, np.random.default_rng(seed))


def tall(seed: int = 0) -> Pose:
    return planted.pose_of(Person(LONG_LEGS, 1000, (380, 1180), (1280, 720)), dance(seed))


def child() -> tuple[Person, Pose]:
    person = Person(CHILD, 420, (256, 700), (768, 512))
    return person, planted.pose_of(person, planted.standing())


def without(pose: Pose, joints=(), hands: bool = True, face: bool = True) -> Pose:
    pose = planted.without_joints(pose, joints, hands)
    return pose if face else replace(pose, face=Keypoints.missing(len(pose), 68))


def flipped(pose: Pose) -> Pose:
    """The pose in a mirror: x turned round and the sides of the body renamed."""

    def turn(points: Keypoints, order) -> Keypoints:
        xy = points.xy[:, order] * (-1, 1) + (1, 0)
        return Keypoints(xy, points.score[:, order])

    hands = [*range(21, 42), *range(21)]
    return replace(
        pose,
        body=turn(pose.body, BODY_SIDES),
        hands=turn(pose.hands, hands),
        face=turn(pose.face, FACE_SIDES),
    )


def largest_change(one: Pose, other: Pose) -> float:
    """Of points that can be seen; the others have no place."""
    parts = [(getattr(one, name), getattr(other, name)) for name in ("body", "hands", "face")]
    return max((np.abs(a.xy - b.xy) * a.visible[..., None]).max() for a, b in parts)


def test_a_tall_dancer_on_a_child_stands_on_its_ground_with_its_bones() -> None:
    person, reference = child()
    out, report = retarget.retarget([tall()], reference)
    feet = pixels(out)[:, [10, 13]]
    assert np.abs(feet[..., 1] - 700).max() < 0.5 and np.ptp(feet[..., 0], axis=0).max() < 1
    found = proportions.lengths(out)
    for name in alignment.BONES:
        assert found[name] == pytest.approx(person.full(name), rel=0.02), name
    assert report.anchor == "ground" and report.outside == 0 and report.footless == 0


def test_a_jump_leaves_the_ground_by_the_ratio_of_the_legs() -> None:
    driving, (_, reference) = tall(), child()
    up = np.zeros((60, 1, 2))
    up[20:30, :, 1] = -0.1  # of 1280 pixels
    jump = [Keypoints(p.xy + up, p.score) for p in (driving.body, driving.hands, driving.face)]
    out, report = retarget.retarget([Pose(*jump, 25, driving.size)], reference)
    feet = pixels(out)[:, [10, 13], 1]
    ratio = (report.bone_ratios["thighs"] + report.bone_ratios["shins"]) / 2
    assert np.allclose(feet[:20], 700, atol=0.5) and np.allclose(
        feet[20:30], 700 - 128 * ratio, atol=0.5
    )


def test_joint_angles_stay_the_drivers_and_hands_stay_on_their_wrists() -> None:
    driving, (_, reference) = tall(), child()
    out, report = retarget.retarget([driving], reference)
    before, after = pixels(driving), pixels(out)
    for a, b, name in ARMS:
        old, new = before[:, b] - before[:, a], after[:, b] - after[:, a]
        assert np.allclose(new, report.bone_ratios[name] * old, atol=1e-9)
    whole = np.array([out.size[1], out.size[0]])
    for wrist, root in ((7, 0), (4, 21)):
        assert np.abs(after[:, wrist] - out.hands.xy[:, root] * whole).max() < 1e-6


def test_a_half_body_is_anchored_on_its_face_and_what_leaves_the_frame_is_said() -> None:
    person = Person(ADULT, 1050, (256, 1200), (768, 512))
    reference = without(planted.pose_of(person, planted.standing()), LEGS)
    calm = planted.Dance(*(v[:1].repeat(30, 0) for v in vars(planted.standing()).values()))
    driving = planted.pose_of(Person(LONG_LEGS, 1000, (380, 1180), (1280, 720)), calm)
    out, report = retarget.retarget([driving], reference)
    assert np.abs(np.median(out.body.xy[:, 1], 0) - reference.body.xy[0, 1]).max() < 0.01
    shown = reference.body.visible[0]
    inside = ((out.body.xy >= 0) & (out.body.xy <= 1)).all(2)[:, shown].all()
    assert inside and report.outside == 0 and report.anchor == "face"
    out, report = retarget.retarget([tall()], reference)
    assert ((out.body.xy < 0) | (out.body.xy > 1)).any(2)[:, shown].any()
    assert report.outside > 0.5 and any("outside the frame" in note for note in report.warnings)


@pytest.mark.parametrize("row", [0, 23, 59])
@pytest.mark.parametrize("missing", [(), LEGS, (8, 9, 10, 11, 12, 13)])
def test_a_clip_on_its_own_frame_does_not_change(row: int, missing: tuple[int, ...]) -> None:
    driving = without(tall(), missing)
    nod = 0.01 * np.sin(np.arange(60) / 7)[:, None]
    driving.face.xy[..., 1] += nod
    driving.body.xy[:, keypoints.HEAD_POINTS, 1] += nod
    out, report = retarget.retarget([driving], driving[row : row + 1])
    assert largest_change(out, driving) < 1e-9 and report.scale == pytest.approx(1)
    assert list(report.bone_ratios.values()) == pytest.approx([1] * len(report.bone_ratios))


def test_the_mirror_image_is_aligned_as_the_mirror_image() -> None:
    _, reference = child()
    plain, _ = retarget.retarget([tall()], reference)
    turned, report = retarget.retarget([flipped(tall())], flipped(reference))
    assert largest_change(flipped(turned), plain) < 1e-9
    assert not any("swapped" in note for note in report.warnings)


def test_arms_that_point_at_the_camera_do_not_shrink_the_dancer() -> None:
    person = Person(ADULT, 560, (256, 720), (768, 512))
    reference = planted.pose_of(person, planted.standing(reach=0.4))
    out, report = retarget.retarget([tall()], reference)
    assert set(report.corrected) == {"upper arms", "forearms"}
    assert proportions.lengths(out)["upper arms"] == pytest.approx(
        person.full("upper arms"), rel=0.1
    )
    assert any("look foreshortened" in note for note in report.warnings)


def test_short_legs_are_legs_and_not_a_matter_of_view() -> None:
    short = ADULT | {"thighs": 0.15, "shins": 0.15}
    person = Person(short, 560, (256, 720), (768, 512))
    out, report = retarget.retarget([tall()], planted.pose_of(person, planted.standing()))
    assert not report.corrected
    assert proportions.lengths(out)["thighs"] == pytest.approx(person.full("thighs"), rel=0.02)


def test_a_low_knee_of_somebody_who_stands_is_not_a_matter_of_view() -> None:
    lengths = {name: 500 * share for name, share in proportions.STATURE.items()}
    whole = lengths["thighs"] + lengths["shins"]
    knee_low = lengths | {"thighs": 0.6 * whole, "shins": 0.4 * whole}
    assert proportions.corrected(knee_low) == (knee_low, ())
    seated = lengths | {"thighs": 0.3 * lengths["thighs"]}
    mended, names = proportions.corrected(seated)
    assert names == ("thighs",) and mended["thighs"] > 0.9 * lengths["thighs"]


def test_correction_does_not_jump() -> None:
    plain = {name: 100 * share for name, share in proportions.STATURE.items()}
    shares = np.linspace(0.3, 1.2, 400)
    found = [
        proportions.corrected(plain | {"forearms": s * plain["forearms"]})[0]["forearms"]
        for s in shares
    ]
    assert np.abs(np.diff(found)).max() < 0.01 * plain["forearms"]
    assert found[0] == pytest.approx(plain["forearms"]) and found[-1] == pytest.approx(
        1.2 * plain["forearms"]
    )


def test_a_talking_head_without_shoulders_lands_on_the_face() -> None:
    everything = range(18)
    _, reference = child()
    reference = without(reference, everything, hands=False)
    for driving in (tall(), without(tall(), everything, hands=False)):
        out, report = retarget.retarget([driving], reference)
        assert np.abs(np.median(out.face.xy, 0) - reference.face.xy[0])[27:48].max() < 0.01
        assert report.anchor == "face" and report.bone_ratios.keys() == {"face", "face width"}
    out, report = retarget.retarget([without(tall(), everything, hands=False)], child()[1])
    assert report.anchor == "face" and report.footless == 1


def test_feet_hidden_for_a_while_do_not_move_the_body() -> None:
    driving, (_, reference) = tall(), child()
    plain, _ = retarget.retarget([driving], reference)
    driving.body.score[20:30, [10, 13]] = 0
    out, report = retarget.retarget([driving], reference)
    assert np.abs(out.body.xy[:, 1] - plain.body.xy[:, 1]).max() < 0.01
    assert report.footless == pytest.approx(10 / 60)


def test_the_driving_framing_keeps_place_and_size_in_the_clip() -> None:
    _, reference = child()
    driving = tall()
    out, report = retarget.retarget([driving], reference, framing="driving")
    gain = min(768 / 1280, 512 / 720)
    assert report.scale == pytest.approx(gain * 1280 / 768)
    assert np.abs(pixels(out)[:, [10, 13], 1] - 1180 * gain).max() < 1
    thigh, arm = (proportions.lengths(out)[name] for name in ("thighs", "upper arms"))
    assert thigh / arm == pytest.approx(CHILD["thighs"] / CHILD["upper arms"], rel=0.02)
    with pytest.raises(ValueError, match="framing"):
        retarget.retarget([driving], reference, "similar", "driving")
    with pytest.raises(ValueError, match="framing"):
        bones.transfer(driving, reference, "wide")


def test_ratios_beyond_belief_are_held_and_said() -> None:
    _, reference = child()
    xy = reference.body.xy.copy()
    xy[0, 4] = xy[0, 3] + 6 * (xy[0, 4] - xy[0, 3])
    _, report = retarget.retarget(
        [tall()], replace(reference, body=Keypoints(xy, reference.body.score))
    )
    assert any("forearms" in note and "factor of two" in note for note in report.warnings)


def test_bones_beat_one_scale_and_the_published_line() -> None:
    found = alignment.measure_all()
    names = {one.case for one in found}
    assert len(names) == 5
    for name in names:
        by = {one.method: one for one in found if one.case == name}
        for other in ("similar", "published"):
            assert by["bones"].bones < by[other].bones, name
            assert (by["bones"].ground or 0) <= (by[other].ground or 0)
        assert by["bones"].bones < 0.03 and (by["bones"].ground or 0) < 0.002


def test_the_table_is_printed(capsys) -> None:
    alignment.main([])
    text = capsys.readouterr().out
    assert text.count("| published |") == 5 and "ground %" in text and text.endswith("pass\n")
    alignment.main(["--json"])
    found = json.loads(capsys.readouterr().out)
    assert found["pass"] is True and len(found["table"]) == 15
    assert all(row.keys() == {"name", "value", "level", "rule", "pass"} for row in found["rows"])
    assert (
        sum(row["pass"] is True for row in found["rows"]) == 5 + 4 + 5 + 4
    )  # own levels, then the published


def test_a_body_off_the_ground_or_worse_than_the_published_line_fails_its_row() -> None:
    found = alignment.measure_all()
    child = next(k for k, one in enumerate(found) if one.method == "bones")
    found[child] = replace(found[child], ground=0.5, bones=0.5)
    report = alignment.make_report(found, alignment.PLANTED_LEVELS)
    bad = [row.name for row in report.rows if row.passed is False]
    assert bad == [
        "child, bones: bones", "child, bones: ground", "child: bones, published less ours",
        "child: ground, published less ours",
    ]  # fmt: skip


def test_a_real_driver_is_taken_from_a_pose_file(tmp_path, capsys) -> None:
    tall().save(tmp_path / "tall.npz")
    alignment.main(["--pose", str(tmp_path / "tall.npz"), "--json"])
    found = json.loads(capsys.readouterr().out)
    assert found["pass"] is True
    assert {row["level"] for row in found["rows"]} == {
        None,
        0.0,
        *vars(alignment.REAL_LEVELS).values(),
    }


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.sets(st.integers(0, 17), max_size=9),
    st.sets(st.integers(0, 17), max_size=9),
    st.booleans(),
)
def test_every_bone_has_one_ratio_over_the_whole_clip(seed, unseen, absent, feet) -> None:
    rng = np.random.default_rng(seed)
    lengths = {name: value * rng.uniform(0.8, 1.25) for name, value in ADULT.items()}
    person = Person(lengths, rng.uniform(200, 900), (256, 700), (768, 512))
    reference = without(planted.pose_of(person, planted.standing()), absent)
    driving = without(
        planted.pose_of(Person(LONG_LEGS, 1000, (380, 1180), (1280, 720)), dance(seed)), unseen
    )
    framing = "reference" if feet else "driving"
    out, report = retarget.retarget([driving], reference, framing=framing)
    before, after = pixels(driving), pixels(out)
    for a, b, name in ARMS:
        if driving.body.visible[0, [a, b]].all():
            old = np.linalg.norm(before[:, b] - before[:, a], axis=1)
            new = np.linalg.norm(after[:, b] - after[:, a], axis=1)
            assert np.ptp(new / old) < 1e-6, name
    assert all(np.isfinite(getattr(out, n).xy).all() for n in ("body", "hands", "face"))
    assert np.array_equal(out.body.score, driving.body.score)
