"""AniPortrait's two networks, tiny, as published files, with the parity data's random weights."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from pipeline.models.aniportrait import Audio2HeadPose, Audio2Mesh
from pipeline.models.state_dict import read_settings, shapes
from tests.helpers.published import recipe

DATA = Path(__file__).resolve().parents[1] / "data"
CONFIG = DATA / "wav2vec2_tiny_config.json"
MESH_SEED, POSE_SEED = 21, 22


def tiny_state(name: str) -> dict[str, Tensor]:
    """The state dict of `audio2mesh` or `audio2pose`, published names, without the computed positions."""
    settings = read_settings(CONFIG)
    with torch.device("meta"):
        if name == "audio2mesh":
            model, seed = Audio2Mesh(settings, latent_dim=32), MESH_SEED
        else:
            model, seed = Audio2HeadPose(settings, latent_dim=32, feedforward=64), POSE_SEED
    state = {
        key: recipe(key, shape, seed) for key, shape in shapes(model).items() if key != "PPE.pe"
    }
    for key, value in state.items():
        if key.endswith("weight_g"):
            state[key] = (value.abs() + 0.5).half().float()
    return state


def write(folder: Path) -> dict[str, Path]:
    """Both files as the published ones are written, and the config; returns what `hub.located` returns."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = {name: folder / f"{name}.pt" for name in ("audio2mesh", "audio2pose")}
    for name, path in paths.items():
        torch.save(tiny_state(name), path)
    return paths | {"wav2vec2_config": CONFIG}
