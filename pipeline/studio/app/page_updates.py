"""What runs on an event of the page: values of its parts by name in, new values by name out."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.studio.app import controls

Update = Mapping[
    str, Any
]  # new values of parts of the page; a part that is not named stays as it is


@dataclass(frozen=True)
class Handler:
    """A function that yields updates of the page, and the parts of the page that it works with.

    The function's parameters are named as the parts that it reads. A handler that ends without any
    update stops the events that would follow it.

    Args:
        run: the function.
        shows: the parts that its updates may name, in the order in which an endpoint returns them.
        stages: the stages whose controls it reads, too, as keyword arguments.
    """

    run: Callable[..., Iterator[Update]]
    shows: tuple[str, ...]
    stages: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Return the name of the function."""
        return self.run.__name__

    @property
    def reads(self) -> tuple[str, ...]:
        """Return the parts that the function reads, in the order of an endpoint's arguments."""
        parameters = inspect.signature(self.run).parameters.values()
        names = [one.name for one in parameters if one.kind is not inspect.Parameter.VAR_KEYWORD]
        for stage in self.stages:
            names += controls.names(stage)
        return tuple(names)

    def __call__(self, *args: Any, **values: Any) -> Iterator[Update]:
        return self.run(*args, **values)


def handler(
    *shows: str, stages: tuple[str, ...] = ()
) -> Callable[[Callable[..., Iterator[Update]]], Handler]:
    """Decorate a function as a `Handler` of the parts that it shows."""

    def decorate(run: Callable[..., Iterator[Update]]) -> Handler:
        return Handler(run, shows, stages)

    return decorate
