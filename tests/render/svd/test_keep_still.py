"""What the warp does not move stays the photo, to the bit."""

import torch

from pipeline.render.svd.warped_reference import keep_still


def test_unmoved_places_are_the_warp_and_others_the_repair() -> None:
    generator = torch.Generator().manual_seed(2)
    warped = torch.rand(2, 3, 8, 6, generator=generator)
    repaired = torch.rand(2, 3, 8, 6, generator=generator)
    still = torch.zeros(2, 1, 8, 6)
    still[:, :, :4] = 1
    result = keep_still(repaired, warped, still)
    assert torch.equal(result[:, :, :4], warped[:, :, :4])
    assert torch.equal(result[:, :, 4:], repaired[:, :, 4:])
    assert keep_still(repaired, warped, None) is repaired
