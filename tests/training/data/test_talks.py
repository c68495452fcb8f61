"""Speech of the drawn presenters: the split, and that mouth, body and tokens follow the sound."""

import zlib

import numpy as np
import pytest
import torch

from pipeline.models.audio2pose import PHASE, Audio2Pose
from pipeline.training.data import clips, held_out, presenters, talks
from pipeline.training.data.presenters import acting
from pipeline.training.data.speech import engines
from pipeline.values import Audio


@pytest.fixture(scope="module")
def held() -> talks.Bank:
    return talks.held_out()


def test_texts_of_the_two_sides_never_meet():
    kept = {True: set(), False: set()}
    for side, pieces in kept.items():
        rng = np.random.default_rng(0)
        for _ in range(60):
            pieces.update(talks._draw_pieces(rng, side))
    assert kept[True] and kept[False] and not kept[True] & kept[False]
    assert all(
        (zlib.crc32(p.encode()) % talks.HELD_SHARE == 0) == side
        for side in kept
        for p in kept[side]
    )
    assert not set(engines.VARIANTS) & set(engines.HELD_OUT_VARIANTS)


@pytest.mark.slow
def test_the_held_out_bank_is_repeatable_and_of_held_out_voices(held):
    assert {t.voice for t in held.talks} == {"espeak:held-out"} and len(held) >= 40
    list(engines.espeak(2, True, np.random.default_rng(1)))  # espeak-ng remembers what it said
    talks.held_out.cache_clear()
    again = talks.held_out()
    assert [t.phones for t in again.talks] == [t.phones for t in held.talks]
    for one, two in zip(held.talks, again.talks, strict=True):
        assert np.array_equal(one.samples, two.samples) and np.array_equal(one.curves, two.curves)
    assert set(talks.HELD_VOICES) <= set(engines.HELD_OUT_VARIANTS)


def test_a_training_bank_is_made_once_and_comes_back_from_its_file(tmp_path):
    made = talks.load_or_make_bank(tmp_path, 3, scale=0.01)
    (path,) = tmp_path.glob("*.npz")
    written = path.stat().st_mtime_ns
    again = talks.load_or_make_bank(tmp_path, 3, scale=0.01)
    assert path.stat().st_mtime_ns == written and len(again) == len(made) >= 2
    one, two = made.talks[-1], again.talks[-1]
    assert one.phones == two.phones and one.voice == two.voice
    for name in ("samples", "curves", "accents", "features"):
        assert np.array_equal(getattr(one, name), getattr(two, name)), name
    assert "espeak:held-out" not in {t.voice for t in made.talks}


def test_tokens_and_loudness_are_those_of_the_shipped_network(held):
    said, frames = held.talks[2], 40
    cues = held.cues(torch.tensor([2]), ((torch.arange(frames) + PHASE) / 25)[None])
    network = Audio2Pose.from_pretrained(talks.AUDIO2POSE)
    audio = Audio(said.samples.astype(np.float32) / 32767, engines.SAMPLE_RATE)
    tokens = network.predict(audio, 25, frames).tokens
    assert cues.audio.shape == (1, frames, *clips.TOKENS)
    assert np.abs(cues.audio[0].float().numpy() - tokens).max() < 0.05 * np.abs(tokens).max()
    level = talks.loudness(said.samples)
    assert level.min() == 0 and level.max() == 1 and level[:40].max() < 0.05  # the silence before
    assert cues.loudness.min() >= 0 and cues.loudness.max() <= 1


def test_accents_are_the_loud_syllables_and_nothing_in_silence():
    time = np.arange(400) / 100
    level = 0.5 * np.exp(-(((time - 1.0) / 0.08) ** 2)) + np.exp(-(((time - 2.5) / 0.08) ** 2))
    found = talks.accents(level)
    assert found[:, 0] == pytest.approx([1.0, 2.5], abs=0.02) and found[0, 1] < found[1, 1]
    assert len(talks.accents(np.zeros(400))) == 0


def _speaker(bank: talks.Bank, row: int, fps: float = 50.0):
    """A lively two-handed speaker without random motion: dofs and figure points at every moment."""
    times = torch.arange(0, bank.talks[row].seconds, 1 / fps)[None]
    generator = torch.Generator().manual_seed(row)
    who, moves = presenters.draw_identities(generator, 1), presenters.draw_motions(generator, 1)
    moves.amplitude.zero_()
    manner = acting.draw_manners(generator, 1)
    manner.hands.fill_(1), manner.beat.fill_(0.4), manner.nod.fill_(6.0), manner.engage.fill_(0.0)
    dofs = acting.act(moves, manner, bank.cues(torch.tensor([row]), times), times)
    return who, dofs, times[0].numpy()


def test_hands_and_head_strike_on_accents_and_rest_in_pauses(held):
    struck, rested = [], []
    for row in range(6):
        who, dofs, times = _speaker(held, row)
        _, hands, _ = presenters.points(who, dofs, (192, 128))
        wrist = hands[0, :, 0, :2].numpy()
        speed = np.linalg.norm(np.gradient(wrist, times, axis=0), axis=1)
        away = np.abs(times[:, None] - held.talks[row].accents[:, 0]).min(1)
        quiet = (
            held.cues(torch.tensor([row]), torch.from_numpy(times)[None]).phrase[0].numpy() < 0.2
        )
        struck.append(speed[away < 0.1].mean() / speed[(away > 0.3) & ~quiet].mean())
        rested.append(speed[quiet].mean() / speed[~quiet].mean())
        pitch = dofs.head[0, :, 1].numpy()
        assert pitch[away < 0.07].mean() > pitch[away > 0.3].mean() + 1.0
    assert np.mean(struck) > 2 and np.mean(rested) < 0.15


def test_the_drawn_mouth_opens_as_the_phones_say(held):
    who, dofs, times = _speaker(held, 1)
    gap = held.cues(torch.tensor([1]), torch.from_numpy(times)[None]).gap[0].numpy()
    _, _, face = presenters.points(who, dofs, (192, 128))
    drawn = held_out.aperture(face[0], (192, 128))
    assert np.corrcoef(gap, drawn)[0, 1] > 0.9
    closed = [m for n, a, b in held.talks[1].phones if n in ("p", "b", "m") for m in [(a + b) / 2]]
    rows = (np.array(closed) * 50).astype(int)
    assert np.median(drawn[rows]) < 0.25 * np.percentile(drawn, 95)


@pytest.mark.slow
def test_held_talks_carry_their_sound_and_withheld_lips_leave_no_mouth_motion_in_the_warp():
    shown, kept = (next(held_out.held_talks(1, 1.6, lips)) for lips in (1.0, 0.0))
    assert shown.clips.truth.shape == (1, 40, 3, 192, 128)
    assert len(shown.samples) == 1.6 * engines.SAMPLE_RATE and shown.phones[-1][2] <= 1.6
    assert torch.equal(shown.clips.truth, kept.clips.truth) and torch.equal(
        shown.clips.face, kept.clips.face
    )
    gap = shown.aperture
    assert gap.max() > 0.05

    def darkness(clips: clips.Clips) -> np.ndarray:
        height, width = clips.size
        rows = []
        for picture, points in zip(clips.warped[0].float(), shown.face, strict=True):
            lips = points[48:60, :2] * torch.tensor([width, height])
            low, high = lips.amin(0).long(), lips.amax(0).long() + 1
            rows.append(float(picture[:, low[1] : high[1], low[0] : high[0]].amin((1, 2)).mean()))
        return np.array(rows)

    moving, still = darkness(shown.clips), darkness(kept.clips)
    assert np.corrcoef(moving, gap)[0, 1] < -0.6
    assert still.std() < 0.5 * moving.std() and abs(np.corrcoef(still, gap)[0, 1]) < 0.5
