"""Clips are dropped for what was planted in them, and for nothing else."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from pipeline.training.data import clip_filters
from pipeline.training.data.clip_filters import Filters
from pipeline.values import Detection, Keypoints, Pose
from tests.helpers.filmed_people import pictures
from tests.helpers.stick_person import figure

FILTERS = Filters()


def shrunk(pose: Pose, factor: float) -> Pose:
    body = Keypoints(pose.body.xy * factor, pose.body.score)
    return replace(pose, body=body)


def test_one_person_is_kept() -> None:
    person = figure(30)
    assert clip_filters.not_one_person(Detection((person,))) is None
    small = shrunk(person, 0.1)  # somebody far behind
    assert clip_filters.not_one_person(Detection((person, small))) is None


@pytest.mark.parametrize(
    "people, reason",
    [((), clip_filters.NOBODY), ((figure(30), figure(30)), clip_filters.SEVERAL)],
)
def test_nobody_and_several_people_are_dropped(people: tuple, reason: str) -> None:
    drop = clip_filters.not_one_person(Detection(people))
    assert drop is not None and drop.reason == reason


def test_a_jump_of_person_and_picture_is_a_cut() -> None:
    person = figure(60)
    person.body.xy[30:] += 0.6
    frames = np.concatenate([pictures(30, 1), pictures(30, 2)])
    drop = clip_filters.cut_inside(frames, person)
    assert drop is not None and drop.reason == clip_filters.CUT and "1.20 s" in drop.detail
    assert clip_filters.cut_inside(pictures(60, 1), person) is None  # turned around
    assert clip_filters.cut_inside(frames, figure(60)) is None


def test_length_size_and_share_of_poses() -> None:
    assert clip_filters.too_short(25, 25, FILTERS) is None
    assert clip_filters.too_short(24, 25, FILTERS).reason == clip_filters.SHORT
    assert clip_filters.too_small((256, 300), FILTERS) is None
    assert clip_filters.too_small((300, 255), FILTERS).reason == clip_filters.SMALL
    person = figure(20)
    person.face.score[:10] = 0
    person.body.score[:11, 2] = 0  # a shoulder
    assert clip_filters.few_poses(person, "face", FILTERS) is None
    assert clip_filters.few_poses(person, "body", FILTERS).reason == clip_filters.FEW_POSES


@pytest.mark.parametrize("kind", ["face", "body"])
def test_blur_is_dropped_whatever_the_light(kind: str) -> None:
    slope = np.linspace(0, 120, 384).astype(np.uint8)[:, None]  # contrast that no blur takes
    frames = pictures(6, size=(512, 384)) // 2 + slope[:, 0][None, None, :, None]
    person = figure(6, size=(512, 384))
    soft = np.stack([cv2.GaussianBlur(frame, (0, 0), 9) for frame in frames])
    filters = Filters(least_sharpness=clip_filters.LEAST_SHARPNESS[kind])
    dark = frames // 4
    assert clip_filters.blurred(frames, person, kind, filters) is None
    assert clip_filters.blurred(dark, person, kind, filters) is None
    assert clip_filters.blurred(soft, person, kind, filters).reason == clip_filters.BLURRED


def test_frames_that_show_nothing_are_not_sharp() -> None:
    person = figure(3)
    gray = np.full((3, 128, 96, 3), 90, np.uint8)
    assert clip_filters.sharpness(gray, person, "face") == 0
    assert clip_filters.sharpness(gray, Pose.empty(3, 25, (128, 96)), "body") == 0
    person.face.xy[:] += 5  # out of the picture
    assert clip_filters.sharpness(pictures(3), person, "face") == 0
