"""The table of model sets and where their files lie on this machine.

The only file with hub ids, licenses, sizes and checksums. Sizes and checksums that nobody published
stand as None.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pipeline import ROOT
from pipeline.models.model_files import File, check_file
from pipeline.values import InputError

# Marker beside a set's files that came from a repository which the user named: the known sizes and
# checksums do not apply
OTHER_REPOSITORY = "other-repository"


@dataclass(frozen=True)
class ModelSet:
    """One row of the table of model sets.

    Attributes:
        name: what the user calls it.
        what: what it is, in words.
        license: in words.
        gated: whether the hub asks for the license to be accepted first.
        repository: its id at the hub.
        files: what belongs to it.
        revision: of the repository; None = the newest.
        needs: other sets without which this one does not run.
        folder: of a set that comes with the program.
        settings: what a `settings.json` beside published files would say.
    """

    name: str
    what: str
    license: str
    gated: bool
    repository: str | None
    files: tuple[File, ...]
    revision: str | None = None
    needs: tuple[str, ...] = ()
    folder: Path | None = None
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def place(self) -> Path:
        """The folder on this machine that holds the files under their paths in the repository."""
        return self.folder or models_folder() / self.name

    @property
    def installed(self) -> bool:
        """Whether every file is there, those of the needed sets included."""
        if not self.files or missing(self):
            return False
        return all(find(name).installed for name in self.needs)

    @property
    def megabytes(self) -> float | None:
        """MB on disk where the set is installed, else the published size as far as it is known."""
        if self.files and not missing(self):
            sizes = [path.stat().st_size for path in self.place.rglob("*") if path.is_file()]
            return sum(sizes) / 1e6
        known = [file.megabytes for file in self.files if file.megabytes]
        return sum(known) if known else None

    @property
    def where(self) -> str:
        """Where the set comes from, in words."""
        if self.folder:
            return f"{self.folder.relative_to(ROOT).as_posix()} in this repository"
        return f"huggingface.co/{self.repository}" if self.repository else "no repository is known"

    def to_dict(self) -> dict[str, Any]:
        """Return the row as JSON shows it."""
        return {
            "name": self.name,
            "what": self.what,
            "licence": self.license,
            "gated": self.gated,
            "where": self.where,
            "folder": str(self.place),
            "installed": self.installed,
            "megabytes": self.megabytes,
            "needs": list(self.needs),
            "missing": [file.path for file in missing(self)],
        }


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

SETS = (MINI, CONTROLNEXT_SVD, SVD_XT, ANIPORTRAIT, DWPOSE, ANIMATELCM_SVD)


def find(name: str) -> ModelSet:
    """Return the set of that name; raise InputError that lists the known ones."""
    for row in SETS:
        if row.name == name:
            return row
    names = ", ".join(row.name for row in SETS)
    raise InputError(f"there is no model set {name!r}; known sets: {names}")


def models_folder() -> Path:
    """Return where downloaded sets lie.

    That is APV_MODELS, else `models` in APV_CACHE or in the user's cache folder.
    """
    models = os.environ.get("APV_MODELS")
    if models:
        return Path(models).expanduser()
    cache = os.environ.get("APV_CACHE")
    if cache:
        return Path(cache).expanduser() / "models"
    from platformdirs import user_cache_dir

    return Path(user_cache_dir("apv-studio")) / "models"


def missing(row: ModelSet) -> tuple[File, ...]:
    """Return the files of a set, without its needed sets, that are not on this machine."""
    return tuple(file for file in row.files if not (row.place / file.path).is_file())


def located(name: str) -> dict[str, Path]:
    """Return file key -> path on this machine, those of needed sets included.

    InputError names what to download, or the file that is damaged.
    """
    row = find(name)
    absent = missing(row)
    if absent:
        raise InputError(_how_to_get(row, row.place / absent[0].path))
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
