"""The app's controls and examples as plain rows: what each is called, may be, costs, and when it acts.

Ranges, choices and defaults are those of `jobs.Request`, so that the page cannot offer what a run refuses.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pipeline.studio.request import CHOICES, RANGES, WHOLE, Request

AGAIN = "press 1 Analyse again"


@dataclass(frozen=True)
class Knob:
    """One control. `name` is a field of `Request`, `kind` is slider, number, choice or text.

    stage: which handler takes it, "analyse", "tune" or "generate". group: where it stands on the page.
    empty: what the page shows where the request holds None.
    """

    name: str
    kind: str
    stage: str
    group: str
    label: str
    cost: str
    step: float = 0.05
    empty: Any = None

    @property
    def range(self) -> tuple[float, float]:
        """Lowest and highest value of a slider, widened to what stands for None."""
        low, high = RANGES[self.name]
        return (low if self.empty is None else min(low, self.empty)), high

    @property
    def choices(self) -> tuple[str, ...]:
        return (*(() if self.empty is None else (self.empty,)), *CHOICES[self.name])

    @property
    def default(self) -> Any:
        return self.shown(getattr(Request, self.name))

    def shown(self, value: Any) -> Any:
        """What the page shows for a value of the request."""
        return self.empty if value is None else value

    def read(self, shown: Any) -> Any:
        """The request's value for what the page shows; a field that was wiped is at its default."""
        if shown is None or shown == "" or shown == self.empty:
            return getattr(Request, self.name)
        if self.name in WHOLE and isinstance(shown, float) and shown.is_integer():
            return int(shown)
        return shown


GROUPS = (  # folded parts of the page, in order
    ("regions", "Gestures: size, and strength by region"),
    ("mouth", "Mouth and timing"),
    ("fit", "Alignment, driving clip, pose-free gestures"),
    ("sampling", "Sampling and long video"),
    ("guidance", "Guidance and conditions of large models"),
    ("output", "Output, settings of an older video"),
)
OWN = "0 = the model's own"
UNSET = "-1 = the model's own"
FACTOR = "times the slider; free"
KNOBS = (
    Knob("intensity", "slider", "tune", "intensity", "2 Tune the gesture intensity",
         "0 as driven · 1 larger on accents, calmer in pauses · 2 strongest"),
    Knob("person", "text", "analyse", "people", "Person who drives",
         "click the picture, or type a number and press Enter; analyses again, detection is kept", empty=""),
    Knob("size", "slider", "tune", "regions", "Overall size", "octaves; free"),
    Knob("arms_intensity", "slider", "tune", "regions", "Arms", FACTOR),
    Knob("hands_intensity", "slider", "tune", "regions", "Hands", FACTOR),
    Knob("head_intensity", "slider", "tune", "regions", "Head", FACTOR),
    Knob("torso_intensity", "slider", "tune", "regions", "Torso", FACTOR),
    Knob("refocus", "choice", "tune", "regions", "Slider acts on",
         "amplify: gestures, gate: control strength; free", empty="auto"),
    Knob("mouth", "slider", "analyse", "mouth", "Mouth amplitude", f"1 = as predicted; {AGAIN}"),
    Knob("audio_offset", "slider", "analyse", "mouth", "Mouth delay, ms",
         f"negative: before the sound; {AGAIN}", step=10),
    Knob("splice", "choice", "analyse", "mouth", "Face points from the speech",
         f"lips keeps the driving brows and eyes; {AGAIN}", empty="auto"),
    Knob("fda", "choice", "analyse", "mouth", "Face box (FDA)",
         f"paper: wide mouths squeeze the face; {AGAIN}"),
    Knob("retarget", "choice", "analyse", "fit", "Fit to the reference's body",
         f"bones: every length, similar: one scale, published: ControlNeXt's line; {AGAIN}"),
    Knob("framing", "choice", "analyse", "fit", "Camera",
         f"driving follows the clip's camera, bones only; {AGAIN}"),
    Knob("length", "choice", "analyse", "fit", "Short driving clip",
         f"{AGAIN}, detection is cached"),
    Knob("gestures", "choice", "analyse", "fit", "Pose-free gestures",
         f"without a driving clip; auto: full where an arm is seen; {AGAIN}", empty="auto"),
    Knob("detector", "choice", "analyse", "fit", "Detector",
         f"dwpose, openpose: slower, need their weights (README); {AGAIN}"),
    Knob("seed", "number", "analyse", "sampling", "Seed", f"same seed, same video; {AGAIN}"),
    Knob("steps", "slider", "generate", "sampling", "Denoising steps", f"{OWN}; time grows with it", 1, 0),
    Knob("window", "slider", "generate", "sampling", "Window, frames", f"{OWN}; memory grows with it", 1, 0),
    Knob("overlap", "slider", "generate", "sampling", "Overlap, frames",
         f"{OWN}; smoother seams, slower", 1, 0),
    Knob("pose_free", "choice", "generate", "guidance", "Without a driving clip",
         "network: the sound alone moves the picture; the gestures above are left out"),
    Knob("audio_guidance", "slider", "generate", "guidance", "Sound",
         "1 = no extra cost, else twice the time"),
    Knob("pose_guidance", "slider", "generate", "guidance", "Pose", "1 = no extra cost, else twice the time"),
    Knob("windows", "choice", "generate", "guidance", "Windows",
         "published: ControlNeXt's own loop; holds the whole clip in memory"),
    Knob("guidance", "slider", "generate", "guidance", "Guidance, first frame",
         f"{UNSET}; 1 = half the time", 0.1, -1),
    Knob("guidance_end", "slider", "generate", "guidance", "Guidance, last frame",
         f"{UNSET}; of a window; free", 0.1, -1),
    Knob("control", "slider", "generate", "guidance", "Control strength", f"{UNSET}; free", 0.05, -1),
    Knob("noise_aug", "slider", "generate", "guidance", "Noise on the reference", f"{UNSET}; free", 0.01, -1),
    Knob("motion_bucket", "slider", "generate", "guidance", "Motion bucket", f"{OWN}; free", 1, 0),
    Knob("condition_fps", "slider", "generate", "guidance", "Frame rate told to the model",
         f"{OWN}; free", 1, 0),
    Knob("fps", "slider", "analyse", "output", "Frames per second", f"time grows with it; {AGAIN}", 1),
    Knob("height", "number", "analyse", "output", "Height", f"0 = the picture's aspect; {AGAIN}", empty=0),
    Knob("width", "number", "analyse", "output", "Width", f"time and memory grow too; {AGAIN}", empty=0),
)  # fmt: skip


def names(stage: str) -> list[str]:
    """The names of a handler's controls, in the order in which it takes their values."""
    return [knob.name for knob in KNOBS if knob.stage == stage]


def read(stage: str, shown: tuple) -> dict[str, Any]:
    """The request's fields for the values that the page shows, as `names` orders them."""
    mine = [knob for knob in KNOBS if knob.stage == stage]
    return {knob.name: knob.read(value) for knob, value in zip(mine, shown, strict=True)}


def shown(request: Request) -> list[Any]:
    """What the page shows for a request, in the order of KNOBS."""
    return [knob.shown(getattr(request, knob.name)) for knob in KNOBS]
