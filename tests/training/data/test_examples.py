"""The shipped examples: what the maker writes is what lies in assets/, complete, small and
consistent."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pipeline.media import probe, read_audio, read_image
from pipeline.motion.face_animation import PARAMETERS
from pipeline.training.data import examples, presenters
from pipeline.training.data.example_texts import DRIVER_LINES, SPEECH
from pipeline.training.data.speech.authored import Line, Piece, lips, mouth, say
from pipeline.values import Pose

SHIPPED = Path(__file__).resolve().parents[3] / "assets"


def test_every_file_of_the_tables_is_shipped_named_with_its_licence_and_all_is_small():
    files = [f"reference/{name}.png" for name in examples.PORTRAITS]
    files += [f"driving/{name}{end}" for name in examples.CLIPS for end in (".mp4", ".npz")]
    files += [f"speech/{name}.wav" for name in SPEECH]
    assert len(examples.PORTRAITS) == 6 and len(examples.CLIPS) == 4 and len(SPEECH) == 6
    assert all((SHIPPED / name).is_file() for name in files)
    assert sum((SHIPPED / name).stat().st_size for name in files) < 6_000_000
    licences = (SHIPPED / "LICENSES.md").read_text(encoding="utf-8")
    assert all(Path(name).stem in licences for name in files)


@pytest.mark.parametrize("name", ["full_skirt"])
def test_portraits_are_what_the_maker_draws(name, tmp_path, monkeypatch):
    monkeypatch.setattr(examples, "PORTRAITS", {name: examples.PORTRAITS[name]})
    examples.write_portraits(tmp_path)
    made = np.asarray(Image.open(tmp_path / f"{name}.png"), np.int16)
    shipped = read_image(SHIPPED / "reference" / f"{name}.png").astype(np.int16)
    assert made.shape == shipped.shape == (768, 512, 3)
    assert (
        np.abs(made - shipped) > 2
    ).mean() < 1e-3  # other processors round differently at a few edges


@pytest.mark.parametrize("name", examples.CLIPS)
def test_driving_clips_have_one_pose_per_frame_and_show_a_moving_person(name):
    pose, clip = (
        Pose.load(SHIPPED / "driving" / f"{name}.npz"),
        probe(SHIPPED / "driving" / f"{name}.mp4"),
    )
    assert clip.frames == len(pose) and (clip.height, clip.width) == pose.size == examples.CLIP_SIZE
    assert clip.fps == pose.fps == 25 and 4 <= clip.seconds <= 8.5 and clip.has_audio
    assert (pose.face.score.mean(), pose.body.score[:, (0, 1, 2, 5)].min()) == (1.0, 1.0)
    wrists = pose.body.xy[:, (4, 7)] * (384, 576)
    assert (wrists.max(0) - wrists.min(0)).max() > 40


@pytest.mark.parametrize("name", SPEECH)
def test_speech_is_mono_16_khz_and_loud_enough(name):
    audio = read_audio(SHIPPED / "speech" / f"{name}.wav")
    assert audio.rate == 16000 and 3 < audio.seconds < 15
    assert 0.4 < np.abs(audio.samples).max() <= 1


def test_accented_speech_has_pauses_and_louder_words():
    for name in ("accents_no", "accents_win"):
        samples = read_audio(SHIPPED / "speech" / f"{name}.wav").samples
        level = np.array([np.abs(c).max() for c in np.array_split(samples, len(samples) // 1600)])
        assert (level[3:-3] < 0.02).sum() >= 8  # 0.8 s of pauses inside
        assert level.max() > 1.9 * np.median(level[level > 0.1])


def test_eased_keys_hit_their_values_and_do_not_overshoot():
    values = examples.interpolate(
        ((0.0, (0.0, 1.0)), (1.0, (2.0, -1.0))), np.array([-1.0, 0.0, 0.5, 1.0, 9.0])
    )
    assert torch.allclose(values, torch.tensor([[0.0, 1], [0, 1], [1, 0], [2, -1], [2, -1]]))


def test_mouth_parameters_open_close_and_round_the_drawn_mouth():
    parameters = np.zeros((3, len(PARAMETERS)), np.float32)
    column = {name: k for k, name in enumerate(PARAMETERS)}
    parameters[1, [column["gap"], column["jaw"]]] = 1
    parameters[2, [column["gap"], column["close"], column["pucker"]]] = 1
    values = mouth(parameters)
    assert values[1, 0] > 0.5 and values[0, 0] == values[2, 0] == 0 and values[2, 1] > 0.7


def test_lips_follow_the_phones():
    phones = [
        ("sil", 0.0, 0.4),
        ("aa", 0.4, 0.7),
        ("m", 0.7, 0.9),
        ("uw", 0.9, 1.2),
        ("sil", 1.2, 1.6),
    ]
    values = lips(phones, 1.6, 25, 40)
    assert values.shape == (40, 3) and values[13, 0] > 0.3 and values[19, 0] < 0.1
    assert values[26, 1] > values[13, 1] + 0.2 and values[38, 0] < 0.15


@pytest.mark.skipif(shutil.which("flite") is None, reason="flite is not installed")
def test_said_lines_have_phones_over_their_whole_length_and_authored_pauses():
    audio, phones = say(Line("rms", 100, (Piece("Stop!", 0.9, pause=0.5), Piece("Now.", 0.3))))
    assert phones[0][:2] == ("sil", 0.0) and abs(phones[-1][2] - audio.seconds) < 0.01
    assert all(a[2] == pytest.approx(b[1]) for a, b in zip(phones, phones[1:], strict=False))
    pauses = [p for p in phones[1:-1] if p[0] == "sil"]
    assert len(pauses) == 1 and 0.45 < pauses[0][2] - pauses[0][1] < 0.6
    silent = audio.samples[int((pauses[0][1] + 0.05) * 16000) : int((pauses[0][2] - 0.05) * 16000)]
    assert np.abs(silent).max() < 0.01


def test_driver_lines_match_the_clips():
    assert set(DRIVER_LINES) == set(examples.CLIPS)
    assert all(len(examples.person(clip.person)) == 1 for clip in examples.CLIPS.values())
    assert isinstance(presenters.stand_still(1, 2), presenters.Dofs)
