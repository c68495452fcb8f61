"""Speed and memory of every stage on this machine: `python -m pipeline bench [--json] [--memory]`.

Each figure is the best of a few runs after a warm-up, on the shipped assets, with the threads that
PyTorch chooses. `--memory` adds generations in processes of their own, 10 s at 25 frames/s and 60 s
at 10, and takes minutes: segments have one length, so that peaks compare.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from pipeline import media
from pipeline.analysis import progress
from pipeline.analysis.detectors import load as load_detector
from pipeline.evaluation.bench import backbone
from pipeline.evaluation.hardware import hardware
from pipeline.evaluation.report import ASSETS
from pipeline.media import pose_files
from pipeline.motion import prosody
from pipeline.motion.partial_arms import rested
from pipeline.motion.refocus import refocus
from pipeline.render import load, warp
from pipeline.render.base import AudioPosePipeline
from pipeline.render.draft import arm_stability, layers
from pipeline.values import Audio, Motion, Video

SECONDS = 10.0
FPS = 25.0
SIZE = (768, 512)
SMALL_SIZE = (384, 256)
DETECTED_FRAMES = 50
WARPED_FRAMES = 16
DENOISED_FRAMES = 40
GENERATIONS = ((10, 25), (60, 10))  # seconds and frames a second of `--memory`


@dataclass(frozen=True)
class Inputs:
    """Files of one generation: reference image, speech and driving video."""

    reference: Path
    speech: Path
    driving: Path


SHIPPED = Inputs(
    ASSETS / "reference" / "half_jacket.png",
    ASSETS / "speech" / "lecture.wav",
    ASSETS / "driving" / "beats.mp4",
)


def best_of(runs: int, work: Callable[[], object]) -> float:
    """Return the seconds of the fastest of `runs` calls, after one that is not counted."""
    work()
    times = []
    for _ in range(runs):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return min(times)


def repeated(audio: Audio, seconds: float = SECONDS) -> Audio:
    """Repeat or cut a speech to `seconds`."""
    count = round(seconds * audio.rate)
    return Audio(np.resize(audio.samples, count), audio.rate)


def stages(pipe: AudioPosePipeline, inputs: Inputs) -> dict[str, float]:
    """Measure the stages around the denoiser for a clip of 10 s, 250 frames, 512 x 768."""
    audio = repeated(media.read_audio(inputs.speech))
    frames = audio.frames(FPS)
    image = media.read_image(inputs.reference)

    def analyse_speech() -> None:
        prosody.analyse(audio, FPS)
        pipe.audio2pose.predict(audio, FPS, frames)

    figures = {"analysis_10s_speech_s": best_of(3, analyse_speech)}
    analysis = progress.Meter().drain(pipe.analyse(image, audio, inputs.driving, fps=FPS))
    motion = analysis.motion
    with tempfile.TemporaryDirectory() as folder:

        def preview() -> None:
            speech = prosody.analyse(audio, FPS)
            curves = {"intensity": speech.intensity, "excitation": speech.excitation}
            refocused = refocus(replace(motion, **curves), 1.0)
            path = Path(folder) / "skeleton.mp4"
            pose_files.draw_video(refocused.pose, path, SIZE, audio=audio)

        figures["preview_10s_s"] = best_of(3, preview)
    figures["slider_10s_s"] = best_of(3, lambda: refocus(motion, 1.0))
    for size in (SMALL_SIZE, SIZE):
        name = f"{size[1]}x{size[0]}"
        once, each = warp_seconds(image, motion, size)
        figures[f"layers_{name}_s"] = once
        figures[f"warp_{name}_ms"] = 1000 * each
    return figures


def warp_seconds(image: np.ndarray, motion: Motion, size: tuple[int, int]) -> tuple[float, float]:
    """Measure the seconds of making a picture's layers, once, and of warping them, per frame."""
    began = time.perf_counter()
    plates = layers(image, motion, size)
    once = time.perf_counter() - began
    motion = rested(motion, arm_stability(plates))
    target = warp.Points.timed(motion.pose[:WARPED_FRAMES])

    def run() -> None:
        for _ in warp.stream(plates, target, size):
            pass

    return once, best_of(2, run) / WARPED_FRAMES


def detection_ms(driving: Path) -> float:
    """Measure the milliseconds per frame of the default detector on the first frames of a clip."""
    detector = load_detector("holistic")
    seconds = DETECTED_FRAMES / media.probe(driving).fps
    video = media.read_video(driving, seconds=seconds)
    chunks = islice(video.chunks(), DETECTED_FRAMES)
    clip = np.concatenate(list(chunks))[:DETECTED_FRAMES]

    def run() -> None:
        for _ in detector.video(Video(clip, video.fps)):
            pass

    return 1000 * best_of(1, run) / len(clip)


def denoiser_seconds(pipe: AudioPosePipeline, inputs: Inputs) -> float:
    """Measure the seconds per frame of the embedded denoiser at 512 x 768, warp included."""
    image = media.read_image(inputs.reference)
    audio = repeated(media.read_audio(inputs.speech))
    motion = pipe.prepare_motion(image, audio, inputs.driving, fps=FPS)[:DENOISED_FRAMES]
    height, width = SIZE

    def run() -> None:
        noise = torch.Generator().manual_seed(0)
        for _ in pipe.render(image, motion, height=height, width=width, generator=noise):
            pass

    return best_of(1, run) / DENOISED_FRAMES


def generation(inputs: Inputs, seconds: float, fps: float) -> tuple[float, float]:
    """Return wall seconds and peak memory in GB of a whole `generate` in its own process."""
    with tempfile.TemporaryDirectory() as folder:
        sound = Path(folder) / "speech.wav"
        output = Path(folder) / "out.mp4"
        media.write_audio(sound, repeated(media.read_audio(inputs.speech), seconds))
        words = [sys.executable, "-m", "pipeline", "generate", "--fps", fps, "--json"]
        words += ["--reference", inputs.reference, "--audio", sound]
        words += ["--driving", inputs.driving, "--output", output]
        command = [str(word) for word in words]
        began = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        took = time.perf_counter() - began
    facts = json.loads(done.stdout.splitlines()[-1])
    return took, facts["peak_memory"]["resident_gb"]


def main(argv: Sequence[str]) -> int:
    """Print one flat object of named figures with the hardware; return 0."""
    description = __doc__.splitlines()[0]
    parser = argparse.ArgumentParser(prog="python -m pipeline bench", description=description)
    parser.add_argument("--json", action="store_true", help="print one JSON object last on stdout")
    parser.add_argument(
        "--memory", action="store_true", help="also generate whole clips; takes minutes"
    )
    add_large(parser)
    args = parser.parse_args(list(argv))
    if args.model is not None:
        return show(backbone.run(args), args.json)
    pipe = load.load("mini")
    figures = stages(pipe, SHIPPED)
    figures["detection_ms"] = detection_ms(SHIPPED.driving)
    figures["denoise_512x768_s_per_frame"] = denoiser_seconds(pipe, SHIPPED)
    if args.memory:
        for seconds, fps in GENERATIONS:
            name = f"generate_{seconds}s_{fps}fps"
            took, gigabytes = generation(SHIPPED, seconds, fps)
            figures[f"{name}_s"] = took
            figures[f"{name}_peak_gb"] = gigabytes
    return show(figures, args.json)


def add_large(parser: argparse.ArgumentParser) -> None:
    """Add the options of the bench of a large backbone."""
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


def show(figures: Mapping[str, object], as_json: bool) -> int:
    """Print the figures with the hardware; return the exit code."""
    facts = {name: _rounded(value) for name, value in figures.items()} | hardware()
    lines = [f"{name:44} {value}" for name, value in facts.items()]
    print(json.dumps(facts) if as_json else "\n".join(lines))
    return 0


def _rounded(value: object) -> object:
    """Round a float to four digits."""
    return round(value, 4) if isinstance(value, float) else value
