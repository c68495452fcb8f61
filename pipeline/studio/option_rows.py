"""One row of the table of options; what validation, flags, messages and the README take from it.

This module imports neither torch nor any other heavy module, so that `--help` answers at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from functools import cache
from os import PathLike
from typing import Any

from pipeline import InputError
from pipeline.studio.messages import name_options

MAX_SHOWN = 60  # letters of a value in a sentence
ALL_COMMANDS = ("generate", "preview")


@dataclass(frozen=True)
class Control:
    """How the app shows an option.

    Args:
        stage: the handler that takes the value, "analyse", "tune" or "generate".
        group: the part of the page where the control stands.
        cost: one line on what a change means and costs.
        widget: "slider", "number", "choice" or "text".
        step: the distance between two values of a slider.
        empty: what the page shows where the request holds None.
    """

    stage: str
    group: str
    cost: str
    widget: str = "slider"
    step: float = 0.05
    empty: str | float | None = None


@dataclass(frozen=True)
class Option:
    """One choice of the user.

    Args:
        name: the field that holds the value.
        default: the value where the user says nothing; MISSING where an answer is required.
        help: one line for `--help` and the README; option names in backticks become flags.
        label: what the app calls the option.
        low, high: the lowest and the highest number; None where the value is not a number.
        whole: whether the number has to be whole.
        choices: the words to choose from; empty where the value is free.
        switch: the value that the flag stands for where the flag takes no value.
        metavar: what `--help` shows in place of a value.
        flag: the flag on the command line.
        commands: the commands that take the flag.
        control: how the app shows the option; None where it does not.
    """

    name: str
    default: Any
    help: str
    label: str
    low: float | None
    high: float | None
    whole: bool
    choices: tuple[str, ...]
    switch: str | None
    metavar: str | None
    flag: str
    commands: tuple[str, ...]
    control: Control | None

    @property
    def required(self) -> bool:
        """Whether the user has to give a value."""
        return self.default is MISSING

    @property
    def typed_name(self) -> str:
        """The name in saved settings and app endpoints: the flag without dashes."""
        return self.flag.removeprefix("--").replace("-", "_")

    @property
    def number_word(self) -> str:
        """What to call the number in a message."""
        return "whole number" if self.whole else "number"

    def check(self, value: Any) -> None:
        """Raise InputError where the value is no choice or no number within the range."""
        if value is None and self.default is None:
            return  # left to the model
        if self.choices and not (isinstance(value, str) and value in self.choices):
            known = ", ".join(self.choices)
            raise InputError(f"`{self.name}` is {_shown(value)}; choose one of {known}")
        if self.low is None or self.high is None:
            if not isinstance(value, (str, PathLike)):
                raise InputError(f"`{self.name}` is {_shown(value)}; give a text")
            return
        number_types = (int,) if self.whole else (int, float)
        is_number = isinstance(value, number_types) and not isinstance(value, bool)
        if not (is_number and self.low <= value <= self.high):  # false for NaN, too
            wanted = f"a {self.number_word} from {self.low:g} to {self.high:g}"
            raise InputError(f"`{self.name}` is {_shown(value)}; give {wanted}")


def _shown(value: Any) -> str:
    """Return a value as a sentence shows it: one short line."""
    if isinstance(value, (str, bool, int, float)):
        text = repr(value)
    else:
        text = f"of the type {type(value).__name__}"
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}..."


def option(
    default: Any = MISSING,
    *,
    help: str,
    label: str,
    low: float | None = None,
    high: float | None = None,
    whole: bool = False,
    choices: tuple[str, ...] = (),
    switch: str | None = None,
    metavar: str | None = None,
    flag: str = "",
    commands: tuple[str, ...] = ALL_COMMANDS,
    control: Control | None = None,
) -> Any:
    """Return a dataclass field that is one row of the table; see `Option` for the arguments.

    The flag is the field's name with dashes unless `flag` says otherwise.
    """
    row = Option(
        "",
        default,
        help,
        label,
        low,
        high,
        whole,
        choices,
        switch,
        metavar,
        flag,
        commands,
        control,
    )
    return field(default=default, metadata={"option": row})


@cache
def options_of(table: type) -> tuple[Option, ...]:
    """Return the options of a dataclass in the order of its fields."""
    rows = []
    for place in fields(table):
        row = place.metadata.get("option")
        if row is not None:
            flag = row.flag or "--" + place.name.replace("_", "-")
            rows.append(replace(row, name=place.name, flag=flag))
    return tuple(rows)


def check_options(table: type, values: object) -> None:
    """Raise InputError for the first field of `values` that its option in the table refuses."""
    for row in options_of(table):
        row.check(getattr(values, row.name))


def known_values(table: type, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of the values that the dataclass has fields for.

    A value may be named by its field or by its flag without dashes, as in saved settings.
    """
    typed_names = {row.typed_name: row.name for row in options_of(table)}
    names = {place.name for place in fields(table)}
    found = {}
    for name, value in values.items():
        field_name = name if name in names else typed_names.get(name)
        if field_name is not None:
            found[field_name] = value
    return found


def flags(*tables: type) -> dict[str, str]:
    """Return the flag of every field of the tables."""
    return {row.name: row.flag for table in tables for row in options_of(table)}


def labels(*tables: type) -> dict[str, str]:
    """Return the app's label, in quotes, of every field of the tables."""
    return {row.name: f'"{row.label}"' for table in tables for row in options_of(table)}


def option_table(*tables: type) -> str:
    """Return the options of the tables as one table in Markdown."""
    names = flags(*tables)
    lines = ["| option | values | default | what it does |", "|---|---|---|---|"]
    for table in tables:
        for row in options_of(table):
            cells = (f"`{row.flag}`", _values(row), _default(row), _meaning(row, names))
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _values(row: Option) -> str:
    if row.switch is not None:
        return "no value"
    if row.choices:
        return ", ".join(row.choices)
    if row.low is not None and row.high is not None:
        upper = "or more" if row.high > 1e9 else f"to {row.high:g}"
        return f"{row.number_word}, {row.low:g} {upper}"
    return (row.metavar or "text").replace("|", r" \| ")


def _default(row: Option) -> str:
    if row.required:
        return "required"
    if row.switch is not None:
        return "off"
    if row.default is None:
        return "-"
    return f"{row.default:g}" if isinstance(row.default, float) else str(row.default)


def _meaning(row: Option, names: Mapping[str, str]) -> str:
    meaning = name_options(row.help, names).replace("|", r"\|")
    return meaning if row.commands == ALL_COMMANDS else f"{meaning} ({row.commands[0]} only)"
