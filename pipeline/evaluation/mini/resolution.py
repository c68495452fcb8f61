"""Measure whether a small repair with the warp's fine detail beats the repair plainly enlarged.

Held-out presenters drawn at `SIZE` have a true next frame at a size that users see. The denoiser
works at its own size; `add_repair` adds its change of the warp to the warp at full size. Beside the
result stand its two sources, the repair enlarged bicubically and the warp at full size: a halo that
the addition makes itself is in neither.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline.evaluation.metrics import pixels
from pipeline.evaluation.mini.cases import Case, make_case
from pipeline.evaluation.report import Row
from pipeline.models.denoiser import prepare_scheduler
from pipeline.render.svd.denoising import JointWindows, denoise
from pipeline.render.svd.pipeline import AudioPoseSVDPipeline
from pipeline.training.data import held_out
from pipeline.training.losses import psnr

log = logging.getLogger(__name__)

SIZE = (576, 384)
SECONDS = 0.8
TALKS = 2
HALO_STEP = 8 / 255  # beyond the lightest and the darkest of the truth's 5 x 5 pixels
LEFT_OUT = "left out of --quick: it draws and renders talks at 576 x 384"
# Level and rule by a row's name; METRICS.md says what they mean.
LEVELS = {
    "PSNR whole: result less plain": (0.0, ">"),
    "PSNR face: result less plain": (0.0, ">"),
    "sharpness, |ln ratio|, plain less result": (0.0, ">"),
    "flicker, grey levels: result": (1.5, "<="),
    "halo: result less its sources' larger": (0.005, "<="),
}


@dataclass(frozen=True)
class Enlarged:
    """Frames of one talk at full size, (F, 3, H, W) in [0, 1].

    Args:
        truth: The true frames.
        warp: The warp alone.
        plain: The small repair, enlarged bicubically.
        result: The repair with the warp's detail, as the pipeline shows it.
        face: (F, 1, H, W) box of the face.
    """

    truth: Tensor
    warp: Tensor
    plain: Tensor
    result: Tensor
    face: Tensor


@torch.no_grad()
def enlarge(pipe: AudioPoseSVDPipeline, case: Case) -> Enlarged:
    """Make the frames of `pipe.render` for a talk of one segment, and the small repair."""
    generator = torch.Generator().manual_seed(0)
    condition = pipe.condition
    frames = len(case)
    size = case.size
    clip = condition.open(case.image, case.motion, size, pipe.vae, pipe.reference_tokens, generator)
    conditions = clip.conditions(0, frames)
    windows = JointWindows(pipe.window_layout(None, None, condition.lead))
    scheduler = prepare_scheduler(pipe.scheduler, 1, condition.device)
    noise = clip.noise(frames, generator)
    (latents,) = denoise(pipe.denoiser, windows, scheduler, conditions, noise)
    low = clip.repaired(latents, conditions)
    warps = []
    for frame in range(frames):
        image, *_ = next(clip.warped(frame, frame + 1, size))
        warps.append(image)
    plain = F.interpolate(low, size, mode="bicubic", align_corners=False).clamp(0, 1)
    return Enlarged(
        truth=case.truth,
        warp=torch.cat(warps).cpu(),
        plain=plain.cpu(),
        result=clip.frames(latents, conditions).cpu(),
        face=case.boxes["face"],
    )


def halo(pictures: Tensor, truth: Tensor) -> float:
    """Return the share of pixels over 8 gray levels outside the truth's 5 x 5 neighbors' range."""
    highest = F.max_pool2d(truth, 5, 1, 2)
    lowest = -F.max_pool2d(-truth, 5, 1, 2)
    beyond = torch.maximum(pictures - highest, lowest - pictures).amax(1)
    return float((beyond > HALO_STEP).float().mean())


def figures(one: Enlarged) -> dict[str, float]:
    """Measure one talk; the keys are the names of the rows."""
    pictures = {"warp": one.warp, "plain": one.plain, "result": one.result}
    return {
        **_psnr_figures(pictures, one.truth, "whole", None),
        **_psnr_figures(pictures, one.truth, "face", one.face),
        **_sharpness_figures(pictures, one),
        **_flicker_figures(pictures, one.truth),
        **_halo_figures(pictures, one.truth),
    }


def _psnr_figures(
    pictures: dict[str, Tensor], truth: Tensor, place: str, box: Tensor | None
) -> dict[str, float]:
    """Measure PSNR within a box, and what the result gains."""
    decibels = {name: psnr(frames, truth, box) for name, frames in pictures.items()}
    found = {f"PSNR {place}: {name}": value for name, value in decibels.items()}
    found[f"PSNR {place}: result less plain"] = decibels["result"] - decibels["plain"]
    return found


def _sharpness_figures(pictures: dict[str, Tensor], one: Enlarged) -> dict[str, float]:
    """Measure the face's sharpness against the truth's."""
    true = pixels.sharpness(one.truth, one.face)
    found = {}
    distances = {}
    for name, frames in pictures.items():
        ratio = pixels.sharpness(frames, one.face) / max(true, 1e-9)
        found[f"sharpness of the face over the truth's: {name}"] = ratio
        distances[name] = abs(math.log(max(ratio, 1e-6)))
    nearer = distances["plain"] - distances["result"]
    found["sharpness, |ln ratio|, plain less result"] = nearer
    return found


def _flicker_figures(pictures: dict[str, Tensor], truth: Tensor) -> dict[str, float]:
    """Measure the flicker of pixels that stand still in the truth."""
    still = pixels.still_pixels(truth)
    shown = {"truth": truth, **pictures}
    return {
        f"flicker, grey levels: {name}": pixels.flicker(frames, still)
        for name, frames in shown.items()
    }


def _halo_figures(pictures: dict[str, Tensor], truth: Tensor) -> dict[str, float]:
    """Measure haloes, and those that are in neither source."""
    haloes = {name: halo(frames, truth) for name, frames in pictures.items()}
    found = {f"halo, share of pixels: {name}": value for name, value in haloes.items()}
    sources = max(haloes["plain"], haloes["warp"])
    found["halo: result less its sources' larger"] = haloes["result"] - sources
    return found


def table(talks: Sequence[dict[str, float]]) -> list[Row]:
    """Return the means over talks; without talks, null rows of the names that have levels."""
    rows = []
    for name in talks[0] if talks else LEVELS:
        values = [talk[name] for talk in talks if math.isfinite(talk[name])]
        level, rule = LEVELS.get(name, (None, "<="))
        value = float(np.mean(values)) if values else math.nan
        why = None if values else LEFT_OUT
        rows.append(Row(f"enlarged: {name}", value, level, rule, why))
    return rows


def rows(pipe: AudioPoseSVDPipeline, count: int = TALKS) -> list[Row]:
    """Measure `count` held-out talks."""
    found = []
    for number, talk in enumerate(held_out.held_talks(count, SECONDS, size=SIZE)):
        log.info("resolution: talk %d of %d", number + 1, count)
        enlarged = enlarge(pipe, make_case(talk, talk))
        found.append(figures(enlarged))
    return table(found)
