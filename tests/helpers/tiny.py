"""A whole pipeline with tiny random networks, built as the shipped one, and inputs that need no
detector."""

from __future__ import annotations

import numpy as np
import torch
from diffusers import UNetSpatioTemporalConditionModel

from pipeline.models.audio2pose import Audio2Pose
from pipeline.models.controlnext import ControlNeXt
from pipeline.models.denoiser import ReferenceTokens, make_scheduler
from pipeline.models.haar import HaarLatent
from pipeline.models.interaction import AudioVideoInteraction
from pipeline.render.svd.pipeline import AudioPoseSVDPipeline
from pipeline.render.svd.warped_reference import WarpedReference
from pipeline.values import Audio, Motion
from tests.helpers.stick_person import figure


def tiny_pipeline(seed: int = 0) -> AudioPoseSVDPipeline:
    torch.manual_seed(seed)
    unet = UNetSpatioTemporalConditionModel(
        sample_size=8, in_channels=96, out_channels=48, block_out_channels=(32, 32), layers_per_block=1,
        down_block_types=("DownBlockSpatioTemporal", "CrossAttnDownBlockSpatioTemporal"),
        up_block_types=("CrossAttnUpBlockSpatioTemporal", "UpBlockSpatioTemporal"),
        num_attention_heads=(1, 2), cross_attention_dim=16, addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=24,
    )  # fmt: skip
    control = ControlNeXt(
        stem_channels=(8, 16, 16), stem_strides=(2, 2, 2), stem_padding=1, block_channels=(32,),
        block_strides=(1,), block_groups=(4,), time_channels=16, time_embed_dim=32, out_channels=32,
        extra_channels=16, where="conv_in",
    )  # fmt: skip
    return AudioPoseSVDPipeline(
        vae=HaarLatent(), unet=unet.eval(), controlnext=control.eval(),
        reference_tokens=ReferenceTokens(in_channels=48, patch=4, dim=16).eval(),
        condition=WarpedReference(short_side=64), scheduler=make_scheduler(),
        audio2pose=Audio2Pose(channels=16, dilations=(1, 2)).eval(), default_window=4, default_overlap=1,
        area=96 * 128,
    )  # fmt: skip


def motion(frames: int = 10, fps: float = 25.0) -> Motion:
    pose = figure(frames, fps)
    wave = np.sin(np.arange(frames) / 4)
    tokens = np.zeros((frames, 5, 16), np.float32)
    return Motion(pose, figure(1, fps), None, None, (wave + 1) / 2, wave, np.ones(frames), tokens)


def open_gates(interaction: AudioVideoInteraction) -> None:
    """Both directions: into the picture, and from picture and pose into the sound."""
    for site in interaction.exchanges:
        for gate in (site.gate, site.listen.to_out[0]):
            torch.nn.init.normal_(gate.weight, generator=torch.Generator().manual_seed(7))


def portrait(size: tuple[int, int] = (128, 96)) -> np.ndarray:
    """A picture with a person-like drawing where `figure` has its points."""
    import cv2

    height, width = size
    picture = np.full((height, width, 3), (90, 120, 160), np.uint8)
    picture[::8] = (110, 130, 150)
    chest = (int(0.35 * width), int(0.38 * height)), (int(0.65 * width), height)
    cv2.rectangle(picture, *chest, (40, 60, 140), -1)
    head = (width // 2, height // 5), (int(0.09 * width), int(0.11 * height))
    cv2.ellipse(picture, *head, 0, 0, 360, (220, 180, 150), -1)
    cv2.ellipse(picture, (width // 2, int(0.255 * height)), (4, 2), 0, 0, 360, (150, 50, 60), -1)
    return picture


def speech(seconds: float = 1.0, rate: int = 16000) -> Audio:
    """A voice-like buzz in syllables."""
    t = np.arange(round(seconds * rate)) / rate
    buzz = sum(np.sin(2 * np.pi * 120 * k * t) / k for k in range(1, 20))
    return Audio((0.1 * buzz * np.clip(np.sin(2 * np.pi * 3 * t), 0, 1)).astype(np.float32), rate)
