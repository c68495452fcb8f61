"""The browser demo: layout and event wiring. Run `python app.py`, or `demo` on a Hugging Face Space.

Nothing mutable is shared between visitors: what belongs to one lives in `gr.State`.
"""

from __future__ import annotations

import argparse
import functools
import logging
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pipeline.__main__ import quiet_libraries

quiet_libraries()
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")

import gradio as gr
import numpy as np

from pipeline import jobs, media, weights
from pipeline.base import Analysis, Progress
from pipeline.clips import Motion
from pipeline.motion import chart

try:  # only on a ZeroGPU Space; elsewhere the decorator would change nothing
    import spaces
except ImportError:
    spaces = None

log = logging.getLogger(__name__)

ASSETS = Path(__file__).parent / "assets"
EXAMPLES = (
    ("reference/anna.png", "speech/short.wav", None),
)
PREVIEW_EVERY = 0.5  # seconds between pictures sent to the browser while frames arrive


@dataclass
class Visit:
    """What one visitor's browser session holds on the server."""

    request: jobs.Request | None = None
    inputs: jobs.Inputs | None = None
    analysis: Analysis | None = None
    stop: threading.Event = field(default_factory=threading.Event)

    def __deepcopy__(self, memo: dict) -> Visit:
        return Visit()  # gradio copies the initial value for every visitor


@functools.lru_cache(maxsize=2)
def model(name: str) -> Any:
    """The pipeline, loaded once; it holds no state of a call."""
    return weights.load(name)


def shown(handler: Callable[..., Iterator]) -> Callable[..., Iterator]:
    """Turns the one clear sentence of a ValueError into a visible message."""

    @functools.wraps(handler)
    def wrapped(*args: Any) -> Iterator:
        try:
            yield from handler(*args)
        except ValueError as error:
            raise gr.Error(str(error), duration=None) from error

    return wrapped


def temporary(suffix: str) -> str:
    return str(Path(tempfile.mkdtemp(prefix="apv_")) / f"apv_studio{suffix}")


def driving_of(video: str | None, pose: str | None) -> str | None:
    if video and pose:
        raise ValueError("there are a driving video and a pose file; remove one of them")
    return video or pose


def bar(step: Progress, began: float) -> str:
    """One line: stage, share, time left."""
    share = step.step / max(step.total, 1)
    left = (time.perf_counter() - began) / max(share, 1e-3) * (1 - share)
    return f"**{step.stage}** {step.step} of {step.total} · about {left:.0f} s left in this stage"


@shown
def analyse(visit: Visit, image, audio, video, pose, mouth, fps, detector, box, splice, length, seed) -> Iterator:
    """Step 1; yields visit, status, waveform, warnings."""
    for value, name in ((image, "a reference image"), (audio, "speech")):
        if not value:
            raise ValueError(f"there is no {name.removeprefix('a ')} yet; add {name} on the left")
    pipe = model("mini")
    request = jobs.Request(
        reference=image, audio=audio, driving=driving_of(video, pose), mouth=mouth, fps=fps, detector=detector,
        fda=box, splice=None if splice == "auto" else splice, length=length, seed=int(seed),
    )  # fmt: skip
    inputs = jobs.load(request, pipe)
    work, began, stage = jobs.analyse(request, pipe, inputs), time.perf_counter(), None
    while True:
        try:
            step = next(work)
        except StopIteration as end:
            analysis = end.value
            break
        if step.stage != stage:
            began, stage = time.perf_counter(), step.stage
        yield visit, bar(step, began), None, ""
    fresh = Visit(request, inputs, analysis)
    notes = "".join(f"- {sentence}\n" for sentence in analysis.warnings) or "No warnings: the alignment looks right."
    yield fresh, "**Analysed.** Drag the slider.", chart.waveform(inputs.audio, analysis.prosody), notes


def tuned(visit: Visit, intensity: float, size: float, refocus: str) -> tuple[jobs.Request, Any]:
    if visit.analysis is None:
        raise ValueError("nothing is analysed yet; press Analyse first")
    mode = None if refocus == "auto" else refocus
    request = replace(visit.request, intensity=intensity, size=size, refocus=mode)
    return request, jobs.tune(request, model(request.model), visit.analysis)


@shown
def tune(visit: Visit, intensity, size, refocus) -> Iterator:
    """Step 2; yields skeleton video, overlay, then the draft excerpt."""
    _, motion = tuned(visit, intensity, size, refocus)
    inputs, path = visit.inputs, temporary(".mp4")
    jobs.write_skeleton(motion, inputs.audio, inputs.size, path)
    strongest = int(np.argmax(motion.intensity))
    yield path, chart.overlay(inputs.picture, motion.pose, strongest, inputs.size), gr.skip()
    draft = temporary(".mp4")
    for _ in jobs.write_draft(*jobs.excerpt(inputs, motion), draft):
        pass
    yield gr.skip(), gr.skip(), draft


def on_gpu(handler: Callable) -> Callable:
    """Decorates the denoising for ZeroGPU; reading, tuning and writing stay on the CPU."""
    return handler if spaces is None else spaces.GPU(duration=120)(handler)


@on_gpu
def render(picture: np.ndarray, motion: Motion, **options: Any) -> Iterator[Progress]:
    yield from model("mini").render(picture, motion, **options)


@shown
def generate(visit: Visit, intensity, size, refocus, steps) -> Iterator:
    """Step 3; yields visit, status, preview picture, result video, and the buttons' states."""
    request, motion = tuned(visit, intensity, size, refocus)
    pipe, path = model(request.model), temporary(".mp4")
    request = replace(request, steps=int(steps) or None)
    visit.stop.clear()
    busy = (gr.update(interactive=False), gr.update(interactive=True))  # Generate, Cancel
    idle = busy[::-1]
    work = jobs.generate(request, pipe, visit.inputs, motion, path, render)
    began, sent, done, stage = time.perf_counter(), 0.0, 0, None
    yield visit, "**Starting.**", None, None, *busy
    try:
        for step in work:
            if step.stage != stage and stage is None:
                began, stage = time.perf_counter(), step.stage
            picture = step.preview if step.frames is None else step.frames[-1]
            done += 0 if step.frames is None else len(step.frames)
            if picture is not None and time.perf_counter() - sent > PREVIEW_EVERY:
                sent = time.perf_counter()
                yield visit, bar(step, began), picture, gr.skip(), *busy
            if visit.stop.is_set():
                break
    finally:
        work.close()
    if not done:
        yield visit, "**Cancelled** before a frame was finished.", None, None, *idle
        return
    word = "Cancelled; the finished part is kept" if done < len(motion) else "Done"
    took = time.perf_counter() - began
    text = f"**{word}:** {done} of {len(motion)} frames in {took:.1f} s on {pipe.device}, {pipe.attention_backend}."
    yield visit, text, None, path, *idle


def cancel(visit: Visit) -> str:
    visit.stop.set()
    return "**Cancelling** after the frames in work."


@shown
def load_settings(video: str | None) -> Iterator:
    """The sliders and choices of a video that APV Studio wrote."""
    found = media.read_settings(video) if video else None
    if not found:
        raise ValueError("this video holds no settings of APV Studio; choose an mp4 that it wrote")
    request = jobs.Request.of({**found, "reference": "", "audio": ""})
    yield (
        request.intensity, request.size, request.refocus or "auto", request.mouth, request.fps, request.detector,
        request.fda, request.splice or "auto", request.length, request.seed, request.steps or 0,
    )  # fmt: skip


def input_column() -> dict[str, Any]:
    """Reference image, speech, driving video or pose file."""
    ui = {
        "image": gr.Image(label="Reference image", type="filepath", height=260, elem_id="reference"),
        "audio": gr.Audio(
            label="Speech, up to 10 minutes", type="filepath", sources=["upload", "microphone"], elem_id="speech"
        ),
    }
    with gr.Tab("Driving video"):
        ui["video"] = gr.Video(label="Gestures come from here", height=220, elem_id="driving")
    with gr.Tab("Pose file"):
        ui["pose"] = gr.File(label="POSE.npz", file_types=[".npz"], type="filepath", height=120)
    gr.Markdown("Neither = pose-free: the head moves with the speech, the body rests.")
    ui["analyse"] = gr.Button("1 Analyse", variant="primary", elem_id="analyse")
    return ui


def motion_column() -> dict[str, Any]:
    """Waveform, slider, skeleton, draft, overlay, warnings."""
    ui = {
        "wave": gr.Image(label="Speech: intensity red, accents blue", interactive=False, height=150),
        "intensity": gr.Slider(
            0, 2, 1, step=0.05, label="2 Gesture intensity", elem_id="intensity",
            info="0 = exactly as driven; 1 = accents larger, pauses calmer; 2 = strongest",
        ),
    }  # fmt: skip
    with gr.Row():
        ui["skeleton"] = gr.Video(label="Skeleton", autoplay=True, height=340, interactive=False, elem_id="skeleton")
        ui["draft"] = gr.Video(label="Draft: strongest 2 s", autoplay=True, height=340, interactive=False)
        ui["overlay"] = gr.Image(label="Alignment", interactive=False, height=340)
    ui["notes"] = gr.Markdown(elem_id="notes")
    return ui


def result_column() -> dict[str, Any]:
    with gr.Row():
        generate_button = gr.Button("3 Generate", variant="primary", elem_id="generate")
        cancel_button = gr.Button("Cancel, keep what is done", interactive=False, elem_id="cancel")
    return {
        "generate": generate_button,
        "cancel": cancel_button,
        "status": gr.Markdown("Choose inputs or an example below.", elem_id="status"),
        "preview": gr.Image(label="Frames as they arrive", interactive=False, height=260),
        "result": gr.Video(label="Result", interactive=False, height=420, elem_id="result"),
    }


def expert_row() -> dict[str, Any]:
    """Folded controls; each says its cost."""
    with gr.Accordion("Motion and sampling", open=False), gr.Row():
        with gr.Column():
            ui = {
                "size": gr.Slider(-0.5, 0.5, 0, step=0.05, label="Overall gesture size", info="octaves; free"),
                "refocus": gr.Dropdown(
                    ["auto", "amplify", "gate", "both"], value="auto", label="Refocus",
                    info="amplify scales gestures, gate scales control strength; free",
                ),
                "mouth": gr.Slider(0, 2, 1, step=0.05, label="Mouth amplitude", info="needs Analyse again"),
            }  # fmt: skip
        with gr.Column():
            ui["fps"] = gr.Slider(8, 50, 25, step=1, label="Frames per second", info="time grows with it")
            ui["length"] = gr.Dropdown(
                ["pingpong", "loop", "trim", "hold"], value="pingpong", label="Driving clip shorter than speech",
                info="needs Analyse again; detection is cached",
            )  # fmt: skip
            ui["detector"] = gr.Dropdown(["holistic", "openpose"], value="holistic", label="Detector",
                                         info="openpose: slower, needs requirements-gpu.txt")  # fmt: skip
        with gr.Column():
            ui["box"] = gr.Dropdown(["rigid", "paper"], value="rigid", label="Face box (FDA)",
                                    info="paper: eq. 11-18 to the letter, wide mouths squeeze the face")  # fmt: skip
            ui["splice"] = gr.Dropdown(["auto", "face", "lips"], value="auto", label="Spliced points",
                                       info="lips keeps the driving brows, eyes and jaw")  # fmt: skip
        with gr.Column():
            ui["seed"] = gr.Number(0, precision=0, minimum=0, label="Seed", info="same seed, same video")
            ui["steps"] = gr.Slider(0, 16, 0, step=1, label="Denoising steps", info="0 = the model's own; time grows")
            ui["old"] = gr.Video(label="Load settings from a video made here", height=140)
    return ui


def wire(ui: dict[str, Any], visit: gr.State) -> None:
    """Connects the three steps; every endpoint has a name for gradio_client."""
    facts = ("image", "audio", "video", "pose", "mouth", "fps", "detector", "box", "splice", "length", "seed")
    knobs = [visit, *(ui[name] for name in ("intensity", "size", "refocus"))]
    shown_motion = [ui["skeleton"], ui["overlay"], ui["draft"]]
    buttons = [ui["generate"], ui["cancel"]]
    analysed = ui["analyse"].click(
        analyse, [visit, *(ui[name] for name in facts)], [visit, ui["status"], ui["wave"], ui["notes"]],
        api_name="analyse",
    )  # fmt: skip
    analysed.success(tune, knobs, shown_motion, api_name=False)
    ui["intensity"].release(tune, knobs, shown_motion, api_name="tune", trigger_mode="always_last")
    for name in ("size", "refocus"):
        ui[name].change(tune, knobs, shown_motion, api_name=False, trigger_mode="always_last")
    ui["generate"].click(
        generate, [*knobs, ui["steps"]], [visit, ui["status"], ui["preview"], ui["result"], *buttons],
        api_name="generate", concurrency_id="denoise", concurrency_limit=1,
    )  # fmt: skip
    ui["cancel"].click(cancel, visit, ui["status"], api_name="cancel", queue=False)
    names = ("intensity", "size", "refocus", "mouth", "fps", "detector", "box", "splice", "length", "seed", "steps")
    ui["old"].upload(load_settings, ui["old"], [ui[name] for name in names], api_name="load_settings")


def build() -> gr.Blocks:
    """The page."""
    with gr.Blocks(title="APV Studio", analytics_enabled=False, delete_cache=(3600, 86400)) as page:
        visit = gr.State(Visit(), time_to_live=7200)
        gr.Markdown((ASSETS / "ui" / "header.md").read_text(encoding="utf-8"))
        with gr.Row():
            with gr.Column(scale=3):
                ui = input_column()
            with gr.Column(scale=5):
                ui |= motion_column()
            with gr.Column(scale=4):
                ui |= result_column()
        ui |= expert_row()
        rows = [[str(ASSETS / path) if path else None for path in row] for row in EXAMPLES]
        gr.Examples(rows, [ui["image"], ui["audio"], ui["video"]], label="Examples: one click fills the inputs")
        gr.Markdown((ASSETS / "ui" / "model.md").read_text(encoding="utf-8"))
        wire(ui, visit)
    return page.queue(max_size=20)


def main() -> None:
    parser = argparse.ArgumentParser(description="APV Studio in the browser")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=7860)
    args = parser.parse_args()
    host = "0.0.0.0" if os.environ.get("SPACE_ID") else args.host  # a Space is reached through its proxy
    build().launch(
        server_name=host, server_port=args.port, show_error=True, max_file_size="500mb", theme=gr.themes.Soft(),
    )  # fmt: skip


if __name__ == "__main__":
    main()
