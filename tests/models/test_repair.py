"""The repair does less where the warp changed less, and nothing where it shows the photo."""

import torch

from pipeline.models.repair import CHANGED, blend, changed_share, within_neighbors

KEEP = (0.34, 0.8, 1.0, 0.5)


def face_in_the_middle() -> torch.Tensor:
    """Face points (1,68,3) whose lips are lower than the rest."""
    face = torch.ones(1, 68, 3)
    face[0, :, 0] = torch.linspace(0.4, 0.6, 68)
    face[0, :48, 1] = torch.linspace(0.3, 0.6, 48)
    face[0, 48:, 0] = torch.linspace(0.45, 0.55, 20)
    face[0, 48:, 1] = torch.linspace(0.5, 0.55, 20)
    return face


def test_the_share_of_the_repair_grows_with_the_change() -> None:
    reference = torch.full((1, 3, 32, 32), 0.5)
    shares = [
        float(changed_share(reference + change, reference)[0, 0, 16, 16])
        for change in (0.0, 0.02, CHANGED, 0.2)
    ]
    assert shares[0] == 0
    assert shares[1] < 0.02
    assert abs(shares[2] - 0.5) < 1e-3
    assert shares[3] > 0.98


def test_an_unchanged_photo_is_repaired_at_the_mouth_alone() -> None:
    reference = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    generated = 1 - reference
    validity = torch.ones(1, 1, 64, 64)
    face = face_in_the_middle()
    result = blend(reference, generated, validity, face, KEEP, reference)
    change = (result - reference).abs().amax(1)[0]
    assert change[:14].max() == 0
    assert change[22, 32] == 0  # the brows
    assert change[33, 32] > 0.1
    everywhere = blend(reference, generated, validity, face, KEEP)
    assert (everywhere - reference).abs()[0, :, :14].max() > 0.09


def test_a_changed_place_is_repaired_as_before() -> None:
    reference = torch.zeros(1, 3, 64, 64)
    warped = torch.full_like(reference, 0.6)
    warped[:, :, ::2] = 0.8
    generated = torch.full_like(reference, 0.7)
    validity = torch.ones(1, 1, 64, 64)
    face = face_in_the_middle()
    result = blend(warped, generated, validity, face, KEEP, reference)
    everywhere = blend(warped, generated, validity, face, KEEP)
    assert torch.allclose(result, everywhere, atol=1e-3)


def test_a_ghost_that_the_warp_does_not_show_is_not_drawn() -> None:
    warped = torch.full((1, 3, 64, 64), 0.6)
    warped[:, :, 40:, :20] = 0.2  # a hand
    generated = warped.clone()
    generated[:, :, 4:16, 40:56] = 0.2  # where it came from
    generated[:, :, 39, :20] = 0.2  # its outline, a pixel higher
    limited = within_neighbors(generated, warped)
    assert torch.equal(limited[:, :, 4:16, 40:56], warped[:, :, 4:16, 40:56])
    assert torch.equal(limited[:, :, 39, :20], generated[:, :, 39, :20])
    no_face = torch.zeros(1, 68, 3)
    holes = torch.zeros(1, 1, 64, 64)
    result = blend(warped, generated, holes, no_face, KEEP, 1 - warped)
    assert torch.equal(result[:, :, 4:16, 40:56], warped[:, :, 4:16, 40:56])
    assert (result - warped)[0, 0, 39, 10] < -0.01


def test_a_changed_face_may_be_drawn_anew() -> None:
    warped = torch.full((1, 3, 64, 64), 0.6)
    generated = torch.full_like(warped, 0.2)
    validity = torch.ones(1, 1, 64, 64)
    result = blend(
        warped, generated, validity, face_in_the_middle(), KEEP, torch.zeros_like(warped)
    )
    assert (result - warped)[0, 0, 28, 32] < -0.25
    assert (result - warped)[0, 0, 60, 4] == 0
