"""SyncNet with random weights: the published names, shapes and windows; its loader."""

import numpy as np
import pytest
import torch

from pipeline.models.syncnet import SIZE, SyncNet
from pipeline.values import InputError

CONVOLUTIONS = {
    "netcnnaud": {
        0: (64, 1, 3, 3),
        4: (192, 64, 3, 3),
        8: (384, 192, 3, 3),
        11: (256, 384, 3, 3),
        14: (256, 256, 3, 3),
        18: (512, 256, 5, 4),
    },
    "netcnnlip": {
        0: (96, 3, 5, 7, 7),
        4: (256, 96, 1, 5, 5),
        8: (256, 256, 1, 3, 3),
        11: (256, 256, 1, 3, 3),
        14: (256, 256, 1, 3, 3),
        18: (512, 256, 1, 6, 6),
    },
}


def published() -> dict[str, tuple[int, ...]]:
    """Every key of `syncnet_v2.model` and its shape, without counters of batches."""
    table = {}
    layers = dict(CONVOLUTIONS)
    for name in ("netfcaud", "netfclip"):
        layers[name] = {0: (512, 512)}
        table |= {f"{name}.3.weight": (SIZE, 512), f"{name}.3.bias": (SIZE,)}
    for name, places in layers.items():
        for place, shape in places.items():
            table |= {f"{name}.{place}.weight": shape, f"{name}.{place}.bias": shape[:1]}
            for part in ("weight", "bias", "running_mean", "running_var"):
                table[f"{name}.{place + 1}.{part}"] = shape[:1]
    return table


@pytest.fixture(scope="module")
def network() -> SyncNet:
    torch.manual_seed(0)
    return SyncNet().eval().requires_grad_(False)


def test_keys_and_shapes_are_the_published_ones(network):
    state = network.state_dict()
    counters = {key for key in state if key.endswith("num_batches_tracked")}
    shapes = {key: tuple(value.shape) for key, value in state.items() if key not in counters}
    assert shapes == published()
    assert len(state) == 102 and len(counters) == 14
    assert sum(p.numel() for p in network.parameters()) == 13_631_616


def test_points_of_a_clip_are_those_of_its_windows(network):
    """Frames i to i+4 of the mouth and rows 4i to 4i+19 of the sound."""
    generator = np.random.default_rng(0)
    crops = generator.integers(0, 256, (6, 224, 224, 3), np.uint8)
    mouths = network.embed_mouths(crops)
    assert mouths.shape == (2, SIZE)
    assert np.allclose(network.embed_mouths(crops[1:]), mouths[1:], rtol=1e-3, atol=1e-5)
    cepstra = generator.normal(size=(28, 13))
    sounds = network.embed_sounds(cepstra)
    assert sounds.shape == (3, SIZE)
    assert np.allclose(network.embed_sounds(cepstra[4:24]), sounds[1:2], rtol=1e-3, atol=1e-5)
    window = torch.from_numpy(cepstra[:20].T[None, None]).float()
    features = network.netfcaud(network.netcnnaud(window).flatten(1))
    assert np.allclose(features[0], sounds[0], rtol=1e-3, atol=1e-5)


def test_what_is_shorter_than_a_window_has_no_points(network):
    assert network.embed_mouths(np.zeros((4, 224, 224, 3), np.uint8)).shape == (0, SIZE)
    assert network.embed_sounds(np.zeros((19, 13))).shape == (0, SIZE)


@pytest.mark.parametrize("counters", ["with", "without"])
def test_a_published_file_loads_with_or_without_counters(network, tmp_path, counters):
    state = network.state_dict()
    if counters == "without":
        state = {key: v for key, v in state.items() if not key.endswith("num_batches_tracked")}
    path = tmp_path / "syncnet_v2.model"
    torch.save(state, path)
    loaded = SyncNet.from_published(path)
    assert torch.equal(loaded.netfcaud[3].weight, network.netfcaud[3].weight)
    assert not loaded.training


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        (lambda state: state.pop("netfclip.3.bias"), "lacks netfclip.3.bias"),
        (lambda state: state.update(more=torch.zeros(1)), "has unknown more"),
        (lambda state: state.update({"netfcaud.0.bias": torch.zeros(3)}), "of shape"),
    ],
)
def test_another_file_is_refused(network, tmp_path, edit, told):
    state = dict(network.state_dict())
    edit(state)
    path = tmp_path / "syncnet_v2.model"
    torch.save(state, path)
    with pytest.raises(InputError, match=told):
        SyncNet.from_published(path)


def test_a_file_that_could_run_code_is_refused(tmp_path):
    path = tmp_path / "syncnet_v2.model"
    torch.save(SyncNet(), path)
    with pytest.raises(InputError, match="could run code"):
        SyncNet.from_published(path)
