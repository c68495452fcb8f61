"""The command line end to end with a tiny model, and the one sentence for every bad input."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from pipeline import media
from pipeline.models.published_files import NAMES
from pipeline.studio.cli import main
from pipeline.values import Pose, Video
from tests.helpers.published import write_set
from tests.helpers.stick_person import figure
from tests.helpers.tiny import speech, tiny_pipeline


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[str, str]:
    """A photograph (NASA, public domain), speech, a driving pose and a tiny model folder."""
    import skimage.data

    folder = tmp_path_factory.mktemp("cli")
    os.environ["APV_CACHE"] = str(folder / "cache")
    tiny_pipeline().save_pretrained(folder / "model")
    Image.fromarray(skimage.data.astronaut()).save(folder / "face.png")
    soundfile.write(folder / "speech.wav", speech(1.0).samples, 16000)
    soundfile.write(folder / "silence.wav", np.zeros(8000), 16000)
    soundfile.write(folder / "empty.wav", np.zeros(0), 16000)
    soundfile.write(folder / "blink.wav", np.zeros(800), 16000)
    Image.fromarray(np.full((256, 256, 3), 128, np.uint8)).save(folder / "grey.png")
    Image.fromarray(np.full((40, 40, 3), 128, np.uint8)).save(folder / "small.png")
    (folder / "text.png").write_text("not a picture")
    figure(20).save(folder / "pose.npz")
    return {path.name: str(path) for path in folder.iterdir()} | {"folder": str(folder)}


def run(files: dict[str, str], command: str = "generate", **changes: str | None) -> list[str]:
    given = {
        "reference": files["face.png"], "audio": files["speech.wav"], "driving": files["pose.npz"],
        "model": files["model"], "output": str(Path(files["folder"]) / "out.mp4"),
        "height": "128", "width": "128",
    } | {name.replace("_", "-"): value for name, value in changes.items()}  # fmt: skip
    words = [command]
    for name, value in given.items():
        words += [] if value is None else [f"--{name}", value]
    return words


@pytest.mark.parametrize("driving", ["pose.npz", None])
def test_generate_writes_a_video_as_long_as_the_speech(files, capsys, driving) -> None:
    assert main([*run(files, driving=files.get(driving)), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out.splitlines()[-1])
    video = media.probe(facts["output"])
    assert facts["frames"] == 25 and abs(video.seconds - 1.0) <= 0.04 and video.has_audio
    assert (video.width, video.height) == (128, 128)
    assert (
        facts["device"] == "cpu"
        and facts["attention"] == "sdpa"
        and facts["timings"]["denoise"] > 0
    )
    assert media.read_settings(facts["output"])["intensity"] == 1.0
    assert (facts["alignment"] is None) == (driving is None)


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(files, tmp_path) -> None:
    outs = [str(tmp_path / f"{i}.mp4") for i in range(3)]
    for out, seed in zip(outs, ("1", "1", "2"), strict=True):
        assert main(run(files, driving=None, output=out, seed=seed)) == 0
    one, two, other = (Path(out).read_bytes() for out in outs)
    assert one == two and one != other


def test_preview_writes_skeleton_draft_and_the_drawn_pose(files, tmp_path) -> None:
    names = {"output": "s.mp4", "draft": "d.mp4", "overlay": "o.mp4", "pose_out": "p.npz"}
    paths = {flag: str(tmp_path / name) for flag, name in names.items()}
    assert main(run(files, "preview", **paths)) == 0
    assert {media.probe(paths[name]).frames for name in ("output", "draft", "overlay")} == {25}
    assert len(Pose.load(paths["pose_out"])) == 25


def test_animations_and_folders_of_frames_go_out_and_come_in(files, tmp_path, capsys) -> None:
    """Preview writes a GIF and a folder, generate a WebP; both are driven by a folder of photos."""
    photo = np.asarray(Image.open(files["face.png"]).resize((256, 256)))
    photos = f"{tmp_path}/photos/"
    media.write_video(photos, Video(np.repeat(photo[None], 10, axis=0), 25))
    outputs = {"output": str(tmp_path / "skeleton.gif"), "draft": f"{tmp_path}/draft/"}
    assert main(run(files, "preview", driving=photos, **outputs)) == 0
    assert media.probe(outputs["output"]).frames == media.probe(outputs["draft"]).frames == 25
    output = str(tmp_path / "result.webp")
    assert main([*run(files, driving=photos, output=output), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert facts["frames"] == media.probe(output).frames == 25
    assert facts["alignment"] is not None
    assert media.read_settings(output)["driving"] == "photos"


def test_pose_of_a_picture(files, tmp_path, capsys) -> None:
    out = str(tmp_path / "p.npz")
    assert main(["pose", files["face.png"], "--output", out, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["people"] == 1
    assert Pose.load(out).face.visible.all()


def test_models_lists_mini(capsys) -> None:
    assert main(["models", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["models"]
    assert rows[0]["name"] == "mini" and rows[0]["licence"] == "Apache-2.0"


BAD = [
    ({"reference": "nowhere.png"}, "nowhere.png"),
    ({"reference": "text.png"}, "text.png"),
    ({"reference": "small.png"}, "64"),
    ({"reference": "grey.png"}, "person"),
    ({"audio": "nowhere.wav"}, "nowhere.wav"),
    ({"audio": "face.png"}, "face.png"),
    ({"audio": "empty.wav"}, "empty.wav"),
    ({"audio": "blink.wav"}, "0.1"),
    ({"driving": "text.png"}, "text.png"),
    ({"driving": "nowhere.npz"}, "nowhere.npz"),
    ({"intensity": "strong"}, "strong"),
    ({"intensity": "3"}, "0 to 2"),
    ({"intensity": "nan"}, "nan"),
    ({"steps": "0"}, "1 to 100"),
    ({"fps": "0"}, "1 to 60"),
    ({"height": "100"}, "height"),
    ({"detector": "dwpose"}, "models --download dwpose"),
    ({"model": "controlnext-svd"}, "controlnext-svd"),
    ({"pose_free": "network"}, "leave out --driving"),
    ({"model": "nonesuch"}, "nonesuch"),
    ({"device": "abacus"}, "abacus"),
    ({"output": "no/such/folder/out.mp4"}, "no/such/folder"),
    ({"window": "4", "overlap": "4"}, "overlap"),
    ({"output": "speech.wav"}, "own name"),
    ({"seed": "9" * 400}, "lies outside"),
]


@pytest.mark.parametrize(("changes", "word"), BAD, ids=[f"{next(iter(c))}-{w}" for c, w in BAD])
def test_bad_input_is_one_sentence_and_exit_2(files, capsys, changes: dict, word: str) -> None:
    changes = {name: files.get(value, value) for name, value in changes.items()}
    assert main(run(files, **changes)) == 2
    error = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(error) == 1 and word in error[0]


def test_commands_that_do_not_exist_yet_say_so(capsys) -> None:
    assert main(["evaluate", "videos"]) == 2
    assert main(["train", "everything"]) == 2
    assert main(["dance"]) == 2
    assert capsys.readouterr().err.count("error: ") == 3


def test_silent_speech_is_a_warning_and_the_mouth_stays_shut(files, capsys, tmp_path) -> None:
    out = str(tmp_path / "p.npz")
    words = run(
        files,
        "preview",
        audio=files["silence.wav"],
        driving=None,
        pose_out=out,
        output=str(tmp_path / "s.mp4"),
    )
    assert main(words) == 0
    assert "silent" in capsys.readouterr().err
    face = Pose.load(out).face.xy
    gap = np.linalg.norm(face[:, 66] - face[:, 62], axis=1) / np.linalg.norm(
        face[:, 54] - face[:, 48], axis=1
    )
    assert gap.max() < 0.08


def test_an_interrupt_keeps_the_finished_frames(files, tmp_path, monkeypatch, capsys) -> None:
    from pipeline.render.svd.pipeline import AudioPoseSVDPipeline

    real = AudioPoseSVDPipeline.render

    def interrupted(self, *args, **options):
        for step in real(self, *args, **options):
            yield step
            if step.frames is not None:
                raise KeyboardInterrupt

    monkeypatch.setattr(AudioPoseSVDPipeline, "render", interrupted)
    out = str(tmp_path / "part.mp4")
    assert main(run(files, output=out)) == 2
    assert "kept" in capsys.readouterr().err
    kept = media.probe(out)
    assert 0 < kept.frames < 25 and abs(kept.seconds - kept.frames / 25) < 0.05


def test_the_module_runs_as_a_program(files) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pipeline", "generate", "--reference", "x"],
        capture_output=True,
        text=True,
    )
    assert (
        done.returncode == 2
        and done.stderr.startswith("error: ")
        and "Traceback" not in done.stderr
    )


@pytest.mark.parametrize("kind", ["saved", "published"])
def test_a_preview_builds_no_backbone(files, tmp_path, monkeypatch, kind: str) -> None:
    """Only the speech network is loaded: of a published folder not even the weights are read."""
    import diffusers

    model = Path(files["model"])
    if kind == "published":
        model = write_set(tmp_path / "published")
        for name in ("controlnext", "unet", "vae", "image_encoder"):
            (model / NAMES[name][0]).write_bytes(b"no weights")

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a preview built a backbone")

    monkeypatch.setattr(diffusers.UNetSpatioTemporalConditionModel, "__init__", refuse)
    monkeypatch.setattr("pipeline.render.load.load", refuse)
    out = str(tmp_path / "skeleton.mp4")
    assert main(run(files, "preview", output=out, model=str(model))) == 0
    assert media.probe(out).frames == 25


def test_a_preview_of_a_set_needs_no_download_and_knows_its_size(files, tmp_path, capsys) -> None:
    words = run(
        files,
        "preview",
        model="controlnext-svd",
        height=None,
        width=None,
        output=str(tmp_path / "skeleton.mp4"),
    )
    assert main([*words, "--json"]) == 0
    facts = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert facts["width"] % 64 == 0 and facts["height"] % 64 == 0
    assert any("were not tuned on sound" in warning for warning in facts["warnings"])
    assert (facts["device"], facts["attention"]) == ("cpu", "sdpa")
    assert (facts["dtype"], facts["offload"]) == ("float32", "none")


def test_a_preview_refuses_what_the_weights_do_not_know(files, capsys) -> None:
    words = run(files, "preview", driving=None, pose_free="network")
    assert main(words) == 2
    assert "null pose" in capsys.readouterr().err


def test_a_preview_and_a_render_show_the_same_motion(files, tmp_path) -> None:
    paths = {name: str(tmp_path / name) for name in ("preview.mp4", "skeleton.mp4", "video.mp4")}
    assert main(run(files, "preview", output=paths["preview.mp4"])) == 0
    assert main(run(files, output=paths["video.mp4"], skeleton=paths["skeleton.mp4"])) == 0
    poses = [
        Pose.load(Path(paths[name]).with_suffix(".npz")) for name in ("preview.mp4", "skeleton.mp4")
    ]
    assert np.array_equal(poses[0].face.xy, poses[1].face.xy)
    assert np.array_equal(poses[0].body.xy, poses[1].body.xy)


def test_an_output_that_is_no_file_is_refused(files, tmp_path, capsys) -> None:
    pipe = tmp_path / "pipe.mp4"
    os.mkfifo(pipe)
    inputs = ["--reference", files["face.png"], "--audio", files["speech.wav"]]
    assert main(["generate", *inputs, "--output", str(pipe)]) == 2
    assert "it is no file" in capsys.readouterr().err
    assert pipe.is_fifo()


def test_train_without_a_name_lists_what_can_be_trained(capsys) -> None:
    assert main(["train"]) == 2
    sentence = capsys.readouterr().err
    assert "audio2pose, video, apv-gen, data, data-stats, release, sync, mouth-reader" in sentence


def test_an_option_that_the_model_lacks_is_named_by_its_flag(files, tmp_path, capsys) -> None:
    inputs = ["--reference", files["face.png"], "--audio", files["speech.wav"]]
    words = [*inputs, "--model", files["model"], "--output", str(tmp_path / "out.mp4")]
    assert main(["generate", *words, "--motion-bucket", "100"]) == 2
    assert "has no --motion-bucket; leave that option out" in capsys.readouterr().err
