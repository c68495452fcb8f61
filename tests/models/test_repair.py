"""The repair does less where the warp changed less, and nothing where it shows the photo."""

import torch

from pipeline.models.repair import CHANGED, blend, changed_share

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
    generated = (reference + 0.3).clamp(0, 1)
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
    generated = torch.full_like(reference, 0.9)
    validity = torch.ones(1, 1, 64, 64)
    face = face_in_the_middle()
    result = blend(warped, generated, validity, face, KEEP, reference)
    everywhere = blend(warped, generated, validity, face, KEEP)
    assert torch.allclose(result, everywhere, atol=1e-3)
