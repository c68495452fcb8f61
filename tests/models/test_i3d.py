"""I3D with random weights: the published names, shapes, least length; and the program's door."""

import json

import numpy as np
import pytest
import torch

from pipeline.models.i3d import I3D, SIZE, TorchScriptI3D, padded
from pipeline.models.measuring_weights import checksum
from pipeline.values import InputError


def test_keys_and_shapes_are_the_published_ones(root):
    """Recorded from the network of cd-fvd, which reads the same file."""
    with torch.device("meta"):
        network = I3D()
    state = network.state_dict()
    assert len(state) == 344 and sum(p.numel() for p in network.parameters()) == 12_697_264
    shapes = {key: list(v.shape) for key, v in state.items() if not key.endswith("tracked")}
    recorded = json.loads((root / "tests" / "data" / "measuring_keys.json").read_text())
    assert shapes == recorded["i3d"]


@pytest.mark.parametrize("frames", [9, 17])
def test_shapes_of_a_clip(frames):
    with torch.device("meta"):
        network = I3D().eval()
        logits = network(torch.zeros(2, 3, frames, 224, 224))
    assert logits.shape == (2, SIZE)


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "wanted"),
    [
        (16, 7, 2, (2, 3)),
        (9, 7, 2, (3, 3)),
        (16, 3, 2, (0, 1)),
        (7, 3, 1, (1, 1)),
        (7, 1, 1, (0, 0)),
    ],
)
def test_borders_are_tensorflows(size, kernel, stride, wanted):
    """Of an odd border the larger part comes last."""
    clip = torch.ones(1, 1, size, 1, 1)
    made = padded(clip, (kernel, 1, 1), (stride, 1, 1))[0, 0, :, 0, 0]
    before, after = wanted
    assert made.tolist() == [0.0] * before + [1.0] * size + [0.0] * after


def clip(frames: int, side: int = 224) -> np.ndarray:
    return np.zeros((1, frames, side, side, 3), np.float32)


def test_clips_that_are_too_short_or_of_another_size_are_refused():
    network = I3D()
    with pytest.raises(InputError, match="at least 9 frames at 224 x 224, got 8 frames"):
        network.features(clip(8))
    with pytest.raises(InputError, match="at 112 x 112"):
        network.features(clip(16, 112))


def test_a_published_file_loads(tmp_path):
    torch.manual_seed(0)
    network = I3D()
    path = tmp_path / "i3d_pretrained_400.pt"
    torch.save(network.state_dict(), path)
    loaded = I3D.from_published(path)
    assert torch.equal(loaded.logits.conv3d.bias, network.logits.conv3d.bias)
    torch.save({"more": torch.zeros(1)}, path)
    with pytest.raises(InputError, match="lacks Conv3d_1a_7x7"):
        I3D.from_published(path)


class Program(torch.nn.Module):
    def forward(self, x, rescale: bool, resize: bool, return_features: bool):
        return x.mean((1, 2, 3, 4), keepdim=True).flatten(1).expand(-1, 400)


def test_a_program_is_opened_by_its_checksum_alone(tmp_path):
    path = tmp_path / "i3d_torchscript.pt"
    torch.jit.script(Program()).save(str(path))
    with pytest.raises(InputError, match="not opened: state its SHA-256"):
        TorchScriptI3D(path)
    opened = TorchScriptI3D(path, sha256=checksum(path))
    assert opened.features(clip(16) + 0.5).shape == (1, 400)
    assert np.allclose(opened.features(clip(16) + 0.5), 0.5)
