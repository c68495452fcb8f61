"""Speed and memory of a large backbone: `python -m pipeline bench --model NAME [--random-weights]`.

Every size is run with each attention that the device offers, jointly and by the published loop,
which decodes two frames at a time. The figures named "published" are this project's own code for
that loop, those named "peer" the published code itself in `--peer FOLDER`, on the same weights and
noise. Random weights cost what trained ones do and need no download.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pipeline.analysis import progress
from pipeline.evaluation.bench import published_code
from pipeline.evaluation.bench.published_code import randomize
from pipeline.evaluation.report import ASSETS
from pipeline.motion import skeleton, timing
from pipeline.render import load
from pipeline.render.runtime.cost import estimate
from pipeline.render.runtime.device import DTYPES, Placement, choose_device
from pipeline.render.runtime.placement import place
from pipeline.render.svd import from_published
from pipeline.values import InputError, Motion, Pose

DRIVING = ASSETS / "driving" / "beats.npz"
SEED = 0
PUBLISHED = {"decode_chunk": 2, "decode_overlap": 0}
OFFLOAD_STEPS = 2  # enough to see the peak of a run with offload
# SVD-XT 1.1 as its own files describe it
CONFIGS: Mapping[str, dict[str, Any]] = {
    "unet": {
        "sample_size": 96, "in_channels": 8, "out_channels": 4,
        "block_out_channels": [320, 640, 1280, 1280],
        "layers_per_block": 2, "num_attention_heads": [5, 10, 20, 20], "cross_attention_dim": 1024,
        "addition_time_embed_dim": 256, "projection_class_embeddings_input_dim": 768,
        "num_frames": 25,
    },
    "vae": {
        "block_out_channels": [128, 256, 512, 512], "layers_per_block": 2,
        "scaling_factor": 0.18215,
        "down_block_types": ["DownEncoderBlock2D"] * 4, "force_upcast": True,
    },
    "image_encoder": {
        "hidden_size": 1280, "intermediate_size": 5120, "projection_dim": 1024,
        "num_hidden_layers": 32,
        "num_attention_heads": 16, "image_size": 224, "patch_size": 14, "hidden_act": "gelu",
    },
    "scheduler": {
        "beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear",
        "prediction_type": "v_prediction", "sigma_min": 0.002, "sigma_max": 700.0,
        "steps_offset": 1,
        "timestep_type": "continuous", "timestep_spacing": "leading", "use_karras_sigmas": True,
    },
}  # fmt: skip


def random_pipeline(device: str, dtype: torch.dtype, folder: Path | None = None) -> Any:
    """Make the published pipeline with random weights, by CONFIGS or those in a folder."""
    with tempfile.TemporaryDirectory() as made:
        home = write_configs(Path(made)) if folder is None else folder
        names = {"unet_config": "unet/config.json", "vae_config": "vae/config.json",
                 "image_encoder_config": "image_encoder/config.json",
                 "scheduler_config": "scheduler/scheduler_config.json"}  # fmt: skip
        paths = {key: home / name for key, name in names.items()}
        if (home / "settings.json").is_file():
            paths["settings"] = home / "settings.json"
        parts = from_published.networks(paths)
        for part in parts.values():
            randomize(part, torch.device(device), dtype)
        return from_published.assemble(parts, paths)


def write_configs(folder: Path) -> Path:
    """Write CONFIGS as the files of a published folder."""
    for name, config in CONFIGS.items():
        (folder / name).mkdir()
        file = "scheduler_config.json" if name == "scheduler" else "config.json"
        (folder / name / file).write_text(json.dumps(config), encoding="utf-8")
    return folder


def moves(frames: int) -> Motion:
    """Make a motion of that many frames with a gesturing body of the shipped clips."""
    pose = timing.fit_length(Pose.load(DRIVING), frames, "pingpong")
    zero = np.zeros(frames)
    tokens = np.zeros((frames, 1, 1), np.float32)
    return Motion(pose, pose[:1], None, None, zero, zero, np.ones(frames), tokens)


def picture(size: tuple[int, int]) -> np.ndarray:
    """Make a reference image (H, W, 3) of noise."""
    return np.random.default_rng(0).integers(0, 255, (*size, 3), dtype=np.uint8)


def measured(pipe: Any, motion: Motion, size: tuple[int, int], **options: Any) -> dict[str, float]:
    """Measure seconds per frame, in all and by stage, and the device's peak memory in GB."""
    cuda = pipe.placed.device.startswith("cuda")
    if cuda:
        torch.cuda.reset_peak_memory_stats()
    meter = progress.Meter()
    height, width = size
    began = time.perf_counter()
    noise = torch.Generator().manual_seed(SEED)
    image = picture(size)
    work = pipe.render(image, motion, height=height, width=width, generator=noise, **options)
    meter.drain(work)
    if cuda:
        torch.cuda.synchronize()
    figures = {"s_per_frame": (time.perf_counter() - began) / len(motion)}
    for stage, seconds in meter.seconds.items():
        figures[f"{stage}_s_per_frame"] = seconds / len(motion)
    if cuda:
        figures["peak_gb"] = torch.cuda.max_memory_allocated() / 1e9
    return figures


def run(args: argparse.Namespace) -> dict[str, object]:
    """Measure all figures, flat: SIZE_ATTENTION_WINDOWS_FIGURE, and per size what is estimated."""
    if args.peer is not None:
        check_peer(args.peer)  # before minutes of work
    device = choose_device(args.device)
    auto = torch.float16 if device.startswith("cuda") else torch.float32
    dtype = DTYPES.get(args.dtype, auto)
    kind = str(dtype).removeprefix("torch.")
    how = Placement(device, "sdpa", kind, "none", args.compile, args.channels_last)
    if args.random_weights:
        pipe = random_pipeline(device, dtype, Path(args.config) if args.config else None)
    else:
        pipe = load.load(args.model, how=how)
    motion = moves(args.frames)
    figures: dict[str, object] = {}
    latents: dict[str, Tensor] = {}
    options = {"num_inference_steps": args.steps, "window": args.window, "overlap": args.overlap}
    for text, size in sizes(args.sizes):
        for attention in ("sdpa", "xformers"):
            try:
                place(pipe, replace(how, attention=attention))
            except ValueError as error:
                figures[f"{text}_{attention}"] = str(error)
            else:
                found, latents[text] = compared(pipe, motion, size, options)
                figures |= {f"{text}_{attention}_{name}": value for name, value in found.items()}
        place(pipe, how)
        guess = estimate(
            pipe, size, args.frames, steps=args.steps, window=args.window, overlap=args.overlap
        )
        figures[f"{text}_estimate_s_per_frame"] = guess.seconds / args.frames
        figures[f"{text}_estimate_gb"] = guess.gigabytes
    figures |= offloaded(pipe, motion, how, args.sizes, options)
    if args.peer is not None:
        del pipe  # both do not fit on a device at once
        if device.startswith("cuda"):
            torch.cuda.empty_cache()
        figures |= published_loop(args, motion, device, kind, latents)
    return figures


def sizes(texts: Sequence[str]) -> list[tuple[str, tuple[int, int]]]:
    """Return each text WIDTHxHEIGHT with its (H, W). Raises InputError for another form."""
    try:
        sides = [[int(side) for side in text.split("x")] for text in texts]
        return [(text, (height, width)) for text, (width, height) in zip(texts, sides, strict=True)]
    except ValueError:
        raise InputError(
            f"sizes are {' '.join(texts)}; give each as WIDTHxHEIGHT, as in 576x1024"
        ) from None


def compared(
    pipe: Any, motion: Motion, size: tuple[int, int], options: Mapping[str, int]
) -> tuple[dict[str, float], Tensor]:
    """Measure both window modes, each after one step that is not counted.

    Returns the figures and the latents (1, F, C, h, w) of the loop that ran last.
    """
    figures: dict[str, float] = {}
    latents: dict[str, Tensor] = {}

    def keep(pipe: Any, index: int, timestep: Tensor, tensors: dict[str, Tensor]) -> None:
        latents.update(tensors)

    for window_mode, codec in (("joint", {}), ("published", PUBLISHED)):
        if window_mode == "published" and getattr(pipe.scheduler, "noisy", False):
            continue
        chosen = {**options, "window_mode": window_mode, "conditioning": codec}
        measured(pipe, motion[: options["window"]], size, **(chosen | {"num_inference_steps": 1}))
        found = measured(pipe, motion, size, **chosen, callback_on_step_end=keep)
        figures |= {f"{window_mode}_{name}": value for name, value in found.items()}
    return figures, latents["latents"].float().cpu()


def check_peer(folder: str) -> None:
    """Raise InputError where a folder holds no published code."""
    code = Path(folder) / "pipeline" / "pipeline_stable_video_diffusion_controlnext.py"
    if not code.is_file():
        raise InputError(
            f"--peer {folder} lacks {code.relative_to(folder)}; name the folder ControlNeXt-SVD-v2 "
            "of a checkout of github.com/dvlab-research/ControlNeXt"
        )


def published_loop(
    args: argparse.Namespace, motion: Motion, device: str, kind: str, ours: Mapping[str, Tensor]
) -> dict[str, float | str]:
    """Measure the published code in the folder `args.peer` at all sizes, with random weights.

    `difference` is the RMS of its latents less ours, over the RMS of its own; it exists for random
    weights only.
    """
    figures: dict[str, float | str] = {}
    with tempfile.TemporaryDirectory() as folder:
        home = Path(args.config) if args.config else write_configs(Path(folder))
        files = {
            name: "scheduler_config.json" if name == "scheduler" else "config.json"
            for name in CONFIGS
        }
        configs = {
            name: from_published.read_json(home / name / file) for name, file in files.items()
        }
        asked = {name: getattr(args, name) for name in ("frames", "steps", "window", "overlap")}
        asked |= {"device": device, "dtype": kind, "configs": configs, "seed": SEED}
        asked |= {"pictures": f"{folder}/pictures.npz", "latents": f"{folder}/latents.npy"}
        for text, size in sizes(args.sizes):
            poses = [
                skeleton.draw(pose, size, "controlnext") for pose in (motion.reference, motion.pose)
            ]
            np.savez(asked["pictures"], image=picture(size), skeletons=np.concatenate(poses))
            try:
                found = _peer(args.peer, asked | {"size": size}, Path(folder) / "options.json")
            except ValueError as error:  # minutes of our own figures are not lost for it
                figures[f"{text}_peer"] = str(error)
                continue
            if args.random_weights:
                theirs = torch.from_numpy(np.load(asked["latents"]))
                difference = (theirs - ours[text]).norm() / theirs.norm()
                found["difference"] = f"{difference:.1e}"
            figures |= {f"{text}_peer_{name}": value for name, value in found.items()}
    return figures


def _peer(folder: str, asked: Mapping[str, Any], path: Path) -> dict[str, float | str]:
    """Run the published code in a process of its own, with its options in a file."""
    path.write_text(json.dumps(asked), encoding="utf-8")
    command = [
        sys.executable,
        "-W",
        "ignore",
        published_code.__file__,
        str(Path(folder).resolve()),
        str(path),
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise InputError(f"the published code in {folder} stopped: {last}")
    return json.loads(done.stdout.splitlines()[-1])


def offloaded(
    pipe: Any, motion: Motion, how: Placement, texts: Sequence[str], options: Mapping[str, int]
) -> dict[str, float]:
    """Measure peak memory on a CUDA device with networks in main memory.

    It comes last, since the hooks stay.
    """
    if not how.device.startswith("cuda"):
        return {}
    place(pipe, replace(how, offload="model"))
    chosen = {**options, "num_inference_steps": OFFLOAD_STEPS}
    found = {text: measured(pipe, motion, size, **chosen) for text, size in sizes(texts)}
    return {f"{text}_offload_model_peak_gb": value["peak_gb"] for text, value in found.items()}
