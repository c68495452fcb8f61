"""The control network and its injection against numbers computed by the published code (random
weights)."""

import json

import numpy as np
import pytest
import torch
from torch import nn

from pipeline.models.controlnext import ControlNeXt, cross_normalize, inject
from pipeline.models.denoiser import ReferenceTokens, controlled, run_unet, shared_noise
from pipeline.models.repair import blend, face_maps, repair_gate
from pipeline.models.temporal import restore_temporal, silence_temporal, skip_idle_temporal
from tests.helpers.published import fill, small_unet


@pytest.fixture(scope="module")
def io(data):
    with np.load(data / "controlnext_io.npz") as file:
        return {name: torch.from_numpy(file[name]) for name in file.files}


@pytest.fixture(scope="module")
def calls(data):
    with np.load(data / "pipeline_small.npz") as file:
        return {name: torch.as_tensor(file[name]) for name in file.files if name.startswith("call")}


def test_default_network_has_the_published_keys_and_shapes(data):
    published = json.loads((data / "full_keys.json").read_text())["controlnext"]
    with torch.device("meta"):
        own = {k: list(v.shape) for k, v in ControlNeXt().state_dict().items()}
    assert len(own) == 52
    assert own == {k: list(v) for k, v in published.items()}


@pytest.mark.parametrize(("padding", "name"), [(0, "infer"), (1, "train")])
@pytest.mark.parametrize("time", ["t_scalar", "t_batch"])
def test_network_equals_the_published_code(io, padding, name, time):
    network = fill(ControlNeXt(stem_padding=padding), 11)
    got, want = network(io["input"], io[time]), io[f"{name}_{time}"]
    assert got.shape == want.shape
    assert (got - want).abs().max() <= 1e-4


def test_cross_normalisation_equals_the_published_code(io):
    got = cross_normalize(
        io["xnorm_hidden"], io["xnorm_control"], io["xnorm_scale"].view(-1, 1, 1, 1)
    )
    assert (got - io["xnorm_out"]).abs().max() <= 1e-5


def test_stock_unet_with_the_hook_equals_the_published_unet(calls):
    """In float64, the same on every machine; the stored float32 numbers err by 1.5e-4
    themselves."""
    calls = {
        name: value.double() if value.is_floating_point() else value
        for name, value in calls.items()
    }
    unet = fill(small_unet(), 12).double()
    with inject(unet, "down_blocks.0") as injection:
        for i in range(3):
            sample, ids = calls[f"call{i}_sample"], calls[f"call{i}_ids"][0].tolist()
            got = run_unet(
                unet,
                injection,
                sample[:, :, :4],
                calls[f"call{i}_t"],
                sample[:, :, 4:],
                calls[f"call{i}_ehs"],
                calls[f"call{i}_ctrl"],
                calls[f"call{i}_scale"],
                time_ids=ids,
            )
            assert (got - calls[f"call{i}_out"]).abs().max() <= 2e-4


def test_hook_is_removed_and_its_place_checked(calls):
    unet = fill(small_unet(), 12)
    arguments = (calls["call0_sample"], calls["call0_t"], calls["call0_ehs"], calls["call0_ids"])
    plain = unet(*arguments).sample
    with inject(unet, "conv_in") as injection:
        injection.set(torch.rand(8, 32, 16, 8), 1.0)
        assert (unet(*arguments).sample - plain).abs().max() > 1e-3
    assert torch.equal(unet(*arguments).sample, plain)
    with pytest.raises(ValueError, match="conv_out"), inject(unet, "conv_out"):
        pass


def test_scale_acts_frame_by_frame():
    hidden, control = torch.randn(3, 8, 6, 4), torch.randn(3, 8, 6, 4)
    out = cross_normalize(hidden, control, torch.tensor([0.0, 1.0, 2.0]).view(3, 1, 1, 1), 1.0)
    assert torch.equal(out[0], hidden[0])
    once, twice = (out[i] - hidden[i] for i in (1, 2))
    assert once.std() == pytest.approx(hidden[1].std().item(), rel=1e-3)
    assert twice.std() == pytest.approx(2 * hidden[2].std().item(), rel=1e-3)


def test_small_network_takes_validity_and_saves(tmp_path):
    network = ControlNeXt(
        stem_channels=(8, 8, 16),
        stem_strides=(2, 2, 2),
        stem_padding=1,
        block_channels=(16,),
        block_strides=(1,),
        block_groups=(4,),
        out_channels=32,
        extra_channels=16,
        control_level=1.0,
        where="conv_in",
    ).eval()
    picture, cells = torch.rand(2, 3, 64, 96), torch.rand(2, 16, 8, 12)
    out = network(picture, 1.0, cells)
    assert out.shape == (2, 32, 8, 12)
    assert not torch.equal(out, network(picture, 1.0, torch.zeros_like(cells)))
    with pytest.raises(ValueError, match="extra is missing"):
        network(picture, 1.0)
    network.save_pretrained(tmp_path)
    again = ControlNeXt.from_pretrained(tmp_path).eval()
    assert again.config.where == "conv_in"
    assert torch.equal(again(picture, 1.0, cells), out)
    unet = small_unet()
    with controlled(unet, again) as injection:
        assert injection.level == 1.0


def test_idle_temporal_layers_are_skipped_without_changing_the_output():
    torch.manual_seed(0)
    unet = small_unet().eval()
    silence_temporal(unet)
    sample, tokens, ids = (
        torch.randn(1, 3, 8, 16, 16),
        torch.randn(1, 5, 32),
        torch.tensor([[6.0, 127.0, 0.02]]),
    )
    with torch.no_grad():
        full = unet(sample, 1.0, tokens, ids).sample
        single = unet(sample[:, :1], 1.0, tokens, ids).sample
        assert (full[:, :1] - single).abs().max() < 1e-5  # no frame sees another
        keys = set(unet.state_dict())
        assert skip_idle_temporal(unet) > 10
        assert (unet(sample, 1.0, tokens, ids).sample - full).abs().max() < 1e-5
        assert set(unet.state_dict()) == keys
        restore_temporal(unet)
        assert not any("forward" in module.__dict__ for module in unet.modules())
        nn.init.ones_(unet.mid_block.resnets[0].temporal_res_block.conv2.bias)
        skipped = skip_idle_temporal(unet)
        assert (unet(sample, 1.0, tokens, ids).sample - full).abs().max() > 1e-4
    assert skipped > 0


def test_reference_tokens_know_their_place_at_any_aspect():
    tokens = ReferenceTokens(in_channels=48, patch=4, dim=64)
    flat = tokens(torch.zeros(1, 48, 48, 32))
    assert flat.shape == (1, 96, 64)
    assert tokens(torch.zeros(2, 48, 34, 34)).shape == (2, 81, 64)
    assert (flat[0, 0] - flat[0, -1]).abs().max() > 1e-3


def test_noise_is_one_pattern_for_all_frames():
    make = lambda: torch.Generator().manual_seed(3)  # noqa: E731
    noise = shared_noise((1, 4, 48, 6, 4), make(), torch.device("cpu"), torch.float32)
    assert torch.equal(noise[:, 0], noise[:, 3])
    assert torch.equal(
        noise, shared_noise((1, 4, 48, 6, 4), make(), torch.device("cpu"), torch.float32)
    )


def test_gate_repairs_what_is_invalid_and_spares_what_is_valid():
    validity = torch.ones(1, 1, 64, 48)
    validity[..., :16, :] = 0
    face = torch.zeros(1, 68, 3)
    face[0, :, 0] = torch.linspace(0.4, 0.6, 68)
    face[0, :, 1] = torch.linspace(0.6, 0.8, 68)
    face[..., 2] = 1
    gate = repair_gate(validity, face, (0.2, 0.5, 1.0))
    assert gate.shape == (1, 1, 64, 48)
    assert gate[0, 0, :14].min() == pytest.approx(1.0)
    assert gate[0, 0, 30, 2] == pytest.approx(0.2, abs=1e-5)
    middle = gate[0, 0, 42, 22]
    assert 0.45 < middle <= 1.0
    face[..., 2] = 0
    assert repair_gate(validity, face, (0.2, 0.5, 1.0))[0, 0, 20:].max() == pytest.approx(
        0.2, abs=1e-5
    )
    assert face_maps(face, (64, 48))[0].max() == 0
    warped, made = torch.zeros(1, 3, 64, 48), torch.ones(1, 3, 64, 48)
    blended = blend(warped, made, validity, face, (0.2, 0.5, 1.0))[:, :1]
    assert torch.allclose(blended, repair_gate(validity, face, (0.2, 0.5, 1.0)), atol=1e-6)
    spotted = torch.zeros_like(made)
    spotted[:, :, 4, 4] = (
        1  # a speck where the warp holds nothing is smoothed, where it is sure it is not
    )
    assert blend(warped, spotted, validity, face, (0.2, 0.5, 1.0)).max() < 0.2
    assert blend(warped, spotted, torch.ones_like(validity), face, (1.0, 1.0, 1.0)).max() == 1
