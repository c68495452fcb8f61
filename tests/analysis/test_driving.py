"""What drives the body, resolved once: a pose, a pose file, frames, a video file."""

import numpy as np
import pytest
import skimage.data

from pipeline import media
from pipeline.analysis.driving import DrivingFrames, DrivingPose, DrivingVideo, open_driving
from pipeline.analysis.progress import Work, count_frames, finish
from pipeline.values import InputError, Progress, Video
from tests.helpers.stick_person import figure


def test_each_kind_of_input_is_recognized(tmp_path) -> None:
    figure(8).save(tmp_path / "pose.npz")
    frames = np.repeat(skimage.data.astronaut()[None, ::4, ::4], 5, 0)
    media.write_video(tmp_path / "clip.mp4", Video(frames, 25.0))
    assert isinstance(open_driving(figure(3)), DrivingPose)
    assert isinstance(open_driving(tmp_path / "pose.npz"), DrivingPose)
    assert isinstance(open_driving(Video(frames, 25.0)), DrivingFrames)
    video = open_driving(str(tmp_path / "clip.mp4"))
    assert isinstance(video, DrivingVideo) and video.seconds == pytest.approx(0.2)
    with pytest.raises(InputError, match="nowhere"):
        open_driving(tmp_path / "nowhere.mp4")


def test_a_driving_pose_is_brought_to_the_frame_rate_and_asks_no_detector() -> None:
    work = Work(open_driving(figure(10)).people(50.0, 4, "no such detector"))
    assert list(work) == []
    (person,) = work.result.people
    assert person.fps == 50.0 and len(person) == 20


def test_a_video_shows_its_pictures_by_row(tmp_path) -> None:
    levels = np.array([0, 60, 120, 180, 240], np.uint8)
    frames = np.broadcast_to(levels[:, None, None, None], (5, 64, 96, 3)).copy()
    media.write_video(tmp_path / "clip.mp4", Video(frames, 25.0))
    pictures = list(open_driving(tmp_path / "clip.mp4").pictures(25.0, 4, 48))
    assert [picture.shape for picture in pictures] == [(32, 48, 3)] * 4
    assert np.allclose([picture.mean() for picture in pictures], levels[:4], atol=6)


def test_work_keeps_the_result_and_closing_closes_what_runs_inside() -> None:
    closed = []

    def counting():
        try:
            yield 1
            yield 9
        finally:
            closed.append(True)
        return "result"

    work = Work(count_frames(counting(), "stage", 5))
    assert list(work) == [Progress("stage", 1, 5), Progress("stage", 5, 5)]
    assert work.result == "result" and finish(counting()) == "result"
    closed.clear()
    broken = count_frames(counting(), "stage", 5)
    next(broken)
    broken.close()
    assert closed == [True]
