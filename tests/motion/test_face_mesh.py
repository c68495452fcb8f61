"""The face mesh in space against MediaPipe's face geometry and AniPortrait's own numbers."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from pipeline.analysis.talking_face import geometry
from pipeline.motion import face_animation, face_mesh
from pipeline.values import Keypoints

SAMPLES = ("s0", "s1", "s2")


@pytest.fixture(scope="module")
def numbers(data) -> dict[str, np.ndarray]:
    with np.load(data / "aniportrait_geometry.npz") as file:
        return dict(file)


def size_of(numbers, sample: str) -> tuple[int, int]:
    width, height = numbers[f"{sample}_size_wh"]
    return int(height), int(width)


def matrices(poses: np.ndarray) -> np.ndarray:
    """(T, 4, 4) of AniPortrait's head poses (T, 6): xyz Euler angles in degrees, then cm."""
    out = np.tile(np.eye(4), (len(poses), 1, 1))
    out[:, :3, :3] = Rotation.from_euler("xyz", poses[:, :3], degrees=True).as_matrix()
    out[:, :3, 3] = poses[:, 3:]
    return out


def points(xy: np.ndarray) -> Keypoints:
    return Keypoints(xy, np.ones(xy.shape[:2]))


@pytest.mark.parametrize("sample", SAMPLES)
def test_place_and_shape_equal_mediapipe(numbers, sample):
    head = face_mesh.locate(numbers[f"{sample}_lmks"], size_of(numbers, sample), geometry())
    assert np.abs(head.matrix - numbers[f"{sample}_trans_mat"]).max() <= 1e-4
    assert np.abs(head.vertices - numbers[f"{sample}_lmks3d"]).max() <= 1e-4


@pytest.mark.parametrize("sample", SAMPLES)
def test_projection_equals_aniportrait(numbers, sample):
    height, width = size = size_of(numbers, sample)
    vertices = numbers[f"{sample}_lmks3d"]
    turned = numbers[f"{sample}_trans_mat"] @ matrices(numbers[f"{sample}_pose"])
    head = face_mesh.Head(turned, vertices, size, (0, 0, width, height))
    seen = face_mesh.project(head, vertices + numbers[f"{sample}_offsets"])
    assert np.abs(seen * (width, height) - numbers[f"{sample}_projected"]).max() <= 1e-4


@pytest.mark.parametrize("sample", SAMPLES)
@pytest.mark.parametrize("part", ["whole", "square"])
def test_a_head_at_rest_shows_its_landmarks(numbers, sample, part):
    """Also inside a crop; the published matrix's far plane moves a point by up to 0.02 px."""
    size, landmarks = size_of(numbers, sample), numbers[f"{sample}_lmks"]
    crop = face_mesh.square(landmarks, size) if part == "square" else None
    head = face_mesh.locate(landmarks, size, geometry(), crop)
    off = (face_mesh.project(head, head.vertices[None])[0] - landmarks[:468, :2]) * size[::-1]
    assert np.abs(off).max() < 0.03


def test_the_canonical_head_is_googles(shared):
    with np.load(shared / "parity" / "aniportrait_geometry.npz") as file:
        assert np.array_equal(geometry().vertices, file["canonical"])
        assert np.array_equal(geometry().ids, file["procrustes_ids"])
        assert np.array_equal(geometry().weights, file["procrustes_weights"])


def test_the_crop_is_around_a_small_face_and_central_for_a_large_one():
    face = np.full((468, 3), 0.2) + (0.25, 0, 0)
    face[0, :2], face[1, :2] = (0.4, 0.1), (0.5, 0.3)  # 20 by 60 pixels
    assert face_mesh.square(face, (300, 200)) == pytest.approx((45, 15, 90, 90))
    face[1, :2] = (0.8, 0.6)
    assert face_mesh.square(face, (300, 200)) == (0, 50, 200, 200)


def test_the_68_points_are_mirror_symmetric():
    assert len(face_mesh.IBUG) == 68 and all(
        0 <= i < 468 for group in face_mesh.IBUG for i in group
    )
    own = face_mesh.face68(geometry().vertices)
    pairs = [(i, 16 - i) for i in range(17)] + [(17 + i, 26 - i) for i in range(10)]
    for a, b in [*pairs, (36, 45), (39, 42), (48, 54), (60, 64)]:
        assert np.abs(own[a] * (-1, 1, 1) - own[b]).max() < 1e-3
    assert (
        own[36, 0] < 0 < own[45, 0] and own[8, 1] < own[27, 1]
    )  # right eye on the image's left, y up


@pytest.mark.parametrize("sample", SAMPLES)
def test_a_mesh_guessed_from_68_points_moves_like_the_found_one(numbers, sample):
    """For detectors without a mesh: displacements of the 68 points agree to a fifth of the
    largest."""
    size, landmarks = size_of(numbers, sample), numbers[f"{sample}_lmks"]
    guess = face_mesh.from_face68(face_mesh.face68(landmarks)[:, :2], size, geometry())
    offsets = np.concatenate([np.zeros((1, 468, 3)), numbers[f"{sample}_offsets"]])
    moved = []
    for found in (landmarks, guess):
        head = face_mesh.locate(found, size, geometry(), face_mesh.square(landmarks, size))
        seen = face_mesh.project(head, head.vertices + offsets)
        moved.append(face_mesh.face68(seen[1:] - seen[0]) * size[::-1])
    assert np.abs(moved[0] - moved[1]).max() < 0.2 * np.abs(moved[0]).max()


def test_blinks_shut_lids_and_brows_rise_as_with_68_points():
    rest = np.repeat(geometry().vertices[None], 3, 0)
    out = face_mesh.blink(rest, np.array([0, 1, 0.0]), np.array([0, 0, 1.0]))
    own, moved = face_mesh.face68(rest), face_mesh.face68(out)
    assert np.array_equal(out[0], rest[0])
    for upper, lower in face_animation.LIDS.items():
        gap = moved[:, upper, 1] - moved[:, lower, 1]
        assert gap[1] / gap[0] == pytest.approx(
            1 - face_animation.LID_DOWN - face_animation.LID_UP, abs=1e-6
        )
    eyes = own[0, 36:42].mean(0) - own[0, 42:48].mean(0)
    rise = (moved[2] - own[2])[17:27, 1]
    assert rise == pytest.approx(face_animation.BROW * np.linalg.norm(eyes), rel=0.05)
    others = np.delete(np.arange(68), np.r_[17:27, 36:48])
    assert np.array_equal(moved[:, others], own[:, others])


def test_a_carried_mesh_follows_a_splice_exactly_and_a_turned_head_nearly():
    vertices = geometry().vertices
    still = np.repeat((vertices[:, :2] * (0.02, -0.02) + 0.5)[None], 4, 0)
    face = points(face_mesh.face68(still))
    a, b = np.array([0.5, 0.7]), np.array([0.2, -0.1])
    assert (
        np.abs(face_mesh.carry(still, face, points(face.xy * a + b)) - (still * a + b)).max() < 1e-9
    )
    angles = np.array([[0, 0, 0], [8, 0, 0], [0, 6, 0], [5, -4, 7.0]])
    turned = vertices * (1, -1, 1) @ np.swapaxes(face_animation.rotation(angles), 1, 2)
    wanted = turned[..., :2] * 0.02 + 0.5
    carried = face_mesh.carry(still, face, points(face_mesh.face68(wanted)), vertices[:, 2])
    assert np.abs(carried - wanted).max() < 1e-9
    unseen = Keypoints(face.xy, np.zeros((4, 68)))
    assert np.isnan(face_mesh.carry(still, face, unseen)).all()


def test_bad_landmarks_are_named():
    for landmarks, words in ((np.zeros((68, 3)), "468"), (np.full((468, 3), np.nan), "finite")):
        with pytest.raises(ValueError, match=words):
            face_mesh.locate(landmarks, (10, 10), geometry())
