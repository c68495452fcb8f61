"""Curves over time that predicted mouths are compared with: true lips, drawn lips and loudness."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pipeline import media
from pipeline.analysis.detectors.face_mesh import FaceMesh
from pipeline.values import Audio, Keypoints

MESH_POINTS = 468
MESH_LIP_PAIRS = ((13, 14), (82, 87), (312, 317))  # inner lips of MediaPipe's mesh
MESH_EYE_CORNERS = (33, 263)
LIP_PAIRS = ((61, 67), (62, 66), (63, 65))  # inner lips of the 68 iBUG points
# The 68 iBUG points among MediaPipe's: jaw, brows, nose, eyes, outer lips, inner lips.
MESH_TO_68 = [
    *(162, 234, 93, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 323, 454, 389),
    *(71, 63, 105, 66, 107, 336, 296, 334, 293, 301, 168, 197, 5, 4, 75, 97, 2, 326, 305),
    *(33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380),
    *(61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181, 78, 82, 13, 312, 308, 317, 14, 87),
]
EYE_SMOOTHING_FRAMES = 9
ENERGY_HALF_SECONDS = 0.02  # loudness is that of 40 ms around a frame's middle
VOICE_BAND_HZ = (250, 3500)


def mesh(video: Path) -> tuple[np.ndarray, float, tuple[int, int]]:
    """Find the face mesh (T, 468, 3) in pixels, with the fps and the size (H, W).

    Points are NaN in frames without a face.
    """
    clip = media.read_video(video)
    finder = FaceMesh()
    missing = np.full((MESH_POINTS, 3), np.nan)
    rows = []
    size = (0, 0)
    for chunk in clip.chunks():
        height, width = chunk.shape[1:3]
        size = (height, width)
        for frame in chunk:
            points = finder.see(frame)
            if points is None:
                rows.append(missing)
            else:
                without_irises = points[:MESH_POINTS]
                rows.append(without_irises)
    return np.stack(rows), clip.fps, size


def true_gap(points: np.ndarray) -> np.ndarray:
    """Return the inner lips' distance (T,) in units of the smoothed distance of the eyes."""
    gaps = [np.linalg.norm(points[:, a] - points[:, b], axis=1) for a, b in MESH_LIP_PAIRS]
    right, left = MESH_EYE_CORNERS
    eyes = np.linalg.norm(points[:, right] - points[:, left], axis=1)
    padded = np.pad(eyes, EYE_SMOOTHING_FRAMES // 2, mode="edge")
    kernel = np.full(EYE_SMOOTHING_FRAMES, 1 / EYE_SMOOTHING_FRAMES)
    return np.mean(gaps, axis=0) / np.convolve(padded, kernel, mode="valid")


def drawn_gap(keypoints: Keypoints, size: tuple[int, int]) -> np.ndarray:
    """Return the inner lips' distance (T,) in pixels of drawn faces (T, 68, 2)."""
    height, width = size
    pixels = keypoints.xy * np.array([width, height], float)
    gaps = [np.linalg.norm(pixels[:, a] - pixels[:, b], axis=1) for a, b in LIP_PAIRS]
    return np.mean(gaps, 0)


def envelopes(audio: Audio, fps: float, frames: int) -> dict[str, np.ndarray]:
    """Return the energy around every frame's middle as rms, rms^0.4 and dB, each (T,)."""
    centers = ((np.arange(frames) + 0.5) / fps * audio.rate).astype(int)
    centers = np.minimum(centers, len(audio.samples))
    half = int(ENERGY_HALF_SECONDS * audio.rate)
    padded = np.pad(audio.samples.astype(float), (half, half + audio.rate))
    power = [np.mean(padded[center : center + 2 * half] ** 2) for center in centers]
    rms = np.sqrt(power)
    decibels = 20 * np.log10(rms + 1e-4 * rms.max() + 1e-9)
    return {"rms": rms, "rms^0.4": rms**0.4, "dB": decibels}


def vocal_energy(audio: Audio, fps: float, frames: int) -> np.ndarray:
    """Return the level (T,) in dB of what is probably the singer, from 250 to 3500 Hz.

    The separation has two stages (Tachibana et al. 2010). Long windows take held notes for
    harmonic and a voice, which wavers, for percussive. Short windows then take the voice for
    harmonic and drums for percussive.
    """
    import librosa

    _, wavering = _split(audio.samples, 4096)
    samples = librosa.istft(wavering, hop_length=1024, length=len(audio.samples))
    harmonic, _ = _split(samples, 512)
    voice = np.abs(harmonic)
    hertz = librosa.fft_frequencies(sr=audio.rate, n_fft=512)
    low, high = VOICE_BAND_HZ
    level = np.sqrt((voice[(hertz > low) & (hertz < high)] ** 2).sum(0))
    places = (np.arange(frames) + 0.5) / fps * audio.rate / 128
    sampled = np.interp(places, np.arange(len(level)), level)
    return 20 * np.log10(sampled + 1e-3 * sampled.max() + 1e-9)


def _split(samples: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the harmonic and the percussive spectrum for windows of a size."""
    import librosa

    spectrum = librosa.stft(samples, n_fft=size, hop_length=size // 4)
    return librosa.decompose.hpss(spectrum)
