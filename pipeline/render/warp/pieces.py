"""Make one layer of a limb from maps of a window: its texture, its nodes, its joint shares."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from pipeline.render.warp.cutout import Box, Cutout, box_of_region, grow
from pipeline.render.warp.skinning import Piece

VISIBLE_ALPHA = 0.003  # alpha below which a piece ends
MARGIN_PX = 4  # around a piece's texture: a resampled edge fades inside it
NODE_ROWS = 350  # nodes lie a picture height over this apart, but at least 2 pixels


@dataclass(frozen=True)
class PieceMaps:
    """What a piece is made of, all (H, W) in one window of the picture.

    Args:
        alpha: how far the piece covers each pixel.
        color: (H, W, 3).
        known: 1 where the color is the photo's own.
        before: share of the own bone against the bone before it.
        after: share of the bone after it against the own.
        partner: share of the other leg's motion.
    """

    alpha: np.ndarray
    color: np.ndarray
    known: np.ndarray
    before: np.ndarray
    after: np.ndarray
    partner: np.ndarray


def make_piece(
    maps: PieceMaps,
    window: Cutout,
    height: int,
    limb: int,
    bone: int,
    source: np.ndarray | None = None,
) -> Piece | None:
    """Return the Piece of some maps, None where they cover nothing.

    Args:
        maps: what it is made of.
        window: the window that the maps span.
        height: of the whole picture, in pixels.
        limb: row of the limb.
        bone: row of the bone in the limb.
        source: (2, 2) pixels, start and end of what a foreshortened bone borrows.
    """
    box = box_of_region(maps.alpha > VISIBLE_ALPHA, MARGIN_PX)
    if box is None:
        return None
    step = node_step(height)
    rows, columns = _node_indices(maps.alpha, box, step)
    places = window.places()[rows, columns] / height
    borrowed = None if source is None else torch.from_numpy(source.astype(np.float32) / height)
    return Piece(
        limb=limb,
        bone=bone,
        window=_metric_window(box, window.corner, height),
        texture=_texture(maps, box),
        nodes=torch.from_numpy(places.astype(np.float32)),
        step=step / height,
        before=_values(maps.before, rows, columns),
        after=_values(maps.after, rows, columns),
        partner=_values(maps.partner, rows, columns),
        source=borrowed,
    )


def node_step(height: int) -> int:
    """Return the distance of neighboring nodes in pixels, in a picture of some height."""
    return max(2, round(height / NODE_ROWS))


def _node_indices(alpha: np.ndarray, box: Box, step: int) -> tuple[np.ndarray, np.ndarray]:
    """Return rows and columns of a regular grid where the piece is, and a node around it."""
    top, bottom, left, right = box
    there = grow(alpha > VISIBLE_ALPHA, step + 1)
    rows, columns = np.nonzero(there[top:bottom:step, left:right:step])
    return top + rows * step, left + columns * step


def _values(values: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> torch.Tensor:
    """Return a map's values at nodes, (n,) float32."""
    return torch.from_numpy(np.ascontiguousarray(values[rows, columns], np.float32))


def _texture(maps: PieceMaps, box: Box) -> torch.Tensor:
    """Return (1, 5, h, w): color times alpha, alpha, known times alpha."""
    top, bottom, left, right = box
    inside = (slice(top, bottom), slice(left, right))
    alpha = maps.alpha[inside][..., None]
    known = maps.known[inside][..., None] * alpha
    stacked = np.concatenate([maps.color[inside] * alpha, alpha, known], -1)
    planes = np.ascontiguousarray(stacked.transpose(2, 0, 1), np.float32)
    return torch.from_numpy(planes)[None]


def _metric_window(
    box: Box, corner: tuple[int, int], height: int
) -> tuple[float, float, float, float]:
    """Return top, left, bottom, right of a box, in picture heights."""
    top, bottom, left, right = box
    x, y = corner
    return (
        (y + top) / height,
        (x + left) / height,
        (y + bottom) / height,
        (x + right) / height,
    )
