"""The embedded denoiser as one set of components: built, run, measured, exported.

Components are stock diffusers classes or ours in `pipeline.models`; the folders that `export` writes are what
the pipeline loads.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import EulerDiscreteScheduler, UNetSpatioTemporalConditionModel
from torch import Tensor, nn

from pipeline.models.controlnext import ControlNeXt
from pipeline.models.denoiser import (
    ReferenceTokens,
    blend,
    controlled,
    make_scheduler,
    predict,
    repair_gate,
    shared_noise,
    silence_temporal,
    validity_cells,
)
from pipeline.models.haar import CHANNELS, HaarLatent
from pipeline.training.batches import Batch, plain
from pipeline.training.losses import boxes, psnr
from pipeline.training.pool import Clips

WIDTHS = (64, 96, 128)
TOKEN_WIDTH = 64
CROSS, PLAIN = "CrossAttn{}BlockSpatioTemporal", "{}BlockSpatioTemporal"
NOISE_GAIN = 0.2  # of the first layer for the noisy latents: at one step they are noise alone
KEEP = (0.5, 0.8, 1.0)  # applied share of the repair on valid pixels: elsewhere, face, mouth


@dataclass
class Mini:
    """The trainable networks and the fixed codec and scheduler."""

    unet: UNetSpatioTemporalConditionModel
    controlnext: ControlNeXt
    reference_tokens: ReferenceTokens
    vae: HaarLatent
    scheduler: EulerDiscreteScheduler

    @property
    def networks(self) -> nn.ModuleDict:
        return nn.ModuleDict(
            {"unet": self.unet, "controlnext": self.controlnext, "reference_tokens": self.reference_tokens}
        )

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
    return Mini(unet, controlnext, tokens, vae, make_scheduler())


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
    """The denoiser's own pictures (N,3,H,W) of a batch, before the gate; clip by clip as in use."""
    frames = len(batch.truth) // batch.clips
    scheduler = EulerDiscreteScheduler.from_config(mini.scheduler.config)
    scheduler.set_timesteps(steps)
    generator = torch.Generator().manual_seed(seed)
    out = []
    with controlled(mini.unet, mini.controlnext) as injection:
        for clip in range(batch.clips):
            rows = slice(clip * frames, (clip + 1) * frames)
            base = mini.encode(batch.warped[rows])
            tokens = mini.reference_tokens(mini.encode(batch.reference[clip : clip + 1]))
            extra = validity_cells(batch.validity[rows])
            noise = shared_noise((1, frames, *base.shape[1:]), generator, base.device, base.dtype)
            latents = noise * scheduler.init_noise_sigma
            scheduler.set_timesteps(steps)
            for time in scheduler.timesteps:
                control = mini.controlnext(batch.control[None, rows], time, extra)
                scaled = scheduler.scale_model_input(latents, time)
                output = predict(mini.unet, injection, scaled, time, base[None], tokens, control)
                latents = scheduler.step(output, time, latents).prev_sample
            clean = mini.vae.add_residual(base, latents[0])
            out.append(mini.vae.decode(clean, num_frames=frames).sample / 2 + 0.5)
    return torch.cat(out)


@torch.no_grad()
def evaluate(mini: Mini, held: list[Clips], steps: int = 1, seed: int = 0) -> dict[str, float]:
    """PSNR whole, face, mouth, hands of reference copy, warp, repair (ungated) and result on held-out clips.

    `changed_valid` is the mean change of what the warp holds valid, in grey levels.
    """
    rows: dict[str, list[float]] = {}
    for clips in held:
        batch = plain(clips)
        frames = len(batch.truth) // batch.clips
        repaired = generate(mini, batch, steps, seed).clamp(0, 1)
        gate = repair_gate(batch.validity, batch.face, mini.vae.config.keep)
        result = blend(batch.warped, repaired, gate).clamp(0, 1)
        places = boxes(batch.face, batch.hands, clips.size)
        copies = batch.reference.repeat_interleave(frames, 0)
        pictures = {"copy": copies, "warp": batch.warped, "repair": repaired, "result": result}
        for name, picture in pictures.items():
            rows.setdefault(f"{name}_psnr", []).append(psnr(picture, batch.truth))
            for place, box in places.items():
                rows.setdefault(f"{name}_{place}", []).append(psnr(picture, batch.truth, box))
        valid = (batch.validity > 0.9).float()
        change = (result - batch.warped).abs().mean(1, keepdim=True)
        rows.setdefault("changed_valid", []).append(float((change * valid).sum() / valid.sum() * 255))
        for name in ("warp", "result"):
            rows.setdefault(f"{name}_mouth_corr", []).append(_mouth_agreement(pictures[name], batch))
    return {
        name: float(np.nanmean(values)) for name, values in rows.items() if not all(map(math.isnan, values))
    }


def _mouth_agreement(pictures: Tensor, batch: Batch) -> float:
    """Correlation over frames of the mouth's brightness with the truth's, mean over clips."""
    frames = len(batch.truth) // batch.clips
    mouth = boxes(batch.face, batch.hands, tuple(batch.truth.shape[-2:]))["mouth"]
    area = mouth.sum((1, 2, 3)).clamp_min(1)
    made, true = ((p.mean(1, keepdim=True) * mouth).sum((1, 2, 3)) / area for p in (pictures, batch.truth))
    rows = [
        np.corrcoef(a, b)[0, 1] for a, b in zip(made.view(-1, frames), true.view(-1, frames), strict=True)
    ]
    return float(np.nanmean(rows))


@torch.no_grad()
def contact_sheet(mini: Mini, clips: Clips, steps: int = 1) -> np.ndarray:
    """(H,W,3) uint8: per clip reference | skeleton | warp | result | truth, for its first and last frame."""
    batch = plain(clips)
    frames = len(batch.truth) // batch.clips
    repaired = generate(mini, batch, steps, 0).clamp(0, 1)
    gate = repair_gate(batch.validity, batch.face, mini.vae.config.keep)
    result = blend(batch.warped, repaired, gate).clamp(0, 1)
    small = nn.functional.avg_pool2d(batch.control, 2)
    rows = []
    for clip in range(batch.clips):
        row = [batch.reference[clip]]
        for frame in (clip * frames, clip * frames + frames - 1):
            row += [small[frame], batch.warped[frame], result[frame], batch.truth[frame]]
        rows.append(torch.cat(row, 2))
    return (torch.cat(rows, 1).permute(1, 2, 0) * 255).round().to(torch.uint8).numpy()


def export(mini: Mini, folder: Path) -> None:
    """Writes unet, controlnext, reference_tokens (fp16), vae and scheduler; the networks stay float32."""
    for name, network in mini.networks.items():
        half = type(network).from_config(network.config)
        half.load_state_dict({k: v.half().float() for k, v in network.state_dict().items()})
        half.half().save_pretrained(folder / name)
    mini.vae.save_pretrained(folder / "vae")
    mini.scheduler.save_pretrained(folder / "scheduler")


def load(folder: Path) -> Mini:
    """The components of an exported folder, in float32."""
    unet = UNetSpatioTemporalConditionModel.from_pretrained(folder / "unet", torch_dtype=torch.float32)
    controlnext = ControlNeXt.from_pretrained(folder / "controlnext", torch_dtype=torch.float32)
    tokens = ReferenceTokens.from_pretrained(folder / "reference_tokens", torch_dtype=torch.float32)
    vae = HaarLatent.from_pretrained(folder / "vae", torch_dtype=torch.float32)
    return Mini(unet, controlnext, tokens, vae, EulerDiscreteScheduler.from_pretrained(folder / "scheduler"))
