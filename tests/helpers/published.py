"""Small networks of the published architectures with the weights that made the parity files (random
ones)."""

from __future__ import annotations

import json
import zlib
from collections import OrderedDict
from pathlib import Path

import numpy as np
import torch
from diffusers import (
    AutoencoderKLTemporalDecoder,
    EulerDiscreteScheduler,
    UNetSpatioTemporalConditionModel,
)
from safetensors.torch import save_file
from torch import nn

from pipeline.models.audio2pose import Audio2Pose
from pipeline.models.controlnext import ControlNeXt
from pipeline.models.published_files import NAMES
from pipeline.render.svd.pipeline import AudioPoseSVDPipeline
from pipeline.render.svd.still_reference import StillReference

SCHEDULER = {
    "beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "num_train_timesteps": 1000,
    "prediction_type": "v_prediction", "sigma_min": 0.002, "sigma_max": 700.0, "steps_offset": 1,
    "timestep_type": "continuous", "timestep_spacing": "leading", "use_karras_sigmas": True,
    "interpolation_type": "linear",
}  # fmt: skip
UNET = {
    "sample_size": 8, "in_channels": 8, "out_channels": 4, "block_out_channels": (32, 32, 32, 32),
    "num_attention_heads": (1, 2, 2, 4), "layers_per_block": 2, "cross_attention_dim": 32,
    "addition_time_embed_dim": 16, "projection_class_embeddings_input_dim": 48,
}  # fmt: skip
SHALLOW = {
    "block_out_channels": (32, 32), "num_attention_heads": (1, 2), "layers_per_block": 1,
    "down_block_types": ("CrossAttnDownBlockSpatioTemporal", "DownBlockSpatioTemporal"),
    "up_block_types": ("UpBlockSpatioTemporal", "CrossAttnUpBlockSpatioTemporal"),
}  # fmt: skip
VAE = {"block_out_channels": (32, 32, 32, 32), "layers_per_block": 1, "scaling_factor": 0.18215}
VAE["down_block_types"] = ("DownEncoderBlock2D",) * 4
CLIP = {
    "hidden_size": 32, "intermediate_size": 64, "projection_dim": 32, "num_hidden_layers": 2,
    "num_attention_heads": 2, "image_size": 224, "patch_size": 56, "hidden_act": "gelu",
}  # fmt: skip


def recipe(key: str, shape: tuple[int, ...], seed: int) -> torch.Tensor:
    """The weights of the parity files, made anew from key, shape and seed."""
    noise = np.random.RandomState((zlib.crc32(key.encode()) + seed) & 0xFFFFFFFF).standard_normal(
        shape
    )
    if len(shape) >= 2:
        noise = noise / np.sqrt(np.prod(shape[1:]))
    elif key.endswith(".weight"):
        noise = 1 + 0.1 * noise
    elif not key.endswith("mix_factor"):
        noise = 0.1 * noise
    return torch.from_numpy(noise.astype(np.float16)).float()


def fill(model: nn.Module, seed: int) -> nn.Module:
    state = {
        k: recipe(k, tuple(v.shape), seed).reshape(v.shape) for k, v in model.state_dict().items()
    }
    model.load_state_dict(state)
    return model.eval().requires_grad_(False)


def small_unet() -> UNetSpatioTemporalConditionModel:
    return UNetSpatioTemporalConditionModel(**UNET)


def small_clip() -> nn.Module:
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    return CLIPVisionModelWithProjection(CLIPVisionConfig(**CLIP))


def small_control() -> ControlNeXt:
    """The published control network, but for 32 output channels."""
    return ControlNeXt(out_channels=UNET["block_out_channels"][0])


def small_pipeline(**condition: float) -> AudioPoseSVDPipeline:
    """The published pipeline in small, with the parity files' weights."""
    torch.manual_seed(0)
    return AudioPoseSVDPipeline(
        vae=fill(AutoencoderKLTemporalDecoder(**VAE), 13), unet=fill(small_unet(), 12),
        controlnext=fill(small_control(), 11), reference_tokens=fill(small_clip(), 14),
        condition=StillReference(**condition), scheduler=EulerDiscreteScheduler(**SCHEDULER),
        audio2pose=Audio2Pose(channels=16, dilations=(1, 2)).eval(), default_steps=2, default_window=4,
        default_overlap=1, area=64 * 128, multiple=64, splice_region="lips", refocus_mode="amplify",
    )  # fmt: skip


def tiny_published(**condition: float) -> AudioPoseSVDPipeline:
    """The same parts with a UNet of two levels and one layer, for what does not depend on the
    numbers."""
    pipe = small_pipeline(**condition)
    pipe.register_modules(unet=fill(UNetSpatioTemporalConditionModel(**(UNET | SHALLOW)), 12))
    pipe.register_to_config(default_steps=1)
    return pipe


def write_set(folder: Path, kind: str = "safetensors") -> Path:
    """The small pipeline's files in the published layout, as safetensors in half precision or as
    pickles."""
    pipe, settings = tiny_published(), {"default_steps": 1, "default_window": 8, "area": 64 * 128}
    jsons = {"unet/config.json": UNET | SHALLOW, "vae/config.json": VAE, "image_encoder/config.json": CLIP,
             "scheduler/scheduler_config.json": SCHEDULER, "settings.json": settings,
             "feature_extractor/preprocessor_config.json": {}}  # fmt: skip
    for name, table in jsons.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(json.dumps(table))
    parts = {"controlnext": pipe.controlnext, "unet": pipe.unet, "vae": pipe.vae,
             "image_encoder": pipe.reference_tokens}  # fmt: skip
    for key, part in parts.items():
        state = {name: value.clone().contiguous() for name, value in part.state_dict().items()}
        if kind == "safetensors":
            name = next(n for n in NAMES[key] if n.endswith(".safetensors"))
            save_file({n: v.half() for n, v in state.items()}, folder / name)
        else:
            name = next(n for n in NAMES[key] if n.endswith(".bin"))
            place = folder / ("pretrained" if "/" not in name else "") / name
            place.parent.mkdir(parents=True, exist_ok=True)
            torch.save(OrderedDict(state), place)
    return folder
