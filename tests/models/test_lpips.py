"""LPIPS with random weights: published names, properties of the distance, hand-computed heads."""

import numpy as np
import pytest
import torch

from pipeline.models.lpips import ALEX, BACKBONES, VGG, Features, Heads, Lpips
from pipeline.values import InputError

NUMBERS = {
    "lpips-alex": (0, 3, 6, 8, 10),
    "lpips-vgg": (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28),
}
CHANNELS = {
    "lpips-alex": [64, 192, 384, 256, 256],
    "lpips-vgg": [64, 128, 256, 512, 512],
}


@pytest.mark.parametrize("name", BACKBONES)
def test_keys_are_torchvisions_and_those_of_lpips(name):
    with torch.device("meta"):
        features = Features(BACKBONES[name])
        heads = Heads(features.channels)
    wanted = {f"features.{n}.{part}" for n in NUMBERS[name] for part in ("weight", "bias")}
    assert set(features.state_dict()) == wanted
    shapes = {key: tuple(v.shape) for key, v in heads.state_dict().items()}
    assert shapes == {
        f"lin{n}.model.1.weight": (1, channels, 1, 1) for n, channels in enumerate(CHANNELS[name])
    }


def test_first_layers_have_the_published_shapes():
    with torch.device("meta"):
        assert Features(ALEX).features[0].weight.shape == (64, 3, 11, 11)
        assert Features(VGG).features[28].weight.shape == (512, 512, 3, 3)


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict:
    """Random files in the published layout, with a layer for classes."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("lpips")
    paths = {"backbone": folder / "alexnet.pth", "heads": folder / "alex.pth"}
    state = Features(ALEX).state_dict() | {"classifier.6.bias": torch.zeros(1000)}
    torch.save(state, paths["backbone"])
    heads = {key: v.abs() for key, v in Heads(CHANNELS["lpips-alex"]).state_dict().items()}
    torch.save(heads, paths["heads"])
    return paths


def test_equal_pictures_have_the_distance_0_and_noise_raises_it(files):
    network = Lpips.from_published("lpips-alex", files)
    generator = np.random.default_rng(0)
    picture = generator.integers(0, 256, (80, 64, 3)).astype(np.uint8)
    noise = generator.normal(size=picture.shape)
    found = []
    for strength in (0, 10, 60):
        other = (picture + strength * noise).clip(0, 255).astype(np.uint8)
        found.append(network.distance(picture, other))
        assert network.distance(other, picture) == pytest.approx(found[-1], rel=1e-5)
    assert found[0] == 0 and 0 < found[1] < found[2]


def test_heads_add_the_means_of_weighted_differences():
    heads = Heads([2, 1]).eval()
    with torch.no_grad():
        heads.lin0.model[1].weight[:] = torch.tensor([1.0, 10.0]).view(1, 2, 1, 1)
        heads.lin1.model[1].weight[:] = 100.0
        first = torch.stack([torch.full((2, 2), 3.0), torch.full((2, 2), 4.0)])[None]
        second = torch.tensor([[[[1.0, 3.0]]]])
        assert heads([first, second]).tolist() == [3 + 40 + 200]


def test_other_sizes_and_other_files_are_refused(files):
    network = Lpips.from_published("lpips-alex", files)
    picture = np.zeros((80, 64, 3), np.uint8)
    with pytest.raises(InputError, match="one size from 64 pixels"):
        network.distance(picture, picture[:70])
    with pytest.raises(InputError, match="one size from 64 pixels"):
        network.distance(picture[:60], picture[:60])
    with pytest.raises(InputError, match="lacks features"):
        Lpips.from_published("lpips-alex", files | {"backbone": files["heads"]})
