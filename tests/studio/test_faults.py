"""The user's fault is one sentence and exit 2; a bug is an honest sentence, a traceback and exit
1."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch

from pipeline.render import load
from pipeline.studio import steps
from pipeline.studio.app.page_updates import Update, handler
from pipeline.studio.cli import main
from pipeline.values import InputError

WORDS = ["preview", "--reference", "a.png", "--audio", "a.wav"]


def numpy_bug(*args: object) -> None:
    np.zeros(3).reshape(2, 2)


def torch_bug(*args: object) -> None:
    torch.distributions.Normal(torch.tensor(0.0), torch.tensor(-1.0))


BUGS = [(numpy_bug, "reshape"), (torch_bug, "Normal")]


@pytest.fixture
def words(tmp_path, monkeypatch) -> list[str]:
    """A command that reaches the first step without a model."""
    monkeypatch.setattr(load, "load", lambda *args, **options: None)
    return [*WORDS, "--output", str(tmp_path / "s.mp4")]


@pytest.mark.parametrize(("bug", "word"), BUGS)
def test_a_library_error_in_a_step_is_an_internal_error(
    words, monkeypatch, capsys, caplog, bug: Callable, word: str
) -> None:
    monkeypatch.setattr(steps, "load", bug)
    assert main(words) == 1
    sentences = capsys.readouterr().err.splitlines()
    (line,) = [sentence for sentence in sentences if sentence.startswith("internal error: ")]
    assert "ValueError" in line and "report it with the log above" in line
    assert not any(sentence.startswith("error: ") for sentence in sentences)
    assert "Traceback" in caplog.text and word in caplog.text and bug.__name__ in caplog.text


def test_an_input_error_in_a_step_names_the_flag(words, monkeypatch, capsys, caplog) -> None:
    def refuse(*args: object) -> None:
        raise InputError("`pose_free` and `gesture_size` do not fit; leave out `driving`")

    monkeypatch.setattr(steps, "load", refuse)
    assert main(words) == 2
    error = capsys.readouterr().err
    assert error.endswith("error: --pose-free and --size do not fit; leave out --driving\n")
    assert "Traceback" not in caplog.text


def test_names_with_line_breaks_and_control_characters_stay_on_one_line(
    words, monkeypatch, capsys
) -> None:
    def refuse(*args: object) -> None:
        raise InputError("picture a\nb\x1b[31m.png is empty")

    monkeypatch.setattr(steps, "load", refuse)
    assert main(words) == 2
    assert capsys.readouterr().err.endswith("error: picture a b [31m.png is empty\n")


@pytest.mark.parametrize(("bug", "word"), BUGS)
def test_a_library_error_in_a_handler_is_an_internal_error(caplog, bug, word) -> None:
    import gradio as gr

    from pipeline.studio.app import events

    @handler("status")
    def broken() -> Iterator[Update]:
        bug()
        yield {}

    with pytest.raises(gr.Error, match="internal error: ValueError") as error:
        list(events.in_gradio(broken)())
    assert "server's log" in str(error.value)
    assert "Traceback" in caplog.text and word in caplog.text and bug.__name__ in caplog.text


def test_an_input_error_in_a_handler_names_the_control(caplog) -> None:
    import gradio as gr

    from pipeline.studio.app import events

    @handler("status")
    def refusing() -> Iterator[Update]:
        raise InputError(f"`steps` of {events.uploads()}/abc/a.png <b> is bad")
        yield {}

    with pytest.raises(gr.Error, match='"Denoising steps" of a.png &lt;b&gt; is bad'):
        list(events.in_gradio(refusing)())
    assert "Traceback" not in caplog.text
