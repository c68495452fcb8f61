"""espeak-ng through its C library: samples and timed phones of a text."""

from __future__ import annotations

import ctypes
import functools
import logging
import re
from dataclasses import dataclass

import numpy as np
from scipy.signal import resample_poly

from pipeline.models.audio2pose import SAMPLE_RATE
from pipeline.training.data.speech.visemes import Phones
from pipeline.values import InputError

log = logging.getLogger(__name__)

_MARKS = "[ˈˌːˑ̩̯̃͡ʰʲˠˤ̪̥\u200d.,'-]"  # stress, length and other marks
# IPA:ARPAbet
_PHONE_PAIRS = """
    tʃ:ch dʒ:jh tɕ:ch dʑ:jh ts:s dz:z aɪ:ay aʊ:aw ɔɪ:oy eɪ:ey oʊ:ow əʊ:ow ɔø:oy ɔy:oy p:p b:b
    m:m ɱ:m f:f v:v ɸ:f β:v ʋ:v θ:th ð:dh t:t d:d n:n ɾ:dx r:l ɹ:r ɻ:r ʁ:k ʀ:k s:s z:z ʃ:sh ʒ:zh
    ʂ:sh ʐ:zh ɕ:sh ʑ:zh k:k ɡ:g g:g ŋ:ng x:k ɣ:k χ:k q:k h:hh ɦ:hh ʔ:hh ç:y j:y ʝ:y ʎ:l ɲ:n c:k
    ɟ:g l:l ɫ:l w:w ʍ:w ɥ:yu ɧ:sh ɭ:l ɳ:n ʈ:t ɖ:d a:aa ɐ:ah ɑ:aa ɒ:ao æ:ae e:ey ɛ:eh ə:ax ɚ:er
    ɜ:er ɝ:er i:iy ɪ:ih ɨ:ih o:ow ɔ:ao ʌ:ah u:uw ʊ:uh ɯ:ih ʉ:uw y:yu ʏ:yu ø:yu œ:er ɵ:uh ᵻ:ih
    ɘ:ax
"""
_ARPABET = dict(pair.split(":") for pair in _PHONE_PAIRS.split())
_BURSTS = frozenset(
    ["p", "t", "k", "ch", "s"]
)  # their events may mark the burst (s: only written ts)

# of espeak-ng's speak_lib.h
_AUDIO_OUTPUT_SYNCHRONOUS = 2
_PHONEME_EVENTS = 1
_PHONEME_IPA = 2
_DONT_EXIT = 0x8000  # a missing data folder is an error, not the end of the process
_EVENT_LIST_TERMINATED = 0
_EVENT_PHONEME = 7
_RATE = 1
_PITCH = 3
_RANGE = 4
_POSITION_CHARACTER = 1
_CHARS_UTF8 = 1
_PHONEMES = 0x100

_UP = 320  # 16000 / 22050 Hz = 320 / 441
_DOWN = 441
# a stop's closure is silent: walk back over it from the burst
_HOPS_PER_SECOND = 200
_QUIET_SHARE = 0.02  # of the 98th percentile of the level
_LONGEST_CLOSURE_SECONDS = 0.15
_LONGEST_CLOSURE_AFTER_PAUSE_SECONDS = 0.07
_SHORTEST_PHONE_SECONDS = 0.01


class _Event(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_int),
        ("unique", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user", ctypes.c_void_p),
        ("string", ctypes.c_char * 8),
    ]


@dataclass(frozen=True)
class TimedPhone:
    """A phone as espeak marks it."""

    name: str
    start: float
    end: float
    is_burst: bool  # the start is the burst of a voiceless stop


class Espeak:
    """The espeak-ng library of the system, or that of the pip package espeakng-loader."""

    def __init__(self) -> None:
        self.library, data = _load_library()
        options = _PHONEME_EVENTS | _PHONEME_IPA | _DONT_EXIT
        self.rate = self.library.espeak_Initialize(_AUDIO_OUTPUT_SYNCHRONOUS, 0, data, options)
        if self.rate <= 0:
            raise InputError(
                "espeak-ng did not start; install Debian's espeak-ng or pip's espeakng-loader"
            )
        self._chunks: list[np.ndarray] = []
        self._events: list[tuple[str, int]] = []
        samples = ctypes.POINTER(ctypes.c_short)
        events = ctypes.POINTER(_Event)
        kind = ctypes.CFUNCTYPE(ctypes.c_int, samples, ctypes.c_int, events)
        self._callback = kind(self._receive)  # kept: the library holds only the pointer
        self.library.espeak_SetSynthCallback(self._callback)

    def _receive(self, samples, count, events) -> int:  # noqa: ANN001 - a C callback
        """Keep a chunk of samples and the phoneme events in it."""
        if samples and count > 0:
            self._chunks.append(np.ctypeslib.as_array(samples, (count,)).copy())
        number = 0
        while events and events[number].type != _EVENT_LIST_TERMINATED:
            event = events[number]
            if event.type == _EVENT_PHONEME:
                self._events.append((event.string.decode("utf-8", "ignore"), event.sample))
            number += 1
        return 0

    def say(
        self, text: str, voice: str, rate: int, pitch: int, spread: int
    ) -> tuple[np.ndarray, Phones] | None:
        """Return 16 kHz samples and timed phones; None when the voice or a symbol is unknown.

        Args:
            text: what to say.
            voice: language and variant, such as `en-us+m1`.
            rate: words per minute.
            pitch: 0 to 99.
            spread: range of the pitch, 0 to 99.
        """
        if self.library.espeak_SetVoiceByName(voice.encode()) != 0:
            return None
        for parameter, value in ((_RATE, rate), (_PITCH, pitch), (_RANGE, spread)):
            self.library.espeak_SetParameter(parameter, value, 0)
        self._chunks = []
        self._events = []
        data = text.encode() + b"\0"
        flags = _CHARS_UTF8 | _PHONEMES
        self.library.espeak_Synth(data, len(data), 0, _POSITION_CHARACTER, 0, flags, None, None)
        self.library.espeak_Synchronize()
        if not self._chunks or len(self._events) < 4:
            return None
        sound = np.concatenate(self._chunks).astype(np.float32) / 32768
        samples = resample_poly(sound, _UP, _DOWN)
        timed = self._timed(len(samples) / SAMPLE_RATE)
        if timed is None:
            return None
        return samples.astype(np.float32), move_closures(samples, timed)

    def _timed(self, seconds: float) -> list[TimedPhone] | None:
        """Return the phones of the events; None when a symbol is unknown."""
        starts = [sample / self.rate for _, sample in self._events]
        ends = [*starts[1:], seconds]
        phones = []
        for (text, _), start, end in zip(self._events, starts, ends, strict=True):
            names = ["pau"] if not text.strip("ˈˌː ") else _arpabet(text)
            if names is None:
                log.debug("espeak symbol %r is not known", text)
                return None
            length = end - start
            for number, name in enumerate(names):
                first = start + length * number / len(names)
                last = start + length * (number + 1) / len(names)
                is_affricate = name != "s" or text.startswith("t")
                is_burst = number == 0 and name in _BURSTS and is_affricate
                phones.append(TimedPhone(name, first, last, is_burst))
        return phones


def _arpabet(text: str) -> list[str] | None:
    """Return the ARPAbet names of one espeak phoneme string; None when a symbol is unknown."""
    text = re.sub(_MARKS, "", text).replace("nʲ", "n")
    names = []
    while text:
        size = 2 if text[:2] in _ARPABET else 1
        name = _ARPABET.get(text[:size])
        if name is None:
            return None
        names.append(name)
        text = text[size:]
    return names


def move_closures(samples: np.ndarray, timed: list[TimedPhone]) -> Phones:
    """Move the start of each voiceless stop from its burst back to the start of its closure.

    espeak marks the burst; the closure of about 45 ms lies in the phone before. Walk back while
    the 5-ms level is below 2 % of the utterance's 98th percentile, at most 150 ms, 70 ms after a
    pause.
    """
    hop = SAMPLE_RATE // _HOPS_PER_SECOND
    whole = samples[: len(samples) // hop * hop].reshape(-1, hop)
    level = np.sqrt(np.mean(whole**2, axis=1))
    is_quiet = level < _QUIET_SHARE * np.percentile(level, 98)
    bounds = [phone.start for phone in timed]
    bounds.append(timed[-1].end)
    for number, phone in enumerate(timed):
        if not phone.is_burst or number == 0:
            continue
        longest = _LONGEST_CLOSURE_SECONDS
        if timed[number - 1].name == "pau":
            longest = _LONGEST_CLOSURE_AFTER_PAUSE_SECONDS
        frame = min(int(phone.start * _HOPS_PER_SECOND), len(is_quiet)) - 1
        while frame >= 0 and is_quiet[frame]:
            if phone.start - frame / _HOPS_PER_SECOND > longest:
                break
            frame -= 1
        closure = (frame + 1) / _HOPS_PER_SECOND
        if closure < phone.start:
            bounds[number] = max(closure, bounds[number - 1] + _SHORTEST_PHONE_SECONDS)
        else:
            bounds[number] = phone.start
    return [(phone.name, bounds[n], bounds[n + 1]) for n, phone in enumerate(timed)]


@functools.cache
def _load_library() -> tuple[ctypes.CDLL, bytes | None]:
    """Load the library; returns it and its data folder (None = its own).

    It is looked for once: a loaded espeakng-loader would be found by the system's name the second
    time.
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
    library = ctypes.CDLL(espeakng_loader.get_library_path())
    return library, espeakng_loader.get_data_path().encode()
