"""Facts about source files: module names, import targets, density of expressions."""

import ast
import io
import tokenize
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
EXPRESSIONS = (
    ast.Call,
    ast.BinOp,
    ast.BoolOp,
    ast.Compare,
    ast.Subscript,
    ast.IfExp,
    ast.ListComp,
    ast.SetComp,
    ast.DictComp,
    ast.GeneratorExp,
)
LAYOUT_TOKENS = (
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENDMARKER,
)


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


@dataclass(frozen=True)
class Density:
    """Expression nodes and code lines of functions.

    Nodes are calls, operators, comparisons, subscripts, conditional expressions and comprehensions.
    Lines are those of whole functions, without docstrings, comments and blank lines.
    """

    nodes: int = 0
    lines: int = 0

    def __add__(self, other: "Density") -> "Density":
        return Density(self.nodes + other.nodes, self.lines + other.lines)

    @property
    def mean(self) -> float:
        """Nodes per line; 0 where there is no function."""
        return self.nodes / self.lines if self.lines else 0.0


def expression_density(path: Path) -> Density:
    """Count the expression nodes and the code lines of all functions in a file."""
    text = path.read_text(encoding="utf-8")
    code = _code_lines(text)
    total = Density()
    for function in _outer_functions(ast.parse(text)):
        nodes = sum(isinstance(node, EXPRESSIONS) for node in ast.walk(function))
        lines = (_span(function) - _docstring_lines(function)) & code
        total += Density(nodes, len(lines))
    return total


def _code_lines(text: str) -> set[int]:
    """Return the numbers of the lines that hold more than blanks and comments."""
    rows: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in LAYOUT_TOKENS:
            rows.update(range(token.start[0], token.end[0] + 1))
    return rows


def _outer_functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Yield functions and methods, but none that stands inside another one."""
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, FUNCTIONS):
            yield child
        else:
            yield from _outer_functions(child)


def _docstring_lines(function: ast.AST) -> set[int]:
    """Return the numbers of the docstring lines of a function and of the functions inside it."""
    rows: set[int] = set()
    for inner in ast.walk(function):
        if isinstance(inner, FUNCTIONS) and ast.get_docstring(inner) is not None:
            rows |= _span(inner.body[0])
    return rows


def _span(node: ast.stmt) -> set[int]:
    return set(range(node.lineno, node.end_lineno + 1))
