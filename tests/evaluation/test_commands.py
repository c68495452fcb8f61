"""`evaluate NAME`: one table of commands, and one sentence for a name that is not in it."""

import importlib

import pytest

from pipeline import evaluation
from pipeline.studio.cli import main


@pytest.mark.parametrize("name", sorted(evaluation.COMMANDS))
def test_every_command_has_a_module_with_a_main_and_help(name: str, capsys) -> None:
    assert callable(importlib.import_module(evaluation.COMMANDS[name]).main)
    with pytest.raises(SystemExit) as stop:
        main(["evaluate", name, "--help"])
    assert stop.value.code == 0 and f"pipeline evaluate {name}" in capsys.readouterr().out


@pytest.mark.parametrize("words", [[], ["dance"], ["photos"], ["lips", "--media"]])
def test_a_missing_or_wrong_name_or_option_is_one_sentence(words: list[str], capsys) -> None:
    assert main(["evaluate", *words]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1
    if words in ([], ["dance"]):
        assert all(name in error for name in evaluation.COMMANDS)
