"""What the app does on a click: each handler takes a visitor's `Visit` and yields what the page shows.

Nothing mutable is shared between visitors: what belongs to one lives in its `Visit`. Models stay loaded and
hold no state of a call. Bad input raises ValueError, KEEP leaves a part of the page as it is.
"""

from __future__ import annotations

import functools
import logging
import os
import secrets
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

try:  # only on a ZeroGPU Space, where it has to come before torch; elsewhere it would change nothing
    import spaces
except ImportError:
    spaces = None

import numpy as np

from pipeline import jobs, media, weights
from pipeline.base import Analysis, AudioPosePipeline, Progress
from pipeline.clips import Motion
from pipeline.motion import chart

log = logging.getLogger(__name__)

PREVIEW_EVERY = 0.5  # seconds between pictures sent to the browser while frames arrive
KEEP = object()  # yielded for a part of the page that stays as it is
# asked of ZeroGPU; a longer request waits longer and may exceed a visitor's quota
GPU_SECONDS_PER_FRAME = 0.1


class Stop(threading.Event):
    """The wish to cancel; a copy is a fresh one: gradio copies the first state for every visitor."""

    def __deepcopy__(self, memo: dict) -> Stop:
        return Stop()


@dataclass(frozen=True)
class Visit:
    """What one visitor's browser session holds on the server; handlers replace it, they do not change it.

    home: the one folder that the page's server serves and cleans; folder: this visitor's own part of it.
    """

    home: str
    request: jobs.Request | None = None
    inputs: jobs.Inputs | None = None
    analysis: Analysis | None = None
    made: tuple[jobs.Request, Motion, str] | None = None  # what the last result was made of, and its file
    stop: Stop = field(default_factory=Stop)
    folder: str = ""

    def file(self, name: str) -> str:
        """A new path in this visitor's own folder, inside the one folder that Gradio serves and cleans."""
        return str(Path(self.folder) / f"{name}_{secrets.token_hex(4)}.mp4")


def model_name() -> str:
    return os.environ.get("APV_MODEL", "mini")


@functools.lru_cache(maxsize=2)
def model(name: str) -> AudioPosePipeline:
    """The pipeline, loaded once."""
    return weights.load(name)


def line(text: str, share: float | None = None) -> str:
    """The status as HTML, with a bar where a share is known."""
    return f"<div>{text}</div>" + (
        "" if share is None else f"<progress value='{share:.3f}' max='1'></progress>"
    )


def bar(step: Progress, began: float) -> str:
    """Stage, share, time left."""
    share = min(1.0, step.step / max(step.total, 1))
    left = (time.perf_counter() - began) * (1 - share) / share if share else None
    eta = "" if left is None or step.total < 2 else f" · about {left:.0f} s left"
    return line(f"<b>{step.stage.capitalize()}</b>: {step.step} of {step.total}{eta}", share)


def analyse(
    visit, image, audio, video, pose, mouth, fps, detector, box, splice, length, seed, height, width
) -> Iterator:
    """Step 1; yields visit, status, picture of the speech, warnings."""
    for value, name in ((image, "reference image"), (audio, "speech")):
        if not value:
            raise ValueError(f"there is no {name} yet; add one on the left or click an example")
    if video and pose:
        raise ValueError("there are a driving video and a pose file; remove one of them")
    request = jobs.Request(
        image, audio, video or pose, model=model_name(), mouth=mouth, fps=fps, detector=detector, fda=box,
        splice=None if splice == "auto" else splice, length=length, seed=int(seed or 0),
        height=int(height or 0) or None, width=int(width or 0) or None,
    )  # fmt: skip
    pipe, start = model(request.model), time.perf_counter()
    inputs = jobs.load(request, pipe)
    work, began, stage = jobs.analyse(request, pipe, inputs), start, None
    while True:
        try:
            step = next(work)
        except StopIteration as end:
            analysis = end.value
            break
        if step.stage != stage:
            began, stage = time.perf_counter(), step.stage
        yield visit, bar(step, began), KEEP, KEEP
    folder = visit.folder or tempfile.mkdtemp(prefix="apv", dir=visit.home)
    fresh = replace(visit, request=request, inputs=inputs, analysis=analysis, folder=folder)
    notes = "  \n".join(f"⚠ {sentence}" for sentence in analysis.warnings)
    took = time.perf_counter() - start
    text = f"<b>Analysed</b> {len(analysis.motion)} frames in {took:.1f} s. Drag the slider."
    picture = chart.waveform(inputs.audio, analysis.prosody)
    yield fresh, line(text), picture, notes or "✓ No warnings: the skeleton fits the reference image."


def analysed(visit: Visit) -> Analysis:
    """The visitor's analysis, or the sentence that says what to press."""
    if visit.analysis is None:
        raise ValueError("nothing is analysed yet; press 1 Analyse first")
    return visit.analysis


def tuned(visit: Visit, intensity: float, size: float, refocus: str) -> tuple[jobs.Request, Motion]:
    """The request with the slider's values and the motion that both the preview and the render use."""
    analysis = analysed(visit)
    mode = None if refocus == "auto" else refocus
    request = replace(visit.request, intensity=intensity, size=size, refocus=mode)
    return request, jobs.tune(request, model(request.model), analysis)


def tune(visit, intensity, size, refocus) -> Iterator:
    """Step 2; yields status, skeleton video, overlay."""
    start = time.perf_counter()
    _, motion = tuned(visit, intensity, size, refocus)
    inputs, path = visit.inputs, visit.file("skeleton")
    jobs.write_skeleton(motion, inputs.audio, inputs.size, path)
    strongest = int(np.argmax(motion.intensity))
    over = chart.overlay(inputs.picture, motion.pose, strongest, inputs.size)
    took = time.perf_counter() - start
    text = f"<b>Intensity {intensity:g}</b>: skeleton of {len(motion)} frames in {took:.2f} s."
    yield line(text), path, over


def excerpt(visit, intensity, size, refocus) -> Iterator:
    """The draft: yields a video of the strongest frame at once, then one of the two seconds around it."""
    _, motion = tuned(visit, intensity, size, refocus)
    for seconds in (1 / motion.pose.fps, 2.0):
        path = visit.file("draft")
        for _ in jobs.write_draft(*jobs.excerpt(visit.inputs, motion, seconds), path):
            pass
        yield path


def gpu_seconds(name: str, picture: np.ndarray, motion: Motion, **options: Any) -> int:
    return int(30 + GPU_SECONDS_PER_FRAME * len(motion) * options.get("num_inference_steps", 1))


def on_gpu(handler: Callable) -> Callable:
    """Decorates the denoising for ZeroGPU; reading, tuning and writing stay on the CPU."""
    return handler if spaces is None else spaces.GPU(duration=gpu_seconds)(handler)


@on_gpu
def render(name: str, picture: np.ndarray, motion: Motion, **options: Any) -> Iterator[Progress]:
    """The denoising; all arguments can be pickled, for it may run in another process."""
    yield from model(name).render(picture, motion, **options)


def generate(visit, intensity, size, refocus, steps, window, overlap) -> Iterator:
    """Step 3; yields visit, status, the newest frame, result video."""
    request, motion = tuned(visit, intensity, size, refocus)
    chosen = {"steps": steps, "window": window, "overlap": overlap}
    request = replace(request, **{name: int(value) or None for name, value in chosen.items()})
    pipe, path = model(request.model), visit.file("apv_studio")
    visit.stop.clear()
    work = jobs.generate(request, pipe, visit.inputs, motion, path, functools.partial(render, request.model))
    began, sent, done = time.perf_counter(), 0.0, 0
    yield (
        visit,
        line(f"<b>Started</b>: {len(motion)} frames on {pipe.device}; the first ones take longest.", 0),
        None,
        KEEP,
    )
    try:
        for step in work:
            picture = step.preview if step.frames is None else step.frames[-1]
            done += 0 if step.frames is None else len(step.frames)
            now = time.perf_counter()
            if now - sent > PREVIEW_EVERY:
                sent = now
                yield visit, bar(step, began), KEEP if picture is None else picture, KEEP
            if visit.stop.is_set():
                break
    finally:
        work.close()
    took = time.perf_counter() - began
    if not done:
        last = visit.made[2] if visit.made else None
        text = "<b>Cancelled</b> before a frame was finished; the last result is kept."
        yield visit, line(text), None, last
        return
    word = "Done" if done == len(motion) else "Cancelled, the finished part is kept"
    text = f"<b>{word}</b>: {done} of {len(motion)} frames in {took:.1f} s on {pipe.device}"
    made = replace(visit, made=(request, motion, path))
    yield made, line(f"{text}, attention {pipe.attention_backend}."), None, path


def compare(visit) -> Iterator:
    """Yields the side-by-side video of the last result."""
    if visit.made is None:
        raise ValueError("there is no result yet; press 3 Generate first")
    request, motion, result = visit.made
    path = visit.file("side_by_side")
    for _ in jobs.write_comparison(request, visit.inputs, motion, result, path):
        pass
    yield path


def cancel(visit: Visit) -> str:
    """Stops after the frames in work."""
    visit.stop.set()
    return line("<b>Cancelling</b> after the frames in work; finished frames are kept.")


def changed(visit: Visit, *files: str | None) -> Iterator:
    """Yields a word that steps 2 and 3 still use the inputs of the last analysis, or KEEP."""
    text = "<b>Inputs changed</b>: press 1 Analyse; until then steps 2 and 3 use the inputs before."
    request = visit.request
    used = set() if request is None else {request.reference, request.audio, request.driving} - {None, ""}
    yield KEEP if request is None or used == {name for name in files if name} else line(text)


def load_settings(video: str | None) -> Iterator:
    """Yields the sliders and choices of a video that APV Studio wrote."""
    found = media.read_settings(video) if video else None
    if not found or "apv_studio" not in found:
        raise ValueError("this video holds no settings of APV Studio; choose an mp4 that it wrote")
    request = jobs.Request.of({**found, "reference": "", "audio": ""})
    yield (
        request.intensity, request.size, request.refocus or "auto", request.steps or 0, request.window or 0,
        request.overlap or 0, request.mouth, request.fps, request.detector, request.fda,
        request.splice or "auto", request.length, request.seed, request.height or 0, request.width or 0,
    )  # fmt: skip


def forget(visit: Visit) -> None:
    """Ends the work of a visitor who left, and deletes that visitor's files."""
    visit.stop.set()
    if visit.folder:
        shutil.rmtree(visit.folder, ignore_errors=True)
