"""Find a model by its name and read its settings, without building a network.

A model is a named set of the registry, a folder that `save_pretrained` wrote, or a folder of
published files.
"""

from __future__ import annotations

import json
from collections.abc import Container, Mapping
from dataclasses import dataclass, fields
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pipeline.models import registry
from pipeline.models.model_set import ModelSet
from pipeline.models.published_files import DEFAULT_SETTINGS, SET, files_in_folder, read_json
from pipeline.values import InputError

INDEX_FILE = "model_index.json"
# stands in the index of SVD itself, which people keep in a folder of published files
SVD_PIPELINE = "StableVideoDiffusionPipeline"
TRUSTED_PACKAGES = ("diffusers", "transformers", "pipeline")  # whose classes an index may name
SAVED_SETTINGS = 6  # of the fields of ModelSettings; the rest follows from the components
# Of settings: what else would fail when it is used
ALLOWED: Mapping[str, Container[Any]] = {
    "area": range(64 * 64, 2048 * 2048 + 1),
    "multiple": (8, 16, 32, 64),
    "splice_region": ("face", "lips", "none"),
    "refocus_mode": ("amplify", "gate", "both"),
}
NULL_INPUTS = ("audio_guidance", "pose_guidance")  # guidances that need a null sound or a null pose
NO_NULL_INPUTS = (
    "these weights know no null pose and no null audio, so `audio_guidance` and `pose_guidance` "
    "must stay 1 and `pose_free` must stay prior; use weights with an interaction component"
)


NO_GATE = (
    "`refocus` gate changes nothing that can be seen with these weights, as their card says; "
    "choose amplify"
)
NO_GESTURES = (
    "`pose_free` network gives a person who stands still but for the mouth with these weights, as "
    "their card says; choose prior"
)


@dataclass(frozen=True)
class ModelSettings:
    """What the analysis and the slider need to know of a model.

    Attributes:
        area: pixels of an output whose size nobody chose.
        multiple: both sides of the output are multiples of it.
        splice_region: face points that the sound moves, "face" or "lips".
        refocus_mode: what the slider acts on, "amplify", "gate" or "both".
        gate_shows: whether the gate, the control strength per frame, changes what is seen.
        network_gestures: whether a null pose gives gestures, and not a person who stands still.
        condition: class name of the image condition.
        null_inputs: whether the weights know a null pose and a null sound.
    """

    area: int = 512 * 768
    multiple: int = 16
    splice_region: str = "face"
    refocus_mode: str = "both"
    gate_shows: bool = True
    network_gestures: bool = True
    condition: str = "WarpedReference"
    null_inputs: bool = False

    def check_conditioning(self, conditioning: Mapping[str, float | str]) -> None:
        """Refuse a request for a null pose or a null sound that the weights do not know."""
        if self.null_inputs:
            return
        if any(conditioning.get(name, 1) != 1 for name in NULL_INPUTS):
            raise InputError(NO_NULL_INPUTS)

    def caveats(self, refocus: str | None, pose_free: str) -> tuple[str, ...]:
        """Say which of these choices shows nothing with the weights."""
        found = []
        if refocus == "gate" and not self.gate_shows:
            found.append(NO_GATE)
        if pose_free == "network" and not self.network_gestures:
            found.append(NO_GESTURES)
        return tuple(found)


@dataclass(frozen=True)
class SavedModel:
    """A folder that `save_pretrained` wrote, with its index."""

    folder: Path
    index: Mapping[str, Any]

    @property
    def pipeline_class(self) -> str:
        """The name of the pipeline's class."""
        return self.index["_class_name"]

    def component_class(self, name: str) -> tuple[str, str] | None:
        """Return module and class of a component, or None where the model has none of that name."""
        entry = self.index.get(name)
        if not isinstance(entry, list) or len(entry) != 2 or entry[0] is None:
            return None
        return entry[0], entry[1]

    def files(self) -> list[Path]:
        """Return the files of the model."""
        return sorted(path for path in self.folder.rglob("*") if path.is_file())

    @property
    def settings(self) -> ModelSettings:
        """The settings that the index holds."""
        condition = self.component_class("condition")
        if condition is None:
            raise InputError(
                f"{self.folder / INDEX_FILE} names no condition; copy the model folder again"
            )
        _, condition_class = condition
        null_inputs = self.component_class("interaction") is not None
        return _settings(self.index, condition_class, null_inputs, self.folder / INDEX_FILE)


@dataclass(frozen=True)
class PublishedModel:
    """Published files: a named set, which may not be installed, or a folder with these paths."""

    model_set: ModelSet | None
    folder_paths: Mapping[str, Path]

    def paths(self) -> dict[str, Path]:
        """Return file key -> path; refuse a set that is not installed."""
        if self.model_set is not None:
            return registry.located(self.model_set.name)
        return dict(self.folder_paths)

    def files(self) -> list[Path]:
        """Return the files of the model; refuse a set that is not installed."""
        return sorted(self.paths().values())

    @property
    def set_settings(self) -> dict[str, Any]:
        """What the named set changes of the defaults."""
        return {} if self.model_set is None else dict(self.model_set.settings)

    @property
    def settings(self) -> ModelSettings:
        """The published defaults, changed by the set, then by the folder's `settings.json`."""
        file = self.folder_paths.get("settings")
        values = DEFAULT_SETTINGS | self.set_settings | read_json(file)
        return _settings(values, "StillReference", False, file)


def find_model(name: str) -> SavedModel | PublishedModel:
    """Find the model set or the folder of that name.

    Refuse it with the remedy where it is no model.
    """
    known = {row.name: row for row in registry.SETS}
    if name in known and known[name].folder is None:
        row = known[name]
        if "unet" not in {file.key for file in row.files}:
            raise InputError(f"{name} ({row.what}) makes no video by itself; use mini or {SET}")
        return PublishedModel(row, {})
    folder = known[name].folder if name in known else Path(name)
    if folder is None or not folder.is_dir():
        raise InputError(
            f"there is no model set or folder named {name!r}; known sets: {', '.join(known)}"
        )
    paths = None if _is_saved(folder) else files_in_folder(folder)
    if paths is not None:
        return PublishedModel(None, paths)
    return SavedModel(folder, _read_index(folder))


def _settings(
    values: Mapping[str, Any], condition: str, null_inputs: bool, path: Path | None
) -> ModelSettings:
    """Take the settings that are saved from `values`, the defaults where they are not there."""
    settings: dict[str, Any] = {}
    for field in fields(ModelSettings)[:SAVED_SETTINGS]:
        value = values.get(field.name, field.default)
        if type(value) is not type(field.default) or not _is_allowed(field.name, value):
            shown = f"{value!r:.60}"
            raise InputError(f"{path} gives {field.name} the value {shown}; copy the file again")
        settings[field.name] = value
    return ModelSettings(condition=condition, null_inputs=null_inputs, **settings)


def _is_allowed(name: str, value: float | str | bool) -> bool:
    """Tell whether a setting of the right type is in its range."""
    choices = ALLOWED.get(name)
    return choices is None or value in choices


def _is_saved(folder: Path) -> bool:
    """Tell whether an index other than that of SVD itself is there."""
    path = folder / INDEX_FILE
    if not path.is_file():
        return False
    return f'"{SVD_PIPELINE}"' not in path.read_text(encoding="utf-8", errors="replace")


def _read_index(folder: Path) -> Mapping[str, Any]:
    """Read the index; refuse one that takes classes from packages which are not trusted."""
    path = folder / INDEX_FILE
    try:
        index = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{folder} holds no model: {INDEX_FILE} is missing") from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InputError(
            f"{path} is not readable as JSON ({error}); copy the model folder again"
        ) from error
    class_name = index.get("_class_name") if isinstance(index, dict) else None
    if not isinstance(class_name, str):
        raise InputError(f"{path} names the pipeline {class_name!r}; copy the model folder again")
    for part, entry in index.items():
        library = entry[0] if isinstance(entry, list) and entry else None
        if isinstance(library, str):
            _check_library(path, part, library)
    return index


def _check_library(path: Path, part: str, library: str) -> None:
    """Refuse a library that is not trusted, or a module of ours that an older version had."""
    package = library.split(".")[0]
    if package not in TRUSTED_PACKAGES:
        known = ", ".join(TRUSTED_PACKAGES)
        raise InputError(f"{path} takes {part} from the package {library!r}; trusted are {known}")
    if package == "pipeline" and not _is_module(library):
        raise InputError(
            f"{path} was written by an older version, which had a module {library}; "
            f"run `python -m pipeline train release --out {path.parent}`"
        )


def _is_module(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:  # its package does not exist either
        return False
