"""What runs on a CUDA device, on a stand-in for one: tensors where they should be, frames as the
CPU's."""

from dataclasses import replace
from types import SimpleNamespace

import diffusers.models.attention_processor as processors
import numpy as np
import pytest
import torch

from pipeline.models.consistency import ConsistencyScheduler
from pipeline.models.windows import WindowLayout
from pipeline.render import load
from pipeline.render.runtime import out_of_memory, placement
from pipeline.render.runtime.cost import estimate
from pipeline.render.runtime.out_of_memory import Attempt
from pipeline.render.runtime.placement import Placement, place
from tests.helpers import fake_cuda
from tests.helpers.published import tiny_published
from tests.helpers.tiny import motion, open_gates, portrait, speech, tiny_pipeline

FRAMES = 2


@pytest.fixture
def cuda():
    with fake_cuda.cuda():
        yield


@pytest.fixture(scope="module")
def plain():
    """The published backbone's frames on the CPU."""
    return frames(placed("cpu"))


@pytest.fixture
def opened():
    """The embedded model, whose interaction is at work."""
    pipe = load.load("mini", device="cpu")
    open_gates(pipe.interaction)
    return pipe


def placed(device="cuda", make=tiny_published, **how):
    pipe = make()
    place(pipe, Placement(device, **({"attention": "sdpa"} | how)))
    return pipe


def frames(pipe, moves=None, generator=None, **options) -> np.ndarray:
    generator = torch.Generator().manual_seed(0) if generator is None else generator
    steps = pipe.render(
        portrait(), moves or motion(FRAMES), height=64, width=64, generator=generator, **options
    )
    return np.concatenate([step.frames for step in steps if step.frames is not None]).astype(int)


def test_the_stand_in_refuses_what_cuda_refuses(cuda):
    there, here = torch.ones(2, 3, device="cuda"), torch.ones(2, 3)
    assert there.device == torch.device("cuda:0") and there.is_cuda and not there.cpu().is_cuda
    assert torch.equal((there + 1)[:, [0, 2]].cpu(), here[:, :2] + 1) and float(there.sum()) == 6
    layer = torch.nn.LayerNorm(3).to("cuda")
    assert layer.weight.is_cuda and layer(there).is_cuda
    there[0] = here[0] * 5
    assert there.cpu()[0, 0] == 5 and here[0, 0] == 1
    for wrong in (
        lambda: there + here,
        lambda: layer(here),
        lambda: layer(there.half()),
        lambda: here[there[0].long()],
        lambda: torch.randn(2, device="cuda", generator=torch.Generator()),
        lambda: torch.randn(2, generator=torch.Generator("cuda")),
    ):
        with pytest.raises(RuntimeError):
            wrong()
    with pytest.raises(TypeError, match="numpy"):
        np.asarray(there)


@pytest.mark.parametrize("offload", ["none", "model", "group"])
def test_the_published_backbone_runs_wherever_its_weights_lie(cuda, plain, offload):
    pipe = placed(offload=offload)
    assert pipe.placed.offload == offload and pipe.condition.device.type == "cuda"
    for _ in range(1 if offload == "none" else 2):  # the hooks are there for the next run as well
        assert np.array_equal(frames(pipe), plain)
    stays = isinstance(pipe.unet.conv_in.weight.data, fake_cuda.There)
    assert stays == (offload == "none")


def test_in_half_precision_with_the_published_schedule_and_the_few_step_sampler(cuda, plain):
    pipe = placed(dtype="bfloat16", layout="channels-last")
    assert pipe.unet.dtype == torch.bfloat16 and np.abs(frames(pipe) - plain).mean() < 8
    assert len(frames(pipe, window_mode="published", overlap=2)) == FRAMES
    pipe.register_modules(scheduler=ConsistencyScheduler.from_config(pipe.scheduler.config))
    assert len(frames(pipe, num_inference_steps=2)) == FRAMES


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_embedded_model_runs_with_its_interaction_and_guidance(opened, cuda, dtype):
    pipe = opened
    place(pipe, Placement("cuda", "sdpa", dtype))
    assert not pipe.interaction.idle and pipe.interaction.dtype == pipe.unet.dtype
    spoken = pipe.audio2pose.predict(speech(1.0), 25, FRAMES)
    moves = replace(motion(FRAMES), audio_tokens=spoken.tokens)
    for given in ({}, {"audio_guidance": 2.0, "pose_guidance": 1.5}, {"pose_guidance": 0.0}):
        assert len(frames(pipe, moves, conditioning=given)) == FRAMES


@pytest.mark.parametrize("make", [tiny_published, tiny_pipeline])
def test_a_generator_of_the_device_is_taken_as_well(cuda, make):
    pipe = placed(make=make)
    made = [frames(pipe, generator=torch.Generator("cuda").manual_seed(seed)) for seed in (1, 1, 2)]
    assert np.array_equal(made[0], made[1]) and not np.array_equal(made[0], made[2])


def test_weights_that_left_the_device_are_not_taken_off_it_again(cuda, plain):
    pipe = placed()
    tried = out_of_memory.LADDER.index("offload")
    note = Attempt(WindowLayout(8, 2, lead=1), tried).with_less_memory(pipe).note
    assert (
        "main memory" in note and pipe.placed.offload == "group" and not placement.may_offload(pipe)
    )
    assert np.array_equal(frames(pipe), plain)


def test_xformers_sees_the_places_of_frames_alone_and_can_be_left_again(cuda, plain, monkeypatch):
    seen = []

    def attention(query, key, value, scale=None, **unused):
        seen.append(query.shape)
        return torch.nn.functional.scaled_dot_product_attention(query, key, value, scale=scale)

    library = SimpleNamespace(ops=SimpleNamespace(memory_efficient_attention=attention))
    monkeypatch.setattr(processors, "xformers", library, raising=False)
    monkeypatch.setattr(processors, "is_xformers_available", lambda: True)
    pipe = placed(attention="auto")
    assert pipe.attention_backend == "xformers"
    seen.clear()
    assert np.abs(frames(pipe) - plain).max() <= 1
    rows, heads = FRAMES + 1, 2
    assert seen and max(shape[0] for shape in seen) <= rows * heads  # not 64 places
    place(pipe, replace(pipe.placed, attention="sdpa"))
    seen.clear()
    assert np.array_equal(frames(pipe), plain) and not seen

    def broken(*args, **kwargs):
        raise NotImplementedError("No operator found\nfor these inputs:\n many lines")

    library.ops.memory_efficient_attention = broken
    assert placement.choose_attention(pipe, "auto", "cuda") == "sdpa"
    with pytest.raises(
        ValueError, match=r"cannot be used here \(No operator found\); use `attention` sdpa$"
    ):
        placement.choose_attention(pipe, "xformers", "cuda")


def test_free_memory_counts_what_is_cached_and_what_the_weights_hold_once(cuda, monkeypatch):
    pipe = placed()
    held = sum(placement.weights_gb(pipe).values()) * 1e9
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device=None: held)
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device=None: held + 2e9)
    found = estimate(pipe, (64, 64), 9, speed=1e9)
    assert found.free == pytest.approx((fake_cuda.FREE + 2e9 + held) / 1e9)


def test_a_pipeline_is_not_offloaded_for_the_room_that_it_takes_itself(cuda, monkeypatch):
    pipe, other = tiny_published(), tiny_published()
    held = sum(placement.weights_gb(pipe).values()) * 1e9
    monkeypatch.setattr(
        placement, "LARGE_UNET_PARAMETERS", 0
    )  # as a large model, whose activations need nothing
    monkeypatch.setattr(placement, "ACTIVATIONS_GB", 0.0)
    for free in (1.5 * held, 0.5 * held):  # before and after its weights came
        monkeypatch.setattr(
            torch.cuda, "mem_get_info", lambda device=None, free=free: (int(free), 0)
        )
        place(pipe, Placement("cuda", "sdpa", "float32"))
        assert pipe.placed.offload == "none" and isinstance(
            pipe.unet.conv_in.weight, fake_cuda.There
        )
    assert (
        placement.choose_offload(other, "auto", "cuda") != "none"
    )  # there is no room for one more
