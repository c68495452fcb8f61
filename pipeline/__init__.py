"""APV Studio: a reference image, speech and an optional driving video become a talking, gesturing
video.

Speech and a driving video become a `Motion` (numpy, cheap, previewable); a `Motion` and a reference
image become a video (torch). A room imports only rooms to its left (`tests/test_layers.py` checks
it):

values <- motion <- media <- models <- analysis <- render <- training <- evaluation <- studio
"""

import importlib.metadata
import importlib.util
import re
import sys
from pathlib import Path
from typing import Any

__all__ = ["ROOT", "InputError", "__version__", "load"]
__version__ = "0.1.0"
OLDEST_PYTHON = (3, 11)
# Of requirements.txt, what the first half, the second half and the page import first.
NEEDED_PACKAGES = ("numpy", "cv2", "scipy", "onnxruntime", "torch", "diffusers", "gradio")
# Libraries of ours import these at their own import, where they are there; nothing needs them but
# the openpose detector and faster attention.
OPTIONAL_PACKAGES = ("torchvision", "torchaudio", "xformers")
# What PyTorch's own wheels write behind their version; others write a commit there.
KNOWN_BUILD = r"\+(cpu|xpu|cu\d+|rocm[\d.]+)$"


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
    leave_out_other_builds()


def leave_out_other_builds() -> None:
    """Leave out packages that were built for another torch than the installed one, with a sentence.

    Their import fails, and diffusers and transformers, which try it, fail with it.
    """
    torch = _written_version("torch")
    if torch is None:
        return
    for name in OPTIONAL_PACKAGES:
        found = _written_version(name)
        if found is None or _fits(name, found, torch):
            continue
        sys.modules[name] = None  # type: ignore[assignment]  # as if it were not installed
        print(
            f"note: {name} {found} was built for another torch than {torch} and is left out; "
            f"run `{sys.executable} -m pip uninstall {name}`, or install the build that fits",
            file=sys.stderr,
        )


def _written_version(name: str) -> Any:
    """Return the version of a package as its file version.py has it, build included, or None."""
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        return None
    file = Path(spec.origin).with_name("version.py")
    if not file.is_file():
        return None
    text = file.read_text(encoding="utf-8", errors="replace")
    match = re.search(r"^__version__\s*=\s*['\"](.+?)['\"]", text, re.MULTILINE)
    return None if match is None else match[1]


def _fits(name: str, version: str, torch: str) -> bool:
    """Tell whether a package was built for the installed torch.

    Builds are told apart by what follows the plus ("cpu", "cu130"), releases by the requirement.
    """
    build = re.search(KNOWN_BUILD, version)
    torch_build = re.search(KNOWN_BUILD, torch)
    if build and torch_build and build[0] != torch_build[0]:
        return False
    release = re.match(r"[\d.]+", torch)
    try:
        requirements = importlib.metadata.requires(name) or []
    except importlib.metadata.PackageNotFoundError:
        return True
    for requirement in requirements:
        pinned = re.match(r"torch\s*\(?==\s*([\d.]+)", requirement)
        if pinned and release and pinned[1] != release[0]:
            return False
    return True


def _stop(reason: str) -> None:
    """Print why the program does not start, and end it as for bad input."""
    print(f"error: APV Studio {reason}", file=sys.stderr)
    raise SystemExit(2)


def __getattr__(name: str) -> Any:
    """Import `load` on first use, so that `import pipeline` stays light."""
    if name not in ("load", "weights"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import warnings

    leave_out_other_builds()
    module = importlib.import_module("pipeline.render.load")
    if name == "load":
        return module.load
    message = "pipeline.weights is deprecated; use `from pipeline import load`"
    warnings.warn(message, FutureWarning, stacklevel=2)
    return module
