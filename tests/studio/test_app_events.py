"""Handlers and the page meet by name: wrong names fail, names that are left out change nothing."""

from collections.abc import Iterator
from types import SimpleNamespace

import gradio as gr
import pytest

from pipeline.studio.app import accent_table, events, handlers, page
from pipeline.studio.app.page_updates import Handler, Update, handler

HANDLERS = [
    value
    for module in (accent_table, events, handlers)
    for value in vars(module).values()
    if isinstance(value, Handler)
]


@handler("status", "wave")
def half(visit: object) -> Iterator[Update]:
    yield {"wave": visit}


@handler("status")
def misspelled() -> Iterator[Update]:
    yield {"statsu": "ready"}


@handler("statsu")
def lost() -> Iterator[Update]:
    yield {}


@handler("status")
def silent() -> Iterator[Update]:
    yield from ()


def test_a_part_that_is_not_named_stays_as_it_is() -> None:
    status, wave = next(events.in_gradio(half)("picture"))
    assert status == gr.skip() and wave == "picture"


def test_a_wrong_name_in_an_update_is_a_bug(caplog) -> None:
    with pytest.raises(gr.Error, match="internal error: KeyError.*statsu"):
        next(events.in_gradio(misspelled)())


def test_a_handler_without_an_update_stops_what_would_follow() -> None:
    with pytest.raises(gr.Error) as error:
        list(events.in_gradio(silent)())
    assert not error.value.visible


def test_a_wrong_name_fails_when_the_page_is_built(monkeypatch) -> None:
    with gr.Blocks():
        wiring = events.Wiring({"status": gr.HTML(), "go": gr.Button()})
        wiring.on(wiring.ui["go"].click, silent)
        with pytest.raises(ValueError, match="no part named statsu"):
            wiring.on(wiring.ui["go"].click, lost)
        with pytest.raises(ValueError, match="no part named visit"):
            wiring.on(wiring.ui["go"].click, half)
    monkeypatch.setattr(handlers, "compare", lost)
    with pytest.raises(ValueError, match="no part named statsu"):
        page.build()


def test_the_page_is_built_from_the_handlers() -> None:
    assert len(HANDLERS) >= 15
    page.build()


def test_endpoints_take_the_names_that_users_type() -> None:
    assert "gesture_size" in handlers.tune.reads
    signature = events.in_gradio(handlers.tune).__signature__
    assert list(signature.parameters)[:3] == ["visit", "intensity", "size"]


@pytest.mark.parametrize(
    ("asked_speaker", "open_tab", "shown_tab"),
    [
        (None, "clip", "speakers"),  # a choice is needed
        ("2", "speakers", None),  # opened by the user while the analysis ran
        ("2", "clip", None),
        ("2", "people", "skeleton"),  # that tab is hidden now
    ],
)
def test_the_end_of_an_analysis_leaves_the_users_tab_open(
    asked_speaker, open_tab, shown_tab
) -> None:
    analysed = SimpleNamespace(
        analysis=SimpleNamespace(people=[1]),
        request=SimpleNamespace(person=None, speaker=asked_speaker),
    )
    visit = SimpleNamespace(need_analysis=lambda: analysed)
    update = next(events.open_tab(visit, open_tab, "picture"))
    assert update.get("tab") == shown_tab
    assert ("views" in update) == (shown_tab is not None)
