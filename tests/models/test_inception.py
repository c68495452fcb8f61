"""FID's Inception with random weights: the published names, shapes and the resizing."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from pipeline.models.inception import Inception, resized
from pipeline.values import InputError


@pytest.fixture(scope="module")
def network() -> Inception:
    torch.manual_seed(0)
    return Inception().eval().requires_grad_(False)


def shapes(network: torch.nn.Module) -> dict[str, list[int]]:
    state = network.state_dict()
    return {key: list(v.shape) for key, v in state.items() if not key.endswith("tracked")}


def test_keys_and_shapes_are_the_published_ones(root):
    """Recorded from torch-fidelity's own network for the same file."""
    with torch.device("meta"):
        network = Inception()
    recorded = json.loads((root / "tests" / "data" / "measuring_keys.json").read_text())
    assert shapes(network) == recorded["inception"]
    assert len(shapes(network)) == 472
    assert sum(p.numel() for p in network.parameters()) == 23_850_960


def test_a_picture_of_any_size_becomes_2048_numbers(network):
    pictures = [np.full((40, 30, 3), 200, np.uint8), np.zeros((64, 64, 3), np.uint8)]
    features = network.features(pictures)
    assert features.shape == (2, 2048) and np.isfinite(features).all()
    assert (features >= 0).all()  # means of rectified values
    assert np.allclose(network.features(pictures[1:]), features[1:], rtol=1e-3, atol=1e-5)


def test_pictures_are_resized_in_floats_with_pillows_filter():
    picture = np.random.default_rng(0).integers(60, 190, (500, 340, 3)).astype(np.uint8)
    made = resized(picture)
    assert made.shape == (299, 299, 3) and made.dtype == np.float32
    rounded = Image.fromarray(picture).resize((299, 299), Image.Resampling.BICUBIC)
    assert np.abs(made - np.asarray(rounded)).max() <= 1.5  # both of Pillow's passes round there
    assert (made != np.rint(made)).any()
    edge = np.zeros((600, 600, 3), np.uint8)
    edge[:, 300:] = 255
    assert resized(edge).min() == 0 and resized(edge).max() == 255  # no ringing, as clean-fid


def test_the_published_file_loads_without_counters(network, tmp_path):
    state = network.state_dict()
    path = tmp_path / "pt_inception.pth"
    torch.save({key: v for key, v in state.items() if not key.endswith("tracked")}, path)
    loaded = Inception.from_published(path)
    assert torch.equal(
        loaded.Mixed_7c.branch_pool.conv.weight, state["Mixed_7c.branch_pool.conv.weight"]
    )
    torch.save({key: v for key, v in state.items() if not key.startswith("fc")}, path)
    with pytest.raises(InputError, match="lacks fc.bias"):
        Inception.from_published(path)
