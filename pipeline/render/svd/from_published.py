"""Build a pipeline from published files: ControlNeXt-SVD v2 over the parts of SVD-XT 1.1, or a
folder like that.

Everything is built without memory, takes the file's tensors as they are and must match them key by
key.
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

from pipeline import ROOT
from pipeline.models import model_files
from pipeline.models.audio2pose import Audio2Pose
from pipeline.models.consistency import ConsistencyScheduler
from pipeline.models.controlnext import ControlNeXt
from pipeline.models.published_files import DEFAULT_SETTINGS, NAMES, SET, read_json
from pipeline.models.state_dict import read_state
from pipeline.render.svd.pipeline import AudioPoseSVDPipeline
from pipeline.render.svd.still_reference import StillReference
from pipeline.values import InputError

EMBEDDED_SPEECH_NETWORK = ROOT / "checkpoints" / "mini" / "audio2pose"
SCHEDULERS = {"euler": EulerDiscreteScheduler, "consistency": ConsistencyScheduler}
# how ComfyUI names the tensors of a UNet
COMFYUI_PREFIXES = (
    "input_blocks.",
    "output_blocks.",
    "middle_block.",
    "model.diffusion_model.",
    "diffusion_model.",
)
IGNORED_KEYS = ("vision_model.embeddings.position_ids",)  # a buffer that older transformers saved
Tensors = Mapping[str, torch.Tensor]


def load(
    paths: Mapping[str, Path], settings: Mapping[str, Any] | None = None
) -> AudioPoseSVDPipeline:
    """Load the pipeline of these files on the CPU, in the precision in which they are stored.

    settings: what holds where `settings.json` says nothing else.
    """
    for path in paths.values():
        model_files.check_file(path)
    parts = networks(paths)
    for name in ("unet", "controlnext", "vae"):
        parts[name] = fill(parts[name], paths[name])
    parts["reference_tokens"] = fill(parts["reference_tokens"], paths["image_encoder"])
    return assemble(parts, paths, settings)


def networks(paths: Mapping[str, Path]) -> dict[str, nn.Module]:
    """Build the four networks of the configuration files, without memory for their tensors."""
    unet = build(UNetSpatioTemporalConditionModel.from_config, paths["unet_config"])
    # the published control network has no configuration file of its own
    defaults = {"out_channels": unet.config.block_out_channels[0]}

    def make_control(config: dict[str, Any]) -> nn.Module:
        return ControlNeXt.from_config(defaults | config)

    return {
        "unet": unet,
        "controlnext": build(make_control, paths.get("control_config")),
        "vae": build(AutoencoderKLTemporalDecoder.from_config, paths["vae_config"]),
        "reference_tokens": build(_make_image_encoder, paths["image_encoder_config"]),
    }


def assemble(
    parts: Mapping[str, nn.Module],
    paths: Mapping[str, Path],
    settings: Mapping[str, Any] | None = None,
) -> AudioPoseSVDPipeline:
    """Make the pipeline of networks with tensors; the embedded model's audio2pose moves the mouth.

    `settings`, and over them `settings.json`, may change DEFAULT_SETTINGS, under "condition" values
    of `StillReference`, and "scheduler" to a name of SCHEDULERS.
    """
    file = paths.get("settings")
    values = {**(settings or {}), **read_json(file)}
    sampler = values.pop("scheduler", "euler")
    if sampler not in SCHEDULERS:
        known = " or ".join(SCHEDULERS)
        raise InputError(f"{file} names the scheduler {sampler!r}; use {known}")
    scheduler_config = read_json(paths["scheduler_config"])
    try:
        return AudioPoseSVDPipeline(
            **parts,
            condition=StillReference(**values.pop("condition", {})),
            scheduler=SCHEDULERS[sampler].from_config(scheduler_config),
            audio2pose=Audio2Pose.from_pretrained(EMBEDDED_SPEECH_NETWORK),
            **(DEFAULT_SETTINGS | values),
        )
    except TypeError as error:
        raise InputError(f"{file} holds a setting that is not known ({error})") from error


def build(make: Callable[[dict[str, Any]], nn.Module], path: Path | None) -> nn.Module:
    """Build the network of a configuration file, without memory for its tensors."""
    try:
        with init_empty_weights():
            return make(read_json(path))
    except (ValueError, TypeError, KeyError, AttributeError, ZeroDivisionError) as error:
        raise InputError(f"{path} does not describe the network it belongs to ({error})") from error


def _make_image_encoder(config: dict[str, Any]) -> nn.Module:
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    return CLIPVisionModelWithProjection(CLIPVisionConfig.from_dict(config))


def fill(model: nn.Module, path: Path) -> nn.Module:
    """Give the network the tensors of a file, after every key and shape was compared."""
    tensors = {key: value for key, value in read_state(path).items() if key not in IGNORED_KEYS}
    shapes = {key: tuple(value.shape) for key, value in model.state_dict().items()}
    check_keys(shapes, tensors, path)
    model.load_state_dict(tensors, assign=True)
    return model.eval().requires_grad_(False)


def check_keys(shapes: Mapping[str, tuple[int, ...]], tensors: Tensors, path: Path) -> None:
    """Refuse a file whose keys or shapes of tensors are not exactly these."""
    if any(key.startswith(COMFYUI_PREFIXES) for key in tensors):
        raise InputError(
            f"{path} has ComfyUI's key names; "
            f"take the file with diffusers' names, {NAMES['unet'][0]}"
        )
    missing = [key for key in shapes if key not in tensors]
    unknown = [key for key in tensors if key not in shapes]
    problems = []
    if missing:
        problems.append(f"lacks {len(missing)} keys such as {missing[0]}")
    if unknown:
        problems.append(f"has {len(unknown)} keys such as {unknown[0]}")
    if problems:
        raise InputError(
            f"{path} belongs to another network: it {' and '.join(problems)}; ControlNeXt-SVD v1 "
            f"and other variants do not fit, take the v2 file of the set {SET}"
        )
    for key, shape in shapes.items():
        file_shape = tuple(tensors[key].shape)
        if file_shape != shape:
            raise InputError(
                f"{path} has {key} with the shape {list(file_shape)} instead of {list(shape)}; it "
                f"was made for another configuration, take the v2 file of the set {SET}"
            )
