"""The table of model sets, where their files lie on this machine and how they are checked.

The only file with hub ids, licences, sizes and sums. Sizes and sums that nobody published stand as None.
"""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pipeline import ROOT
from pipeline.values import InputError

LFS = b"version https://git-lfs"
PICKLES = (".bin", ".pt", ".pth")
SMALL_SHARE = 0.98  # a file below this share of the published, rounded size is incomplete


@dataclass(frozen=True)
class File:
    """One file of a set: its key for the program, its path in the repository, what is known of it.

    size in bytes, where known exactly; megabytes as the hub's pages round it; repository where it is not the
    set's own.
    """

    key: str
    path: str
    megabytes: float | None = None
    size: int | None = None
    sha256: str | None = None
    repository: str | None = None


@dataclass(frozen=True)
class ModelSet:
    """One row of `python -m pipeline models`.

    needs: other sets without which this one does not run. settings: what a `settings.json` beside published
    files would say.
    """

    name: str
    what: str
    licence: str
    gated: bool
    repository: str | None
    files: tuple[File, ...]
    revision: str | None = None
    needs: tuple[str, ...] = ()
    folder: Path | None = None  # of a set that comes with the program
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def place(self) -> Path:
        """The folder on this machine that holds the set's files under their paths in the repository."""
        return self.folder or models_folder() / self.name

    @property
    def installed(self) -> bool:
        """Whether every file is there, those of the needed sets included."""
        return (
            bool(self.files)
            and not missing(self)
            and all(find(name).installed for name in self.needs)
        )

    @property
    def megabytes(self) -> float | None:
        """MB on disk where the set is installed, else the published size as far as it is known."""
        if self.files and not missing(self):
            return sum(f.stat().st_size for f in self.place.rglob("*") if f.is_file()) / 1e6
        known = [file.megabytes for file in self.files if file.megabytes]
        return sum(known) if known else None

    @property
    def where(self) -> str:
        """Where the set comes from, in words."""
        if self.folder:
            return f"{self.folder.relative_to(ROOT).as_posix()} in this repository"
        return f"huggingface.co/{self.repository}" if self.repository else "no repository is known"

    def to_dict(self) -> dict[str, Any]:
        """The row as `--json` prints it."""
        return {
            "name": self.name, "what": self.what, "licence": self.licence, "gated": self.gated,
            "where": self.where, "folder": str(self.place), "installed": self.installed,
            "megabytes": self.megabytes, "needs": list(self.needs),
            "missing": [file.path for file in missing(self)],
        }  # fmt: skip


COMFY = "Kijai/ControlNeXt-SVD-V2-Comfy"
CONTROLNEXT = File(
    "controlnext",
    "controlnext-svd_v2-controlnet-fp16.safetensors",
    7.06,
    sha256="2716ffab5fe4a4c2f088bdfa2bab0c4596f57c773a7cbb458f3a5bbd0d2545f4",
    repository=COMFY,
)
OTHER = "other-repository"  # beside a set's files where --repository gave them: sizes and sums do not hold
SETS = (
    ModelSet(
        "mini",
        "embedded model, small, trained on drawn presenters and synthetic speech; runs on a CPU",
        "Apache-2.0",
        False,
        None,
        (File("index", "model_index.json"),),
        folder=ROOT / "checkpoints" / "mini",
    ),
    ModelSet(
        "controlnext-svd",
        "ControlNeXt-SVD v2 in half precision: control network and the whole UNet; wants a CUDA device",
        "Apache-2.0 as tagged by Pbihao/ControlNeXt; derived from SVD, whose licence holds as well",
        False,
        COMFY,
        (
            replace(CONTROLNEXT, repository=None),
            File(
                "unet",
                "controlnext-svd_v2-unet-fp16.safetensors",
                3050.0,
                sha256="ef6570ba0407e760e2821149fe28d2af81703a36d1c769ee4d88fd369ea18d9a",
            ),
        ),
        needs=("svd-xt-1-1",),
    ),
    ModelSet(
        "svd-xt-1-1",
        "Stable Video Diffusion XT 1.1 without its UNet: image codec, image encoder, schedule, UNet config",
        "stable-video-diffusion-1-1-nc-community (not for commercial use)",
        True,
        "stabilityai/stable-video-diffusion-img2vid-xt-1-1",
        (
            File("vae", "vae/diffusion_pytorch_model.fp16.safetensors", 196.0),
            File("vae_config", "vae/config.json"),
            File("image_encoder", "image_encoder/model.fp16.safetensors"),
            File("image_encoder_config", "image_encoder/config.json"),
            File("scheduler_config", "scheduler/scheduler_config.json"),
            File("feature_extractor_config", "feature_extractor/preprocessor_config.json"),
            File("unet_config", "unet/config.json"),
        ),
    ),
    ModelSet(
        "aniportrait",
        "AniPortrait's speech network: face mesh from sound",
        "Apache-2.0",
        False,
        "ZJYang/AniPortrait",
        (
            File("audio2mesh", "audio2mesh.pt", 382.0),
            File("wav2vec2_config", "config.json", repository="facebook/wav2vec2-base-960h"),
        ),
    ),
    ModelSet(
        "dwpose",
        "DWPose: whole-body key points with ONNX networks",
        "Apache-2.0",
        False,
        "yzd-v/DWPose",
        (
            File("detector", "yolox_l.onnx", 217.0),
            File("pose", "dw-ll_ucoco_384.onnx", 134.0),
        ),
    ),
    ModelSet(
        "animatelcm-svd",
        "AnimateLCM's SVD-XT 1.1 UNet for 1 to 8 steps with ControlNeXt's control network, which was trained "
        "with another UNet: how well the two agree has not been seen by us",
        "not stated at the hub where we looked (its code: MIT); derived from SVD, whose licence (not for "
        "commercial use) holds",
        False,
        "wangfuyun/AnimateLCM-SVD-xt",
        (
            CONTROLNEXT,
            File(
                "unet",
                "AnimateLCM-SVD-xt-1.1.safetensors",
                6098.0,
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
    ),
)


def find(name: str) -> ModelSet:
    """The set of that name; ValueError that lists the known ones."""
    for row in SETS:
        if row.name == name:
            return row
    names = ", ".join(row.name for row in SETS)
    raise InputError(f"there is no model set {name!r}; known sets: {names}")


def models_folder() -> Path:
    """Where downloaded sets lie: APV_MODELS, else `models` in APV_CACHE or in the user's cache folder."""
    own, cache = os.environ.get("APV_MODELS"), os.environ.get("APV_CACHE")
    if own:
        return Path(own).expanduser()
    if cache:
        return Path(cache).expanduser() / "models"
    from platformdirs import user_cache_dir

    return Path(user_cache_dir("apv-studio")) / "models"


def missing(row: ModelSet) -> tuple[File, ...]:
    """The files of a set, without its needed sets, that are not on this machine."""
    return tuple(file for file in row.files if not (row.place / file.path).is_file())


def located(name: str) -> dict[str, Path]:
    """File key -> path on this machine, those of needed sets included; ValueError names what to download."""
    row = find(name)
    absent = missing(row)
    if absent and row.folder:
        raise InputError(f"{name} comes with the program, but {row.place / absent[0].path} is missing; "
                         "clone the repository again")  # fmt: skip
    if absent:
        raise InputError(
            f"{name} is not installed ({row.place / absent[0].path} is missing); "
            f"run `python -m pipeline models --download {name}`"
            + (
                f", after accepting its licence at https://huggingface.co/{row.repository}"
                * row.gated
            )
        )
    paths: dict[str, Path] = {}
    for needed in row.needs:
        paths |= located(needed)
    paths |= {file.key: row.place / file.path for file in row.files}
    for file in row.files:
        check_file(paths[file.key], facts(row, file))
    return paths


def facts(row: ModelSet, file: File) -> File | None:
    """What is known of a file here: None where it came from a repository that the user named instead."""
    return file if file.repository or not (row.place / OTHER).is_file() else None


def check_file(path: Path, file: File | None = None) -> None:
    """ValueError with one sentence if a file is missing, an LFS pointer, incomplete or of another size.

    Sums, seconds per GB, are `check_sum`'s affair. Without `file` only the content is judged.
    """
    again = "download it again"
    if not path.is_file():
        raise InputError(f"{path} is missing; put it there or download its model set")
    with path.open("rb") as opened:
        head = opened.read(64)
    size = path.stat().st_size
    if head.startswith(LFS):
        raise InputError(
            f"{path} is a Git LFS pointer, not the weights; run `git lfs pull` or {again}"
        )
    if file is not None and file.size is not None and size != file.size:
        raise InputError(f"{path} has {size} bytes instead of {file.size}; {again}")
    if file is not None and file.megabytes and size < file.megabytes * 1e6 * SMALL_SHARE:
        raise InputError(
            f"{path} has {size / 1e6:.1f} MB instead of {file.megabytes:g}: incomplete; {again}"
        )
    if path.suffix == ".json":
        _check_json(path)
    elif path.suffix == ".safetensors" and size != safetensors_size(path):
        raise InputError(
            f"{path} is incomplete or damaged (its header does not fit its size); {again}"
        )
    elif path.suffix in PICKLES and head.startswith(b"PK") and not zipfile.is_zipfile(path):
        raise InputError(f"{path} is incomplete (the end of its archive is missing); {again}")
    elif size == 0:
        raise InputError(f"{path} is empty; {again}")


def _check_json(path: Path) -> None:
    try:
        json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:  # of the encoding, too
        raise InputError(f"{path} is not readable as JSON ({error}); download it again") from error


def safetensors_size(path: Path) -> int | None:
    """The size in bytes that the header of a safetensors file promises, or None without a whole header."""
    with path.open("rb") as opened:
        length = int.from_bytes(opened.read(8), "little")
        if length > path.stat().st_size:
            return None
        try:
            table = json.loads(opened.read(length))
            ends = [
                entry["data_offsets"][1] for name, entry in table.items() if name != "__metadata__"
            ]
        except (ValueError, TypeError, KeyError, IndexError, AttributeError):
            return None
    return 8 + length + max(ends, default=0)


def check_sum(path: Path, file: File | None) -> None:
    """ValueError if the file's SHA-256 is known and another; takes some seconds per GB."""
    if file is None or file.sha256 is None:
        return
    with path.open("rb") as opened:
        found = hashlib.file_digest(opened, "sha256").hexdigest()
    if found != file.sha256:
        raise InputError(
            f"{path} has the SHA-256 {found[:12]}..., not {file.sha256[:12]}...; download it again"
        )
