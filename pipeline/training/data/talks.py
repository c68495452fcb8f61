"""The speech that drawn presenters say: utterances with mouth, accents, loudness and audio tokens.

A bank is made once per run folder (a minute) and kept as one `.npz`. Training voices and texts
never occur in the held-out bank, which needs no more than espeak-ng. What a drawn body does with
the speech is laid down here as curves over time; `acting` turns them into motion.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy.ndimage import gaussian_filter1d, maximum_filter1d
from torch import Tensor

from pipeline import ROOT
from pipeline.models.audio2pose import Audio2Pose, tokens_at
from pipeline.motion.face_animation import PARAMETERS
from pipeline.training.data.presenters.rows import Rows
from pipeline.training.data.speech import engines
from pipeline.training.data.speech.augment import degrade
from pipeline.training.data.speech.authored import mouth
from pipeline.training.data.speech.sentences import pseudo_words, sentence, single_words
from pipeline.training.data.speech.visemes import LABEL_RATE, PHONES, Phones, labels
from pipeline.values import Audio, InputError

BANK_FORMAT = 2  # a bank of another format is made anew
AUDIO2POSE = ROOT / "checkpoints" / "mini" / "audio2pose"
ESPEAK_UTTERANCES = 360  # to train on
FLITE_UTTERANCES = {"slt": 50, "awb": 50, "kal16": 30}  # to train on, where flite is installed
HELD = 48  # held-out utterances, espeak-ng alone, so that every machine can make them
HELD_SEED = 4_242
HELD_VOICES = ("m5", "Lee", "steph2", "max", "john", "linda")  # f3 and Alicia breathe at random
HELD_SHARE = 5  # one text in five, by its checksum, is held out
DEGRADED_SHARE = 0.5  # of training utterances sound like a room, a telephone or a noisy street
SENTENCE_SHARE = 0.8  # of the pieces of text
PSEUDO_WORD_SHARE = 0.1  # of the pieces of text; the rest are single words
SECOND_PIECE_CHANCE = 0.75
NAMES = sorted(PHONES)
LOUDNESS_HOPS = 4  # label frames: loudness is the RMS of 40 ms
ACCENT_GAP_SECONDS = 0.44
ACCENT_RISE = 0.16  # least rise over the second around, as a share of the loudness range
ACCENT_LEVEL = 0.35  # least loudness
# a gesturing body begins before and ends after the voice
PHRASE_BEFORE_SECONDS = 0.3
PHRASE_AFTER_SECONDS = 0.25
CURVES = ("open", "round", "smile", "gap", "loudness", "phrase", "even", "odd", "nod", "brow")
ARRAYS = ("samples", "curves", "accents", "features")  # fields of `Talk` that a file keeps as such
INT16 = 32767


@dataclass(frozen=True)
class Talk:
    """One utterance with everything that presenters take from it."""

    samples: np.ndarray  # (n,) int16 at 16 kHz
    phones: Phones
    voice: str
    curves: np.ndarray  # (N, 10) at 100 Hz, see `CURVES`
    accents: np.ndarray  # (A, 2) seconds and strength in [0, 1]
    features: np.ndarray  # Audio2Pose's, at 50 Hz

    @property
    def seconds(self) -> float:
        """Length of the sound."""
        return len(self.samples) / engines.SAMPLE_RATE


@dataclass(frozen=True)
class Cues(Rows):
    """What B bodies take from their speech in T frames, (B, T) unless noted."""

    mouth: Tensor  # (B, T, 3) open, round, smile
    gap: Tensor  # label of the lips' opening in [0, 1]
    loudness: Tensor
    phrase: Tensor  # 1 while a phrase is said, 0 in pauses, smooth
    # (B, T, 2) lift of the arms around every other accent: up before it, down on it
    strokes: Tensor
    nod: Tensor
    brow: Tensor
    audio: Tensor  # (B, T, 5, 160)


def loudness(samples: np.ndarray) -> np.ndarray:
    """Return (N,) at 100 Hz: clip((RMS - q10) / (q95 - q10), 0, 1), windows of 40 ms."""
    hop = engines.SAMPLE_RATE // LABEL_RATE
    window = LOUDNESS_HOPS * hop
    power = np.pad(samples.astype(np.float64) ** 2, (window // 2, window // 2))
    total = np.concatenate([[0.0], np.cumsum(power)])
    start = np.arange(len(samples) // hop) * hop
    energy = (total[start + window] - total[start]).clip(0)
    rms = np.sqrt(energy / window)
    low, high = np.quantile(rms, (0.10, 0.95))
    return ((rms - low) / max(high - low, 1e-6)).clip(0, 1)


def accents(level: np.ndarray) -> np.ndarray:
    """Return (A, 2) seconds and strength of the peaks of a loudness curve (N,) at 100 Hz."""
    smooth = gaussian_filter1d(level, 0.05 * LABEL_RATE)
    around = gaussian_filter1d(level, 0.5 * LABEL_RATE)
    half_gap = int(ACCENT_GAP_SECONDS * LABEL_RATE / 2)
    is_peak = smooth == maximum_filter1d(smooth, 2 * half_gap + 1)
    rise = smooth - around
    rows = np.flatnonzero(is_peak & (rise > ACCENT_RISE) & (smooth > ACCENT_LEVEL))
    strength = (0.35 + 1.5 * rise[rows]).clip(0, 1)
    return np.stack([rows / LABEL_RATE, strength], 1)


def gestures(stresses: np.ndarray, level: np.ndarray) -> np.ndarray:
    """Return (N, 5) curves phrase, even, odd, nod, brow of a body that speaks.

    `stresses` (A, 2) are the accents, `level` (N,) is the loudness at 100 Hz.
    """
    time = np.arange(len(level)) / LABEL_RATE
    curves = np.zeros((len(level), 5))
    curves[:, 0] = _phrases(level)
    for number, (moment, strength) in enumerate(stresses):
        since = time - moment
        stroke = _bump(since, -0.20, 0.10) - 0.6 * _bump(since, 0.06, 0.09)
        curves[:, 1 + number % 2] += strength * stroke
        nod = _bump(since, 0.05, 0.11) - 0.4 * _bump(since, -0.17, 0.10)
        curves[:, 3] += strength * nod
        curves[:, 4] += strength * _bump(since, -0.02, 0.16)
    return curves


def _phrases(level: np.ndarray) -> np.ndarray:
    """Return (N,) smooth 1 while a phrase is said."""
    before = int(PHRASE_BEFORE_SECONDS * LABEL_RATE)
    after = int(PHRASE_AFTER_SECONDS * LABEL_RATE)
    is_voiced = gaussian_filter1d(level, 3) > 0.12
    padded = np.pad(is_voiced.astype(float), (after, before))
    windows = np.lib.stride_tricks.sliding_window_view(padded, before + after + 1)
    return gaussian_filter1d(windows.max(1), 0.12 * LABEL_RATE)


def _bump(seconds: np.ndarray, middle: float, width: float) -> np.ndarray:
    """Return a Gaussian of height 1."""
    return np.exp(-(((seconds - middle) / width) ** 2))


def make_talk(utterance: engines.Utterance, network: Audio2Pose, recording: np.ndarray) -> Talk:
    """Compute curves, accents and features of an utterance.

    `recording` holds its samples as recorded. Gestures follow the clean sound.
    """
    seconds = len(utterance.samples) / engines.SAMPLE_RATE
    parameters, _ = labels(utterance.phones, seconds)
    level = loudness(recording)
    clean_level = loudness(utterance.samples)
    count = min(len(parameters), len(level))
    parameters = parameters[:count]
    level = level[:count]
    clean_level = clean_level[:count]
    stresses = accents(clean_level)
    gap = parameters[:, PARAMETERS.index("gap"), None]
    columns = [mouth(parameters), gap, level[:, None], gestures(stresses, clean_level)]
    curves = np.concatenate(columns, 1)
    audio = Audio(recording.astype(np.float32), engines.SAMPLE_RATE)
    samples = (recording.clip(-1, 1) * INT16).round()
    return Talk(
        samples=samples.astype(np.int16),
        phones=utterance.phones,
        voice=utterance.voice,
        curves=curves.astype(np.float32),
        accents=stresses,
        features=network.features(audio).astype(np.float16),
    )


# ---- the bank


def _draw_pieces(rng: np.random.Generator, held_out: bool) -> list[str]:
    """Draw one or two texts that only this side of the split says."""
    count = 1 + (rng.random() < SECOND_PIECE_CHANCE)
    return [_draw_piece(rng, held_out) for _ in range(count)]


def _draw_piece(rng: np.random.Generator, held_out: bool) -> str:
    """Draw a sentence, made-up words or single words until this side of the split has it."""
    while True:
        kind = rng.random()
        if kind < SENTENCE_SHARE:
            text = sentence(rng)
        elif kind < SENTENCE_SHARE + PSEUDO_WORD_SHARE:
            text = pseudo_words(rng)
        else:
            text = single_words(rng)
        if (zlib.crc32(text.encode()) % HELD_SHARE == 0) == held_out:
            return text


def _training_text(rng: np.random.Generator) -> str:
    return " ".join(_draw_pieces(rng, held_out=False))


def _held_out_text(rng: np.random.Generator) -> str:
    return " ".join(_draw_pieces(rng, held_out=True))


def _training_utterances(seed: int, scale: float) -> Iterator[engines.Utterance]:
    """Say texts with every engine that is installed here, but festival."""
    rng = np.random.default_rng((seed, 7))
    count = max(2, int(ESPEAK_UTTERANCES * scale))
    yield from engines.espeak(count, False, rng, _training_text)
    if shutil.which("flite"):
        for voice, count in FLITE_UTTERANCES.items():
            yield from engines.flite(voice, max(1, int(count * scale)), rng, _training_text)


class Bank:
    """Talks of one side of the split; `cues` reads them at any moments."""

    def __init__(self, talks: list[Talk]) -> None:
        if not talks:
            raise InputError(
                "the speech bank is empty; check that espeak-ng or espeakng-loader works"
            )
        self.talks = talks

    def __len__(self) -> int:
        return len(self.talks)

    def seconds(self, rows: Tensor) -> Tensor:
        """Return (B,) the lengths of the talks `rows` (B,)."""
        return torch.tensor([self.talks[row].seconds for row in rows.tolist()])

    def cues(self, rows: Tensor, times: Tensor) -> Cues:
        """Read the talks `rows` (B,) at `times` (B, T) seconds, linear between curve samples."""
        curves = []
        audio = []
        for row, moments in zip(rows.tolist(), times.double().numpy(), strict=True):
            talk = self.talks[row]
            last = len(talk.curves) - 1
            place = (moments * LABEL_RATE).clip(0, last)
            low = np.minimum(place.astype(int), last - 1)
            share = (place - low)[:, None]
            curves.append(talk.curves[low] * (1 - share) + talk.curves[low + 1] * share)
            audio.append(tokens_at(talk.features, moments))
        values = torch.from_numpy(np.stack(curves)).float()
        gap, level, phrase, even, odd, nod, brow = values[..., 3:].unbind(-1)
        return Cues(
            mouth=values[..., :3],
            gap=gap,
            loudness=level,
            phrase=phrase,
            strokes=torch.stack((even, odd), -1),
            nod=nod,
            brow=brow,
            audio=torch.from_numpy(np.stack(audio)).half(),
        )

    def save(self, path: Path) -> None:
        """Write one `.npz` through a temporary file.

        Arrays of all talks are joined; `*_ends` tells where each talk's part ends.
        """
        arrays = {}
        for name in ARRAYS:
            parts = [getattr(talk, name) for talk in self.talks]
            arrays[name] = np.concatenate(parts)
            arrays[f"{name}_ends"] = _ends(parts)
        phones = []
        for talk in self.talks:
            phones.append([(NAMES.index(name), start, end) for name, start, end in talk.phones])
        arrays["phones"] = np.concatenate(phones)
        arrays["phones_ends"] = _ends(phones)
        voices = np.array([talk.voice for talk in self.talks])
        draft = path.with_suffix(f".{os.getpid()}.tmp")
        with open(draft, "wb") as file:
            np.savez(file, format=BANK_FORMAT, voices=voices, **arrays)
        os.replace(draft, path)

    @staticmethod
    def load(path: Path) -> Bank:
        """Read what `save` wrote."""
        parts = {}
        with np.load(path, allow_pickle=False) as file:
            if int(file["format"]) != BANK_FORMAT:
                raise InputError(f"{path.name} is a speech bank of another format; delete it")
            for name in (*ARRAYS, "phones"):
                parts[name] = np.split(file[name], file[f"{name}_ends"][:-1])
            voices = file["voices"].tolist()
        talks = []
        for number, voice in enumerate(voices):
            rows = parts["phones"][number].tolist()
            talk = Talk(
                samples=parts["samples"][number],
                phones=[(NAMES[int(name)], start, end) for name, start, end in rows],
                voice=voice,
                curves=parts["curves"][number],
                accents=parts["accents"][number],
                features=parts["features"][number],
            )
            talks.append(talk)
        return Bank(talks)


def _ends(parts: list) -> np.ndarray:
    return np.cumsum([len(part) for part in parts])


def make_bank(seed: int, scale: float = 1.0) -> Bank:
    """Make the bank to train on, `scale` times the plain size; half of it sounds recorded."""
    rng = np.random.default_rng((seed, 8))
    network = Audio2Pose.from_pretrained(AUDIO2POSE)
    talks = []
    for utterance in _training_utterances(seed, scale):
        recording = utterance.samples
        if rng.random() < DEGRADED_SHARE:
            recording = degrade(utterance.samples, rng, None)
        talks.append(make_talk(utterance, network, recording))
    return Bank(talks)


def load_or_make_bank(folder: Path, seed: int, scale: float = 1.0) -> Bank:
    """Read the training bank of a run; make it first when `folder` has none."""
    path = folder / f"talks-{BANK_FORMAT}-{seed}.npz"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        make_bank(seed, scale).save(path)
    return Bank.load(path)


@functools.cache
def held_out() -> Bank:
    """Return clean speech of voices and texts that no training bank holds; always the same.

    espeak-ng's sound depends on all that the process had it say before, so a new process makes
    the bank.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "held.npz"
        holder = Path(__file__).resolve().parents[3]  # the folder that holds the package
        paths = [str(holder)]
        if os.environ.get("PYTHONPATH"):
            paths.append(os.environ["PYTHONPATH"])
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
        command = [sys.executable, "-m", "pipeline.training.data.talks", str(path)]
        subprocess.run(command, check=True, env=environment)
        return Bank.load(path)


def write_held_out(path: Path) -> None:
    """Write the held-out bank; what it holds is only repeatable in a new process."""
    network = Audio2Pose.from_pretrained(AUDIO2POSE)
    rng = np.random.default_rng(HELD_SEED)
    utterances = engines.espeak(HELD, True, rng, _held_out_text, HELD_VOICES)
    talks = [make_talk(utterance, network, utterance.samples) for utterance in utterances]
    Bank(talks).save(path)


if __name__ == "__main__":
    write_held_out(Path(sys.argv[1]))
