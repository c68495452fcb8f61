"""Audio2Pose's training: labels, augmentation, music, singing, and the training loop in small."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from pipeline.models import audio2pose as net
from pipeline.motion import face_animation
from pipeline.training import train_audio2pose
from pipeline.training.data.speech import augment, engines, espeak_library, singing, visemes
from tests.helpers.voices import babble

SAMPLE_RATE = 16000
GAP = face_animation.PARAMETERS.index("gap")


def curve(phones: visemes.Phones, name: str) -> np.ndarray:
    return visemes.labels(phones, phones[-1][2])[0][:, face_animation.PARAMETERS.index(name)]


def test_labels_close_for_m_open_for_aa_and_breathe_in_before_speech() -> None:
    phones = [
        ("sil", 0, 0.8),
        ("m", 0.8, 0.9),
        ("aa", 0.9, 1.2),
        ("b", 1.2, 1.3),
        ("iy", 1.3, 1.6),
        ("sil", 1.6, 2.2),
    ]
    gap = curve(phones, "gap")
    assert gap[83:88].max() < 0.06 and gap[122:128].max() < 0.06
    assert gap[105] > 0.85 and 0.4 < gap[145] < 0.75
    assert gap[60] > 0.3 > 0.15 > gap[20], "lips part before speech and are shut long before it"
    assert gap[215] < 0.2, "no breath at the end"
    assert curve(phones, "close")[85] > 0.95 and curve(phones, "close")[105] == 0


def test_labels_round_early_and_bite() -> None:
    phones = [
        ("sil", 0, 0.2),
        ("s", 0.2, 0.4),
        ("uw", 0.4, 0.7),
        ("f", 0.7, 0.8),
        ("ay", 0.8, 1.1),
        ("sil", 1.1, 1.5),
    ]
    pucker = curve(phones, "pucker")
    assert pucker[36] > 0.3 and pucker[50] > 0.7 and pucker[95] < 0.2
    assert curve(phones, "bite")[74] > 0.95 and curve(phones, "bite")[95] == 0


def test_the_closure_of_a_voiceless_stop_is_moved_back_from_its_burst() -> None:
    rng = np.random.default_rng(0)
    samples = rng.standard_normal(SAMPLE_RATE) * 0.1
    samples[int(0.45 * SAMPLE_RATE) : int(0.5 * SAMPLE_RATE)] = (
        0  # the closure before a burst at 0.5 s
    )
    timed = [
        espeak_library.TimedPhone("aa", 0.2, 0.5, False),
        espeak_library.TimedPhone("p", 0.5, 0.6, True),
        espeak_library.TimedPhone("aa", 0.6, 0.9, False),
    ]
    moved = espeak_library.move_closures(samples, timed)
    assert moved[0][2] == moved[1][1] == pytest.approx(0.45, abs=0.011)
    assert moved[1][2] == 0.6
    without_bursts = [replace(phone, is_burst=False) for phone in timed]
    voiced = espeak_library.move_closures(samples, without_bursts)
    assert voiced[1][1] == 0.5


def test_espeak_symbols_become_known_phones() -> None:
    assert espeak_library._arpabet("ˈaɪ") == ["ay"] and espeak_library._arpabet("tʃ") == ["ch"]
    assert espeak_library._arpabet("ɔːɹ") == ["ao", "r"] and espeak_library._arpabet("☃") is None
    assert set(espeak_library._ARPABET.values()) <= visemes.PHONES


def test_every_sound_of_english_comes_up(engine) -> None:
    made = list(engines.espeak(60, False, np.random.default_rng(0)))
    seen = {name for m in made for name, _, _ in m.phones}
    assert len(made) > 40 and len(seen) >= 38
    for m in made:
        assert m.phones[0][0] == m.phones[-1][0] == "sil"
        assert all(a[2] == b[1] for a, b in zip(m.phones, m.phones[1:], strict=False))
    assert not {m.voice.split("+")[1] for m in made} & set(engines.HELD_OUT_VARIANTS)


def test_augmentation_keeps_length_and_moves_sound_and_labels_together() -> None:
    rng = np.random.default_rng(0)
    sound, params = np.zeros(SAMPLE_RATE * 2), np.zeros((201, 10))
    sound[SAMPLE_RATE], params[100] = 1.0, 1.0
    out, moved, classes = augment.change_pace(sound, params, np.zeros(201, int), 0.9, 151)
    assert len(out) == 151 * 160 and moved.shape == (151, 10) and len(classes) == 151
    assert abs(np.argmax(np.abs(out)) / SAMPLE_RATE - np.argmax(moved[:, 0]) / 100) < 0.011
    for _ in range(20):
        noisy = augment.degrade(rng.standard_normal(SAMPLE_RATE).astype(np.float32), rng, None)
        assert noisy.shape == (SAMPLE_RATE,) and np.isfinite(noisy).all()
        assert np.isfinite(augment.no_speech(rng, SAMPLE_RATE)).all()


def test_held_vowels_stretch_sound_and_labels_alike() -> None:
    """A tone for the vowel, noise for what stands around it: both end where their labels do."""
    rng = np.random.default_rng(0)
    time = np.arange(301 * 160) / SAMPLE_RATE
    sound = np.where(
        (time >= 0.5) & (time < 0.8),
        np.sin(2 * np.pi * 150 * time),
        0.3 * rng.normal(size=len(time)),
    )
    classes = np.where(
        (np.arange(301) >= 50) & (np.arange(301) < 80), visemes.VISEMES.index("a"), 5
    )
    params = np.repeat((classes != 5)[:, None].astype(np.float32), 10, 1)
    longest = 0
    for seed in range(12):
        out, moved, kind = singing.hold_vowels(
            sound, params, classes, np.random.default_rng(seed), 301
        )
        again = singing.hold_vowels(sound, params, classes, np.random.default_rng(seed), 301)
        assert all(np.array_equal(a, b) for a, b in zip((out, moved, kind), again, strict=True))
        assert out.shape == (301 * 160,) and moved.shape == (301, 10) and kind.shape == (301,)
        assert (np.abs(moved[:, 0] - (kind != 5)) > 0.51).sum() == 0
        crossings = np.abs(np.diff(np.sign(out.reshape(301, 160)), axis=1) > 0).mean(1)
        voiced = crossings < 0.1
        assert np.mean(voiced[2:-2] == (kind != 5)[2:-2]) > 0.97
        spectrum = np.abs(np.fft.rfft(out[60 * 160 : 76 * 160]))
        assert abs(np.argmax(spectrum) * SAMPLE_RATE / (16 * 160) - 150) < 10, "the pitch stays"
        longest = max(longest, int((kind != 5).sum()))
    assert longest > 60, "some vowels last twice as long"


def test_music_alone_is_labelled_shut_and_voices_keep_their_labels_under_it(
    engine, tmp_path, monkeypatch
) -> None:
    """Labels under music are bit for bit those of the dry voice; the sound is another one."""
    sound, params, classes = train_audio2pose.quiet_crop(
        np.random.default_rng(0), 301, musical=True
    )
    assert len(sound) == 301 * 160 and np.sqrt(np.mean(sound**2)) > 1e-4
    assert (
        not classes.any()
        and np.allclose(params[:, GAP], 0.05)
        and not np.delete(params, GAP, 1).any()
    )
    monkeypatch.setattr(
        engines,
        "sources",
        lambda seed, scale: iter([engines.espeak(6, False, np.random.default_rng(seed))]),
    )
    engines.make_corpus(tmp_path, 0)
    corpus = train_audio2pose.Corpus(tmp_path)
    heard = {}
    for share in (0.0, 1.0):
        monkeypatch.setattr(train_audio2pose, "BED_SHARE", share)
        heard[share] = train_audio2pose.voice_crop(corpus, np.random.default_rng(3), 301)
    assert all(np.array_equal(heard[0.0][k], heard[1.0][k]) for k in (1, 2))
    assert not np.allclose(heard[0.0][0], heard[1.0][0], atol=1e-3)


def test_singing_is_slower_and_higher_than_talk(engine) -> None:
    """The same sentences of the same voices, by the engine's manners."""
    made = {
        manner: list(
            engines.espeak(
                4, False, np.random.default_rng(0), lambda rng: "my moon, my boat", ("m1",), manner
            )
        )
        for manner in (engines.TALKING, engines.SINGING)
    }
    assert all(m.voice.endswith(":sung") for m in made[engines.SINGING])
    talk, song = (np.mean([len(m.samples) for m in kind]) for kind in made.values())
    assert song > 1.2 * talk


def test_training_repeats_to_the_bit_and_resumes(engine, tmp_path, monkeypatch, capsys) -> None:
    corpus = tmp_path / "corpus"
    monkeypatch.setattr(train_audio2pose, "BATCH", 4)
    monkeypatch.setattr(
        train_audio2pose.engines,
        "sources",
        lambda seed, scale: iter([engines.espeak(8, False, np.random.default_rng(seed))]),
    )

    def run(name: str, steps: int, *more: str) -> bytes:
        options = [
            "--out",
            str(tmp_path / name),
            "--steps",
            str(steps),
            "--channels",
            "16",
            "--corpus",
            str(corpus),
            *more,
        ]
        assert train_audio2pose.main(options) == 0
        return (tmp_path / name / "diffusion_pytorch_model.safetensors").read_bytes()

    state = corpus / "train-0-16.pt"
    first = run("a", 3)
    state.unlink()
    assert run("b", 3) == first
    assert torch.load(state, weights_only=True)["step"] == 3
    assert run("c", 3) == first, "a finished run only exports again"
    assert "resumed at step 3" in capsys.readouterr().out
    small = net.Audio2Pose.from_pretrained(tmp_path / "a")
    begun = run("d", 1, "--init", str(tmp_path / "a"))
    tuned = net.Audio2Pose.from_pretrained(tmp_path / "d")
    assert str(tmp_path) not in (tmp_path / "d" / "config.json").read_text()
    assert begun != first and torch.load(state, weights_only=True)["step"] == 3, (
        "its state is its own"
    )
    for old, new in zip(small.parameters(), tuned.parameters(), strict=True):
        assert old.shape == new.shape and (old.float() - new.float()).abs().max() < 5e-3
    assert small.predict(babble(1.0), 25, 25).tokens.shape == (25, 5, 16)


def test_init_without_weights_is_refused(tmp_path, capsys) -> None:
    with pytest.raises(SystemExit) as stop:
        train_audio2pose.main(["--out", str(tmp_path), "--init", str(tmp_path)])
    assert stop.value.code == 2 and "checkpoints/mini/audio2pose" in capsys.readouterr().err
