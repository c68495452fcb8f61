"""`load`, the only way to a pipeline: a named model set, a folder of ours, or a folder of published files.

What the sets are and where they lie is `hub`'s affair, where and how they run is `placement`'s.
"""

from __future__ import annotations

import json
from pathlib import Path

from diffusers.utils import logging as diffusers_logging

from pipeline.models import registry
from pipeline.models.aniportrait import Audio2Mesh
from pipeline.models.registry import SETS, ModelSet
from pipeline.render.base import AudioPosePipeline
from pipeline.render.runtime.placement import Placement, choose_attention, choose_device, place
from pipeline.render.svd import from_published
from pipeline.render.svd.pipeline import AudioPoseSVDPipeline
from pipeline.values import InputError

__all__ = ["SETS", "ModelSet", "Placement", "choose_attention", "choose_device", "load"]

SPEECH = {
    "aniportrait": Audio2Mesh.from_published
}  # model sets that can move the mouth of any other
PIPELINES = {kind.__name__: kind for kind in (AudioPoseSVDPipeline,)}
SVD = "StableVideoDiffusionPipeline"  # an index of SVD itself lies in a folder of published files, perhaps
TRUSTED = (
    "diffusers",
    "transformers",
    "pipeline",
)  # packages whose classes a model_index.json may name


def load(
    name: str = "mini",
    device: str = "auto",
    attention: str = "auto",
    how: Placement | None = None,
    audio2pose: str = "own",
) -> AudioPosePipeline:
    """The pipeline of a named model set or of a folder, placed as `how` says (else device and attention).

    audio2pose: "own", or a set of SPEECH whose network moves the mouth instead. Raises ValueError naming the
    set, file, folder or device and the remedy.
    """
    how = Placement(device, attention) if how is None else how
    choose_device(how.device)  # before seconds of reading
    diffusers_logging.disable_progress_bar()
    if audio2pose not in ("own", *SPEECH):
        raise InputError(f"audio2pose {audio2pose!r} is unknown; use own, {', '.join(SPEECH)}")
    spoken = None if audio2pose == "own" else SPEECH[audio2pose](registry.located(audio2pose))
    pipe = _opened(name)
    if spoken is not None:
        pipe.register_modules(audio2pose=spoken)
    pipe.set_progress_bar_config(disable=True)
    place(pipe, how)
    return pipe


def _opened(name: str) -> AudioPosePipeline:
    """The pipeline on the CPU as its files are."""
    known = {row.name: row for row in SETS}
    if name in known and known[name].folder is None:
        if "unet" not in {file.key for file in known[name].files}:
            raise InputError(
                f"{name} ({known[name].what}) makes no video by itself; use mini or {from_published.SET}"
            )
        return from_published.load(registry.located(name), known[name].settings)
    folder = known[name].folder if name in known else Path(name)
    if not folder.is_dir():
        raise InputError(
            f"there is no model set or folder named {name!r}; known sets: {', '.join(known)}"
        )
    files = None if _is_ours(folder) else from_published.in_folder(folder)
    if files is not None:
        return from_published.load(files)
    kind = _check_index(folder)
    try:
        return kind.from_pretrained(str(folder), local_files_only=True)
    except (OSError, KeyError, RuntimeError, ImportError, AttributeError, ValueError) as error:
        raise InputError(f"the model folder {folder} could not be loaded: {error}") from error


def _is_ours(folder: Path) -> bool:
    """Whether a model_index.json other than SVD's own is there."""
    path = folder / "model_index.json"
    return path.is_file() and f'"{SVD}"' not in path.read_text(encoding="utf-8", errors="replace")


def _check_index(folder: Path) -> type[AudioPosePipeline]:
    """The pipeline class that the folder's model_index.json names; refuses packages not in TRUSTED."""
    path = folder / "model_index.json"
    try:
        index = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{folder} holds no model: model_index.json is missing") from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InputError(
            f"{path} is not readable as JSON ({error}); copy the model folder again"
        ) from error
    named = index.get("_class_name") if isinstance(index, dict) else None
    if not isinstance(named, str) or named not in PIPELINES:
        raise InputError(f"{path} names the pipeline {named!r}; known: {', '.join(PIPELINES)}")
    for part, entry in index.items():
        library = entry[0] if isinstance(entry, list) and entry else None
        if isinstance(library, str) and library.split(".")[0] not in TRUSTED:
            known = ", ".join(TRUSTED)
            raise InputError(
                f"{path} takes {part} from the package {library!r}; trusted are {known}"
            )
    return PIPELINES[named]
