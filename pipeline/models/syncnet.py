"""SyncNet v2: a mouth and 200 ms of sound -> points of one space.

Chung and Zisserman 2016, "Out of time: automated lip sync in the wild". The class loads the
published `syncnet_v2.model` by its published names; the code is our own. On one CPU thread a window
of a mouth takes 0.07 s, one of sound 0.006 s: 10 s of speech take about 19 s.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from pipeline.models.state_dict import fill, read_state, with_counters

FPS = 25  # of the frames; rows of MFCC come at four times this rate
SIDE_PX = 224
WINDOW_FRAMES = 5  # 200 ms
ROWS_PER_FRAME = 4
WINDOW_ROWS = WINDOW_FRAMES * ROWS_PER_FRAME
CEPSTRA = 13
SIZE = 1024
# Frames that pass the first layers at a time: their first map takes 4.6 MB a window
BLOCK_WINDOWS = 16
BLOCK_SOUNDS = 256


Sides = int | tuple[int, ...]


@dataclass(frozen=True)
class Convolution:
    """A convolution that batch normalization and a rectifier follow."""

    inputs: int
    outputs: int
    kernel: Sides
    stride: Sides = 1
    padding: Sides = 0


@dataclass(frozen=True)
class Pooling:
    """The largest value of each window."""

    kernel: Sides
    stride: Sides
    padding: Sides = 0


# (N, 1, 13, 20) -> (N, 512, 1, 1)
SOUND_LAYERS = (
    Convolution(1, 64, 3, padding=1),
    Pooling(1, 1),
    Convolution(64, 192, 3, padding=1),
    Pooling(3, (1, 2)),
    Convolution(192, 384, 3, padding=1),
    Convolution(384, 256, 3, padding=1),
    Convolution(256, 256, 3, padding=1),
    Pooling(3, 2),
    Convolution(256, 512, (5, 4)),
)
# (N, 3, T, 224, 224) -> (N, 512, T-4, 1, 1). Only the first layer looks at several frames, so that
# a whole clip passes at once.
MOUTH_LAYERS = (
    Convolution(3, 96, (5, 7, 7), (1, 2, 2)),
    Pooling((1, 3, 3), (1, 2, 2)),
    Convolution(96, 256, (1, 5, 5), (1, 2, 2), (0, 1, 1)),
    Pooling((1, 3, 3), (1, 2, 2), (0, 1, 1)),
    Convolution(256, 256, (1, 3, 3), padding=(0, 1, 1)),
    Convolution(256, 256, (1, 3, 3), padding=(0, 1, 1)),
    Convolution(256, 256, (1, 3, 3), padding=(0, 1, 1)),
    Pooling((1, 3, 3), (1, 2, 2)),
    Convolution(256, 512, (1, 6, 6)),
)


def tower(layers: Sequence[Convolution | Pooling], dimensions: int) -> nn.Sequential:
    """Build layers over pictures (2 dimensions) or clips (3)."""
    convolve = nn.Conv2d if dimensions == 2 else nn.Conv3d
    normalize = nn.BatchNorm2d if dimensions == 2 else nn.BatchNorm3d
    pool = nn.MaxPool2d if dimensions == 2 else nn.MaxPool3d
    modules: list[nn.Module] = []
    for layer in layers:
        if isinstance(layer, Pooling):
            modules.append(pool(layer.kernel, layer.stride, layer.padding))
            continue
        convolution = convolve(
            layer.inputs,
            layer.outputs,
            layer.kernel,
            layer.stride,
            layer.padding,
        )
        modules.append(convolution)
        modules.append(normalize(layer.outputs))
        modules.append(nn.ReLU(inplace=True))
    return nn.Sequential(*modules)


def head() -> nn.Sequential:
    """Return the layers after a tower: (N, 512) -> (N, 1024)."""
    return nn.Sequential(
        nn.Linear(512, 512),
        nn.BatchNorm1d(512),
        nn.ReLU(inplace=True),
        nn.Linear(512, SIZE),
    )


class SyncNet(nn.Module):
    """Both towers, with the names of the published file."""

    def __init__(self) -> None:
        super().__init__()
        self.netcnnaud = tower(SOUND_LAYERS, 2)
        self.netfcaud = head()
        self.netcnnlip = tower(MOUTH_LAYERS, 3)
        self.netfclip = head()

    @classmethod
    def from_published(cls, path: Path) -> SyncNet:
        """Return the network of the file `syncnet_v2.model`, a table of tensors.

        Raises InputError for another file.
        """
        state = read_state(path)
        with torch.device("meta"):
            model = cls()
        return fill(model, with_counters(model, state), path)

    @torch.no_grad()
    def embed_mouths(self, crops: np.ndarray) -> np.ndarray:
        """Return points (T-4, 1024) of mouths (T, 224, 224, 3) uint8 in the order BGR.

        Values enter as they are, 0 to 255. Point i is that of frames i to i+4.
        """
        count = len(crops) - WINDOW_FRAMES + 1
        points = [np.zeros((0, SIZE), np.float32)]
        for start in range(0, count, BLOCK_WINDOWS):
            stop = min(start + BLOCK_WINDOWS, count)
            block = torch.from_numpy(crops[start : stop + WINDOW_FRAMES - 1])
            frames = block.permute(3, 0, 1, 2).float()
            features = self.netcnnlip(frames[None])
            rows = features[0, :, :, 0, 0].T
            points.append(self.netfclip(rows).numpy())
        return np.concatenate(points)

    @torch.no_grad()
    def embed_sounds(self, cepstra: np.ndarray) -> np.ndarray:
        """Return points (N, 1024) of MFCC (rows, 13); point i is that of rows 4i to 4i+19."""
        values = np.ascontiguousarray(cepstra)
        rows = torch.from_numpy(values).float()
        points = [np.zeros((0, SIZE), np.float32)]
        if len(rows) >= WINDOW_ROWS:
            windows = rows.unfold(0, WINDOW_ROWS, ROWS_PER_FRAME)  # (N, 13, 20)
            for block in windows[:, None].split(BLOCK_SOUNDS):
                features: Tensor = self.netcnnaud(block)
                points.append(self.netfcaud(features.flatten(1)).numpy())
        return np.concatenate(points)
