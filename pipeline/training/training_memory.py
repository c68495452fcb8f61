"""How much memory a training step takes, estimated before the start.

The networks are built without memory, on PyTorch's meta device, and called once. What this call
keeps for the gradients is counted. Attention weights are left out: fused attention, which runs on
GPUs, does not keep them.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from accelerate import init_empty_weights
from torch import Tensor, nn

from pipeline.models.denoiser import controlled, run_unet
from pipeline.training.apv_gen_networks import Networks
from pipeline.training.config import TrainConfig

GIB = 2**30
FLOAT_BYTES = 4
DTYPES = {"no": torch.float32, "bf16": torch.bfloat16}


@dataclass(frozen=True)
class MemoryEstimate:
    """GiB of one process that holds all parameters."""

    weights: float
    gradients: float
    optimizer: float
    average: float
    activations: float

    @property
    def total(self) -> float:
        """GiB of all of it."""
        state = self.weights + self.gradients + self.optimizer + self.average
        return state + self.activations

    def sentence(self) -> str:
        """Tell the estimate in one line."""
        return (
            f"a step takes about {self.total:.1f} GiB: weights {self.weights:.1f}, gradients "
            f"{self.gradients:.1f}, optimizer {self.optimizer:.1f}, average {self.average:.1f}, "
            f"activations {self.activations:.1f}"
        )


def estimate_memory(networks: Networks, config: TrainConfig) -> MemoryEstimate:
    """Estimate what a step on face clips takes, the larger of both."""
    trained = 0
    stored = 0
    for parameter in (*networks.denoiser.parameters(), *networks.pipe.vae.parameters()):
        stored += parameter.numel() * parameter.element_size()
        if parameter.requires_grad:
            trained += parameter.numel() * FLOAT_BYTES
    has_average = config.ema > 0
    return MemoryEstimate(
        weights=stored / GIB,
        gradients=trained / GIB,
        optimizer=2 * trained / GIB,
        average=trained * has_average / GIB,
        activations=count_activations(networks, config) / GIB,
    )


def count_activations(networks: Networks, config: TrainConfig) -> int:
    """Return the bytes that UNet and control network keep for the gradients of one batch."""
    dtype = DTYPES[config.precision]
    unet = _empty_copy(networks.denoiser.unet, dtype)
    control_network = _empty_copy(networks.denoiser.controlnext, dtype)
    if config.checkpointing:
        unet.enable_gradient_checkpointing()
    counter = _SavedBytes([unet, control_network], _heads(unet))
    with torch.autograd.graph.saved_tensors_hooks(counter, _same):
        _call(unet, control_network, networks, config, dtype)
    return counter.total


def _call(
    unet: nn.Module,
    control_network: nn.Module,
    networks: Networks,
    config: TrainConfig,
    dtype: torch.dtype,
) -> None:
    """Call the empty networks on a batch of empty tensors."""
    batch = config.batch
    rows = config.frames + config.reference
    channels = unet.config.out_channels
    grid = networks.grid(config.size)
    width = unet.config.cross_attention_dim

    def empty(*shape: int) -> Tensor:
        return torch.empty(shape, device="meta", dtype=dtype)

    times = empty(batch)
    features = control_network(empty(batch, rows, 3, *config.size), times)
    with controlled(unet, control_network) as injection:
        run_unet(
            unet,
            injection,
            empty(batch, rows, channels, *grid),
            times,
            empty(batch, rows, channels, *grid),
            empty(batch, 1, width),
            features,
            empty(batch * rows, 1, 1, 1),
        )


class _SavedBytes:
    """Counts tensors that are kept for gradients, each storage once, parameters not at all."""

    def __init__(self, networks: list[nn.Module], heads: set[int]) -> None:
        self.total = 0
        self.heads = heads
        self._known = set()
        for network in networks:
            for parameter in network.parameters():
                self._known.add(parameter.untyped_storage()._cdata)
        self._kept: list[Tensor] = []  # a freed storage's address would be given again

    def __call__(self, tensor: Tensor) -> Tensor:
        """Count a tensor that autograd keeps."""
        storage = tensor.untyped_storage()
        if storage._cdata not in self._known and not self._is_attention(tensor):
            self._known.add(storage._cdata)
            self._kept.append(tensor)
            self.total += storage.nbytes()
        return tensor

    def _is_attention(self, tensor: Tensor) -> bool:
        """Whether it is attention weights (N, heads, tokens, tokens)."""
        if tensor.ndim != 4:
            return False
        _, heads, rows, columns = tensor.shape
        return rows == columns and heads in self.heads


def _heads(unet: nn.Module) -> set[int]:
    heads = unet.config.num_attention_heads
    return {heads} if isinstance(heads, int) else set(heads)


def _empty_copy(network: nn.Module, dtype: torch.dtype) -> nn.Module:
    """Build a network of the same configuration without memory."""
    with init_empty_weights():
        copy = type(network).from_config(network.config)
    for parameter in copy.parameters():
        parameter.data = parameter.data.to(dtype)
    return copy.train()


def _same(tensor: Tensor) -> Tensor:
    return tensor
