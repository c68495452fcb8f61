"""Speech for the shipped examples: flite voices with authored accents and pauses, and their timed phones.

flite (Debian package `flite`, version 2.2) speaks; every piece of a line has its own loudness, pace and
pitch, so that accents and pauses are where they were written.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
import wave
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.models.audio2pose import SAMPLE_RATE
from pipeline.motion.face_animation import PARAMETERS
from pipeline.training.data.speech.visemes import PHONES, Phones, labels
from pipeline.values import Audio, InputError

LEAD = 0.3  # s of silence before and after


@dataclass(frozen=True)
class Piece:
    """Words said in one breath: loudness 0..1, pace (1 = plain, 2 = half as fast), pitch, pause after."""

    words: str
    loudness: float = 0.6
    pace: float = 1.0
    pitch: float = 1.0
    pause: float = 0.15


@dataclass(frozen=True)
class Line:
    """What one voice says: flite voice name, its pitch in Hz and the pieces."""

    voice: str
    hertz: float
    pieces: tuple[Piece, ...]


def say(line: Line) -> tuple[Audio, Phones]:
    """The line as sound at 16 kHz and its phones (name, start, end in seconds), which cover the sound."""
    sound, phones, clock = (
        [np.zeros(int(LEAD * SAMPLE_RATE), np.float32)],
        [("sil", 0.0, LEAD)],
        LEAD,
    )
    for number, piece in enumerate(line.pieces):
        samples, timed = _flite(line, piece)
        last = number == len(line.pieces) - 1
        pause = np.zeros(int((LEAD if last else piece.pause) * SAMPLE_RATE), np.float32)
        sound += [samples * (piece.loudness / max(np.abs(samples).max(), 1e-6)), pause]
        phones += [(name, start + clock, end + clock) for name, start, end in timed]
        clock += (len(samples) + len(pause)) / SAMPLE_RATE
        phones.append(("sil", phones[-1][2], clock))
    return Audio(np.concatenate(sound), SAMPLE_RATE), _merged(phones)


def _flite(line: Line, piece: Piece) -> tuple[np.ndarray, Phones]:
    """Sound and phones of one piece; flite prints each phone with its end time."""
    settings = (
        f"duration_stretch={piece.pace:.2f}",
        f"int_f0_target_mean={line.hertz * piece.pitch:.0f}",
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "piece.wav"
        command = [
            "flite",
            "-voice",
            line.voice,
            "-psdur",
            "--setf",
            settings[0],
            "--setf",
            settings[1],
        ]
        done = subprocess.run(
            [*command, "-t", piece.words, "-o", str(path)],
            capture_output=True,
            text=True,
            check=True,
        )
        with wave.open(str(path)) as file:
            if file.getframerate() != SAMPLE_RATE:
                raise InputError(
                    f"flite voice {line.voice} speaks at {file.getframerate()} Hz; take one at {SAMPLE_RATE}"
                )
            samples = (
                np.frombuffer(file.readframes(file.getnframes()), np.int16).astype(np.float32)
                / 32768
            )
    phones, start = [], 0.0
    for name, end in re.findall(r"([a-z#@]+):([0-9.]+)", done.stdout):
        known = "sil" if name == "pau" else name
        if known not in PHONES:
            raise InputError(
                f"flite voice {line.voice} said the phone {name!r}, which the viseme table lacks"
            )
        phones.append((known, start, min(float(end), len(samples) / SAMPLE_RATE)))
        start = phones[-1][2]
    return _trimmed(samples, phones)


def _trimmed(samples: np.ndarray, phones: Phones) -> tuple[np.ndarray, Phones]:
    """Without flite's own silence at both ends, because the pauses are authored."""
    spoken = [p for p in phones if p[0] != "sil"]
    begin, finish = spoken[0][1], spoken[-1][2]
    kept = [
        (n, max(a, begin) - begin, min(b, finish) - begin)
        for n, a, b in phones
        if b > begin and a < finish
    ]
    cut = samples[int(begin * SAMPLE_RATE) : int(finish * SAMPLE_RATE)].copy()
    fade = np.linspace(0, 1, 80, dtype=np.float32)  # 5 ms, against clicks
    cut[:80] *= fade
    cut[-80:] *= fade[::-1]
    return cut, kept


def _merged(phones: Phones) -> Phones:
    """Neighbouring silences as one, empty phones dropped."""
    out: Phones = []
    for name, start, end in phones:
        if end <= start:
            continue
        if out and name == "sil" == out[-1][0]:
            out[-1] = ("sil", out[-1][1], end)
        else:
            out.append((name, start, end))
    return out


def mouth(parameters: np.ndarray) -> np.ndarray:
    """(T, 3) open, round and smile of a drawn presenter from Audio2Pose parameters (T, 10)."""
    column = {name: parameters[:, k] for k, name in enumerate(PARAMETERS)}
    opened = 0.42 * column["gap"] + 0.22 * column["jaw"] * (column["gap"] > 0.1)
    opened = opened * (1 - column["close"])
    rounded = 0.8 * column["pucker"] + 0.5 * column["funnel"]
    smile = 0.5 * column["stretch"] + 0.1 - 0.3 * column["press"]
    return np.stack([opened.clip(0, 1), rounded.clip(0, 1), smile.clip(-0.6, 1)], 1)


def lips(phones: Phones, seconds: float, fps: float, frames: int) -> np.ndarray:
    """(frames, 3) mouth of a presenter who says these phones, at the middle of each frame."""
    curves, _ = labels(phones, seconds)
    rows = np.minimum(((np.arange(frames) + 0.5) / fps * 100).astype(int), len(curves) - 1)
    return mouth(curves[rows])


def write_wave(path: Path, audio: Audio) -> None:
    """Writes 16-bit mono PCM."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(audio.rate)
        file.writeframes((audio.samples.clip(-1, 1) * 32767).round().astype("<i2").tobytes())
