"""Times the published ControlNeXt-SVD v2 code, in a process of its own: `python peer.py FOLDER OPTIONS.json`.

FOLDER is a checkout's ControlNeXt-SVD-v2, whose packages are called pipeline, models and utils; so nothing of
this project is imported here. Networks are random, of the sizes in the options. Prints one JSON object.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKLTemporalDecoder
from PIL import Image
from torch import nn
from transformers import CLIPImageProcessor, CLIPVisionConfig, CLIPVisionModelWithProjection


def filled(network: nn.Module, device: str, dtype: torch.dtype) -> nn.Module:
    """The network on the device, with small random weights."""
    network = network.to_empty(device=device).to(dtype).eval().requires_grad_(False)
    generator = torch.Generator(device).manual_seed(0)
    for value in network.parameters():
        value.normal_(0, 0.02, generator=generator)
    return network


def assembled(options: dict) -> object:
    """Their pipeline, by the configurations of the four parts."""
    from models.controlnext_vid_svd import ControlNeXtSDVModel
    from models.unet_spatio_temporal_condition_controlnext import UNetSpatioTemporalConditionControlNeXtModel
    from utils.scheduling_euler_discrete_karras_fix import EulerDiscreteScheduler

    from pipeline.pipeline_stable_video_diffusion_controlnext import StableVideoDiffusionPipelineControlNeXt

    device, dtype = options["device"], getattr(torch, options["dtype"])
    configs = options["configs"]
    with torch.device("meta"):
        parts = {
            "unet": UNetSpatioTemporalConditionControlNeXtModel.from_config(configs["unet"]),
            "controlnext": ControlNeXtSDVModel(),
            "vae": AutoencoderKLTemporalDecoder.from_config(configs["vae"]),
            "image_encoder": CLIPVisionModelWithProjection(
                CLIPVisionConfig.from_dict(configs["image_encoder"])
            ),
        }
    parts = {name: filled(part, device, dtype) for name, part in parts.items()}
    for module in parts["image_encoder"].modules():
        if hasattr(module, "position_ids"):  # a buffer, which `to_empty` left without values
            module.position_ids = torch.arange(module.position_ids.shape[-1], device=device)[None]
    scheduler = EulerDiscreteScheduler.from_config(configs["scheduler"])
    return StableVideoDiffusionPipelineControlNeXt(
        **parts, scheduler=scheduler, feature_extractor=CLIPImageProcessor()
    )


def timed(pipe: object, options: dict, steps: int) -> float:
    """Seconds of one call as the published command makes it; the reference is the first control picture."""
    height, width = options["size"]
    rng = np.random.default_rng(0)
    image, *skeletons = (
        Image.fromarray(rng.integers(0, 255, (height, width, 3), dtype=np.uint8))
        for _ in range(options["frames"] + 2)
    )
    began = time.perf_counter()
    with torch.inference_mode():
        pipe(
            image, skeletons, height=height, width=width, num_frames=len(skeletons), decode_chunk_size=2,
            num_inference_steps=steps, min_guidance_scale=3.0, max_guidance_scale=3.0,
            frames_per_batch=options["window"], overlap=options["overlap"],
            generator=torch.Generator().manual_seed(0),
        )  # fmt: skip
    if options["device"].startswith("cuda"):
        torch.cuda.synchronize()
    return time.perf_counter() - began


def main(folder: str, given: str) -> None:
    """One step that is not counted, then the run."""
    own = Path(__file__).resolve().parents[2]  # whose package is called pipeline, too
    sys.path[:] = [folder, *(place for place in sys.path[1:] if Path(place).resolve() != own)]
    options = json.loads(Path(given).read_text(encoding="utf-8"))
    pipe = assembled(options)
    pipe.set_progress_bar_config(disable=True)
    timed(pipe, options, 1)
    cuda = options["device"].startswith("cuda")
    if cuda:
        torch.cuda.reset_peak_memory_stats()
    figures = {"s_per_frame": timed(pipe, options, options["steps"]) / options["frames"]}
    print(json.dumps(figures | ({"peak_gb": torch.cuda.max_memory_allocated() / 1e9} if cuda else {})))


if __name__ == "__main__":
    main(*sys.argv[1:])
