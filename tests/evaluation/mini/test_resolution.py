"""Small repairs enlarged: planted faults give the figures that they should."""

import pytest
import torch
import torch.nn.functional as F

from pipeline.evaluation.mini import cases, resolution
from pipeline.evaluation.mini.resolution import Enlarged
from tests.helpers.talks import tiny_talk
from tests.helpers.tiny import tiny_pipeline


def enlarging(seed: int = 0) -> Enlarged:
    """A textured truth that stands still; sources blurred and shifted; a result half way to it."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.rand((1, 3, 68, 68), generator=generator)
    truth = F.avg_pool2d(noise, 3, 1).expand(4, -1, -1, -1)
    plain = F.avg_pool2d(truth, 5, 1, 2, count_include_pad=False)
    warp = truth.roll(1, 3)
    face = torch.zeros(4, 1, 66, 66)
    face[:, :, 10:50, 10:50] = 1
    return Enlarged(truth, warp, plain, torch.lerp(plain, truth, 0.5), face)


def failed_rows(one: Enlarged, result: torch.Tensor) -> set[str]:
    changed = Enlarged(one.truth, one.warp, one.plain, result, one.face)
    rows = resolution.table([resolution.figures(changed)])
    return {row.name.removeprefix("enlarged: ") for row in rows if row.passed is False}


def test_detail_without_faults_passes_and_each_fault_fails_its_row():
    one = enlarging()
    assert failed_rows(one, one.result) == set()
    less = {"PSNR whole: result less plain", "PSNR face: result less plain"}
    assert less < failed_rows(one, one.plain)
    ring = one.result.clone()
    ring[..., 20, :] = 1.0
    assert "halo: result less its sources' larger" in failed_rows(one, ring)
    flash = one.result + 0.02 * (torch.arange(4) % 2).view(-1, 1, 1, 1)
    assert failed_rows(one, flash) == {"flicker, grey levels: result"}


def test_haloes_are_counted_as_planted():
    one = enlarging()
    assert resolution.halo(one.truth, one.truth) == 0
    spots = one.truth.clone()
    spots[:, 1, ::6, ::6] = 1.2
    assert resolution.halo(spots, one.truth) == pytest.approx((11 / 66) ** 2)


def test_the_frames_that_are_measured_are_those_of_the_pipeline():
    talk = tiny_talk(0, frames=10)
    pipe = tiny_pipeline()  # three windows of four with one frame in common
    given = cases.make_case(talk, talk)
    found = resolution.enlarge(pipe, given)
    rendered = cases.render_frames(pipe, given, given.motion)
    warped = cases.warp_frames(given, given.motion)
    assert (found.result - rendered).abs().max() < 0.51 / 255 + 1e-6
    assert (found.warp - warped).abs().mean() < 0.1 / 255
    assert found.plain.shape == found.truth.shape
