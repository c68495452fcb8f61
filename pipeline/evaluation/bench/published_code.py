"""Run the published ControlNeXt-SVD v2 code: `python published_code.py FOLDER OPTIONS.json`.

FOLDER is a checkout's ControlNeXt-SVD-v2, whose packages are called pipeline, models and utils; so
nothing of this project is imported here. The random weights are those of `bench.backbone`, and so
are picture, control pictures and noise. The denoised latents go to the file that the options name.
One JSON object is printed.
"""

from __future__ import annotations

import json
import math
import sys
import time
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import init_empty_weights
from diffusers import AutoencoderKLTemporalDecoder
from PIL import Image
from torch import Tensor, nn
from transformers import CLIPImageProcessor, CLIPVisionConfig, CLIPVisionModelWithProjection


def randomize(network: nn.Module, device: torch.device, dtype: torch.dtype) -> nn.Module:
    """Give a network without tensors random ones that keep the size of what passes through.

    Each depends on its name alone, so that two codes of one architecture get the same.
    """
    for prefix, module in network.named_modules():
        for name, value in list(module.named_parameters(recurse=False)):
            made = torch.zeros(value.shape, device=device, dtype=dtype)
            if value.ndim >= 2:
                noise = torch.Generator(device).manual_seed(zlib.crc32(f"{prefix}.{name}".encode()))
                made.normal_(0, 1 / math.sqrt(math.prod(value.shape[1:])), generator=noise)
            elif name == "weight":
                made.fill_(1)
            setattr(module, name, nn.Parameter(made, requires_grad=False))
    return network.eval()


def assembled(options: dict[str, Any]) -> Any:
    """Assemble the published pipeline by the configurations of its four parts."""
    from models.controlnext_vid_svd import ControlNeXtSDVModel
    from models.unet_spatio_temporal_condition_controlnext import (
        UNetSpatioTemporalConditionControlNeXtModel,
    )
    from utils.scheduling_euler_discrete_karras_fix import EulerDiscreteScheduler

    from pipeline.pipeline_stable_video_diffusion_controlnext import (
        StableVideoDiffusionPipelineControlNeXt,
    )

    device = torch.device(options["device"])
    dtype = getattr(torch, options["dtype"])
    configs = options["configs"]
    with init_empty_weights():
        parts = {
            "unet": UNetSpatioTemporalConditionControlNeXtModel.from_config(configs["unet"]),
            "controlnext": ControlNeXtSDVModel(),
            "vae": AutoencoderKLTemporalDecoder.from_config(configs["vae"]),
            "image_encoder": CLIPVisionModelWithProjection(
                CLIPVisionConfig.from_dict(configs["image_encoder"])
            ),
        }
        last, width = parts["controlnext"].mid_convs[1], configs["unet"]["block_out_channels"][0]
        if width != last.out_channels:  # a smaller UNet than SVD's
            parts["controlnext"].mid_convs[1] = nn.Conv2d(last.in_channels, width, 1)
    parts = {name: randomize(part, device, dtype).to(device) for name, part in parts.items()}
    scheduler = EulerDiscreteScheduler.from_config(configs["scheduler"])
    return StableVideoDiffusionPipelineControlNeXt(
        **parts, scheduler=scheduler, feature_extractor=CLIPImageProcessor()
    )


def called(pipe: Any, options: dict[str, Any], steps: int) -> tuple[float, Tensor]:
    """Measure one call as the published command makes it; return seconds and latents."""
    height, width = options["size"]
    with np.load(options["pictures"]) as given:
        picture, *skeletons = (
            Image.fromarray(rows) for rows in (given["image"], *given["skeletons"])
        )
    noise = torch.Generator().manual_seed(options["seed"])
    torch.randn((1, 3, height, width), generator=noise)  # what the call will add to the picture
    start = torch.randn((1, len(skeletons), 4, height // 8, width // 8), generator=noise)
    latents: list[Tensor] = []
    decode = pipe.decode_latents

    def kept(found: Tensor, *rest: object) -> Tensor:
        latents.append(found)
        return decode(found, *rest)

    pipe.decode_latents = kept
    began = time.perf_counter()
    with torch.inference_mode():
        pipe(
            picture, skeletons, height=height, width=width, num_frames=len(skeletons),
            decode_chunk_size=2,
            num_inference_steps=steps, min_guidance_scale=3.0, max_guidance_scale=3.0,
            frames_per_batch=options["window"], overlap=options["overlap"],
            latents=start.to(pipe.unet.dtype),
            generator=torch.Generator().manual_seed(options["seed"]),
        )  # fmt: skip
    if options["device"].startswith("cuda"):
        torch.cuda.synchronize()
    pipe.decode_latents = decode
    return time.perf_counter() - began, latents[0]


def main(folder: str, given: str) -> None:
    """Run one step that is not counted, then the run that is."""
    own = Path(__file__).resolve().parents[3]  # whose package is called pipeline, too
    sys.path[:] = [folder, *(place for place in sys.path[1:] if Path(place).resolve() != own)]
    options = json.loads(Path(given).read_text(encoding="utf-8"))
    pipe = assembled(options)
    pipe.set_progress_bar_config(disable=True)
    called(pipe, options, 1)
    cuda = options["device"].startswith("cuda")
    if cuda:
        torch.cuda.reset_peak_memory_stats()
    seconds, latents = called(pipe, options, options["steps"])
    np.save(options["latents"], latents.float().cpu().numpy())
    figures = {"s_per_frame": seconds / options["frames"]}
    print(
        json.dumps(figures | ({"peak_gb": torch.cuda.max_memory_allocated() / 1e9} if cuda else {}))
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
