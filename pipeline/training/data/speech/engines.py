"""Synthetic speech with timed phones, made by espeak-ng, flite and festival (training only).

The engines are the Debian packages espeak-ng, flite, festival (festvox-kallpc16k,
festvox-kdlpc16k, festvox-us-slt-hts). Where they are missing, the pip package espeakng-loader
alone is enough for a usable corpus. Neither the engines nor the sound made with them are shipped,
only weights. 6 h of speech take about 4 minutes.
"""

from __future__ import annotations

import json
import logging
import re
import shutil
import subprocess
import tempfile
import wave
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.signal import resample_poly

from pipeline.models.audio2pose import SAMPLE_RATE
from pipeline.training.data.speech.espeak_library import Espeak
from pipeline.training.data.speech.sentences import (
    pseudo_words,
    sentence,
    single_words,
    word_list,
)
from pipeline.training.data.speech.visemes import PHONES, Phones

log = logging.getLogger(__name__)

# of silence at both ends of every utterance: needed to learn the opening before speech
PAD_SECONDS = 0.55
SHORTEST_SECONDS = 0.5
Writer = Callable[[np.random.Generator], str]  # makes one text
HELD_OUT = ("flite:rms", "festival:ked_diphone", "espeak:held-out")
HELD_OUT_VARIANTS = ("f3", "m5", "Alicia", "Lee", "steph2", "max", "john", "linda")
VARIANTS = word_list("""
    f1 f2 f4 f5 m1 m2 m3 m4 m6 m7 m8 Alex Andrea Andy Annie Denis Diogo Gene Gene2 Henrique Hugo
    Jacky Marco Mario Michael Mike Nguyen adam anika antonio aunty belinda benjamin boris caleb
    david ed edward edward2 grandma grandpa gustave iven iven2 iven3 kaukovalta marcelo michel
    miguel norbert pablo paul pedro quincy rob robert sandro shelby steph steph3 travis victor
    zac
""")
ENGLISH = ("en-us", "en-us", "en-us", "en-gb-x-rp", "en-gb-scotland", "en-029")
OTHERS = ("fr", "de", "es", "it", "pt-br", "pl", "nl", "sv", "tr", "fi")


@dataclass(frozen=True)
class Manner:
    """Ranges from which an utterance's delivery is drawn; `name` marks the voice in the corpus."""

    name: str
    stretch: tuple[float, float]  # flite: length of the phones over the plain one
    pitch: tuple[float, float]  # flite: mean pitch over the voice's own
    spread_hz: float | None  # flite: deviation of the pitch, None = the voice's own
    words_per_minute: tuple[int, int]  # espeak
    espeak_pitch: tuple[int, int]
    espeak_range: tuple[int, int]


TALKING = Manner(
    name="",
    stretch=(0.8, 1.35),
    pitch=(0.8, 1.3),
    spread_hz=None,
    words_per_minute=(120, 215),
    espeak_pitch=(25, 75),
    espeak_range=(30, 80),
)
SINGING = Manner(  # slow, high, level
    name=":sung",
    stretch=(1.1, 2.2),
    pitch=(0.9, 2.2),
    spread_hz=3.0,
    words_per_minute=(80, 140),
    espeak_pitch=(35, 99),
    espeak_range=(0, 12),
)
FLITE_PITCH_HZ = {"slt": 175, "rms": 100, "awb": 120, "kal": 105, "kal16": 105}
_FESTIVAL_PAUSES = ("h#", "#", "brth")
_FLITE_PHONE = r"([a-z#@]+):([0-9.]+)"

# utterances of the corpus per voice
FLITE_COUNTS = {"awb": 330, "slt": 380, "kal16": 200, "rms": 90}
FESTIVAL_COUNTS = {"kal_diphone": 260, "cmu_us_slt_arctic_hts": 300, "ked_diphone": 90}
ESPEAK_COUNT = 2400
HELD_OUT_COUNT = 90
SPECIAL_ESPEAK_COUNT = 400  # of single words, and of singing
SPECIAL_COUNT = 90  # the same of every other voice
FLITE_TRAINING_VOICES = ("awb", "slt", "kal16")
FESTIVAL_TRAINING_VOICES = ("kal_diphone", "cmu_us_slt_arctic_hts")


@dataclass(frozen=True)
class Utterance:
    """One text, said."""

    samples: np.ndarray  # (n,) float32 at 16 kHz
    phones: Phones  # they cover the samples
    voice: str  # engine:name


def _padded(samples: np.ndarray, phones: Phones, voice: str) -> Utterance | None:
    """Add silence at both ends; None when a phone is unknown or the sound is too short."""
    if not phones or any(name not in PHONES for name, _, _ in phones):
        return None
    seconds = len(samples) / SAMPLE_RATE
    if seconds < SHORTEST_SECONDS:
        return None
    shifted = []
    for name, start, end in phones:
        if end > start:
            shifted.append((name, start + PAD_SECONDS, min(end, seconds) + PAD_SECONDS))
    before = ("sil", 0.0, shifted[0][1])
    after = ("sil", shifted[-1][2], seconds + 2 * PAD_SECONDS)
    merged: Phones = []
    for name, start, end in (before, *shifted, after):
        name = "sil" if name == "pau" else name
        if merged and name == "sil" == merged[-1][0]:
            merged[-1] = ("sil", merged[-1][1], end)
        else:
            merged.append((name, start, end))
    silence = np.zeros(int(PAD_SECONDS * SAMPLE_RATE), np.float32)
    padded = np.concatenate([silence, samples.astype(np.float32), silence])
    return Utterance(padded, merged, voice)


def _read_wave(path: Path) -> np.ndarray:
    """Read 16-bit PCM as float32 at 16 kHz."""
    with wave.open(str(path)) as file:
        data = file.readframes(file.getnframes())
        rate = file.getframerate()
    samples = np.frombuffer(data, np.int16).astype(np.float32) / 32768
    if rate == SAMPLE_RATE:
        return samples
    return resample_poly(samples, SAMPLE_RATE, rate).astype(np.float32)


# ---- flite


def flite(
    voice: str,
    count: int,
    rng: np.random.Generator,
    write: Writer = sentence,
    manner: Manner = TALKING,
) -> Iterator[Utterance]:
    """Say `count` texts with one flite voice; phone end times come from `-psdur`."""
    name = f"flite:{voice}{manner.name}"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.wav"
        for _ in range(count):
            command = _flite_command(voice, rng, manner)
            command += ["-t", write(rng), "-o", str(path)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            phones = []
            start = 0.0
            for phone, end in re.findall(_FLITE_PHONE, done.stdout):
                phones.append((phone, start, float(end)))
                start = float(end)
            utterance = _padded(_read_wave(path), phones, name)
            if utterance is not None:
                yield utterance


def _flite_command(voice: str, rng: np.random.Generator, manner: Manner) -> list[str]:
    """Draw pace and pitch, and return the command without text and file."""
    stretch = rng.uniform(*manner.stretch)
    pitch_hz = FLITE_PITCH_HZ[voice] * rng.uniform(*manner.pitch)
    command = ["flite", "-voice", voice, "-psdur"]
    command += ["--setf", f"duration_stretch={stretch:.2f}"]
    command += ["--setf", f"int_f0_target_mean={pitch_hz:.0f}"]
    if manner.spread_hz is not None:
        command += ["--setf", f"int_f0_target_stddev={manner.spread_hz:.0f}"]
    return command


# ---- festival


def festival(
    voice: str, count: int, rng: np.random.Generator, write: Writer = sentence
) -> Iterator[Utterance]:
    """Say `count` texts with one festival voice; one script makes them all."""
    with tempfile.TemporaryDirectory() as folder:
        script = [f"(voice_{voice})"]
        for number in range(count):
            script += _festival_script(f"{folder}/{number}", rng, write)
        script_path = Path(folder, "make.scm")
        script_path.write_text("\n".join(script))
        subprocess.run(["festival", "-b", str(script_path)], capture_output=True, check=True)
        for number in range(count):
            path = Path(folder, f"{number}.wav")
            if not path.exists():
                continue
            phones = _festival_phones(Path(folder, f"{number}.segs").read_text())
            utterance = _padded(_read_wave(path), phones, f"festival:{voice}")
            if utterance is not None:
                yield utterance


def _festival_script(stem: str, rng: np.random.Generator, write: Writer) -> list[str]:
    """Draw pitch, pace and text; return the commands that say it into `stem`.wav and .segs."""
    pitch_hz = rng.uniform(90, 190)
    stretch = rng.uniform(0.8, 1.35)
    target = f"(target_f0_mean {pitch_hz:.0f}) (target_f0_std 15)"
    model = "(model_f0_mean 170) (model_f0_std 34)"
    return [
        f"(Parameter.set 'Duration_Stretch {stretch:.2f})",
        f"(set! int_lr_params '({target} {model}))",
        f'(set! u (Utterance Text "{write(rng)}")) (utt.synth u)',
        f'(utt.save.segs u "{stem}.segs") (utt.save.wave u "{stem}.wav" \'riff)',
    ]


def _festival_phones(text: str) -> Phones:
    """Read a segment file: lines of end time, color and phone."""
    phones = []
    start = 0.0
    for line in text.split("\n"):
        columns = line.split()
        if len(columns) == 3 and columns[0] != "#":
            end = float(columns[0])
            name = "pau" if columns[2] in _FESTIVAL_PAUSES else columns[2]
            phones.append((name, start, end))
            start = end
    return phones


# ---- espeak-ng


def espeak(
    count: int,
    held_out: bool,
    rng: np.random.Generator,
    write: Writer | None = None,
    variants: Sequence[str] = (),
    manner: Manner = TALKING,
) -> Iterator[Utterance]:
    """Try `count` texts over many voices and languages.

    Args:
        count: tries; a voice or symbol that the library lacks yields nothing.
        held_out: say them with the held-out variants, which speak US English only.
        rng: source of all randomness.
        write: makes the texts; None for sentences and made-up words.
        variants: narrows the voices; without any it is all of the side's.
        manner: how they are said.
    """
    variants = variants or (HELD_OUT_VARIANTS if held_out else VARIANTS)
    engine = Espeak()
    for _ in range(count):
        is_foreign = not held_out and rng.random() < 0.3
        language = "en-us"
        if not held_out:
            language = str(rng.choice(OTHERS if is_foreign else ENGLISH))
        variant = str(rng.choice(variants))
        if write is not None:
            text = write(rng)
        elif is_foreign or rng.random() < 0.1:
            text = pseudo_words(rng)
        else:
            text = sentence(rng)
        voice = f"{language}+{variant}"
        pace = int(rng.integers(*manner.words_per_minute))
        pitch = int(rng.integers(*manner.espeak_pitch))
        spread = int(rng.integers(*manner.espeak_range))
        speech = engine.say(text, voice, pace, pitch, spread)
        if speech is None:
            continue
        name = "espeak:held-out" if held_out else f"espeak:{voice}{manner.name}"
        utterance = _padded(*speech, name)
        if utterance is not None:
            yield utterance


# ---- the corpus on disk


def sources(seed: int, scale: float = 1.0) -> Iterator[Iterator[Utterance]]:
    """Yield every engine found here, with the measured counts times `scale`: talk, words,
    singing."""
    rng = np.random.default_rng(seed)
    words_rng = np.random.default_rng((seed, 1))
    songs_rng = np.random.default_rng((seed, 2))
    yield espeak(int(ESPEAK_COUNT * scale), False, rng)
    yield espeak(int(HELD_OUT_COUNT * scale) + 1, True, rng)
    if shutil.which("flite"):
        for voice, count in FLITE_COUNTS.items():
            yield flite(voice, int(count * scale) + 1, rng)
    else:
        log.warning("flite is not installed: its voices are left out")
    if shutil.which("festival"):
        for voice, count in FESTIVAL_COUNTS.items():
            yield festival(voice, int(count * scale) + 1, rng)
    else:
        log.warning("festival is not installed: its voices are left out")
    yield from word_sources(words_rng, scale)
    yield from sung_sources(songs_rng, scale)


def word_sources(rng: np.random.Generator, scale: float) -> Iterator[Iterator[Utterance]]:
    """Yield single words and repeated syllables from the voices to train on."""
    yield espeak(int(SPECIAL_ESPEAK_COUNT * scale), False, rng, single_words)
    count = int(SPECIAL_COUNT * scale)
    if shutil.which("flite"):
        for voice in FLITE_TRAINING_VOICES:
            yield flite(voice, count, rng, single_words)
    if shutil.which("festival"):
        for voice in FESTIVAL_TRAINING_VOICES:
            yield festival(voice, count, rng, single_words)


def sung_sources(rng: np.random.Generator, scale: float) -> Iterator[Iterator[Utterance]]:
    """Yield sentences said slowly, on one high pitch, by the voices to train on."""
    yield espeak(int(SPECIAL_ESPEAK_COUNT * scale), False, rng, manner=SINGING)
    if shutil.which("flite"):
        for voice in FLITE_TRAINING_VOICES:
            yield flite(voice, int(SPECIAL_COUNT * scale), rng, manner=SINGING)


def make_corpus(folder: Path, seed: int, scale: float = 1.0) -> None:
    """Write `audio.i16` (all samples) and `utterances.json` (offset, length, voice, phones)."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    offset = 0
    with open(folder / "audio.i16", "wb") as file:
        for source in sources(seed, scale):
            for utterance in source:
                samples = (np.clip(utterance.samples, -1, 1) * 32767).astype(np.int16)
                file.write(samples.tobytes())
                row = {"offset": offset, "length": len(samples), "voice": utterance.voice}
                row["phones"] = [_rounded(*phone) for phone in utterance.phones]
                rows.append(row)
                offset += len(samples)
            minutes = offset / SAMPLE_RATE / 60
            log.info("corpus: %d utterances, %.1f min", len(rows), minutes)
    (folder / "utterances.json").write_text(json.dumps(rows))


def _rounded(name: str, start: float, end: float) -> tuple[str, float, float]:
    return name, round(start, 4), round(end, 4)
