"""Model sets: what they are, where they lie, under which licence; `load` is the only way to a pipeline.

The only file that knows names, hub ids and folders of weights.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers.utils import logging as diffusers_logging

from pipeline.base import AudioPosePipeline
from pipeline.svd import AudioPoseSVDPipeline

log = logging.getLogger(__name__)

ROOT = Path(__file__).resolve().parent.parent
ATTENTION = ("auto", "xformers", "sdpa")
PIPELINES = {kind.__name__: kind for kind in (AudioPoseSVDPipeline,)}
TRUSTED = ("diffusers", "transformers", "pipeline")  # packages whose classes a model_index.json may name


@dataclass(frozen=True)
class ModelSet:
    """One row of `python -m pipeline models`."""

    name: str
    what: str
    licence: str
    gated: bool
    where: str
    folder: Path | None = None

    @property
    def installed(self) -> bool:
        return self.folder is not None and (self.folder / "model_index.json").is_file()

    @property
    def megabytes(self) -> float | None:
        """Size of the weights on disk in MB, or None where nothing is installed."""
        if not self.installed:
            return None
        return sum(f.stat().st_size for f in self.folder.rglob("*") if f.is_file()) / 1e6


SETS = (
    ModelSet(
        "mini",
        "embedded model, small, trained on drawn presenters and synthetic speech; runs on a CPU",
        "Apache-2.0",
        False,
        "checkpoints/mini in this repository",
        ROOT / "checkpoints" / "mini",
    ),
)


def load(name: str = "mini", device: str = "auto", attention: str = "auto") -> AudioPosePipeline:
    """The pipeline of a named model set or of a folder, on `device`, with its attention backend chosen.

    Raises ValueError naming the set, folder or device and the remedy.
    """
    folder = _folder(name)
    kind = _check_index(folder)
    diffusers_logging.disable_progress_bar()
    try:
        pipe = kind.from_pretrained(str(folder), local_files_only=True)
    except (OSError, KeyError, RuntimeError, ImportError, AttributeError) as error:
        raise ValueError(f"the model folder {folder} could not be loaded: {error}") from error
    pipe.set_progress_bar_config(disable=True)
    where = choose_device(device)
    pipe.to(where)
    pipe.attention_backend = choose_attention(pipe, attention, where)
    return pipe


def _folder(name: str) -> Path:
    for row in SETS:
        if row.name == name:
            return row.folder
    folder = Path(name)
    if folder.is_dir():
        return folder
    names = ", ".join(row.name for row in SETS)
    if name == "controlnext-svd":
        raise ValueError(f"model {name} (published weights) is not supported by this version; use {names}")
    raise ValueError(f"there is no model set or folder named {name!r}; known sets: {names}")


def _check_index(folder: Path) -> type[AudioPosePipeline]:
    """The pipeline class that the folder's model_index.json names; refuses packages not in TRUSTED."""
    path = folder / "model_index.json"
    try:
        index = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(f"{folder} holds no model: model_index.json is missing") from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} is not readable as JSON ({error}); copy the model folder again") from error
    named = index.get("_class_name") if isinstance(index, dict) else None
    if not isinstance(named, str) or named not in PIPELINES:
        raise ValueError(f"{path} names the pipeline {named!r}; known: {', '.join(PIPELINES)}")
    for part, entry in index.items():
        library = entry[0] if isinstance(entry, list) and entry else None
        if isinstance(library, str) and library.split(".")[0] not in TRUSTED:
            known = ", ".join(TRUSTED)
            raise ValueError(f"{path} takes {part} from the package {library!r}; trusted are {known}")
    return PIPELINES[named]


def choose_device(device: str) -> str:
    """ "cuda" where there is one, else "cpu", for "auto"; what was asked for otherwise, if it is there."""
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        kind = torch.device(device).type
    except RuntimeError:
        raise ValueError(f"device {device!r} is unknown; use auto, cpu or cuda") from None
    if kind == "cuda" and not torch.cuda.is_available():
        raise ValueError("device cuda was asked for, but PyTorch sees no CUDA device; use --device cpu")
    return device


def choose_attention(pipe: AudioPosePipeline, attention: str, device: str) -> str:
    """The backend in use: "xformers" where it is installed and the device is CUDA, else "sdpa"."""
    if attention not in ATTENTION:
        raise ValueError(f"attention {attention!r} is unknown; use one of {', '.join(ATTENTION)}")
    if attention == "sdpa" or (attention == "auto" and not device.startswith("cuda")):
        return "sdpa"
    try:
        pipe.enable_xformers_memory_efficient_attention()
    except (ImportError, ValueError, NotImplementedError) as error:
        if attention == "xformers":
            raise ValueError(f"xformers attention was asked for but cannot be used here ({error})") from error
        log.info("xformers is not usable (%s), PyTorch attention is used", error)
        return "sdpa"
    return "xformers"
