"""Check a folder that `save_pretrained` wrote, before a library reads it: people edit such folders.

Only the classes that a pipeline is made of are imported, only safetensors files in the folder are
read, and no network is built whose sizes differ from those that its file of weights names.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import nn

from pipeline.models.model_settings import INDEX_FILE, SavedModel
from pipeline.values import InputError

# Component -> the classes that it may have: module or package, name
CLASSES = {
    "audio2pose": (
        ("pipeline.models.audio2pose", "Audio2Pose"),
        ("pipeline.models.aniportrait", "Audio2Mesh"),
    ),
    "condition": (
        ("pipeline.render.svd.warped_reference", "WarpedReference"),
        ("pipeline.render.svd.still_reference", "StillReference"),
    ),
    "controlnext": (("pipeline.models.controlnext", "ControlNeXt"),),
    "interaction": (("pipeline.models.interaction", "AudioVideoInteraction"),),
    "reference_tokens": (
        ("pipeline.models.denoiser", "ReferenceTokens"),
        ("transformers", "CLIPVisionModelWithProjection"),
    ),
    "scheduler": (
        ("diffusers", "EulerDiscreteScheduler"),
        ("pipeline.models.consistency", "ConsistencyScheduler"),
    ),
    "unet": (("diffusers", "UNetSpatioTemporalConditionModel"),),
    "vae": (
        ("pipeline.models.haar", "HaarLatent"),
        ("diffusers", "AutoencoderKLTemporalDecoder"),
    ),
}
OPTIONAL = ("interaction",)
MAX_CONFIG_BYTES = 1_000_000  # a component's config.json has a few thousand
MAX_HEADER_BYTES = 100_000_000  # what the safetensors format allows
MAX_NUMBER = 100_000  # in a config: channels, steps of a noise schedule
MAX_LAYERS = 64  # of numbers that count layers, and of lists
COUNTS = ("layers", "blocks", "depth")  # a config's keys with one of these count layers
BYTES = {"F64": 8, "I64": 8, "F32": 4, "I32": 4, "F16": 2, "BF16": 2, "I16": 2, "I8": 1, "U8": 1}
ODD = (ArithmeticError, AttributeError, LookupError, OSError, RuntimeError, TypeError, ValueError)

Shapes = dict[str, tuple[int, ...]]


def check_folder(model: SavedModel) -> None:
    """Refuse a saved pipeline whose index, configs or weights cannot be loaded as they stand."""
    for name, entry in model.index.items():
        if isinstance(entry, list) and name not in CLASSES:
            raise _wrong(model.folder / INDEX_FILE, f"names an unknown component {name!r:.40}")
    for name in CLASSES:
        entry = model.index.get(name)
        if name in OPTIONAL and entry in (None, [None, None]):
            continue
        check_component(model, name)
    _ = model.settings  # refuses settings out of their range


def check_component(model: SavedModel, name: str) -> None:
    """Refuse a component that has another class, sizes or weights than it must have."""
    entry = model.index.get(name)
    known = [list(choice) for choice in CLASSES[name]]
    if entry not in known:
        names = " or ".join(class_name for _, class_name in CLASSES[name])
        file = model.folder / INDEX_FILE
        raise _wrong(file, f"gives {name} the class {entry!r:.80}, which must be {names}")
    module, class_name = entry
    component_class = getattr(import_module(module), class_name)
    folder = model.folder / name
    if name == "scheduler":
        config = _read_config(folder / "scheduler_config.json")
        _check_numbers(config, folder / "scheduler_config.json")
        return
    file = folder / "config.json"
    config = _read_config(file)
    _check_numbers(config, file)
    _compare(_expected(component_class, config, file), _weights(folder), folder)


def _expected(component_class: Any, config: Mapping[str, Any], file: Path) -> Shapes:
    """Return the shapes of a network's weights, built without memory for them."""
    try:
        with torch.device("meta"):
            network = _built(component_class, config)
    except ODD as error:
        reason = str(error).partition("\n")[0]
        raise _wrong(file, f"gives settings that make no network ({reason:.150})") from error
    return {key: tuple(value.shape) for key, value in network.state_dict().items()}


def _built(component_class: Any, config: Mapping[str, Any]) -> nn.Module:
    """Build a network of diffusers or transformers from its config."""
    if hasattr(component_class, "config_class") and component_class.config_class is not None:
        settings = component_class.config_class.from_dict(dict(config))
        return component_class(settings)
    return component_class.from_config(dict(config))


def _compare(expected: Shapes, found: Shapes, folder: Path) -> None:
    """Refuse weights whose names or shapes are not those of the network."""
    for key, shape in expected.items():
        if key not in found:
            raise _wrong(folder, f"lacks the weights {key:.80}")
        if found[key] != shape:
            ways = f"{list(found[key])!s:.60} instead of {list(shape)!s:.60}"
            raise _wrong(folder, f"has the weights {key:.80} in the shape {ways}")


def _weights(folder: Path) -> Shapes:
    """Return the shapes of all weights of a component."""
    shapes: Shapes = {}
    for file in _weight_files(folder):
        shapes |= read_header(file)
    return shapes


def _weight_files(folder: Path) -> Iterator[Path]:
    """Yield the files of weights: one, or those of an index, which lie in the folder."""
    for stem in ("diffusion_pytorch_model", "model"):
        single = folder / f"{stem}.safetensors"
        index = folder / f"{stem}.safetensors.index.json"
        if single.is_file():
            yield single
            return
        if index.is_file():
            names = _read_config(index).get("weight_map")
            if not isinstance(names, dict):
                raise _wrong(index, "has no weight_map")
            for name in sorted(set(map(str, names.values()))):
                if Path(name).name != name or not (folder / name).is_file():
                    raise _wrong(index, f"names {name!r:.60}, which is no file of its folder")
                yield folder / name
            return
    raise _wrong(folder, "holds no safetensors file of weights")


def read_header(path: Path) -> Shapes:
    """Return the shapes that a safetensors file names; refuse one that is cut off or damaged."""
    size = path.stat().st_size
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > min(size - 8, MAX_HEADER_BYTES):
                raise _wrong(path, "is cut off or no safetensors file")
            header = json.loads(file.read(length))
            return _shapes_of(header, size - 8 - length, path)
    except InputError:
        raise
    except (*ODD, struct.error, RecursionError) as error:
        raise _wrong(path, "is damaged or no safetensors file") from error


def _shapes_of(header: dict[str, Any], size: int, path: Path) -> Shapes:
    """Check that all tensors of a header lie in `size` bytes; return their shapes."""
    shapes: Shapes = {}
    for key, entry in header.items():
        if key == "__metadata__":
            continue
        shape = tuple(int(side) for side in entry["shape"])
        begin, end = entry["data_offsets"]
        count = BYTES[entry["dtype"]]
        for side in shape:
            count *= side
        if begin < 0 or end > size or end - begin != count:
            raise _wrong(path, "is cut off or damaged: a tensor does not lie in it")
        shapes[key] = shape
    return shapes


def _read_config(path: Path) -> dict[str, Any]:
    """Read a JSON object of a sensible size."""
    try:
        if path.stat().st_size > MAX_CONFIG_BYTES:
            raise _wrong(path, "is too large for a config")
        config = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise _wrong(path, "is missing") from None
    except (OSError, RecursionError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise _wrong(path, "is not readable as JSON") from error
    if not isinstance(config, dict):
        raise _wrong(path, "holds no JSON object")
    return config


def _check_numbers(value: Any, path: Path, key: str = "") -> None:
    """Refuse numbers and lists in a config that no network has."""
    if isinstance(value, dict):
        for name, inner in value.items():
            _check_numbers(inner, path, name)
    elif isinstance(value, list):
        for inner in value:
            _check_numbers(inner, path, key)
    elif isinstance(value, int | float):
        most = MAX_LAYERS if any(word in key for word in COUNTS) else MAX_NUMBER
        if not abs(value) <= most:
            raise _wrong(path, f"gives {key:.40} the value {str(value)[:30]}, at most {most} fits")


def _wrong(path: Path, fault: str) -> InputError:
    return InputError(f"{path} {fault}; copy the model folder again")
