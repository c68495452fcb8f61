"""Speech for the shipped examples: flite voices with authored accents and pauses, timed phones.

flite (Debian package `flite`, version 2.2) speaks. Every piece of a line has its own loudness,
pace and pitch, so that accents and pauses are where they were written.
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
from pipeline.values import Audio

LEAD_SECONDS = 0.3  # of silence before and after
FADE_SAMPLES = 80  # 5 ms, against clicks
_FLITE_PHONE = r"([a-z#@]+):([0-9.]+)"


@dataclass(frozen=True)
class Piece:
    """Words said in one breath."""

    words: str
    loudness: float = 0.6  # 0 to 1
    pace: float = 1.0  # 1 = plain, 2 = half as fast
    pitch: float = 1.0  # factor
    pause: float = 0.15  # s after the words


@dataclass(frozen=True)
class Line:
    """What one voice says."""

    voice: str  # of flite
    hertz: float  # plain pitch of the voice
    pieces: tuple[Piece, ...]


def say(line: Line) -> tuple[Audio, Phones]:
    """Return the line as sound at 16 kHz and its phones, which cover the sound."""
    sound = [np.zeros(int(LEAD_SECONDS * SAMPLE_RATE), np.float32)]
    phones = [("sil", 0.0, LEAD_SECONDS)]
    clock = LEAD_SECONDS
    for number, piece in enumerate(line.pieces):
        samples, piece_phones = _say_piece(line, piece)
        is_last = number == len(line.pieces) - 1
        pause_seconds = LEAD_SECONDS if is_last else piece.pause
        pause = np.zeros(int(pause_seconds * SAMPLE_RATE), np.float32)
        gain = piece.loudness / max(np.abs(samples).max(), 1e-6)
        sound += [samples * gain, pause]
        for name, start, end in piece_phones:
            phones.append((name, start + clock, end + clock))
        clock += (len(samples) + len(pause)) / SAMPLE_RATE
        phones.append(("sil", phones[-1][2], clock))
    return Audio(np.concatenate(sound), SAMPLE_RATE), _merged(phones)


def _say_piece(line: Line, piece: Piece) -> tuple[np.ndarray, Phones]:
    """Return sound and phones of one piece; flite prints each phone with its end time."""
    command = ["flite", "-voice", line.voice, "-psdur"]
    command += ["--setf", f"duration_stretch={piece.pace:.2f}"]
    command += ["--setf", f"int_f0_target_mean={line.hertz * piece.pitch:.0f}"]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "piece.wav"
        command += ["-t", piece.words, "-o", str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        samples = _read_wave(path, line.voice)
    seconds = len(samples) / SAMPLE_RATE
    phones = []
    start = 0.0
    for name, end in re.findall(_FLITE_PHONE, done.stdout):
        phone = "sil" if name == "pau" else name
        if phone not in PHONES:
            raise RuntimeError(
                f"flite voice {line.voice} said the phone {name!r}, which the viseme table lacks"
            )
        stop = min(float(end), seconds)
        phones.append((phone, start, stop))
        start = stop
    return _trimmed(samples, phones)


def _read_wave(path: Path, voice: str) -> np.ndarray:
    """Read 16-bit PCM at 16 kHz as float32."""
    with wave.open(str(path)) as file:
        rate = file.getframerate()
        data = file.readframes(file.getnframes())
    if rate != SAMPLE_RATE:
        raise RuntimeError(f"flite voice {voice} speaks at {rate} Hz; take one at {SAMPLE_RATE}")
    return np.frombuffer(data, np.int16).astype(np.float32) / 32768


def _trimmed(samples: np.ndarray, phones: Phones) -> tuple[np.ndarray, Phones]:
    """Cut flite's own silence at both ends, because the pauses are authored."""
    speech = [phone for phone in phones if phone[0] != "sil"]
    begin = speech[0][1]
    finish = speech[-1][2]
    inside = []
    for name, start, end in phones:
        if end > begin and start < finish:
            inside.append((name, max(start, begin) - begin, min(end, finish) - begin))
    cut = samples[int(begin * SAMPLE_RATE) : int(finish * SAMPLE_RATE)].copy()
    fade = np.linspace(0, 1, FADE_SAMPLES, dtype=np.float32)
    cut[:FADE_SAMPLES] *= fade
    cut[-FADE_SAMPLES:] *= fade[::-1]
    return cut, inside


def _merged(phones: Phones) -> Phones:
    """Join neighboring silences and drop empty phones."""
    merged: Phones = []
    for name, start, end in phones:
        if end <= start:
            continue
        if merged and name == "sil" == merged[-1][0]:
            merged[-1] = ("sil", merged[-1][1], end)
        else:
            merged.append((name, start, end))
    return merged


def mouth(parameters: np.ndarray) -> np.ndarray:
    """Return (T, 3) open, round, smile of a drawn presenter from Audio2Pose parameters (T, 10)."""
    column = {name: parameters[:, number] for number, name in enumerate(PARAMETERS)}
    jaw = 0.22 * column["jaw"] * (column["gap"] > 0.1)
    opening = 0.42 * column["gap"] + jaw
    opening = opening * (1 - column["close"])
    rounding = 0.8 * column["pucker"] + 0.5 * column["funnel"]
    smile = 0.5 * column["stretch"] + 0.1 - 0.3 * column["press"]
    return np.stack([opening.clip(0, 1), rounding.clip(0, 1), smile.clip(-0.6, 1)], 1)


def lips(phones: Phones, seconds: float, fps: float, frames: int) -> np.ndarray:
    """Return (frames, 3) the mouth of a presenter who says phones, at each frame's middle."""
    curves, _ = labels(phones, seconds)
    moments = (np.arange(frames) + 0.5) / fps
    rows = np.minimum((moments * 100).astype(int), len(curves) - 1)
    return mouth(curves[rows])


def write_wave(path: Path, audio: Audio) -> None:
    """Write 16-bit mono PCM."""
    samples = (audio.samples.clip(-1, 1) * 32767).round()
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(audio.rate)
        file.writeframes(samples.astype("<i2").tobytes())
