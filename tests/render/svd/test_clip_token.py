"""The picture that SVD's image encoder sees: shrunk as diffusers' own pipeline shrinks it."""

import pytest
import torch

from pipeline.render.svd.clip_token import resize_with_antialiasing


@pytest.mark.parametrize(
    ("height", "width"), [(1024, 576), (576, 1024), (300, 230), (224, 224), (128, 500), (97, 61)]
)
def test_it_shrinks_as_diffusers_does(height: int, width: int) -> None:
    module = pytest.importorskip(
        "diffusers.pipelines.stable_video_diffusion.pipeline_stable_video_diffusion"
    )
    theirs = getattr(module, "_resize_with_antialiasing", None)
    if theirs is None:
        pytest.skip("diffusers no longer has this function")
    picture = torch.rand((1, 3, height, width), generator=torch.Generator().manual_seed(0)) * 2 - 1
    ours = resize_with_antialiasing(picture, (224, 224))
    assert ours.shape == (1, 3, 224, 224)
    assert (ours - theirs(picture, (224, 224))).abs().max() <= 1e-6


def test_a_plain_picture_stays_plain_and_fine_stripes_vanish() -> None:
    plain = torch.full((1, 3, 512, 512), 0.25)
    assert torch.allclose(resize_with_antialiasing(plain, (64, 64)), torch.tensor(0.25), atol=1e-5)
    stripes = torch.ones(1, 1, 512, 512)
    stripes[..., ::2] = -1
    assert resize_with_antialiasing(stripes, (64, 64))[..., 4:-4].abs().max() < 0.02
