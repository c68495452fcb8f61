"""The device and the attention that a run uses, and the memory that it took: what needs no network.

`placement.py` puts a pipeline there.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import torch

from pipeline.values import InputError

try:
    import resource
except ImportError:  # Windows
    resource = None

ATTENTION = ("auto", "xformers", "sdpa")
DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
DEVICES = ("cpu", "cuda")
OFFLOAD = ("auto", "none", "model", "group")


@dataclass(frozen=True)
class Placement:
    """How to run a model. compiling: "off" or "on"; layout: "contiguous" or "channels-last"."""

    device: str = "auto"
    attention: str = "auto"
    dtype: str = "auto"
    offload: str = "auto"
    compiling: str = "off"
    layout: str = "contiguous"

    def __post_init__(self) -> None:
        choices = {
            "attention": ATTENTION,
            "dtype": ("auto", *DTYPES),
            "offload": OFFLOAD,
            "compiling": ("off", "on"),
            "layout": ("contiguous", "channels-last"),
        }
        for name, values in choices.items():
            value = getattr(self, name)
            if value not in values:
                raise InputError(f"{name} {value!r} is unknown; use one of {', '.join(values)}")


def choose_device(device: str) -> str:
    """Resolve "auto" to "cuda" where there is one, else "cpu"; refuse an absent device."""
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        place = torch.device(device)
    except RuntimeError:
        raise _unknown(device) from None
    if place.type not in DEVICES:  # others lack operators that are needed here
        raise _unknown(device)
    if place.type == "cuda" and not torch.cuda.is_available():
        raise InputError(
            "device cuda was asked for, but PyTorch sees no CUDA device; use `device` cpu"
        )
    if place.type == "cuda" and place.index and place.index >= torch.cuda.device_count():
        raise InputError(
            f"device {device} was asked for, but PyTorch sees {torch.cuda.device_count()} of "
            "them, counted from cuda:0; use one that is there"
        )
    return device


def _unknown(device: str) -> InputError:
    return InputError(f"device {device!r} is unknown; use auto, cpu or cuda")


def expect_attention(attention: str, device: str) -> str:
    """Tell the attention that `placement.choose_attention` would choose.

    Refuse xformers where it is absent.

    A build of xformers that does not fit PyTorch shows itself only when a network tries it.
    """
    if attention not in ATTENTION:
        raise InputError(f"attention {attention!r} is unknown; use one of {', '.join(ATTENTION)}")
    if attention == "sdpa":
        return "sdpa"
    problem = _xformers_problem(device)
    if problem is None:
        return "xformers"
    if attention == "xformers":
        raise InputError(
            f"xformers attention was asked for but cannot be used here ({problem}); "
            "set `attention` to sdpa"
        )
    return "sdpa"


def _xformers_problem(device: str) -> str | None:
    if not device.startswith("cuda"):
        return "it needs a CUDA device"
    if find_spec("xformers") is None:
        return "it is not installed"
    return None


def peak_memory() -> dict[str, float]:
    """Measure the peak memory of this process, and of its CUDA device where there is one, in GB."""
    peak = {}
    status = Path("/proc/self/status")
    if status.is_file():  # Linux's ru_maxrss also counts the process that started this one
        text = status.read_text(encoding="ascii", errors="replace")
        peak["resident_gb"] = _resident_kilobytes(text) * 1024 / 1e9
    elif resource is not None:
        usage = resource.getrusage(resource.RUSAGE_SELF)
        # ru_maxrss is bytes on macOS, kilobytes elsewhere
        unit = 1 if sys.platform == "darwin" else 1024
        peak["resident_gb"] = usage.ru_maxrss * unit / 1e9
    if torch.cuda.is_available():
        peak["cuda_gb"] = torch.cuda.max_memory_allocated() / 1e9
    return peak


def _resident_kilobytes(status: str) -> int:
    """Read the peak resident memory from the text of /proc/self/status."""
    for line in status.splitlines():
        if "VmHWM" in line:
            _, kilobytes, *_ = line.split()
            return int(kilobytes)
    raise ValueError("/proc/self/status has no VmHWM")
