"""The one table of options: what a user may choose for `generate` and `preview`, and for the app.

Validation, the flags of the command line, the controls of the app and the README's table are
derived from the fields below. This module imports neither torch nor any other heavy module, so
that `--help` answers at once. A test checks that the choices match the modules that use them.
`option_rows.py` holds the row type.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipeline import InputError, __version__
from pipeline.studio import option_rows
from pipeline.studio.option_rows import Control, option

FILE_FIELDS = ("reference", "audio", "driving", "accents")
GENERATE = ("generate",)
PREVIEW = ("preview",)
WIDEST_ACCENT = 1e6  # a larger number in a saved accent is nonsense; NaN fails the test as well

# What the controls say about the cost of a change
AGAIN = "press 1 Analyse again"
OWN = "0 = the model's own"
UNSET = "-1 = the model's own"
FACTOR = "times the slider; free"
MODELS_CHOICE = "default: what suits the model"


@dataclass(frozen=True)
class Request:
    """Every choice of the user that decides what the video shows."""

    # fmt: off
    # ---- inputs
    reference: str = option(
        metavar="IMG", label="Reference image", help="picture of the person")
    audio: str = option(
        metavar="WAV", label="Speech", help="speech, up to 10 minutes, any format FFmpeg reads")
    driving: str | None = option(
        None, metavar="VIDEO|POSE", label="Driving video",
        help="gestures: video, GIF, WebP, folder of frames, pose file; none = pose-free")
    model: str = option(
        "mini", metavar="mini|controlnext-svd|FOLDER", label="Model",
        help="the set of networks that makes the video")
    audio2pose: str = option(
        "own", choices=("own", "aniportrait"), label="Audio2Pose", help="what moves the mouth")
    accents: str | None = option(
        None, metavar="FILE.json", label="Accents",
        help='list of {"time": s, "strength": 0 to 1} instead of detection')
    # Seconds and strengths of the accents. They take precedence over the file `accents`, which may
    # change later.
    accent_rows: tuple[tuple[float, float], ...] | None = None

    # ---- the slider
    intensity: float = option(
        1.0, low=0, high=2, label="2 Tune the gesture intensity",
        help="gesture size tied to the speech, 0 = as driven",
        control=Control("tune", "intensity",
                        "0 as driven · 1 larger on accents, calmer in pauses · 2 strongest"))
    person: str | None = option(
        None, metavar="N|x,y", label="Person who drives",
        help="who drives: a number from 1, or a point in the first frame",
        control=Control("analyse", "people", "click the picture, or type a number and press Enter; "
                        "analyses again, detection is kept", "text", empty=""))

    speaker: str | None = option(
        None, metavar="N|X,Y", label="Person who speaks",
        help="who speaks in `reference`: a number from 1, the largest, or a point in fractions or "
        "pixels",
        control=Control("analyse", "speakers", "click the reference image, or type a number and "
                        "press Enter; analyses again", "text", empty=""))

    # ---- gestures by region
    gesture_size: float = option(
        0.0, flag="--size", low=-0.5, high=0.5, label="Overall size",
        help="overall gesture size, in octaves",
        control=Control("tune", "regions", "octaves; free"))
    arms_intensity: float = option(
        1.0, low=0, high=2, label="Arms", help="factor on `intensity` for the arms",
        control=Control("tune", "regions", FACTOR))
    hands_intensity: float = option(
        1.0, low=0, high=2, label="Hands", help="factor on `intensity` for the hands",
        control=Control("tune", "regions", FACTOR))
    head_intensity: float = option(
        1.0, low=0, high=2, label="Head", help="factor on `intensity` for the head",
        control=Control("tune", "regions", FACTOR))
    torso_intensity: float = option(
        1.0, low=0, high=2, label="Torso", help="factor on `intensity` for the torso",
        control=Control("tune", "regions", FACTOR))
    refocus: str | None = option(
        None, choices=("amplify", "gate", "both"), label="Slider acts on",
        help="what the slider acts on: gestures, control strength or both; gate alone shows "
        f"nothing with mini's weights; {MODELS_CHOICE}",
        control=Control("tune", "regions", "amplify: gestures, gate: control strength, which shows "
                        "nothing with mini's weights; free", "choice", empty="auto"))

    # ---- mouth and timing
    prosody: str = option(
        "full", choices=("full", "loudness"), label="Prosody",
        help="what makes the intensity: full = loudness, pitch and onsets; loudness = ApoAvatar's "
        "RMS of each frame alone",
        control=Control("analyse", "mouth", f"loudness: the paper's RMS per frame; {AGAIN}",
                        "choice"))
    mouth: float = option(
        1.0, low=0, high=2, label="Mouth amplitude", help="mouth amplitude, 1 = as predicted",
        control=Control("analyse", "mouth", f"1 = as predicted; {AGAIN}"))
    audio_offset: float = option(
        0.0, low=-1000, high=1000, label="Mouth delay, ms",
        help="ms: mouth later (+) or earlier (-)",
        control=Control("analyse", "mouth", f"negative: before the sound; {AGAIN}", step=10))
    splice: str | None = option(
        None, choices=("face", "lips", "none"), label="Face points from the speech",
        help="the face points that follow the speech; none keeps the driving face, as plain "
        f"ControlNeXt does; {MODELS_CHOICE}",
        control=Control("analyse", "mouth", "lips keeps the driving brows and eyes, none the "
                        f"driving mouth, too; {AGAIN}", "choice", empty="auto"))
    fda: str = option(
        "rigid", choices=("paper", "rigid"), label="Face box (FDA)",
        help="face box of the alignment",
        control=Control("analyse", "mouth", f"paper: wide mouths squeeze the face; {AGAIN}",
                        "choice"))

    # ---- alignment, driving clip, pose-free gestures
    retarget: str = option(
        "bones", choices=("bones", "similar", "published"), label="Fit to the reference's body",
        help="how the driving body is fitted to the reference's body",
        control=Control("analyse", "fit", "bones: every length, similar: one scale, published: "
                        f"ControlNeXt's line; {AGAIN}", "choice"))
    framing: str = option(
        "reference", choices=("reference", "driving"), label="Camera",
        help="whose camera is followed",
        control=Control("analyse", "fit", f"driving follows the clip's camera, bones only; {AGAIN}",
                        "choice"))
    length: str = option(
        "pingpong", choices=("pingpong", "loop", "trim", "hold"), label="Short driving clip",
        help="what follows the end of a driving clip that is shorter than the speech",
        control=Control("analyse", "fit", f"{AGAIN}, detection is cached", "choice"))
    gestures: str | None = option(
        None, choices=("still", "head", "full"), label="Pose-free gestures",
        help="gestures without `driving`; default: full where an arm is seen, else head",
        control=Control("analyse", "fit", "without a driving clip; auto: full where an arm "
                        f"is seen; {AGAIN}", "choice", empty="auto"))
    detector: str = option(
        "holistic", choices=("holistic", "dwpose", "openpose"), label="Detector",
        help="what finds the key points; dwpose and openpose need their weights",
        control=Control("analyse", "fit", "dwpose, openpose: slower, need their weights (README); "
                        f"{AGAIN}", "choice"))

    # ---- sampling and long video
    seed: int = option(
        0, low=0, high=2**63 - 1, whole=True, label="Seed", help="same seed, same video",
        control=Control("analyse", "sampling", f"same seed, same video; {AGAIN}", "number"))
    steps: int | None = option(
        None, low=1, high=100, whole=True, commands=GENERATE, label="Denoising steps",
        help=f"denoising steps; {MODELS_CHOICE}",
        control=Control("generate", "sampling", f"{OWN}; time grows with it", step=1, empty=0))
    window: int | None = option(
        None, low=2, high=128, whole=True, commands=GENERATE, label="Window, frames",
        help=f"frames that are denoised together; {MODELS_CHOICE}",
        control=Control("generate", "sampling", f"{OWN}; memory grows with it", step=1, empty=0))
    overlap: int | None = option(
        None, low=0, high=64, whole=True, commands=GENERATE, label="Overlap, frames",
        help=f"frames that neighboring windows share; {MODELS_CHOICE}",
        control=Control("generate", "sampling", f"{OWN}; smoother seams, slower", step=1, empty=0))

    # ---- guidance and conditions of large models
    pose_free: str = option(
        "prior", choices=("prior", "network"), label="Without a driving clip",
        help="what makes the gestures without `driving`; network gives mini's person no gestures, "
        "only a mouth that moves",
        control=Control("generate", "guidance", "network: the sound alone moves the picture, of "
                        "mini's weights only the mouth; the gestures above are left out",
                        "choice"))
    audio_guidance: float = option(
        1.0, low=0, high=4, commands=GENERATE, label="Sound",
        help="guidance of the sound, 1 = no extra cost",
        control=Control("generate", "guidance", "1 = no extra cost, else twice the time"))
    pose_guidance: float = option(
        1.0, low=0, high=4, commands=GENERATE, label="Pose",
        help="guidance of the pose, 1 = no extra cost",
        control=Control("generate", "guidance", "1 = no extra cost, else twice the time"))
    windows: str = option(
        "joint", choices=("joint", "published"), commands=GENERATE, label="Windows",
        help="how windows are denoised; published: ControlNeXt's own loop",
        control=Control("generate", "guidance", "published: ControlNeXt's own loop; holds the "
                        "whole clip in memory", "choice"))
    skeleton_style: str | None = option(
        None, choices=("controlnext", "openpose", "aniportrait"), commands=GENERATE,
        label="Skeleton style",
        help="how the pose is drawn for weights that were fine-tuned on another style; "
        "aniportrait draws the face mesh of `audio2pose` aniportrait and no body",
        control=Control("generate", "guidance", "for fine-tuned weights; free", "choice",
                        empty="auto"))
    guidance: float | None = option(
        None, low=0, high=20, commands=GENERATE, label="Guidance, first frame",
        help=f"guidance at a window's first frame, 1 = none, twice as fast; {MODELS_CHOICE}",
        control=Control("generate", "guidance", f"{UNSET}; 1 = half the time", step=0.1, empty=-1))
    guidance_end: float | None = option(
        None, low=0, high=20, commands=GENERATE, label="Guidance, last frame",
        help="guidance at a window's last frame; default: `guidance`",
        control=Control("generate", "guidance", f"{UNSET}; of a window; free", step=0.1, empty=-1))
    control: float | None = option(
        None, low=0, high=5, commands=GENERATE, label="Control strength",
        help="strength of the pose, 1 = as trained",
        control=Control("generate", "guidance", f"{UNSET}; free", empty=-1))
    noise_aug: float | None = option(
        None, low=0, high=1, commands=GENERATE, label="Noise on the reference",
        help="noise on the reference image, 0.02 = as trained",
        control=Control("generate", "guidance", f"{UNSET}; free", step=0.01, empty=-1))
    motion_bucket: float | None = option(
        None, low=1, high=255, commands=GENERATE, label="Motion bucket",
        help="SVD's amount of motion",
        control=Control("generate", "guidance", f"{OWN}; free", step=1, empty=0))
    condition_fps: float | None = option(
        None, low=1, high=60, commands=GENERATE, label="Frame rate told to the model",
        help="SVD's frame rate condition; 7 = as trained",
        control=Control("generate", "guidance", f"{OWN}; free", step=1, empty=0))

    # ---- output
    fps: float = option(
        25.0, low=1, high=60, label="Frames per second", help="frames per second of the video",
        control=Control("analyse", "output", f"time grows with it; {AGAIN}", step=1))
    height: int | None = option(
        None, low=64, high=2048, whole=True, label="Height",
        help="height in pixels; default: the picture's aspect at a size that suits the model",
        control=Control("analyse", "output", f"0 = the picture's aspect; {AGAIN}", "number",
                        empty=0))
    width: int | None = option(
        None, low=64, high=2048, whole=True, label="Width",
        help="width in pixels; default: the picture's aspect at a size that suits the model",
        control=Control("analyse", "output", f"time and memory grow too; {AGAIN}", "number",
                        empty=0))
    # fmt: on

    def __post_init__(self) -> None:
        option_rows.check_options(Request, self)
        if self.pose_free == "network" and self.driving is not None:
            raise InputError("`pose_free` network follows the sound alone; leave out `driving`")
        if self.splice == "none" and self.driving is None:
            raise InputError(
                "`splice` none keeps the driving face; give `driving`, or leave it out"
            )
        if self.accent_rows is not None:
            object.__setattr__(self, "accent_rows", _number_pairs(self.accent_rows))

    def conditioning(self) -> dict[str, float | str]:
        """Return the values that the user gave for the image condition, by its own names."""
        guidance_end = self.guidance if self.guidance_end is None else self.guidance_end
        values = {
            "min_guidance": self.guidance,
            "max_guidance": guidance_end,
            "control_strength": self.control,
            "noise_aug_strength": self.noise_aug,
            "motion_bucket_id": self.motion_bucket,
            "fps": self.condition_fps,
            "style": self.skeleton_style,
        }
        chosen = {name: value for name, value in values.items() if value is not None}
        if self.audio_guidance != 1:
            chosen["audio_guidance"] = self.audio_guidance
        pose_guidance = 0.0 if self.pose_free == "network" else self.pose_guidance
        if pose_guidance != 1:
            chosen["pose_guidance"] = pose_guidance
        return chosen

    def settings(self) -> dict[str, Any]:
        """Return what the mp4 keeps: all choices by typed name, files without their folders."""
        typed_names = {row.name: row.typed_name for row in option_rows.options_of(Request)}
        settings = {"apv_studio": __version__}
        for name, value in asdict(self).items():
            if name in FILE_FIELDS:
                value = Path(value).name if value else None
            settings[typed_names.get(name, name)] = value
        return settings

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Request:
        """Make a request from values that may hold more than is needed."""
        return cls(**option_rows.known_values(cls, values))


@dataclass(frozen=True)
class Machine:
    """Where and how the networks run; no choice here changes what the video shows."""

    # fmt: off
    device: str = option("auto", metavar="DEVICE", label="Device", help="auto, cpu or cuda")
    attention: str = option(
        "auto", choices=("auto", "xformers", "sdpa"), label="Attention",
        help="the library that computes attention; auto: xformers on CUDA where it is installed")
    dtype: str = option(
        "auto", choices=("auto", "float32", "float16", "bfloat16"), commands=GENERATE,
        label="Precision", help="the precision of the networks")
    offload: str = option(
        "auto", choices=("auto", "none", "model", "group"), commands=GENERATE,
        label="Offload", help="weights in main memory")
    compile: str = option(
        "off", choices=("off", "on"), switch="on", commands=GENERATE,
        label="Compile", help="compile the denoiser: slow start")
    channels_last: str = option(
        "contiguous", choices=("contiguous", "channels-last"), switch="channels-last",
        commands=GENERATE, label="Channels last", help="another memory layout of convolutions")
    # fmt: on

    def __post_init__(self) -> None:
        option_rows.check_options(Machine, self)

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Machine:
        """Take the fields from values that may hold more or less than is needed."""
        return cls(**option_rows.known_values(cls, values))


@dataclass(frozen=True)
class OutputFiles:
    """The files that `generate` and `preview` write."""

    # fmt: off
    output: str = option(
        metavar="OUT.mp4", label="Output",
        help="the video (.mp4, .mov, .mkv, .webm); of preview: the skeleton video; .gif, .webp and "
        "FRAMES/ have no sound")
    skeleton: str | None = option(
        None, metavar="SKEL.mp4", commands=GENERATE, label="Skeleton",
        help="also write the skeleton that was rendered")
    draft: str | None = option(
        None, metavar="DRAFT.mp4", commands=PREVIEW, label="Draft",
        help="also write the warped reference image")
    overlay: str | None = option(
        None, metavar="OVERLAY.mp4", commands=PREVIEW, label="Overlay",
        help="also write the skeleton over the picture")
    pose_out: str | None = option(
        None, metavar="POSE.npz", commands=PREVIEW, label="Pose",
        help="also write the pose that is drawn")
    accents_out: str | None = option(
        None, metavar="FILE.json", label="Accents file", help="write the detected accents")
    resume: str = option(
        "off", choices=("off", "on"), switch="on", commands=GENERATE, label="Resume",
        help="go on with the unfinished `output` of a run that broke off, with the same frames; "
        "starts afresh where there is none")
    # fmt: on

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> OutputFiles:
        """Take the fields from values that may hold more or less than is needed."""
        return cls(**option_rows.known_values(cls, values))


TABLES = (Request, OutputFiles, Machine)
FLAGS = option_rows.flags(*TABLES)
LABELS = option_rows.labels(*TABLES)


def option_table() -> str:
    """Return the README's table of all options of `generate` and `preview`, in Markdown."""
    return option_rows.option_table(*TABLES)


def _number_pairs(rows: Any) -> tuple[tuple[float, float], ...]:
    """Return the rows as pairs of numbers; settings come from files, so anything may be in them."""
    if not isinstance(rows, (list, tuple)) or not all(_is_number_pair(row) for row in rows):
        raise InputError(
            "accent_rows holds a row that is no pair of numbers; give seconds and strength"
        )
    return tuple((float(seconds), float(strength)) for seconds, strength in rows)


def _is_number_pair(row: Any) -> bool:
    if not isinstance(row, (list, tuple)) or len(row) != 2:
        return False
    return all(type(value) in (int, float) and abs(value) < WIDEST_ACCENT for value in row)
