"""The page: layout in three columns."""

from __future__ import annotations

from typing import Any

import gradio as gr

from pipeline import ROOT
from pipeline.studio.app import accent_table, controls, session, status
from pipeline.studio.app.events import Wiring, uploads

ASSETS = ROOT / "assets"
VISIT_SECONDS = 2 * 3600  # a visit without events is forgotten after that
CACHE_SECONDS = (3600, 12 * 3600)  # between two cleanings; the age of files that are deleted


def whole_file(payload: Any) -> str | None:
    """Return the uploaded picture as it is; `media.read_image` turns, converts or refuses it."""
    return None if payload is None else payload.path


def component(control: controls.AppControl) -> gr.components.Component:
    """Return the component that shows one control."""
    shared = {
        "label": control.option.label,
        "info": control.look.cost,
        "elem_id": control.name,
        "min_width": 200,
    }
    if control.look.widget == "slider":
        low, high = control.range
        return gr.Slider(low, high, control.default, step=control.look.step, **shared)
    if control.look.widget == "choice":
        return gr.Dropdown(list(control.choices), value=control.default, **shared)
    if control.look.widget == "number":
        return gr.Number(control.default, precision=0, minimum=0, **shared)
    return gr.Textbox(control.default, max_lines=1, **shared)


def components(group: str) -> dict[str, Any]:
    """Return the components of one group, by name."""
    members = [control for control in controls.CONTROLS if control.look.group == group]
    return {control.name: component(control) for control in members}


def input_column() -> dict[str, Any]:
    """Return the parts for the reference image, the speech, the driving video or pose file."""
    ui = {
        "image": gr.Image(
            label="Reference image", type="filepath", height=190, sources=["upload", "clipboard"],
            elem_id="reference",
        ),
        "audio": gr.Audio(
            label="Speech, up to 10 minutes", type="filepath", sources=["upload", "microphone"],
            elem_id="speech",
        ),
    }  # fmt: skip
    ui["image"].preprocess = whole_file
    with gr.Tab("Driving video"):
        ui["video"] = gr.Video(
            label="Optional: gestures", sources=["upload"], height=160, elem_id="driving"
        )
    with gr.Tab("Pose file"):
        ui["pose"] = gr.File(
            label=".npz or OpenPose .json", file_types=[".npz", ".json"], height=160, elem_id="pose"
        )
    ui["analyse"] = gr.Button("1 Analyse", variant="primary", elem_id="analyse")
    return ui


def motion_column() -> dict[str, Any]:
    """Return the parts for the speech, accents, slider, skeleton, draft, overlay and warnings."""
    look = {"interactive": False, "height": 340, "min_width": 150}
    ui = {
        "wave": gr.Image(
            label="Speech",
            show_label=False,
            interactive=False,
            height=150,
            buttons=[],
            elem_id="wave",
        )
    }
    with (
        gr.Accordion("Accents: add, move, delete or strengthen", open=False, elem_id="accent_part"),
        gr.Row(),
    ):
        ui["accents"] = gr.Dataframe(
            headers=["seconds", "strength, 0 to 1"], datatype="number", type="array", row_count=1,
            column_count=2, interactive=True, max_height=180, show_label=False, elem_id="accents",
            buttons=[], scale=2, min_width=240,
        )  # fmt: skip
        with gr.Column(scale=1, min_width=140):
            ui["hint"] = gr.Markdown(accent_table.HINT)
            ui["detected"] = gr.Button("Reset to detected", size="sm", elem_id="detected")
    ui |= components("intensity")
    with gr.Tabs() as ui["views"]:
        with gr.Tab("Skeleton", id="skeleton") as ui["skeleton_tab"], gr.Row():
            ui["skeleton"] = gr.Video(
                label="Skeleton", autoplay=True, elem_id="skeleton", buttons=["download"], **look
            )
            ui["draft"] = gr.Video(
                label="Draft, 2 s", autoplay=True, loop=True, elem_id="draft", buttons=[], **look
            )
            ui["over"] = gr.Image(
                label="Alignment", elem_id="overlay", buttons=["fullscreen"], **look
            )
        with gr.Tab("Overlay clip", id="clip") as ui["clip_tab"]:
            ui["clip"] = gr.Video(
                label="Skeleton over the picture", autoplay=True, elem_id="clip", **look
            )
        with gr.Tab("Who drives?", id="people", visible=False) as ui["people_tab"], gr.Row():
            ui["people"] = gr.Image(
                label="Click one", format="jpeg", buttons=[], elem_id="people", scale=3, **look
            )
            with gr.Column(scale=2, min_width=150):
                ui |= components("people")
        with gr.Tab("Who speaks?", id="speakers", visible=False) as ui["speakers_tab"], gr.Row():
            ui["speakers"] = gr.Image(
                label="Click one", format="jpeg", buttons=[], elem_id="speakers", scale=3, **look
            )
            with gr.Column(scale=2, min_width=150):
                ui |= components("speakers")
    with gr.Row():
        with gr.Column(scale=4, min_width=220):
            ui["notes"] = gr.Markdown("Warnings about the alignment appear here.", elem_id="notes")
        ui["drawn"] = gr.DownloadButton(
            "Download pose", size="sm", interactive=False, elem_id="drawn", scale=1, min_width=130
        )
    return ui


def result_column() -> dict[str, Any]:
    """Return the buttons, the status, the newest frame of a run and the two result videos."""
    ui = {}
    with gr.Row():
        ui["generate"] = gr.Button(
            "3 Generate", variant="primary", elem_id="generate", min_width=120
        )
        ui["cancel"] = gr.Button("Cancel, keep", interactive=False, elem_id="cancel", min_width=120)
    hint = (
        "Choose inputs on the left, or click an example. No driving video or pose file = pose-free."
    )
    ui["status"] = gr.HTML(status.line(hint), elem_id="status")
    ui["preview"] = gr.Image(
        label="Newest frame", interactive=False, height=520, visible=False, format="jpeg",
        buttons=[],
        elem_id="newest",
    )  # fmt: skip
    look = {"interactive": False, "height": 500, "buttons": ["download"]}
    with gr.Column(visible=True) as ui["results"]:
        with gr.Tab("Result"):
            ui["result"] = gr.Video(label="Result", elem_id="result", autoplay=True, **look)
        with gr.Tab("Side by side"):
            ui["both"] = gr.Video(
                label="Driving or reference | skeleton | result", elem_id="both", **look
            )
    return ui


def folded() -> dict[str, Any]:
    """Return the folded controls; each says its cost."""
    ui = {}
    for group, title in controls.GROUPS:
        with gr.Accordion(title, open=False), gr.Row():
            ui |= components(group)
            if group == "output":
                ui["old"] = gr.File(
                    label="Load settings from a video made here", file_types=["video"], height=110,
                    elem_id="old",
                )  # fmt: skip
    return ui


def build() -> gr.Blocks:
    """Return the page with its events."""
    uploads().mkdir(parents=True, exist_ok=True)
    with gr.Blocks(title="APV Studio", analytics_enabled=False, delete_cache=CACHE_SECONDS) as page:
        visit = gr.State(
            session.Visit(str(uploads())),
            time_to_live=VISIT_SECONDS,
            delete_callback=session.forget,
        )
        ui = {
            "visit": visit,
            "finished": gr.State(None, time_to_live=VISIT_SECONDS),
            "tab": gr.State("skeleton"),
        }
        gr.Markdown((ASSETS / "ui" / "header.md").read_text(encoding="utf-8"), elem_id="header")
        ui["examples"] = gr.Row()
        with gr.Row():
            with gr.Column(scale=4, min_width=280):
                ui |= input_column()
            with gr.Column(scale=7, min_width=340):
                ui |= motion_column()
            with gr.Column(scale=5, min_width=320):
                ui |= result_column()
        ui |= folded()
        gr.Markdown((ASSETS / "ui" / "model.md").read_text(encoding="utf-8"))
        wiring = Wiring(ui)
        wiring.motion()  # first: its handlers keep their plain names
        wiring.inputs()
        wiring.result()
    return page.queue(max_size=20, default_concurrency_limit=1)


def launch_options() -> dict[str, Any]:
    """Return what `launch` needs to know of the page."""
    return {
        "theme": gr.themes.Soft(),
        "css": (ASSETS / "ui" / "page.css").read_text(encoding="utf-8"),
        "show_error": True,
        "max_file_size": "500mb",
        "run_history": True,
        "allowed_paths": [str(ASSETS)],
    }
