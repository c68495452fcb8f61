"""clips: slicing agrees with numpy, pose files come back as they were, bad ones get a sentence."""

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.values import BODY, FACE, HANDS, Audio, Keypoints, Motion, Pose, Video


def a_pose(frames: int, seed: int = 0) -> Pose:
    rng = np.random.default_rng(seed)
    parts = [
        Keypoints(rng.random((frames, k, 2)) * 3 - 1, rng.random((frames, k)))
        for k in (BODY, HANDS, FACE)
    ]
    return Pose(*parts, 25.0, (768, 512))


def a_motion(frames: int) -> Motion:
    rows = np.arange(frames, dtype=float)
    tokens, mesh = (
        np.repeat(rows[:, None, None], 8, axis=2),
        np.zeros((frames, 468, 2)) + rows[:, None, None],
    )
    return Motion(a_pose(frames), a_pose(1), None, mesh, rows, rows + 1, rows + 2, tokens)


@given(
    st.integers(0, 12),
    st.integers(-15, 15),
    st.integers(-15, 15),
    st.sampled_from([None, 1, 2, 3, -1]),
)
def test_slicing_takes_the_same_rows_everywhere(frames, start, stop, step):
    rows, motion = slice(start, stop, step), a_motion(frames)
    cut, kept = motion[rows], np.arange(frames)[rows]
    assert len(cut) == len(cut.pose) == len(kept) and len(cut.reference) == 1
    np.testing.assert_array_equal(cut.intensity, kept)
    np.testing.assert_array_equal(cut.control_strength, kept + 2)
    np.testing.assert_array_equal(cut.audio_tokens[:, 0, 0], kept)
    np.testing.assert_array_equal(cut.mesh[:, 0, 0], kept)
    np.testing.assert_array_equal(cut.pose.hands.xy, motion.pose.hands.xy[kept])
    np.testing.assert_array_equal(cut.pose.face.score, motion.pose.face.score[kept])
    assert (cut.pose.fps, cut.pose.size) == (25.0, (768, 512))


@pytest.mark.parametrize("frames", [0, 1, 30])
def test_a_pose_file_comes_back_exactly(tmp_path, frames):
    path, pose = tmp_path / "pose.npz", a_pose(frames)
    pose.save(path)
    back = Pose.load(path)
    for part in ("body", "hands", "face"):
        np.testing.assert_array_equal(getattr(back, part).xy, getattr(pose, part).xy)
        np.testing.assert_array_equal(getattr(back, part).score, getattr(pose, part).score)
    assert (back.fps, back.size) == (pose.fps, pose.size)


def test_a_pose_file_keeps_the_name_that_it_was_given(tmp_path):
    a_pose(1).save(tmp_path / "pose.dat")
    assert [p.name for p in tmp_path.iterdir()] == ["pose.dat"]


def arrays_of(pose: Pose) -> dict[str, np.ndarray]:
    parts = {"body": pose.body, "hands": pose.hands, "face": pose.face}
    arrays = {
        f"{name}_{field}": getattr(p, field)
        for name, p in parts.items()
        for field in ("xy", "score")
    }
    return {**arrays, "fps": np.float64(pose.fps), "size": np.array(pose.size)}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"body_xy": np.full((3, BODY, 2), np.nan)}, "not finite"),
        ({"face_score": np.full((3, FACE), 1.5)}, "outside 0 to 1"),
        ({"hands_xy": np.zeros((2, HANDS, 2)), "hands_score": np.zeros((2, HANDS))}, "frames"),
        ({"body_xy": np.zeros((3, 17, 2)), "body_score": np.zeros((3, 17))}, "the shape"),
        ({"body_score": np.zeros((3, 5))}, "the shape"),
        ({"fps": np.float64(0)}, "makes no sense"),
        ({"fps": np.float64(np.nan)}, "makes no sense"),
        ({"size": np.array([512, -1])}, "makes no sense"),
        ({"face_xy": np.full((3, FACE, 2), 1e308)}, "face holds 1e.308, which is no fraction"),
        ({"hands_xy": np.full((3, HANDS, 2), -1e9)}, "hands holds 1e.09, which is no fraction"),
        ({"fps": np.ones(2)}, "fps is not one number"),
        ({"fps": np.array("fast")}, "fps holds <U4, not numbers"),
        ({"size": np.array([512])}, "size is not height and width"),
        ({"size": np.array([np.inf, 512])}, "makes no sense"),
        ({"body_score": np.ones((3, BODY), complex)}, "body_score holds complex128, not numbers"),
        ({"face_xy": None}, "it has no array face_xy"),
        ({"body_xy": np.array([["a"]], dtype=object)}, "not a pose file"),
    ],
)
def test_a_bad_pose_file_gets_a_sentence_with_its_name(tmp_path, change, sentence):
    path = tmp_path / "bad.npz"
    arrays = {
        name: value
        for name, value in {**arrays_of(a_pose(3)), **change}.items()
        if value is not None
    }
    np.savez(path, **arrays)
    with pytest.raises(ValueError, match=sentence) as caught:
        Pose.load(path)
    assert "bad.npz" in str(caught.value)


@pytest.mark.parametrize(
    "content", [b"", b"not a zip", b"PK\x03\x04 broken", pickle.dumps({"body_xy": 1})]
)
def test_a_file_of_another_kind_gets_a_sentence(tmp_path, content):
    path = tmp_path / "other.npz"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="other.npz is not a pose file"):
        Pose.load(path)


def test_a_scrambled_pose_file_gets_a_sentence(tmp_path):
    path = tmp_path / "scrambled.npz"
    a_pose(30).save(path)
    content = bytearray(path.read_bytes())
    content[200:3000] = bytes(value ^ 0x5A for value in content[200:3000])
    path.write_bytes(content)
    with pytest.raises(ValueError, match="scrambled.npz is not a pose file"):
        Pose.load(path)


def test_a_pose_that_cannot_be_written_gets_a_sentence(tmp_path):
    with pytest.raises(ValueError, match="pose.npz cannot be written"):
        a_pose(1).save(tmp_path / "nowhere" / "pose.npz")


def test_a_missing_pose_file_gets_a_sentence(tmp_path):
    with pytest.raises(ValueError, match="none.npz does not exist"):
        Pose.load(tmp_path / "none.npz")


def test_an_empty_pose_has_no_visible_point():
    pose = Pose.empty(4, 25.0, (768, 512))
    assert len(pose) == 4 and not any(p.visible.any() for p in (pose.body, pose.hands, pose.face))


@given(st.floats(0.001, 600), st.sampled_from([12.0, 23.976, 25.0, 29.97, 60.0]))
def test_frames_last_as_long_as_the_sound(seconds, fps):
    audio = Audio(np.zeros(max(1, int(seconds * 100)), np.float32), 100)
    frames = audio.frames(fps)
    assert frames >= 1 and (frames == 1 or abs(frames / fps - audio.seconds) <= 0.5 / fps + 1e-9)


def test_a_video_gives_chunks_however_it_is_held():
    whole = np.arange(24, dtype=np.uint8).reshape(2, 2, 2, 3)
    assert [len(c) for c in Video(whole, 25).chunks()] == [2]
    streamed = Video((whole[i : i + 1] for i in range(2)), 25)
    np.testing.assert_array_equal(np.concatenate(list(streamed.chunks())), whole)
