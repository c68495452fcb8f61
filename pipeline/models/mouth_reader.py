"""A small network that reads mouth opening from pixels, to measure rendered frames."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

from pipeline import ROOT
from pipeline.values import InputError

SIDE = 20  # pixels of a crop
# In distances from the eyes' middle to the nose's base
REACH = 1.15  # half the crop's side
BELOW = 0.75  # of the crop's middle under the nose's base
NOSE_BASE = slice(31, 36)
BOTH_EYES = slice(36, 48)
MIN_CONTRAST = 0.02
SHIPPED = ROOT / "checkpoints" / "sync_mini" / "mouth_reader.safetensors"


def mouth_crops(pictures: Tensor, face: Tensor) -> Tensor:
    """Return (N, 3, 20, 20) upright mouths.

    Args:
        pictures: (N, 3, H, W) in [0, 1].
        face: (N, 68, 3) face points x, y, score, in fractions of the picture.
    """
    height, width = pictures.shape[-2:]
    pixels = face[..., :2] * face.new_tensor((width, height))
    nose = pixels[:, NOSE_BASE].mean(1)
    down = nose - pixels[:, BOTH_EYES].mean(1)
    middle = nose + BELOW * down
    right = torch.stack([down[:, 1], -down[:, 0]], 1)
    # (N, 2, 3): unit square to pixels
    place = torch.stack([REACH * right, REACH * down, middle], 2)
    scale = place.new_tensor([[2 / width], [2 / height]])
    place = place * scale
    place[:, :, 2] -= 1
    grid = F.affine_grid(place, [len(pictures), 3, SIDE, SIDE], align_corners=False)
    return F.grid_sample(pictures, grid, padding_mode="border", align_corners=False)


class MouthReader(nn.Module):
    """Crops (N, 3, 20, 20) in [0, 1] -> (N,) apertures of the inner lips; 6 000 parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 12, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(12, 16, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(16 * (SIDE // 4) ** 2, 8),
            nn.ReLU(),
            nn.Linear(8, 1),
        )
        # mean and deviation of the apertures
        self.register_buffer("level", torch.tensor([0.0, 1.0]))

    def forward(self, crops: Tensor) -> Tensor:
        # the shade of the skin and the light do not count
        even = crops - crops.mean((2, 3), keepdim=True)
        contrast = even.std((1, 2, 3), keepdim=True).clamp_min(MIN_CONTRAST)
        values = self.layers(even / contrast)[:, 0]
        mean, deviation = self.level
        return values * deviation + mean

    @torch.no_grad()
    def read(self, pictures: Tensor, face: Tensor) -> Tensor:
        """Return apertures (N,) of mouths in pictures (N, 3, H, W) with face points (N, 68, 3)."""
        return self(mouth_crops(pictures.clamp(0, 1), face))


def shipped(path: Path = SHIPPED) -> MouthReader:
    """Return the frozen reader; raise InputError where its file is missing."""
    if not path.is_file():
        raise InputError(
            f"the mouth reader {path} is missing; "
            "train it with `python -m pipeline.training.train_mouth_reader`"
        )
    network = MouthReader()
    network.load_state_dict(load_file(path))
    return network.eval().requires_grad_(False)
