"""The browser demo: layout and event wiring. `python app.py [--model NAME|FOLDER] [--host H] [--port N]`."""

from __future__ import annotations

import argparse
import functools
import html
import logging
import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pipeline.__main__ import quiet_libraries

quiet_libraries()
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")

from pipeline import app_steps as steps  # first: it imports `spaces`, which must come before torch

import gradio as gr

log = logging.getLogger(__name__)

ASSETS = Path(__file__).resolve().parent / "assets"
EXAMPLES = (  # label, reference image, speech, driving video or None, intensity
    ("Half body, beat gestures", "reference/half_jacket.png", "speech/welcome.wav", "driving/beats.mp4", 1),
    ("Whole body, side steps", "reference/full_trousers.png", "speech/lecture.wav", "driving/steps.mp4", 1),
    ("Pose-free, no driving video", "reference/half_glasses.png", "speech/weather.wav", None, 1),
    (
        "Hard accents, intensity 2",
        "reference/three_quarter.png",
        "speech/accents_no.wav",
        "driving/sway.mp4",
        2,
    ),
)
AGAIN = "press 1 Analyse again"
CSS = """
.gradio-container .main.fillable {max-width: 1560px; padding: 8px 22px}
.gradio-container .gap, .gradio-container .row, .gradio-container .column {gap: 10px}
.gradio-container label.float {font-size: 12px; padding: 1px 7px; opacity: .88}
#header h1 {display: inline; font-size: 1.35rem; margin-right: .6rem} #header p {display: inline}
#speech .upload-container .wrap {min-height: 84px; padding: 30px 4px 4px}
#speech .upload-container {height: 110px}
#speech .upload-container .icon-wrap {display: none}
#status progress {width: 100%; height: 8px; accent-color: #6366f1} #status {min-height: 46px}
footer {margin-top: 4px !important}
"""


def uploads() -> Path:
    """The one folder that Gradio serves and cleans."""
    return Path(gr.utils.get_upload_folder()).resolve()


def shown(handler: Callable[..., Iterator]) -> Callable[..., Iterator]:
    """The handler in Gradio's terms: a ValueError becomes a visible message, without the server's folders."""

    @functools.wraps(handler)
    def wrapped(*args: Any) -> Iterator:
        try:
            for values in handler(*args):
                parts = values if isinstance(values, tuple) else (values,)
                parts = tuple(gr.skip() if part is steps.KEEP else part for part in parts)
                yield parts if isinstance(values, tuple) else parts[0]
        except ValueError as error:
            sentence = re.sub(rf"{re.escape(str(uploads()))}/(\w+/)?", "", str(error))
            raise gr.Error(
                html.escape(sentence, quote=False), duration=None, print_exception=False
            ) from error

    return wrapped


def examples() -> list[tuple]:
    """The rows of EXAMPLES with full paths; a row whose files are missing is left out with a warning."""
    rows = []
    for label, *files, intensity in EXAMPLES:
        paths = [None if name is None else ASSETS / name for name in files]
        missing = [path.name for path in paths if path and not path.is_file()]
        if missing:
            log.warning("example %r is left out: %s missing in assets", label, ", ".join(missing))
        else:
            rows.append((label, *(path and str(path) for path in paths), intensity))
    return rows


def whole_file(payload: Any) -> str | None:
    """The uploaded picture as it is: `media.read_image` turns, converts or refuses it, in its own words."""
    return None if payload is None else payload.path


def input_column() -> dict[str, Any]:
    """Reference image, speech, driving video or pose file."""
    ui = {
        "image": gr.Image(
            label="Reference image",
            type="filepath",
            height=190,
            sources=["upload", "clipboard"],
            elem_id="reference",
        ),
        "audio": gr.Audio(
            label="Speech, up to 10 minutes",
            type="filepath",
            sources=["upload", "microphone"],
            elem_id="speech",
        ),
    }
    ui["image"].preprocess = whole_file
    with gr.Tab("Driving video"):
        ui["video"] = gr.Video(label="Optional: gestures", sources=["upload"], height=160, elem_id="driving")
    with gr.Tab("Pose file"):
        ui["pose"] = gr.File(
            label="POSE.npz", file_types=[".npz"], type="filepath", height=160, elem_id="pose"
        )
    ui["analyse"] = gr.Button("1 Analyse", variant="primary", elem_id="analyse")
    return ui


def motion_column() -> dict[str, Any]:
    """Picture of the speech, slider, skeleton, draft, overlay, warnings."""
    look = {"interactive": False, "height": 360, "min_width": 150}
    ui = {
        "wave": gr.Image(
            label="Speech", show_label=False, interactive=False, height=165, buttons=[], elem_id="wave"
        ),
        "intensity": gr.Slider(
            0, 2, 1, step=0.05, label="2 Tune the gesture intensity", elem_id="intensity",
            info="0 as driven · 1 larger on accents, calmer in pauses · 2 strongest",
        ),
    }  # fmt: skip
    with gr.Row():
        ui["skeleton"] = gr.Video(
            label="Skeleton", autoplay=True, elem_id="skeleton", buttons=["download"], **look
        )
        ui["draft"] = gr.Video(
            label="Draft, 2 s", autoplay=True, loop=True, elem_id="draft", buttons=[], **look
        )
        ui["overlay"] = gr.Image(label="Alignment", elem_id="overlay", buttons=["fullscreen"], **look)
    ui["notes"] = gr.Markdown("Warnings about the alignment appear here.", elem_id="notes")
    return ui


def result_column() -> dict[str, Any]:
    """Buttons, status, newest frame while it works, result and side-by-side video."""
    ui = {}
    with gr.Row():
        ui["generate"] = gr.Button("3 Generate", variant="primary", elem_id="generate", min_width=120)
        ui["cancel"] = gr.Button("Cancel, keep", interactive=False, elem_id="cancel", min_width=120)
    ui["status"] = gr.HTML(
        steps.line(
            "Choose inputs on the left, or click an example. No driving video or pose file = pose-free."
        ),
        elem_id="status",
    )
    ui["preview"] = gr.Image(
        label="Newest frame",
        interactive=False,
        height=520,
        visible=False,
        format="jpeg",
        buttons=[],
        elem_id="newest",
    )
    with gr.Column(visible=True) as ui["results"]:
        with gr.Tab("Result"):
            ui["result"] = gr.Video(
                label="Result",
                interactive=False,
                height=500,
                elem_id="result",
                buttons=["download"],
                autoplay=True,
            )
        with gr.Tab("Side by side"):
            ui["both"] = gr.Video(
                label="Driving or reference | skeleton | result",
                interactive=False,
                height=500,
                elem_id="both",
                buttons=["download"],
            )
    return ui


def motion_row() -> dict[str, Any]:
    """Folded controls of the motion; each says its cost."""
    with gr.Accordion("Motion", open=False), gr.Row():
        return {
            "size": gr.Slider(
                -0.5, 0.5, 0, step=0.05, label="Overall gesture size", info="octaves; free, at once"
            ),
            "refocus": gr.Dropdown(
                ["auto", "amplify", "gate", "both"],
                value="auto",
                label="Refocus",
                info="amplify: gestures, gate: control strength; free",
            ),
            "mouth": gr.Slider(0, 2, 1, step=0.05, label="Mouth amplitude", info=AGAIN),
            "length": gr.Dropdown(
                ["pingpong", "loop", "trim", "hold"],
                value="pingpong",
                label="Driving clip shorter than speech",
                info=f"{AGAIN}; detection is cached",
            ),
            "box": gr.Dropdown(
                ["rigid", "paper"],
                value="rigid",
                label="Face box (FDA)",
                info="paper: wide mouths squeeze the face",
            ),
            "splice": gr.Dropdown(
                ["auto", "face", "lips"],
                value="auto",
                label="Spliced points",
                info="lips keeps the driving brows and eyes",
            ),
        }


def sampling_row() -> dict[str, Any]:
    """Folded controls of the denoiser; each says its cost."""
    model_own = "0 = the model's own"
    with gr.Accordion("Sampling and long video", open=False), gr.Row():
        return {
            "seed": gr.Number(0, precision=0, minimum=0, label="Seed", info="same seed, same video"),
            "steps": gr.Slider(
                0, 100, 0, step=1, label="Denoising steps", info=f"{model_own}; time grows with it"
            ),
            "window": gr.Slider(
                0, 128, 0, step=1, label="Window, frames", info=f"{model_own}; memory grows with it"
            ),
            "overlap": gr.Slider(
                0, 64, 0, step=1, label="Overlap, frames", info=f"{model_own}; smoother seams, slower"
            ),
        }


def output_row() -> dict[str, Any]:
    """Folded controls of detection and output, and the settings of an older video."""
    with gr.Accordion("Detection, output, settings of an older video", open=False), gr.Row():
        return {
            "detector": gr.Dropdown(
                ["holistic", "openpose"],
                value="holistic",
                label="Detector",
                info="openpose: slower, needs requirements-gpu.txt",
            ),
            "fps": gr.Slider(
                1, 60, 25, step=1, label="Frames per second", info=f"time grows with it; {AGAIN}"
            ),
            "height": gr.Number(
                0, precision=0, minimum=0, label="Height", info=f"0 = the picture's aspect; {AGAIN}"
            ),
            "width": gr.Number(
                0, precision=0, minimum=0, label="Width", info="time and memory grow with both"
            ),
            "old": gr.File(
                label="Load settings from a video made here", file_types=["video"], height=110, elem_id="old"
            ),
        }


def wire(ui: dict[str, Any], visit: gr.State) -> None:
    """Connects the three steps; every endpoint has a name for gradio_client."""

    def parts(names: str) -> list[Any]:
        return [ui[name] for name in names.split()]

    files = parts("image audio video pose")
    facts = [visit, *files, *parts("mouth fps detector box splice length seed height width")]
    knobs = [visit, *parts("intensity size refocus")]
    hidden = {"queue": False, "api_visibility": "private", "show_progress": "hidden"}

    def then_tune(event: Any, name: str | None = None) -> None:
        named = {"api_name": name} if name else {"api_visibility": "private"}
        done = event(
            shown(steps.tune), knobs, parts("status skeleton overlay"), show_progress="minimal", **named
        )
        private = {"api_name": "excerpt"} if name else {"api_visibility": "private"}
        done.success(shown(steps.excerpt), knobs, ui["draft"], show_progress="hidden", **private)

    seen = parts("status wave notes")
    then_tune(
        functools.partial(ui["intensity"].release, trigger_mode="always_last"), "tune"
    )  # keeps the name
    looked = ui["analyse"].click(
        shown(steps.analyse), facts, [visit, *seen], api_name="analyse", show_progress="minimal"
    )
    then_tune(looked.success)
    for name in ("size", "refocus"):
        then_tune(functools.partial(ui[name].input, trigger_mode="always_last"))
    if rows := examples():
        table = gr.Dataset(
            components=["textbox"], samples=[[row[0]] for row in rows], type="index", elem_id="examples",
            label="Examples: one click fills the inputs and analyses them", render=False,
        )  # fmt: skip
        with ui["examples"]:
            table.render()
        fill = lambda index: (*rows[index][1:4], None, rows[index][4])  # noqa: E731
        filled = table.click(
            fill, table, [*files, ui["intensity"]], api_name="example", show_progress="hidden"
        )
        looked = filled.success(
            shown(steps.analyse), facts, [visit, *seen], api_visibility="private", show_progress="minimal"
        )
        then_tune(looked.success)
    swap = parts("generate cancel preview results")
    busy = ui["generate"].click(shown(begin), visit, swap, **hidden | {"queue": True})
    made = busy.success(
        shown(steps.generate), [*knobs, *parts("steps window overlap")],
        [visit, *parts("status preview result")],
        api_name="generate", concurrency_id="denoise", concurrency_limit=1, show_progress="hidden",
    )  # fmt: skip
    made.then(lambda: states(False), None, swap, **hidden)
    made.success(shown(steps.compare), visit, ui["both"], api_name="compare", show_progress="minimal")
    ui["cancel"].click(
        steps.cancel, visit, ui["status"], api_name="cancel", queue=False, show_progress="hidden"
    )
    gr.on([part.change for part in files], shown(steps.changed), [visit, *files], ui["status"], **hidden)
    kept = (
        "intensity size refocus steps window overlap mouth fps detector box splice length seed height width"
    )
    ui["old"].upload(shown(steps.load_settings), ui["old"], parts(kept), api_name="load_settings")


def begin(visit: steps.Visit) -> Iterator:
    """Yields the busy page; refuses before anything is switched where nothing is analysed."""
    steps.analysed(visit)
    yield states(True)


def states(working: bool) -> tuple:
    """Generate, Cancel, newest frame, results: which are on while it works and while it does not."""
    return (
        gr.update(interactive=not working), gr.update(interactive=working), gr.update(visible=working),
        gr.update(visible=not working),
    )  # fmt: skip


def build() -> gr.Blocks:
    """The page."""
    uploads().mkdir(parents=True, exist_ok=True)
    with gr.Blocks(title="APV Studio", analytics_enabled=False, delete_cache=(3600, 43200)) as page:
        visit = gr.State(steps.Visit(str(uploads())), time_to_live=7200, delete_callback=steps.forget)
        gr.Markdown((ASSETS / "ui" / "header.md").read_text(encoding="utf-8"), elem_id="header")
        top = gr.Row()
        with gr.Row():
            with gr.Column(scale=4, min_width=280):
                ui = input_column()
            with gr.Column(scale=7, min_width=340):
                ui |= motion_column()
            with gr.Column(scale=5, min_width=320):
                ui |= result_column()
        ui |= motion_row() | sampling_row() | output_row() | {"examples": top}
        gr.Markdown((ASSETS / "ui" / "model.md").read_text(encoding="utf-8"))
        wire(ui, visit)
    return page.queue(max_size=20, default_concurrency_limit=1)


def launch_options() -> dict[str, Any]:
    return {
        "theme": gr.themes.Soft(),
        "css": CSS,
        "show_error": True,
        "max_file_size": "500mb",
        "run_history": True,
        "allowed_paths": [str(ASSETS)],
    }


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="APV Studio in the browser")
    parser.add_argument(
        "--model", default=steps.model_name(), help="mini or the folder of a model; also APV_MODEL"
    )
    # a Space is reached through its proxy
    parser.add_argument("--host", default="0.0.0.0" if os.environ.get("SPACE_ID") else "127.0.0.1")
    parser.add_argument("--port", type=int, help="default: the first free one from 7860")
    args = parser.parse_args(argv)
    os.environ["APV_MODEL"] = args.model
    try:
        steps.model(args.model)  # the first click need not wait for it
        build().launch(server_name=args.host, server_port=args.port, **launch_options())
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
