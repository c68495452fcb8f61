"""ControlNeXt-SVD in full size with random weights: what a step costs, without any download."""

from __future__ import annotations

import torch
from diffusers import (
    AutoencoderKLTemporalDecoder,
    EulerDiscreteScheduler,
    UNetSpatioTemporalConditionModel,
)

from pipeline.models.audio2pose import Audio2Pose
from pipeline.models.controlnext import ControlNeXt
from pipeline.render.svd.pipeline import AudioPoseSVDPipeline
from pipeline.render.svd.still_reference import StillReference
from pipeline.training.apv_gen_networks import EMBEDDED_SPEECH_NETWORK, MOTION_BUCKET

HEADS = (5, 10, 20, 20)
CODEC_WIDTHS = (128, 256, 512, 512)
SCALING_FACTOR = 0.18215
# CLIP ViT-H/14
IMAGE_ENCODER = {
    "hidden_size": 1280,
    "intermediate_size": 5120,
    "projection_dim": 1024,
    "num_hidden_layers": 32,
    "num_attention_heads": 16,
    "image_size": 224,
    "patch_size": 14,
    "hidden_act": "gelu",
}


def random_pipeline() -> AudioPoseSVDPipeline:
    """Build the pipeline in full size; on the meta device inside `init_empty_weights`."""
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    codec = AutoencoderKLTemporalDecoder(
        block_out_channels=CODEC_WIDTHS,
        down_block_types=("DownEncoderBlock2D",) * len(CODEC_WIDTHS),
        layers_per_block=2,
        scaling_factor=SCALING_FACTOR,
    )
    image_encoder = CLIPVisionModelWithProjection(CLIPVisionConfig(**IMAGE_ENCODER))
    return AudioPoseSVDPipeline(
        vae=codec.eval().requires_grad_(False),
        unet=UNetSpatioTemporalConditionModel(num_attention_heads=HEADS),
        controlnext=ControlNeXt(),
        reference_tokens=image_encoder.eval().requires_grad_(False),
        condition=StillReference(motion_bucket_id=MOTION_BUCKET, lead=0),
        scheduler=svd_scheduler(),
        audio2pose=Audio2Pose.from_pretrained(EMBEDDED_SPEECH_NETWORK),
        multiple=64,
        refocus_mode="amplify",
    )


def svd_scheduler() -> EulerDiscreteScheduler:
    """Make the scheduler of SVD-XT 1.1."""
    return EulerDiscreteScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type="v_prediction",
        sigma_min=0.002,
        sigma_max=700.0,
        timestep_type="continuous",
        timestep_spacing="leading",
        steps_offset=1,
        use_karras_sigmas=True,
    )


def random_weights(seed: int) -> AudioPoseSVDPipeline:
    """Build the pipeline in full size with weights of a seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return random_pipeline()
