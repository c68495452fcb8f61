"""Model folders that somebody edited by hand: indices, configs and weights with faults."""

from __future__ import annotations

import json
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

PLANTED_MODULE = "apv_planted_module"  # must never be imported
ODD_VALUES: tuple[Any, ...] = (
    None, True, "", "x" * 5000, -1, 0, 1, 3, 0.5, 1e308, float("nan"), 10**9, 10**30, [], {},
    [1, 2], [10**9], ["a"], [[]], {"a": 1}, "../../etc/passwd", "__import__('os')",
)  # fmt: skip
STRANGE_CLASSES: tuple[Any, ...] = (
    [PLANTED_MODULE, "Thing"], ["os", "system"], ["subprocess", "Popen"], ["builtins", "eval"],
    ["pipeline.__main__", "main"], ["pipeline.studio.cli.main", "main"], ["transformers", "AutoModel"],
    ["diffusers", "DiffusionPipeline"], ["diffusers.utils", "logging"], ["../evil", "Thing"],
    ["pipeline.models.haar", "np"], ["diffusers", "__class__"], ["pipeline", PLANTED_MODULE],
    [None, None], [], ["diffusers"], "diffusers", 3, None, {"a": "b"}, [["os"], "x"], ["", ""],
    [f"diffusers.{PLANTED_MODULE}", "Thing"], ["transformers", "pipeline"],
)  # fmt: skip
COMPONENTS = (
    "audio2pose", "condition", "controlnext", "interaction", "reference_tokens", "scheduler",
    "unet", "vae",
)  # fmt: skip


def edited(rng: np.random.Generator, model: Path, folder: Path) -> tuple[str, Path]:
    """Copy a valid model folder and edit it; return what was done, and the copy."""
    copy = folder / "model"
    shutil.copytree(model, copy)
    (folder / f"{PLANTED_MODULE}.py").write_text("raise SystemExit('imported')\n")
    (copy / f"{PLANTED_MODULE}.py").write_text("raise SystemExit('imported')\n")
    names = list(EDITS)
    name = names[rng.integers(len(names))]
    EDITS[name](rng, copy)
    return name, copy


def _pick(rng: np.random.Generator, choices: Any) -> Any:
    return choices[rng.integers(len(choices))]


def _present(folder: Path) -> list[str]:
    return [name for name in COMPONENTS if (folder / name).is_dir()]


def _config(rng: np.random.Generator, folder: Path) -> Path:
    configs = sorted(folder.glob("*/*config.json"))
    return _pick(rng, configs)


def _weights(rng: np.random.Generator, folder: Path) -> Path:
    return _pick(rng, sorted(folder.glob("*/*.safetensors")))


def _changed(path: Path, change: dict[str, Any]) -> None:
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | change))


def _strange_class(rng: np.random.Generator, folder: Path) -> None:
    name = _pick(rng, (*COMPONENTS, "extra", "_class_name", "tokenizer"))
    _changed(folder / "model_index.json", {name: _pick(rng, STRANGE_CLASSES)})


def _index_value(rng: np.random.Generator, folder: Path) -> None:
    index = folder / "model_index.json"
    names = sorted(json.loads(index.read_text()))
    _changed(index, {_pick(rng, names): _pick(rng, ODD_VALUES)})


def _index_key_lost(rng: np.random.Generator, folder: Path) -> None:
    index = folder / "model_index.json"
    content = json.loads(index.read_text())
    del content[_pick(rng, sorted(content))]
    index.write_text(json.dumps(content))


def _config_value(rng: np.random.Generator, folder: Path) -> None:
    path = _config(rng, folder)
    names = sorted(json.loads(path.read_text()))
    _changed(path, {_pick(rng, names): _pick(rng, ODD_VALUES)})


def _config_number(rng: np.random.Generator, folder: Path) -> None:
    """Change a number by a factor: sizes that fit no weights, and absurd ones."""
    path = _config(rng, folder)
    content = json.loads(path.read_text())
    names = [name for name, value in content.items() if type(value) in (int, float)]
    if names:
        name = _pick(rng, sorted(names))
        content[name] = content[name] * _pick(rng, (-1, 0, 2, 16, 1000, 10**7))
    path.write_text(json.dumps(content))


def _config_key_lost(rng: np.random.Generator, folder: Path) -> None:
    path = _config(rng, folder)
    content = json.loads(path.read_text())
    del content[_pick(rng, sorted(content))]
    path.write_text(json.dumps(content))


def _extra_keys(rng: np.random.Generator, folder: Path) -> None:
    path = _config(rng, folder)
    _changed(path, {
        "auto_map": {"AutoModel": f"{PLANTED_MODULE}.Thing"}, "trust_remote_code": True,
        "_name_or_path": "../..", "custom_pipeline": PLANTED_MODULE, "note": _pick(rng, ODD_VALUES),
    })  # fmt: skip


def _not_json(rng: np.random.Generator, folder: Path) -> None:
    path = _pick(rng, [folder / "model_index.json", *sorted(folder.glob("*/*config.json"))])
    content = path.read_bytes()
    junk = (b"", b"[]", b"null", b"3", content[: len(content) // 2], b"\xff\xfe\x00", b"[" * 100_000,
            b"{" * 10, content + b"x", b'"text"')  # fmt: skip
    path.write_bytes(_pick(rng, junk))


def _file_lost(rng: np.random.Generator, folder: Path) -> None:
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix != ".py")
    _pick(rng, files).unlink()


def _folder_lost(rng: np.random.Generator, folder: Path) -> None:
    shutil.rmtree(folder / _pick(rng, _present(folder)))


def _file_is_folder(rng: np.random.Generator, folder: Path) -> None:
    path = _pick(rng, [_config(rng, folder), _weights(rng, folder)])
    path.unlink()
    path.mkdir()


def _weights_cut(rng: np.random.Generator, folder: Path) -> None:
    path = _weights(rng, folder)
    content = path.read_bytes()
    path.write_bytes(content[: rng.integers(len(content))])


def _weights_junk(rng: np.random.Generator, folder: Path) -> None:
    path = _weights(rng, folder)
    content = bytearray(path.read_bytes())
    for place in rng.integers(0, min(len(content), 400), 8):
        content[place] = rng.integers(256)
    path.write_bytes(bytes(content))


def _header(rng: np.random.Generator, folder: Path) -> None:
    """Name absurd sizes in a header."""
    path = _weights(rng, folder)
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    key = _pick(rng, sorted(set(header) - {"__metadata__"}))
    entry = header[key]
    change = _pick(rng, ("shape", "offsets", "dtype", "huge length", "lost", "odd"))
    if change == "shape":
        entry["shape"] = _pick(rng, ([10**12], [1], [-1, 4], [], [0], entry["shape"][::-1]))
    elif change == "offsets":
        entry["data_offsets"] = _pick(rng, ([0, 2**62], [-8, 0], [5, 1], [0], None))
    elif change == "dtype":
        entry["dtype"] = _pick(rng, ("F64", "I8", "BOOL", "X", 3, None))
    elif change == "lost":
        del header[key]
    elif change == "odd":
        header[key] = _pick(rng, ODD_VALUES)
    text = json.dumps(header).encode()
    length = 2**60 if change == "huge length" else len(text)
    start = 8 + struct.unpack("<Q", content[:8])[0]
    path.write_bytes(struct.pack("<Q", length) + text + content[start:])


def _bad_numbers(rng: np.random.Generator, folder: Path) -> None:
    """Fill weights with NaN, infinity or huge numbers."""
    path = _weights(rng, folder)
    content = path.read_bytes()
    start = 8 + struct.unpack("<Q", content[:8])[0]
    numbers = np.frombuffer(content[start:], np.float32).copy()
    chosen = rng.random(len(numbers)) < _pick(rng, (0.01, 1.0))
    numbers[chosen] = _pick(rng, (np.nan, np.inf, -np.inf, 1e38))
    path.write_bytes(content[:start] + numbers.tobytes())


def _weights_swapped(rng: np.random.Generator, folder: Path) -> None:
    shutil.copyfile(_weights(rng, folder), _weights(rng, folder).with_suffix(".new"))
    new = next(folder.glob("*/*.new"))
    new.replace(new.with_suffix(".safetensors"))


def _pickled(rng: np.random.Generator, folder: Path) -> None:
    """Leave only a pickle that would run code."""
    path = _weights(rng, folder)
    path.unlink()
    code = b"cos\nsystem\n(S'touch " + str(folder / "pwned").encode() + b"'\ntR."
    path.with_suffix(".bin").write_bytes(code)


def _outside(rng: np.random.Generator, folder: Path) -> None:
    """Let an index of weights lead out of the folder."""
    path = _weights(rng, folder)
    path.rename(folder / "elsewhere.safetensors")
    target = _pick(rng, ("../elsewhere.safetensors", "/etc/passwd", "..", "nowhere", "", 3, None))
    index = path.with_suffix(".safetensors.index.json")
    index.write_text(json.dumps({"metadata": {}, "weight_map": {"a": target}}))


EDITS: dict[str, Callable[[np.random.Generator, Path], None]] = {
    "strange class": _strange_class,
    "index value": _index_value,
    "index key lost": _index_key_lost,
    "config value": _config_value,
    "config number": _config_number,
    "config key lost": _config_key_lost,
    "extra keys": _extra_keys,
    "not json": _not_json,
    "file lost": _file_lost,
    "folder lost": _folder_lost,
    "file is folder": _file_is_folder,
    "weights cut": _weights_cut,
    "weights junk": _weights_junk,
    "header": _header,
    "bad numbers": _bad_numbers,
    "weights swapped": _weights_swapped,
    "pickle": _pickled,
    "outside": _outside,
}
