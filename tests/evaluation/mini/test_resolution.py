"""Small repairs enlarged: planted faults give the figures that they should."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from pipeline.evaluation.mini import cases, resolution
from pipeline.evaluation.mini.resolution import Enlarged
from tests.helpers.talks import tiny_talk
from tests.helpers.tiny import tiny_pipeline


def enlarging(seed: int = 0) -> Enlarged:
    """A textured truth that stands still; sources blurred and shifted; a gate that trusts the left
    half."""
    generator = torch.Generator().manual_seed(seed)
    truth = F.avg_pool2d(torch.rand((1, 3, 68, 68), generator=generator), 3, 1).expand(
        4, -1, -1, -1
    )
    plain = F.avg_pool2d(truth, 5, 1, 2, count_include_pad=False)
    warp = truth.roll(1, 3)
    gate = ((36 - torch.arange(66.0)) / 6).clamp(0, 1).expand(4, 1, 66, 66)
    face = torch.zeros(4, 1, 66, 66)
    face[:, :, 10:50, 10:50] = 1
    return Enlarged(truth, warp, plain, torch.lerp(plain, truth, gate), face, gate)


def with_result(one: Enlarged, result: torch.Tensor) -> set[str]:
    changed = Enlarged(one.truth, one.warp, one.plain, result, one.face, one.trust)
    rows = resolution.table([resolution.figures(changed)])
    return {row.name.removeprefix("enlarged: ") for row in rows if row.passed is False}


def test_detail_without_faults_passes_and_each_fault_fails_its_row():
    one = enlarging()
    assert with_result(one, one.result) == set()
    less = {"PSNR whole: result less plain", "PSNR face: result less plain"}
    assert less < with_result(one, one.plain)
    seam = one.result + 0.3 * (one.trust > 0.5)
    assert "gate's border, gradient's error over the sources'" in with_result(one, seam)
    assert "gate's border, contrast over the truth's: result" in with_result(one, seam)
    ring = one.result.clone()
    ring[..., 20, :] = 1.0
    assert "halo: result less its sources' larger" in with_result(one, ring)
    flash = one.result + 0.02 * (torch.arange(4) % 2).view(-1, 1, 1, 1)
    assert with_result(one, flash) == {"flicker, grey levels: result"}


def test_haloes_and_contrast_are_counted_as_planted():
    one = enlarging()
    assert resolution.halo(one.truth, one.truth) == 0
    spots = one.truth.clone()
    spots[:, 1, ::6, ::6] = 1.2
    assert resolution.halo(spots, one.truth) == pytest.approx((11 / 66) ** 2)
    assert resolution.contrast(one.truth, resolution.gate_border(one)) == pytest.approx(1, abs=0.2)
    assert np.isnan(resolution.contrast(one.truth, torch.zeros(4, 1, 65, 65, dtype=torch.bool)))


def test_the_frames_that_are_measured_are_those_of_the_pipeline():
    talk, pipe = (
        tiny_talk(0, frames=10),
        tiny_pipeline(),
    )  # three windows of four with one frame in common
    given = cases.make_case(talk, talk)
    found = resolution.enlarge(pipe, given)
    assert (
        found.result - cases.render_frames(pipe, given, given.motion)
    ).abs().max() < 0.51 / 255 + 1e-6
    assert (found.warp - cases.warp_frames(given, given.motion)).abs().mean() < 0.1 / 255
    assert (
        found.plain.shape == found.truth.shape and 0 <= found.trust.min() <= found.trust.max() <= 1
    )
