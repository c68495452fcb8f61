"""A stand-in for a CUDA device: tensors in main memory that say "cuda:0" and refuse what CUDA ones
refuse.

Refused are operands of both devices, NumPy arrays of a tensor there, generators of the other
device, and norms whose weights have another precision than their input. Kernels with their limits
and rounding, streams and the memory itself cannot be shown: these need a device.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from typing import Any
from unittest import mock

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves, tree_map

FREE, WHOLE = 70 * 10**9, 80 * 10**9  # bytes of the device
PLACE = torch.device("cuda:0")
SAID = {Tensor.device.__get__: PLACE, Tensor.is_cuda.__get__: True, Tensor.is_cpu.__get__: False}
# those that may have operands on both devices; the result lies where the first one does
BOTH = {Tensor.copy_, Tensor.__setitem__, Tensor.__getitem__, Tensor.index_put_, Tensor.to}
HERE = {Tensor.cpu, Tensor.item, Tensor.tolist, Tensor.__bool__, Tensor.__float__, Tensor.__int__}
PLAIN = {torch.device, torch._C._nn._parse_to}  # take a device's name, touch no tensor
PINNED = {Tensor.pin_memory: Tensor.clone, Tensor.is_pinned: lambda tensor: True}
NORMS = {F.layer_norm, F.group_norm}
Generator = torch.Generator


class There(Tensor):
    """A tensor on the device."""

    @classmethod
    def __torch_function__(
        cls, func: Callable, types: Any, args: tuple = (), kwargs: Any = None
    ) -> Any:
        return _run(func, args, kwargs or {})


class Anywhere(Generator):
    """A generator that draws on the CPU and says where it was asked for."""

    def __new__(cls, device: str | torch.device = "cpu") -> Anywhere:
        made = Generator.__new__(cls, "cpu")
        made.asked = torch.device(device)
        return made

    @property
    def device(self) -> torch.device:
        return self.asked


class Stream:
    """Work is done at once, so that there is nothing to wait for."""

    def synchronize(self) -> None:
        pass

    def wait_stream(self, other: Stream) -> None:
        pass


class _Mode(TorchFunctionMode):
    def __torch_function__(
        self, func: Callable, types: Any, args: tuple = (), kwargs: Any = None
    ) -> Any:
        given = kwargs or {}
        watched = any(
            isinstance(x, (There, Generator)) or _named(x) for x in tree_leaves((args, given))
        )
        if func in PLAIN or not (watched or func in PINNED):
            return func(*args, **given)
        return _run(func, args, given)


def _named(value: Any) -> bool:
    """Whether a value names the device."""
    if isinstance(value, torch.device):
        return value.type == PLACE.type
    return isinstance(value, str) and value.split(":")[0] == PLACE.type


def _cast(value: Any, kind: type[Tensor]) -> Any:
    with torch._C.DisableTorchFunction():
        return value.as_subclass(kind) if isinstance(value, Tensor) else value


def _run(func: Callable, args: tuple, kwargs: dict[str, Any]) -> Any:
    """The function on the tensors' values; the result is there where CUDA's would be."""
    leaves = tree_leaves((args, kwargs))
    far = [x for x in leaves if isinstance(x, There)]
    if func in SAID:
        return SAID[func]
    if func is torch._has_compatible_shallow_copy_type:
        return False
    if func == Tensor.data.__set__:
        return _moved(*args)
    _check(func, args, kwargs, leaves, far)
    there = _lands_there(func, args, kwargs, bool(far))
    for generator in (x for x in leaves if isinstance(x, Generator)):
        if _named(generator.device) != there:
            raise RuntimeError(f"{func.__name__} has a generator of {generator.device}")
    own = {}

    def bare(value: Any) -> Any:
        if not isinstance(value, There):
            return "cpu" if _named(value) else value
        value, known = _cast(value, Tensor), value
        own[id(value)] = known
        return value

    values, named = tree_map(bare, (args, kwargs))
    with torch._C.DisableTorchFunction():
        result = PINNED.get(func, func)(*values, **named)
        if func in (Tensor.to, Tensor.cpu) and there != isinstance(args[0], There):
            result = result.detach().clone().as_subclass(Tensor)
    if not there or isinstance(result, torch.Size):
        return result
    return tree_map(lambda value: own.get(id(value), _cast(value, There)), result)


def _check(func: Callable, args: tuple, kwargs: dict[str, Any], leaves: list, far: list) -> None:
    """RuntimeError or TypeError where CUDA raises one."""
    if not far:
        return
    if func in (Tensor.numpy, Tensor.__array__):
        raise TypeError("can't convert cuda:0 device type tensor to numpy")
    with torch._C.DisableTorchFunction():
        near = [
            x.shape
            for x in leaves
            if isinstance(x, Tensor) and not isinstance(x, There) and x.dim()
        ]
        if near and (
            func not in BOTH or (func is Tensor.__getitem__ and not isinstance(args[0], There))
        ):
            raise RuntimeError(f"{func.__name__} has tensors on cuda:0 and on the CPU {near}")
        weight = kwargs.get("weight") if func in NORMS else None
        if weight is not None and weight.dtype != args[0].dtype:
            raise RuntimeError(f"{func.__name__} of {args[0].dtype} has a weight of {weight.dtype}")


def _lands_there(func: Callable, args: tuple, kwargs: dict[str, Any], far: bool) -> bool:
    """Whether the result lies on the device."""
    if func in HERE or func in PINNED:
        return False
    said = [kwargs.get("device"), kwargs.get("other"), *(args[1:] if func is Tensor.to else ())]
    said = [x for x in said if isinstance(x, str | torch.device | Tensor)]
    if said:
        return any(isinstance(x, There) or _named(x) for x in said)
    return isinstance(args[0], There) if func in BOTH else far


def _moved(tensor: Tensor, values: Tensor) -> None:
    """`tensor.data = values`, which takes a parameter to another device."""
    with torch._C.DisableTorchFunction():
        Tensor.data.__set__(tensor, _cast(values, Tensor))
    tensor.__class__ = There if isinstance(values, There) else torch.nn.Parameter


@contextmanager
def cuda() -> Iterator[None]:
    """A CUDA device while the context lasts."""
    asked = {
        "is_available": lambda: True, "device_count": lambda: 1, "current_device": lambda: 0,
        "synchronize": lambda device=None: None, "empty_cache": lambda: None,
        "mem_get_info": lambda device=None: (FREE, WHOLE),
        "memory_reserved": lambda device=None: 0, "memory_allocated": lambda device=None: 0,
        "max_memory_allocated": lambda device=None: 0, "reset_peak_memory_stats": lambda device=None: None,
        "Stream": Stream, "stream": lambda stream: nullcontext(),
        "current_stream": lambda device=None: Stream(),
    }  # fmt: skip
    with ExitStack() as stack:
        for name, answer in asked.items():
            stack.enter_context(mock.patch.object(torch.cuda, name, answer))
        stack.enter_context(mock.patch.object(torch, "Generator", Anywhere))
        torch.__future__.set_overwrite_module_params_on_conversion(True)
        stack.callback(torch.__future__.set_overwrite_module_params_on_conversion, False)
        stack.enter_context(_Mode())
        yield
