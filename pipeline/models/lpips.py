"""LPIPS v0.1: how different two pictures look, by features of a network for objects.

Zhang et al. 2018, "The unreasonable effectiveness of deep features as a perceptual metric". The
backbones load torchvision's published tables of tensors, the heads those of the `lpips` package;
the code is our own and needs neither library. A pair at 512 x 768 takes 0.4 s (AlexNet) or 10 s
(VGG) on one CPU thread.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from pipeline.models.state_dict import fill, read_state
from pipeline.values import InputError

# Colors in [-1, 1] are brought to the backbones' own range
SHIFT = (-0.030, -0.088, -0.188)
SCALE = (0.458, 0.448, 0.450)
TINY = 1e-10
WHITE = 255.0
LEAST_SIDE_PX = 64  # smaller pictures have no last features


@dataclass(frozen=True)
class Convolution:
    """A convolution that a rectifier follows; the sides of its kernel, its stride and border."""

    outputs: int
    kernel: int = 3
    stride: int = 1
    padding: int = 1


@dataclass(frozen=True)
class Pooling:
    """The largest value of each window, at half the size."""

    kernel: int


@dataclass(frozen=True)
class Backbone:
    """The layers of a backbone, and after which of them, counted as published, it is asked."""

    layers: tuple[Convolution | Pooling, ...]
    taps: tuple[int, ...]


ALEX = Backbone(
    (
        Convolution(64, 11, 4, 2),
        Pooling(3),
        Convolution(192, 5, 1, 2),
        Pooling(3),
        Convolution(384),
        Convolution(256),
        Convolution(256),
    ),
    taps=(1, 4, 7, 9, 11),
)
VGG = Backbone(
    (
        *[Convolution(64)] * 2,
        Pooling(2),
        *[Convolution(128)] * 2,
        Pooling(2),
        *[Convolution(256)] * 3,
        Pooling(2),
        *[Convolution(512)] * 3,
        Pooling(2),
        *[Convolution(512)] * 3,
    ),
    taps=(3, 8, 15, 22, 29),
)
BACKBONES = {"lpips-alex": ALEX, "lpips-vgg": VGG}


class Features(nn.Module):
    """A backbone with the published names of its layers, `features.N`."""

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.taps = backbone.taps
        self.features = nn.Sequential()
        self.channels: list[int] = []
        channels = 3
        for layer in backbone.layers:
            if isinstance(layer, Pooling):
                self.features.append(nn.MaxPool2d(layer.kernel, 2))
                continue
            convolution = nn.Conv2d(
                channels,
                layer.outputs,
                layer.kernel,
                layer.stride,
                layer.padding,
            )
            channels = layer.outputs
            self.features.append(convolution)
            self.features.append(nn.ReLU())
            if len(self.features) - 1 in backbone.taps:
                self.channels.append(channels)

    def forward(self, x: Tensor) -> list[Tensor]:
        found = []
        for number, layer in enumerate(self.features):
            x = layer(x)
            if number in self.taps:
                found.append(x)
        return found


class Head(nn.Module):
    """Weights of a layer's channels, with the published name `model.1`."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        dropout = nn.Dropout()  # of the training, which gave the weights their number
        weights = nn.Conv2d(channels, 1, 1, bias=False)
        self.model = nn.Sequential(dropout, weights)

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x)


class Heads(nn.Module):
    """The heads of all layers, `lin0` and so on."""

    def __init__(self, channels: list[int]) -> None:
        super().__init__()
        for number, count in enumerate(channels):
            self.add_module(f"lin{number}", Head(count))

    def forward(self, differences: list[Tensor]) -> Tensor:
        """Return the sum of the layers' mean weighted differences (N,)."""
        total = differences[0].new_zeros(len(differences[0]))
        for head, difference in zip(self.children(), differences, strict=True):
            weighted = head(difference)
            total = total + weighted.mean((1, 2, 3))
        return total


class Lpips(nn.Module):
    """Pairs of pictures (N, 3, H, W) in [-1, 1] -> distances (N,), 0 for equal ones."""

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.backbone = Features(backbone)
        self.heads = Heads(self.backbone.channels)
        shift = torch.tensor(SHIFT).view(1, 3, 1, 1)
        scale = torch.tensor(SCALE).view(1, 3, 1, 1)
        self.register_buffer("shift", shift, persistent=False)
        self.register_buffer("scale", scale, persistent=False)

    @classmethod
    def from_published(cls, name: str, paths: Mapping[str, Path]) -> Lpips:
        """Return the network of a model set, of its files `backbone` and `heads`.

        The backbone's layers for classes are not read. Raises InputError for other files.
        """
        model = cls(BACKBONES[name])
        state = read_state(paths["backbone"])
        layers = {key: value for key, value in state.items() if key.startswith("features.")}
        fill(model.backbone, layers, paths["backbone"])
        fill(model.heads, read_state(paths["heads"]), paths["heads"])
        return model.eval()

    def forward(self, one: Tensor, other: Tensor) -> Tensor:
        even = (one - self.shift) / self.scale
        other_even = (other - self.shift) / self.scale
        first = self.backbone(even)
        second = self.backbone(other_even)
        differences = []
        for a, b in zip(first, second, strict=True):
            difference = _unit(a) - _unit(b)
            differences.append(difference.square())
        return self.heads(differences)

    @torch.no_grad()
    def distance(self, one: np.ndarray, other: np.ndarray) -> float:
        """Return the distance of two RGB pictures (H, W, 3) uint8 of one size."""
        if one.shape != other.shape or min(one.shape[:2]) < LEAST_SIDE_PX:
            raise InputError(
                f"LPIPS compares pictures of one size from {LEAST_SIDE_PX} pixels, "
                f"got {one.shape[1]} x {one.shape[0]} and {other.shape[1]} x {other.shape[0]}"
            )
        return float(self(_tensor(one), _tensor(other)))


def _unit(features: Tensor) -> Tensor:
    """Return features (N, C, H, W) whose channels have the length 1 at each place."""
    length = features.square().sum(1, keepdim=True).sqrt()
    return features / (length + TINY)


def _tensor(picture: np.ndarray) -> Tensor:
    """Return (1, 3, H, W) in [-1, 1]."""
    values = torch.from_numpy(picture.astype(np.float32))
    channels = values.permute(2, 0, 1)
    return channels[None] / WHITE * 2 - 1
