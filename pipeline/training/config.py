"""The configuration of APV-Gen's trainer: a TOML file, changed by the command line.

`pipeline/training/configs` holds one for a CPU, for one GPU and for eight GPUs.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, get_type_hints

from pipeline.values import InputError

CONFIGS = Path(__file__).with_name("configs")
PRECISIONS = ("no", "bf16")


def _option(default: Any, text: str) -> Any:
    """Make a field with a default and a help text."""
    return field(default=default, metadata={"help": text})


@dataclass(frozen=True)
class TrainConfig:
    """The choices of a run; the defaults are the paper's and the published trainer's."""

    # what is trained, and on what
    model: str = _option(
        "controlnext-svd", "set or folder; new: small, from nothing; random: full size"
    )
    faces: str = _option("", "folder of face shards as train data writes them")
    bodies: str = _option("", "folder of full-body shards")
    drawn: int = _option(0, "clips of drawn presenters of each kind, instead of folders")
    run: str = _option("runs/apv-gen", "folder of checkpoints, logs and validation clips")
    output: str = _option("", "folder of the trained model; empty: RUN/model")
    seed: int = _option(0, "of everything that is drawn")

    bench: bool = _option(False, "train on noise, write nothing, tell seconds and peak memory")

    # the clips
    frames: int = _option(21, "of a clip, without the reference row")
    height: int = _option(768, "of the pictures, pixels")
    width: int = _option(512, "of the pictures, pixels")
    interval: int = _option(1, "frames of the video from one row to the next")
    law: str = _option("", "JSON file of the placement law that train data-stats wrote")
    fda: bool = _option(True, "shrink face clips onto black, eq. 2-8")
    mixed: bool = _option(True, "train on full-body clips, too, eq. 20")
    reference: bool = _option(True, "train the outpainted reference as one extra row, eq. 19")

    # ApoAvatar
    interaction: bool = _option(False, "train the audio-video interaction of ApoAvatar, too")
    gate_floor: float = _option(0.2, "w0: what the loudness gate leaves of the pose in silence")
    pose_dropout: float = _option(0.3, "share of clips without pose; needs interaction")
    audio_dropout: float = _option(0.1, "share of clips without sound; needs interaction")

    # the losses
    alpha: float = _option(0.1, "weight of L_body, eq. 21")
    beta: float = _option(1.0, "weight of L_refer, eq. 21")
    dropout: float = _option(0.1, "p of the conditioning dropout")
    hand_gain: float = _option(0.0, "extra weight of hands; the published trainer has 4")
    sigma_data: float = _option(0.5, "deviation of the data that the law of noise levels assumes")

    # the optimization
    iterations: int = _option(0, "pairs of a step on faces and one on bodies; 0: as `epochs` says")
    epochs: float = _option(10.0, "passes over the face clips")
    batch: int = _option(1, "clips of a process at a time")
    accumulation: int = _option(1, "batches of a process in one optimization step")
    learning_rate: float = _option(1e-5, "after the warm-up")
    warm_up: int = _option(500, "iterations until the learning rate is reached")
    decay: bool = _option(False, "let the learning rate fall to a tenth along a cosine")
    weight_decay: float = _option(1e-2, "of AdamW")
    gradient_norm: float = _option(1.0, "above which gradients are scaled down")
    precision: str = _option("no", "no or bf16 products")
    checkpointing: bool = _option(False, "compute activations twice instead of keeping them")
    ema: float = _option(0.999, "decay of the averaged weights; 0: none")
    lora: str = _option("", "lora.safetensors to begin with; needs its lora_rank")
    lora_rank: int = _option(0, "train the UNet by LoRA of this rank; 0: all of its weights")

    # the work around it
    workers: int = _option(0, "processes that make batches, for each kind of clips")
    save_every: int = _option(500, "iterations between checkpoints")
    validate_every: int = _option(0, "iterations between validation clips; 0: only at the end")
    validation_clips: int = _option(1, "full-body clips that are left out and rendered")
    validation_steps: int = _option(4, "denoising steps of these")
    measured: int = _option(8, "fixed batches of each kind for the losses before and after")
    log_every: int = _option(10, "iterations between lines of progress")

    def __post_init__(self) -> None:
        at_least_one = ("frames", "height", "width", "interval", "batch", "accumulation")
        for name in (*at_least_one, "save_every", "validation_steps", "log_every"):
            _check(name, getattr(self, name), 1, None)
        counts = ("drawn", "iterations", "warm_up", "lora_rank", "workers", "validate_every")
        for name in (
            *counts,
            "measured",
            "validation_clips",
            "alpha",
            "beta",
            "hand_gain",
            "weight_decay",
        ):
            _check(name, getattr(self, name), 0, None)
        for name in ("gate_floor", "pose_dropout", "audio_dropout"):
            _check(name, getattr(self, name), 0, 1)
        for name, greatest in (("dropout", 1 / 3), ("ema", 0.99999), ("learning_rate", 0.1)):
            _check(name, getattr(self, name), 0, greatest)
        for name in ("sigma_data", "gradient_norm", "epochs"):
            _check(name, getattr(self, name), 1e-6, None)
        if self.precision not in PRECISIONS:
            known = ", ".join(PRECISIONS)
            raise InputError(f"`precision` is {self.precision!r}; use one of {known}")

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of the pictures."""
        return self.height, self.width

    @property
    def run_folder(self) -> Path:
        """Where checkpoints, logs and validation clips are."""
        return Path(self.run)

    @property
    def model_folder(self) -> Path:
        """Where the trained model is written."""
        return Path(self.output) if self.output else self.run_folder / "model"


def _check(name: str, value: float, least: float, greatest: float | None) -> None:
    """Refuse a number outside its range; this also refuses NaN."""
    if greatest is None:
        if not value >= least:
            raise InputError(f"`{name}` is {value}; give at least {least:g}")
    elif not least <= value <= greatest:
        raise InputError(f"`{name}` is {value}; give a number from {least:g} to {greatest:g}")


# name -> type of every key
TYPES: dict[str, type] = get_type_hints(TrainConfig)


def read_config(path: Path) -> TrainConfig:
    """Read a TOML file; a bare name such as `cpu` stands for a shipped one.

    Raises InputError naming the file and the key where it holds something unknown.
    """
    file = find_config(path)
    try:
        values = tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{file} is no TOML file ({error}); correct it") from error
    return change(TrainConfig(), values, str(file))


def find_config(path: Path) -> Path:
    """Return the file of that name, or the shipped one."""
    if path.is_file():
        return path
    shipped = CONFIGS / f"{path.name}.toml"
    if shipped.is_file():
        return shipped
    known = ", ".join(sorted(file.stem for file in CONFIGS.glob("*.toml")))
    raise InputError(f"there is no configuration {path}; name a TOML file, or one of {known}")


def change(config: TrainConfig, values: Mapping[str, Any], source: str) -> TrainConfig:
    """Change a configuration; `source` is named where a key or a value makes no sense."""
    checked = {}
    for name, value in values.items():
        if name not in TYPES:
            raise InputError(f"{source} has the key {name!r}, which is unknown{_guess(name)}")
        checked[name] = _typed(name, value, source)
    return replace(config, **checked)


def _guess(name: str) -> str:
    """Name the most similar key."""
    similar = difflib.get_close_matches(name, TYPES, 1)
    if similar:
        return f"; did you mean {similar[0]!r}?"
    return f"; known are {', '.join(TYPES)}"


def _typed(name: str, value: Any, source: str) -> Any:
    """Return a value of the key's type; whole numbers may stand for decimal ones."""
    wanted = TYPES[name]
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    if wanted is float and is_whole:
        return float(value)
    if type(value) is not wanted:
        raise InputError(f"{source} gives {name} the value {value!r}; give {_KINDS[wanted]}")
    return value


_KINDS = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}


def help_texts() -> dict[str, str]:
    """Return the help text of every key."""
    return {item.name: item.metadata["help"] for item in fields(TrainConfig)}
