"""Build, run, measure and export the embedded denoiser's components.

They are stock diffusers classes or ours in `pipeline.models`. The pipeline loads the folders that
`export` writes.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import torch
from diffusers import EulerDiscreteScheduler, UNetSpatioTemporalConditionModel
from torch import Tensor, nn

from pipeline.models.audio2pose import Audio2Pose
from pipeline.models.controlnext import ControlNeXt
from pipeline.models.denoiser import (
    ReferenceTokens,
    make_scheduler,
    prepare_scheduler,
    shared_noise,
)
from pipeline.models.haar import CHANNELS, HaarLatent
from pipeline.models.interaction import AudioVideoInteraction
from pipeline.models.repair import blend, validity_cells
from pipeline.models.temporal import silence_temporal
from pipeline.render.svd.conditions import Branch, SegmentConditions, SegmentWarp
from pipeline.render.svd.denoising import Denoiser, WholeSegment, denoise
from pipeline.training.data.batches import Batch, plain
from pipeline.training.data.clips import Clips
from pipeline.training.losses import boxes, psnr

WIDTHS = (64, 96, 128)
TOKEN_WIDTH = 64
CROSS_ATTENTION_BLOCK = "CrossAttn{}BlockSpatioTemporal"
PLAIN_BLOCK = "{}BlockSpatioTemporal"
# Gain of the first layer for the noisy latents: at one step they are noise alone.
NOISE_GAIN = 0.2
# Applied shares of the repair: valid pixels elsewhere, face, mouth; holes.
KEEP = (0.0, 0.8, 1.0, 0.0)
# Norms of the rows of Audio2Pose's heads in a new audio projection: the mouth's parameters lead.
PARAMETERS_GAIN = 2.0
VISEMES_GAIN = 0.5


@dataclass
class Mini:
    """The trainable networks and the fixed codec and scheduler; exports of version 1 have no
    interaction."""

    unet: UNetSpatioTemporalConditionModel
    controlnext: ControlNeXt
    reference_tokens: ReferenceTokens
    vae: HaarLatent
    scheduler: EulerDiscreteScheduler
    interaction: AudioVideoInteraction | None = None

    @property
    def networks(self) -> nn.ModuleDict:
        names = ("unet", "controlnext", "reference_tokens", "interaction")
        parts = {name: getattr(self, name) for name in names}
        return nn.ModuleDict({name: part for name, part in parts.items() if part is not None})

    def encode(self, pictures: Tensor) -> Tensor:
        """Return whitened latents (N,48,h,w) of pictures (N,3,H,W) in [0,1]."""
        return self.vae.encode(pictures * 2 - 1).latent_dist.mode()


def build(vae: HaarLatent, seed: int, widths: tuple[int, ...] = WIDTHS) -> Mini:
    """Build new networks that begin as the warp: the last layer and all temporal layers are
    zero."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        unet = UNetSpatioTemporalConditionModel(
            sample_size=48,
            in_channels=2 * CHANNELS,
            out_channels=CHANNELS,
            block_out_channels=widths,
            down_block_types=(
                PLAIN_BLOCK.format("Down"),
                CROSS_ATTENTION_BLOCK.format("Down"),
                CROSS_ATTENTION_BLOCK.format("Down"),
            ),
            up_block_types=(
                CROSS_ATTENTION_BLOCK.format("Up"),
                CROSS_ATTENTION_BLOCK.format("Up"),
                PLAIN_BLOCK.format("Up"),
            ),
            layers_per_block=1,
            num_attention_heads=tuple(width // 32 for width in widths),
            cross_attention_dim=TOKEN_WIDTH,
            addition_time_embed_dim=32,
            projection_class_embeddings_input_dim=96,
            num_frames=16,
        )
        controlnext = ControlNeXt(
            stem_channels=(24, 32, 48),
            stem_strides=(2, 2, 2),
            stem_padding=1,
            block_channels=(48,),
            block_strides=(1,),
            block_groups=(4,),
            time_channels=64,
            time_embed_dim=128,
            out_channels=widths[0],
            extra_channels=16,
            control_level=1.0,
            where="conv_in",
        )
        tokens = ReferenceTokens(CHANNELS, patch=4, dim=TOKEN_WIDTH)
    silence_temporal(unet)
    with torch.no_grad():
        unet.conv_in.weight[:, :CHANNELS] *= NOISE_GAIN
    nn.init.zeros_(unet.conv_out.weight)
    nn.init.zeros_(unet.conv_out.bias)
    return Mini(
        unet, controlnext, tokens, vae, make_scheduler(), new_interaction(unet, controlnext, seed)
    )


def new_interaction(
    unet: UNetSpatioTemporalConditionModel, controlnext: ControlNeXt, seed: int
) -> AudioVideoInteraction:
    """Build an interaction whose gates are zero.

    Its sites are the first layer, the middle and the up blocks but the last. A mouth is two or
    three cells
    wide: to place its lips within them takes all layers after the first.
    """
    blocks = unet.config.block_out_channels
    widths = [blocks[0], blocks[-1], *reversed(blocks[1:])]
    sites = ["conv_in", "mid_block", *(f"up_blocks.{i}" for i in range(len(blocks) - 1))]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed + 1)
        return AudioVideoInteraction(  # by name: diffusers' from_config drops what came by position
            sites=sites, widths=widths, pose_channels=controlnext.config.out_channels
        )


@torch.no_grad()
def init_audio_projection(interaction: AudioVideoInteraction, audio2pose: Audio2Pose) -> None:
    """Initialize the audio projection with Audio2Pose's output heads (mouth parameters, visemes).

    Both are linear in the tokens that the interaction reads. To find them anew takes thousands of
    steps.
    """
    parameters = _with_norm(audio2pose.params.weight, PARAMETERS_GAIN)
    visemes = _with_norm(audio2pose.visemes.weight, VISEMES_GAIN)
    heads = torch.cat([parameters, visemes])
    interaction.audio_in.weight[: len(heads)] = heads[: interaction.config.dim]


def _with_norm(weight: Tensor, norm: float) -> Tensor:
    """Scale the rows of a convolution's weight (n,d,1) to this norm, as (n,d)."""
    rows = weight.squeeze(-1)
    return rows / rows.norm(dim=1, keepdim=True) * norm


def measure_codec(clips: Clips) -> HaarLatent:
    """Make the codec whose whitening is measured on clips: mean, deviation, deviation of the
    residual."""
    codec = HaarLatent()
    truth = clips.truth.flatten(0, 1).float() / 127.5 - 1
    warped = clips.warped.flatten(0, 1).float() / 127.5 - 1
    latents = codec.encode(truth).latent_dist.mode()
    base = codec.encode(warped).latent_dist.mode()
    axes = (0, 2, 3)
    mean = latents.mean(axes)
    std = latents.std(axes).clamp_min(1e-3)
    residual = (latents - base).square().mean(axes).sqrt()
    spread = (residual / std).clamp_min(1e-3)
    return HaarLatent(_row(mean), _row(std), _row(spread), keep=KEEP)


def _row(values: Tensor) -> list[float]:
    return [round(v, 6) for v in values.tolist()]


@torch.no_grad()
def generate(mini: Mini, batch: Batch, steps: int, seed: int) -> Tensor:
    """Return the denoiser's own pictures (N,3,H,W) of a batch, before the gate; clip by clip as in
    use."""
    frames = len(batch.truth) // batch.clips
    generator = torch.Generator().manual_seed(seed)
    denoiser = Denoiser(mini.unet, mini.controlnext, mini.interaction)
    pictures = []
    for clip in range(batch.clips):
        conditions = conditions_of(mini, batch, clip)
        base = conditions.warp.base
        noise = shared_noise(base.shape, generator, base.device, base.dtype)
        scheduler = prepare_scheduler(mini.scheduler, steps, base.device)
        *_, latents = denoise(denoiser, WholeSegment(), scheduler, conditions, noise)
        clean = mini.vae.add_residual(base[0], latents[0])
        decoded = mini.vae.decode(clean, num_frames=frames).sample
        pictures.append(decoded / 2 + 0.5)
    return torch.cat(pictures)


def conditions_of(mini: Mini, batch: Batch, clip: int) -> SegmentConditions:
    """Return the conditions of one clip of a batch, at plain guidance."""
    frames = len(batch.truth) // batch.clips
    rows = slice(clip * frames, (clip + 1) * frames)
    warped = batch.warped[rows]
    validity = batch.validity[rows]
    base = mini.encode(warped)[None]
    reference = mini.encode(batch.reference[clip : clip + 1])
    ones = torch.ones(frames, device=base.device)
    branch = Branch(
        share=ones,
        image_latents=base,
        tokens=mini.reference_tokens(reference),
        control=batch.control[rows],
        extra=validity_cells(validity),
        scale=ones.view(-1, 1, 1, 1),
        audio=batch.audio[rows],
    )
    segment = SegmentWarp(warped, validity, base)
    return SegmentConditions((branch,), rows=frames, warp=segment)


def to_device(batch: Batch, device: torch.device) -> Batch:
    """Move the batch to a device."""
    tensors = {}
    for field in fields(batch):
        value = getattr(batch, field.name)
        if isinstance(value, Tensor):
            tensors[field.name] = value.to(device)
    return replace(batch, **tensors)


@torch.no_grad()
def evaluate(mini: Mini, held_out: list[Clips], steps: int = 1, seed: int = 0) -> dict[str, float]:
    """Measure PSNR on held-out clips: whole, face, mouth, hands.

    Measured are the copied reference, the warp, the repair (ungated) and the result.
    `changed_valid` is the mean change of what the warp holds valid, in gray levels.
    """
    figures: dict[str, list[float]] = {}

    def note(name: str, value: float) -> None:
        figures.setdefault(name, []).append(value)

    for clips in held_out:
        batch = to_device(plain(clips), mini.unet.device)
        frames = len(batch.truth) // batch.clips
        repaired = generate(mini, batch, steps, seed).clamp(0, 1)
        result = apply_repair(mini, batch, repaired)
        pictures = {
            "copy": batch.reference.repeat_interleave(frames, 0),
            "warp": batch.warped,
            "repair": repaired,
            "result": result,
        }
        places = boxes(batch.face, batch.hands, clips.size)
        for name, picture in pictures.items():
            note(f"{name}_psnr", psnr(picture, batch.truth))
            for place, box in places.items():
                note(f"{name}_{place}", psnr(picture, batch.truth, box))
        valid = (batch.validity > 0.9).float()
        change = (result - batch.warped).abs().mean(1, keepdim=True)
        mean_change = (change * valid).sum() / valid.sum() * 255
        note("changed_valid", float(mean_change))
    return {
        name: float(np.nanmean(values))
        for name, values in figures.items()
        if not all(map(math.isnan, values))
    }


@torch.no_grad()
def evaluate_hearing(
    mini: Mini, withheld: list[Clips], steps: int = 1, seed: int = 0
) -> dict[str, float]:
    """Measure what the sound alone does to mouths whose lip points are withheld.

    Figures are PSNR in the mouth and r of the mouth's brightness against the truth's. r is over all
    frames, with each clip's mean taken off. `right` is with the clip's own speech, `other` with the
    next clip's.
    """
    values: dict[str, list[float]] = {"right": [], "other": []}
    curves: dict[str, list[Tensor]] = {"right": [], "other": [], "truth": []}
    for clips in withheld:
        batch = to_device(plain(clips), mini.unet.device)
        frames = len(batch.truth) // batch.clips
        mouth = boxes(batch.face, batch.hands, clips.size)["mouth"]
        speech = {"right": batch.audio, "other": batch.audio.roll(frames, 0)}
        curves["truth"].append(_mouth_curve(batch.truth, mouth, frames))
        for name, audio in speech.items():
            pictures = generate(mini, replace(batch, audio=audio), steps, seed).clamp(0, 1)
            values[name].append(psnr(pictures, batch.truth, mouth))
            curves[name].append(_mouth_curve(pictures, mouth, frames))
    joined = {name: torch.cat(parts).flatten().cpu().numpy() for name, parts in curves.items()}
    figures = {f"mouth_{name}": float(np.nanmean(row)) for name, row in values.items()}
    for name in values:
        figures[f"r_{name}"] = _correlation(joined[name], joined["truth"])
    return figures


def _correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Return Pearson's r of two curves; 0 where one of them is constant."""
    if one.std() < 1e-7 or other.std() < 1e-7:
        return 0.0
    return float(np.corrcoef(one, other)[0, 1])


def _mouth_curve(pictures: Tensor, mouth: Tensor, frames: int) -> Tensor:
    """Return (B,F) mean brightness inside the mouth's box (N,1,H,W), each clip's mean taken off."""
    axes = (1, 2, 3)
    brightness = (pictures.mean(1, keepdim=True) * mouth).sum(axes)
    area = mouth.sum(axes).clamp_min(1)
    curve = (brightness / area).view(-1, frames)
    return curve - curve.mean(1, keepdim=True)


def apply_repair(mini: Mini, batch: Batch, repaired: Tensor) -> Tensor:
    """Blend repaired pictures (N,3,H,W) into the warp as the user gets them, in [0,1]."""
    keep = mini.vae.config.keep
    frames = len(batch.warped) // batch.clips
    reference = batch.reference.repeat_interleave(frames, 0)
    pictures = blend(batch.warped, repaired, batch.validity, batch.face, keep, reference)
    return pictures.clamp(0, 1)


@torch.no_grad()
def contact_sheet(mini: Mini, clips: Clips, steps: int = 1) -> np.ndarray:
    """Return (H,W,3) uint8: the first and the last frame of each clip, in five columns.

    The columns are reference, skeleton, warp, result, truth.
    """
    batch = to_device(plain(clips), mini.unet.device)
    frames = len(batch.truth) // batch.clips
    repaired = generate(mini, batch, steps, 0).clamp(0, 1)
    result = apply_repair(mini, batch, repaired)
    skeletons = nn.functional.avg_pool2d(batch.control, 2)
    rows = []
    for clip in range(batch.clips):
        row = [batch.reference[clip]]
        first = clip * frames
        for frame in (first, first + frames - 1):
            row.append(skeletons[frame])
            row.append(batch.warped[frame])
            row.append(result[frame])
            row.append(batch.truth[frame])
        rows.append(torch.cat(row, 2))
    sheet = torch.cat(rows, 1).permute(1, 2, 0)
    return (sheet * 255).round().to(torch.uint8).cpu().numpy()


def export(mini: Mini, folder: Path) -> None:
    """Write unet, controlnext, reference_tokens, interaction (float16), vae and scheduler.

    The networks themselves stay float32, and on their device.
    """
    for name, network in mini.networks.items():
        state = {}
        for key, value in network.state_dict().items():
            state[key] = value.half().float().cpu()
        copy = type(network).from_config(network.config)
        copy.load_state_dict(state)
        copy.half().save_pretrained(folder / name)
    mini.vae.save_pretrained(folder / "vae")
    mini.scheduler.save_pretrained(folder / "scheduler")
    for path in folder.glob("*/config.json"):
        forget_source(path)


def forget_source(path: Path) -> None:
    """Remove diffusers' note of the folder that the weights began from."""
    config = json.loads(path.read_text(encoding="utf-8"))
    if config.pop("_name_or_path", None) is not None:
        text = json.dumps(config, indent=2, sort_keys=True)
        path.write_text(text + "\n", encoding="utf-8")


def load(folder: Path) -> Mini:
    """Load the components of an exported folder in float32; without an interaction where it has
    none."""
    kinds = {
        "unet": UNetSpatioTemporalConditionModel,
        "controlnext": ControlNeXt,
        "reference_tokens": ReferenceTokens,
        "vae": HaarLatent,
        "interaction": AudioVideoInteraction,
    }
    if not (folder / "interaction").is_dir():
        del kinds["interaction"]
    parts = {}
    for name, kind in kinds.items():
        parts[name] = kind.from_pretrained(folder / name, torch_dtype=torch.float32)
    scheduler = EulerDiscreteScheduler.from_pretrained(folder / "scheduler")
    return Mini(**parts, scheduler=scheduler)
