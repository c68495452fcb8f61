"""What a curve of mouth apertures is worth beside the true one: best r, J, and pixels beside it (metrics 5).

best r: Pearson's over lags of +-5 frames. A mouth is closed where its aperture, from the truth's 2nd to its
98th percentile, is under 0.15; both are read by the same reader. Recall: share of p b m with a closed frame
within the phone +-20 ms. False: share of closed frames outside p b m +-60 ms and pauses +-30 ms.
J = recall - false.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline.evaluation.lips import correlation
from pipeline.models.audio2pose import PHASE
from pipeline.training.data.speech.visemes import Phones

FPS = 25
LAGS = 5  # frames
CLOSED = 0.15
BILABIALS, PAUSES = ("p", "b", "m", "em"), ("sil", "pau", "inh")
STATIC = 1.5 / 255  # largest mean change of the truth over 5 x 5 pixels that counts as none


def best_r(curve: np.ndarray, truth: np.ndarray) -> float:
    """The largest Pearson r of two aperture curves (T,) over lags of +-5 frames; 0 for a still one."""
    return max(correlation(curve, truth, lag) for lag in range(-LAGS, LAGS + 1))


@dataclass(frozen=True)
class Closures:
    """Counts of one or more clips: p b m heard and closed, other frames and those closed falsely."""

    heard: int = 0
    closed: int = 0
    other: int = 0
    false: int = 0

    def __add__(self, more: Closures) -> Closures:
        return Closures(
            self.heard + more.heard,
            self.closed + more.closed,
            self.other + more.other,
            self.false + more.false,
        )

    @property
    def j(self) -> float:
        """Recall minus false closures; NaN where no p b m is heard."""
        if not self.heard or not self.other:
            return float("nan")
        return self.closed / self.heard - self.false / self.other


def within(frames: int, start: float, end: float, margin: float = 0.0) -> np.ndarray:
    """(T,) bool: frames whose moment lies in a stretch of the sound or up to `margin` seconds outside it.

    Frame t shows the moment (t + PHASE) / 25.
    """
    time = (np.arange(frames) + PHASE) / FPS
    return (time >= start - margin) & (time <= end + margin)


def closures(curve: np.ndarray, truth: np.ndarray, phones: Phones) -> Closures:
    """The counts of a curve (T,) in the truth's own range."""
    low, high = np.quantile(truth, (0.02, 0.98))
    shut = (curve - low) / max(high - low, 1e-6) < CLOSED
    count = len(curve)
    free, heard, closed = np.ones(count, bool), 0, 0
    for name, start, end in phones:
        if name in BILABIALS and (frames := within(count, start, end, 0.02)).any():
            heard, closed = heard + 1, closed + bool(shut[frames].any())
        if name in BILABIALS or name in PAUSES:
            free &= ~within(count, start, end, 0.06 if name in BILABIALS else 0.03)
    return Closures(heard, closed, int(free.sum()), int((shut & free).sum()))


@dataclass(frozen=True)
class Products:
    """Sums over the frames of one or more clips, each clip's mean taken off: of a b, a a and b b."""

    both: float = 0.0
    one: float = 0.0
    other: float = 0.0

    def __add__(self, more: Products) -> Products:
        return Products(self.both + more.both, self.one + more.one, self.other + more.other)

    @property
    def r(self) -> float:
        """Pearson's r at lag 0 over all frames; 0 for a still curve."""
        scale = (self.one * self.other) ** 0.5
        return self.both / scale if scale > 1e-12 else 0.0


def products(curve: np.ndarray, truth: np.ndarray) -> Products:
    """The sums of one clip's curves (T,)."""
    a, b = curve - curve.mean(), truth - truth.mean()
    return Products(float(a @ b), float(a @ a), float(b @ b))


# ---- pixels


def sharpness(pictures: Tensor, box: Tensor) -> float:
    """Variance of the Laplacian of the grey pictures (N,3,H,W) inside boxes (N,1,H,W)."""
    kernel = pictures.new_tensor([[0, 1, 0], [1, -4, 1], [0, 1, 0]])[None, None]
    edges = F.conv2d(pictures.mean(1, keepdim=True), kernel, padding=1)[box > 0.5]
    return float(edges.var()) if len(edges) > 1 else float("nan")


def flicker(pictures: Tensor, still: Tensor) -> float:
    """Mean |I_t - I_{t-1}| in grey levels of 255 of pictures (N,3,H,W), where `still` (N-1,H,W)."""
    return (
        float(pictures.diff(dim=0).abs().mean(1)[still].mean() * 255)
        if still.any()
        else float("nan")
    )


def still_pixels(truth: Tensor) -> Tensor:
    """(N-1,H,W) bool: where the truth (N,3,H,W) stands still but for grain."""
    moved = F.avg_pool2d(truth.diff(dim=0), 5, 1, 2, count_include_pad=False)
    return moved.abs().amax(1) < STATIC


def motion_energy(pictures: Tensor) -> np.ndarray:
    """(T-1,) mean squared change from frame to frame of pictures (T,3,H,W)."""
    return torch.diff(pictures, dim=0).square().mean((1, 2, 3)).numpy()
