"""Build a pipeline from published files: ControlNeXt-SVD v2 over the parts of SVD-XT 1.1, or a folder like that.

Everything is built without memory, takes the file's tensors as they are and must match them key by key.
"""

from __future__ import annotations

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

from pipeline.models import model_files, registry
from pipeline.models.audio2pose import Audio2Pose
from pipeline.models.consistency import ConsistencyScheduler
from pipeline.models.controlnext import ControlNeXt
from pipeline.models.published_files import DEFAULT_SETTINGS, NAMES, SET, read_json
from pipeline.models.state_dict import read_state
from pipeline.render.svd.pipeline import AudioPoseSVDPipeline
from pipeline.render.svd.still_reference import StillReference
from pipeline.values import InputError

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


def load(
    paths: Mapping[str, Path], settings: Mapping[str, Any] | None = None
) -> AudioPoseSVDPipeline:
    """The pipeline of these files, in the precision in which they are stored, on the CPU.

    settings: what holds where `settings.json` says nothing else.
    """
    for path in paths.values():
        model_files.check_file(path)
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

    `settings`, and over them `settings.json`, may change DEFAULT_SETTINGS, under "condition" values of
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
            **(DEFAULT_SETTINGS | settings),
        )
    except TypeError as error:
        raise InputError(
            f"{paths.get('settings')} holds a setting that is not known ({error})"
        ) from error


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
