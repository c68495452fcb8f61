"""`Request`: every choice of the user."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from pipeline import __version__
from pipeline.analysis import detectors
from pipeline.motion import retarget
from pipeline.motion.gestures import beats
from pipeline.values import InputError

FILES = ("reference", "audio", "driving", "accents")
RANGES = {
    "intensity": (0, 2), "size": (-0.5, 0.5), "mouth": (0, 2), "fps": (1, 60), "seed": (0, 2**63 - 1),
    "arms_intensity": (0, 2), "head_intensity": (0, 2), "torso_intensity": (0, 2), "hands_intensity": (0, 2),
    "audio_offset": (-1000, 1000),
    "audio_guidance": (0, 4), "pose_guidance": (0, 4),
    "steps": (1, 100), "window": (2, 128), "overlap": (0, 64), "height": (64, 2048), "width": (64, 2048),
    "guidance": (0, 20), "guidance_end": (0, 20), "control": (0, 5), "noise_aug": (0, 1),
    "motion_bucket": (1, 255), "condition_fps": (1, 60),
}  # fmt: skip
WHOLE = ("seed", "steps", "window", "overlap", "height", "width")
CHOICES = {
    "detector": tuple(detectors.CLASSES), "fda": ("paper", "rigid"), "splice": ("face", "lips"),
    "refocus": ("amplify", "gate", "both"), "length": ("pingpong", "loop", "trim", "hold"),
    "retarget": retarget.METHODS, "framing": retarget.FRAMINGS, "gestures": beats.MODES,
    "windows": ("joint", "published"), "pose_free": ("prior", "network"),
    "audio2pose": ("own", "aniportrait"),
}  # fmt: skip


@dataclass(frozen=True)
class Request:
    """Every choice of the user; the same names as the command line's flags."""

    reference: str
    audio: str
    driving: str | None = None
    model: str = "mini"
    audio2pose: str = "own"
    intensity: float = 1.0
    size: float = 0.0
    mouth: float = 1.0
    fps: float = 25.0
    height: int | None = None
    width: int | None = None
    seed: int = 0
    detector: str = "holistic"
    fda: str = "rigid"
    splice: str | None = None
    refocus: str | None = None
    length: str = "pingpong"
    retarget: str = "bones"
    framing: str = "reference"
    person: str | None = None
    steps: int | None = None
    window: int | None = None
    overlap: int | None = None
    accents: str | None = None
    accent_rows: tuple[tuple[float, float], ...] | None = (
        None  # seconds, strength; go before `accents`
    )
    arms_intensity: float = 1.0
    head_intensity: float = 1.0
    torso_intensity: float = 1.0
    hands_intensity: float = 1.0
    audio_offset: float = 0.0
    gestures: str | None = None
    windows: str = "joint"
    guidance: float | None = None
    guidance_end: float | None = None
    control: float | None = None
    noise_aug: float | None = None
    motion_bucket: float | None = None
    condition_fps: float | None = None
    pose_free: str = "prior"
    audio_guidance: float = 1.0
    pose_guidance: float = 1.0

    def __post_init__(self) -> None:
        for name, (low, high) in RANGES.items():
            value = getattr(self, name)
            if value is None and getattr(Request, name) is None:  # left to the model
                continue
            kinds = int if name in WHOLE else (int, float)
            number = isinstance(value, kinds) and not isinstance(value, bool)
            if not (number and low <= value <= high):  # false for NaN, too
                word = "whole number" if name in WHOLE else "number"
                raise InputError(f"{name} is {value!r}; give a {word} from {low:g} to {high:g}")
        for name, known in CHOICES.items():
            if getattr(self, name) not in (None, *known):
                raise InputError(
                    f"{name} is {getattr(self, name)!r}; choose one of {', '.join(known)}"
                )
        if self.pose_free == "network" and self.driving is not None:
            raise InputError("--pose-free network follows the sound alone; leave out --driving")
        if self.accent_rows is not None:
            object.__setattr__(self, "accent_rows", _pairs(self.accent_rows))

    def conditioning(self) -> dict[str, float]:
        """What was given of the condition's values, by the names of its configuration."""
        end = self.guidance if self.guidance_end is None else self.guidance_end
        values = {
            "min_guidance": self.guidance, "max_guidance": end, "control_strength": self.control,
            "noise_aug_strength": self.noise_aug, "motion_bucket_id": self.motion_bucket,
            "fps": self.condition_fps,
        }  # fmt: skip
        given = {name: value for name, value in values.items() if value is not None}
        pose = 0.0 if self.pose_free == "network" else self.pose_guidance
        own = {"audio_guidance": self.audio_guidance, "pose_guidance": pose}
        return given | {name: value for name, value in own.items() if value != 1}

    def settings(self) -> dict[str, Any]:
        """What the mp4's comment tag keeps: all choices, file names without their folders."""
        values = asdict(self)
        for name in FILES:
            values[name] = Path(values[name]).name if values[name] else None
        return {"apv_studio": __version__, **values}

    @classmethod
    def of(cls, values: dict[str, Any]) -> Request:
        """A request from a dict or namespace that may hold more than is needed."""
        return cls(
            **{field.name: values[field.name] for field in fields(cls) if field.name in values}
        )


def _pairs(rows: Any) -> tuple[tuple[float, float], ...]:
    """The rows as pairs of numbers; settings come from files, so anything may be in them."""
    table = rows if isinstance(rows, (list, tuple)) else [None]
    for row in table:
        pair = row if isinstance(row, (list, tuple)) and len(row) == 2 else [None]
        if not all(
            type(value) in (int, float) and abs(value) < 1e6 for value in pair
        ):  # false for NaN
            raise InputError(
                "accent_rows holds a row that is no pair of numbers; give seconds and strength"
            )
    return tuple((float(time), float(strength)) for time, strength in table)
