"""A reference is painted out around its frame: by texture, or by a tiny inpainting pipeline."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.analysis import detectors
from pipeline.training.data import outpaint
from pipeline.training.data.fda_sampling import loss_mask, place_frames
from pipeline.values import InputError
from tests.helpers.filmed_people import KnownPerson, clip

SIZE = (192, 128)


@pytest.fixture(autouse=True)
def known_person(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detectors, "load", lambda name: KnownPerson())


def check_frame_and_border(outpainted: outpaint.Outpainted, source: np.ndarray) -> None:
    """The frame is where the placement says, and nothing around it stayed black."""
    frame = source[outpainted.frame : outpainted.frame + 1]
    placed = place_frames(frame, outpainted.placement, SIZE)[0]
    mask = loss_mask(outpainted.placement, SIZE)
    inside = np.zeros(SIZE, bool)
    rows = np.flatnonzero((mask == 1).any(1))[4:-4]
    columns = np.flatnonzero((mask == 1).any(0))[4:-4]
    inside[rows[0] : rows[-1], columns[0] : columns[-1]] = True
    assert np.abs(outpainted.picture[inside].astype(int) - placed[inside]).max() <= 1
    assert np.median(outpainted.picture[mask == 0].max(1)) > 20


def test_the_texture_fill_paints_everything_and_no_second_person() -> None:
    source = clip()
    source.frames[..., 1] = 90
    source.frames[:, :, 85:171] = (250, 20, 20)  # the person, in the middle third
    painted = outpaint.outpaint(source, outpaint.TextureFill(), 3, size=SIZE)
    again = outpaint.outpaint(source, outpaint.TextureFill(), 3, size=SIZE)
    assert painted.method == "texture fill" and np.array_equal(painted.picture, again.picture)
    check_frame_and_border(painted, source.frames)
    mask = loss_mask(painted.placement, SIZE)
    rows = np.flatnonzero(mask.any(1))
    beside = painted.picture[: rows[0] - 2].astype(int)
    assert not ((beside[..., 0] > 200) & (beside[..., 1] < 50)).any()  # no red up there
    middle = painted.placement.offset[0] + painted.placement.scale[0] / 2
    below = painted.picture[-1, int(middle * SIZE[1])].astype(int)
    assert below[0] > 200 and below[1] < 60  # the clothes go on to the lower edge


class Gray:
    """Paints gray."""

    name = "gray"

    def paint(self, picture: np.ndarray, known: np.ndarray, seed: int) -> np.ndarray:
        return np.full_like(picture, 128)


def test_frames_and_places_are_drawn_by_the_seed() -> None:
    source = clip(frames=12)
    painted = [outpaint.outpaint(source, Gray(), seed, size=SIZE) for seed in range(6)]
    assert len({each.frame for each in painted}) > 2
    assert len({float(each.placement.offset[0]) for each in painted}) == 6
    source.pose.face.score[:7] = 0
    frames = [outpaint.outpaint(source, Gray(), seed, size=SIZE).frame for seed in range(4)]
    assert min(frames) >= 7  # frames that show the face


@pytest.fixture(scope="module")
def tiny_pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Stable Diffusion inpainting pipeline with random weights, in a folder."""
    from diffusers import (
        AutoencoderKL,
        DDIMScheduler,
        StableDiffusionInpaintPipeline,
        UNet2DConditionModel,
    )
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    folder = tmp_path_factory.mktemp("inpaint")
    vocabulary = {"<|startoftext|>": 0, "<|endoftext|>": 1, "a</w>": 2, "p": 3}
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    tokenizer = CLIPTokenizer(
        str(folder / "vocab.json"), str(folder / "merges.txt"), unk_token="<|endoftext|>"
    )
    tokenizer.model_max_length = 16
    torch.manual_seed(0)
    text = CLIPTextConfig(
        vocab_size=4,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=16,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=1,
    )
    unet = UNet2DConditionModel(
        block_out_channels=(8, 16),
        layers_per_block=1,
        norm_num_groups=4,
        sample_size=16,
        in_channels=9,
        out_channels=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=16,
        attention_head_dim=4,
    )
    vae = AutoencoderKL(
        block_out_channels=(8, 8, 8, 8),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        norm_num_groups=4,
    )
    pipe = StableDiffusionInpaintPipeline(
        vae=vae,
        text_encoder=CLIPTextModel(text),
        tokenizer=tokenizer,
        unet=unet,
        scheduler=DDIMScheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipe.save_pretrained(folder / "tiny")
    return folder / "tiny"


def test_a_diffusers_pipeline_paints_around_the_frame(tiny_pipeline: Path) -> None:
    source = clip()
    painter = outpaint.DiffusersOutpainter(str(tiny_pipeline), "cpu", "a person", 2)
    painted = outpaint.outpaint(source, painter, 1, size=SIZE)
    again = outpaint.outpaint(source, painter, 1, size=SIZE)
    assert painted.method == "tiny" and painted.picture.shape == (*SIZE, 3)
    assert np.array_equal(painted.picture, again.picture)
    check_frame_and_border(painted, source.frames)


def test_what_cannot_be_loaded_gets_one_sentence(tiny_pipeline: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be loaded"):
        outpaint.DiffusersOutpainter(str(tmp_path), "cpu", "", 2)
    for weights in tiny_pipeline.rglob("*.safetensors"):  # pickles are not opened instead
        torch.save({}, weights.with_suffix(".bin"))
        weights.rename(weights.with_suffix(".hidden"))
    with pytest.raises(InputError, match="cannot be loaded"):
        outpaint.DiffusersOutpainter(str(tiny_pipeline), "cpu", "", 2)


@pytest.mark.parametrize("size", [(770, 512), (32, 64), (768, 8000)])
def test_sizes_that_cannot_be_painted_are_refused(size: tuple[int, int]) -> None:
    with pytest.raises(InputError, match="multiples of 8"):
        outpaint.check_size(size)
