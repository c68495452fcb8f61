"""APV Studio: a reference image, speech and an optional driving video become a talking, gesturing
video.

Speech and a driving video become a `Motion` (numpy, cheap, previewable); a `Motion` and a reference
image become a video (torch). A room imports only rooms to its left (`tests/test_layers.py` checks
it):

values <- motion <- media <- models <- analysis <- render <- training <- evaluation <- studio
"""

import importlib.util
import sys
from pathlib import Path
from typing import Any

__all__ = ["ROOT", "InputError", "__version__", "load"]
__version__ = "0.1.0"
OLDEST_PYTHON = (3, 11)
# Of requirements.txt, what the first half, the second half and the page import first.
NEEDED_PACKAGES = ("numpy", "cv2", "scipy", "onnxruntime", "torch", "diffusers", "gradio")


def _find_root() -> Path:
    """Return the folder that holds assets/ and checkpoints/: the wheel's own, else the checkout."""
    package = Path(__file__).resolve().parent
    in_wheel = package / "shipped"
    return in_wheel if in_wheel.is_dir() else package.parent


ROOT = _find_root()


class InputError(ValueError):
    """The user's fault: one sentence that names the input, what is wrong with it and what to do.

    The sentence names an option by its `Request` field in backticks, such as `pose_free`. The
    command line shows the flag in its place, the app the control's label. Every other exception is
    a bug.
    """


def check_interpreter() -> None:
    """End the program with one sentence where this Python cannot run it.

    Old Pythons read this file, so it uses nothing that they do not know.
    """
    version = sys.version_info[:2]
    if version < OLDEST_PYTHON:
        found = ".".join(str(number) for number in version)
        _stop(f"needs Python 3.11 or newer, and {sys.executable} is Python {found}")
    missing = [name for name in NEEDED_PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        names = ", ".join(missing)
        remedy = f"run `{sys.executable} -m pip install -r requirements.txt`"
        _stop(f"lacks {names} in {sys.executable}; {remedy}")


def _stop(reason: str) -> None:
    """Print why the program does not start, and end it as for bad input."""
    print(f"error: APV Studio {reason}", file=sys.stderr)
    raise SystemExit(2)


def __getattr__(name: str) -> Any:
    """Import `load` on first use, so that `import pipeline` stays light."""
    if name not in ("load", "weights"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import warnings

    module = importlib.import_module("pipeline.render.load")
    if name == "load":
        return module.load
    message = "pipeline.weights is deprecated; use `from pipeline import load`"
    warnings.warn(message, FutureWarning, stacklevel=2)
    return module
