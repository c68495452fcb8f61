"""Clips that lie on their side without a tag are turned upright; moving people are not."""

import numpy as np
import pytest

from pipeline import media
from pipeline.analysis import upright
from pipeline.analysis.driving import DrivingVideo, open_driving
from pipeline.analysis.progress import finish
from pipeline.motion.keypoints import HIPS, SHOULDERS
from pipeline.values import BODY, Detection, Keypoints, Pose, Video
from tests.helpers.media_files import save_clip

SIZE = (96, 128)


def lying(angles_deg: list[float], hips: bool = True) -> Pose:
    """Return a body whose head points that far to the right of up, one angle a frame."""
    up = np.array([[np.sin(np.radians(a)), -np.cos(np.radians(a))] for a in angles_deg])
    pose = Pose.empty(len(angles_deg), 5.0, SIZE)
    xy = np.zeros((len(angles_deg), BODY, 2))
    score = np.zeros((len(angles_deg), BODY))
    for points, along in ((SHOULDERS, 20.0), (HIPS, 0.0), ((0,), 30.0)):
        if points is HIPS and not hips:
            continue
        xy[:, list(points)] = (up * along)[:, None] / [128, 96] + 0.5
        score[:, list(points)] = 1.0
    return Pose(Keypoints(xy, score), pose.hands, pose.face, 5.0, SIZE)


class Detector:
    """Sees the given person, whatever the clip shows."""

    name = "planted"
    version = "1"

    def __init__(self, *people: Pose) -> None:
        self.people = people
        self.shapes: list[tuple[int, ...]] = []

    def video(self, video: Video):
        for chunk in video.chunks():
            self.shapes.append(chunk.shape[1:3])
            yield len(chunk)
        return Detection(self.people)


def look(tmp_path, monkeypatch, *people: Pose) -> DrivingVideo:
    monkeypatch.setenv("APV_CACHE", str(tmp_path))
    clip = np.zeros((10, *SIZE, 3), np.uint8)
    clip[:, :, :64] = 200
    save_clip(tmp_path / "clip.mp4", clip)
    detector = Detector(*people)
    monkeypatch.setattr(upright.detectors, "load", lambda name: detector)
    return open_driving(tmp_path / "clip.mp4", "planted")


@pytest.mark.parametrize("hips", [True, False])
@pytest.mark.parametrize(("angle", "turns"), [(0, 0), (92, 1), (175, 2), (-175, 2), (-80, 3)])
def test_a_lying_body_tells_the_turn(tmp_path, monkeypatch, angle, turns, hips) -> None:
    clip = look(tmp_path, monkeypatch, lying([angle, angle + 5, angle - 5], hips))
    assert clip.turns == turns and len(clip.notes) == (turns > 0)


def test_bodies_that_move_between_are_left(tmp_path, monkeypatch) -> None:
    assert look(tmp_path, monkeypatch, lying([90, 45, 0, 90, -90])).turns == 0


@pytest.mark.parametrize("people", [(), (Pose.empty(5, 5.0, SIZE),)])
def test_without_a_body_nothing_is_turned(tmp_path, monkeypatch, people) -> None:
    assert look(tmp_path, monkeypatch, *people).turns == 0


def test_a_turned_clip_is_detected_and_shown_upright(tmp_path, monkeypatch) -> None:
    clip = look(tmp_path, monkeypatch, lying([90, 90, 90]))
    picture = next(clip.pictures(25.0, 2))
    assert picture.shape == (128, 96, 3)
    assert picture[100:].mean() > 150 and picture[:28].mean() < 50  # its left side is below
    finish(clip.people(25.0, 4, "planted"))
    assert upright.detectors.load("planted").shapes[-1] == (128, 96)
    assert media.probe(tmp_path / "clip.mp4").width == 128
