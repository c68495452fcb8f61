"""The networks of APV-Gen's trainer: those of any pipeline with a still reference.

They come from published files, from a folder of `save_pretrained`, or are new and small. What is
saved is a folder that `generate --model FOLDER` runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from accelerate import init_empty_weights
from diffusers import EulerDiscreteScheduler, UNetSpatioTemporalConditionModel
from torch import Tensor, nn

from pipeline import ROOT
from pipeline.models.audio2pose import Audio2Pose
from pipeline.models.controlnext import ControlNeXt
from pipeline.models.denoiser import ReferenceTokens, controlled, run_unet
from pipeline.models.haar import CHANNELS, FACTOR, HaarLatent
from pipeline.models.interaction import AudioVideoInteraction
from pipeline.models.temporal import restore_temporal
from pipeline.render.load import load
from pipeline.render.svd.clip_token import reference_tokens_of
from pipeline.render.svd.conditions import reconfigure
from pipeline.render.svd.pipeline import AudioPoseSVDPipeline
from pipeline.render.svd.still_reference import StillReference, dtype_of_part
from pipeline.training.lora import merged, save_lora
from pipeline.training.mini_model import forget_source, new_interaction
from pipeline.values import InputError

EMBEDDED_SPEECH_NETWORK = ROOT / "checkpoints" / "mini" / "audio2pose"
# networks that are trained, if they are ours or the UNet; CLIP and the codec never are
TRAINED = (UNetSpatioTemporalConditionModel, ControlNeXt, ReferenceTokens, AudioVideoInteraction)
# the published trainer's motion bucket; its inference code has 128
MOTION_BUCKET = 127
ENCODED_FRAMES = 8  # at a time, so that the codec's memory stays small
# of a new small model
SMALL_WIDTHS = (32, 64, 96)
SMALL_TOKEN_WIDTH = 64


@dataclass(frozen=True)
class DenoiserInputs:
    """One call of the denoiser for B clips of R rows.

    sample: noisy latents (B,R,C,h,w), scaled as the UNet expects. times: (B,) .25 ln sigma.
    image_latents: (B,R,C,h,w) of the still reference, or 0 where it is dropped.
    picture: (B,3,H,W) in [-1,1] and reference_latents (B,C,h,w): what the tokens are made of.
    token_mask: (B,1,1), 0 where the tokens are dropped.
    control: (B,R,3,H,W) in [0,1]. scale: (B R,1,1,1) the control's strength.
    time_ids: SVD's micro-conditions.
    audio: speech tokens (B R,n,d) and audio_mask (B R,), or None; read only by an interaction.
    pose_mask: (B R,), 0 where the interaction's null pose takes the control's place; None: nowhere.
    """

    sample: Tensor
    times: Tensor
    image_latents: Tensor
    picture: Tensor
    reference_latents: Tensor
    token_mask: Tensor
    control: Tensor
    scale: Tensor
    time_ids: tuple[float, ...]
    audio: Tensor | None = None
    audio_mask: Tensor | None = None
    pose_mask: Tensor | None = None


class DenoiserNetworks(nn.Module):
    """UNet, control network, reference tokens and interaction as one module, which is trained.

    One module, so that a process group, DeepSpeed or FSDP can wrap it.
    """

    def __init__(self, pipe: AudioPoseSVDPipeline) -> None:
        super().__init__()
        self.unet = pipe.unet
        self.controlnext = pipe.controlnext
        self.reference_tokens = pipe.reference_tokens
        self.interaction = pipe.interaction

    def forward(self, inputs: DenoiserInputs) -> Tensor:
        """Return the UNet's output (B,R,C,h,w)."""
        tokens = reference_tokens_of(
            inputs.picture, inputs.reference_latents, self.reference_tokens
        )
        features = self.controlnext(inputs.control, inputs.times)
        if inputs.pose_mask is not None:
            null_pose = self.interaction.null_control(len(features)).to(features.dtype)
            has_pose = inputs.pose_mask.view(-1, 1, 1, 1) > 0
            features = torch.where(has_pose, features, null_pose)
        with controlled(self.unet, self.controlnext, self.interaction) as injection:
            return run_unet(
                self.unet,
                injection,
                inputs.sample,
                inputs.times,
                inputs.image_latents,
                tokens * inputs.token_mask,
                features,
                inputs.scale,
                audio=inputs.audio,
                audio_mask=inputs.audio_mask,
                time_ids=inputs.time_ids,
            )

    def parts(self) -> dict[str, nn.Module]:
        """Return the networks that may be trained, by the pipeline's names."""
        return {name: part for name, part in self.named_children() if isinstance(part, TRAINED)}


@dataclass(frozen=True)
class Networks:
    """All networks of a run: the pipeline that they make, and those that are trained as one."""

    pipe: AudioPoseSVDPipeline
    denoiser: DenoiserNetworks

    @property
    def condition(self) -> StillReference:
        """Where image latents, skeletons and micro-conditions of the run are configured."""
        return self.pipe.condition

    @property
    def prediction_type(self) -> str:
        """What the UNet predicts, as diffusers' schedulers name it."""
        return self.pipe.scheduler.config.prediction_type

    def grid(self, size: tuple[int, int]) -> tuple[int, int]:
        """Return (h, w) of the latents of pictures of (H, W)."""
        return self.condition.latent_size(size)

    @torch.no_grad()
    def encode(self, pictures: Tensor, generator: torch.Generator | None) -> Tensor:
        """Return unscaled latents (N,C,h,w), a sample of the codec's, of pictures in [-1,1]."""
        vae = self.pipe.vae
        dtype = dtype_of_part(vae, "encoder")
        parts = []
        for part in pictures.split(ENCODED_FRAMES):
            distribution = vae.encode(part.to(dtype)).latent_dist
            latents = distribution.sample(generator=generator)
            parts.append(latents.float())
        return torch.cat(parts)

    @property
    def scaling_factor(self) -> float:
        """Factor from the codec's latents to those that are noised."""
        return self.pipe.vae.config.scaling_factor

    def set_defaults(self, frames: int, size: tuple[int, int]) -> None:
        """Configure the pipeline for what its networks were trained on.

        Args:
            frames: of a training clip; they become a window.
            size: (H, W) of the pictures; their area becomes the output's.
        """
        height, width = size
        self.pipe.register_to_config(
            default_window=frames,
            default_overlap=frames // 4,
            area=height * width,
            splice_region="face",
        )

    def add_interaction(self, seed: int) -> None:
        """Give the UNet an untrained audio-video interaction, where it has none."""
        if self.denoiser.interaction is not None:
            return
        interaction = new_interaction(self.pipe.unet, self.pipe.controlnext, seed)
        self.pipe.register_modules(interaction=interaction)
        self.denoiser.interaction = interaction

    def place(self, device: torch.device) -> None:
        """Move what is not trained to a device; the trainer moves the rest."""
        self.pipe.vae.to(device)
        self.pipe.condition.to(device)


def load_networks(name: str) -> Networks:
    """Load the networks of a model set or folder, ready to be trained.

    Raises InputError where the model starts from the warped reference instead of the still one.
    """
    pipe = load(name, device="cpu", attention="sdpa")
    if not isinstance(pipe.condition, StillReference):
        raise InputError(
            f"the model {name} repairs a warped reference image, but APV-Gen's training starts "
            "from the still one; train from controlnext-svd, from a folder that this trainer "
            "wrote, or with `model` new"
        )
    trained_way = {"lead": 0, "motion_bucket_id": MOTION_BUCKET}
    pipe.register_modules(condition=reconfigure(pipe.condition, trained_way))
    return make_ready(pipe)


def make_ready(pipe: AudioPoseSVDPipeline) -> Networks:
    """Take a pipeline's networks for training: float32, what is trained with gradients."""
    restore_temporal(pipe.unet)
    denoiser = DenoiserNetworks(pipe)
    denoiser.requires_grad_(False)
    for part in denoiser.parts().values():
        part.float()
        part.requires_grad_(True)
        part.train()
    return Networks(pipe, denoiser)


def new_networks(codec: HaarLatent, seed: int, widths: tuple[int, ...] = SMALL_WIDTHS) -> Networks:
    """Make new small networks over the fixed Haar codec: what a CPU can train in minutes."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        pipe = _small_pipeline(codec, widths)
    return make_ready(pipe)


def _small_pipeline(codec: HaarLatent, widths: tuple[int, ...]) -> AudioPoseSVDPipeline:
    count = len(widths)
    unet = UNetSpatioTemporalConditionModel(
        sample_size=32,
        in_channels=2 * CHANNELS,
        out_channels=CHANNELS,
        block_out_channels=widths,
        down_block_types=_block_types("Down", count),
        up_block_types=_block_types("Up", count)[::-1],
        layers_per_block=1,
        num_attention_heads=tuple(width // 32 for width in widths),
        cross_attention_dim=SMALL_TOKEN_WIDTH,
        addition_time_embed_dim=32,
        projection_class_embeddings_input_dim=96,
    )
    control = ControlNeXt(
        stem_channels=(24, 32, 48),
        stem_strides=(2, 2, 1),  # to the Haar latents' grid
        stem_padding=1,
        block_channels=(48,),
        block_strides=(1,),
        block_groups=(4,),
        time_channels=64,
        time_embed_dim=128,
        out_channels=widths[0],
        control_level=1.0,
        where="conv_in",
    )
    condition = StillReference(
        style="preview",
        motion_bucket_id=MOTION_BUCKET,
        min_guidance=1.0,
        max_guidance=1.0,
        lead=0,
        cell=FACTOR,
    )
    return AudioPoseSVDPipeline(
        vae=codec,
        unet=unet,
        controlnext=control,
        reference_tokens=ReferenceTokens(CHANNELS, patch=4, dim=SMALL_TOKEN_WIDTH),
        condition=condition,
        scheduler=_small_scheduler(),
        audio2pose=Audio2Pose.from_pretrained(EMBEDDED_SPEECH_NETWORK),
        default_steps=4,
        refocus_mode="amplify",
    )


def _block_types(direction: str, count: int) -> tuple[str, ...]:
    """Return the UNet's blocks of one direction: attention in all but those at full size."""
    plain = f"{direction}BlockSpatioTemporal"
    crossing = f"CrossAttn{direction}BlockSpatioTemporal"
    return (plain, *[crossing] * (count - 1))


def _small_scheduler() -> EulerDiscreteScheduler:
    """Make SVD's scheduler for whitened latents: fewer decades of noise."""
    return EulerDiscreteScheduler(
        prediction_type="v_prediction",
        timestep_type="continuous",
        timestep_spacing="leading",
        use_karras_sigmas=True,
        sigma_min=0.02,
        sigma_max=80.0,
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
    )


@torch.no_grad()
def measure_codec(pictures: Tensor) -> HaarLatent:
    """Make the Haar codec whose whitening is measured on pictures (N,3,H,W) uint8."""
    scaled = pictures.float() / 127.5 - 1
    latents = HaarLatent().encode(scaled).latent_dist.mode()
    axes = (0, 2, 3)
    mean = latents.mean(axes)
    deviation = latents.std(axes)
    deviation = deviation.clamp_min(1e-3)
    return HaarLatent(_rounded(mean), _rounded(deviation))


def _rounded(values: Tensor) -> list[float]:
    return [round(value, 6) for value in values.tolist()]


def save_model(networks: Networks, states: Mapping[str, Tensor], folder: Path) -> None:
    """Write a folder that `generate --model FOLDER` runs; trained networks in float16.

    Args:
        networks: of the run.
        states: tensors of the trained networks by their names in `networks.denoiser`; adapters are
            added to the weights, and kept in a file of their own.
        folder: is made.
    """
    folder.mkdir(parents=True, exist_ok=True)
    save_lora(states, folder)
    states = merged(states)
    trained = networks.denoiser.parts()
    for name, component in networks.pipe.components.items():
        if component is None:
            continue
        part = component
        if name in trained:
            part = _half_copy(trained[name], f"{name}.", states)
        save = getattr(part, "save_pretrained", None) or part.save_config
        save(folder / name)
    networks.pipe.save_config(folder)
    for path in folder.glob("*/config.json"):
        forget_source(path)


def _half_copy(network: nn.Module, prefix: str, states: Mapping[str, Tensor]) -> nn.Module:
    """Copy a network in float16, with its tensors from `states`, which name them after `prefix`."""
    with init_empty_weights():
        copy = type(network).from_config(network.config)
    half = {}
    for key in copy.state_dict():
        value = states[prefix + key]
        value = value.detach()
        half[key] = value.half().cpu()
    copy.load_state_dict(half, assign=True)
    return copy
