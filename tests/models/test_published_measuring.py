"""The published files of networks that measure load as they are (needs the hub)."""

import numpy as np
import pytest

from pipeline.evaluation.metrics.identity import IdentityEmbedder
from pipeline.models import download
from pipeline.models.i3d import I3D, TorchScriptI3D
from pipeline.models.inception import Inception
from pipeline.models.lpips import Lpips
from pipeline.models.measuring_weights import Weights, find_weights
from pipeline.models.syncnet import SyncNet

pytestmark = pytest.mark.hub


def weights(name: str) -> Weights:
    """Fetch what is lacking; checksums are compared on the way."""
    list(download.download(name))
    found = find_weights(name)
    assert isinstance(found, Weights)
    return found


def test_syncnet():
    network = SyncNet.from_published(weights("syncnet").paths["syncnet"])
    assert np.isfinite(network.embed_sounds(np.zeros((20, 13)))).all()


def test_both_files_of_i3d_agree():
    plain = I3D.from_published(weights("i3d").paths["i3d"])
    program = TorchScriptI3D(weights("i3d-torchscript").paths["i3d"])
    clip = np.random.default_rng(0).uniform(-1, 1, (1, 16, 224, 224, 3)).astype(np.float32)
    assert np.allclose(plain.features(clip), program.features(clip), atol=1e-2)


def test_inception():
    network = Inception.from_published(weights("inception-fid").paths["inception"])
    assert np.isfinite(network.features([np.zeros((64, 64, 3), np.uint8)])).all()


@pytest.mark.parametrize("name", ["lpips-alex", "lpips-vgg"])
def test_lpips(name):
    network = Lpips.from_published(name, weights(name).paths)
    black = np.zeros((64, 64, 3), np.uint8)
    assert network.distance(black, black) == 0 < network.distance(black, black + 200)


@pytest.mark.parametrize(("name", "numbers"), [("arcface", 512), ("sface", 128)])
def test_identity(name, numbers):
    network = IdentityEmbedder.of(weights(name))
    assert network.side == 112
    assert network.embed(np.zeros((112, 112, 3), np.uint8)).shape == (numbers,)
