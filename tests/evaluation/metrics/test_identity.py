"""CSIM: alignment with known answers, ONNX files of both layouts, frames without a face."""

import math

import numpy as np
import pytest

from pipeline.evaluation.metrics.identity import (
    ALIGNED_POINTS,
    IdentityEmbedder,
    Scaling,
    aligned,
    embed_frame,
    five_points,
    similarity,
    similarity_transform,
)
from pipeline.models.measuring_weights import own_weights
from pipeline.values import InputError, Keypoints
from tests.helpers import onnx_files
from tests.helpers.face68 import placed

OUTPUT = {"embedding": np.array([[1.0, 0.0]])}


def test_a_turned_and_scaled_face_is_brought_back():
    turn = 1.7 * np.exp(0.5j)
    moved = turn * (ALIGNED_POINTS @ (1, 1j)) + (30 - 12j)
    points = np.stack([moved.real, moved.imag], 1)
    place = similarity_transform(points, ALIGNED_POINTS)
    back = points @ place[:, :2].T + place[:, 2]
    assert np.allclose(back, ALIGNED_POINTS)
    assert np.allclose(np.linalg.norm(place[:, 0]), 1 / 1.7)


def test_five_points_of_68():
    xy = placed((400, 300), tilt=20.0)[None]
    face = Keypoints(xy, np.ones((1, 68)))
    (points,) = five_points(face, (400, 300))
    right_eye, left_eye, nose, right_corner, left_corner = points
    assert right_eye[0] < left_eye[0] and right_corner[0] < left_corner[0]
    assert right_eye[1] < nose[1] < right_corner[1]
    pixels = xy[0] * (300, 400)
    assert np.allclose(nose, pixels[30]) and np.allclose(left_corner, pixels[54])


def test_an_aligned_face_has_its_points_in_place():
    """A dot on the nose's tip is found where faces are trained, also at another size."""
    face = Keypoints(placed((400, 300), tilt=30.0)[None], np.ones((1, 68)))
    (points,) = five_points(face, (400, 300))
    picture = np.zeros((400, 300, 3), np.uint8)
    x, y = np.rint(points[2]).astype(int)
    picture[y - 1 : y + 2, x - 1 : x + 2] = 255
    place = similarity_transform(points, ALIGNED_POINTS * 2)
    wanted = points[2] @ place[:, :2].T + place[:, 2]
    made = aligned(picture, points, 224)
    rows, columns = np.nonzero(made[..., 0] > 100)
    assert made.shape == (224, 224, 3)
    assert abs(columns.mean() - wanted[0]) < 1.5 and abs(rows.mean() - wanted[1]) < 1.5


def embedder(tmp_path, shape, gain: float = 0.0, scaling=None) -> IdentityEmbedder:
    path = onnx_files.write(tmp_path / "face.onnx", shape, OUTPUT, gain=gain)
    return IdentityEmbedder(path, scaling) if scaling else IdentityEmbedder(path)


@pytest.mark.parametrize(
    ("shape", "side"), [((3, 112, 112), 112), ((160, 160, 3), 160), ((3, "h", "w"), 112)]
)
def test_the_size_and_the_layout_are_read_from_the_file(tmp_path, shape, side):
    network = embedder(tmp_path, shape)
    assert network.side == side
    numbers = network.embed(np.zeros((side, side, 3), np.uint8))
    assert np.allclose(numbers, [1, 0])


def test_colors_are_scaled_and_embeddings_have_the_length_1(tmp_path):
    """The file adds the mean of the picture to (1, 0)."""
    network = embedder(tmp_path, (3, 112, 112), gain=1.0)
    white = np.full((112, 112, 3), 255, np.uint8)
    assert np.allclose(network.embed(white), np.array([2, 1]) / math.sqrt(5), atol=1e-5)
    unscaled = embedder(tmp_path, (3, 112, 112), gain=1.0, scaling=Scaling(0.0, 1.0))
    numbers = unscaled.embed(white)
    assert np.allclose(numbers, np.array([256, 255]) / np.hypot(256, 255), atol=1e-5)


def test_files_of_the_user_and_wrong_ones(tmp_path):
    path = onnx_files.write(tmp_path / "mine.onnx", (3, 112, 112), OUTPUT)
    assert IdentityEmbedder.of(own_weights("identity", path)).side == 112
    with pytest.raises(InputError, match="not a square"):
        _ = embedder(tmp_path, (3, 112, 96)).side
    with pytest.raises(InputError, match="three colors"):
        _ = embedder(tmp_path, (4, 112, 112)).side
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"no network")
    with pytest.raises(InputError, match="no ONNX network"):
        _ = IdentityEmbedder(broken).side


def test_frames_without_a_face_have_no_embedding(tmp_path):
    network = embedder(tmp_path, (3, 112, 112), gain=1.0)
    xy = placed((400, 300))[None]
    frame = np.full((400, 300, 3), 90, np.uint8)
    assert embed_frame(network, frame, Keypoints(xy, np.ones((1, 68)))).shape == (2,)
    assert embed_frame(network, frame, Keypoints.missing(1, 68)) is None
    assert embed_frame(network, frame, Keypoints(np.zeros((1, 68, 2)), np.ones((1, 68)))) is None


def test_csim_of_known_angles():
    reference = np.array([1.0, 0.0])
    angles = np.radians([0, 60, 90])
    frames = [np.array([math.cos(a), math.sin(a)]) for a in angles]
    found = similarity(reference, [*frames, None])
    assert found.mean == pytest.approx(0.5) and found.frames == 3
    assert found.missing == pytest.approx(0.25)
    assert found.low == pytest.approx(0.05)
    nothing = similarity(reference, [None, None])
    assert math.isnan(nothing.mean) and nothing.missing == 1
