"""Where and how networks run: precision, offload by free memory, layout, compilation, and the
estimate."""

import argparse
import dataclasses
import functools
import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from diffusers import EulerDiscreteScheduler
from diffusers.models.attention_processor import Attention, AttnProcessor2_0, XFormersAttnProcessor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from pipeline.evaluation.bench import backbone
from pipeline.models.consistency import ConsistencyScheduler
from pipeline.models.interaction import AudioVideoInteraction
from pipeline.models.windows import WindowLayout
from pipeline.render.runtime import cost, placement
from pipeline.render.runtime.placement import Placement, choose_fitting_offload, place
from pipeline.render.svd.denoising import (
    JointWindows,
    PublishedWindows,
    plan_published_windows,
    plan_segments,
)
from pipeline.studio.cli import main
from tests.helpers.published import small_unet, tiny_published, write_set
from tests.helpers.tiny import motion, portrait, tiny_pipeline


def frames(pipe, moves=None):
    noise = torch.Generator().manual_seed(0)
    steps = list(pipe.render(portrait(), moves or motion(2), height=64, width=64, generator=noise))
    return torch.cat([torch.from_numpy(s.frames) for s in steps if s.frames is not None]).float()


@pytest.mark.slow
def test_half_precision_and_channels_last_change_little():
    pipe = tiny_published()
    place(pipe, Placement(device="cpu"))
    plain = frames(pipe)
    place(pipe, Placement(device="cpu", layout="channels-last"))
    assert pipe.unet.conv_in.weight.is_contiguous(memory_format=torch.channels_last)
    assert (frames(pipe) - plain).abs().max() <= 2
    place(pipe, Placement(device="cpu", dtype="bfloat16"))
    kinds = {part.dtype for part in (pipe.unet, pipe.controlnext)}
    assert kinds == {torch.bfloat16} and pipe.placed.dtype == "bfloat16"
    assert next(pipe.vae.encoder.parameters()).dtype == torch.float32
    assert next(pipe.vae.decoder.parameters()).dtype == torch.bfloat16
    assert 0 < (frames(pipe) - plain).abs().mean() < 8


@pytest.mark.slow
def test_the_embedded_model_runs_in_half_precision_as_well():
    pipe = tiny_pipeline()
    interaction = AudioVideoInteraction(
        ("conv_in", "mid_block"), (32, 32), pose_channels=32, dim=16
    )
    for site in interaction.exchanges:
        torch.nn.init.normal_(site.gate.weight, 0, 0.02)
    pipe.register_modules(interaction=interaction.eval())
    place(pipe, Placement(device="cpu"))
    plain = frames(pipe)
    place(pipe, Placement(device="cpu", dtype="bfloat16"))
    assert (frames(pipe) - plain).abs().mean() < 8


class OneDevice(TorchDispatchMode):
    """Refuses every operation on tensors of two devices that CUDA would refuse."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        given = tree_leaves((args, kwargs))
        places = {a.device.type for a in given if isinstance(a, torch.Tensor) and a.ndim}
        known = (torch.ops.aten.copy_, torch.ops.aten.index, torch.ops.aten.index_put_)  # take both
        if len(places) > 1 and func.overloadpacket not in known:
            raise RuntimeError(f"{func} on two devices")
        return func(*args, **(kwargs or {}))


@pytest.fixture
def elsewhere(monkeypatch):
    """A device that is not the CPU: PyTorch's "meta", where shapes and types are checked as on any
    other, and values are not there; what asks for one gets a number.
    """
    for name, value in (("__bool__", True), ("__float__", 0.5), ("item", 0.5)):
        plain = getattr(torch.Tensor, name)
        monkeypatch.setattr(
            torch.Tensor, name, lambda self, p=plain, v=value: v if self.is_meta else p(self)
        )
    move = torch.Tensor.to

    def moved(self, *where, **options):
        if (
            self.is_meta
            and where
            and (str(where[0]) == "cpu" or getattr(where[0], "is_meta", True) is False)
        ):
            return torch.zeros(self.shape, dtype=self.dtype)
        return move(self, *where, **options)

    monkeypatch.setattr(torch.Tensor, "to", moved)
    monkeypatch.setattr(torch.Tensor, "cpu", lambda self: moved(self, "cpu"))
    monkeypatch.setattr(EulerDiscreteScheduler, "index_for_timestep", lambda *args: 0)


@pytest.mark.parametrize("name", ["joint", "published", "few steps"])
def test_everything_of_the_published_model_runs_on_the_device_of_the_weights(elsewhere, name):
    pipe = tiny_published()
    if name == "few steps":
        pipe.register_modules(scheduler=ConsistencyScheduler.from_config(pipe.scheduler.config))
    placement.set_dtype(pipe, torch.float16)
    for part in (pipe.unet, pipe.controlnext, pipe.vae, pipe.reference_tokens, pipe.condition):
        part.to("meta")
    window_mode = "published" if name == "published" else "joint"
    options = {"num_inference_steps": 2, "window": 4, "overlap": 2, "window_mode": window_mode}
    noise = torch.Generator().manual_seed(0)
    with OneDevice():
        steps = list(
            pipe.render(portrait(), motion(6), height=64, width=64, generator=noise, **options)
        )
        with pytest.raises(RuntimeError, match="on two devices"):  # as a tensor left behind would
            pipe.unet.conv_in(torch.zeros(1, 8, 4, 4).half())
    assert sum(len(step.frames) for step in steps if step.frames is not None) == 6


WITHOUT_XFORMERS = """
import sys
sys.modules["xformers"] = None
from pipeline.render.runtime import placement
from tests.helpers.published import tiny_published
pipe = tiny_published()
print(placement.choose_attention(pipe, "auto", "cuda"))
try:
    placement.choose_attention(pipe, "xformers", "cuda")
except ValueError as error:
    print(error)
"""


def test_without_xformers_attention_is_pytorchs_and_asking_for_it_is_one_sentence(root):
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_XFORMERS], cwd=root, capture_output=True, text=True
    )
    chosen, *told = done.stdout.splitlines()
    assert chosen == "sdpa" and len(told) == 1, done.stderr
    assert told[0].startswith("xformers attention was asked for but cannot be used here (Refer to")
    assert told[0].endswith("use `attention` sdpa")


def test_pytorchs_attention_takes_the_place_of_xformers_chosen_before(monkeypatch):
    pipe = tiny_published()
    asked = []

    def chosen(layer: Attention, on: bool) -> None:
        asked.append(on)
        layer.set_processor(XFormersAttnProcessor() if on else AttnProcessor2_0())

    monkeypatch.setattr(Attention, "set_use_memory_efficient_attention_xformers", chosen)
    assert placement.choose_attention(pipe, "xformers", "cuda") == "xformers" and all(asked)
    found = pipe.unet.attn_processors.items()
    assert all(isinstance(p, XFormersAttnProcessor) != ("temporal" in name) for name, p in found)
    assert placement.choose_attention(pipe, "sdpa", "cpu") == "sdpa"
    kinds = {
        type(p) for p in (*pipe.unet.attn_processors.values(), *pipe.vae.attn_processors.values())
    }
    assert kinds == {AttnProcessor2_0}

    def broken(layer: Attention, on: bool) -> None:
        if on:
            raise RuntimeError("no kernel\nx")

    monkeypatch.setattr(Attention, "set_use_memory_efficient_attention_xformers", broken)
    assert placement.choose_attention(pipe, "auto", "cuda") == "sdpa"
    with pytest.raises(ValueError, match=r"\(no kernel\); use `attention` sdpa"):
        placement.choose_attention(pipe, "xformers", "cuda")


def test_free_memory_counts_no_weights_twice(monkeypatch):
    for name, value in (
        ("mem_get_info", (20e9, 80e9)),
        ("memory_reserved", 9e9),
        ("memory_allocated", 8e9),
    ):
        monkeypatch.setattr(torch.cuda, name, lambda device, value=value: value)
    assert placement.free_gb(torch.device("cuda")) == pytest.approx(21)  # and 8 are in use


def test_layers_can_stay_in_main_memory_and_give_the_same_frames():
    """The hooks of group offload work on a CPU, too; where they would pay is a CUDA device."""
    pipe = tiny_published()
    place(pipe, Placement(device="cpu"))
    plain = frames(pipe)
    placement.offload(pipe, "group", "cpu")
    assert torch.equal(frames(pipe), plain)


@pytest.mark.slow
def test_compiled_blocks_still_take_the_control_of_each_call():
    """Without a code generator: what is traced is the same."""
    pipe = tiny_published()
    place(pipe, Placement(device="cpu"))
    strong, none = motion(2), dataclasses.replace(motion(2), control_strength=np.zeros(2))
    plain = [frames(pipe, moves) for moves in (strong, none)]
    placement.compile_blocks(pipe.unet, backend="eager")
    for moves, want in zip((strong, none), plain, strict=True):
        assert (frames(pipe, moves) - want).abs().max() <= 1
    assert not torch.equal(*plain)


def test_offload_is_chosen_by_free_memory():
    sizes = [3.05, 1.26, 0.2]
    assert [choose_fitting_offload(sizes, free) for free in (80, 10, 4)] == [
        "none",
        "model",
        "group",
    ]
    assert choose_fitting_offload([0.03, 0.01], 0.5) == "none"
    assert placement.choose_offload(tiny_published(), "auto", "cpu") == "none"


@pytest.mark.parametrize(
    ("values", "word"),
    [({"dtype": "int8"}, "int8"), ({"offload": "disk"}, "disk"), ({"layout": "rows"}, "rows"),
     ({"attention": "flash"}, "flash"), ({"compiling": "maybe"}, "maybe")],
)  # fmt: skip
def test_unknown_choices_name_themselves(values, word):
    with pytest.raises(ValueError, match=word):
        Placement(**values)


def test_offload_without_a_cuda_device_is_refused():
    with pytest.raises(ValueError, match="offload model was asked for, but the device is cpu"):
        place(tiny_published(), Placement(device="cpu", offload="model"))


@torch.no_grad()
def test_operations_are_those_that_pytorch_counts():
    """On the meta device, where attention is counted product by product."""
    unet, vae = small_unet().to("meta"), tiny_published().vae.to("meta")
    zeros = functools.partial(torch.zeros, device="meta")
    with FlopCounterMode(display=False) as counter:
        unet(zeros(1, 3, 8, 32, 16), zeros(()), zeros(1, 1, 32), zeros(1, 3))
    assert cost.count_unet_operations(unet, 32, 16) == pytest.approx(
        counter.get_total_flops() / 3, rel=0.05
    )
    with FlopCounterMode(display=False) as counter:
        vae.decode(zeros(2, 4, 8, 8), num_frames=2)
    assert cost.count_decoder_operations(vae, 8, 8) == pytest.approx(
        counter.get_total_flops() / 2, rel=0.1
    )


def test_the_estimate_grows_as_it_should_and_says_when_it_does_not_fit():
    pipe = tiny_published()
    place(pipe, Placement(device="cpu"))
    short, long = (cost.estimate(pipe, (64, 64), n, speed=1e9) for n in (9, 90))
    assert 8 < long.seconds / short.seconds < 12 and long.gigabytes == short.gigabytes > 0
    once = cost.estimate(
        pipe, (64, 64), 9, speed=1e9, conditioning={"min_guidance": 1.0, "max_guidance": 1.0}
    )
    assert 0.4 < once.seconds / short.seconds < 1
    assert "may not fit" in cost.Estimate(30.0, 16.0, 5.0).sentence()
    assert "may not fit" not in short.sentence() and set(short.to_dict()) == {
        "gigabytes",
        "free",
        "seconds",
    }


def test_rows_of_all_windows_are_counted():
    assert plan_segments(7, 3, 1) == [(0, 7)]
    assert JointWindows(WindowLayout(4, 1, lead=1)).rows(7) == 3 * 4
    assert (
        PublishedWindows(WindowLayout(4, 2, lead=1)).rows(7)
        == 4 * len(plan_published_windows(8, 4, 2))
        == 12
    )


@pytest.mark.slow
def test_the_bench_of_a_large_backbone_runs(tmp_path, capsys):
    write_set(tmp_path)
    small = [
        "--sizes",
        "64x64",
        "--frames",
        "4",
        "--steps",
        "1",
        "--window",
        "4",
        "--overlap",
        "1",
        "--device",
        "cpu",
        "--json",
    ]
    words = [
        "bench",
        "--model",
        "controlnext-svd",
        "--random-weights",
        "--config",
        str(tmp_path),
        *small,
    ]
    assert main(words) == 0
    figures = json.loads(capsys.readouterr().out.splitlines()[-1])
    for schedule in ("joint", "published"):
        assert figures[f"64x64_sdpa_{schedule}_s_per_frame"] > 0
    assert (
        "xformers" in figures["64x64_xformers"]
        and figures["64x64_estimate_gb"] > 0
        and "cpu" in figures
    )
    assert main(["bench", "--model", "x", "--random-weights", "--sizes", "big", "--device", "cpu",
                 "--config", str(tmp_path)]) == 2  # fmt: skip
    assert "WIDTHxHEIGHT" in capsys.readouterr().err
    assert main([*words, "--peer", str(tmp_path)]) == 2
    assert "lacks pipeline/pipeline_stable_video" in capsys.readouterr().err


@pytest.mark.slow
def test_published_code_that_stops_costs_none_of_our_own_figures(tmp_path):
    write_set(tmp_path)
    args = argparse.Namespace(peer=str(tmp_path), config=str(tmp_path), sizes=["64x64"], random_weights=True,
                              frames=2, steps=1, window=2, overlap=1)  # fmt: skip
    found = backbone.published_loop(args, backbone.moves(2), "cpu", "float32", {})
    told = (
        f"the published code in {tmp_path} stopped: ModuleNotFoundError: No module named 'models'"
    )
    assert found == {"64x64_peer": told}


@pytest.mark.gpu
def test_on_cuda_half_precision_offload_and_attention_agree():
    pipe = tiny_published()
    place(pipe, Placement(device="cpu"))
    plain = frames(pipe)
    for how in (Placement("cuda"), Placement("cuda", attention="sdpa", dtype="float16"),
                Placement("cuda", offload="model"), Placement("cuda", offload="group"),
                Placement("cuda", compiling="on", layout="channels-last")):  # fmt: skip
        pipe = tiny_published()
        place(pipe, how)
        assert (frames(pipe) - plain).abs().mean() < 4, how


@pytest.mark.gpu
@pytest.mark.parametrize("offload", ["none", "model", "group"])
def test_on_cuda_the_embedded_model_agrees_and_takes_a_generator_of_either_device(offload):
    pipe = tiny_pipeline()
    place(pipe, Placement(device="cpu"))
    plain = frames(pipe)
    place(pipe, Placement("cuda", offload=offload, dtype="float16"))
    assert (frames(pipe) - plain).abs().mean() < 8
    noise = torch.Generator("cuda").manual_seed(0)
    video = pipe(
        portrait(), motion=motion(2), height=64, width=64, generator=noise, output_type="np"
    )
    assert video.frames.std() > 1
