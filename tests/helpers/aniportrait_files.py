"""AniPortrait's Audio2Mesh, tiny, as a published file, with the parity data's random weights."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from pipeline.models.aniportrait import Audio2Mesh
from pipeline.models.state_dict import read_settings, shapes
from tests.helpers.published import recipe

DATA = Path(__file__).resolve().parents[1] / "data"
CONFIG = DATA / "wav2vec2_tiny_config.json"
SEED = 21


def tiny_state() -> dict[str, Tensor]:
    """The state dict of `audio2mesh` by its published names."""
    with torch.device("meta"):
        model = Audio2Mesh(read_settings(CONFIG), latent_dim=32)
    state = {key: recipe(key, shape, SEED) for key, shape in shapes(model).items()}
    for key, value in state.items():
        if key.endswith("weight_g"):
            state[key] = (value.abs() + 0.5).half().float()
    return state


def write(folder: Path) -> dict[str, Path]:
    """Write the file as the published one is written; return what `registry.located` returns."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "audio2mesh.pt"
    torch.save(tiny_state(), path)
    return {"audio2mesh": path, "wav2vec2_config": CONFIG}
