"""The table of model sets, and how one is found on this machine.

This file and `measuring_sets.py` alone hold hub ids, licenses, sizes and checksums. Sizes and
checksums that nobody published stand as None.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeline import ROOT
from pipeline.models import measuring_sets
from pipeline.models.model_files import File, check_file
from pipeline.models.model_set import ModelSet
from pipeline.values import InputError

# Marker beside a set's files that came from a repository which the user named: the known sizes and
# checksums do not apply
OTHER_REPOSITORY = "other-repository"


COMFY = "Kijai/ControlNeXt-SVD-V2-Comfy"
CONTROLNEXT = File(
    key="controlnext",
    path="controlnext-svd_v2-controlnet-fp16.safetensors",
    megabytes=7.06,
    sha256="2716ffab5fe4a4c2f088bdfa2bab0c4596f57c773a7cbb458f3a5bbd0d2545f4",
    repository=COMFY,
)

MINI = ModelSet(
    name="mini",
    what="embedded model, small, trained on drawn presenters and synthetic speech; runs on a CPU",
    license="Apache-2.0",
    gated=False,
    repository=None,
    files=(File("index", "model_index.json"),),
    folder=ROOT / "checkpoints" / "mini",
)

CONTROLNEXT_SVD = ModelSet(
    name="controlnext-svd",
    what="ControlNeXt-SVD v2 in half precision: control network and the whole UNet; "
    "wants a CUDA device",
    license="Apache-2.0 as tagged by Pbihao/ControlNeXt; derived from SVD, "
    "whose license holds as well",
    gated=False,
    repository=COMFY,
    files=(
        replace(CONTROLNEXT, repository=None),
        File(
            key="unet",
            path="controlnext-svd_v2-unet-fp16.safetensors",
            megabytes=3050.0,
            sha256="ef6570ba0407e760e2821149fe28d2af81703a36d1c769ee4d88fd369ea18d9a",
        ),
    ),
    needs=("svd-xt-1-1",),
)

SVD_XT = ModelSet(
    name="svd-xt-1-1",
    what="Stable Video Diffusion XT 1.1 without its UNet: image codec, image encoder, schedule, "
    "UNet config",
    license="stable-video-diffusion-1-1-nc-community (not for commercial use)",
    gated=True,
    repository="stabilityai/stable-video-diffusion-img2vid-xt-1-1",
    files=(
        File("vae", "vae/diffusion_pytorch_model.fp16.safetensors", megabytes=196.0),
        File("vae_config", "vae/config.json"),
        File("image_encoder", "image_encoder/model.fp16.safetensors"),
        File("image_encoder_config", "image_encoder/config.json"),
        File("scheduler_config", "scheduler/scheduler_config.json"),
        File("feature_extractor_config", "feature_extractor/preprocessor_config.json"),
        File("unet_config", "unet/config.json"),
    ),
)

ANIPORTRAIT = ModelSet(
    name="aniportrait",
    what="AniPortrait's speech network: face mesh from sound",
    license="Apache-2.0",
    gated=False,
    repository="ZJYang/AniPortrait",
    files=(
        File("audio2mesh", "audio2mesh.pt", megabytes=382.0),
        File("wav2vec2_config", "config.json", repository="facebook/wav2vec2-base-960h"),
    ),
)

DWPOSE = ModelSet(
    name="dwpose",
    what="DWPose: whole-body key points with ONNX networks",
    license="Apache-2.0",
    gated=False,
    repository="yzd-v/DWPose",
    files=(
        File("detector", "yolox_l.onnx", megabytes=217.0),
        File("pose", "dw-ll_ucoco_384.onnx", megabytes=134.0),
    ),
)

ANIMATELCM_SVD = ModelSet(
    name="animatelcm-svd",
    what="AnimateLCM's SVD-XT 1.1 UNet for 1 to 8 steps with ControlNeXt's control network, "
    "which was trained with another UNet: how well the two agree has not been seen by us",
    license="not stated at the hub where we looked (its code: MIT); derived from SVD, "
    "whose license (not for commercial use) holds",
    gated=False,
    repository="wangfuyun/AnimateLCM-SVD-xt",
    files=(
        CONTROLNEXT,
        File(
            key="unet",
            path="AnimateLCM-SVD-xt-1.1.safetensors",
            megabytes=6098.0,
            size=6098682464,  # to the byte that of diffusers' 1428 keys in float32
            sha256="94b2da1fcca8d03458ef0b07b94b4c55f94117cb0d90265c6c8452239ecc166e",
        ),
    ),
    needs=("svd-xt-1-1",),
    settings={
        "default_steps": 4,
        "scheduler": "consistency",
        "condition": {"min_guidance": 1.0, "max_guidance": 1.2},
    },
)

SETS = (
    MINI,
    CONTROLNEXT_SVD,
    SVD_XT,
    ANIPORTRAIT,
    DWPOSE,
    ANIMATELCM_SVD,
    *measuring_sets.SETS,
)


def find(name: str) -> ModelSet:
    """Return the set of that name; raise InputError that lists the known ones."""
    for row in SETS:
        if row.name == name:
            return row
    names = ", ".join(row.name for row in SETS)
    raise InputError(f"there is no model set {name!r}; known sets: {names}")


def is_installed(row: ModelSet) -> bool:
    """Tell whether every file of a set and of the sets that it needs is there."""
    return row.installed and all(is_installed(find(name)) for name in row.needs)


def to_dict(row: ModelSet) -> dict[str, Any]:
    """Return a row as JSON shows it."""
    return row.to_dict() | {"installed": is_installed(row)}


def located(name: str) -> dict[str, Path]:
    """Return file key -> path on this machine, those of needed sets included.

    InputError names what to download, or the file that is damaged.
    """
    row = find(name)
    if row.missing:
        raise InputError(_how_to_get(row, row.place / row.missing[0].path))
    paths: dict[str, Path] = {}
    for needed in row.needs:
        paths |= located(needed)
    for file in row.files:
        path = row.place / file.path
        check_file(path, known_facts(row, file))
        paths[file.key] = path
    return paths


def known_facts(row: ModelSet, file: File) -> File | None:
    """Return what is known of a file here; None if the user named its repository."""
    is_other = (row.place / OTHER_REPOSITORY).is_file()
    return None if is_other and not file.repository else file


def _how_to_get(row: ModelSet, path: Path) -> str:
    """Return the sentence for a set with a missing file."""
    if row.folder:
        return (
            f"{row.name} comes with the program, but {path} is missing; clone the repository again"
        )
    sentence = (
        f"{row.name} is not installed ({path} is missing); "
        f"run `python -m pipeline models --download {row.name}`"
    )
    if row.gated:
        page = f"https://huggingface.co/{row.repository}"
        sentence += f", after accepting its license at {page}"
    return sentence
