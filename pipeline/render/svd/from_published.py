"""A pipeline from published files: ControlNeXt-SVD v2 over the parts of SVD-XT 1.1, or a folder like that.

A folder holds the control network and the whole UNet, safetensors or pickle, and SVD's folders vae,
image_encoder, scheduler and unet/config.json. Everything is built without memory, takes the file's tensors as
they are and must match them key by key.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from accelerate import init_empty_weights
from diffusers import (
    AutoencoderKLTemporalDecoder,
    EulerDiscreteScheduler,
    UNetSpatioTemporalConditionModel,
)
from torch import nn

from pipeline.models import registry
from pipeline.models.audio2pose import Audio2Pose
from pipeline.models.consistency import ConsistencyScheduler
from pipeline.models.controlnext import ControlNeXt
from pipeline.models.state_dict import read_state
from pipeline.render.svd.pipeline import AudioPoseSVDPipeline
from pipeline.render.svd.still_reference import StillReference
from pipeline.values import InputError

SET = "controlnext-svd"
# file key -> names under which people keep it, the one to prefer first; SVD's own UNet is never one of them
NAMES = {
    "controlnext": (
        "controlnext-svd_v2-controlnet-fp16.safetensors", "controlnet.safetensors", "controlnext.safetensors",
        "controlnet.bin", "controlnext.bin",
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
OPTIONAL = {"control_config": ("controlnext/config.json",), "settings": ("settings.json",)}
PLACES = ("", "pretrained", "ControlNeXt-SVD/v2")
DEFAULTS = {
    "default_steps": 25, "default_window": 24, "default_overlap": 6, "area": 576 * 1024, "multiple": 64,
    "splice_region": "lips", "refocus_mode": "amplify",
}  # fmt: skip
SCHEDULERS = {"euler": EulerDiscreteScheduler, "consistency": ConsistencyScheduler}
COMFY = (
    "input_blocks.",
    "output_blocks.",
    "middle_block.",
    "model.diffusion_model.",
    "diffusion_model.",
)
IGNORED = ("vision_model.embeddings.position_ids",)  # a buffer that older transformers saved
Tensors = Mapping[str, torch.Tensor]


def in_folder(folder: Path) -> dict[str, Path] | None:
    """File key -> path in a folder with the published layout, None where it is no such folder.

    ValueError names the file that is missing.
    """
    paths = {key: _first(folder, names) for key, names in (NAMES | OPTIONAL).items()}
    if not any(paths[key] for key in ("controlnext", "unet", "vae_config")):
        return None
    for key, names in NAMES.items():
        if paths[key] is None:
            raise InputError(
                f"{folder} lacks the published file {names[0]}; add it, or fetch the set with "
                f"`python -m pipeline models --download {SET}`"
            )
    return {key: path for key, path in paths.items() if path is not None}


def _first(folder: Path, names: tuple[str, ...]) -> Path | None:
    places = (folder / place / name for name in names for place in PLACES)
    return next((path for path in places if path.is_file()), None)


def load(
    paths: Mapping[str, Path], settings: Mapping[str, Any] | None = None
) -> AudioPoseSVDPipeline:
    """The pipeline of these files, in the precision in which they are stored, on the CPU.

    settings: what holds where `settings.json` says nothing else.
    """
    for path in paths.values():
        registry.check_file(path)
    parts = networks(paths)
    for name in ("unet", "controlnext", "vae"):
        parts[name] = filled(parts[name], paths[name])
    parts["reference_tokens"] = filled(parts["reference_tokens"], paths["image_encoder"])
    return assembled(parts, paths, settings)


def networks(paths: Mapping[str, Path]) -> dict[str, nn.Module]:
    """The four networks of the configuration files, by the pipeline's names, without memory for tensors."""
    unet = built(UNetSpatioTemporalConditionModel.from_config, paths["unet_config"])
    width = {
        "out_channels": unet.config.block_out_channels[0]
    }  # the published network has no file of its own
    control = paths.get("control_config")
    return {
        "unet": unet,
        "controlnext": built(lambda config: ControlNeXt.from_config(width | config), control),
        "vae": built(AutoencoderKLTemporalDecoder.from_config, paths["vae_config"]),
        "reference_tokens": built(_image_encoder, paths["image_encoder_config"]),
    }


def assembled(
    parts: Mapping[str, nn.Module],
    paths: Mapping[str, Path],
    settings: Mapping[str, Any] | None = None,
) -> AudioPoseSVDPipeline:
    """The pipeline of networks with tensors; the mouth is moved by the embedded model's audio2pose.

    `settings`, and over them `settings.json`, may change DEFAULTS, under "condition" values of
    `StillReference`, and "scheduler" to a name of SCHEDULERS.
    """
    settings = {**(settings or {}), **read_json(paths.get("settings"))}
    sampler = settings.pop("scheduler", "euler")
    if sampler not in SCHEDULERS:
        raise InputError(
            f"{paths.get('settings')} names the scheduler {sampler!r}; use {' or '.join(SCHEDULERS)}"
        )
    try:
        return AudioPoseSVDPipeline(
            **parts,
            condition=StillReference(**settings.pop("condition", {})),
            scheduler=SCHEDULERS[sampler].from_config(read_json(paths["scheduler_config"])),
            audio2pose=Audio2Pose.from_pretrained(
                registry.ROOT / "checkpoints" / "mini" / "audio2pose"
            ),
            **(DEFAULTS | settings),
        )
    except TypeError as error:
        raise InputError(
            f"{paths.get('settings')} holds a setting that is not known ({error})"
        ) from error


def read_json(path: Path | None) -> dict[str, Any]:
    """The object in a JSON file; empty where there is no file."""
    table = {} if path is None else json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(table, dict):
        raise InputError(f"{path} holds no JSON object; copy the file again")
    return table


def built(make: Callable[[dict[str, Any]], nn.Module], path: Path | None) -> nn.Module:
    """The network of a configuration file, without memory for its tensors."""
    try:
        with init_empty_weights():
            return make(read_json(path))
    except (ValueError, TypeError, KeyError, AttributeError, ZeroDivisionError) as error:
        raise InputError(f"{path} does not describe the network it belongs to ({error})") from error


def _image_encoder(config: dict[str, Any]) -> nn.Module:
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    return CLIPVisionModelWithProjection(CLIPVisionConfig.from_dict(config))


def filled(model: nn.Module, path: Path) -> nn.Module:
    """The network with the tensors of a file, after every key and shape was compared."""
    tensors = read_state(path)
    tensors = {key: value for key, value in tensors.items() if key not in IGNORED}
    check_keys(
        {key: tuple(value.shape) for key, value in model.state_dict().items()}, tensors, path
    )
    model.load_state_dict(tensors, assign=True)
    return model.eval().requires_grad_(False)


def check_keys(wanted: Mapping[str, tuple[int, ...]], tensors: Tensors, path: Path) -> None:
    """ValueError with one sentence if names or shapes of tensors are not exactly the wanted ones."""
    if any(key.startswith(COMFY) for key in tensors):
        raise InputError(
            f"{path} has ComfyUI's key names; take the file with diffusers' names, {NAMES['unet'][0]}"
        )
    lacks, extra = ([k for k in a if k not in b] for a, b in ((wanted, tensors), (tensors, wanted)))
    if lacks or extra:
        told = [f"{word} {len(keys)} keys such as {keys[0]}"
                for word, keys in (("lacks", lacks), ("has", extra)) if keys]  # fmt: skip
        raise InputError(
            f"{path} belongs to another network: it {' and '.join(told)}; ControlNeXt-SVD v1 and other "
            f"variants do not fit, take the v2 file of the set {SET}"
        )
    for key, shape in wanted.items():
        if tuple(tensors[key].shape) != shape:
            raise InputError(
                f"{path} has {key} with the shape {list(tensors[key].shape)} instead of {list(shape)}; it "
                f"was made for another configuration, take the v2 file of the set {SET}"
            )
