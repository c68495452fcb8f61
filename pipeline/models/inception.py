"""FID's Inception v3: a picture -> 2048 numbers of its last pooling.

The network of TensorFlow's graph of 2015, which differs from torchvision's: means leave the border
out, the last block takes the largest value, pixels enter as (x - 128) / 128. The class loads
pytorch-fid's `pt_inception-2015-12-05-6726825d.pth` by its names; the code is our own. Pictures are
resized as clean-fid does (Parmar et al. 2022): Pillow's bicubic filter, per channel, in floats,
without rounding, cut to [0, 255]. A picture takes 0.2 s on one CPU thread.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from pipeline.models.state_dict import fill, read_state, with_counters

SIDE_PX = 299
SIZE = 2048
CLASSES = 1008  # of the graph; torchvision's has 1000
MIDDLE_GRAY = 128.0
WHITE = 255.0

Kernel = int | tuple[int, int]


@dataclass(frozen=True)
class Step:
    """A convolution of a block: its name, output channels, kernel and stride.

    With a stride of 1 the size stays, with 2 the border is left out.
    """

    name: str
    outputs: int
    kernel: Kernel = 1
    stride: int = 1

    @property
    def padding(self) -> Kernel:
        if self.stride > 1:
            return 0
        if isinstance(self.kernel, int):
            return self.kernel // 2
        height, width = self.kernel
        return (height // 2, width // 2)


# Steps one after the other; steps in a tuple of their own stand side by side.
Branch = tuple[Step | tuple[Step, ...], ...]


@dataclass(frozen=True)
class Plan:
    """A block: its name, its branches, what it pools and the pooled branch's channels.

    Without channels the pooled values pass as they are, at half the size.
    """

    name: str
    branches: tuple[Branch, ...]
    pooling: str
    pooled: int = 0


def small_block(name: str, pooled: int) -> Plan:
    """Return a block at 35 x 35."""
    branches: tuple[Branch, ...] = (
        (Step("branch1x1", 64),),
        (Step("branch5x5_1", 48), Step("branch5x5_2", 64, 5)),
        (
            Step("branch3x3dbl_1", 64),
            Step("branch3x3dbl_2", 96, 3),
            Step("branch3x3dbl_3", 96, 3),
        ),
    )
    return Plan(name, branches, "mean", pooled)


def middle_block(name: str, channels: int) -> Plan:
    """Return a block at 17 x 17 with so many channels inside."""
    branches: tuple[Branch, ...] = (
        (Step("branch1x1", 192),),
        (
            Step("branch7x7_1", channels),
            Step("branch7x7_2", channels, (1, 7)),
            Step("branch7x7_3", 192, (7, 1)),
        ),
        (
            Step("branch7x7dbl_1", channels),
            Step("branch7x7dbl_2", channels, (7, 1)),
            Step("branch7x7dbl_3", channels, (1, 7)),
            Step("branch7x7dbl_4", channels, (7, 1)),
            Step("branch7x7dbl_5", 192, (1, 7)),
        ),
    )
    return Plan(name, branches, "mean", 192)


def last_block(name: str, pooling: str) -> Plan:
    """Return a block at 8 x 8."""
    branches: tuple[Branch, ...] = (
        (Step("branch1x1", 320),),
        (
            Step("branch3x3_1", 384),
            (Step("branch3x3_2a", 384, (1, 3)), Step("branch3x3_2b", 384, (3, 1))),
        ),
        (
            Step("branch3x3dbl_1", 448),
            Step("branch3x3dbl_2", 384, 3),
            (Step("branch3x3dbl_3a", 384, (1, 3)), Step("branch3x3dbl_3b", 384, (3, 1))),
        ),
    )
    return Plan(name, branches, pooling, 192)


FIRST_HALVING: tuple[Branch, ...] = (
    (Step("branch3x3", 384, 3, 2),),
    (
        Step("branch3x3dbl_1", 64),
        Step("branch3x3dbl_2", 96, 3),
        Step("branch3x3dbl_3", 96, 3, 2),
    ),
)
SECOND_HALVING: tuple[Branch, ...] = (
    (Step("branch3x3_1", 192), Step("branch3x3_2", 320, 3, 2)),
    (
        Step("branch7x7x3_1", 192),
        Step("branch7x7x3_2", 192, (1, 7)),
        Step("branch7x7x3_3", 192, (7, 1)),
        Step("branch7x7x3_4", 192, 3, 2),
    ),
)
BLOCKS = (
    small_block("Mixed_5b", 32),
    small_block("Mixed_5c", 64),
    small_block("Mixed_5d", 64),
    Plan("Mixed_6a", FIRST_HALVING, "halve"),
    middle_block("Mixed_6b", 128),
    middle_block("Mixed_6c", 160),
    middle_block("Mixed_6d", 160),
    middle_block("Mixed_6e", 192),
    Plan("Mixed_7a", SECOND_HALVING, "halve"),
    last_block("Mixed_7b", "mean"),
    last_block("Mixed_7c", "largest"),
)


class Convolve(nn.Module):
    """A convolution, its batch normalization and rectifier."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: Kernel,
        stride: int = 1,
        padding: Kernel = 0,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(outputs, eps=0.001)

    def forward(self, x: Tensor) -> Tensor:
        values = self.bn(self.conv(x))
        return F.relu(values, inplace=True)


class Block(nn.Module):
    """Branches side by side, joined by their channels; the pooled one last."""

    def __init__(self, inputs: int, plan: Plan) -> None:
        super().__init__()
        self.plan = plan
        self.outputs = 0
        for branch in plan.branches:
            self.outputs += self._add(inputs, branch)
        if plan.pooled:
            self.branch_pool = Convolve(inputs, plan.pooled, 1)
        self.outputs += plan.pooled or inputs

    def _add(self, inputs: int, branch: Branch) -> int:
        """Add a branch's steps by their names; return its output channels."""
        channels = inputs
        for place in branch:
            outputs = 0
            for step in _side_by_side(place):
                layer = Convolve(channels, step.outputs, step.kernel, step.stride, step.padding)
                self.add_module(step.name, layer)
                outputs += step.outputs
            channels = outputs
        return channels

    def forward(self, x: Tensor) -> Tensor:
        results = []
        for branch in self.plan.branches:
            values = x
            for place in branch:
                steps = _side_by_side(place)
                parts = [self.get_submodule(step.name)(values) for step in steps]
                values = torch.cat(parts, 1)
            results.append(values)
        results.append(self._pooled(x))
        return torch.cat(results, 1)

    def _pooled(self, x: Tensor) -> Tensor:
        if self.plan.pooling == "halve":
            return F.max_pool2d(x, 3, 2)
        if self.plan.pooling == "largest":
            largest = F.max_pool2d(x, 3, 1, 1)
            return self.branch_pool(largest)
        mean = F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)
        return self.branch_pool(mean)


def _side_by_side(place: Step | tuple[Step, ...]) -> Sequence[Step]:
    return (place,) if isinstance(place, Step) else place


class Inception(nn.Module):
    """Pictures (N, 299, 299, 3) in [0, 255] -> features (N, 2048)."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = Convolve(3, 32, 3, 2)
        self.Conv2d_2a_3x3 = Convolve(32, 32, 3)
        self.Conv2d_2b_3x3 = Convolve(32, 64, 3, padding=1)
        self.Conv2d_3b_1x1 = Convolve(64, 80, 1)
        self.Conv2d_4a_3x3 = Convolve(80, 192, 3)
        channels = 192
        for plan in BLOCKS:
            block = Block(channels, plan)
            self.add_module(plan.name, block)
            channels = block.outputs
        self.fc = nn.Linear(SIZE, CLASSES)  # of the file; FID does not ask it

    @classmethod
    def from_published(cls, path: Path) -> Inception:
        """Return the network of pytorch-fid's file; raise InputError for another one."""
        state = read_state(path)
        with torch.device("meta"):
            model = cls()
        return fill(model, with_counters(model, state), path)

    def forward(self, pictures: Tensor) -> Tensor:
        x = (pictures.permute(0, 3, 1, 2) - MIDDLE_GRAY) / MIDDLE_GRAY
        x = self.Conv2d_1a_3x3(x)
        x = self.Conv2d_2a_3x3(x)
        x = self.Conv2d_2b_3x3(x)
        x = F.max_pool2d(x, 3, 2)
        x = self.Conv2d_3b_1x1(x)
        x = self.Conv2d_4a_3x3(x)
        x = F.max_pool2d(x, 3, 2)
        for plan in BLOCKS:
            x = self.get_submodule(plan.name)(x)
        return x.mean((2, 3))

    @torch.no_grad()
    def features(self, pictures: Sequence[np.ndarray]) -> np.ndarray:
        """Return features (N, 2048) of RGB pictures (H, W, 3) uint8 of any size.

        They are squashed to a square, as FID is: pictures of one shape compare, others do not.
        """
        squares = np.stack([resized(picture) for picture in pictures])
        return self(torch.from_numpy(squares)).numpy()


def resized(picture: np.ndarray) -> np.ndarray:
    """Return a picture (H, W, 3) uint8 as (299, 299, 3) float32 in [0, 255]."""
    channels = []
    for channel in np.moveaxis(picture, 2, 0):
        values = Image.fromarray(channel.astype(np.float32))
        scaled = values.resize((SIDE_PX, SIDE_PX), Image.Resampling.BICUBIC)
        channels.append(np.asarray(scaled))
    return np.stack(channels, 2).clip(0, WHITE)
