"""Music-like beds for training Audio2Pose: made-up bands under a voice, or alone with a shut mouth.

A bed has a tempo, a key and a chord progression; chords, strums, bass, arpeggio, melody and drums come and go
from bed to bed. Notes are read from band-limited wave tables. Samples are float32 at 16 kHz.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.fft import irfft

from pipeline.models.audio2pose import SAMPLE_RATE
from pipeline.training.data.speech.augment import reverb

TABLE = 1024  # samples of one period
HIGHEST = 7600.0  # Hz of the highest harmonic
SCALES = (
    (0, 2, 4, 5, 7, 9, 11),
    (0, 2, 3, 5, 7, 8, 10),
    (0, 2, 3, 5, 7, 9, 10),
    (0, 2, 4, 5, 7, 9, 10),
)
PROGRESSIONS = (
    (0, 4, 5, 3),
    (0, 5, 3, 4),
    (0, 3, 4, 4),
    (5, 3, 0, 4),
    (0, 3, 0, 4),
    (1, 4, 0, 0),
    (0,),
)
SHARES = {"pad": 0.45, "strum": 0.55, "bass": 0.7, "arpeggio": 0.4, "melody": 0.35, "drums": 0.7}
SNR = (-3.0, 15.0)  # dB of the voice over the bed
ACTIVE = (
    0.056  # of the 95th percentile of the frame level (-25 dB): frames in which the voice is heard
)


@dataclass(frozen=True)
class Timbre:
    """How an instrument sounds: its harmonics, a body's resonances, the envelope of a note."""

    slope: float  # amplitude of harmonic h is h ** -slope
    even: float
    body: np.ndarray  # (8,) dB at `KNOTS` Hz
    attack: float  # s
    decay: float  # 1 / s
    vibrato: float  # relative depth at 5.5 Hz
    dulling: float = 0.0  # 1 / s, how much faster the upper harmonics of a note decay
    pick: np.ndarray | None = None  # noise that a note begins with

    KNOTS = np.geomspace(60, 8000, 8)

    def period(self, hertz: float, slope: float) -> np.ndarray:
        """(TABLE,) one period at this pitch, without harmonics over HIGHEST, of unit level."""
        order = np.arange(1, max(2, min(48, int(HIGHEST / hertz) + 1)))
        level = order ** -float(slope) * np.where(order % 2 == 0, self.even, 1.0)
        level = level * 10 ** (np.interp(np.log(order * hertz), np.log(self.KNOTS), self.body) / 20)
        spectrum = np.zeros(TABLE // 2 + 1, complex)
        spectrum[order] = level * np.exp(
            2.4j * order**2
        )  # phases apart, or every period is one spike
        wave = irfft(spectrum, TABLE)
        return (wave / (np.sqrt(np.mean(wave**2)) + 1e-12)).astype(np.float32)

    def add(
        self, out: np.ndarray, start: float, seconds: float, hertz: float, level: float
    ) -> None:
        """Adds one note to `out` in place; `start` may lie before its first sample."""
        first, count = int(start * SAMPLE_RATE), int(seconds * SAMPLE_RATE)
        a, b = max(0, first), min(len(out), first + count)
        if a >= b:
            return
        time = np.arange(a - first, b - first, dtype=np.float32) / SAMPLE_RATE
        turn = hertz * time
        if self.vibrato:
            turn = turn - self.vibrato * hertz / (2 * np.pi * 5.5) * np.cos(2 * np.pi * 5.5 * time)
        place = (turn * TABLE).astype(np.int32) % TABLE
        wave = self.period(hertz, self.slope)[place]
        if self.dulling:
            dull = self.period(hertz, self.slope + 1.5)[place]
            wave = dull + (wave - dull) * np.exp(-self.dulling * time)
        if self.pick is not None:
            noise = self.pick[a - first : b - first]
            wave[: len(noise)] += noise
        shape = np.minimum(1, time / self.attack) * np.exp(-self.decay * time)
        out[a:b] += level * wave * shape * np.minimum(1, (count / SAMPLE_RATE - time) / 0.02)


def timbre(rng: np.random.Generator, held: bool) -> Timbre:
    """A random instrument, bowed or blown (`held`) or plucked."""
    return Timbre(
        slope=rng.uniform(0.4, 2.2),
        even=rng.uniform(0, 1) if rng.random() < 0.3 else 1.0,
        body=rng.uniform(-10, 10, 8),
        attack=rng.uniform(0.02, 0.25) if held else rng.uniform(0.002, 0.012),
        decay=rng.uniform(0, 0.6) if held else rng.uniform(1.0, 9.0),
        vibrato=rng.uniform(0, 0.008) if held and rng.random() < 0.4 else 0.0,
        dulling=rng.uniform(0.5, 12) if rng.random() < 0.6 else 0.0,
        pick=None if held or rng.random() < 0.4 else _pick(rng),
    )


def _pick(rng: np.random.Generator) -> np.ndarray:
    """(640,) a plectrum or a hammer: 40 ms of dying noise."""
    fall = np.exp(-np.arange(640) / (rng.uniform(0.002, 0.012) * SAMPLE_RATE))
    return (rng.uniform(0.1, 1.0) * fall * rng.standard_normal(640)).astype(np.float32)


@dataclass(frozen=True)
class Score:
    """What a band plays from: `beat` and `start` in s, key in Hz, scale, chords and beats to each of them."""

    beat: float
    start: float
    key: float
    scale: tuple[int, ...]
    chords: tuple[int, ...]
    span: int

    def hertz(self, degree: int, octave: int) -> float:
        """Pitch of a degree of the scale; degrees from 7 on lie in the next octave."""
        semitones = self.scale[degree % 7] + 12 * (degree // 7 + octave)
        return self.key * 2 ** (semitones / 12)

    def bars(self, n: int) -> list[tuple[float, int]]:
        """Start in s and degree of each chord that sounds within n samples."""
        length = self.beat * self.span
        count = int((n / SAMPLE_RATE - self.start) / length) + 1
        return [(self.start + k * length, self.chords[k % len(self.chords)]) for k in range(count)]


def score(rng: np.random.Generator) -> Score:
    """A random tempo (65 to 170 beats a minute), key, scale and progression, caught anywhere in a bar."""
    beat, span = 60 / rng.uniform(65, 170), int(rng.choice([2, 4, 4]))
    return Score(
        beat=beat,
        start=-rng.uniform(0, beat * span),
        key=55 * 2 ** rng.uniform(-0.3, 0.7),
        scale=SCALES[int(rng.integers(len(SCALES)))],
        chords=PROGRESSIONS[int(rng.integers(len(PROGRESSIONS)))],
        span=span,
    )


def _pad(out: np.ndarray, sheet: Score, rng: np.random.Generator) -> None:
    """Held chords of three or four notes."""
    sound, octave, notes = timbre(rng, True), int(rng.integers(1, 4)), int(rng.integers(3, 5))
    for start, degree in sheet.bars(len(out)):
        for k in range(notes):
            detuned = sheet.hertz(degree + 2 * k, octave) * 2 ** (rng.normal(0, 0.04) / 12)
            sound.add(out, start, sheet.beat * sheet.span, detuned, 1.0)


def _strum(out: np.ndarray, sheet: Score, rng: np.random.Generator) -> None:
    """Plucked chords on a pattern of half beats, the strings 8 to 25 ms apart; one in three is distorted."""
    sound, octave = timbre(rng, False), int(rng.integers(1, 3))
    pattern = rng.random(2 * sheet.span) < rng.uniform(0.4, 0.95)
    pattern[0] = True
    gap = rng.uniform(0.008, 0.025)
    for start, degree in sheet.bars(len(out)):
        for slot in np.flatnonzero(pattern):
            level = rng.uniform(0.6, 1.0)
            for string, step in enumerate((0, 2, 4, 7)):
                begin = start + slot * sheet.beat / 2 + string * gap
                sound.add(out, begin, sheet.beat * 0.9, sheet.hertz(degree + step, octave), level)
    if rng.random() < 0.35:
        out[:] = np.tanh(out * rng.uniform(1, 8) / (np.abs(out).max() + 1e-9))


def _bass(out: np.ndarray, sheet: Score, rng: np.random.Generator) -> None:
    """The chord's root or fifth under it, one or two notes a beat."""
    sound, per_beat = timbre(rng, False), int(rng.choice([1, 1, 2]))
    for start, degree in sheet.bars(len(out)):
        for slot in range(sheet.span * per_beat):
            if rng.random() < 0.85:
                step = int(rng.choice([0, 0, 0, 4]))
                begin, length = start + slot * sheet.beat / per_beat, sheet.beat / per_beat
                sound.add(out, begin, length, sheet.hertz(degree + step, 0), rng.uniform(0.7, 1))


def _arpeggio(out: np.ndarray, sheet: Score, rng: np.random.Generator) -> None:
    """The chord's notes one after the other, two or four a beat."""
    sound, octave, per_beat = timbre(rng, False), int(rng.integers(1, 4)), int(rng.choice([2, 4]))
    order = rng.permutation([0, 2, 4, 7])
    for start, degree in sheet.bars(len(out)):
        for slot in range(sheet.span * per_beat):
            pitch = sheet.hertz(degree + int(order[slot % 4]), octave)
            begin = start + slot * sheet.beat / per_beat
            sound.add(
                out,
                begin,
                rng.uniform(0.9, 2.5) * sheet.beat / per_beat,
                pitch,
                rng.uniform(0.6, 1),
            )


def _melody(out: np.ndarray, sheet: Score, rng: np.random.Generator) -> None:
    """One instrument wandering over the scale with rests."""
    sound, octave = timbre(rng, rng.random() < 0.5), int(rng.integers(2, 4))
    clock, degree = sheet.start, int(rng.integers(7))
    while clock < len(out) / SAMPLE_RATE:
        length = sheet.beat * float(rng.choice([0.25, 0.5, 0.5, 1, 2]))
        degree = int(np.clip(degree + rng.integers(-3, 4), 0, 13))
        if rng.random() < 0.8:
            sound.add(out, clock, length, sheet.hertz(degree, octave), rng.uniform(0.6, 1))
        clock += length


def _drums(out: np.ndarray, sheet: Score, rng: np.random.Generator) -> None:
    """Kick on the even beats, snare on the odd ones, hats between, and strokes at random."""
    time = np.arange(int(0.25 * SAMPLE_RATE)) / SAMPLE_RATE
    low, fall = rng.uniform(40, 70), rng.uniform(80, 250)
    kick = np.sin(2 * np.pi * (low * time - fall / 30 * np.exp(-30 * time)))
    kick *= np.exp(-time * rng.uniform(10, 30))
    noise = rng.standard_normal((2, len(time)))
    snare = (noise[0] + rng.uniform(0, 2) * np.sin(2 * np.pi * rng.uniform(150, 260) * time)) * 0.4
    snare *= np.exp(-time * rng.uniform(12, 45))
    hat = np.diff(noise[1], prepend=0.0) * 0.3 * np.exp(-time * rng.uniform(8, 150))
    hat *= np.minimum(1, time / rng.uniform(0.001, 0.06))  # struck, or brushed and shaken
    kit, sides = (kick, snare, hat), rng.uniform(0.3, 1.0, 3)
    per_beat, extra = int(rng.choice([1, 2, 2, 4])), rng.uniform(0, 0.25)
    slots = int((len(out) / SAMPLE_RATE - sheet.start) / sheet.beat * per_beat) + 1
    for slot in range(slots):
        whole, beat = slot % per_beat == 0, slot // per_beat
        plays = (whole and beat % 2 == 0, whole and beat % 2 == 1, True)
        first = int((sheet.start + slot * sheet.beat / per_beat) * SAMPLE_RATE)
        for stroke, side, due in zip(kit, sides, plays, strict=True):
            if (due and rng.random() < 0.95) or rng.random() < extra:
                a, b = max(0, first), min(len(out), first + len(stroke))
                if a < b:
                    out[a:b] += stroke[a - first : b - first] * side * rng.uniform(0.6, 1)


PLAYERS = {
    "pad": _pad,
    "strum": _strum,
    "bass": _bass,
    "arpeggio": _arpeggio,
    "melody": _melody,
    "drums": _drums,
}


def music(rng: np.random.Generator, n: int) -> np.ndarray:
    """(n,) a bed of unit level: one to six players, each at 0 to -14 dB, at times in a room."""
    sheet = score(rng)
    names = [name for name, share in SHARES.items() if rng.random() < share] or [
        str(rng.choice([*SHARES]))
    ]
    mix = np.zeros(n, np.float32)
    for name in names:
        part = np.zeros(n, np.float32)
        PLAYERS[name](part, sheet, rng)
        mix += part * np.float32(
            10 ** (-rng.uniform(0, 14) / 20) / (np.sqrt(np.mean(part**2)) + 1e-9)
        )
    if rng.random() < 0.3:
        mix = reverb(mix, rng)
    return (mix / (np.sqrt(np.mean(mix**2)) + 1e-9)).astype(np.float32)


def voice_level(sound: np.ndarray) -> float:
    """RMS of the 20-ms frames in which a voice is heard (within 25 dB of its loud ones), 0 for silence."""
    frames = sound[: len(sound) // 320 * 320].reshape(-1, 320)
    level = np.sqrt(np.mean(frames.astype(np.float64) ** 2, axis=1))
    loud = np.percentile(level, 95)
    return float(np.sqrt(np.mean(level[level >= ACTIVE * loud] ** 2)))


def under(sound: np.ndarray, bed: np.ndarray, snr: float) -> np.ndarray:
    """The voice with the bed (of unit level) `snr` dB below it; under silence the bed plays at -20 dBFS."""
    level = voice_level(sound)
    gain = level * 10 ** (-snr / 20) if level > 1e-4 else 0.1
    return (sound + np.float32(gain) * bed[: len(sound)]).astype(np.float32)
