"""The browser demo: layout and event wiring. `python app.py [--model NAME|FOLDER] [--host H] [--port N]`."""

from __future__ import annotations

import argparse
import functools
import html
import inspect
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
from pipeline import app_knobs

import gradio as gr

log = logging.getLogger(__name__)

ASSETS = Path(__file__).resolve().parent / "assets"


def uploads() -> Path:
    """The one folder that Gradio serves and cleans."""
    return Path(gr.utils.get_upload_folder()).resolve()


def shown(handler: Callable[..., Iterator], names: list[str]) -> Callable[..., Iterator]:
    """The handler in Gradio's terms: a ValueError becomes a visible message, without the server's folders.

    names: of its arguments, which gradio_client uses; KEEP leaves a part of the page as it is.
    """

    @functools.wraps(handler)
    def wrapped(*args: Any) -> Iterator:
        try:
            for values in handler(*args):
                parts = values if isinstance(values, tuple) else (values,)
                parts = tuple(gr.skip() if part is steps.KEEP else part for part in parts)
                yield parts if isinstance(values, tuple) else parts[0]
        except steps.Again as error:
            raise gr.Error("", visible=False, print_exception=False) from error  # ends what would follow
        except ValueError as error:
            sentence = re.sub(rf"{re.escape(str(uploads()))}/(\w+/)?", "", str(error))
            raise gr.Error(
                html.escape(sentence, quote=False), duration=None, print_exception=False
            ) from error

    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    wrapped.__signature__ = inspect.Signature([inspect.Parameter(name, kind) for name in names])
    return wrapped


def examples() -> list[tuple]:
    """app_knobs.EXAMPLES with full paths; a row whose files are missing is left out with a warning."""
    rows = []
    for label, *files, intensity in app_knobs.EXAMPLES:
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


def control(knob: app_knobs.Knob) -> Any:
    """The component of one row of the table of controls."""
    look = {"label": knob.label, "info": knob.cost, "elem_id": knob.name, "min_width": 200}
    if knob.kind == "slider":
        return gr.Slider(*knob.range, knob.default, step=knob.step, **look)
    if knob.kind == "choice":
        return gr.Dropdown(list(knob.choices), value=knob.default, **look)
    if knob.kind == "number":
        return gr.Number(knob.default, precision=0, minimum=0, **look)
    return gr.Textbox(knob.default, max_lines=1, **look)


def controls(group: str) -> dict[str, Any]:
    """The components of one group, by name."""
    return {knob.name: control(knob) for knob in app_knobs.KNOBS if knob.group == group}


def input_column() -> dict[str, Any]:
    """Reference image, speech, driving video or pose file."""
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
        ui["video"] = gr.Video(label="Optional: gestures", sources=["upload"], height=160, elem_id="driving")
    with gr.Tab("Pose file"):
        ui["pose"] = gr.File(
            label=".npz or OpenPose .json", file_types=[".npz", ".json"], height=160, elem_id="pose"
        )
    ui["analyse"] = gr.Button("1 Analyse", variant="primary", elem_id="analyse")
    return ui


def motion_column() -> dict[str, Any]:
    """Picture of the speech, accents, slider, skeleton, draft, overlay, warnings."""
    look = {"interactive": False, "height": 340, "min_width": 150}
    ui = {
        "wave": gr.Image(
            label="Speech", show_label=False, interactive=False, height=150, buttons=[], elem_id="wave"
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
            ui["hint"] = gr.Markdown(steps.ACCENT_HINT)
            ui["detected"] = gr.Button("Reset to detected", size="sm", elem_id="detected")
    ui |= controls("intensity")
    with gr.Tabs() as ui["views"]:
        with gr.Tab("Skeleton", id="skeleton") as ui["skeleton_tab"], gr.Row():
            ui["skeleton"] = gr.Video(
                label="Skeleton", autoplay=True, elem_id="skeleton", buttons=["download"], **look
            )
            ui["draft"] = gr.Video(
                label="Draft, 2 s", autoplay=True, loop=True, elem_id="draft", buttons=[], **look
            )
            ui["over"] = gr.Image(label="Alignment", elem_id="overlay", buttons=["fullscreen"], **look)
        with gr.Tab("Overlay clip", id="clip") as ui["clip_tab"]:
            ui["clip"] = gr.Video(label="Skeleton over the picture", autoplay=True, elem_id="clip", **look)
        with gr.Tab("Who drives?", id="people", visible=False) as ui["people_tab"], gr.Row():
            ui["people"] = gr.Image(
                label="Click one", format="jpeg", buttons=[], elem_id="people", scale=3, **look
            )
            with gr.Column(scale=2, min_width=150):
                ui |= controls("people")
    with gr.Row():
        with gr.Column(scale=4, min_width=220):
            ui["notes"] = gr.Markdown("Warnings about the alignment appear here.", elem_id="notes")
        ui["drawn"] = gr.DownloadButton(
            "Download pose", size="sm", interactive=False, elem_id="drawn", scale=1, min_width=130
        )
    return ui


def result_column() -> dict[str, Any]:
    """Buttons, status, newest frame while it works, result and side-by-side video."""
    ui = {}
    with gr.Row():
        ui["generate"] = gr.Button("3 Generate", variant="primary", elem_id="generate", min_width=120)
        ui["cancel"] = gr.Button("Cancel, keep", interactive=False, elem_id="cancel", min_width=120)
    hint = "Choose inputs on the left, or click an example. No driving video or pose file = pose-free."
    ui["status"] = gr.HTML(steps.line(hint), elem_id="status")
    ui["preview"] = gr.Image(
        label="Newest frame", interactive=False, height=520, visible=False, format="jpeg", buttons=[],
        elem_id="newest",
    )  # fmt: skip
    look = {"interactive": False, "height": 500, "buttons": ["download"]}
    with gr.Column(visible=True) as ui["results"]:
        with gr.Tab("Result"):
            ui["result"] = gr.Video(label="Result", elem_id="result", autoplay=True, **look)
        with gr.Tab("Side by side"):
            ui["both"] = gr.Video(label="Driving or reference | skeleton | result", elem_id="both", **look)
    return ui


def folded() -> dict[str, Any]:
    """The folded controls; each says its cost."""
    ui = {}
    for group, title in app_knobs.GROUPS:
        with gr.Accordion(title, open=False), gr.Row():
            ui |= controls(group)
            if group == "output":
                ui["old"] = gr.File(
                    label="Load settings from a video made here", file_types=["video"], height=110,
                    elem_id="old",
                )  # fmt: skip
    return ui


class Wiring:
    """Connects events of the page's parts to handlers; every endpoint has a name for gradio_client."""

    FILES = "image audio video pose"
    TUNE = ["visit", *app_knobs.names("tune")]

    def __init__(self, ui: dict[str, Any]) -> None:
        self.ui = ui

    def parts(self, names: str | list[str]) -> list[Any]:
        return [self.ui[name] for name in (names.split() if isinstance(names, str) else names)]

    def on(
        self, event: Any, handler: Callable, given: str | list[str], out: str, name: str = "", **how: Any
    ) -> Any:
        """`event` runs `handler` on the parts `given` into the parts `out`, as the endpoint `name`."""
        given = given.split() if isinstance(given, str) else given
        named = {"api_name": name} if name else {"api_visibility": "private"}
        how = {"show_progress": "hidden"} | how
        return event(shown(handler, given), self.parts(given), self.parts(out), **named, **how)

    def then_tune(self, event: Any, named: str = "") -> None:
        """Draws the skeleton after `event`, then what else shows the same motion."""
        names = named.split() or [""] * 4
        done = self.on(
            event, steps.tune, self.TUNE, "status skeleton over", names[0], show_progress="minimal"
        )
        self.on(done.success, steps.excerpt, self.TUNE, "draft", names[1])
        self.on(done.success, steps.pose, self.TUNE, "drawn", names[2])
        self.on(done.success, clip_if_seen, [*self.TUNE, "tab"], "clip")

    def analyse(self, event: Any, name: str = "") -> None:
        given = ["visit", *self.FILES.split(), *app_knobs.names("analyse")]
        looked = self.on(
            event, steps.analyse, given, "visit status wave notes accents", name, show_progress="minimal"
        )
        found = self.on(looked.success, steps.people, "visit", "people", name and "people")
        self.on(found.success, picker, "visit tab", "people_tab views tab drawn")
        self.then_tune(looked.success)

    def inputs(self) -> None:
        """Analyse, the choice of a person, examples, changed inputs."""
        ui = self.ui
        self.analyse(functools.partial(gr.on, [ui["analyse"].click, ui["person"].submit]), "analyse")
        chosen = ui["people"].select(pick, self.parts("visit people"), ui["person"], api_visibility="private")
        self.analyse(chosen.success)
        if rows := examples():
            table = gr.Dataset(
                components=["textbox"], samples=[[row[0]] for row in rows], type="index", elem_id="examples",
                label="Examples: one click fills the inputs and analyses them", render=False,
            )  # fmt: skip
            with ui["examples"]:
                table.render()
            fill = lambda index: (*rows[index][1:4], None, rows[index][4], "")  # noqa: E731
            filled = table.click(
                fill, table, self.parts(f"{self.FILES} intensity person"), api_name="example",
                show_progress="hidden",
            )  # fmt: skip
            self.analyse(filled.success)
        changes = functools.partial(gr.on, [part.change for part in self.parts(self.FILES)])
        self.on(changes, steps.changed, f"visit {self.FILES}", "status person", queue=False)

    def motion(self) -> None:
        """The sliders and the accents, all on one path."""
        ui, latest = self.ui, {"trigger_mode": "always_last"}
        knobs = [knob for knob in app_knobs.KNOBS if knob.stage == "tune"]
        moves = [getattr(ui[k.name], "release" if k.kind == "slider" else "input") for k in knobs]
        self.then_tune(functools.partial(gr.on, moves, **latest), "tune excerpt pose")
        edit = functools.partial(ui["accents"].input, **latest)
        typed = self.on(edit, steps.typed, "visit accents", "visit")
        reset = functools.partial(ui["detected"].click, **latest)
        for event, name, given in ((typed.success, "accents", "visit accents"), (reset, "detected", "visit")):
            edited = self.on(event, getattr(steps, name), given, "visit status wave accents hint", name)
            self.then_tune(edited.success)
        for name in ("skeleton", "clip", "people"):
            how = {"queue": False, "api_visibility": "private"}
            seen = ui[f"{name}_tab"].select(lambda name=name: name, None, ui["tab"], **how)
            if name == "clip":
                self.on(seen.success, steps.overlay, self.TUNE, "clip", "overlay", show_progress="minimal")

    def result(self) -> None:
        """Generate, cancel, side by side, settings of an older video."""
        ui = self.ui
        swap = "generate cancel preview results"
        busy = self.on(ui["generate"].click, begin, "visit", swap)
        given = ["visit", "made", *self.TUNE[1:], *app_knobs.names("generate")]
        limits = {"concurrency_id": "denoise", "concurrency_limit": 1}
        made = self.on(
            busy.success, steps.generate, given, "made status preview result", "generate", **limits
        )
        hidden = {"queue": False, "api_visibility": "private", "show_progress": "hidden"}
        made.then(lambda: states(False), None, self.parts(swap), **hidden)
        self.on(made.success, steps.compare, "made", "both", "compare", show_progress="minimal")
        ui["cancel"].click(
            steps.cancel, ui["visit"], ui["status"], api_name="cancel", queue=False, show_progress="hidden"
        )
        kept = " ".join(knob.name for knob in app_knobs.KNOBS)
        self.on(ui["old"].upload, steps.load_settings, "visit old", f"visit status {kept}", "load_settings")


def clip_if_seen(*given: Any) -> Iterator:
    """Yields the overlay clip where its tab is open: nobody waits for what nobody sees."""
    *knobs, tab = given
    yield from steps.overlay(*knobs) if tab == "clip" else [steps.KEEP]


def picker(visit: steps.Visit, tab: str) -> Iterator:
    """Yields the tab to choose a person in, the open tab and its name, the button for the drawn pose."""
    several = len(visit.analysis.people) > 1
    asked = several and visit.request.person is None
    opened = "people" if asked else "skeleton" if tab == "people" else tab
    yield gr.Tab(visible=several), gr.Tabs(selected=opened), opened, gr.update(interactive=True)


def pick(visit: steps.Visit, picture: Any, event: gr.SelectData) -> str:
    """The number of the person at the click."""
    x, y = event.index
    return steps.person_at(visit, x / picture.shape[1], y / picture.shape[0])


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
        ui = {"visit": visit, "made": gr.State(None, time_to_live=7200), "tab": gr.State("skeleton")}
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
    return {
        "theme": gr.themes.Soft(),
        "css": (ASSETS / "ui" / "page.css").read_text(encoding="utf-8"),
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
