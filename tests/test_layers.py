"""The house: import order, forbidden imports, cycles, sizes and density, checked from the source
text."""

import ast
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.source import (
    FUNCTIONS,
    Density,
    expression_density,
    import_targets,
    module_name,
)

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "pipeline"

# A room imports only rooms to its left.
ORDER = (
    "values",
    "motion",
    "media",
    "models",
    "analysis",
    "render",
    "training",
    "evaluation",
    "studio",
    "__main__",
)
# Rows inside a room, bottom to top: a module imports from its own row or a lower one.
# A module that is not named stands on the lowest row.
INSIDE = {
    "render": ("tensors warp", "draft runtime", "base", "svd", "load"),
    "training": (
        "data",
        "losses apv_gen_losses mini_model clip_batches learning_rate lora",
        "denoising_step run_state apv_gen_networks clip_loading checkpoint",
        "video_steps apv_gen_step apo_avatar validation random_model",
        "engine training_memory",
        "train release",
    ),
    "evaluation": (
        "report metrics hardware frozen_lists",
        "mini motion alignment lips photos",
        "reenact",
        "videos",
        "protocols",
        "bench",
    ),
    "studio": ("request charts accents_file", "steps outputs pose_tool", "cli app"),
}
# Libraries that only these places may import.
ONLY = {
    "gradio": ("pipeline/studio/app/page.py", "pipeline/studio/app/events.py"),
    "spaces": ("pipeline/studio/app/zerogpu.py",),
    "ray": ("pipeline/studio/batch.py",),
    "onnxruntime": ("pipeline/analysis/detectors/onnx.py",),
    "onnx": ("pipeline/analysis/detectors/conversion/",),
    "tflite": ("pipeline/analysis/detectors/conversion/",),
    # A torchvision of another build than torch breaks these; our own networks read files instead.
    **dict.fromkeys(("torchvision", "torchmetrics", "torch_fidelity", "lpips", "deepface"), ()),
    "argparse": (
        "pipeline/studio/cli/",
        "pipeline/studio/app/__init__.py",
        "pipeline/training/train_",
        "pipeline/training/release.py",
        "pipeline/training/data/examples.py",
        "pipeline/evaluation/",
    ),
}
# Places that must not import these libraries, not even inside a function.
NEVER = {
    "pipeline/values.py": ("torch", "gradio", "cv2"),
    "pipeline/motion/": ("torch", "gradio"),
    "pipeline/studio/request.py": ("torch", "gradio", "cv2", "scipy", "diffusers"),
    "pipeline/studio/cli/parser.py": ("torch", "gradio", "cv2", "scipy", "diffusers"),
}
# What evaluation may take from training.
MEASURED = ("pipeline.training.data", "pipeline.training.mini_model", "pipeline.training.losses")

MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60
MAX_ROOMS = 10  # names on the top floor, besides __init__, __main__ and README
# Expression nodes per code line; whisper has .8, diffusers' SVD pipeline .9 by the same count.
DENSITY_AIM = 1.3
MAX_MEAN_DENSITY = 1.5

FILES = sorted(PACKAGE.rglob("*.py"))
MODULES = {module_name(path, ROOT): path for path in FILES}
IMPORTS = {name: import_targets(path, name, MODULES) for name, path in MODULES.items()}


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def room(name: str) -> str:
    """The room of a module: the second part of its name, or "" for the package itself."""
    return (name.split(".") + [""])[1]


def row(name: str) -> int:
    """The row of a module inside its room."""
    parts = name.split(".")
    part = parts[2] if len(parts) > 2 else ""
    for number, names in enumerate(INSIDE.get(room(name), ())):
        if any(
            part == known or (known == "train" and part.startswith("train_"))
            for known in names.split()
        ):
            return number
    return 0


def own_imports(name: str) -> Iterator[str]:
    return (target for target in IMPORTS[name] if target in MODULES and target != "pipeline")


@pytest.mark.parametrize("name", MODULES)
def test_a_module_imports_only_from_its_left(name: str) -> None:
    if name == "pipeline":
        assert set(own_imports(name)) <= {"pipeline.render.load"}  # `load`, on first use
        return
    for target in own_imports(name):
        assert ORDER.index(room(target)) <= ORDER.index(room(name)), f"{name} imports {target}"
        if room(target) == room(name) and name.count(".") > 1 and target.count(".") > 1:
            assert row(target) <= row(name), f"{name} imports {target}, which stands above it"
        if room(name) == "evaluation" and room(target) == "training":
            assert target.startswith(MEASURED), f"{name} imports {target}"


@pytest.mark.parametrize("path", [*FILES, ROOT / "app.py"], ids=relative)
def test_libraries_stay_where_they_belong(path: Path) -> None:
    place = relative(path)
    libraries = {target.split(".")[0] for target in import_targets(path, "app", {})}
    for library, allowed in ONLY.items():
        assert library not in libraries or place.startswith(allowed), f"{place} imports {library}"
    for where, banned in NEVER.items():
        if place.startswith(where):
            assert not libraries & set(banned), f"{place} imports {libraries & set(banned)}"
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        assert not (isinstance(node, ast.ImportFrom) and node.level), f"{place} imports by dots"


def test_own_modules_are_not_renamed_on_import() -> None:
    """A module's name must not clash with the variable that holds its result."""
    renamed = []
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("pipeline"):
                modules = [a for a in node.names if f"{node.module}.{a.name}" in MODULES]
                renamed += [
                    f"{relative(path)}: {a.name} as {a.asname}" for a in modules if a.asname
                ]
    assert renamed == []


def test_no_modules_import_each_other() -> None:
    """Imports inside functions and for type checkers count, too."""
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, f"a cycle: {' -> '.join((*trail[trail.index(name) :], name))}"
        if name not in done:
            for target in own_imports(name):
                visit(target, (*trail, name))
            done.add(name)

    for name in MODULES:
        if name != "pipeline":
            visit(name, ())


def test_the_top_floor_has_few_names() -> None:
    names = {
        p.stem
        for p in PACKAGE.iterdir()
        if p.name not in ("__init__.py", "__main__.py", "README.md")
    }
    assert names - {"__pycache__"} == set(ORDER) - {"__main__"}
    assert len(names - {"__pycache__"}) <= MAX_ROOMS


def test_the_tree_has_no_other_folder() -> None:
    allowed = {"pipeline", "assets", "checkpoints", "tests"}
    folders = {p.name for p in ROOT.iterdir() if p.is_dir() and not p.name.startswith(".")}
    assert folders - allowed - {"outputs", "runs", "__pycache__"} == set()


def test_the_readme_of_the_package_names_every_module() -> None:
    text = (PACKAGE / "README.md").read_text(encoding="utf-8")
    tree = text.split("```")[1]
    missing = []
    for path in FILES:
        name = path.parent.name + "/" if path.name == "__init__.py" else path.name
        if name not in tree and path != PACKAGE / "__init__.py":
            missing.append(relative(path))
    assert missing == []


TEST_FILES = sorted((ROOT / "tests").rglob("*.py"))
SOURCES = [*FILES, ROOT / "app.py", *TEST_FILES]


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_no_long_files_or_functions(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= MAX_FILE_LINES, f"{path} has {text.count(chr(10))} lines"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, FUNCTIONS):
            lines = node.end_lineno - node.lineno
            assert lines <= MAX_FUNCTION_LINES, f"{relative(path)}: {node.name} has {lines} lines"


def test_code_stays_as_loose_as_it_is() -> None:
    """No file gets denser than DENSITY_AIM, or than tests/data/density.json allows it for now.

    When a file gets looser its ceiling must come down with it, so that it stays so.
    """
    ceilings = json.loads((ROOT / "tests" / "data" / "density.json").read_text(encoding="utf-8"))
    total = Density()
    wrong = []
    for path in FILES:
        density = expression_density(path)
        total += density
        ceiling = ceilings.pop(relative(path), DENSITY_AIM)
        if density.mean > ceiling:
            wrong.append(
                f"{relative(path)} has {density.mean:.2f} expressions a line, not {ceiling}"
            )
        elif ceiling > DENSITY_AIM and density.mean < ceiling - 0.1:
            wrong.append(f"{relative(path)} has {density.mean:.2f}: lower its ceiling of {ceiling}")
    assert wrong == []
    assert total.mean <= MAX_MEAN_DENSITY
    assert ceilings == {}, "files that do not exist"


def test_no_test_imports_another_test() -> None:
    """Shared builders live in tests/helpers."""
    wrong = []
    for path in TEST_FILES:
        for target in import_targets(path, "", {}):
            if target.startswith("tests.") and target.split(".")[-1].startswith("test_"):
                wrong.append(f"{relative(path)} imports {target}")
    assert wrong == []
