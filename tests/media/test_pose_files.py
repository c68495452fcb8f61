"""Pose formats: round trips, the layouts of other tools, and one sentence for every broken file."""

import json
from dataclasses import replace

import numpy as np
import pytest

from pipeline import media
from pipeline.media import pose_files
from pipeline.media.pose_files import openpose, skeleton_video
from pipeline.motion import pose_edits
from pipeline.values import Keypoints, Pose
from tests.helpers.stick_person import figure


def written(path, content) -> str:
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return str(path)


def with_hole(frames: int = 6) -> Pose:
    pose = figure(frames, fps=30.0)
    score = pose.body.score.copy()
    score[2, 4] = 0
    return replace(pose, body=Keypoints(pose.body.xy, score))


@pytest.mark.parametrize("name", ["clip", "clip.json", "clip.npz", "clip.mp4"])
def test_what_is_written_is_read_again(tmp_path, name):
    pose = with_hole()
    assert pose_files.write(pose, tmp_path / name) is None
    assert pose_files.is_pose(tmp_path / name)
    found = pose_files.read(tmp_path / name)
    (back,) = found.people
    assert (back.fps, tuple(back.size), len(back), found.notes) == (30.0, (128, 96), 6, ())
    for part in ("body", "hands", "face"):
        mine, theirs = getattr(pose, part), getattr(back, part)
        seen = mine.score > 0
        assert np.array_equal(seen, theirs.score > 0)
        assert np.abs(mine.xy[seen] - theirs.xy[seen]).max() < 1e-5
    if name == "clip":
        frames = sorted(path.name for path in (tmp_path / name).iterdir())
        assert frames[5] == "clip_000000000005_keypoints.json"
        person = json.loads((tmp_path / name / frames[5]).read_text())["people"][0]
        assert [len(person[k]) for k in ("pose_keypoints_2d", "face_keypoints_2d")] == [54, 210]


def test_body_25_and_coco_layouts_give_the_same_person(tmp_path):
    """Every point's x is its own OpenPose number, whatever the place in the file."""
    names = [
        "nose",
        "neck",
        "rsho",
        "relb",
        "rwri",
        "lsho",
        "lelb",
        "lwri",
        "rhip",
        "rkne",
        "rank",
        "lhip",
        "lkne",
    ]
    names += ["lank", "reye", "leye", "rear", "lear"]
    x = {name: 10.0 + k for k, name in enumerate(names)}
    x["neck"] = (x["rsho"] + x["lsho"]) / 2
    body25 = [*names[:8], "midhip", *names[8:], *(f"foot{k}" for k in range(6))]
    coco = [
        "nose",
        "leye",
        "reye",
        "lear",
        "rear",
        "lsho",
        "rsho",
        "lelb",
        "relb",
        "lwri",
        "rwri",
        "lhip",
        "rhip",
        "lkne",
        "rkne",
        "lank",
        "rank",
    ]
    for k, order in enumerate((names, body25, coco)):
        numbers = [v for name in order for v in (x.get(name, 90.0), 50.0, 0.8)]
        file = written(tmp_path / f"{k}.json", [{"people": [{"pose_keypoints_2d": numbers}]}])
        pose = pose_files.read(file).people[0]
        assert np.allclose(pose.body.xy[0, :, 0] * pose.size[1], [x[name] for name in names]), len(
            order
        )
        assert np.allclose(pose.body.score, 0.8) and not pose.hands.score.any()


def test_an_unknown_picture_size_and_rate_are_said_and_do_not_matter(tmp_path):
    frames = [openpose.frame(figure(4), t) for t in range(4)]
    for frame in frames:
        for key in ("canvas_width", "canvas_height", "fps"):
            del frame[key]
    found = pose_files.read(written(tmp_path / "a.json", frames))
    pose = found.people[0]
    assert (
        pose.fps == 25
        and len(found.notes) == 2
        and "size" in found.notes[0]
        and "rate" in found.notes[1]
    )
    wanted = figure(4).body.xy * (96, 128)
    seen = pose.body.score > 0
    assert np.abs((pose.body.xy * (pose.size[1], pose.size[0]) - wanted)[seen]).max() < 1e-3
    assert pose_files.read(tmp_path / "a.json", fps=30).people[0].fps == 30


def test_people_are_followed_though_their_order_changes(tmp_path):
    small, large = (figure(6) for _ in range(2))
    small = replace(small, body=Keypoints(small.body.xy * 0.5 + (0.5, 0), small.body.score))
    frames = []
    for t in range(6):
        people = [openpose.frame(p, t)["people"][0] for p in (small, large)]
        frames.append({**openpose.frame(large, t), "people": people[:: 1 if t % 2 else -1]})
    found = pose_files.read(written(tmp_path / "two.json", frames)).people
    assert len(found) == 2
    assert np.abs(found[0].body.xy[:, 0] - large.body.xy[:, 0]).max() < 1e-4
    assert np.abs(found[1].body.xy[:, 0] - small.body.xy[:, 0]).max() < 1e-4


def test_frames_stand_in_the_order_of_their_numbers(tmp_path):
    folder = tmp_path / "clip"
    folder.mkdir()
    pose = figure(12)
    for t in range(12):
        written(folder / f"take_{t}_keypoints.json", openpose.frame(pose, t))
    (folder / "._take_3_keypoints.json").write_bytes(b"\0\1")  # what macOS leaves behind
    back = pose_files.read(folder).people[0]
    assert np.abs(back.body.xy[:, 4] - pose.body.xy[:, 4]).max() < 1e-5
    written(folder / "other_0_keypoints.json", openpose.frame(pose, 0))
    with pytest.raises(ValueError, match="mixes"):
        pose_files.read(folder)
    with pytest.raises(ValueError, match="already holds"):
        pose_files.write(pose, folder)


PERSON = openpose.frame(figure(1), 0)["people"][0]
BROKEN = {
    "not json": ("{", "readable JSON"),
    "deep": ("[" * 100_000, "readable JSON"),
    "no people": ([{"persons": []}], "list of people"),
    "empty list": ([], "empty list"),
    "nobody": ([{"people": []}], "no person"),
    "count": ([{"people": [{"pose_keypoints_2d": [1.0] * 50}]}], "54 or 75 or 51"),
    "text": ([{"people": [{**PERSON, "face_keypoints_2d": ["a"] * 210}]}], "usable number"),
    "nan": ([{"people": [{"pose_keypoints_2d": [float("nan")] * 54}]}], "usable number"),
    "huge": ([{"people": [{"pose_keypoints_2d": [1e300] * 54}]}], "usable number"),
    "crowd": ([{"people": [PERSON] * 9}], "at most 8"),
    "fractions": ([{"people": [{"pose_keypoints_2d": [0.5] * 54}]}], "canvas_width"),
    "canvas": ([{"people": [PERSON], "canvas_width": 1e9, "canvas_height": 3}], "picture"),
    "fps": ([{"people": [PERSON], "fps": "many"}], "frames a second"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_json_gets_one_sentence(tmp_path, name):
    content, words = BROKEN[name]
    file = written(tmp_path / "broken.json", content)
    with pytest.raises(ValueError, match="broken.json") as caught:
        pose_files.read(file)
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_large_files_are_refused_unread(tmp_path, monkeypatch):
    monkeypatch.setattr(openpose, "MAX_LIST_BYTES", 100)
    with pytest.raises(ValueError, match="MB"):
        pose_files.read(written(tmp_path / "big.json", [openpose.frame(figure(1), 0)]))
    monkeypatch.setattr(openpose, "MAX_LIST_BYTES", 1 << 20)
    monkeypatch.setattr(openpose, "MAX_FRAMES", 3)
    pose_files.write(figure(4), tmp_path / "long.json")
    with pytest.raises(ValueError, match="over 3 frames"):
        pose_files.read(tmp_path / "long.json")


def test_endings_and_missing_files(tmp_path):
    with pytest.raises(ValueError, match="nowhere.json"):
        pose_files.read(tmp_path / "nowhere.json")
    with pytest.raises(ValueError, match="nowhere.npz"):
        pose_files.read(tmp_path / "nowhere.npz")
    with pytest.raises(ValueError, match=r"\.gif"):
        pose_files.write(figure(1), tmp_path / "a.gif")
    with pytest.raises(ValueError, match="cannot be written"):
        pose_files.write(figure(1), tmp_path / "no" / "folder")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="no \\*_keypoints.json"):
        pose_files.read(tmp_path / "empty")
    Pose.empty(0, 25, (64, 64)).save(tmp_path / "none.npz")
    with pytest.raises(ValueError, match="no frame"):
        pose_files.read(tmp_path / "none.npz")


def test_a_skeleton_video_finds_only_its_own_pose(tmp_path):
    pose, video = figure(5), tmp_path / "skel.mp4"
    assert pose_files.write_skeleton(pose, video, (128, 96), "controlnext") is None
    assert (
        media.probe(video).frames == 5 and media.read_settings(video)["skeleton"] == "controlnext"
    )
    assert np.array_equal(pose_files.read(video).people[0].body.xy, pose.body.xy)
    other = pose_edits.mirror(pose)
    assert (
        pose_files.write_skeleton(other, video, (128, 96)) is None
    )  # written anew with its own pose
    assert np.array_equal(pose_files.read(video).people[0].body.xy, other.body.xy)
    pose.save(tmp_path / "skel.npz")  # someone puts another pose there
    assert skeleton_video.find(video) is None and not pose_files.is_pose(video)
    with pytest.raises(ValueError, match="skel.mp4 is not a pose file"):
        pose_files.read(video)


def test_a_file_of_the_user_is_not_overwritten(tmp_path):
    mine = figure(3)
    mine.save(tmp_path / "dance.npz")
    note = pose_files.write_skeleton(pose_edits.mirror(mine), tmp_path / "dance.mp4", (128, 96))
    assert "dance.npz" in note and np.array_equal(
        Pose.load(tmp_path / "dance.npz").body.xy, mine.body.xy
    )


def test_a_plain_video_with_a_pose_of_its_name_stays_a_video(root):
    """The shipped driving clips have exact key points beside them; pictures are still detected."""
    assert not pose_files.is_pose(root / "assets" / "driving" / "beats.mp4")


def test_echomimic_arrays(tmp_path):
    rng = np.random.default_rng(0)
    shapes = {"candidate": (4, 18, 2), "hands": (4, 2, 21, 2), "faces": (4, 1, 68, 2)}
    shapes |= {"body_score": (4, 1, 18), "hands_score": (4, 2, 21), "faces_score": (4, 1, 68)}
    arrays = {name: rng.random(shape).astype(np.float32) for name, shape in shapes.items()}
    np.savez(tmp_path / "e.npz", **arrays)
    pose = pose_files.read(tmp_path / "e.npz").people[0]
    assert np.array_equal(
        pose.hands.xy[:, 21:], arrays["hands"][:, 1].astype(float)
    ) and pose.size == (
        768,
        768,
    )
    for name, value in (
        ("candidate", np.full((4, 18, 2), np.nan)),
        ("hands", np.full((4, 2, 21, 2), 1e300)),
        ("faces", np.zeros((4, 9, 2))),
    ):
        np.savez(tmp_path / "bad.npz", **(arrays | {name: value}))
        with pytest.raises(ValueError, match="bad.npz"):
            pose_files.read(tmp_path / "bad.npz")
    np.savez(tmp_path / "bad.npz", **(arrays | {"candidate": np.array([{}], object)}))
    with pytest.raises(ValueError, match="bad.npz"):
        pose_files.read(tmp_path / "bad.npz")


def test_real_echomimic_poses(shared):
    for path in sorted((shared / "media" / "pose").glob("echomimic*.npz")):
        pose = pose_files.read(path).people[0]
        assert len(pose) > 100 and pose.face.visible.mean() > 0.9 and pose.body.visible.any(1).all()
