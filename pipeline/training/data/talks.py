"""The speech that drawn presenters say: synthetic utterances with mouth, accents, loudness and audio tokens.

A bank is made once per run folder (a minute) and kept as one `.npz`. Training voices and texts never occur in
the held-out bank, which needs no more than espeak-ng. Everything that a drawn body does with the speech is
laid down here as curves over time; `acting` turns them into motion.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterator
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

FORMAT = 2  # of the bank: another number is made anew
AUDIO2POSE = ROOT / "checkpoints" / "mini" / "audio2pose"
ESPEAK, FLITE = (
    360,
    {"slt": 50, "awb": 50, "kal16": 30},
)  # utterances to train on; flite where it is installed
HELD = 48  # held-out utterances, espeak-ng alone, so that every machine can make them
HELD_SEED = 4_242
HELD_VOICES = (
    "m5",
    "Lee",
    "steph2",
    "max",
    "john",
    "linda",
)  # f3 and Alicia breathe at random
HELD_SHARE = 5  # one text in five, by its checksum, is held out
DEGRADED = 0.5  # share of training utterances that sound like a room, a telephone or a noisy street
NAMES = sorted(PHONES)
WINDOW = 4  # label frames: loudness is the RMS of 40 ms
ACCENT_GAP, ACCENT_RISE = (
    0.44,
    0.16,
)  # s between accents; least rise over the second around, of the range
PHRASE_BEFORE, PHRASE_AFTER = (
    0.3,
    0.25,
)  # s that a gesturing body begins before and ends after the voice
CURVES = ("open", "round", "smile", "gap", "loudness", "phrase", "even", "odd", "nod", "brow")


@dataclass(frozen=True)
class Talk:
    """One utterance: int16 samples at 16 kHz, phones, curves (N, 10) at 100 Hz, accents, features at 50 Hz.

    The curves are named in `CURVES`; accents (A, 2) are seconds and strength in [0, 1].
    """

    samples: np.ndarray
    phones: Phones
    voice: str
    curves: np.ndarray
    accents: np.ndarray
    features: np.ndarray

    @property
    def seconds(self) -> float:
        return len(self.samples) / engines.SAMPLE_RATE


@dataclass(frozen=True)
class Cues(Rows):
    """What B bodies take from their speech in T frames: (B, T), but mouth (B, T, 3), audio (B, T, 5, 160)."""

    mouth: Tensor
    gap: Tensor  # label of the lips' opening in [0, 1]
    loudness: Tensor
    phrase: Tensor  # 1 while a phrase is said, 0 in pauses, smooth
    strokes: (
        Tensor  # (B, T, 2) lift of the arms around every other accent: up before it, down on it
    )
    nod: Tensor
    brow: Tensor
    audio: Tensor


def loudness(samples: np.ndarray) -> np.ndarray:
    """(N,) at 100 Hz: clip((RMS - q10) / (q95 - q10), 0, 1) over the whole speech, windows of 40 ms."""
    hop = engines.SAMPLE_RATE // LABEL_RATE
    power = np.pad(samples.astype(np.float64) ** 2, (WINDOW * hop // 2, WINDOW * hop // 2))
    total = np.concatenate([[0.0], np.cumsum(power)])
    start = np.arange(len(samples) // hop) * hop
    rms = np.sqrt((total[start + WINDOW * hop] - total[start]).clip(0) / (WINDOW * hop))
    low, high = np.quantile(rms, (0.10, 0.95))
    return ((rms - low) / max(high - low, 1e-6)).clip(0, 1)


def accents(level: np.ndarray) -> np.ndarray:
    """(A, 2) seconds and strength of the stressed syllables: peaks of a loudness curve (N,) at 100 Hz."""
    smooth = gaussian_filter1d(level, 0.05 * LABEL_RATE)
    around = gaussian_filter1d(level, 0.5 * LABEL_RATE)
    peak = smooth == maximum_filter1d(smooth, 2 * int(ACCENT_GAP * LABEL_RATE / 2) + 1)
    rise = smooth - around
    rows = np.flatnonzero(peak & (rise > ACCENT_RISE) & (smooth > 0.35))
    return np.stack([rows / LABEL_RATE, (0.35 + 1.5 * rise[rows]).clip(0, 1)], 1)


def gestures(stresses: np.ndarray, level: np.ndarray) -> np.ndarray:
    """(N, 5) curves phrase, even, odd, nod, brow of a body that speaks with these accents (A, 2)."""
    time = np.arange(len(level)) / LABEL_RATE
    before, after = int(PHRASE_BEFORE * LABEL_RATE), int(PHRASE_AFTER * LABEL_RATE)
    voiced = np.pad((gaussian_filter1d(level, 3) > 0.12).astype(float), (after, before))
    phrase = np.lib.stride_tricks.sliding_window_view(voiced, before + after + 1).max(1)
    out = np.zeros((len(level), 5))
    out[:, 0] = gaussian_filter1d(phrase, 0.12 * LABEL_RATE)
    for number, (moment, strength) in enumerate(stresses):
        u = time - moment
        stroke = np.exp(-(((u + 0.20) / 0.10) ** 2)) - 0.6 * np.exp(-(((u - 0.06) / 0.09) ** 2))
        out[:, 1 + number % 2] += strength * stroke
        dip = np.exp(-(((u - 0.05) / 0.11) ** 2)) - 0.4 * np.exp(-(((u + 0.17) / 0.10) ** 2))
        out[:, 3] += strength * dip
        out[:, 4] += strength * np.exp(-(((u + 0.02) / 0.16) ** 2))
    return out


def talk(said: engines.Utterance, network: Audio2Pose, heard: np.ndarray) -> Talk:
    """The utterance with everything that presenters take from it; `heard` are the samples as recorded."""
    parameters, _ = labels(said.phones, len(said.samples) / engines.SAMPLE_RATE)
    level = loudness(heard)
    count = min(len(parameters), len(level))
    parameters, level, clean = parameters[:count], level[:count], loudness(said.samples)[:count]
    stresses = accents(clean)
    gap = parameters[:, PARAMETERS.index("gap"), None]
    curves = np.concatenate([mouth(parameters), gap, level[:, None], gestures(stresses, clean)], 1)
    features = network.features(Audio(heard.astype(np.float32), engines.SAMPLE_RATE)).astype(
        np.float16
    )
    pcm = (heard.clip(-1, 1) * 32767).round().astype(np.int16)
    return Talk(pcm, said.phones, said.voice, curves.astype(np.float32), stresses, features)


# ---- the bank


def _pieces(held: bool) -> Callable[[np.random.Generator], list[str]]:
    """Makes one or two texts (sentences, made-up or single words) that only this side of the split says."""

    def one(rng: np.random.Generator) -> str:
        while True:
            kind = rng.random()
            text = (sentence if kind < 0.8 else pseudo_words if kind < 0.9 else single_words)(rng)
            if (zlib.crc32(text.encode()) % HELD_SHARE == 0) == held:
                return text

    return lambda rng: [one(rng) for _ in range(1 + (rng.random() < 0.75))]


def _texts(held: bool) -> engines.Writer:
    return lambda rng: " ".join(_pieces(held)(rng))


def _said(seed: int, scale: float) -> Iterator[engines.Utterance]:
    """Utterances to train on, of every engine found here but festival."""
    rng = np.random.default_rng((seed, 7))
    yield from engines.espeak(max(2, int(ESPEAK * scale)), False, rng, _texts(False))
    if shutil.which("flite"):
        for voice, count in FLITE.items():
            yield from engines.flite(voice, max(1, int(count * scale)), rng, _texts(False))


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
        """(B,) lengths of the talks `rows` (B,)."""
        return torch.tensor([self.talks[k].seconds for k in rows.tolist()])

    def cues(self, rows: Tensor, times: Tensor) -> Cues:
        """The cues of the talks `rows` (B,) at `times` (B, T) seconds, linear between curve samples."""
        curves, audio = [], []
        for row, moments in zip(rows.tolist(), times.double().numpy(), strict=True):
            said = self.talks[row]
            place = (moments * LABEL_RATE).clip(0, len(said.curves) - 1)
            low = np.minimum(place.astype(int), len(said.curves) - 2)
            share = (place - low)[:, None]
            curves.append(said.curves[low] * (1 - share) + said.curves[low + 1] * share)
            audio.append(tokens_at(said.features, moments))
        values = torch.from_numpy(np.stack(curves)).float()
        sound = torch.from_numpy(np.stack(audio)).half()
        return Cues(
            values[..., :3],
            *values[..., 3:6].unbind(-1),
            values[..., 6:8],
            *values[..., 8:].unbind(-1),
            sound,
        )

    def save(self, path: Path) -> None:
        """Writes one `.npz` through a temporary file."""
        parts = {
            k: [getattr(t, k) for t in self.talks]
            for k in ("samples", "curves", "accents", "features")
        }
        arrays = {k: np.concatenate(v) for k, v in parts.items()}
        arrays |= {f"{k}_ends": np.cumsum([len(a) for a in v]) for k, v in parts.items()}
        phones = [[(NAMES.index(n), a, b) for n, a, b in t.phones] for t in self.talks]
        arrays["phones"], arrays["phones_ends"] = (
            np.concatenate(phones),
            np.cumsum([len(p) for p in phones]),
        )
        draft = path.with_suffix(f".{os.getpid()}.tmp")
        with open(draft, "wb") as file:
            np.savez(file, format=FORMAT, voices=np.array([t.voice for t in self.talks]), **arrays)
        os.replace(draft, path)

    @staticmethod
    def load(path: Path) -> Bank:
        with np.load(path, allow_pickle=False) as file:
            if int(file["format"]) != FORMAT:
                raise InputError(f"{path.name} is a speech bank of another format; delete it")
            names = ("samples", "phones", "curves", "accents", "features")
            cut = {k: np.split(file[k], file[f"{k}_ends"][:-1]) for k in names}
            voices = file["voices"].tolist()
        cut["phones"] = [
            [(NAMES[int(n)], a, b) for n, a, b in rows.tolist()] for rows in cut["phones"]
        ]
        columns = (
            cut["samples"],
            cut["phones"],
            voices,
            cut["curves"],
            cut["accents"],
            cut["features"],
        )
        return Bank([Talk(*row) for row in zip(*columns, strict=True)])


def make(seed: int, scale: float = 1.0) -> Bank:
    """The bank to train on, `scale` times the plain size; half of it degraded as recordings are."""
    rng, network = np.random.default_rng((seed, 8)), Audio2Pose.from_pretrained(AUDIO2POSE)
    out = []
    for said in _said(seed, scale):
        heard = degrade(said.samples, rng, None) if rng.random() < DEGRADED else said.samples
        out.append(talk(said, network, heard))
    return Bank(out)


def bank(folder: Path, seed: int, scale: float = 1.0) -> Bank:
    """The training bank of a run, made when `folder` has none."""
    path = folder / f"talks-{FORMAT}-{seed}.npz"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        make(seed, scale).save(path)
    return Bank.load(path)


@functools.cache
def held_out() -> Bank:
    """Clean speech of voices and texts that no training bank holds; the same at every call.

    espeak-ng's sound depends on all that the process had it say before, so a new process makes the bank.
    """
    with tempfile.TemporaryDirectory() as folder:
        path, root = Path(folder) / "held.npz", str(ROOT)
        paths = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
        command = [sys.executable, "-m", "pipeline.training.data.talks", str(path)]
        subprocess.run(command, check=True, env={**os.environ, "PYTHONPATH": paths})
        return Bank.load(path)


def write_held_out(path: Path) -> None:
    """Writes the held-out bank; what it holds is only repeatable in a new process."""
    network = Audio2Pose.from_pretrained(AUDIO2POSE)
    made = engines.espeak(HELD, True, np.random.default_rng(HELD_SEED), _texts(True), HELD_VOICES)
    Bank([talk(said, network, said.samples) for said in made]).save(path)


if __name__ == "__main__":
    write_held_out(Path(sys.argv[1]))
