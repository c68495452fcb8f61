"""Switch a UNet's temporal layers off, on, or to the identity."""

from __future__ import annotations

from diffusers.models.attention import TemporalBasicTransformerBlock
from diffusers.models.resnet import TemporalResnetBlock
from diffusers.models.transformers.transformer_temporal import TransformerSpatioTemporalModel
from torch import Tensor, nn


def silence_temporal(unet: nn.Module) -> None:
    """Zeroes the temporal layers' outputs, so that a UNet of single frames starts as one of clips."""
    for module in unet.modules():
        for last in _last_layers(module):
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)


def skip_idle_temporal(unet: nn.Module) -> int:
    """Skips temporal layers that change nothing (outputs all zero), returns how many: half the time a frame.

    Only `forward` is replaced, on the instance; tensors and keys stay as they are, so saving works as before.
    """
    idle = 0
    for module in unet.modules():
        temporal = [m for m in module.modules() if _last_layers(m)]
        lasts = [last for m in temporal for last in _last_layers(m)]
        if not hasattr(module, "time_mixer") or any(x.weight.any() or x.bias.any() for x in lasts):
            continue
        module.time_mixer.forward = _spatial  # mixing x with x costs three passes over the features
        for part in temporal:
            if isinstance(part, TemporalResnetBlock | TemporalBasicTransformerBlock):
                part.forward = _same
                idle += 1
    return idle


def restore_temporal(unet: nn.Module) -> None:
    """Undoes `skip_idle_temporal`, as a clip stage of the training needs."""
    for module in unet.modules():
        if module.__dict__.get("forward") in (_same, _spatial):
            del module.__dict__["forward"]


def _same(hidden_states: Tensor, *args: object, **kwargs: object) -> Tensor:
    return hidden_states


def _spatial(
    x_spatial: Tensor, x_temporal: Tensor, image_only_indicator: Tensor | None = None
) -> Tensor:
    return x_spatial


def _last_layers(module: nn.Module) -> list[nn.Module]:
    """The layers whose zero makes a temporal module the identity."""
    if isinstance(module, TemporalResnetBlock):
        return [module.conv2]
    if isinstance(module, TemporalBasicTransformerBlock):
        lasts = [module.attn1.to_out[0], module.ff.net[-1]]
        lasts += [module.attn2.to_out[0]] if module.attn2 is not None else []
        return lasts + ([module.ff_in.net[-1]] if module.is_res else [])
    if isinstance(module, TransformerSpatioTemporalModel):
        return [module.time_pos_embed.linear_2]
    return []
