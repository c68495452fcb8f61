"""Figures of predicted mouths: on real clips, on music, without speech and on held-out voices."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from pipeline import media
from pipeline.evaluation.lips import curves
from pipeline.evaluation.metrics.correlation import correlation
from pipeline.models.audio2pose import SAMPLE_RATE, Audio2Pose
from pipeline.motion import face_animation
from pipeline.training.data.speech import engines, music
from pipeline.values import Audio

FPS = 25
GAP = face_animation.PARAMETERS.index("gap")
BITE = face_animation.PARAMETERS.index("bite")
LAG_REACH_FRAMES = 5
MUSIC_SNR_DB = (6, 0)  # of the voice over the bed
HELD_OUT_SEED = 2**31  # no training run uses seeds from here on
BEDS_UNDER_VOICE = 8
BEDS_ALONE = 24
BED_LEVEL = 0.1  # -20 dBFS
QUIET_GAP = 0.10  # a mouth that opens less counts as shut
# Seconds of a13 with a voice, read off its spectrogram; before and after, the band plays alone.
SUNG_SECONDS = (3.0, 9.0)
CLOSURE_RATE_HZ = 100
CLOSURE_SEED = 1234
CLOSED_SHARE = 0.25  # of the utterance's 90th percentile: a mouth that opens less is closed
BILABIALS = ("p", "b", "m")
LABIODENTALS = ("f", "v")
VOWELS = ("aa", "ae", "ah", "eh", "iy", "ey", "ay")


def clip_figures(model: Audio2Pose, video: Path) -> dict[str, float | str]:
    """Correlate with the true lips of one clip at lag 0, and find the model's best lag in ms."""
    points, fps, size = curves.mesh(video)
    frames = len(points)
    truth = curves.true_gap(points)
    audio = media.read_audio(video, SAMPLE_RATE)
    params = model.predict(audio, fps, frames).params
    with_face = np.flatnonzero(np.isfinite(points[:, 0, 0]))
    first = points[with_face[0]]
    height, width = size
    reference = first[curves.MESH_TO_68, :2] / np.array([width, height], float)
    still = np.zeros(frames)
    face = face_animation.animate(reference, size, params, still, still)
    lags = range(-LAG_REACH_FRAMES, LAG_REACH_FRAMES + 1)
    by_lag = {lag: correlation(params[:, GAP], truth, lag) for lag in lags}
    envelopes = curves.envelopes(audio, fps, frames).values()
    found: dict[str, float | str] = {
        "clip": video.stem,
        "gap_r": by_lag[0],
        "drawn_r": correlation(curves.drawn_gap(face, size), truth),
        "envelope_r": max(correlation(curve, truth) for curve in envelopes),
        "best_lag_ms": 1000 * max(by_lag, key=by_lag.__getitem__) / fps,
        "best_lag_r": max(by_lag.values()),
    }
    for snr in MUSIC_SNR_DB:
        gaps = _gaps_over_music(model, audio, fps, frames, snr)
        found[f"gap_r_music_{snr}"] = np.mean([correlation(gap, truth) for gap in gaps])
    return found


# The clips are as long as one another, and every one is asked for twice.
@functools.lru_cache(maxsize=1)
def held_out_beds(samples: int, count: int = BEDS_UNDER_VOICE) -> tuple[np.ndarray, ...]:
    """Make music of unit level from seeds that no training run uses."""
    beds = []
    for number in range(count):
        rng = np.random.default_rng((HELD_OUT_SEED, number))
        beds.append(music.music(rng, samples))
    return tuple(beds)


def _gaps_over_music(
    model: Audio2Pose, audio: Audio, fps: float, frames: int, snr_db: float
) -> Iterator[np.ndarray]:
    """Predict the gaps (T,) of the voice over each held-out bed."""
    for bed in held_out_beds(len(audio.samples)):
        mixed = Audio(music.under(audio.samples, bed, snr_db), SAMPLE_RATE)
        yield model.predict(mixed, fps, frames).params[:, GAP]


def music_figures(model: Audio2Pose, seconds: float = 8.0) -> dict[str, float]:
    """Measure what the mouth does on held-out beds alone: it should do nothing."""
    frames = int(seconds * FPS)
    beds = held_out_beds(int(seconds * SAMPLE_RATE), BEDS_ALONE)
    predictions = [model.predict(Audio(BED_LEVEL * bed, SAMPLE_RATE), FPS, frames) for bed in beds]
    gaps = np.stack([prediction.params[:, GAP] for prediction in predictions])
    speech = [prediction.speech > 0.5 for prediction in predictions]
    return {
        "speech_share": float(np.mean(speech)),
        "mean_gap": float(gaps.mean()),
        "share of beds that open the mouth": float(np.mean(gaps.max(1) > QUIET_GAP)),
    }


def quiet_sounds(seconds: float = 4.0) -> dict[str, np.ndarray]:
    """Make sounds on which a mouth must stay shut."""
    rng = np.random.default_rng(0)
    time = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    white = rng.standard_normal(len(time))
    brown = np.cumsum(white) - np.linspace(0, np.sum(white), len(time))
    chord = sum(np.sin(2 * np.pi * hertz * time) for hertz in (220.0, 277.2, 329.6)) / 3
    hum = sum(np.sin(2 * np.pi * 50 * k * time) / k for k in (1, 2, 3))
    sounds = {
        "zero": 0 * time,
        "white -60 dB": white * 1e-3,
        "white -30 dB": white * 10**-1.5,
        "brown": 0.1 * brown / np.abs(brown).max(),
        "hum": 0.1 * hum,
        "sine": 0.3 * np.sin(2764.6 * time),
        "chord": 0.3 * chord,
    }
    return {name: samples.astype(np.float32) for name, samples in sounds.items()}


def quiet_figures(model: Audio2Pose) -> dict[str, float]:
    """Measure the largest gap on every sound without speech."""
    found = {}
    for name, samples in quiet_sounds().items():
        frames = len(samples) * FPS // SAMPLE_RATE
        prediction = model.predict(Audio(samples, SAMPLE_RATE), FPS, frames)
        found[name] = float(prediction.params[:, GAP].max())
    return found


def closure_figures(model: Audio2Pose, sentences: int = 40) -> dict[str, float]:
    """Measure closures on the held-out flite voice rms; METRICS.md defines the entries."""
    shares: dict[str, list[bool]] = {
        name: [] for name in ("closures", "gated", "bite", "false", "false_gated")
    }
    for utterance in engines.flite("rms", sentences, np.random.default_rng(CLOSURE_SEED)):
        audio = Audio(utterance.samples, SAMPLE_RATE)
        frames = int(len(utterance.samples) / SAMPLE_RATE * CLOSURE_RATE_HZ)
        params = model.predict(audio, CLOSURE_RATE_HZ, frames).params
        raw = params[:, GAP]
        gated = face_animation.gated_gap(params)
        raw_level = CLOSED_SHARE * np.percentile(raw, 90)
        gated_level = CLOSED_SHARE * np.percentile(gated, 90)
        for name, start, end in utterance.phones:
            first = int(start * CLOSURE_RATE_HZ)
            stop = int(np.ceil(end * CLOSURE_RATE_HZ)) + 1
            middle = (first + stop) // 2
            if name in BILABIALS:
                shares["closures"].append(raw[first:stop].min() < raw_level)
                shares["gated"].append(gated[first:stop].min() < gated_level)
            elif name in LABIODENTALS:
                shares["bite"].append(params[first:stop, BITE].max() > 0.5)
            elif name in VOWELS:
                shares["false"].append(raw[middle] < raw_level)
                shares["false_gated"].append(gated[middle] < gated_level)
    found = {name: float(np.mean(hits)) for name, hits in shares.items()}
    return {**found, "tokens": len(shares["closures"])}


def song_figures(model: Audio2Pose, path: Path) -> dict[str, float]:
    """Measure what the mouth does on a song with a band, which has no true mouth."""
    audio = media.read_audio(path, SAMPLE_RATE)
    prediction = model.predict(audio, FPS, audio.frames(FPS))
    gap = face_animation.gated_gap(prediction.params)
    frames = len(gap)
    loudness = curves.envelopes(audio, FPS, frames)["dB"]
    is_speech = prediction.speech > 0.5
    seconds = (np.arange(frames) + 0.5) / FPS
    start, stop = SUNG_SECONDS
    is_sung = (seconds >= start) & (seconds < stop)
    return {
        "seconds": audio.seconds,
        "speech_share": float(np.mean(is_speech)),
        "heard while sung": float(np.mean(is_speech[is_sung])),
        "heard while the band plays alone": float(np.mean(is_speech[~is_sung])),
        "mean_gap": float(gap.mean()),
        "gap_std": float(gap.std()),
        "envelope_r": correlation(gap, loudness),
        "vocal_r": correlation(gap, curves.vocal_energy(audio, FPS, frames)),
    }
