"""One table of options: what the command line, the app and the README derive from it agrees."""

import argparse
import subprocess
import sys
from dataclasses import fields

import numpy as np
import pytest

from pipeline import ROOT
from pipeline.analysis import detectors
from pipeline.motion import fda, prosody, refocus, retarget, timing
from pipeline.motion.gestures import beats
from pipeline.render import load
from pipeline.render.runtime import device
from pipeline.studio import option_rows, request
from pipeline.studio.app import controls
from pipeline.studio.cli.parser import build_parser
from pipeline.studio.messages import name_options
from pipeline.studio.option_rows import Option, options_of
from pipeline.studio.request import FLAGS, LABELS, TABLES, Machine, Request
from pipeline.values import InputError

REQUIRED = ["--reference", "a.png", "--audio", "a.wav", "--output", "o.mp4"]
ROWS = {row.name: row for table in TABLES for row in options_of(table)}
NUMBERS = [row for row in ROWS.values() if row.low is not None]
CHOICES = [row for row in ROWS.values() if row.choices]
COMMANDS = ("generate", "preview")


def named(row: Option) -> str:
    return row.name


def command_options(command: str) -> dict[str, argparse.Action]:
    """The options of a command as argparse holds them, by destination."""
    parser = build_parser()
    (subparsers,) = (a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    actions = subparsers.choices[command]._actions
    return {action.dest: action for action in actions if action.dest not in ("help", "json")}


def parsed(command: str, *words: str) -> argparse.Namespace:
    return build_parser().parse_args([command, *REQUIRED, *words])


def test_the_table_and_the_parser_import_no_heavy_library() -> None:
    code = (
        "import sys, pipeline.studio.request, pipeline.studio.cli.parser;"
        "heavy = {'torch', 'diffusers', 'transformers', 'gradio', 'cv2', 'av', 'scipy'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"fda": np.array(["paper", "rigid"])},
            "`fda` is of the type ndarray; choose one of paper, rigid",
        ),
        ({"fps": [25]}, "`fps` is of the type list; give a number from 1 to 60"),
        ({"seed": 10**400}, r"`seed` is 1000*\.\.\.; give a whole number"),
        ({"person": {"x": 1}}, "`person` is of the type dict; give a text"),
        ({"height": "x" * 999}, "`height` is 'xxx*\\.\\.\\.; give a whole number"),
    ],
)
def test_a_value_of_any_type_gets_a_short_sentence(changes: dict, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence) as caught:
        Request(reference="a.png", audio="a.wav", **changes)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    "changes", [{"device": float("nan")}, {"attention": np.array(["auto"])}, {"device": None}]
)
def test_the_machine_is_checked_as_the_request_is(changes: dict) -> None:
    (name,) = changes
    with pytest.raises(InputError, match=f"`{name}` is "):
        Machine(**changes)


def test_a_word_that_fills_pages_gets_a_short_sentence() -> None:
    with pytest.raises(InputError, match="9999") as caught:
        parsed("preview", "--intensity", "9" * 5000)
    assert len(str(caught.value)) < 400


def test_the_driving_face_is_kept_only_where_somebody_drives() -> None:
    with pytest.raises(InputError, match="give `driving`"):
        Request(reference="a.png", audio="a.wav", splice="none")
    assert Request(reference="a.png", audio="a.wav", driving="b.mp4", splice="none")


def test_choices_are_those_of_the_rooms_that_act_on_them() -> None:
    from pipeline.render.svd import denoising

    wanted = {
        "audio2pose": ("own", *load.SPEECH_SETS),
        "detector": tuple(detectors.CLASSES),
        "splice": fda.REGIONS,
        "refocus": refocus.MODES,
        "prosody": prosody.CHOICES,
        "length": timing.LENGTHS,
        "retarget": retarget.METHODS,
        "framing": retarget.FRAMINGS,
        "gestures": beats.MODES,
        "windows": tuple(denoising.WINDOW_MODES),
        "attention": device.ATTENTION,
        "dtype": ("auto", *device.DTYPES),
        "offload": device.OFFLOAD,
    }
    assert {name: ROWS[name].choices for name in wanted} == wanted


@pytest.mark.parametrize("command", COMMANDS)
def test_the_parser_takes_exactly_the_options_of_its_command(command: str) -> None:
    rows = {name: row for name, row in ROWS.items() if command in row.commands}
    actions = command_options(command)
    assert set(actions) == set(rows)
    for name, row in rows.items():
        action = actions[name]
        assert action.option_strings == [row.flag]
        assert action.required == row.required
        if not row.required:
            assert action.default == row.default
        if row.switch is None:
            assert tuple(action.choices or ()) == row.choices
        assert action.help and "`" not in action.help


@pytest.mark.parametrize("row", NUMBERS, ids=named)
def test_parser_and_request_refuse_the_same_numbers(row: Option) -> None:
    command = row.commands[0]
    for value in (row.low, row.high):
        number = int(value) if row.whole else float(value)
        args = parsed(command, f"{row.flag}={number}")
        assert getattr(Request.of(vars(args)), row.name) == number
    for value in (row.low - 1, row.high * 2 + 1, float("nan")):
        with pytest.raises(InputError):
            parsed(command, f"{row.flag}={value}")
        with pytest.raises(InputError, match=f"`{row.name}` is"):
            Request("a.png", "a.wav", **{row.name: value})
    if row.whole:
        with pytest.raises(InputError, match="whole"):
            parsed(command, f"{row.flag}={row.low + 0.5}")
        with pytest.raises(InputError, match="whole"):
            Request("a.png", "a.wav", **{row.name: row.low + 0.5})


@pytest.mark.parametrize("row", [row for row in CHOICES if row.switch is None], ids=named)
def test_parser_and_table_refuse_the_same_words(row: Option) -> None:
    command = row.commands[0]
    for word in row.choices:
        args = parsed(command, row.flag, word)
        assert getattr(args, row.name) == word
        row.check(word)
    with pytest.raises(InputError):
        parsed(command, row.flag, "nonsense")
    with pytest.raises(InputError, match="nonsense"):
        row.check("nonsense")


def test_the_controls_show_the_ranges_choices_and_defaults_of_the_table() -> None:
    given = {"reference", "audio", "driving", "model", "audio2pose", "accents", "accent_rows"}
    names = [control.name for control in controls.CONTROLS]
    assert sorted(names) == sorted({field.name for field in fields(Request)} - given)
    for control in controls.CONTROLS:
        row = ROWS[control.name]
        assert control.option == row
        assert control.read(control.default) == row.default
        empty = control.look.empty
        if row.low is not None:
            low, high = control.range
            assert high == row.high and low == (row.low if empty is None else min(row.low, empty))
            assert control.look.widget in ("slider", "number")
        elif row.choices:
            assert control.choices[-len(row.choices) :] == row.choices
            assert control.look.widget == "choice"
        assert (row.default is None) == (empty is not None)


def test_a_request_from_defaults_is_the_same_everywhere() -> None:
    plain = Request("a.png", "a.wav")
    for command in COMMANDS:
        assert Request.of(vars(parsed(command))) == plain
        assert Machine.of(vars(parsed(command))) == Machine()
    values = {}
    for stage in ("analyse", "tune", "generate"):
        shown = {control.name: control.default for control in controls.of_stage(stage)}
        values |= controls.read(stage, shown)
    assert Request("a.png", "a.wav", **values) == plain


def test_the_readme_holds_the_table() -> None:
    assert request.option_table() in (ROOT / "README.md").read_text(encoding="utf-8")


def test_sentences_name_options_as_the_user_knows_them() -> None:
    sentence = "`gesture_size` is 3; leave out `pose_free`, run `python -m pipeline models`, `x`"
    assert name_options(sentence, FLAGS) == (
        "--size is 3; leave out --pose-free, run `python -m pipeline models`, `x`"
    )
    assert name_options(sentence, LABELS).startswith('"Overall size" is 3; leave out "Without a')
    assert len(set(FLAGS.values())) == len(FLAGS) == len(LABELS)


def test_settings_bear_the_typed_names_and_are_read_again() -> None:
    before = Request("folder/a.png", "a.wav", gesture_size=0.25, accent_rows=((1.0, 0.5),))
    settings = before.settings()
    assert settings["size"] == 0.25 and "gesture_size" not in settings
    assert settings["reference"] == "a.png"
    assert Request.of(settings).gesture_size == 0.25
    assert Request.of({"reference": "a", "audio": "b", "gesture_size": 0.5}).gesture_size == 0.5
    assert Request.of(settings).accent_rows == ((1.0, 0.5),)


def test_a_row_of_the_table_says_what_it_means() -> None:
    for row in ROWS.values():
        assert row.help and row.label, row.name
        assert (row.low is None) == (row.high is None), row.name
    assert option_rows.flags(Machine)["channels_last"] == "--channels-last"


def test_a_text_is_a_text() -> None:
    with pytest.raises(InputError, match="`person` is 5"):
        Request.of({"reference": "a.png", "audio": "a.wav", "person": 5})
