"""Squares around faces of known place and size, tracks, and crops in the order BGR."""

import numpy as np
import pytest

from pipeline.evaluation.metrics.sync_crops import (
    BOX_BY_FACE,
    LEAST_TRACK_FRAMES,
    crop,
    cut_tracks,
    face_squares,
    tracks,
)
from pipeline.values import Keypoints


def square_face(frames: int, x=0.5, y=0.5, height: float = 0.2) -> Keypoints:
    """Points whose box is as wide as high, in a square picture."""
    corners = np.array([[-0.5, -0.5], [0.5, 0.5]]) * height
    xy = np.repeat(corners, 34, 0)[None] + np.stack(np.broadcast_arrays(x, y), -1).reshape(-1, 1, 2)
    xy = np.broadcast_to(xy, (frames, 68, 2)).copy()
    return Keypoints(xy, np.ones((frames, 68)))


def without(face: Keypoints, rows: slice) -> Keypoints:
    score = face.score.copy()
    score[rows] = 0
    xy = face.xy.copy()
    xy[rows] = 7.0  # where nothing is seen anything may stand
    return Keypoints(xy, score)


def test_squares_end_at_the_chin():
    squares = face_squares(square_face(60), (400, 400))
    half = BOX_BY_FACE * 80 / 2
    assert np.allclose(squares[6:-6], [200, 240 - half, half])


def test_a_small_face_of_a_full_body_has_a_square():
    """20 pixels high: the published scripts skip faces under 100."""
    squares = face_squares(square_face(60, height=0.05), (400, 400))
    assert np.allclose(squares[30, 2], BOX_BY_FACE * 20 / 2)


def test_jumps_are_smoothed_and_gaps_bridged():
    x = np.full(60, 0.5)
    x[30:33] = 0.9
    face = without(square_face(60, x=x), slice(40, 50))
    squares = face_squares(face, (400, 400))
    assert np.allclose(squares[6:-6, 0], 200)


def test_tracks_end_where_a_face_is_lost():
    assert tracks(square_face(60)) == [slice(0, 60)]
    assert tracks(without(square_face(120), slice(55, 80))) == [slice(0, 120)]
    assert tracks(without(square_face(140), slice(55, 81))) == [slice(0, 55), slice(81, 140)]
    assert tracks(without(square_face(120), slice(40, 80))) == []
    assert tracks(square_face(LEAST_TRACK_FRAMES - 1)) == []
    assert tracks(Keypoints.missing(100, 68)) == []


def test_a_crop_shows_2_8_half_heights_a_little_below_the_middle():
    """A picture whose red is x and whose blue is y tells where its pixels came from."""
    rows, columns = np.mgrid[0:250, 0:250]
    frame = np.stack([columns, np.zeros_like(rows), rows], -1).astype(np.uint8)
    (made,) = crop([frame], np.array([[120.0, 100.0, 40.0]]))
    assert made.shape == (224, 224, 3)
    blue, _, red = np.moveaxis(made.astype(float), -1, 0)  # BGR
    assert abs(red[:, 0].mean() - (120 - 56)) < 1.5
    assert abs(red[:, -1].mean() - (120 + 56)) < 1.5
    assert abs(blue[0].mean() - (100 - 40)) < 1.5
    assert abs(blue[-1].mean() - (100 + 72)) < 1.5


def test_what_lies_outside_the_picture_is_gray():
    (made,) = crop([np.zeros((100, 100, 3), np.uint8)], np.array([[0.0, 40.0, 30.0]]))
    assert (made[:, 0] == 110).all() and (made[:, -1] == 0).all()
    (made,) = crop([np.zeros((100, 100, 3), np.uint8)], np.array([[900.0, 900.0, 30.0]]))
    assert (made == 110).all()


def test_tracks_are_cut_from_frames_that_are_read_once():
    face = without(square_face(140), slice(55, 81))
    frames = (np.full((50, 50, 3), level, np.uint8) for level in range(140))
    found = list(cut_tracks(frames, face, (50, 50)))
    assert [track for track, _ in found] == [slice(0, 55), slice(81, 140)]
    for track, crops in found:
        middles = crops[:, 112, 112, 0]
        assert middles.tolist() == list(range(track.start, track.stop))


@pytest.mark.parametrize(("frames", "wanted"), [(79, slice(0, 79)), (82, slice(0, 80)), (49, None)])
def test_a_video_may_end_before_or_after_its_points(frames, wanted):
    video = (np.zeros((50, 50, 3), np.uint8) for _ in range(frames))
    found = list(cut_tracks(video, square_face(80), (50, 50)))
    assert [track for track, _ in found] == ([wanted] if wanted else [])
    assert all(len(crops) == track.stop - track.start for track, crops in found)


def test_wild_points_ask_for_no_giant_picture():
    squares = face_squares(square_face(60, height=1e6), (400, 300))
    assert squares[:, 2].max() == 400
