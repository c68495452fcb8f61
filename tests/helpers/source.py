"""Facts about source files: module names, import targets, density of expressions."""

import ast
from collections.abc import Collection
from pathlib import Path

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def module_name(path: Path, root: Path) -> str:
    """Return the dotted name of a module, of the package for its `__init__.py`."""
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def import_targets(path: Path, name: str, modules: Collection[str]) -> set[str]:
    """Return what a file imports, wherever in the file: modules of `modules`, else dotted names."""
    targets: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            targets |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                targets.add(full if full in modules else str(node.module))
    return targets - {name}
