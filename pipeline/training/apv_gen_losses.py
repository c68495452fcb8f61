"""The losses of APV-Gen's training, eq. 8, 19, 20 and 21.                          [APV-Gen]

The paper writes E || eps - eps_hat(x_t, t, c_t) ||. The published trainer of ControlNeXt-SVD, on
which the paper builds, predicts the clean latents D from x_t = z + s n and weights their squared
error as EDM does. So the tensor formula of all three losses is, over latents (B, F, C, h, w),

    mean over B, F, C, h, w of  w (1 + s^2) / s^2 (D - z)^2

with one noise level s per clip. `w` is the weight of a latent, 1 everywhere but in eq. 8: there it
is the share of the latent that the shrunk face frame covers. Where w is 0, D gets no gradient. The
mean is over all latents, also those where w is 0, as the trainer's mean is.
"""

from __future__ import annotations

import torch
from torch import Tensor

ALPHA = 0.1  # weight of L_body in eq. 21
BETA = 1.0  # weight of L_refer in eq. 21
# The published trainer's weight of hands is 1 + 4 m; m is 0.8 in the boxes of hands.
HAND_GAIN = 4.0
HAND_BOX_LEVEL = 0.8
HAND_MARGIN_PX = 10
HAND_SCORE = 0.5  # least mean score of a hand's points
POINTS_PER_HAND = 21


def weighted_error(denoised: Tensor, clean: Tensor, sigma: Tensor, weight: Tensor) -> Tensor:
    """Return the mean of w (1 + s^2) / s^2 (D - z)^2.

    Args:
        denoised: D, the denoiser's estimate of the clean latents (B,F,C,h,w).
        clean: z, the clean latents (B,F,C,h,w).
        sigma: s, the noise levels (B,).
        weight: w (B,F,1,h,w).
    """
    error = denoised.float() - clean.float()
    variance = sigma.float().square()
    variance = variance.view(-1, 1, 1, 1, 1)
    edm_weight = 1 + 1 / variance
    weighted = weight * edm_weight
    weighted = weighted * error.square()
    return weighted.mean()


def face_loss(
    denoised: Tensor, clean: Tensor, sigma: Tensor, inside: Tensor, hands: Tensor | None = None
) -> Tensor:
    """Return L_face, eq. 8: only what the shrunk face frame covers counts.

    Args:
        denoised, clean, sigma: as in `weighted_error`, for the frames of face clips.
        inside: w of eq. 8 (B,F,1,h,w), 1 inside the shrunk frame, 0 outside.
        hands: the trainer's weight of hands (B,F,1,h,w) as from `hand_weight`, or None.
    """
    weight = inside if hands is None else inside * hands
    return weighted_error(denoised, clean, sigma, weight)


def reference_loss(denoised: Tensor, clean: Tensor, sigma: Tensor) -> Tensor:
    """Return L_refer, eq. 19: the whole outpainted picture, one extra frame (B,1,C,h,w), counts."""
    return weighted_error(denoised, clean, sigma, _everywhere(clean))


def body_loss(
    denoised: Tensor, clean: Tensor, sigma: Tensor, hands: Tensor | None = None
) -> Tensor:
    """Return L_body, eq. 20: the plain loss of full-body clips; `hands` as in `face_loss`."""
    weight = _everywhere(clean) if hands is None else hands
    return weighted_error(denoised, clean, sigma, weight)


def total_loss(
    face: Tensor, reference: Tensor, body: Tensor, alpha: float = ALPHA, beta: float = BETA
) -> Tensor:
    """Return L, eq. 21: L_face + beta L_refer + alpha L_body.

    In training it is the sum of two optimization steps: L_face + beta L_refer on face clips, then
    alpha L_body on full-body clips.
    """
    return face + beta * reference + alpha * body


def hand_weight(
    hands: Tensor, size: tuple[int, int], grid: tuple[int, int], gain: float = HAND_GAIN
) -> Tensor:
    """Return the weight (B,F,1,h,w) of hands in the published trainer: 1 + gain m.

    m is HAND_BOX_LEVEL in the box of a hand, HAND_MARGIN_PX wider on each side, and 0 elsewhere;
    latents on its edge get their share of it.

    Args:
        hands: (B,F,42,3) x, y in fractions of the picture, and the score.
        size: (H, W) of the picture.
        grid: (h, w) of the latents.
        gain: of the weight.
    """
    left, right = hands.split(POINTS_PER_HAND, dim=-2)
    left_box = _hand_box(left, size, grid)
    right_box = _hand_box(right, size, grid)
    boxes = torch.maximum(left_box, right_box)
    level = HAND_BOX_LEVEL * boxes
    return 1 + gain * level


def _hand_box(points: Tensor, size: tuple[int, int], grid: tuple[int, int]) -> Tensor:
    """Return (B,F,1,h,w) the share of each latent in the box of a hand (B,F,21,3); 0 unseen."""
    height, width = size
    rows, columns = grid
    x, y, score = points.unbind(-1)
    has_point = score > 0
    across = _cover(x, has_point, HAND_MARGIN_PX / width, columns)
    down = _cover(y, has_point, HAND_MARGIN_PX / height, rows)
    box = torch.einsum("bfr,bfc->bfrc", down, across)
    mean_score = score.mean(-1)
    is_seen = mean_score > HAND_SCORE
    is_seen = is_seen.view(*is_seen.shape, 1, 1)
    box = box * is_seen
    return box.unsqueeze(2)


def _cover(places: Tensor, has_point: Tensor, margin: float, cells: int) -> Tensor:
    """Return (..., cells) the share of each cell of [0, 1] within a margin around the points.

    Args:
        places: (..., K) of the points along one axis.
        has_point: (..., K) bool, the points that count.
        margin: on both sides.
        cells: how many there are.
    """
    nowhere = ~has_point
    low = places.masked_fill(nowhere, torch.inf)
    high = places.masked_fill(nowhere, -torch.inf)
    low = low.amin(-1, keepdim=True) - margin
    high = high.amax(-1, keepdim=True) + margin
    numbers = torch.arange(cells, device=places.device, dtype=places.dtype)
    start = torch.maximum(numbers, low * cells)
    stop = torch.minimum(numbers + 1, high * cells)
    share = stop - start
    return share.clamp_min(0)


def _everywhere(latents: Tensor) -> Tensor:
    """Return the weight 1 (B,F,1,h,w) for latents (B,F,C,h,w)."""
    first_channel = latents[:, :, :1]
    return torch.ones_like(first_channel)
