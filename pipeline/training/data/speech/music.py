"""Music-like beds for training Audio2Pose: made-up bands under a voice, or alone.

A bed has a tempo, a key and a chord progression. Chords, strums, bass, arpeggio, melody and drums
come and go from bed to bed. Notes are read from band-limited wave tables. Samples are float32 at
16 kHz.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.fft import irfft

from pipeline.models.audio2pose import SAMPLE_RATE
from pipeline.training.data.speech.augment import reverb

TABLE_SAMPLES = 1024  # of one period
HIGHEST_HZ = 7600.0  # of the highest harmonic
VIBRATO_HZ = 5.5
RELEASE_SECONDS = 0.02  # a note ends over them
PICK_SAMPLES = 640  # 40 ms
STROKE_SECONDS = 0.25  # of a drum
FRAME_SAMPLES = 320  # 20 ms, in which the level of a voice is measured
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
CHORD_DEGREES = (0, 2, 4, 7)  # root, third, fifth and octave
SHARES = {"pad": 0.45, "strum": 0.55, "bass": 0.7, "arpeggio": 0.4, "melody": 0.35, "drums": 0.7}
SNR_DB = (-3.0, 15.0)  # of the voice over the bed
# share of the 95th percentile of the frame level (-25 dB): from there on the voice is heard
ACTIVE_SHARE = 0.056
SILENT_LEVEL = 1e-4
_TINY = 1e-9  # keeps divisions by silence finite


def _rms(sound: np.ndarray) -> float:
    return np.sqrt(np.mean(sound**2))


@dataclass(frozen=True)
class Timbre:
    """How an instrument sounds: its harmonics, a body's resonances, the envelope of a note."""

    slope: float  # amplitude of harmonic h is h ** -slope
    even: float  # factor of the even harmonics
    body: np.ndarray  # (8,) dB at `KNOTS_HZ`
    attack: float  # s
    decay: float  # 1 / s
    vibrato: float  # relative depth
    dulling: float = 0.0  # 1 / s, how much faster the upper harmonics of a note decay
    pick: np.ndarray | None = None  # noise that a note begins with

    KNOTS_HZ = np.geomspace(60, 8000, 8)

    def period(self, hertz: float, slope: float) -> np.ndarray:
        """Return one period (TABLE_SAMPLES,) of unit level, without harmonics over HIGHEST_HZ."""
        count = max(2, min(48, int(HIGHEST_HZ / hertz) + 1))
        order = np.arange(1, count)
        level = order ** -float(slope) * np.where(order % 2 == 0, self.even, 1.0)
        decibels = np.interp(np.log(order * hertz), np.log(self.KNOTS_HZ), self.body)
        level = level * 10 ** (decibels / 20)
        phases = np.exp(2.4j * order**2)  # apart, or every period would be one spike
        spectrum = np.zeros(TABLE_SAMPLES // 2 + 1, complex)
        spectrum[order] = level * phases
        wave = irfft(spectrum, TABLE_SAMPLES)
        return (wave / (_rms(wave) + 1e-12)).astype(np.float32)

    def add(
        self, out: np.ndarray, start: float, seconds: float, hertz: float, level: float
    ) -> None:
        """Add one note to `out` in place; `start` may lie before its first sample."""
        first = int(start * SAMPLE_RATE)
        count = int(seconds * SAMPLE_RATE)
        low = max(0, first)
        high = min(len(out), first + count)
        if low >= high:
            return
        time = np.arange(low - first, high - first, dtype=np.float32) / SAMPLE_RATE
        turns = hertz * time
        if self.vibrato:
            swing = np.cos(2 * np.pi * VIBRATO_HZ * time)
            turns = turns - self.vibrato * hertz / (2 * np.pi * VIBRATO_HZ) * swing
        place = (turns * TABLE_SAMPLES).astype(np.int32) % TABLE_SAMPLES
        wave = self.period(hertz, self.slope)[place]
        if self.dulling:
            dull = self.period(hertz, self.slope + 1.5)[place]
            wave = dull + (wave - dull) * np.exp(-self.dulling * time)
        if self.pick is not None:
            noise = self.pick[low - first : high - first]
            wave[: len(noise)] += noise
        shape = np.minimum(1, time / self.attack) * np.exp(-self.decay * time)
        release = np.minimum(1, (count / SAMPLE_RATE - time) / RELEASE_SECONDS)
        out[low:high] += level * wave * shape * release


def timbre(rng: np.random.Generator, held: bool) -> Timbre:
    """Draw an instrument, bowed or blown (`held`) or plucked."""
    return Timbre(
        slope=rng.uniform(0.4, 2.2),
        even=rng.uniform(0, 1) if rng.random() < 0.3 else 1.0,
        body=rng.uniform(-10, 10, 8),
        attack=rng.uniform(0.02, 0.25) if held else rng.uniform(0.002, 0.012),
        decay=rng.uniform(0, 0.6) if held else rng.uniform(1.0, 9.0),
        vibrato=rng.uniform(0, 0.008) if held and rng.random() < 0.4 else 0.0,
        dulling=rng.uniform(0.5, 12) if rng.random() < 0.6 else 0.0,
        pick=None if held or rng.random() < 0.4 else _draw_pick(rng),
    )


def _draw_pick(rng: np.random.Generator) -> np.ndarray:
    """Draw (640,) the sound of a plectrum or a hammer: 40 ms of dying noise."""
    decay_samples = rng.uniform(0.002, 0.012) * SAMPLE_RATE
    fall = np.exp(-np.arange(PICK_SAMPLES) / decay_samples)
    strength = rng.uniform(0.1, 1.0)
    return (strength * fall * rng.standard_normal(PICK_SAMPLES)).astype(np.float32)


@dataclass(frozen=True)
class Score:
    """What a band plays from."""

    beat: float  # s
    start: float  # s of the first chord, before or at 0
    key: float  # Hz
    scale: tuple[int, ...]  # semitones
    chords: tuple[int, ...]  # degrees
    span: int  # beats to each chord

    def hertz(self, degree: int, octave: int) -> float:
        """Return the pitch of a degree of the scale; 7 and more lie in the next octave."""
        semitones = self.scale[degree % 7] + 12 * (degree // 7 + octave)
        return self.key * 2 ** (semitones / 12)

    def bars(self, n: int) -> list[tuple[float, int]]:
        """Return start in s and degree of each chord that sounds within n samples."""
        length = self.beat * self.span
        count = int((n / SAMPLE_RATE - self.start) / length) + 1
        bars = []
        for number in range(count):
            degree = self.chords[number % len(self.chords)]
            bars.append((self.start + number * length, degree))
        return bars


def score(rng: np.random.Generator) -> Score:
    """Draw tempo (65 to 170 beats a minute), key, scale and progression, caught within a bar."""
    beat = 60 / rng.uniform(65, 170)
    span = int(rng.choice([2, 4, 4]))
    start = -rng.uniform(0, beat * span)
    key = 55 * 2 ** rng.uniform(-0.3, 0.7)
    scale = SCALES[int(rng.integers(len(SCALES)))]
    chords = PROGRESSIONS[int(rng.integers(len(PROGRESSIONS)))]
    return Score(beat, start, key, scale, chords, span)


def _pad(out: np.ndarray, sheet: Score, rng: np.random.Generator) -> None:
    """Play held chords of three or four notes."""
    sound = timbre(rng, True)
    octave = int(rng.integers(1, 4))
    notes = int(rng.integers(3, 5))
    length = sheet.beat * sheet.span
    for start, degree in sheet.bars(len(out)):
        for note in range(notes):
            hertz = sheet.hertz(degree + 2 * note, octave)
            detuned = hertz * 2 ** (rng.normal(0, 0.04) / 12)
            sound.add(out, start, length, detuned, 1.0)


def _strum(out: np.ndarray, sheet: Score, rng: np.random.Generator) -> None:
    """Play plucked chords on a pattern of half beats, strings 8 to 25 ms apart.

    One in three is distorted.
    """
    sound = timbre(rng, False)
    octave = int(rng.integers(1, 3))
    pattern = rng.random(2 * sheet.span) < rng.uniform(0.4, 0.95)
    pattern[0] = True
    gap = rng.uniform(0.008, 0.025)
    for start, degree in sheet.bars(len(out)):
        for slot in np.flatnonzero(pattern):
            level = rng.uniform(0.6, 1.0)
            for string, step in enumerate(CHORD_DEGREES):
                begin = start + slot * sheet.beat / 2 + string * gap
                hertz = sheet.hertz(degree + step, octave)
                sound.add(out, begin, sheet.beat * 0.9, hertz, level)
    if rng.random() < 0.35:
        loudest = np.abs(out).max() + _TINY
        out[:] = np.tanh(out * rng.uniform(1, 8) / loudest)


def _bass(out: np.ndarray, sheet: Score, rng: np.random.Generator) -> None:
    """Play the chord's root or fifth under it, one or two notes a beat."""
    sound = timbre(rng, False)
    per_beat = int(rng.choice([1, 1, 2]))
    length = sheet.beat / per_beat
    for start, degree in sheet.bars(len(out)):
        for slot in range(sheet.span * per_beat):
            if rng.random() < 0.85:
                step = int(rng.choice([0, 0, 0, 4]))
                begin = start + slot * sheet.beat / per_beat
                hertz = sheet.hertz(degree + step, 0)
                sound.add(out, begin, length, hertz, rng.uniform(0.7, 1))


def _arpeggio(out: np.ndarray, sheet: Score, rng: np.random.Generator) -> None:
    """Play the chord's notes one after the other, two or four a beat."""
    sound = timbre(rng, False)
    octave = int(rng.integers(1, 4))
    per_beat = int(rng.choice([2, 4]))
    order = rng.permutation(list(CHORD_DEGREES))
    for start, degree in sheet.bars(len(out)):
        for slot in range(sheet.span * per_beat):
            hertz = sheet.hertz(degree + int(order[slot % 4]), octave)
            begin = start + slot * sheet.beat / per_beat
            length = rng.uniform(0.9, 2.5) * sheet.beat / per_beat
            sound.add(out, begin, length, hertz, rng.uniform(0.6, 1))


def _melody(out: np.ndarray, sheet: Score, rng: np.random.Generator) -> None:
    """Let one instrument wander over the scale with rests."""
    sound = timbre(rng, rng.random() < 0.5)
    octave = int(rng.integers(2, 4))
    clock = sheet.start
    degree = int(rng.integers(7))
    while clock < len(out) / SAMPLE_RATE:
        length = sheet.beat * float(rng.choice([0.25, 0.5, 0.5, 1, 2]))
        degree = int(np.clip(degree + rng.integers(-3, 4), 0, 13))
        if rng.random() < 0.8:
            hertz = sheet.hertz(degree, octave)
            sound.add(out, clock, length, hertz, rng.uniform(0.6, 1))
        clock += length


def _drums(out: np.ndarray, sheet: Score, rng: np.random.Generator) -> None:
    """Play kick on the even beats, snare on the odd ones, hats between, and strokes at random."""
    kit = _draw_kit(rng)
    levels = rng.uniform(0.3, 1.0, 3)
    per_beat = int(rng.choice([1, 2, 2, 4]))
    extra_chance = rng.uniform(0, 0.25)
    slots = int((len(out) / SAMPLE_RATE - sheet.start) / sheet.beat * per_beat) + 1
    for slot in range(slots):
        is_beat = slot % per_beat == 0
        is_even = (slot // per_beat) % 2 == 0
        is_due = (is_beat and is_even, is_beat and not is_even, True)
        first = int((sheet.start + slot * sheet.beat / per_beat) * SAMPLE_RATE)
        for stroke, level, due in zip(kit, levels, is_due, strict=True):
            if not ((due and rng.random() < 0.95) or rng.random() < extra_chance):
                continue
            low = max(0, first)
            high = min(len(out), first + len(stroke))
            if low < high:
                out[low:high] += stroke[low - first : high - first] * level * rng.uniform(0.6, 1)


def _draw_kit(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw the strokes of kick, snare and hat."""
    time = np.arange(int(STROKE_SECONDS * SAMPLE_RATE)) / SAMPLE_RATE
    low_hz = rng.uniform(40, 70)
    fall_hz = rng.uniform(80, 250)
    turns = low_hz * time - fall_hz / 30 * np.exp(-30 * time)
    kick = np.sin(2 * np.pi * turns)
    kick *= np.exp(-time * rng.uniform(10, 30))
    noise = rng.standard_normal((2, len(time)))
    tone_level = rng.uniform(0, 2)
    tone = np.sin(2 * np.pi * rng.uniform(150, 260) * time)
    snare = (noise[0] + tone_level * tone) * 0.4
    snare *= np.exp(-time * rng.uniform(12, 45))
    hat = np.diff(noise[1], prepend=0.0) * 0.3
    hat = hat * np.exp(-time * rng.uniform(8, 150))
    hat *= np.minimum(1, time / rng.uniform(0.001, 0.06))  # struck, or brushed and shaken
    return kick, snare, hat


Player = Callable[[np.ndarray, Score, np.random.Generator], None]
PLAYERS: dict[str, Player] = {
    "pad": _pad,
    "strum": _strum,
    "bass": _bass,
    "arpeggio": _arpeggio,
    "melody": _melody,
    "drums": _drums,
}


def music(rng: np.random.Generator, n: int) -> np.ndarray:
    """Make (n,) a bed of unit level: one to six players, each at 0 to -14 dB, at times in a
    room."""
    sheet = score(rng)
    names = [name for name, share in SHARES.items() if rng.random() < share]
    if not names:
        names = [str(rng.choice([*SHARES]))]
    mix = np.zeros(n, np.float32)
    for name in names:
        part = np.zeros(n, np.float32)
        PLAYERS[name](part, sheet, rng)
        gain = 10 ** (-rng.uniform(0, 14) / 20) / (_rms(part) + _TINY)
        mix += part * np.float32(gain)
    if rng.random() < 0.3:
        mix = reverb(mix, rng)
    return (mix / (_rms(mix) + _TINY)).astype(np.float32)


def voice_level(sound: np.ndarray) -> float:
    """Return the RMS of the frames in which a voice is heard (within 25 dB of its loud ones)."""
    whole = sound[: len(sound) // FRAME_SAMPLES * FRAME_SAMPLES]
    frames = whole.reshape(-1, FRAME_SAMPLES).astype(np.float64)
    level = np.sqrt(np.mean(frames**2, axis=1))
    loud = np.percentile(level, 95)
    is_active = level >= ACTIVE_SHARE * loud
    return float(_rms(level[is_active]))


def under(sound: np.ndarray, bed: np.ndarray, snr_db: float) -> np.ndarray:
    """Add the bed (of unit level) `snr_db` below the voice; under silence it plays at -20 dBFS."""
    level = voice_level(sound)
    gain = level * 10 ** (-snr_db / 20) if level > SILENT_LEVEL else 0.1
    return (sound + np.float32(gain) * bed[: len(sound)]).astype(np.float32)
