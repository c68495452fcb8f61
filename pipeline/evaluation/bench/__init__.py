"""Speed and memory of every stage on this machine: `python -m pipeline bench [--json] [--memory]`.

Each figure is the best of a few runs after a warm-up, on the shipped assets, with the threads that PyTorch
chooses. `--memory` adds generations in processes of their own, 10 s at 25 frames/s and 60 s at 10, and takes
minutes: segments have one length, so that peaks compare.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from pipeline import ROOT, media
from pipeline.analysis import progress
from pipeline.analysis.detectors import load as load_detector
from pipeline.evaluation.bench import backbone
from pipeline.media import pose_files
from pipeline.motion import prosody
from pipeline.motion.partial_arms import rested
from pipeline.motion.refocus import refocus
from pipeline.render import load, warp
from pipeline.render.draft import layers
from pipeline.values import Audio, Video

ASSETS = ROOT / "assets"
SECONDS, FPS, SIZE = 10.0, 25.0, (768, 512)


def best_of(runs: int, work: Callable[[], object]) -> float:
    """Seconds of the fastest of `runs` calls, after one that is not counted."""
    work()
    times = []
    for _ in range(runs):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return min(times)


def ten_seconds(audio: Audio, seconds: float = SECONDS) -> Audio:
    """The speech repeated to `seconds`."""
    count = round(seconds * audio.rate)
    return Audio(np.resize(audio.samples, count), audio.rate)


def processor() -> str:
    """The processor's name as the system gives it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def hardware() -> dict[str, object]:
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {"cpu": processor(), "cores": os.cpu_count(), "threads": torch.get_num_threads(), "gpu": gpu,
            "torch": torch.__version__, "python": platform.python_version()}  # fmt: skip


def stages(pipe, reference: Path, speech: Path, driving: Path) -> dict[str, float]:
    """Seconds of the stages around the denoiser, for a 10 s, 250-frame, 512x768 clip."""
    audio = ten_seconds(media.read_audio(speech))
    frames = audio.frames(FPS)
    figures = {
        "analysis_10s_speech_s": best_of(
            3, lambda: (prosody.analyse(audio, FPS), pipe.audio2pose.predict(audio, FPS, frames))
        )
    }
    analysis = progress.Meter().drain(
        pipe.analyse(media.read_image(reference), audio, driving, fps=FPS)
    )
    with tempfile.TemporaryDirectory() as folder:

        def preview() -> None:
            accents = prosody.analyse(audio, FPS)
            motion = replace(
                analysis.motion, intensity=accents.intensity, excitation=accents.excitation
            )
            pose_files.draw_video(
                refocus(motion, 1.0).pose, Path(folder) / "skeleton.mp4", SIZE, audio=audio
            )

        figures["preview_10s_s"] = best_of(3, preview)
    figures["slider_10s_s"] = best_of(3, lambda: refocus(analysis.motion, 1.0))
    figures["warp_256x384_ms"] = 1000 * warp_seconds(reference, analysis.motion, (384, 256))
    figures["warp_512x768_ms"] = 1000 * warp_seconds(reference, analysis.motion, SIZE)
    return figures


def warp_seconds(reference: Path, motion, size: tuple[int, int], frames: int = 16) -> float:
    """Seconds per frame of the layered warp, layers excluded."""
    motion = rested(motion)
    plates = layers(media.read_image(reference), motion, size)
    target = warp.Points.of(motion.pose[:frames])
    return best_of(2, lambda: warp.warp(plates, target, size)) / frames


def detection_ms(driving: Path, frames: int = 50) -> float:
    """Milliseconds per frame of the default detector on the first frames of a clip."""
    detector = load_detector("holistic")
    video = media.read_video(driving, seconds=frames / media.probe(driving).fps)
    clip = np.concatenate(list(islice(video.chunks(), frames)))[:frames]

    def run() -> None:
        for _ in detector.video(Video(clip, video.fps)):
            pass

    return 1000 * best_of(1, run) / len(clip)


def denoiser_seconds(pipe, reference: Path, speech: Path, driving: Path, frames: int = 40) -> float:
    """Seconds per output frame of the embedded denoiser at 512x768, warp and detail included."""
    image = media.read_image(reference)
    motion = pipe.prepare_motion(image, ten_seconds(media.read_audio(speech)), driving, fps=FPS)[
        :frames
    ]

    def run() -> None:
        noise = torch.Generator().manual_seed(0)
        for _ in pipe.render(image, motion, height=SIZE[0], width=SIZE[1], generator=noise):
            pass

    return best_of(1, run) / frames


def generation(
    reference: Path, speech: Path, driving: Path, seconds: float, fps: float
) -> dict[str, float]:
    """Wall seconds and peak memory of a whole `generate` in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        sound, out = Path(folder) / "speech.wav", Path(folder) / "out.mp4"
        media.write_audio(sound, ten_seconds(media.read_audio(speech), seconds))
        command = [sys.executable, "-m", "pipeline", "generate", "--reference", reference, "--audio", sound,
                   "--driving", driving, "--output", out, "--fps", fps, "--json"]  # fmt: skip
        began = time.perf_counter()
        done = subprocess.run([str(c) for c in command], capture_output=True, text=True, check=True)
        facts = json.loads(done.stdout.splitlines()[-1])
        return {
            "seconds": time.perf_counter() - began,
            "peak_gb": facts["peak_memory"]["resident_gb"],
        }


def main(argv: Sequence[str]) -> int:
    """Prints one flat object of named figures with the hardware."""
    parser = argparse.ArgumentParser(
        prog="python -m pipeline bench", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--json", action="store_true")
    parser.add_argument(
        "--memory", action="store_true", help="also generate whole clips; takes minutes"
    )
    add_large(parser)
    args = parser.parse_args(list(argv))
    if args.model is not None:
        return show(backbone.run(args), args.json)
    reference, speech = ASSETS / "reference" / "half_jacket.png", ASSETS / "speech" / "lecture.wav"
    driving = ASSETS / "driving" / "beats.mp4"
    pipe = load.load("mini")
    figures = stages(pipe, reference, speech, driving)
    figures["detection_ms"] = detection_ms(driving)
    figures["denoise_512x768_s_per_frame"] = denoiser_seconds(pipe, reference, speech, driving)
    if args.memory:
        for seconds, fps in ((10, 25), (60, 10)):
            run = generation(reference, speech, driving, seconds, fps)
            figures |= {
                f"generate_{seconds}s_{fps}fps_s": run["seconds"],
                f"generate_{seconds}s_{fps}fps_peak_gb": run["peak_gb"],
            }
    return show(figures, args.json)


def add_large(parser: argparse.ArgumentParser) -> None:
    """Options of the bench of a large backbone."""
    add = parser.add_argument
    add("--model", metavar="NAME|FOLDER", help="bench this backbone's denoiser and codec instead")
    add(
        "--random-weights",
        action="store_true",
        help="of the published architecture, without any download",
    )
    add(
        "--config",
        metavar="FOLDER",
        help="with --random-weights: configurations in the published layout",
    )
    add(
        "--peer",
        metavar="FOLDER",
        help="a checkout's ControlNeXt-SVD-v2: its code is timed as well",
    )
    add("--device", default="auto")
    add("--dtype", default="auto", choices=("auto", "float32", "float16", "bfloat16"))
    add("--sizes", nargs="+", default=["576x1024", "512x768"], metavar="WIDTHxHEIGHT")
    add("--frames", type=int, default=57, help="57 = one segment of three windows of 24")
    add("--steps", type=int, default=25)
    add("--window", type=int, default=24)
    add("--overlap", type=int, default=6)
    add("--compile", action="store_const", const="on", default="off")
    add("--channels-last", action="store_const", const="channels-last", default="contiguous")


def show(figures: dict[str, object], as_json: bool) -> int:
    """Prints the figures with the hardware; the exit code."""
    rounded = {
        name: round(v, 4) if isinstance(v, float) else v for name, v in figures.items()
    } | hardware()
    lines = "\n".join(f"{name:44} {value}" for name, value in rounded.items())
    print(json.dumps(rounded) if as_json else lines)
    return 0
