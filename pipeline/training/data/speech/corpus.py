"""The speech corpus of `train audio2pose`: utterances on disk with their label curves."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.models.audio2pose import SAMPLE_RATE
from pipeline.training.data.speech import engines
from pipeline.training.data.speech.visemes import LABEL_RATE, Phones, labels

# shares of the voices
SUNG_SHARE = 0.15
RECORDED_SHARE = 0.6  # flite and festival (built from recordings), else espeak (formants)
HOP = SAMPLE_RATE // LABEL_RATE  # samples of a label frame

Crop = tuple[np.ndarray, np.ndarray, np.ndarray]  # samples, parameters (T, 10), classes (T,)


@dataclass(frozen=True)
class LabeledUtterance:
    """An utterance of the corpus with its label curves at 100 Hz."""

    offset: int  # samples
    length: int  # samples
    params: np.ndarray  # (T, 10) float16
    classes: np.ndarray  # (T,) int8
    voice: str
    phones: Phones


class Corpus:
    """The utterances on disk (samples memory-mapped) with their labels."""

    def __init__(self, folder: Path) -> None:
        self.samples = np.memmap(folder / "audio.i16", np.int16, "r")
        self.train: list[LabeledUtterance] = []
        self.held_out: list[LabeledUtterance] = []
        for row in json.loads((folder / "utterances.json").read_text()):
            utterance = _labeled(row)
            is_held_out = utterance.voice in engines.HELD_OUT
            (self.held_out if is_held_out else self.train).append(utterance)
        # rows of `train`
        self.sung: list[int] = []
        self.espeak: list[int] = []
        self.recorded: list[int] = []
        for number, utterance in enumerate(self.train):
            if utterance.voice.endswith(engines.SINGING.name):
                self.sung.append(number)
            elif utterance.voice.startswith("espeak"):
                self.espeak.append(number)
            else:
                self.recorded.append(number)
        self.recorded = self.recorded or self.espeak

    def sound(self, utterance: LabeledUtterance) -> np.ndarray:
        """Read the samples of an utterance."""
        end = utterance.offset + utterance.length
        return self.samples[utterance.offset : end].astype(np.float32) / 32768

    def crop(self, rng: np.random.Generator, seconds: float) -> Crop:
        """Draw a stretch of an utterance; silence fills what is missing."""
        if self.sung and rng.random() < SUNG_SHARE:
            pool = self.sung
        else:
            pool = self.recorded if rng.random() < RECORDED_SHARE else self.espeak
        utterance = self.train[int(rng.choice(pool))]
        sound = self.sound(utterance)
        params = utterance.params.astype(np.float32)
        classes = utterance.classes.astype(np.int64)
        frames = int(seconds * LABEL_RATE) + 1
        spare = len(params) - frames
        start = int(rng.integers(min(0, spare), max(1, spare + 1)))
        before = max(0, -start)
        after = max(0, start - spare)
        first = max(0, start)
        rows = slice(first, start + frames)
        params = np.pad(params[rows], ((before, after), (0, 0)), mode="edge")
        classes = np.pad(classes[rows], (before, after))
        sound = sound[first * HOP : (start + frames) * HOP]
        missing = max(0, (frames - before) * HOP - len(sound))
        sound = np.pad(sound, (before * HOP, missing))[: frames * HOP]
        return sound, params, classes


def _labeled(row: dict) -> LabeledUtterance:
    """Compute the labels of a row of `utterances.json`."""
    phones = [tuple(phone) for phone in row["phones"]]
    params, classes = labels(phones, row["length"] / SAMPLE_RATE)
    return LabeledUtterance(
        offset=row["offset"],
        length=row["length"],
        params=params.astype(np.float16),
        classes=classes.astype(np.int8),
        voice=row["voice"],
        phones=phones,
    )
