"""Synthetic speech with timed phones, made by espeak-ng, flite and festival on this machine (training only).

The engines are the Debian packages espeak-ng, flite, festival (festvox-kallpc16k, festvox-kdlpc16k,
festvox-us-slt-hts); where they are missing, the pip package espeakng-loader alone is enough for a usable
corpus. Neither the engines nor the sound made with them are shipped, only weights. 6 h of speech take about 4
minutes.
"""

from __future__ import annotations

import ctypes
import functools
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
from pipeline.training.data.speech.sentences import pseudo_words, sentence, single_words
from pipeline.training.data.speech.visemes import PHONES, Phones
from pipeline.values import InputError

log = logging.getLogger(__name__)
PAD = (
    0.55  # s of silence at both ends of every utterance: needed to learn the opening before speech
)
Writer = Callable[[np.random.Generator], str]  # makes one text
HELD_OUT = ("flite:rms", "festival:ked_diphone", "espeak:held-out")
HELD_OUT_VARIANTS = ("f3", "m5", "Alicia", "Lee", "steph2", "max", "john", "linda")
VARIANTS = [
    "f1",
    "f2",
    "f4",
    "f5",
    "m1",
    "m2",
    "m3",
    "m4",
    "m6",
    "m7",
    "m8",
    "Alex",
    "Andrea",
    "Andy",
    "Annie",
    "Denis",
    "Diogo",
    "Gene",
    "Gene2",
    "Henrique",
    "Hugo",
    "Jacky",
    "Marco",
    "Mario",
    "Michael",
    "Mike",
    "Nguyen",
    "adam",
    "anika",
    "antonio",
    "aunty",
    "belinda",
    "benjamin",
    "boris",
    "caleb",
    "david",
    "ed",
    "edward",
    "edward2",
    "grandma",
    "grandpa",
    "gustave",
    "iven",
    "iven2",
    "iven3",
    "kaukovalta",
    "marcelo",
    "michel",
    "miguel",
    "norbert",
    "pablo",
    "paul",
    "pedro",
    "quincy",
    "rob",
    "robert",
    "sandro",
    "shelby",
    "steph",
    "steph3",
    "travis",
    "victor",
    "zac",
]
ENGLISH = ("en-us", "en-us", "en-us", "en-gb-x-rp", "en-gb-scotland", "en-029")
OTHERS = ("fr", "de", "es", "it", "pt-br", "pl", "nl", "sv", "tr", "fi")


@dataclass(frozen=True)
class Manner:
    """Ranges from which an utterance's delivery is drawn; `name` marks the voice in the corpus."""

    name: str
    stretch: tuple[float, float]  # flite: length of the phones over the plain one
    pitch: tuple[float, float]  # flite: mean pitch over the voice's own
    spread: float | None  # flite: deviation of the pitch in Hz, None = the voice's own
    espeak: tuple[
        tuple[int, int], tuple[int, int], tuple[int, int]
    ]  # words a minute, pitch, its range


TALKING = Manner("", (0.8, 1.35), (0.8, 1.3), None, ((120, 215), (25, 75), (30, 80)))
SINGING = Manner(
    ":sung", (1.1, 2.2), (0.9, 2.2), 3.0, ((80, 140), (35, 99), (0, 12))
)  # slow, high, level


@dataclass(frozen=True)
class Utterance:
    """`samples` (n,) float32 at 16 kHz, the timed phones that cover it, and `voice` as engine:name."""

    samples: np.ndarray
    phones: Phones
    voice: str


def _padded(samples: np.ndarray, phones: Phones, voice: str) -> Utterance | None:
    """The utterance with silence at both ends, or None when a phone is unknown or the timing is broken."""
    if (
        not phones
        or any(name not in PHONES for name, _, _ in phones)
        or len(samples) < SAMPLE_RATE // 2
    ):
        return None
    seconds = len(samples) / SAMPLE_RATE
    silence = np.zeros(int(PAD * SAMPLE_RATE), np.float32)
    shifted = [
        (name, start + PAD, min(end, seconds) + PAD) for name, start, end in phones if end > start
    ]
    timed = [("sil", 0.0, shifted[0][1]), *shifted, ("sil", shifted[-1][2], seconds + 2 * PAD)]
    merged: Phones = []
    for name, start, end in timed:
        if merged and name in ("sil", "pau") and merged[-1][0] == "sil":
            merged[-1] = ("sil", merged[-1][1], end)
        else:
            merged.append(("sil" if name == "pau" else name, start, end))
    return Utterance(np.concatenate([silence, samples.astype(np.float32), silence]), merged, voice)


def _read_wave(path: Path) -> np.ndarray:
    with wave.open(str(path)) as file:
        data = (
            np.frombuffer(file.readframes(file.getnframes()), np.int16).astype(np.float32) / 32768
        )
        rate = file.getframerate()
    return (
        data if rate == SAMPLE_RATE else resample_poly(data, SAMPLE_RATE, rate).astype(np.float32)
    )


# ---- flite


def flite(
    voice: str,
    count: int,
    rng: np.random.Generator,
    write: Writer = sentence,
    manner: Manner = TALKING,
) -> Iterator[Utterance]:
    """`count` utterances of one flite voice; phone end times come from `-psdur`."""
    pitch = {"slt": 175, "rms": 100, "awb": 120, "kal": 105, "kal16": 105}[voice]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.wav"
        for _ in range(count):
            stretch, mean = rng.uniform(*manner.stretch), pitch * rng.uniform(*manner.pitch)
            command = [
                "flite",
                "-voice",
                voice,
                "-psdur",
                "--setf",
                f"duration_stretch={stretch:.2f}",
            ]
            command += ["--setf", f"int_f0_target_mean={mean:.0f}"]
            if manner.spread is not None:
                command += ["--setf", f"int_f0_target_stddev={manner.spread:.0f}"]
            command += ["-t", write(rng), "-o", str(path)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            phones, start = [], 0.0
            for name, end in re.findall(r"([a-z#@]+):([0-9.]+)", done.stdout):
                phones.append((name, start, float(end)))
                start = float(end)
            if (
                made := _padded(_read_wave(path), phones, f"flite:{voice}{manner.name}")
            ) is not None:
                yield made


# ---- festival


def festival(
    voice: str, count: int, rng: np.random.Generator, write: Writer = sentence
) -> Iterator[Utterance]:
    """`count` utterances of one festival voice; one script makes them all."""
    with tempfile.TemporaryDirectory() as folder:
        script = [f"(voice_{voice})"]
        for k in range(count):
            mean = rng.uniform(90, 190)
            script.append(f"(Parameter.set 'Duration_Stretch {rng.uniform(0.8, 1.35):.2f})")
            script.append(
                f"(set! int_lr_params '((target_f0_mean {mean:.0f}) (target_f0_std 15) (model_f0_mean 170) "
                "(model_f0_std 34)))"
            )
            script.append(f'(set! u (Utterance Text "{write(rng)}")) (utt.synth u)')
            script.append(
                f'(utt.save.segs u "{folder}/{k}.segs") (utt.save.wave u "{folder}/{k}.wav" \'riff)'
            )
        Path(folder, "make.scm").write_text("\n".join(script))
        subprocess.run(["festival", "-b", f"{folder}/make.scm"], capture_output=True, check=True)
        for k in range(count):
            if not Path(folder, f"{k}.wav").exists():
                continue
            phones, start = [], 0.0
            for line in Path(folder, f"{k}.segs").read_text().split("\n"):
                fields = line.split()
                if len(fields) == 3 and fields[0] != "#":
                    name = {"h#": "pau", "#": "pau", "brth": "pau"}.get(fields[2], fields[2])
                    phones.append((name, start, float(fields[0])))
                    start = float(fields[0])
            if (
                made := _padded(_read_wave(Path(folder, f"{k}.wav")), phones, f"festival:{voice}")
            ) is not None:
                yield made


# ---- espeak-ng through its C library

_IPA = {
    "tʃ": "ch", "dʒ": "jh", "tɕ": "ch", "dʑ": "jh", "ts": "s", "dz": "z", "aɪ": "ay", "aʊ": "aw", "ɔɪ": "oy",
    "eɪ": "ey", "oʊ": "ow", "əʊ": "ow", "ɔø": "oy", "ɔy": "oy", "p": "p", "b": "b", "m": "m", "ɱ": "m", "f":
    "f", "v": "v", "ɸ": "f", "β": "v", "ʋ": "v", "θ": "th", "ð": "dh", "t": "t", "d": "d", "n": "n", "ɾ":
    "dx", "r": "l", "ɹ": "r", "ɻ": "r", "ʁ": "k", "ʀ": "k", "s": "s", "z": "z", "ʃ": "sh", "ʒ": "zh", "ʂ":
    "sh", "ʐ": "zh", "ɕ": "sh", "ʑ": "zh", "k": "k", "ɡ": "g", "g": "g", "ŋ": "ng", "x": "k", "ɣ": "k", "χ":
    "k", "q": "k", "h": "hh", "ɦ": "hh", "ʔ": "hh", "ç": "y", "j": "y", "ʝ": "y", "ʎ": "l", "ɲ": "n", "c":
    "k", "ɟ": "g", "l": "l", "ɫ": "l", "w": "w", "ʍ": "w", "ɥ": "yu", "ɧ": "sh", "ɭ": "l", "ɳ": "n", "ʈ": "t",
    "ɖ": "d", "a": "aa", "ɐ": "ah", "ɑ": "aa", "ɒ": "ao", "æ": "ae", "e": "ey", "ɛ": "eh", "ə": "ax", "ɚ":
    "er", "ɜ": "er", "ɝ": "er", "i": "iy", "ɪ": "ih", "ɨ": "ih", "o": "ow", "ɔ": "ao", "ʌ": "ah", "u": "uw",
    "ʊ": "uh", "ɯ": "ih", "ʉ": "uw", "y": "yu", "ʏ": "yu", "ø": "yu", "œ": "er", "ɵ": "uh", "ᵻ": "ih", "ɘ":
    "ax",
}  # fmt: skip
_BURST = frozenset(
    ["p", "t", "k", "ch", "s"]
)  # their events may mark the burst (s: only when written ts)


def _phones_of(text: str) -> list[str] | None:
    """ARPAbet names of one espeak phoneme string, or None when a symbol is unknown."""
    text = re.sub("[ˈˌːˑ̩̯̃͡ʰʲˠˤ̪̥\u200d.,'-]", "", text).replace("nʲ", "n")
    out = []
    while text:
        for size in (2, 1):
            if text[:size] in _IPA:
                out.append(_IPA[text[:size]])
                text = text[size:]
                break
        else:
            return None
    return out


class _Event(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_int), ("unique", ctypes.c_uint), ("text_position", ctypes.c_int),
        ("length", ctypes.c_int), ("audio_position", ctypes.c_int), ("sample", ctypes.c_int),
        ("user", ctypes.c_void_p), ("string", ctypes.c_char * 8),
    ]  # fmt: skip


class Espeak:
    """The espeak-ng library of the system, or that of the pip package espeakng-loader."""

    def __init__(self) -> None:
        self.library, data = _espeak_library()
        # synchronous; phoneme events in IPA; a missing data folder is an error, not the end of the process
        self.rate = self.library.espeak_Initialize(2, 0, data, 1 | 2 | 0x8000)
        if self.rate <= 0:
            raise InputError(
                "espeak-ng did not start; install Debian's espeak-ng or pip's espeakng-loader"
            )
        self._chunks: list[np.ndarray] = []
        self._events: list[tuple[str, int]] = []
        kind = ctypes.CFUNCTYPE(
            ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event)
        )
        self._callback = kind(self._receive)  # kept: the library holds only the pointer
        self.library.espeak_SetSynthCallback(self._callback)

    def _receive(self, samples, count, events) -> int:  # noqa: ANN001 - a C callback
        if samples and count > 0:
            self._chunks.append(np.ctypeslib.as_array(samples, (count,)).copy())
        k = 0
        while events and events[k].type != 0:
            if events[k].type == 7:
                self._events.append((events[k].string.decode("utf-8", "ignore"), events[k].sample))
            k += 1
        return 0

    def say(
        self, text: str, voice: str, rate: int, pitch: int, spread: int
    ) -> tuple[np.ndarray, Phones] | None:
        """16 kHz samples and timed phones, or None when the voice or a symbol is not known."""
        if self.library.espeak_SetVoiceByName(voice.encode()) != 0:
            return None
        for parameter, value in ((1, rate), (3, pitch), (4, spread)):
            self.library.espeak_SetParameter(parameter, value, 0)
        self._chunks, self._events, data = [], [], text.encode() + b"\0"
        self.library.espeak_Synth(data, len(data), 0, 1, 0, 1 | 0x100, None, None)
        self.library.espeak_Synchronize()
        if not self._chunks or len(self._events) < 4:
            return None
        samples = resample_poly(np.concatenate(self._chunks).astype(np.float32) / 32768, 320, 441)
        timed = self._timed(len(samples) / SAMPLE_RATE)
        return (
            None if timed is None else (samples.astype(np.float32), closures_moved(samples, timed))
        )

    def _timed(self, seconds: float) -> list[tuple[str, float, float, bool]] | None:
        """Phones with start, end and whether the event marks a burst."""
        starts = [sample / self.rate for _, sample in self._events] + [seconds]
        out = []
        for (text, _), start, end in zip(self._events, starts, starts[1:], strict=False):
            names = ["pau"] if not text.strip("ˈˌː ") else _phones_of(text)
            if names is None:
                log.debug("espeak symbol %r is not known", text)
                return None
            for k, name in enumerate(names):
                a, b = (start + (end - start) * j / len(names) for j in (k, k + 1))
                out.append(
                    (
                        name,
                        a,
                        b,
                        k == 0 and name in _BURST and (name != "s" or text.startswith("t")),
                    )
                )
        return out


def closures_moved(samples: np.ndarray, timed: list[tuple[str, float, float, bool]]) -> Phones:
    """The phones with each voiceless stop's start moved from its burst back to the start of its closure.

    espeak marks the burst; the ~45 ms closure sits in the phone before. Walk back while the 5-ms level is
    below 2 % of the utterance's 98th percentile, at most 150 ms, 70 ms after a pause.
    """
    hop = SAMPLE_RATE // 200
    level = np.sqrt(np.mean(samples[: len(samples) // hop * hop].reshape(-1, hop) ** 2, axis=1))
    quiet = level < 0.02 * np.percentile(level, 98)
    bounds = [start for _, start, _, _ in timed] + [timed[-1][2]]
    for k, (_, start, _, burst) in enumerate(timed):
        if burst and k > 0:
            limit = 0.07 if timed[k - 1][0] == "pau" else 0.15
            frame = min(int(start * 200), len(quiet)) - 1
            while frame >= 0 and quiet[frame] and start - frame / 200 <= limit:
                frame -= 1
            bounds[k] = (
                max((frame + 1) / 200, bounds[k - 1] + 0.01) if (frame + 1) / 200 < start else start
            )
    return [(name, bounds[k], bounds[k + 1]) for k, (name, _, _, _) in enumerate(timed)]


@functools.cache
def _espeak_library() -> tuple[ctypes.CDLL, bytes | None]:
    """The library and its data folder (None = its own); ValueError when there is none.

    Looked for once: a loaded espeakng-loader would be found by the system's name the second time.
    """
    try:
        return ctypes.CDLL("libespeak-ng.so.1"), None
    except OSError:
        log.info("no espeak-ng on this system: using the one of espeakng-loader")
    try:
        import espeakng_loader
    except ImportError:
        raise InputError(
            "espeak-ng is missing; install Debian's espeak-ng or `pip install espeakng-loader`"
        ) from None
    return ctypes.CDLL(espeakng_loader.get_library_path()), espeakng_loader.get_data_path().encode()


def espeak(
    count: int,
    held_out: bool,
    rng: np.random.Generator,
    write: Writer | None = None,
    variants: Sequence[str] = (),
    manner: Manner = TALKING,
) -> Iterator[Utterance]:
    """`count` tries over many voices and languages; the held-out variants speak US English only.

    `variants` narrows the voices; without any it is all of the side's.
    """
    variants = variants or (HELD_OUT_VARIANTS if held_out else VARIANTS)
    engine = Espeak()
    for _ in range(count):
        foreign = not held_out and rng.random() < 0.3
        language = "en-us" if held_out else str(rng.choice(OTHERS if foreign else ENGLISH))
        variant = str(rng.choice(variants))
        if write is None:
            text = pseudo_words(rng) if foreign or rng.random() < 0.1 else sentence(rng)
        else:
            text = write(rng)
        pace, pitch, spread = (int(rng.integers(*span)) for span in manner.espeak)
        said = engine.say(text, f"{language}+{variant}", pace, pitch, spread)
        if said is None:
            continue
        name = "espeak:held-out" if held_out else f"espeak:{language}+{variant}{manner.name}"
        if (made := _padded(*said, name)) is not None:
            yield made


# ---- the corpus on disk


def sources(seed: int, scale: float = 1.0) -> Iterator[Iterator[Utterance]]:
    """Every engine found here, with the measured recipe's counts times `scale`: talk, words, singing."""
    rng, words, songs = (np.random.default_rng(key) for key in (seed, (seed, 1), (seed, 2)))
    yield espeak(int(2400 * scale), False, rng)
    yield espeak(int(90 * scale) + 1, True, rng)
    if shutil.which("flite"):
        for voice, count in {"awb": 330, "slt": 380, "kal16": 200, "rms": 90}.items():
            yield flite(voice, int(count * scale) + 1, rng)
    else:
        log.warning("flite is not installed: its voices are left out")
    if shutil.which("festival"):
        for voice, count in {
            "kal_diphone": 260,
            "cmu_us_slt_arctic_hts": 300,
            "ked_diphone": 90,
        }.items():
            yield festival(voice, int(count * scale) + 1, rng)
    else:
        log.warning("festival is not installed: its voices are left out")
    yield from word_sources(words, scale)
    yield from sung_sources(songs, scale)


def word_sources(rng: np.random.Generator, scale: float) -> Iterator[Iterator[Utterance]]:
    """Single words and repeated syllables from the voices to train on."""
    yield espeak(int(400 * scale), False, rng, single_words)
    if shutil.which("flite"):
        for voice in ("awb", "slt", "kal16"):
            yield flite(voice, int(90 * scale), rng, single_words)
    if shutil.which("festival"):
        for voice in ("kal_diphone", "cmu_us_slt_arctic_hts"):
            yield festival(voice, int(90 * scale), rng, single_words)


def sung_sources(rng: np.random.Generator, scale: float) -> Iterator[Iterator[Utterance]]:
    """Sentences said slowly, on one high pitch, by the voices to train on."""
    yield espeak(int(400 * scale), False, rng, manner=SINGING)
    if shutil.which("flite"):
        for voice in ("awb", "slt", "kal16"):
            yield flite(voice, int(90 * scale), rng, manner=SINGING)


def make_corpus(folder: Path, seed: int, scale: float = 1.0) -> None:
    """Writes `audio.i16` (all samples) and `utterances.json` (offset, length, voice, phones) to `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    rows, offset = [], 0
    with open(folder / "audio.i16", "wb") as file:
        for source in sources(seed, scale):
            for made in source:
                data = (np.clip(made.samples, -1, 1) * 32767).astype(np.int16)
                file.write(data.tobytes())
                phones = [(name, round(a, 4), round(b, 4)) for name, a, b in made.phones]
                rows.append(
                    {"offset": offset, "length": len(data), "voice": made.voice, "phones": phones}
                )
                offset += len(data)
            log.info("corpus: %d utterances, %.1f min", len(rows), offset / SAMPLE_RATE / 60)
    (folder / "utterances.json").write_text(json.dumps(rows))
