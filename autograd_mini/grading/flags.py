"""What a person should look at in a source: derivatives that a machine took, and code that is not in it.

It changes no verdict.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterator

from autograd_mini.definitions import texts

ENGINES = "autograd casadi jax micrograd numdifftools sympy tensorflow tinygrad torch".split()
RUN_A_TEXT = "exec eval compile __import__".split()
RUN_A_FILE = "import_module run_path run_module".split()
OURS = "Value values grad value_and_grad jacobian hessian vjp jvp trace approx_fprime".split()


def flags_of(path: str) -> list[str]:
    """What is to be said of a file; nothing of one that cannot be read."""
    try:
        return [flag for _, text in texts(path) for flag in flagged(text)]
    except (MemoryError, OSError, RecursionError, SyntaxError, ValueError):
        return []


def flagged(text: str) -> list[str]:
    """The engines that a text imports, and the lines in which it divides a difference of two calls, or runs
    code that is not in it.

    >>> flagged("import torch")
    ['imports torch, which differentiates']
    >>> flagged("def d(x, h): return (f(x + h) - f(x - h)) / (2 * h)")
    ['line 1: a difference of two values of f, divided: a derivative by differences?']
    """
    tree = ast.parse(text)
    return [*dict.fromkeys([*_imports(tree), *_differences(tree), *_unseen(tree)])]


def _imports(tree: ast.AST) -> Iterator[str]:
    modules: set[str] = set()
    used: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.Import(names):
                modules |= {alias.name for alias in names}
            case ast.ImportFrom(str() as module, names, 0):
                modules.add(module)
                used |= {alias.name for alias in names}
            case ast.Attribute(_, name):
                used.add(name)
    for module in sorted(modules):
        root = module.partition(".")[0]
        if root in ENGINES:
            yield f"imports {module}, which differentiates"
        elif root in ("autograd_mini", "scipy") and (ours := [name for name in OURS if name in used]):
            yield f"uses {ours[0]} of {module}, which differentiates"


def _differences(tree: ast.AST) -> Iterator[str]:
    imported = {
        (alias.asname or alias.name).partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for alias in node.names
    }
    called: dict[str, str] = {}  # what a name is assigned a value of

    def callee(node: ast.expr) -> str:
        """The function of the file's own of which an expression is a value."""
        match node:
            case ast.Name(name):
                return called.get(name, "")
            case ast.Call(function):
                name = ast.unparse(function)
                return "" if name.partition(".")[0] in imported or hasattr(builtins, name) else name
        return ""

    for node in ast.walk(tree):
        match node:
            case ast.Assign([ast.Name(name), *_], value):
                called[name] = callee(value)
    for node in ast.walk(tree):
        match node:
            case ast.BinOp(ast.BinOp(left, ast.Sub(), right), ast.Div()):
                name = callee(left)
                if name and name == callee(right):
                    yield (
                        f"line {node.lineno}: a difference of two values of {name}, divided: "
                        "a derivative by differences?"
                    )


def _unseen(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.Call(ast.Name(name)) if name in RUN_A_TEXT + RUN_A_FILE:
                yield f"line {node.lineno}: {name} runs code that is not in the file"
            case ast.Call(ast.Attribute(_, name)) if name in RUN_A_FILE:
                yield f"line {node.lineno}: {name} runs code that is not in the file"
