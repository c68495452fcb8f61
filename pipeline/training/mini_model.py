"""The embedded denoiser as one set of components: built, run, measured, exported.

Components are stock diffusers classes or ours in `pipeline.models`; the folders that `export` writes are what
the pipeline loads.
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
CROSS, PLAIN = "CrossAttn{}BlockSpatioTemporal", "{}BlockSpatioTemporal"
NOISE_GAIN = 0.2  # of the first layer for the noisy latents: at one step they are noise alone
KEEP = (
    0.34,
    0.8,
    1.0,
    0.5,
)  # applied share of the repair: valid pixels elsewhere, face, mouth; holes


@dataclass
class Mini:
    """The trainable networks and the fixed codec and scheduler; exports of version 1 have no interaction."""

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
        """Whitened latents (N,48,h,w) of pictures (N,3,H,W) in [0,1]."""
        return self.vae.encode(pictures * 2 - 1).latent_dist.mode()


def build(vae: HaarLatent, seed: int, widths: tuple[int, ...] = WIDTHS) -> Mini:
    """New networks that begin as the warp: the last layer and all temporal layers are zero."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        unet = UNetSpatioTemporalConditionModel(
            sample_size=48,
            in_channels=2 * CHANNELS,
            out_channels=CHANNELS,
            block_out_channels=widths,
            down_block_types=(PLAIN.format("Down"), CROSS.format("Down"), CROSS.format("Down")),
            up_block_types=(CROSS.format("Up"), CROSS.format("Up"), PLAIN.format("Up")),
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
    """An interaction whose gates are zero: at the first layer, the middle and the up blocks but the last.

    A mouth is two or three cells wide. To place its lips within them takes all layers after the first.
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
def lend_ears(interaction: AudioVideoInteraction, heard: Audio2Pose) -> None:
    """Begins the interaction's audio features with what Audio2Pose reads from the same tokens.

    Mouth parameters and visemes are linear in the tokens: to find them anew takes thousands of steps.
    """
    heads = [(heard.params.weight, 2.0), (heard.visemes.weight, 0.5)]  # the mouth's parameters lead
    heads = torch.cat(
        [w.squeeze(-1) / w.squeeze(-1).norm(dim=1, keepdim=True) * k for w, k in heads]
    )
    interaction.audio_in.weight[: len(heads)] = heads[: interaction.config.dim]


def measured_codec(clips: Clips) -> HaarLatent:
    """The codec with whitening rows from training clips: mean, deviation, deviation of the residual."""
    truth, warped = (p.flatten(0, 1).float() / 127.5 - 1 for p in (clips.truth, clips.warped))
    plain_codec = HaarLatent()
    latents, base = (plain_codec.encode(p).latent_dist.mode() for p in (truth, warped))
    mean, std = latents.mean((0, 2, 3)), latents.std((0, 2, 3)).clamp_min(1e-3)
    spread = ((latents - base).square().mean((0, 2, 3)).sqrt() / std).clamp_min(1e-3)
    return HaarLatent(*(_row(v) for v in (mean, std, spread)), keep=KEEP)


def _row(values: Tensor) -> list[float]:
    return [round(v, 6) for v in values.tolist()]


@torch.no_grad()
def generate(mini: Mini, batch: Batch, steps: int, seed: int) -> Tensor:
    """Return the denoiser's own pictures (N,3,H,W) of a batch, before the gate; clip by clip as in use."""
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


def moved(batch: Batch, device: torch.device) -> Batch:
    """The batch on a device."""
    tensors = {f.name: getattr(batch, f.name) for f in fields(batch)}
    return replace(batch, **{k: v.to(device) for k, v in tensors.items() if isinstance(v, Tensor)})


@torch.no_grad()
def evaluate(mini: Mini, held: list[Clips], steps: int = 1, seed: int = 0) -> dict[str, float]:
    """PSNR whole, face, mouth, hands of reference copy, warp, repair (ungated) and result on held-out clips.

    `changed_valid` is the mean change of what the warp holds valid, in grey levels.
    """
    rows: dict[str, list[float]] = {}
    for clips in held:
        batch = moved(plain(clips), mini.unet.device)
        frames = len(batch.truth) // batch.clips
        repaired = generate(mini, batch, steps, seed).clamp(0, 1)
        result = applied(mini, batch, repaired)
        places = boxes(batch.face, batch.hands, clips.size)
        copies = batch.reference.repeat_interleave(frames, 0)
        pictures = {"copy": copies, "warp": batch.warped, "repair": repaired, "result": result}
        for name, picture in pictures.items():
            rows.setdefault(f"{name}_psnr", []).append(psnr(picture, batch.truth))
            for place, box in places.items():
                rows.setdefault(f"{name}_{place}", []).append(psnr(picture, batch.truth, box))
        valid = (batch.validity > 0.9).float()
        change = (result - batch.warped).abs().mean(1, keepdim=True)
        rows.setdefault("changed_valid", []).append(
            float((change * valid).sum() / valid.sum() * 255)
        )
    return {
        name: float(np.nanmean(values))
        for name, values in rows.items()
        if not all(map(math.isnan, values))
    }


@torch.no_grad()
def hearing(mini: Mini, withheld: list[Clips], steps: int = 1, seed: int = 0) -> dict[str, float]:
    """What the sound alone does to mouths whose lip points are withheld: PSNR there, and r of its brightness.

    `right`: with the clip's own speech; `other`: with the next clip's. r over all frames, each clip's mean
    taken off, of the mouth's brightness against the truth's.
    """
    rows: dict[str, list[float]] = {"right": [], "other": []}
    curves: dict[str, list[Tensor]] = {"right": [], "other": [], "truth": []}
    for clips in withheld:
        batch = moved(plain(clips), mini.unet.device)
        frames = len(batch.truth) // batch.clips
        mouth = boxes(batch.face, batch.hands, clips.size)["mouth"]
        speech = {"right": batch.audio, "other": batch.audio.roll(frames, 0)}
        curves["truth"].append(_mouth_curve(batch.truth, mouth, frames))
        for name, audio in speech.items():
            made = generate(mini, replace(batch, audio=audio), steps, seed).clamp(0, 1)
            rows[name].append(psnr(made, batch.truth, mouth))
            curves[name].append(_mouth_curve(made, mouth, frames))
    joined = {name: torch.cat(parts).flatten().cpu().numpy() for name, parts in curves.items()}
    found = {f"mouth_{name}": float(np.nanmean(values)) for name, values in rows.items()}
    for name in rows:
        still = joined[name].std() < 1e-7 or joined["truth"].std() < 1e-7
        found[f"r_{name}"] = (
            0.0 if still else float(np.corrcoef(joined[name], joined["truth"])[0, 1])
        )
    return found


def _mouth_curve(pictures: Tensor, mouth: Tensor, frames: int) -> Tensor:
    """(B,F) mean brightness inside the mouth's box (N,1,H,W), each clip's mean taken off."""
    curve = (pictures.mean(1, keepdim=True) * mouth).sum((1, 2, 3)) / mouth.sum(
        (1, 2, 3)
    ).clamp_min(1)
    curve = curve.view(-1, frames)
    return curve - curve.mean(1, keepdim=True)


def applied(mini: Mini, batch: Batch, repaired: Tensor) -> Tensor:
    """The pictures that a user gets of repaired ones (N,3,H,W), in [0,1]."""
    return blend(batch.warped, repaired, batch.validity, batch.face, mini.vae.config.keep).clamp(
        0, 1
    )


@torch.no_grad()
def contact_sheet(mini: Mini, clips: Clips, steps: int = 1) -> np.ndarray:
    """(H,W,3) uint8: per clip reference | skeleton | warp | result | truth, for its first and last frame."""
    batch = moved(plain(clips), mini.unet.device)
    frames = len(batch.truth) // batch.clips
    repaired = generate(mini, batch, steps, 0).clamp(0, 1)
    result = applied(mini, batch, repaired)
    small = nn.functional.avg_pool2d(batch.control, 2)
    rows = []
    for clip in range(batch.clips):
        row = [batch.reference[clip]]
        for frame in (clip * frames, clip * frames + frames - 1):
            row += [small[frame], batch.warped[frame], result[frame], batch.truth[frame]]
        rows.append(torch.cat(row, 2))
    return (torch.cat(rows, 1).permute(1, 2, 0) * 255).round().to(torch.uint8).cpu().numpy()


def export(mini: Mini, folder: Path) -> None:
    """Writes unet, controlnext, reference_tokens, interaction (fp16), vae and scheduler.

    The networks stay float32, and where they are.
    """
    for name, network in mini.networks.items():
        half = type(network).from_config(network.config)
        half.load_state_dict({k: v.half().float().cpu() for k, v in network.state_dict().items()})
        half.half().save_pretrained(folder / name)
    mini.vae.save_pretrained(folder / "vae")
    mini.scheduler.save_pretrained(folder / "scheduler")
    for path in folder.glob(
        "*/config.json"
    ):  # diffusers notes the folder that the weights began from
        config = json.loads(path.read_text(encoding="utf-8"))
        if config.pop("_name_or_path", None) is not None:
            path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def load(folder: Path) -> Mini:
    """The components of an exported folder, in float32; without an interaction where it has none."""
    kinds = {
        "unet": UNetSpatioTemporalConditionModel,
        "controlnext": ControlNeXt,
        "reference_tokens": ReferenceTokens,
        "vae": HaarLatent,
        "interaction": AudioVideoInteraction,
    }
    parts = {
        name: kind.from_pretrained(folder / name, torch_dtype=torch.float32)
        for name, kind in kinds.items()
        if name != "interaction" or (folder / name).is_dir()
    }
    return Mini(**parts, scheduler=EulerDiscreteScheduler.from_pretrained(folder / "scheduler"))
