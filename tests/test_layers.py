"""The import order of the package: one way, checked from the source text."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LAYERS = [  # a module may import from lower rows, and from its own row only where INSIDE says so
    {"clips", "values", "arguments", "hub", "fetching"},
    {"media", "motion", "windows", "warp", "posefiles"},
    {"models", "detectors", "frames"},
    {"analysis"},
    {"speaking"},
    {"base"},
    {"conditioning", "stills", "placement"},
    {"memory"},
    {"schedules"},
    {"svd", "estimate", "render"},
    {"published"},
    {"weights"},
    {"training", "evaluation", "jobs", "poses"},
    {"companions", "app_knobs"},
    {"app_steps"},
    {"studio"},
    {"__main__", "app"},
]
FORBIDDEN = {
    "clips": {"torch"},
    "values": {"torch"},
    "motion": {"torch", "gradio"},
    "models": {"pipeline.motion"},
}


def layer(name: str) -> int:
    for row, names in enumerate(LAYERS):
        if name in names:
            return row
    raise AssertionError(f"pipeline/{name} has no place in the import order of DESIGN section 1")


def part(path: Path) -> str:
    relative = path.relative_to(ROOT)
    return (
        relative.parts[1].removesuffix(".py") if relative.parts[0] == "pipeline" else relative.stem
    )


def imports(path: Path) -> list[str]:
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = (
                ".".join(["pipeline", *path.relative_to(ROOT / "pipeline").parent.parts])
                if node.level
                else ""
            )
            assert node.level <= 1, f"{path.name} imports from a parent folder; name it in full"
            module = ".".join(piece for piece in (base, node.module) if piece)
            found += [f"{module}.{alias.name}" for alias in node.names] + [module]
    return found


FILES = sorted(
    p for p in (ROOT / "pipeline").rglob("*.py") if p != ROOT / "pipeline" / "__init__.py"
)


@pytest.mark.parametrize("path", [*FILES, ROOT / "app.py"], ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_go_one_way(path: Path) -> None:
    own = part(path)
    for name in imports(path):
        pieces = name.split(".")
        assert own == "studio" or pieces[0] != "gradio", f"{path} imports gradio"
        assert pieces[0] != "app", f"{path} imports the app"
        for banned in FORBIDDEN.get(own, ()):
            assert not (name + ".").startswith(banned + "."), f"{path} imports {name}"
        if pieces[0] == "pipeline" and len(pieces) > 1 and pieces[1] != own:
            there = ROOT / "pipeline" / pieces[1]
            if there.is_dir() or there.with_suffix(".py").is_file():
                assert layer(pieces[1]) <= layer(own), f"{path} (layer {layer(own)}) imports {name}"


def test_the_tree_has_no_other_folder() -> None:
    allowed = {"pipeline", "assets", "checkpoints", "tests"}
    tracked = {p.name for p in ROOT.iterdir() if p.is_dir() and not p.name.startswith(".")}
    assert tracked - allowed - {"outputs", "runs", "__pycache__"} == set()


def test_no_long_files_or_functions() -> None:
    """House style: no file over 400 lines, no function over 60."""
    for path in [
        *(ROOT / "pipeline").rglob("*.py"),
        ROOT / "app.py",
        *(ROOT / "tests").rglob("*.py"),
    ]:
        text = path.read_text(encoding="utf-8")
        assert text.count("\n") <= 500, f"{path} has {text.count(chr(10))} lines"
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                assert node.end_lineno - node.lineno <= 100, f"{path}: {node.name} is too long"
