"""The shipped Audio2Pose network."""

import numpy as np
import pytest
import torch

from pipeline.evaluation import lips
from pipeline.evaluation.lips.figures import quiet_sounds
from pipeline.evaluation.metrics.correlation import correlation
from pipeline.models import audio2pose as net
from pipeline.motion import face_animation
from pipeline.training.data.speech import engines, visemes
from pipeline.values import Audio
from tests.helpers.processor_time import units
from tests.helpers.voices import babble

SAMPLE_RATE = 16000
COLUMN = {name: k for k, name in enumerate(face_animation.PARAMETERS)}
GAP = COLUMN["gap"]


@pytest.fixture(scope="module")
def folder(root):
    return root / "checkpoints" / "mini" / "audio2pose"


@pytest.fixture(scope="module")
def model(folder) -> net.Audio2Pose:
    return net.Audio2Pose.from_pretrained(folder)


def said(
    engine: engines.Espeak, text: str, voice: str = "en-us+max"
) -> tuple[Audio, visemes.Phones]:
    """Speech of a voice that training never heard, with half a second of silence around it."""
    samples, phones = engine.say(text, voice, 150, 50, 50)
    made = engines._padded(samples, phones, voice)
    return Audio(made.samples, SAMPLE_RATE), made.phones


def test_the_checkpoint_is_small_half_precision_and_has_the_order_of_the_face_basis(
    folder, model
) -> None:
    files = sorted(folder.iterdir())
    assert [f.name for f in files] == ["config.json", "diffusion_pytorch_model.safetensors"]
    assert sum(f.stat().st_size for f in files) <= 2_000_000
    assert len(face_animation.PARAMETERS) == net.PARAMETER_COUNT
    assert len(visemes.VISEMES) == net.VISEME_COUNT and visemes.VISEMES[0] == "sil"
    assert all(torch.isfinite(p).all() for p in model.parameters())


@pytest.mark.parametrize(("fps", "seconds"), [(25, 2.0), (29.97, 1.3), (12, 0.1), (60, 3.01)])
def test_any_rate_and_length_gives_one_row_per_frame(model, fps: float, seconds: float) -> None:
    audio = babble(seconds)
    frames = audio.frames(fps)
    out = model.predict(audio, fps, frames)
    assert out.params.shape == (frames, 10) and out.speech.shape == (frames,)
    assert out.tokens.shape == (frames, 5, model.config.channels) and out.tokens.dtype == np.float32
    assert np.isfinite(out.tokens).all()
    for curve in (out.params, out.speech):
        assert curve.min() >= 0 and curve.max() <= 1


def test_the_same_sound_gives_the_same_bytes_and_rates_agree(model, engine) -> None:
    audio, _ = said(engine, "My brother brings five purple apples.")
    frames = audio.frames(25)
    one, two = (model.predict(audio, 25, frames) for _ in range(2))
    assert (
        one.params.tobytes() == two.params.tobytes()
        and one.tokens.tobytes() == two.tokens.tobytes()
    )
    fine = model.predict(audio, 100, frames * 4).params
    place = (
        np.arange(frames) + net.PHASE
    ) * 4 - net.PHASE  # the coarse frames' times among the fine rows
    middle = np.stack([np.interp(place, np.arange(len(fine)), curve) for curve in fine.T], axis=1)
    assert np.abs(middle - one.params).max() < 0.1


def test_loudness_hardly_matters(model, engine) -> None:
    audio, _ = said(engine, "Please remember the bamboo village.")
    frames = audio.frames(25)
    loud = model.predict(audio, 25, frames).params[:, GAP]
    quiet = model.predict(Audio(audio.samples * 0.02, SAMPLE_RATE), 25, frames).params[:, GAP]
    assert np.corrcoef(loud, quiet)[0, 1] > 0.9


@pytest.mark.parametrize("name", sorted(quiet_sounds(0.1)))
def test_without_speech_the_mouth_stays_shut(model, name: str) -> None:
    samples = quiet_sounds()[name]
    out = model.predict(Audio(samples, SAMPLE_RATE), 25, 100)
    assert out.params[:, GAP].max() <= 0.1 and out.params[:, COLUMN["jaw"]].max() <= 0.1


def test_the_mouth_shuts_in_a_long_pause_and_opens_for_speech(model, engine) -> None:
    audio, phones = said(engine, "Many people open the window.")
    pause = np.zeros(3 * SAMPLE_RATE, np.float32)
    both = Audio(np.concatenate([audio.samples, pause, audio.samples]), SAMPLE_RATE)
    out = model.predict(both, 25, both.frames(25))
    quiet = slice(int((audio.seconds + 0.6) * 25), int((audio.seconds + 2.6) * 25))
    assert out.params[quiet, GAP].max() <= 0.1 and out.speech[quiet].max() < 0.3
    talking = slice(int(0.6 * 25), int((audio.seconds - 0.6) * 25))
    assert out.params[talking, GAP].max() > 0.4 and out.speech[talking].mean() > 0.7


def test_p_b_m_close_the_lips(model, engine) -> None:
    closed = []
    for text in ("Mama, papa, baba. Mama, papa, baba.", "My baby moves above a purple umbrella."):
        for voice in ("en-us+max", "en-us+linda", "en-us+john"):
            audio, phones = said(engine, text, voice)
            gap = face_animation.gated_gap(model.predict(audio, 100, audio.frames(100)).params)
            level = 0.25 * np.percentile(gap, 90)
            for name, start, end in phones:
                if name in ("p", "b", "m"):
                    closed.append(gap[int(start * 100) : int(end * 100) + 2].min() < level)
    assert len(closed) > 40 and np.mean(closed) >= 0.8


def test_oo_is_rounder_than_ee(model, engine) -> None:
    def middle(text: str, vowel: str) -> np.ndarray:
        audio, phones = said(engine, text)
        params = model.predict(audio, 100, audio.frames(100)).params
        places = [int(50 * (start + end)) for name, start, end in phones if name == vowel]
        assert len(places) >= 4
        return params[places].mean(0)

    oo, ee = middle("Two. Do. Soon. Food. Moon.", "uw"), middle("Tea. See. Deed. Feed. Mean.", "iy")
    assert oo[COLUMN["pucker"]] > ee[COLUMN["pucker"]] + 0.2
    assert ee[COLUMN["stretch"]] > oo[COLUMN["stretch"]] + 0.1


def test_predictions_are_neither_early_nor_late(model, engine) -> None:
    audio, phones = said(engine, "Both farmers believe that the village watches my brother.")
    truth = visemes.labels(phones, audio.seconds)[0][:, GAP]
    gap = model.predict(audio, 100, len(truth)).params[:, GAP]
    lags = {lag: correlation(gap, truth, lag) for lag in range(-10, 11)}
    assert abs(max(lags, key=lags.get)) <= 4, "at most 40 ms"
    assert lags[0] > 0.75


def test_a_long_clip_is_read_in_chunks_without_seams(model, engine, monkeypatch) -> None:
    audio, _ = said(engine, "The brave farmer moves five wooden boats by the river.")
    long = Audio(np.tile(audio.samples, int(40 / audio.seconds) + 1), SAMPLE_RATE)
    frames = long.frames(25)
    parts = model.predict(long, 25, frames).params[:, GAP]
    monkeypatch.setattr(net, "CHUNK", 100_000)
    whole = model.predict(long, 25, frames).params[:, GAP]
    assert np.abs(parts - whole).mean() < 0.03 and np.abs(parts - whole).max() < 0.2


def test_ten_seconds_cost_little(model) -> None:
    audio = babble(10)
    assert units(lambda: model.predict(audio, 25, 250)) <= 4  # 1.3 measured


@pytest.mark.parametrize(
    ("audio", "fps", "frames", "words"),
    [
        (Audio(np.zeros(44100, np.float32), 44100), 25, 25, "44100 Hz"),
        (Audio(np.zeros(0, np.float32), SAMPLE_RATE), 25, 25, "samples long"),
        (Audio(np.full(SAMPLE_RATE, np.nan, np.float32), SAMPLE_RATE), 25, 25, "finite"),
        (Audio(np.zeros(SAMPLE_RATE, np.float32), SAMPLE_RATE), 0, 25, "fps"),
        (Audio(np.zeros(SAMPLE_RATE, np.float32), SAMPLE_RATE), 25, 0, "frames"),
    ],
)
def test_bad_input_is_refused_in_a_sentence(model, audio, fps, frames, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        model.predict(audio, fps, frames)


@pytest.mark.slow
def test_real_lips(model, shared) -> None:
    """GRID clips with MediaPipe's mesh as truth, a held-out flite voice, sounds without speech."""
    out = lips.evaluate(shared / "media", model)
    assert out.passed, [row for row in out.rows if not row.passed]
    assert out.facts["mean"]["gap_r"] > out.facts["mean"]["envelope_r"] + 0.1
