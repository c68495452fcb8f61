"""Which event of the page runs which handler."""

from __future__ import annotations

import contextlib
import functools
import html
import inspect
import logging
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gradio as gr

from pipeline import media
from pipeline.studio import outputs
from pipeline.studio.app import accent_table, controls, handlers
from pipeline.studio.app.examples import Example, examples
from pipeline.studio.app.page_updates import Handler, Update, handler
from pipeline.studio.app.session import Visit
from pipeline.studio.messages import describe_bug, name_options
from pipeline.studio.option_rows import options_of
from pipeline.studio.request import LABELS, Request
from pipeline.values import InputError

log = logging.getLogger(__name__)

# Arguments of an endpoint bear the names that users type, such as "size" for `gesture_size`.
TYPED_NAMES = {option.name: option.typed_name for option in options_of(Request)}
LATEST_ONLY = {"trigger_mode": "always_last"}  # of many events in a row only the last one counts
PRIVATE = {"queue": False, "api_visibility": "private"}


def uploads() -> Path:
    """Return the one folder that Gradio serves and cleans."""
    return Path(gr.utils.get_upload_folder()).resolve()


# ---- handlers in Gradio's terms


def in_gradio(handler: Handler) -> Callable[..., Iterator[Any]]:
    """Return the handler as a function of positions, whose exceptions become visible sentences."""

    def run(*values: Any) -> Iterator[Any]:
        by_name = dict(zip(handler.reads, values, strict=True))
        has_update = False
        with visible_errors():
            for update in handler(**by_name):
                has_update = True
                yield in_order(update, handler)
        if not has_update:
            raise gr.Error("", visible=False, print_exception=False)  # ends what would follow

    run.__name__ = handler.name
    run.__doc__ = handler.run.__doc__
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    typed_names = [TYPED_NAMES.get(name, name) for name in handler.reads]
    parameters = [inspect.Parameter(name, kind) for name in typed_names]
    run.__signature__ = inspect.Signature(parameters)  # gradio_client uses its names
    return run


def in_order(update: Update, handler: Handler) -> Any:
    """Return the update's values in the order of the handler's parts; others stay as they are."""
    unknown = set(update) - set(handler.shows)
    if unknown:
        raise KeyError(
            f"{handler.name} updates {', '.join(sorted(unknown))}, which it does not show"
        )
    values = [update[name] if name in update else gr.skip() for name in handler.shows]
    return values[0] if len(values) == 1 else tuple(values)


@contextlib.contextmanager
def visible_errors() -> Iterator[None]:
    """Show an exception as one sentence; log the traceback of what is not the user's fault."""
    try:
        yield
    except InputError as error:
        raise visible_error(name_options(str(error), LABELS)) from error
    except Exception as error:  # a bug; nothing else catches it
        log.exception("a handler of the page failed")
        raise visible_error(describe_bug(error, "the server's log")) from error


def visible_error(sentence: str) -> gr.Error:
    """Return the error that the page shows until it is closed, without the server's folders."""
    without_folders = re.sub(rf"{re.escape(str(uploads()))}/(\w+/)?", "", sentence)
    text = html.escape(without_folders, quote=False)
    return gr.Error(text, duration=None, print_exception=False)


# ---- handlers that need Gradio's own values


@handler("clip", stages=("tune",))
def clip_if_open(visit: Visit, tab: str, **shown: Any) -> Iterator[Update]:
    """Show the overlay clip where its tab is open: nobody waits for what nobody sees."""
    if tab == "clip":
        yield from handlers.overlay(visit, **shown)


@handler("people_tab", "speakers_tab", "views", "tab", "drawn")
def open_tab(visit: Visit, tab: str, speakers: Any) -> Iterator[Update]:
    """Open the tab to choose a person where there is a choice; enable the download of the pose.

    Any other tab that the user opened during the analysis stays open.
    """
    analysed = visit.need_analysis()
    drivers_differ = len(analysed.analysis.people) > 1
    speakers_differ = speakers is not None
    update = {
        "people_tab": gr.Tab(visible=drivers_differ),
        "speakers_tab": gr.Tab(visible=speakers_differ),
        "drawn": gr.update(interactive=True),
    }
    is_hidden = {"people": not drivers_differ, "speakers": not speakers_differ}
    if drivers_differ and analysed.request.person is None:
        update |= _show_tab("people")
    elif speakers_differ and analysed.request.speaker is None:
        update |= _show_tab("speakers")
    elif is_hidden.get(tab, False):
        update |= _show_tab("skeleton")
    yield update


@handler("views", "tab")
def open_skeleton() -> Iterator[Update]:
    """Leave the tab in which a person was chosen."""
    yield _show_tab("skeleton")


def _show_tab(name: str) -> Update:
    """Return the update that opens a tab."""
    return {"views": gr.Tabs(selected=name), "tab": name}


def pick_person(visit: Visit, picture: Any, event: gr.SelectData) -> str:
    """Return the number of the person at the click."""
    with visible_errors():
        height, width = picture.shape[:2]
        point = _fractions(event, height, width)
        return handlers.person_at(visit, *point)


def pick_speaker(image: str | None, detector: str, event: gr.SelectData) -> str:
    """Return the number of the person at a click on the reference image.

    Stop without a word where there is nobody else to choose.
    """
    number = None
    with visible_errors():
        if image is not None:
            height, width = media.read_image(image).shape[:2]
            point = _fractions(event, height, width)
            number = outputs.speaker_at(image, detector, point)
    if number is None:
        raise gr.Error("", visible=False, print_exception=False)
    return str(number)


def pick_numbered(image: str, detector: str, picture: Any, event: gr.SelectData) -> str:
    """Return the number of the person at a click on the picture of the numbered people."""
    with visible_errors():
        height, width = picture.shape[:2]
        point = _fractions(event, height, width)
        return str(outputs.speaker_at(image, detector, point))


def _fractions(event: gr.SelectData, height: int, width: int) -> tuple[float, float]:
    """Return the place of a click in fractions of a picture."""
    x, y = event.index
    return x / width, y / height


@handler("speakers", "speakers_tab", "views", "tab")
def show_speaker(image: str, detector: str, speaker: str) -> Iterator[Update]:
    """Show at once who will speak."""
    yield {
        "speakers": outputs.speakers_picture(image, detector, speaker),
        "speakers_tab": gr.Tab(visible=True),
        **_show_tab("speakers"),
    }


SWITCHED = ("generate", "cancel", "preview", "results")


@handler(*SWITCHED)
def start_rendering(visit: Visit) -> Iterator[Update]:
    """Switch the page to rendering; refuse before that where nothing is analysed."""
    visit.need_analysis()
    yield {
        "generate": gr.update(interactive=False),
        "cancel": gr.update(interactive=True),
        "preview": gr.update(visible=True),
        "results": gr.update(visible=False),
    }


@handler(*SWITCHED)
def end_rendering() -> Iterator[Update]:
    """Switch the page back to the results."""
    yield {
        "generate": gr.update(interactive=True),
        "cancel": gr.update(interactive=False),
        "preview": gr.update(visible=False),
        "results": gr.update(visible=True),
    }


# ---- events


class Wiring:
    """Connects the events of the page's parts to handlers.

    Every endpoint that is not private has a name for gradio_client.
    """

    def __init__(self, ui: dict[str, Any]) -> None:
        self.ui = ui

    def parts(self, names: tuple[str, ...]) -> list[Any]:
        """Return the parts of the page of these names."""
        unknown = [name for name in names if name not in self.ui]
        if unknown:
            raise ValueError(f"the page has no part named {', '.join(unknown)}")
        return [self.ui[name] for name in names]

    def on(self, event: Any, handler: Handler, api_name: str | None = None, **how: Any) -> Any:
        """Run the handler on the event; without `api_name` the endpoint is private."""
        naming = {"api_visibility": "private"} if api_name is None else {"api_name": api_name}
        settings = {"show_progress": "hidden", **naming, **how}
        inputs, results = self.parts(handler.reads), self.parts(handler.shows)
        return event(in_gradio(handler), inputs, results, **settings)

    def then_tune(self, event: Any, has_api: bool = False) -> None:
        """Draw the skeleton after `event`, then what else shows the same motion."""
        names = ("tune", "excerpt", "pose") if has_api else (None, None, None)
        tuned = self.on(event, handlers.tune, names[0], show_progress="minimal")
        self.on(tuned.success, handlers.excerpt, names[1])
        self.on(tuned.success, handlers.pose, names[2])
        self.on(tuned.success, clip_if_open)

    def analyse(self, event: Any, has_api: bool = False) -> None:
        """Analyse after `event`, then draw the people and the skeleton."""
        names = ("analyse", "people", "speakers") if has_api else (None, None, None)
        analysed = self.on(event, handlers.analyse, names[0], show_progress="minimal")
        drivers = self.on(analysed.success, handlers.people, names[1])
        speakers = self.on(drivers.success, handlers.speakers, names[2])
        self.on(speakers.success, open_tab)
        self.then_tune(analysed.success)

    def inputs(self) -> None:
        """Connect the button to analyse, the choice of a person, examples and changed inputs."""
        ui = self.ui
        clicks = [ui["analyse"].click, ui["person"].submit, ui["speaker"].submit]
        self.analyse(functools.partial(gr.on, clicks), has_api=True)
        numbers = [ui["person"].submit, ui["speaker"].submit]
        self.on(functools.partial(gr.on, numbers), open_skeleton, queue=False)
        picked = ui["people"].select(
            pick_person, self.parts(("visit", "people")), ui["person"], api_visibility="private"
        )
        self.on(picked.success, open_skeleton, queue=False)
        self.analyse(picked.success)
        self.speakers()
        self.examples(examples())
        files = self.parts(("image", "audio", "video", "pose"))
        changes = functools.partial(gr.on, [part.change for part in files])
        self.on(changes, handlers.changed, queue=False)

    def speakers(self) -> None:
        """Connect clicks on the reference image and on its numbered people."""
        ui = self.ui
        private = {"api_visibility": "private"}
        look = self.parts(("image", "detector"))
        clicked = ui["image"].select(pick_speaker, look, ui["speaker"], **private)
        shown = self.on(clicked.success, show_speaker)
        self.analyse_again(shown)
        numbered = [*look, ui["speakers"]]
        picked = ui["speakers"].select(pick_numbered, numbered, ui["speaker"], **private)
        self.analyse_again(self.on(picked.success, show_speaker))

    def analyse_again(self, shown: Any) -> None:
        """Analyse with the speaker that is shown, where the picture was analysed before."""
        known = self.on(shown.success, handlers.with_analysis_of)
        self.on(known.success, open_skeleton, queue=False)
        self.analyse(known.success)

    def examples(self, rows: list[Example]) -> None:
        """Show the examples; a click on one fills the inputs and analyses them."""
        if not rows:
            return
        self.ui["index"] = gr.Dataset(
            components=["textbox"],
            samples=[[row.label] for row in rows],
            type="index",
            elem_id="examples",
            label="Examples: one click fills the inputs and analyses them",
            render=False,
        )
        with self.ui["examples"]:
            self.ui["index"].render()

        @handler("image", "audio", "video", "pose", "intensity", "person", "speaker")
        def example(index: int) -> Iterator[Update]:
            row = rows[index]
            yield {
                "image": row.image,
                "audio": row.audio,
                "video": row.video,
                "pose": None,
                "intensity": row.intensity,
                "person": "",
                "speaker": "",
            }

        filled = self.on(self.ui["index"].click, example, "example")
        self.analyse(filled.success)

    def motion(self) -> None:
        """Connect the sliders and the accents, all on one path."""
        ui = self.ui
        tune_controls = controls.of_stage("tune")
        moves = [move_event(control, ui[control.name]) for control in tune_controls]
        self.then_tune(functools.partial(gr.on, moves, **LATEST_ONLY), has_api=True)
        edit = functools.partial(ui["accents"].input, **LATEST_ONLY)
        typed = self.on(edit, accent_table.typed)
        edited = self.on(typed.success, accent_table.accents, "accents")
        self.then_tune(edited.success)
        reset = functools.partial(ui["detected"].click, **LATEST_ONLY)
        detected = self.on(reset, accent_table.detected, "detected")
        self.then_tune(detected.success)
        for name in ("skeleton", "clip", "people", "speakers"):
            opened = ui[f"{name}_tab"].select(lambda name=name: name, None, ui["tab"], **PRIVATE)
            if name == "clip":
                self.on(opened.success, handlers.overlay, "overlay", show_progress="minimal")

    def result(self) -> None:
        """Connect generate, cancel, side by side and the settings of an older video."""
        ui = self.ui
        started = self.on(ui["generate"].click, start_rendering)
        one_at_a_time = {"concurrency_id": "denoise", "concurrency_limit": 1}
        rendered = self.on(started.success, handlers.generate, "generate", **one_at_a_time)
        self.on(rendered.then, end_rendering, queue=False)
        self.on(rendered.success, handlers.compare, "compare", show_progress="minimal")
        self.on(ui["cancel"].click, handlers.cancel, "cancel", queue=False)
        self.on(ui["old"].upload, handlers.load_settings, "load_settings")


def move_event(control: controls.AppControl, part: Any) -> Any:
    """Return the event that tells a change of a control: a slider tells it when it is released."""
    return part.release if control.look.widget == "slider" else part.input
