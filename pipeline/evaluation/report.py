"""A row of a report: name, value, level, pass."""

from __future__ import annotations

import operator
from dataclasses import dataclass

import numpy as np

from pipeline import ROOT

ASSETS = ROOT / "assets"


@dataclass(frozen=True)
class Row:
    """One figure; `rule` says how `value` must lie to `level`, which is None where nothing is required.

    `why` is set where nothing could be measured (the value is then NaN) or no level can be asked. Such a row
    neither passes nor fails.
    """

    name: str
    value: float
    level: float | None = None
    rule: str = "<="
    why: str = ""

    @property
    def passed(self) -> bool | None:
        if self.level is None or self.why:
            return None
        value = abs(self.value) if self.rule == "|x| <=" else self.value
        compare = {">": operator.gt, ">=": operator.ge}.get(self.rule, operator.le)
        return bool(compare(value, self.level))

    def to_dict(self) -> dict[str, object]:
        value = float(self.value) if np.isfinite(self.value) else None
        rule = None if self.level is None else self.rule
        found = {
            "name": self.name,
            "value": value,
            "level": self.level,
            "rule": rule,
            "pass": self.passed,
        }
        return found | {"why": self.why} if self.why else found
