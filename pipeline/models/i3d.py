"""I3D on Kinetics-400, for FVD: a clip -> 400 logits.

Carreira and Zisserman 2017, "Quo vadis, action recognition?". `I3D` loads the plain table of
tensors `i3d_pretrained_400.pt` (VideoGPT, TATS) by its names; the code is our own. `TorchScriptI3D`
runs the program `i3d_torchscript.pt` (StyleGAN-V). A TorchScript file is code, and what it may do
is not limited to tensors: it is opened only if its SHA-256 is the published one, or one that the
user states. The plain table is the safe door. A clip of 16 frames takes 1.3 s of one CPU thread.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.models import measuring_sets
from pipeline.models.measuring_weights import checksum
from pipeline.models.state_dict import fill, read_state, with_counters
from pipeline.values import InputError

SIDE_PX = 224
LEAST_FRAMES = 9  # the last mean takes two of the eighths of the frames
SIZE = 400  # logits
CHANNELS = 1024  # before them

Sides = tuple[int, int, int]
# name, then channels of b0, b1a, b1b, b2a, b2b and b3b
MIXED = {
    "Mixed_3b": (64, 96, 128, 16, 32, 32),
    "Mixed_3c": (128, 128, 192, 32, 96, 64),
    "Mixed_4b": (192, 96, 208, 16, 48, 64),
    "Mixed_4c": (160, 112, 224, 24, 64, 64),
    "Mixed_4d": (128, 128, 256, 24, 64, 64),
    "Mixed_4e": (112, 144, 288, 32, 64, 64),
    "Mixed_4f": (256, 160, 320, 32, 128, 128),
    "Mixed_5b": (256, 160, 320, 32, 128, 128),
    "Mixed_5c": (384, 192, 384, 48, 128, 128),
}
# Before these blocks the clip is pooled: kernel (frames, height, width), which is its stride where
# it is not 3.
POOLED: dict[str, tuple[Sides, Sides]] = {
    "Mixed_3b": ((1, 3, 3), (1, 2, 2)),
    "Mixed_4b": ((3, 3, 3), (2, 2, 2)),
    "Mixed_5b": ((2, 2, 2), (2, 2, 2)),
}


def padded(x: Tensor, kernel: Sides, stride: Sides) -> Tensor:
    """Return a clip (N, C, T, H, W) with TensorFlow's border of zeros, the larger part last."""
    pads: list[int] = []
    for size, window, step in zip(x.shape[2:], kernel, stride, strict=True):
        count = math.ceil(size / step)
        border = max((count - 1) * step + window - size, 0)
        before = border // 2
        pads = [before, border - before, *pads]
    return F.pad(x, pads)


def pooled(x: Tensor, kernel: Sides, stride: Sides) -> Tensor:
    """Return the largest value of each window; values are not below 0, so that zeros may border."""
    return F.max_pool3d(padded(x, kernel, stride), kernel, stride)


class Unit(nn.Module):
    """A convolution with its batch normalization and rectifier."""

    def __init__(self, inputs: int, outputs: int, side: int = 1, step: int = 1) -> None:
        super().__init__()
        self.kernel = (side, side, side)
        self.stride = (step, step, step)
        self.conv3d = nn.Conv3d(inputs, outputs, self.kernel, self.stride, bias=False)
        self.bn = nn.BatchNorm3d(outputs, eps=1e-5)  # VideoGPT's; I3D of other projects has 1e-3

    def forward(self, x: Tensor) -> Tensor:
        values = self.conv3d(padded(x, self.kernel, self.stride))
        return F.relu(self.bn(values), inplace=True)


class Logits(nn.Module):
    """The convolution that gives the logits."""

    def __init__(self) -> None:
        super().__init__()
        self.conv3d = nn.Conv3d(CHANNELS, SIZE, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv3d(x)


class Mixed(nn.Module):
    """Four branches side by side, joined by their channels."""

    def __init__(self, inputs: int, channels: Sequence[int]) -> None:
        super().__init__()
        b0, b1a, b1b, b2a, b2b, b3b = channels
        self.b0 = Unit(inputs, b0)
        self.b1a = Unit(inputs, b1a)
        self.b1b = Unit(b1a, b1b, 3)
        self.b2a = Unit(inputs, b2a)
        self.b2b = Unit(b2a, b2b, 3)
        self.b3b = Unit(inputs, b3b)
        self.outputs = b0 + b1b + b2b + b3b

    def forward(self, x: Tensor) -> Tensor:
        first = self.b0(x)
        second = self.b1b(self.b1a(x))
        third = self.b2b(self.b2a(x))
        largest = pooled(x, (3, 3, 3), (1, 1, 1))
        fourth = self.b3b(largest)
        return torch.cat([first, second, third, fourth], 1)


class I3D(nn.Module):
    """Clips (N, 3, T, 224, 224) in [-1, 1], T from 9 -> logits (N, 400), a mean over time."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv3d_1a_7x7 = Unit(3, 64, 7, 2)
        self.Conv3d_2b_1x1 = Unit(64, 64)
        self.Conv3d_2c_3x3 = Unit(64, 192, 3)
        channels = 192
        for name, outputs in MIXED.items():
            block = Mixed(channels, outputs)
            self.add_module(name, block)
            channels = block.outputs
        self.logits = Logits()

    @classmethod
    def from_published(cls, path: Path) -> I3D:
        """Return the network of `i3d_pretrained_400.pt`; raise InputError for another file."""
        state = read_state(path)
        with torch.device("meta"):
            model = cls()
        return fill(model, with_counters(model, state), path)

    def forward(self, clips: Tensor) -> Tensor:
        x = self.Conv3d_1a_7x7(clips)
        x = pooled(x, (1, 3, 3), (1, 2, 2))
        x = self.Conv3d_2b_1x1(x)
        x = self.Conv3d_2c_3x3(x)
        for name in MIXED:
            if name in POOLED:
                x = pooled(x, *POOLED[name])
            x = self.get_submodule(name)(x)
        x = F.avg_pool3d(x, (2, 7, 7), 1)
        return self.logits(x).mean((2, 3, 4))

    @torch.no_grad()
    def features(self, clips: np.ndarray) -> np.ndarray:
        """Return logits (N, 400) of clips (N, T, 224, 224, 3) float32 in [-1, 1]."""
        return self(_channels_first(clips)).numpy()


class TorchScriptI3D:
    """The same network as a TorchScript program; see the head of this file for the risk."""

    def __init__(self, path: Path, sha256: str | None = None) -> None:
        """Open the program; raise InputError unless its SHA-256 is `sha256`.

        Without `sha256` it must be the published one.
        """
        (published,) = measuring_sets.I3D_TORCHSCRIPT.files
        wanted = sha256 or published.sha256
        found = checksum(path)
        if found != wanted:
            raise InputError(
                f"{path} is a program with the SHA-256 {found}, not {wanted}; it is not opened: "
                "state its SHA-256 if you trust it, or use the plain weights 'i3d'"
            )
        self.program = torch.jit.load(str(path), map_location="cpu").eval()

    @torch.no_grad()
    def features(self, clips: np.ndarray) -> np.ndarray:
        """Return logits (N, 400) of clips (N, T, 224, 224, 3) float32 in [-1, 1]."""
        values = _channels_first(clips)
        logits = self.program(values, rescale=False, resize=False, return_features=True)
        return logits.numpy()


def _channels_first(clips: np.ndarray) -> Tensor:
    """Return (N, 3, T, H, W); refuse clips that are too short or of another size."""
    frames, *size = clips.shape[1:4]
    if frames < LEAST_FRAMES or size != [SIDE_PX, SIDE_PX]:
        raise InputError(
            f"FVD needs clips of at least {LEAST_FRAMES} frames at {SIDE_PX} x {SIDE_PX}, "
            f"got {frames} frames at {size[1]} x {size[0]}"
        )
    return torch.from_numpy(clips).permute(0, 4, 1, 2, 3)
