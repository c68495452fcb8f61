"""How well the predicted mouth follows real lips: `python -m pipeline.evaluation.lips --media FOLDER`.

Truth is MediaPipe's face mesh on real audio-video pairs: the mean 3-D distance of three inner-lip pairs over
the smoothed distance of the outer eye corners. Every figure is at lag 0; the energy envelope runs beside.
"""

from __future__ import annotations

import argparse
import functools
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from pipeline import ROOT, media
from pipeline.evaluation.metrics.correlation import correlation
from pipeline.models.audio2pose import SAMPLE_RATE, Audio2Pose
from pipeline.motion import face_animation
from pipeline.training.data.speech import engines, music
from pipeline.values import Audio, InputError, Keypoints

GAP = face_animation.PARAMETERS.index("gap")
INNER_PAIRS, EYE_CORNERS = ((13, 14), (82, 87), (312, 317)), (33, 263)
# 68 iBUG points among MediaPipe's 468: jaw, brows, nose, eyes, outer lips, inner lips
MESH_TO_68 = [
    *(162, 234, 93, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 323, 454, 389),
    *(71, 63, 105, 66, 107, 336, 296, 334, 293, 301, 168, 197, 5, 4, 75, 97, 2, 326, 305),
    *(33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380),
    *(61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181, 78, 82, 13, 312, 308, 317, 14, 87),
]
MUSIC_SNR, HELD_OUT_SEED = (6, 0), 2**31  # dB of the voice over the bed
SUNG = (
    3.0,
    9.0,
)  # s of a13 with a voice, read off its spectrogram; before and after the band plays alone
LEVELS = {"gap_r": 0.65, "drawn_r": 0.60, "quiet_gap": 0.10, "closures": 0.80}


def mesh(video: Path) -> tuple[np.ndarray, float, tuple[int, int]]:
    """Face-mesh points (T, 468, 3) in pixels, NaN where no face is found, with fps and size (H, W)."""
    from mediapipe.python.solutions.face_mesh import FaceMesh

    clip = media.read_video(video)
    rows, size = [], (0, 0)
    with FaceMesh(static_image_mode=False, max_num_faces=1, refine_landmarks=True) as finder:
        for chunk in clip.chunks():
            for frame in chunk:
                size = frame.shape[:2]
                found = finder.process(np.ascontiguousarray(frame)).multi_face_landmarks
                points = found[0].landmark[:468] if found else []
                scale = np.array([size[1], size[0], size[1]])
                xyz = np.array([(p.x, p.y, p.z) for p in points]).reshape(-1, 3) * scale
                rows.append(xyz if len(xyz) else np.full((468, 3), np.nan))
    return np.stack(rows), clip.fps, size


def true_gap(points: np.ndarray) -> np.ndarray:
    """(T,) inner-lip distance in units of the smoothed outer-eye distance (9 frames)."""
    lips = np.mean(
        [np.linalg.norm(points[:, a] - points[:, b], axis=1) for a, b in INNER_PAIRS], axis=0
    )
    eyes = np.linalg.norm(points[:, EYE_CORNERS[0]] - points[:, EYE_CORNERS[1]], axis=1)
    return lips / np.convolve(np.pad(eyes, 4, mode="edge"), np.full(9, 1 / 9), mode="valid")


def drawn_gap(keypoints: Keypoints, size: tuple[int, int]) -> np.ndarray:
    """(T,) inner-lip distance in pixels of drawn faces (T,68,2)."""
    pixels = keypoints.xy * np.array(size[::-1], float)
    return np.mean(
        [
            np.linalg.norm(pixels[:, a] - pixels[:, b], axis=1)
            for a, b in ((61, 67), (62, 66), (63, 65))
        ],
        0,
    )


def envelopes(audio: Audio, fps: float, frames: int) -> dict[str, np.ndarray]:
    """The energy around every frame's middle (40 ms) as rms, rms^0.4 and dB."""
    centre = ((np.arange(frames) + 0.5) / fps * audio.rate).astype(int)
    half = int(0.02 * audio.rate)
    padded = np.pad(audio.samples.astype(float), (half, half + audio.rate))
    rms = np.sqrt(
        [np.mean(padded[c : c + 2 * half] ** 2) for c in np.minimum(centre, len(audio.samples))]
    )
    return {"rms": rms, "rms^0.4": rms**0.4, "dB": 20 * np.log10(rms + 1e-4 * rms.max() + 1e-9)}


def clip_figures(model: Audio2Pose, video: Path) -> dict[str, float | str]:
    """Correlations with the true lips of one clip at lag 0, and the model's own best lag in ms."""
    points, fps, size = mesh(video)
    frames, truth = len(points), true_gap(points)
    audio = media.read_audio(video, SAMPLE_RATE)
    params = model.predict(audio, fps, frames).params
    first = points[np.flatnonzero(np.isfinite(points[:, 0, 0]))[0]]
    reference = first[MESH_TO_68, :2] / np.array(size[::-1], float)
    still = np.zeros(frames)
    drawn = drawn_gap(face_animation.animate(reference, size, params, still, still), size)
    lags = {lag: correlation(params[:, GAP], truth, lag) for lag in range(-5, 6)}
    envelope = max(correlation(curve, truth) for curve in envelopes(audio, fps, frames).values())
    over_music = {
        f"gap_r_music_{snr}": np.mean(
            [correlation(curve, truth) for curve in _over_music(model, audio, fps, frames, snr)]
        )
        for snr in MUSIC_SNR
    }
    return {
        "clip": video.stem,
        "gap_r": lags[0],
        "drawn_r": correlation(drawn, truth),
        "envelope_r": envelope,
        "best_lag_ms": 1000 * max(lags, key=lags.get) / fps,
        "best_lag_r": max(lags.values()),
    } | over_music


@functools.lru_cache(
    maxsize=1
)  # the clips are as long as one another, and every one is asked for twice
def held_out_beds(samples: int, count: int = 8) -> tuple[np.ndarray, ...]:
    """Made-up music of unit level from seeds that no training run uses."""
    return tuple(
        music.music(np.random.default_rng((HELD_OUT_SEED, k)), samples) for k in range(count)
    )


def _over_music(
    model: Audio2Pose, audio: Audio, fps: float, frames: int, snr: float
) -> Iterator[np.ndarray]:
    """(T,) gaps of the voice over each held-out bed."""
    for bed in held_out_beds(len(audio.samples)):
        mixed = Audio(music.under(audio.samples, bed, snr), SAMPLE_RATE)
        yield model.predict(mixed, fps, frames).params[:, GAP]


def music_figures(model: Audio2Pose, seconds: float = 8.0) -> dict[str, float]:
    """What the mouth does on held-out beds alone, at -20 dBFS: it should do nothing."""
    alone = held_out_beds(int(seconds * SAMPLE_RATE), 24)
    moved = [model.predict(Audio(0.1 * bed, SAMPLE_RATE), 25, int(seconds * 25)) for bed in alone]
    gaps = np.stack([m.params[:, GAP] for m in moved])
    return {
        "speech_share": float(np.mean([m.speech > 0.5 for m in moved])),
        "mean_gap": float(gaps.mean()),
        "share of beds that open the mouth": float(np.mean(gaps.max(1) > LEVELS["quiet_gap"])),
    }


def quiet_sounds(seconds: float = 4.0) -> dict[str, np.ndarray]:
    """Sounds on which a mouth must stay shut."""
    rng, time = np.random.default_rng(0), np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    white = rng.standard_normal(len(time))
    brown = np.cumsum(white) - np.linspace(0, np.sum(white), len(time))
    chord = sum(np.sin(2 * np.pi * f * time) for f in (220.0, 277.2, 329.6)) / 3
    hum = sum(np.sin(2 * np.pi * 50 * k * time) / k for k in (1, 2, 3))
    sounds = {"zero": 0 * time, "white -60 dB": white * 1e-3, "white -30 dB": white * 10**-1.5}
    sounds |= {
        "brown": 0.1 * brown / np.abs(brown).max(),
        "hum": 0.1 * hum,
        "sine": 0.3 * np.sin(2764.6 * time),
    }
    return {name: x.astype(np.float32) for name, x in (sounds | {"chord": 0.3 * chord}).items()}


def quiet_figures(model: Audio2Pose) -> dict[str, float]:
    """The largest gap on every sound without speech."""
    return {
        name: float(
            model.predict(Audio(x, SAMPLE_RATE), 25, len(x) * 25 // SAMPLE_RATE)
            .params[:, GAP]
            .max()
        )
        for name, x in quiet_sounds().items()
    }


def closure_figures(model: Audio2Pose, sentences: int = 40) -> dict[str, float]:
    """On held-out flite rms: shares of p b m that close, of f v that bite, of vowels that close falsely.

    A closure counts when the smallest gap inside the phone is under 25 % of the utterance's 90th percentile;
    `closures` and `false` use the network's gap, the `gated` ones what is drawn.
    """
    rate, rows = 100, {"closures": [], "gated": [], "bite": [], "false": [], "false_gated": []}
    for made in engines.flite("rms", sentences, np.random.default_rng(1234)):
        params = model.predict(
            Audio(made.samples, SAMPLE_RATE), rate, int(len(made.samples) / SAMPLE_RATE * rate)
        ).params
        curves = {"raw": params[:, GAP], "gated": face_animation.gated_gap(params)}
        level = {name: 0.25 * np.percentile(curve, 90) for name, curve in curves.items()}
        for name, start, end in made.phones:
            a, b = int(start * rate), int(np.ceil(end * rate)) + 1
            if name in ("p", "b", "m"):
                rows["closures"].append(curves["raw"][a:b].min() < level["raw"])
                rows["gated"].append(curves["gated"][a:b].min() < level["gated"])
            elif name in ("f", "v"):
                rows["bite"].append(
                    params[a:b, face_animation.PARAMETERS.index("bite")].max() > 0.5
                )
            elif name in ("aa", "ae", "ah", "eh", "iy", "ey", "ay"):
                rows["false"].append(curves["raw"][(a + b) // 2] < level["raw"])
                rows["false_gated"].append(curves["gated"][(a + b) // 2] < level["gated"])
    return {name: float(np.mean(x)) for name, x in rows.items()} | {"tokens": len(rows["closures"])}


def vocal_energy(audio: Audio, fps: float, frames: int) -> np.ndarray:
    """(T,) level in dB of what is probably the singer: two-stage harmonic-percussive separation.

    Long windows take held notes for harmonic and a voice, which wavers, for percussive; short windows then
    take the voice for harmonic and drums for percussive (Tachibana et al. 2010). 250 to 3500 Hz.
    """
    import librosa

    def harmonic(samples: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
        return librosa.decompose.hpss(librosa.stft(samples, n_fft=size, hop_length=size // 4))

    wavering = librosa.istft(
        harmonic(audio.samples, 4096)[1], hop_length=1024, length=len(audio.samples)
    )
    voice = np.abs(harmonic(wavering, 512)[0])
    hertz = librosa.fft_frequencies(sr=audio.rate, n_fft=512)
    level = np.sqrt((voice[(hertz > 250) & (hertz < 3500)] ** 2).sum(0))
    at = np.interp((np.arange(frames) + 0.5) / fps * audio.rate / 128, np.arange(len(level)), level)
    return 20 * np.log10(at + 1e-3 * at.max() + 1e-9)


def song_figures(model: Audio2Pose, path: Path) -> dict[str, float]:
    """What the mouth does on a song with a band; there is no true mouth to compare with."""
    audio = media.read_audio(path, SAMPLE_RATE)
    moved = model.predict(audio, 25, audio.frames(25))
    gap = face_animation.gated_gap(moved.params)
    loud = envelopes(audio, 25, len(gap))["dB"]
    heard, time = moved.speech > 0.5, (np.arange(len(gap)) + 0.5) / 25
    sung = (time >= SUNG[0]) & (time < SUNG[1])
    return {
        "seconds": audio.seconds,
        "speech_share": float(np.mean(heard)),
        "heard while sung": float(np.mean(heard[sung])),
        "heard while the band plays alone": float(np.mean(heard[~sung])),
        "mean_gap": float(gap.mean()),
        "gap_std": float(gap.std()),
        "envelope_r": correlation(gap, loud),
        "vocal_r": correlation(gap, vocal_energy(audio, 25, len(gap))),
    }


def evaluate(folder: Path, model: Audio2Pose) -> dict:
    """All figures; `rows` holds the ones with a level."""
    clips = [clip_figures(model, path) for path in sorted((folder / "talking").glob("grid_*"))]
    if not clips:
        raise InputError(f"{folder} holds no talking/grid_* clips; give the folder of real media")
    averaged = (
        "gap_r",
        "drawn_r",
        "envelope_r",
        "best_lag_ms",
        *(f"gap_r_music_{snr}" for snr in MUSIC_SNR),
    )
    means = {k: float(np.mean([c[k] for c in clips])) for k in averaged}
    quiet = quiet_figures(model)
    rows = [
        _row("mean r of the predicted gap", means["gap_r"], LEVELS["gap_r"]),
        _row("mean r of the drawn gap", means["drawn_r"], LEVELS["drawn_r"]),
        _row("largest gap without speech", max(quiet.values()), LEVELS["quiet_gap"], most=True),
    ]
    out = {
        "rows": rows,
        "mean": means,
        "clips": clips,
        "quiet": quiet,
        "music alone": music_figures(model),
    }
    if shutil.which("flite"):
        out["held-out flite rms"] = closure_figures(model)
        rows.append(
            _row("closures on flite rms", out["held-out flite rms"]["closures"], LEVELS["closures"])
        )
    songs = sorted((folder / "speech").glob("a13*"))
    out["song"] = {path.stem: song_figures(model, path) for path in songs}
    return out | {"pass": all(row["pass"] for row in rows)}


def _row(name: str, value: float, level: float, most: bool = False) -> dict:
    return {
        "name": name,
        "value": value,
        "level": level,
        "pass": bool(value <= level if most else value >= level),
    }


def main(argv: list[str] | None = None) -> int:
    """Prints the figures as JSON, rounded; exit 0 when every level is reached, else 1."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.evaluation.lips", description=__doc__)
    parser.add_argument(
        "--media", type=Path, required=True, help="folder with talking/grid_* and speech/a13*"
    )
    parser.add_argument("--model", type=Path, default=ROOT / "checkpoints" / "mini" / "audio2pose")
    args = parser.parse_args(argv)
    out = evaluate(args.media, Audio2Pose.from_pretrained(args.model))
    print(json.dumps(_rounded(out), indent=1))
    return 0 if out["pass"] else 1


def _rounded(value):  # noqa: ANN001, ANN202 - any JSON value
    if isinstance(value, dict):
        return {k: _rounded(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_rounded(v) for v in value]
    return round(value, 4) if isinstance(value, float) else value


if __name__ == "__main__":
    raise SystemExit(main())
