"""Clips that cut: planted cuts between two stick people."""

from dataclasses import replace

import numpy as np

from pipeline.motion import retarget
from pipeline.motion.keypoints import NECK
from pipeline.motion.retarget import shots
from pipeline.values import Keypoints, Pose
from tests.helpers.stick_person import still_person

HALF = 40


def grown(pose: Pose, scale: float, shift: float) -> Pose:
    """The person larger about the picture's middle, and further to the right."""

    def part(points: Keypoints) -> Keypoints:
        return Keypoints(0.5 + scale * (points.xy - 0.5) + [shift, 0], points.score)

    return replace(pose, body=part(pose.body), hands=part(pose.hands), face=part(pose.face))


def cut(first: Pose, second: Pose) -> Pose:
    parts = {}
    for name in ("body", "hands", "face"):
        one, other = getattr(first, name), getattr(second, name)
        xy = np.concatenate([one.xy, other.xy])
        parts[name] = Keypoints(xy, np.concatenate([one.score, other.score]))
    return replace(first, **parts)


def test_one_shot_stays_whole() -> None:
    assert shots.shots(still_person(HALF)) == [slice(0, HALF)]
    _, report = retarget.retarget([still_person(HALF)], still_person(1))
    assert not any("cuts" in note for note in report.warnings)


def test_each_shot_is_fitted_on_its_own_and_the_cut_is_told() -> None:
    near = grown(still_person(HALF), 0.5, 0.2)
    driver = cut(near, still_person(HALF))
    assert shots.shots(driver) == [slice(0, HALF), slice(HALF, 2 * HALF)]
    reference = still_person(1)
    out, report = retarget.retarget([driver], reference)
    assert any("cuts at 1.6 s" in note for note in report.warnings)
    neck = out.body.xy[:, NECK]
    seen = out.body.visible[:, NECK]
    assert np.allclose(neck[seen], reference.body.xy[0, NECK], atol=0.01)
    pause = round(shots.PAUSE_SECONDS * driver.fps)
    assert not seen[HALF - pause : HALF + pause].any()
    assert seen[: HALF - pause].all() and seen[HALF + pause :].all()


def test_a_shot_that_is_too_short_to_be_followed_shows_nobody() -> None:
    flash = grown(still_person(5), 0.4, 0.25)
    driver = cut(flash, still_person(HALF))
    out, report = retarget.retarget([driver], still_person(1))
    assert not out.body.visible[:5].any() and out.body.visible[-5:].any()
    assert not any("cuts" in note for note in report.warnings)
