"""The command line's pose edits, pose formats as driving, accents, offsets and strengths per
region."""

import json
import os

import numpy as np
import pytest
import soundfile
from PIL import Image

from pipeline import media
from pipeline.analysis.analyse import delay_audio
from pipeline.analysis.progress import finish
from pipeline.media import pose_files
from pipeline.models.audio2pose import Audio2Pose
from pipeline.motion import pose_edits
from pipeline.studio import pose_tool
from pipeline.studio.cli import main
from pipeline.values import Audio, Detection, Pose
from tests.helpers.stick_person import figure
from tests.helpers.tiny import portrait, tiny_pipeline
from tests.helpers.voices import voice


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Speech, a portrait, poses and a tiny model."""
    place = tmp_path_factory.mktemp("poses")
    os.environ["APV_CACHE"] = str(place / "cache")
    tiny_pipeline().save_pretrained(place / "model")
    Image.fromarray(portrait((256, 192))).save(place / "face.png")
    soundfile.write(place / "speech.wav", voice(3.0).samples, 16000)
    figure(50).save(place / "pose.npz")
    pose_edits.mirror(figure(30)).save(place / "other.npz")
    return place


@pytest.fixture(autouse=True)
def no_detector(monkeypatch):
    """The portrait's person stands where `figure` stands."""
    person = Detection((figure(1, size=(256, 192)),))
    for room in ("analyse", "framing"):
        monkeypatch.setattr(f"pipeline.analysis.{room}.detect_reference", lambda *_: person)


def preview(folder, out, **flags) -> Pose:
    """The drawn pose of a preview."""
    given = {
        "reference": folder / "face.png",
        "audio": folder / "speech.wav",
        "model": folder / "model",
    }
    given |= {"driving": folder / "pose.npz", "height": 128, "width": 96, "output": out / "s.mp4"}
    given |= {"pose-out": out / "p.npz"} | {
        name.replace("_", "-"): value for name, value in flags.items()
    }
    assert (
        main(["preview", *(word for name, v in given.items() for word in (f"--{name}", str(v)))])
        == 0
    )
    return Pose.load(out / "p.npz")


def test_every_format_leads_to_every_other(folder, tmp_path, capsys):
    chain = [
        folder / "pose.npz",
        tmp_path / "frames",
        tmp_path / "b.json",
        tmp_path / "c.mp4",
        tmp_path / "d.npz",
    ]
    for source, target in zip(chain, chain[1:], strict=False):
        assert main(["pose", str(source), "--output", str(target), "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["frames"] == 50
    first, last = Pose.load(chain[0]), Pose.load(chain[-1])
    seen = first.body.score > 0
    assert np.abs(first.body.xy - last.body.xy)[seen].max() < 1e-5 and first.fps == last.fps
    assert len(list((tmp_path / "frames").iterdir())) == 50


def test_edits_come_in_their_order(folder, tmp_path):
    out = tmp_path / "e.npz"
    words = [
        "--trim",
        "0.4:1.6",
        "--speed",
        "2",
        "--mirror",
        "--arms",
        str(folder / "other.npz"),
        "--pingpong",
        "40",
    ]
    assert main(["pose", str(folder / "pose.npz"), "--output", str(out), *words]) == 0
    made, pose = Pose.load(out), figure(50)
    wanted = pose_edits.mirror(pose_edits.speed(pose[10:40], 2))
    wanted = pose_edits.pingpong(pose_edits.with_arms(wanted, pose_edits.mirror(figure(30))), 40)
    assert len(made) == 40 and np.array_equal(made.body.xy, wanted.body.xy)


@pytest.mark.parametrize("style", ["controlnext", "openpose"])
def test_skeleton_videos_for_other_tools(folder, tmp_path, style):
    out = str(tmp_path / "skeleton.mp4")
    assert (
        main(["pose", str(folder / "pose.npz"), "--output", out, "--style", style, "--loop", "60"])
        == 0
    )
    video = media.probe(out)
    assert (video.frames, video.width, video.height) == (60, 96, 128)
    assert media.read_settings(out)["skeleton"] == style


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--trim", "5:6"], "lasts 2.00 s"), (["--trim", "abc"], "A:B"), (["--trim", "1:x"], "A:B"),
        (["--speed", "99"], "0.1 to 10"), (["--arms", "nowhere.npz"], "nowhere.npz"),
        (["--loop", "5", "--pingpong", "5"], "not allowed"), (["--output", "clip.gif"], ".gif"),
        (["--loop", "0"], "1 to"),
    ],
)  # fmt: skip
def test_bad_edits_are_one_sentence(folder, tmp_path, capsys, words, said):
    assert (
        main(["pose", str(folder / "pose.npz"), "--output", str(tmp_path / "x.npz"), *words]) == 2
    )
    error = capsys.readouterr().err
    assert error.count("error: ") == 1 and said in error


def test_all_formats_drive_alike(folder, tmp_path):
    pose = figure(50)
    pose_files.write(pose, tmp_path / "frames")
    pose_files.write_skeleton(pose, tmp_path / "skeleton.mp4", (128, 96))
    np.savez(
        tmp_path / "echo.npz", candidate=pose.body.xy, body_score=pose.body.score, hands=pose.hands.xy,
        hands_score=pose.hands.score, faces=pose.face.xy, faces_score=pose.face.score,
    )  # fmt: skip
    plain = preview(folder, tmp_path)
    for name in ("frames", "skeleton.mp4"):
        assert (
            np.abs(preview(folder, tmp_path, driving=tmp_path / name).body.xy - plain.body.xy).max()
            < 1e-4
        )
    assert preview(folder, tmp_path, driving=tmp_path / "echo.npz").body.visible[:, :8].all()


def test_a_written_skeleton_drives_the_next_run(folder, tmp_path):
    first = preview(folder, tmp_path)
    assert np.array_equal(pose_files.read(tmp_path / "s.mp4").people[0].body.xy, first.body.xy)
    again = preview(
        folder, tmp_path, driving=tmp_path / "s.mp4", intensity=0, output=tmp_path / "t.mp4"
    )
    assert len(again) == len(first)
    assert main(["preview", "--reference", "x", "--audio", "y", "--driving", str(tmp_path / "s.npz"),
                 "--output", str(tmp_path / "s.mp4")]) == 2  # fmt: skip
    assert np.array_equal(pose_files.read(tmp_path / "s.mp4").people[0].body.xy, first.body.xy)


def test_detected_accents_written_and_given_back_change_nothing(folder, tmp_path):
    file = tmp_path / "a.json"
    plain = preview(folder, tmp_path, accents_out=file)
    table = json.loads(file.read_text())
    assert len(table) >= 2 and set(table[0]) == {"time", "strength"}
    assert np.array_equal(preview(folder, tmp_path, accents=file).body.xy, plain.body.xy)
    file.write_text("[]")
    calm = preview(folder, tmp_path, accents=file)
    file.write_text(json.dumps([*table, {"time": 2.0, "strength": 1.0}]))
    more = preview(folder, tmp_path, accents=file)
    still = preview(folder, tmp_path, intensity=0)
    moved = [np.abs(p.body.xy - still.body.xy)[:, 4].max() for p in (calm, plain, more)]
    assert moved[0] != moved[1] and not np.array_equal(plain.body.xy, more.body.xy)


def test_strengths_of_regions_reach_the_pose(folder, tmp_path):
    none = {f"{name}_intensity": 0 for name in ("torso", "head", "arms", "hands")}
    still, same = preview(folder, tmp_path, intensity=0), preview(folder, tmp_path, **none)
    assert np.array_equal(same.body.xy, still.body.xy)
    arms = preview(folder, tmp_path, **(none | {"arms_intensity": 1}))
    assert np.abs(arms.body.xy - still.body.xy)[:, [3, 4]].max() > 0.005
    assert np.array_equal(arms.body.xy[:, [0, 1, 2, 5]], still.body.xy[:, [0, 1, 2, 5]])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "JSON"), ('{"time": 1}', "list"), ('[{"time": 1}]', "accent 1"), ("[3]", "accent 1"),
        ('[{"time": 99, "strength": 1}]', "times from 0"), ('[{"time": 1, "strength": 2}]', "0 to 1"),
        ('[{"time": 1, "strength": NaN}]', "accent 1"), ('[{"time": "a", "strength": 1}]', "accent 1"),
        (f'[{{"time": 1{"0" * 999}, "strength": 1}}]', "accent 1"),
    ],
)  # fmt: skip
def test_bad_accent_files_are_one_sentence(folder, tmp_path, capsys, text, said):
    file = tmp_path / "broken.json"
    file.write_text(text)
    words = [
        "--reference",
        folder / "face.png",
        "--audio",
        folder / "speech.wav",
        "--model",
        folder / "model",
    ]
    words += ["--output", tmp_path / "s.mp4", "--accents", file]
    assert main(["preview", *map(str, words)]) == 2
    error = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(error) == 1 and said in error[0] and "broken.json" in error[0]


def test_sound_is_shifted_by_samples():
    sound = Audio(np.arange(1, 1601, dtype=np.float32), 16000)
    assert delay_audio(sound, 0) is sound
    late, early = delay_audio(sound, 10).samples, delay_audio(sound, -10).samples
    assert not late[:160].any() and np.array_equal(late[160:], sound.samples[:-160])
    assert not early[-160:].any() and np.array_equal(early[:-160], sound.samples[160:])
    assert (
        not delay_audio(sound, 1000).samples.any()
        and len(delay_audio(sound, -1000).samples) == 1600
    )
    with pytest.raises(ValueError, match="audio offset"):
        delay_audio(sound, 1001)


@pytest.mark.parametrize("milliseconds", [120, -120])
def test_the_mouth_is_shifted_and_nothing_else(root, milliseconds):
    """Three frames at 25 fps, with the shipped network on shipped speech."""
    pipe = tiny_pipeline()
    pipe.audio2pose = Audio2Pose.from_pretrained(
        root / "checkpoints" / "mini" / "audio2pose"
    ).eval()
    audio = media.read_audio(root / "assets" / "speech" / "weather.wav")
    audio = Audio(audio.samples[: 4 * audio.rate], audio.rate)
    runs = [
        finish(pipe.analyse(portrait((256, 192)), audio, figure(50), audio_offset=ms)).motion
        for ms in (0, milliseconds)
    ]
    gaps = [m.pose.face.xy[:, 66, 1] - m.pose.face.xy[:, 62, 1] for m in runs]
    lags = range(-6, 7)
    steady = slice(10, -10)
    fit = [np.corrcoef(np.roll(gaps[0], lag)[steady], gaps[1][steady])[0, 1] for lag in lags]
    assert lags[int(np.argmax(fit))] == milliseconds / 40 and max(fit) > 0.95
    assert np.array_equal(runs[0].pose.body.xy, runs[1].pose.body.xy)
    assert np.array_equal(runs[0].intensity, runs[1].intensity)


def test_a_clip_without_people_names_itself_and_the_remedy(monkeypatch, tmp_path):
    source = tmp_path / "empty.npz"
    figure(3).save(source)
    nobody = Detection((), notes=("the clip shows no person.",))
    monkeypatch.setattr(pose_files, "read", lambda *_: nobody)
    sentence = "empty.npz gives no pose: the clip shows no person; use one that shows a person"
    with pytest.raises(ValueError, match=sentence):
        pose_tool.read(str(source))
