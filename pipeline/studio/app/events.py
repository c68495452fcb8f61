"""Which event runs which handler."""

from __future__ import annotations

import functools
import html
import inspect
import logging
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gradio as gr

from pipeline.studio.app import controls, handlers, session
from pipeline.studio.app.examples import examples
from pipeline.studio.messages import describe_bug, name_options
from pipeline.studio.options import options_of
from pipeline.studio.request import LABELS, Request
from pipeline.values import InputError

log = logging.getLogger(__name__)

# Arguments of an endpoint bear the names that users type, such as "size" for `gesture_size`.
TYPED_NAMES = {option.name: option.typed_name for option in options_of(Request)}


def uploads() -> Path:
    """The one folder that Gradio serves and cleans."""
    return Path(gr.utils.get_upload_folder()).resolve()


def shown(handler: Callable[..., Iterator], names: list[str]) -> Callable[..., Iterator]:
    """The handler in Gradio's terms: an exception becomes a visible sentence.

    names: of its arguments, which gradio_client uses; KEEP leaves a part of the page as it is.
    """

    @functools.wraps(handler)
    def wrapped(*args: Any) -> Iterator:
        try:
            for values in handler(*args):
                parts = values if isinstance(values, tuple) else (values,)
                parts = tuple(gr.skip() if part is handlers.KEEP else part for part in parts)
                yield parts if isinstance(values, tuple) else parts[0]
        except session.Again as error:
            raise gr.Error(
                "", visible=False, print_exception=False
            ) from error  # ends what would follow
        except InputError as error:
            raise visible_error(name_options(str(error), LABELS)) from error
        except Exception as error:  # a bug; nothing else catches it
            log.exception("a handler of the page failed")
            raise visible_error(describe_bug(error, "the server's log")) from error

    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    wrapped.__signature__ = inspect.Signature([inspect.Parameter(name, kind) for name in names])
    return wrapped


def visible_error(sentence: str) -> gr.Error:
    """Return the error that the page shows until it is closed, without the server's folders."""
    without_folders = re.sub(rf"{re.escape(str(uploads()))}/(\w+/)?", "", sentence)
    text = html.escape(without_folders, quote=False)
    return gr.Error(text, duration=None, print_exception=False)


class Wiring:
    """Connects events of the page's parts to handlers; every endpoint has a name for gradio_client."""

    FILES = "image audio video pose"
    TUNE = ["visit", *controls.names("tune")]

    def __init__(self, ui: dict[str, Any]) -> None:
        self.ui = ui

    def parts(self, names: str | list[str]) -> list[Any]:
        return [self.ui[name] for name in (names.split() if isinstance(names, str) else names)]

    def on(
        self,
        event: Any,
        handler: Callable,
        given: str | list[str],
        out: str,
        name: str = "",
        **how: Any,
    ) -> Any:
        """`event` runs `handler` on the parts `given` into the parts `out`, as the endpoint `name`."""
        given = given.split() if isinstance(given, str) else given
        named = {"api_name": name} if name else {"api_visibility": "private"}
        how = {"show_progress": "hidden"} | how
        argument_names = [TYPED_NAMES.get(part, part) for part in given]
        return event(
            shown(handler, argument_names), self.parts(given), self.parts(out), **named, **how
        )

    def then_tune(self, event: Any, named: str = "") -> None:
        """Draws the skeleton after `event`, then what else shows the same motion."""
        names = named.split() or [""] * 4
        done = self.on(
            event,
            handlers.tune,
            self.TUNE,
            "status skeleton over",
            names[0],
            show_progress="minimal",
        )
        self.on(done.success, handlers.excerpt, self.TUNE, "draft", names[1])
        self.on(done.success, handlers.pose, self.TUNE, "drawn", names[2])
        self.on(done.success, clip_if_seen, [*self.TUNE, "tab"], "clip")

    def analyse(self, event: Any, name: str = "") -> None:
        given = ["visit", *self.FILES.split(), *controls.names("analyse")]
        looked = self.on(
            event,
            handlers.analyse,
            given,
            "visit status wave notes accents",
            name,
            show_progress="minimal",
        )
        found = self.on(looked.success, handlers.people, "visit", "people", name and "people")
        self.on(found.success, picker, "visit tab", "people_tab views tab drawn")
        self.then_tune(looked.success)

    def inputs(self) -> None:
        """Analyse, the choice of a person, examples, changed inputs."""
        ui = self.ui
        self.analyse(
            functools.partial(gr.on, [ui["analyse"].click, ui["person"].submit]), "analyse"
        )
        chosen = ui["people"].select(
            pick, self.parts("visit people"), ui["person"], api_visibility="private"
        )
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
        self.on(changes, handlers.changed, f"visit {self.FILES}", "status person", queue=False)

    def motion(self) -> None:
        """The sliders and the accents, all on one path."""
        ui, latest = self.ui, {"trigger_mode": "always_last"}
        moves = [move_event(control, ui[control.name]) for control in controls.of_stage("tune")]
        self.then_tune(functools.partial(gr.on, moves, **latest), "tune excerpt pose")
        edit = functools.partial(ui["accents"].input, **latest)
        typed = self.on(edit, handlers.typed, "visit accents", "visit")
        reset = functools.partial(ui["detected"].click, **latest)
        for event, name, given in (
            (typed.success, "accents", "visit accents"),
            (reset, "detected", "visit"),
        ):
            edited = self.on(
                event, getattr(handlers, name), given, "visit status wave accents hint", name
            )
            self.then_tune(edited.success)
        for name in ("skeleton", "clip", "people"):
            how = {"queue": False, "api_visibility": "private"}
            seen = ui[f"{name}_tab"].select(lambda name=name: name, None, ui["tab"], **how)
            if name == "clip":
                self.on(
                    seen.success,
                    handlers.overlay,
                    self.TUNE,
                    "clip",
                    "overlay",
                    show_progress="minimal",
                )

    def result(self) -> None:
        """Generate, cancel, side by side, settings of an older video."""
        ui = self.ui
        swap = "generate cancel preview results"
        busy = self.on(ui["generate"].click, begin, "visit", swap)
        given = ["visit", "made", *self.TUNE[1:], *controls.names("generate")]
        limits = {"concurrency_id": "denoise", "concurrency_limit": 1}
        made = self.on(
            busy.success,
            handlers.generate,
            given,
            "made status preview result",
            "generate",
            **limits,
        )
        hidden = {"queue": False, "api_visibility": "private", "show_progress": "hidden"}
        made.then(lambda: states(False), None, self.parts(swap), **hidden)
        self.on(made.success, handlers.compare, "made", "both", "compare", show_progress="minimal")
        ui["cancel"].click(
            handlers.cancel,
            ui["visit"],
            ui["status"],
            api_name="cancel",
            queue=False,
            show_progress="hidden",
        )
        kept = " ".join(control.name for control in controls.CONTROLS)
        self.on(
            ui["old"].upload,
            handlers.load_settings,
            "visit old",
            f"visit status {kept}",
            "load_settings",
        )


def move_event(control: controls.AppControl, part: Any) -> Any:
    """Return the event that tells a change of a control: a slider tells it when it is released."""
    return part.release if control.look.widget == "slider" else part.input


def clip_if_seen(*given: Any) -> Iterator:
    """Yields the overlay clip where its tab is open: nobody waits for what nobody sees."""
    *knobs, tab = given
    yield from handlers.overlay(*knobs) if tab == "clip" else [handlers.KEEP]


def picker(visit: session.Visit, tab: str) -> Iterator:
    """Yields the tab to choose a person in, the open tab and its name, the button for the drawn pose."""
    several = len(visit.analysis.people) > 1
    asked = several and visit.request.person is None
    opened = "people" if asked else "skeleton" if tab == "people" else tab
    yield gr.Tab(visible=several), gr.Tabs(selected=opened), opened, gr.update(interactive=True)


def pick(visit: session.Visit, picture: Any, event: gr.SelectData) -> str:
    """The number of the person at the click."""
    x, y = event.index
    return handlers.person_at(visit, x / picture.shape[1], y / picture.shape[0])


def begin(visit: session.Visit) -> Iterator:
    """Yields the busy page; refuses before anything is switched where nothing is analysed."""
    handlers.analysed(visit)
    yield states(True)


def states(working: bool) -> tuple:
    """Generate, Cancel, newest frame, results: which are on while it works and while it does not."""
    return (
        gr.update(interactive=not working), gr.update(interactive=working), gr.update(visible=working),
        gr.update(visible=not working),
    )  # fmt: skip
