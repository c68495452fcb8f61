"""Find the files of ControlNeXt-SVD v2 over SVD-XT 1.1, or of a folder with that layout.

A folder holds the control network and the whole UNet, safetensors or pickle, and SVD's folders vae,
image_encoder, scheduler and unet/config.json. Nothing here opens a file of weights.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pipeline.values import InputError

SET = "controlnext-svd"
# File key -> names under which people keep it, the preferred one first. SVD's UNet is none of them.
NAMES = {
    "controlnext": (
        "controlnext-svd_v2-controlnet-fp16.safetensors", "controlnet.safetensors",
        "controlnext.safetensors", "controlnet.bin", "controlnext.bin",
    ),
    "unet": ("controlnext-svd_v2-unet-fp16.safetensors", "unet.safetensors", "unet.bin"),
    "vae": (
        "vae/diffusion_pytorch_model.fp16.safetensors", "vae/diffusion_pytorch_model.safetensors",
        "vae/diffusion_pytorch_model.fp16.bin", "vae/diffusion_pytorch_model.bin",
    ),
    "image_encoder": (
        "image_encoder/model.fp16.safetensors", "image_encoder/model.safetensors",
        "image_encoder/pytorch_model.fp16.bin", "image_encoder/pytorch_model.bin",
    ),
    "vae_config": ("vae/config.json",),
    "image_encoder_config": ("image_encoder/config.json",),
    "scheduler_config": ("scheduler/scheduler_config.json",),
    "unet_config": ("unet/config.json",),
}  # fmt: skip
OPTIONAL_NAMES = {
    "control_config": ("controlnext/config.json",),
    "settings": ("settings.json",),
}
FOLDERS = ("", "pretrained", "ControlNeXt-SVD/v2")  # where people keep these files inside a folder
DEFAULT_SETTINGS = {  # a `settings.json` beside the files may change them
    "default_steps": 25,
    "default_window": 24,
    "default_overlap": 6,
    "area": 576 * 1024,
    "multiple": 64,
    "splice_region": "lips",
    "refocus_mode": "amplify",
}


def files_in_folder(folder: Path) -> dict[str, Path] | None:
    """Return file key -> path of a folder with the published layout.

    None where it is no such folder.

    Raises InputError that names the file that is missing.
    """
    paths = {key: _first_file(folder, names) for key, names in (NAMES | OPTIONAL_NAMES).items()}
    if not any(paths[key] for key in ("controlnext", "unet", "vae_config")):
        return None
    for key, names in NAMES.items():
        if paths[key] is None:
            raise InputError(
                f"{folder} lacks the published file {names[0]}; add it, or fetch the set with "
                f"`python -m pipeline models --download {SET}`"
            )
    return {key: path for key, path in paths.items() if path is not None}


def _first_file(folder: Path, names: tuple[str, ...]) -> Path | None:
    """Return the first file that exists, by preferred name, then by folder."""
    for name in names:
        for place in FOLDERS:
            path = folder / place / name
            if path.is_file():
                return path
    return None


def read_json(path: Path | None) -> dict[str, Any]:
    """Read the object in a JSON file; empty where there is no file."""
    table = {} if path is None else json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(table, dict):
        raise InputError(f"{path} holds no JSON object; copy the file again")
    return table
