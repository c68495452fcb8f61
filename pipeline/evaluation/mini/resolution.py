"""Resolution: is a small repair with the warp's fine detail better than the repair plainly enlarged?

Held-out presenters drawn at `SIZE` have a true next frame at a size that users see. The denoiser works at its
own size; `detail_transfer` gives the warp's detail back where the network kept the warp. Beside the result
stand its two sources, the repair enlarged bicubically and the warp at full size: a seam or a halo that the
transfer makes itself is in neither.
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

from pipeline.evaluation.metrics import mouth
from pipeline.evaluation.mini import cases
from pipeline.evaluation.mini.cases import Case
from pipeline.evaluation.report import Row
from pipeline.render.svd.denoising import SCHEDULES, Task
from pipeline.render.svd.pipeline import AudioPoseSVDPipeline
from pipeline.render.warp.detail import trust
from pipeline.training.data import held_out
from pipeline.training.losses import boxes, psnr

log = logging.getLogger(__name__)

SIZE, SECONDS, TALKS = (576, 384), 0.8, 2
OVER = 8 / 255  # beyond the lightest and darkest of the truth's 5 x 5 pixels: a halo
BORDER = (0.25, 0.75)  # trust between these is the gate's border
MOST_FLICKER = 1.5  # grey levels (metrics 5)
LEFT_OUT = "left out of --quick: it draws and renders talks at 576 x 384"
NO_BORDER = "the gate has no border in these talks: everything or nothing is trusted"


@dataclass(frozen=True)
class Enlarged:
    """Frames of one talk: truth, warp, plain and result (F,3,H,W) in [0,1]; face box and trust (F,1,H,W)."""

    truth: Tensor
    warp: Tensor
    plain: Tensor
    result: Tensor
    face: Tensor
    trust: Tensor


@torch.no_grad()
def made(pipe: AudioPoseSVDPipeline, given: Case) -> Enlarged:
    """The frames that `pipe.render` makes of a talk of one segment, with the small repair that it hides."""
    generator = torch.Generator().manual_seed(0)
    condition, frames = pipe.condition, len(given)
    shot = condition.shot(
        given.image, given.motion, given.size, pipe.vae, pipe.reference_tokens, generator
    )
    task = Task(shot, frames, SCHEDULES["joint"], 1, generator, None)
    known = shot.conditions(0, frames)
    room = pipe.room(None, None, condition.lead)
    (latents,) = task.schedule.sample(pipe, task, known, room, None)
    low = shot.repaired(latents, known)
    warp = torch.cat(
        [shot.moved(shot.motion.pose[k : k + 1], given.size)[0] for k in range(frames)]
    )
    return Enlarged(
        truth=given.truth,
        warp=warp.cpu(),
        plain=F.interpolate(low, given.size, mode="bicubic", align_corners=False).clamp(0, 1).cpu(),
        result=shot.frames(latents, known).cpu(),
        face=boxes(given.talk.face, given.talk.clips.hands[0], given.size)["face"],
        trust=F.interpolate(trust(low, known.warped), given.size, mode="bilinear").cpu(),
    )


def halo(pictures: Tensor, truth: Tensor) -> float:
    """Share of pixels of (N,3,H,W) over 8 grey levels outside the range of the truth's 5 x 5 neighbours."""
    highest, lowest = F.max_pool2d(truth, 5, 1, 2), -F.max_pool2d(-truth, 5, 1, 2)
    beyond = torch.maximum(pictures - highest, lowest - pictures).amax(1)
    return float((beyond > OVER).float().mean())


def gradient(pictures: Tensor) -> Tensor:
    """(N,1,H-1,W-1) mean over colours of |dx| + |dy| of pictures (N,3,H,W)."""
    corner = pictures[..., :-1, :-1]
    across, down = pictures[..., :-1, 1:] - corner, pictures[..., 1:, :-1] - corner
    return (across.abs() + down.abs()).mean(1, keepdim=True)


def border(one: Enlarged) -> Tensor:
    """(N,1,H-1,W-1) where the gate is between its two sides."""
    low, high = BORDER
    inside = one.trust[..., :-1, :-1]
    return (inside > low) & (inside < high)


def contrast(pictures: Tensor, edge: Tensor) -> float:
    """Mean gradient at the gate's border over that elsewhere; NaN without either."""
    steps = gradient(pictures)
    if not edge.any() or edge.all():
        return math.nan
    return float(steps[edge].mean() / steps[~edge].mean().clamp_min(1e-6))


def seam(one: Enlarged) -> float:
    """The gradient's error at the gate's border over the mean of both sources'; a mixture has at most 1."""
    edge = border(one)
    if not edge.any():
        return math.nan
    wrong = [float(gradient(p - one.truth)[edge].mean()) for p in (one.result, one.plain, one.warp)]
    return wrong[0] / max((wrong[1] + wrong[2]) / 2, 1e-6)


def figures(one: Enlarged) -> dict[str, float]:
    """All figures of one talk, by the names of the rows."""
    pictures = {"warp": one.warp, "plain": one.plain, "result": one.result}
    found: dict[str, float] = {}
    for place, box in (("whole", None), ("face", one.face)):
        dB = {name: psnr(p, one.truth, box) for name, p in pictures.items()}
        found |= {f"PSNR {place}: {name}": value for name, value in dB.items()}
        found[f"PSNR {place}: result less plain"] = dB["result"] - dB["plain"]
    true = mouth.sharpness(one.truth, one.face)
    sharp = {name: mouth.sharpness(p, one.face) / max(true, 1e-9) for name, p in pictures.items()}
    found |= {
        f"sharpness of the face over the truth's: {name}": value for name, value in sharp.items()
    }
    away = {name: abs(math.log(max(value, 1e-6))) for name, value in sharp.items()}
    found["sharpness, |ln ratio|, plain less result"] = away["plain"] - away["result"]
    still = mouth.still_pixels(one.truth)
    for name, shown in ({"truth": one.truth} | pictures).items():
        found[f"flicker, grey levels: {name}"] = mouth.flicker(shown, still)
    beyond = {name: halo(p, one.truth) for name, p in pictures.items()}
    found |= {f"halo, share of pixels: {name}": value for name, value in beyond.items()}
    found["halo: result less its sources' larger"] = beyond["result"] - max(
        beyond["plain"], beyond["warp"]
    )
    edge = border(one)
    true = max(contrast(one.truth, edge), 1e-6)
    found |= {
        f"gate's border, contrast over the truth's: {name}": contrast(p, edge) / true
        for name, p in pictures.items()
    }
    found["gate's border, gradient's error over the sources'"] = seam(one)
    return found


LEVELS = {
    "PSNR whole: result less plain": (0.0, ">"),
    "PSNR face: result less plain": (0.0, ">"),
    "sharpness, |ln ratio|, plain less result": (0.0, ">"),
    "flicker, grey levels: result": (MOST_FLICKER, "<="),
    "halo: result less its sources' larger": (0.005, "<="),
    "gate's border, contrast over the truth's: result": (1.1, "<="),
    "gate's border, gradient's error over the sources'": (1.05, "<="),
}


def table(found: Sequence[dict[str, float]]) -> list[Row]:
    """The means over talks; what was left out is null, with the names that have levels only."""
    rows = []
    for name in found[0] if found else LEVELS:
        values = [talk[name] for talk in found if math.isfinite(talk[name])]
        level, rule = LEVELS.get(name, (None, "<="))
        value = float(np.mean(values)) if values else math.nan
        why = "" if values else NO_BORDER if found else LEFT_OUT
        rows.append(Row(f"enlarged: {name}", value, level, rule, why))
    return rows


def rows(pipe: AudioPoseSVDPipeline, count: int = TALKS) -> list[Row]:
    """The rows of `count` held-out talks."""
    found = []
    for talk in held_out.held_talks(count, SECONDS, size=SIZE):
        log.info("resolution: talk %d of %d", len(found) + 1, count)
        found.append(figures(made(pipe, cases.case(talk, talk))))
    return table(found)
