"""Switch a UNet's temporal layers off, on, or to the identity."""

from __future__ import annotations

from diffusers.models.attention import TemporalBasicTransformerBlock
from diffusers.models.resnet import TemporalResnetBlock
from diffusers.models.transformers.transformer_temporal import TransformerSpatioTemporalModel
from torch import Tensor, nn


def silence_temporal(unet: nn.Module) -> None:
    """Set the temporal layers' outputs to zero, so that a UNet of single frames starts as one of
    clips."""
    for module in unet.modules():
        for layer in _last_layers(module):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)


def skip_idle_temporal(unet: nn.Module) -> int:
    """Skip temporal layers whose outputs are all zero, and return how many there are.

    This halves the time per frame. Only `forward` is replaced, on the instance. Tensors and keys
    stay as they are, so saving works as before.
    """
    count = 0
    for module in unet.modules():
        if not hasattr(module, "time_mixer") or not _is_idle(module):
            continue
        # mixing features with themselves would cost three passes over them
        module.time_mixer.forward = _keep_spatial
        for part in module.modules():
            if isinstance(part, TemporalResnetBlock | TemporalBasicTransformerBlock):
                part.forward = _keep_hidden
                count += 1
    return count


def restore_temporal(unet: nn.Module) -> None:
    """Undo `skip_idle_temporal`, as the clip stage of the training needs."""
    for module in unet.modules():
        if module.__dict__.get("forward") in (_keep_hidden, _keep_spatial):
            del module.__dict__["forward"]


def _is_idle(module: nn.Module) -> bool:
    """Whether all temporal layers inside a module are the identity."""
    for part in module.modules():
        for layer in _last_layers(part):
            # without memory nobody knows
            if layer.weight.is_meta or layer.weight.any() or layer.bias.any():
                return False
    return True


def _keep_hidden(hidden_states: Tensor, *args: object, **kwargs: object) -> Tensor:
    return hidden_states


def _keep_spatial(
    x_spatial: Tensor, x_temporal: Tensor, image_only_indicator: Tensor | None = None
) -> Tensor:
    return x_spatial


def _last_layers(module: nn.Module) -> list[nn.Module]:
    """Return the layers that make a temporal module the identity when they are zero."""
    if isinstance(module, TemporalResnetBlock):
        return [module.conv2]
    if isinstance(module, TemporalBasicTransformerBlock):
        layers = [module.attn1.to_out[0], module.ff.net[-1]]
        if module.attn2 is not None:
            layers.append(module.attn2.to_out[0])
        if module.is_res:
            layers.append(module.ff_in.net[-1])
        return layers
    if isinstance(module, TransformerSpatioTemporalModel):
        return [module.time_pos_embed.linear_2]
    return []
