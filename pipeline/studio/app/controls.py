"""The app's controls, read from the table of options.

Ranges, choices and defaults are those of `Request`, so the page cannot offer what a run refuses.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.studio.option_rows import Control, Option, options_of
from pipeline.studio.request import Request

GROUPS = (  # the folded parts of the page in order: name, title
    ("regions", "Gestures: size, and strength by region"),
    ("mouth", "Mouth and timing"),
    ("fit", "Alignment, driving clip, pose-free gestures"),
    ("sampling", "Sampling and long video"),
    ("guidance", "Guidance and conditions of large models"),
    ("output", "Output, settings of an older video"),
)


@dataclass(frozen=True)
class AppControl:
    """One control of the page: an option of `Request` and how the page shows it."""

    option: Option
    look: Control

    @property
    def name(self) -> str:
        return self.option.name

    @property
    def range(self) -> tuple[float, float]:
        """Return the lowest and the highest value, widened to what stands for None."""
        low, high = self.option.low, self.option.high
        if low is None or high is None:
            raise ValueError(f"{self.name} is no number")
        empty = self.look.empty
        if empty is None or isinstance(empty, str):
            return low, high
        return min(low, empty), high

    @property
    def choices(self) -> tuple[str, ...]:
        """Return the words to choose from, after what stands for None."""
        if self.look.empty is None:
            return self.option.choices
        return (str(self.look.empty), *self.option.choices)

    @property
    def default(self) -> Any:
        """Return what a new page shows."""
        return self.shown(self.option.default)

    def shown(self, value: Any) -> Any:
        """Return what the page shows for a value of the request."""
        return self.look.empty if value is None else value

    def read(self, shown: Any) -> Any:
        """Return the request's value for what the page shows; a wiped field is at its default."""
        if shown is None or shown == "" or shown == self.look.empty:
            return self.option.default
        if self.option.whole and isinstance(shown, float) and shown.is_integer():
            return int(shown)
        return shown


def _controls() -> tuple[AppControl, ...]:
    options = options_of(Request)
    return tuple(
        AppControl(option, option.control) for option in options if option.control is not None
    )


CONTROLS = _controls()


def of_stage(stage: str) -> list[AppControl]:
    """Return the controls of one stage."""
    return [control for control in CONTROLS if control.look.stage == stage]


def names(stage: str) -> list[str]:
    """Return the names of the controls of one stage, in the order of an endpoint's arguments."""
    return [control.name for control in of_stage(stage)]


def all_names() -> list[str]:
    """Return the names of all controls."""
    return [control.name for control in CONTROLS]


def read(stage: str, shown: Mapping[str, Any]) -> dict[str, Any]:
    """Return the request's fields of one stage for what the page shows, by name."""
    return {control.name: control.read(shown[control.name]) for control in of_stage(stage)}


def shown(request: Request) -> dict[str, Any]:
    """Return what the page shows for a request, by name."""
    return {control.name: control.shown(getattr(request, control.name)) for control in CONTROLS}
