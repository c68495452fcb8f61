"""Analyze speech: the intensity and the signed excitation that drive the gestures (after
ApoAvatar).

ApoAvatar weighs every video frame by the loudness of its speech. Here the intensity blends loudness
with pitch height and spectral onsets (`mode="full"`); `mode="rms"` keeps loudness alone, in dB and
smoothed, and `mode="loudness"` is the RMS of each frame as in the paper (`loudness.py`). All are
differences or ratios, so the gain of the recording does not matter. Every filter is zero-phase, so
gestures are never late.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import gcd

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.signal import butter, find_peaks, resample_poly, sosfiltfilt

from pipeline.motion.loudness import frame_rms, loudness_weight
from pipeline.values import Audio, InputError

SAMPLE_RATE = 16000  # Hz, of the sound that is analyzed
HOP_SAMPLES = 160  # one value of a curve every 10 ms
CURVE_RATE_HZ = SAMPLE_RATE / HOP_SAMPLES

# Speech has its energy here; hum and hiss lie outside.
BAND_HZ = (100.0, 4000.0)
LEVEL_WINDOW_SECONDS = 0.04
# Digital silence is put this far under the loudest moment.
FLOOR_DB = 80.0
# A steadier sound is a tone, a noise or silence, not speech.
MIN_RANGE_DB = 6.0
# Share of active moments below which there is no speech.
MIN_ACTIVE = 0.02
# A shorter sound holds no rhythm.
MIN_SECONDS = 0.25

PITCH_SEARCH_HZ = (60.0, 420.0)
# Narrower than the search: values at the edges of the search are failures.
VOICED_HZ = (65.0, 400.0)
# Two periods of 60 Hz fit in each half.
PITCH_FRAME_SAMPLES = 1024
# Pitch moves slowly: 50 values a second halve the cost.
PITCH_HOP_SAMPLES = 320
PITCH_SMOOTHING_SECONDS = 0.06
# A larger step between two moments is a failure of the search.
MAX_PITCH_STEP_SEMITONES = 3.0

MEL_WINDOW_SAMPLES = 400
MEL_BANDS = 40
FFT_SAMPLES = 512
ONSET_SMOOTHING_SECONDS = 0.03
ONSET_FLOOR_DB = 50.0

INTENSITY_SMOOTHING_SECONDS = 0.06
# 0.12 s nearly doubles the jerk of refocused wrists.
EXCITATION_SECONDS = 0.16
# Least distance of two accents.
ACCENT_SECONDS = 0.45
# Least rise of the intensity over its surroundings.
ACCENT_PROMINENCE = 0.12
ACCENT_HEIGHT = 0.3


@dataclass(frozen=True)
class Weights:
    """Weights of the three parts of the intensity; they add up to 1."""

    loudness: float
    pitch: float
    onsets: float


WEIGHTS = {"full": Weights(0.55, 0.25, 0.20), "rms": Weights(1.0, 0.0, 0.0)}
LOUDNESS = "loudness"
CHOICES = ("full", LOUDNESS)  # what a user may choose


@dataclass(frozen=True)
class Curve:
    """Keep what the editing of accents needs.

    `intensity` (N,) at 100 Hz; `usual_level`, its median while speaking; `detected_accents` (M,2),
    seconds and strength.
    """

    intensity: np.ndarray
    usual_level: float
    detected_accents: np.ndarray


@dataclass(frozen=True)
class Prosody:
    """Describe a speech per video frame.

    `intensity` (T,) and `speech` (T,) in [0, 1]; `excitation` (T,) in [-1, 1]: -1 in pauses, 0 at
    the usual level of the speaker, 1 at the strongest accents. `accents` (M,2) holds the seconds
    and the strength in [0, 1] of the prominent moments, in order of time. Where the sound holds no
    speech all curves are 0. `curve` is absent in a prosody that `analyse` did not make; such a
    prosody cannot be edited.
    """

    intensity: np.ndarray
    excitation: np.ndarray
    accents: np.ndarray
    speech: np.ndarray
    fps: float
    curve: Curve | None = None

    def __len__(self) -> int:
        return len(self.intensity)


def analyse(audio: Audio, fps: float, mode: str = "full") -> Prosody:
    """Return the prosody of a speech at `fps` frames a second.

    With the speech activity a, loudness E, pitch F and onsets X, all in about [0, 1]:

        p = smooth(a (0.55 E + 0.25 F + 0.20 X)), over its 95th percentile
        e = (p - m)+ / (1 - m) - (m - p)+ / m,  m = median of p while speaking

    p is the intensity and e, smoothed, the excitation. With mode "loudness" p is ApoAvatar's w
    (`loudness.py`).
    """
    _check(audio, fps, mode)
    frames = audio.frames(fps)
    samples = _normalized(audio)
    level = _speech_level(samples)
    activity = None if level is None else _activity(level)
    if level is None or activity is None:
        return _silence(frames, len(samples), fps)
    if mode == LOUDNESS:
        active = activity > 0.5
        rms = frame_rms(samples, round(SAMPLE_RATE / fps), HOP_SAMPLES)
        intensity = loudness_weight(rms, active)
        usual_level = _usual_level(intensity, active)
    else:
        intensity, usual_level = _intensity(samples, level, activity, WEIGHTS[mode])
    curve = Curve(intensity, usual_level, detect_accents(intensity))
    excitation = excite(intensity, usual_level)
    return Prosody(
        intensity=per_frame(intensity, frames, fps),
        excitation=per_frame(excitation, frames, fps),
        accents=curve.detected_accents,
        speech=per_frame(activity, frames, fps),
        fps=fps,
        curve=curve,
    )


def _check(audio: Audio, fps: float, mode: str) -> None:
    if mode not in (*WEIGHTS, LOUDNESS):
        modes = ", ".join((*WEIGHTS, LOUDNESS))
        raise InputError(f"prosody mode {mode!r} is not known; choose one of {modes}")
    if not (np.isfinite(fps) and fps > 0):
        raise InputError(f"fps must be a positive number, got {fps}")
    finite = np.isfinite(audio.samples)
    if len(finite) == 0 or not finite.all():
        raise InputError(
            "the speech is empty or holds values that are not finite; "
            "give a sound with finite samples"
        )


def _silence(frames: int, samples: int, fps: float) -> Prosody:
    """Return the prosody of a sound without speech: there is nothing to follow."""
    no_accents = np.zeros((0, 2))
    moments = samples // HOP_SAMPLES + 1
    return Prosody(
        intensity=np.zeros(frames),
        excitation=np.zeros(frames),
        accents=no_accents,
        speech=np.zeros(frames),
        fps=fps,
        curve=Curve(np.zeros(moments), 0.0, no_accents),
    )


def per_frame(values: np.ndarray, frames: int, fps: float) -> np.ndarray:
    """Sample a 100 Hz curve at the middle of each video frame: (frames,)."""
    curve_seconds = np.arange(len(values)) * HOP_SAMPLES / SAMPLE_RATE
    frame_seconds = (np.arange(frames) + 0.5) / fps
    return np.interp(frame_seconds, curve_seconds, values)


def excite(intensity: np.ndarray, usual_level: float) -> np.ndarray:
    """Return the smoothed excitation (N,) of an intensity (N,), both at 100 Hz."""
    above = np.maximum(intensity - usual_level, 0)
    below = np.maximum(usual_level - intensity, 0)
    excitation = above / (1 - usual_level)
    if usual_level:
        excitation = excitation - below / usual_level
    sigma = EXCITATION_SECONDS * CURVE_RATE_HZ
    return gaussian_filter1d(excitation, sigma, mode="nearest")


def _normalized(audio: Audio) -> np.ndarray:
    """Return samples at 16 kHz as float64, without offset, with peak 1: independent of the gain."""
    samples = np.asarray(audio.samples, np.float64)
    rate = int(audio.rate)
    if audio.rate != SAMPLE_RATE:
        common = gcd(rate, SAMPLE_RATE)
        samples = resample_poly(samples, SAMPLE_RATE // common, rate // common)
    samples = samples - samples.mean()
    peak = np.abs(samples).max()
    if peak > 1e-7:
        return samples / peak
    return np.zeros_like(samples)  # what is left of a constant is rounding, not sound


def _speech_level(samples: np.ndarray) -> np.ndarray | None:
    """Return the level of a sound, or None where it is empty or too short to hold a rhythm."""
    if len(samples) < MIN_SECONDS * SAMPLE_RATE or not samples.any():
        return None
    return _level_db(samples)


def _level_db(samples: np.ndarray) -> np.ndarray:
    """Return the level (N,) in dB at 100 Hz: band-pass, square, mean under a Hann window.

    At the ends of the clip the mean is taken over the part of the window that lies inside.
    """
    sections = butter(4, BAND_HZ, "bandpass", fs=SAMPLE_RATE, output="sos")
    power = sosfiltfilt(sections, samples) ** 2
    width = int(LEVEL_WINDOW_SECONDS * SAMPLE_RATE)
    window = np.hanning(width + 2)[1:-1]
    half = len(window) // 2
    padded_power = np.pad(power, (half, half))
    padded_inside = np.pad(np.ones_like(power), (half, half))
    powers = _windows(padded_power, len(window), len(samples))
    inside = _windows(padded_inside, len(window), len(samples))
    mean = (powers @ window) / np.maximum(inside @ window, 1e-12)
    decibels = 10 * np.log10(np.maximum(mean, 1e-20))
    return np.maximum(decibels, decibels.max() - FLOOR_DB)


def _windows(padded: np.ndarray, length: int, samples: int) -> np.ndarray:
    """Return a view (N, length) of windows every 10 ms, centered on the first to the last
    sample."""
    count = samples // HOP_SAMPLES + 1
    short = (count - 1) * HOP_SAMPLES + length - len(padded)
    padded = np.pad(padded, (0, max(short, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, length)
    return windows[::HOP_SAMPLES][:count]


def _activity(level: np.ndarray) -> np.ndarray | None:
    """Return the speech activity (N,) in [0, 1].

    Return None where the sound is too steady or its loud moments are too rare for speech.
    """
    low, high = np.quantile(level, (0.05, 0.95))
    threshold = max(low + 6.0, high - 30.0)
    active_share = np.mean(level > threshold)
    if high - low < MIN_RANGE_DB or active_share < MIN_ACTIVE:
        return None
    return 1 / (1 + np.exp(-(level - threshold) / 1.5))


def _intensity(
    samples: np.ndarray, level: np.ndarray, activity: np.ndarray, weights: Weights
) -> tuple[np.ndarray, float]:
    """Return the smoothed intensity (N,) at 100 Hz and its median while speaking."""
    active = activity > 0.5
    blend = weights.loudness * _loudness(level, active)
    if weights.pitch:
        blend = blend + weights.pitch * _pitch(samples, active)
    if weights.onsets:
        blend = blend + weights.onsets * _onsets(samples, active)
    sigma = INTENSITY_SMOOTHING_SECONDS * CURVE_RATE_HZ
    smooth = gaussian_filter1d(activity * blend, sigma, mode="nearest")
    top = max(np.quantile(smooth[active], 0.95), 0.15)
    intensity = np.clip(smooth / top, 0, 1)
    return intensity, _usual_level(intensity, active)


def _usual_level(intensity: np.ndarray, active: np.ndarray) -> float:
    """Return the median of the intensity (N,) while speaking, kept off its ends."""
    median = np.median(intensity[active])
    return float(np.clip(median, 0.05, 0.95))


def _loudness(level: np.ndarray, active: np.ndarray) -> np.ndarray:
    """Return the level (N,) over the range that the speaker uses, 0 to 1.2."""
    low, high = np.quantile(level[active], (0.10, 0.95))
    span = max(high - low, 6.0)
    return np.clip((level - low) / span, 0, 1.2)


def _pitch(samples: np.ndarray, active: np.ndarray) -> np.ndarray:
    """Return the height (N,) of the pitch over the speaker's median, 0 to 1.

    Unvoiced gaps are bridged.
    """
    # The import takes two seconds, which mode "rms" and the start of the app should not pay.
    from librosa import yin

    pitch_hz = yin(
        samples,
        fmin=PITCH_SEARCH_HZ[0],
        fmax=PITCH_SEARCH_HZ[1],
        sr=SAMPLE_RATE,
        frame_length=PITCH_FRAME_SAMPLES,
        hop_length=PITCH_HOP_SAMPLES,
    )
    semitones = 12 * np.log2(np.maximum(pitch_hz, 1.0))
    step = np.abs(np.diff(semitones, prepend=semitones[:1]))
    pitch_samples = np.arange(len(pitch_hz)) * PITCH_HOP_SAMPLES
    curve_samples = np.arange(len(active)) * HOP_SAMPLES
    speaking = np.interp(pitch_samples, curve_samples, active.astype(float)) > 0.5
    low, high = VOICED_HZ
    in_range = (pitch_hz > low) & (pitch_hz < high)
    voiced = speaking & in_range & (step < MAX_PITCH_STEP_SEMITONES)
    if voiced.sum() < 3:
        return np.zeros(len(active))
    usual = np.median(semitones[voiced])
    top = np.quantile(semitones[voiced], 0.90)
    span = max(top - usual, 1.0)
    height = np.clip((semitones - usual) / span, 0, 1) * voiced
    sigma = PITCH_SMOOTHING_SECONDS * SAMPLE_RATE / PITCH_HOP_SAMPLES
    voiced_share = gaussian_filter1d(voiced.astype(float), sigma)
    bridged = gaussian_filter1d(height, sigma) / np.maximum(voiced_share, 1e-3)
    return np.interp(curve_samples, pitch_samples, bridged)


@lru_cache(maxsize=1)
def _mel_bank() -> np.ndarray:
    from librosa.filters import mel

    bank = mel(sr=SAMPLE_RATE, n_fft=FFT_SAMPLES, n_mels=MEL_BANDS, fmin=60, fmax=7600)
    return bank.T


def _onsets(samples: np.ndarray, active: np.ndarray) -> np.ndarray:
    """Return the strength (N,) of the onsets: 1 at the 95th percentile while speaking, at most 1.2.

    It is the rising part of the log-mel spectrum over a centered 20 ms.
    """
    half = MEL_WINDOW_SAMPLES // 2
    padded = np.pad(samples, (half, half))
    windows = _windows(padded, MEL_WINDOW_SAMPLES, len(samples))
    windows = windows * np.hanning(MEL_WINDOW_SAMPLES)
    spectrum = np.fft.rfft(windows.astype(np.float32), FFT_SAMPLES)
    power = np.abs(spectrum) ** 2 @ _mel_bank()
    decibels = 10 * np.log10(np.maximum(power, 1e-12))
    decibels = np.maximum(decibels, decibels.max() - ONSET_FLOOR_DB)
    change = decibels[2:] - decibels[:-2]
    rise = np.zeros(len(decibels))
    rise[1:-1] = np.maximum(change, 0).mean(1)
    rise = gaussian_filter1d(rise, ONSET_SMOOTHING_SECONDS * CURVE_RATE_HZ)
    top = max(np.quantile(rise[active], 0.95), 1e-9)
    return np.clip(rise / top, 0, 1.2)


def detect_accents(intensity: np.ndarray) -> np.ndarray:
    """Return the accents (M,2), seconds and strength: peaks of the intensity, at least 0.45 s
    apart.

    The strength is the mean of the height of a peak and of its rise over the surroundings.
    """
    padded = np.pad(intensity, 1)  # a peak may lie at the first or the last moment
    peaks, features = find_peaks(
        padded,
        height=ACCENT_HEIGHT,
        distance=int(np.ceil(ACCENT_SECONDS * CURVE_RATE_HZ)),
        prominence=ACCENT_PROMINENCE,
    )
    mean = (features["peak_heights"] + features["prominences"]) / 2
    strength = np.clip(mean, 0, 1)
    seconds = np.maximum(peaks - 1, 0) / CURVE_RATE_HZ
    return np.stack([seconds, strength], 1)
