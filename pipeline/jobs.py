"""Files in, files out: the steps that the command line and the app both run, so that they cannot differ.

`Request` holds every choice of the user; `load` -> `analyse` -> `tune` -> `write_skeleton`, `write_draft` or
`generate`. Generators yield `Progress`; closing `generate` keeps the frames that are finished.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterator
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pipeline import __version__, media
from pipeline.analysis import detectors
from pipeline.analysis.analyse import Analysis
from pipeline.media import pose_files
from pipeline.motion import retarget
from pipeline.motion.accents import checked
from pipeline.motion.gestures import beats
from pipeline.motion.prosody import Prosody
from pipeline.motion.refocus import Regions, refocus
from pipeline.render.base import AudioPosePipeline
from pipeline.render.draft import draft
from pipeline.values import Audio, Motion, Progress

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
MAX_ACCENTS_BYTES = 1 << 20


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
    accent_rows: tuple[tuple[float, float], ...] | None = None  # seconds, strength; go before `accents`
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
                raise ValueError(f"{name} is {value!r}; give a {word} from {low:g} to {high:g}")
        for name, known in CHOICES.items():
            if getattr(self, name) not in (None, *known):
                raise ValueError(f"{name} is {getattr(self, name)!r}; choose one of {', '.join(known)}")
        if self.pose_free == "network" and self.driving is not None:
            raise ValueError("--pose-free network follows the sound alone; leave out --driving")
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
        return cls(**{field.name: values[field.name] for field in fields(cls) if field.name in values})


@dataclass(frozen=True)
class Inputs:
    """The reference picture (H,W,3), cropped to the output's aspect, speech, and the output size (H,W)."""

    picture: np.ndarray
    audio: Audio
    size: tuple[int, int]


def load(request: Request, pipe: AudioPosePipeline) -> Inputs:
    """Reads the picture and the speech and fixes the output size."""
    pipe.conditioned(request.conditioning())  # refused now, not after the analysis
    picture = media.read_image(request.reference)
    size = pipe.frame_size(picture.shape[:2], request.height, request.width)
    audio = media.read_audio(request.audio)
    return Inputs(pipe.framed(picture, size, request.detector), audio, size)


def analyse(request: Request, pipe: AudioPosePipeline, inputs: Inputs) -> Generator[Progress, None, Analysis]:
    """The slow part that does not depend on the slider; see `AudioPosePipeline.analyse`."""
    person = retarget.parse_person(request.person) if request.person else None
    accents = None if request.accent_rows is None else np.array(request.accent_rows, float).reshape(-1, 2)
    if accents is None and request.accents:
        accents = read_accents(request.accents, inputs.audio)
    found = (
        yield from pipe.analyse(
            inputs.picture, inputs.audio, request.driving,
            fps=request.fps, detector=request.detector, box=request.fda, splice=request.splice,
            length=request.length,
            alignment=retarget.Alignment(request.retarget, request.framing, person),
            amplitude=request.mouth, seed=request.seed, accents=accents,
            audio_offset=request.audio_offset, gestures=request.gestures,
        )
    )  # fmt: skip
    expected = pipe.expectation(found.motion, inputs.size)
    return replace(found, warnings=(*found.warnings, expected)) if expected else found


def tune(request: Request, pipe: AudioPosePipeline, analysis: Analysis) -> Motion:
    """The analysed motion with the slider applied: the one call that preview and render share."""
    mode = request.refocus or pipe.refocus_mode
    regions = Regions(**{f.name: getattr(request, f"{f.name}_intensity") for f in fields(Regions)})
    return refocus(analysis.motion, request.intensity, size=request.size, mode=mode, regions=regions)


def accent_rows(table: np.ndarray) -> tuple[tuple[float, float], ...]:
    """(seconds, strength) of accents (N,2), to the millisecond: what settings keep."""
    return tuple((round(time, 3), round(strength, 3)) for time, strength in table.tolist())


def _pairs(rows: Any) -> tuple[tuple[float, float], ...]:
    """The rows as pairs of numbers; settings come from files, so anything may be in them."""
    table = rows if isinstance(rows, (list, tuple)) else [None]
    for row in table:
        pair = row if isinstance(row, (list, tuple)) and len(row) == 2 else [None]
        if not all(type(value) in (int, float) and abs(value) < 1e6 for value in pair):  # false for NaN
            raise ValueError("accent_rows holds a row that is no pair of numbers; give seconds and strength")
    return tuple((float(time), float(strength)) for time, strength in table)


def read_accents(path: str, audio: Audio) -> np.ndarray:
    """(N,2) seconds and strengths of a JSON file with a list of {"time": seconds, "strength": 0 to 1}."""
    try:
        return checked(_accent_table(path), audio.seconds + 0.01)
    except ValueError as error:
        raise ValueError(f"accents file {path}: {error}") from error


def _accent_table(path: str) -> np.ndarray:
    try:
        with open(path, "rb") as file:
            text = file.read(MAX_ACCENTS_BYTES + 1)
        table = json.loads(text.decode()) if len(text) <= MAX_ACCENTS_BYTES else None
    except FileNotFoundError:
        raise ValueError("it does not exist; check the path") from None
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"it is not readable JSON ({error})") from error
    if not isinstance(table, list):
        raise ValueError(f"it needs a list of accents, at most {MAX_ACCENTS_BYTES >> 20} MB")
    for row, accent in enumerate(table, 1):
        values = [accent.get(key) for key in ("time", "strength")] if isinstance(accent, dict) else []
        if not values or not all(type(v) in (int, float) and abs(v) < 1e6 for v in values):
            raise ValueError(f'accent {row} needs numbers for "time", in seconds, and "strength", 0 to 1')
    return np.array([(accent["time"], accent["strength"]) for accent in table], float).reshape(-1, 2)


def write_accents(prosody: Prosody, path: str) -> None:
    """Writes the detected accents, to the millisecond, in the form that `read_accents` reads."""
    rows = prosody.accents if prosody.curve is None else prosody.curve.detected
    lines = [json.dumps({"time": time, "strength": strength}) for time, strength in accent_rows(rows)]
    try:
        Path(path).write_text("[\n  " + ",\n  ".join(lines) + "\n]\n" if lines else "[]\n", encoding="utf-8")
    except OSError as error:
        raise ValueError(f"accents file {path} cannot be written ({error.strerror})") from error


def write_skeleton(
    motion: Motion, audio: Audio, size: tuple[int, int], path: str, style: str = "preview"
) -> None:
    """Writes the drawn pose with its sound; `posefiles.write_skeleton` keeps the pose beside it, too."""
    pose_files.draw_video(motion.pose, path, size, style, audio)


def write_draft(inputs: Inputs, motion: Motion, path: str) -> Iterator[Progress]:
    """Writes the warped reference image with its sound, yielding frames as they are made."""
    with media.VideoWriter(path, motion.pose.fps, inputs.size, inputs.audio, preset="ultrafast") as writer:
        for frames in draft(inputs.picture, motion, inputs.size):
            writer.write(frames)
            yield Progress("draft", writer.frames, len(motion), frames=frames)


def excerpt(inputs: Inputs, motion: Motion, seconds: float = 2.0) -> tuple[Inputs, Motion]:
    """The strongest `seconds` of a motion at half the frame rate and half the size: a quick draft."""
    scale = max(0.5, 64 / min(inputs.size))
    fps, half = motion.pose.fps / 2, tuple(round(side * scale / 2) * 2 for side in inputs.size)
    count = min(len(motion), max(2, round(seconds * motion.pose.fps)))
    start = int(np.clip(int(np.argmax(motion.intensity)) - count // 2, 0, len(motion) - count))
    rows = slice(start, start + count, 2)
    part = motion[rows]
    rate = inputs.audio.rate
    first, last = (round(row / motion.pose.fps * rate) for row in (start, start + count))
    audio = replace(inputs.audio, samples=inputs.audio.samples[first:last])
    return replace(inputs, audio=audio, size=half), replace(part, pose=replace(part.pose, fps=fps))


def generate(
    request: Request,
    pipe: AudioPosePipeline,
    inputs: Inputs,
    motion: Motion,
    path: str,
    render: Callable[..., Iterator[Progress]] | None = None,
) -> Iterator[Progress]:
    """Renders `motion` into the mp4 at `path`; a closed or broken run leaves the finished part with sound.

    `render` stands in for `pipe.render` where that has to run elsewhere, as on a ZeroGPU Space.
    """
    options = {"num_inference_steps": request.steps, "window": request.window, "overlap": request.overlap}
    options = {name: value for name, value in options.items() if value is not None}
    options |= {"conditioning": given} if (given := request.conditioning()) else {}
    options |= {} if request.windows == Request.windows else {"schedule": request.windows}
    generator = torch.Generator().manual_seed(request.seed)
    height, width = inputs.size
    steps = (render or pipe.render)(
        inputs.picture, motion, height=height, width=width, generator=generator, **options
    )
    settings = replace(request, height=height, width=width).settings()
    with media.VideoWriter(path, motion.pose.fps, inputs.size, inputs.audio, settings=settings) as writer:
        try:
            for step in steps:
                if step.frames is not None:
                    writer.write(step.frames)
                yield step
        finally:
            steps.close()
