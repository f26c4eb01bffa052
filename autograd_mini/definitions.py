"""What a file of Python or a notebook defines, without running it as a script.

Imports, functions, classes and assignments of constants are executed one by one; training loops, plots,
prints and what reads files are left out, and so is what fails, such as an import of what is not installed.
The modules beside the file are loaded in the same way. Python 2 is read so far as its words can be replaced.
"""

from __future__ import annotations
import __future__

import ast
import builtins
import functools
import importlib.abc
import io
import itertools
import json
import linecache
import os
import re
import sys
import tokenize
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import spec_from_file_location
from types import ModuleType
from typing import Any

PYTHON_2 = {
    "xrange": range, "raw_input": input, "unicode": str, "long": int, "basestring": str,
    "reduce": functools.reduce, "unichr": chr,
}  # fmt: skip
METHODS = {"iteritems": "items", "iterkeys": "keys", "itervalues": "values", "has_key": "__contains__"}
READING = "load loadtxt genfromtxt fromfile open read_csv imread loadmat memmap save savetxt input".split()
PURE = ("numpy", "math", "random", "collections", "functools")  # modules whose functions only compute
LONGEST = 50  # characters of a statement that was left out


@dataclass(frozen=True)
class Definitions:
    """The names that a file defines, and what of it was left out and why, in sentences.

    ``own`` are the names of its own functions and classes, in its order.
    """

    path: str
    names: Mapping[str, Any]
    own: tuple[str, ...]
    left_out: tuple[str, ...]


def definitions_of(path: str | os.PathLike[str]) -> Definitions:
    """Execute the definitions in a file ending in .py or .ipynb.

    >>> import tempfile
    >>> file = os.path.join(tempfile.mkdtemp(), "net.py")
    >>> text = "rate = 0.1\\ndef f(x):\\n    return 2 * x\\nfor i in xrange(9):\\n    print f(i)\\n"
    >>> with open(file, "w") as net:
    ...     _ = net.write(text)
    >>> found = definitions_of(file)
    >>> found.own, found.names["f"](3), found.left_out
    (('f',), 6, ('line 4: for i in xrange(9): …', 'read as Python 2, but / divides as in Python 3'))

    Raises OSError for a file that cannot be read, and SyntaxError, with the line, for one that is no Python.
    """
    path = os.fspath(path)
    module = ModuleType(os.path.splitext(os.path.basename(path))[0])
    module.__file__ = path
    root, module.__package__ = _package(path)
    left_out: list[str] = []
    with _beside(root, left_out), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        own = _define(path, module.__dict__, left_out)
    return Definitions(path, module.__dict__, tuple(own), tuple(left_out))


def _package(path: str) -> tuple[str, str]:
    """The folder that its imports start from, and the package that a file is in."""
    folder, parts = os.path.dirname(os.path.abspath(path)), []
    while os.path.exists(os.path.join(folder, "__init__.py")):
        folder, name = os.path.split(folder)
        parts.append(name)
    return folder, ".".join(reversed(parts))


def _define(path: str, names: dict[str, Any], left_out: list[str]) -> list[str]:
    """Execute the definitions of one file; returns its own functions and classes."""
    own: list[str] = []
    for file, text in texts(path):
        try:
            tree, text, is_python_2 = _parsed(text, file)
        except SyntaxError as error:
            if file == path:
                raise
            cell = file[len(path) + 1 : -1]
            left_out.append(f"cell {cell}: SyntaxError: {error.msg}, line {error.lineno}")
            continue
        names |= {
            name: x for name, x in PYTHON_2.items() if re.search(rf"\b{name}\b", text) and name not in names
        }
        flags = 0
        for statement in _apart(tree.body):
            if isinstance(statement, ast.ImportFrom) and statement.module == "__future__":
                flags |= sum(getattr(__future__, alias.name).compiler_flag for alias in statement.names)
            elif _is_wanted(statement, names):
                try:
                    exec(compile(ast.Module([statement], []), file, "exec", flags, dont_inherit=True), names)
                except (Exception, SystemExit) as error:
                    left_out.append(f"{_place(statement, file, path)}: {type(error).__name__}: {error}")
                    names.update(_missing(statement, str(error)))
                else:
                    if isinstance(statement, (ast.FunctionDef, ast.ClassDef)):
                        own.append(statement.name)
            elif not (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)):
                left_out.append(_place(statement, file, path))
        if is_python_2:
            left_out.append("read as Python 2, but / divides as in Python 3")
    return own


def _apart(body: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements, with an import of several modules as one for each, as one may be missing."""
    for statement in body:
        if isinstance(statement, ast.Import):
            yield from (ast.copy_location(ast.Import([alias]), statement) for alias in statement.names)
        else:
            yield statement


def _place(statement: ast.stmt, file: str, path: str) -> str:
    """Where a statement is, and its first words."""
    first = ast.unparse(statement).partition("\n")
    text = first[0] if len(first[0]) <= LONGEST else first[0][:LONGEST] + "…"
    cell = f"cell {file[len(path) + 1 : -1]}, " if file != path else ""
    return f"{cell}line {statement.lineno}: {text}" + " …" * bool(first[1])


# --- the text ----------------------------------------------------------------------------------------


def texts(path: str) -> Iterator[tuple[str, str]]:
    """The text of a file; of a notebook that of each cell of code, under the file's name and its number."""
    if not path.endswith(".ipynb"):
        with tokenize.open(path) as file:
            yield path, file.read()
        return
    with open(path, encoding="utf-8") as file:
        try:
            book = json.load(file)
            cells = book["cells"] if "cells" in book else book["worksheets"][0]["cells"]
            codes = [
                cell.get("source", cell.get("input", "")) for cell in cells if cell["cell_type"] == "code"
            ]
        except (KeyError, TypeError, ValueError) as error:
            raise SyntaxError(f"{path} is no notebook: {type(error).__name__}: {error}") from None
    for number, code in enumerate(codes, 1):
        lines = "".join(code).splitlines(keepends=True)
        yield (
            f"{path}[{number}]",
            "".join("\n" if line.lstrip()[:1] in ("%", "!") else line for line in lines),
        )


def _parsed(text: str, file: str) -> tuple[ast.Module, str, bool]:
    """The syntax tree of a text, the text, and whether it had to be read as Python 2; lines stay lines."""
    is_python_2 = False
    for old, new in METHODS.items():
        if old in text:
            text = _outside_strings(rf"\.{old}\(", f".{new}(", text)
    try:
        tree = ast.parse(text, file)
    except SyntaxError as error:
        try:
            text, is_python_2 = python_3(text), True
            tree = ast.parse(text, file)
        except (SyntaxError, tokenize.TokenError):
            raise error from None
    linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
    return tree, text, is_python_2


STRING = r"""(?P<string>\"{3}.*?\"{3}|'{3}.*?'{3}|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|\#[^\n]*)"""
WORDS = (
    (r"<>", r"!="),
    (r"\b(0[xX][0-9a-fA-F]+|\d+)[lL]\b", r"\1"),
    (r"(?<![\w.])0+([0-7]+)\b(?![.\w])", r"0o\1"),
    (r"(\bexcept\s+[\w.]+|\bexcept\s*\([^)]*\))\s*,\s*(\w+)\s*:", r"\1 as \2:"),
)

BREAKS = (tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER)
CALLS = (
    (r"(print|exec)", r"\1()"),
    (r"raise\s+([\w.]+)\s*,\s*([^,]+)", r"raise \1(\2)"),
    (r"print\s*>>\s*([\w.]+)\s*,\s*(.*),", r"print(\2, file=\1, end=' ')"),
    (r"print\s*>>\s*([\w.]+)\s*,\s*(.*)", r"print(\2, file=\1)"),
    (r"print\b\s*(.*),", r"print(\1, end=' ')"),
    (r"(print|exec)\b\s*(.*)", r"\1(\2)"),
)


def _outside_strings(pattern: str, new: str, text: str) -> str:
    """The text with what a pattern finds replaced, but in strings and comments."""

    def replaced(found: re.Match[str]) -> str:
        return found[0] if found["string"] else re.sub(pattern, new, found[0])

    return re.sub(f"{STRING}|{pattern}", replaced, text, flags=re.S)


def python_3(text: str) -> str:
    """Text of Python 2 in the words of Python 3, line by line.

    >>> print(python_3("print 'a', x\\nprint >>f, y,\\ntry: pass\\nexcept E, e: raise E, 'no'\\n"), end="")
    print('a', x)
    print(y, file=f, end=' ')
    try: pass
    except E as e: raise E('no')
    """
    for pattern, word in WORDS:
        text = _outside_strings(pattern, word, text)
    for start, end in reversed([*_statements(text)]):
        text = text[:start] + _as_call(text[start:end]) + text[end:]
    return text


def _statements(text: str) -> Iterator[tuple[int, int]]:
    """Where the simple statements of a text begin and end."""
    starts = [0, *itertools.accumulate(map(len, text.splitlines(keepends=True)))]
    start, end, depth = -1, 0, 0
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type in (tokenize.COMMENT, tokenize.NL):
            continue
        depth += (token.string in ("(", "[", "{")) - (token.string in (")", "]", "}"))
        if token.type in BREAKS or (not depth and token.string in (";", ":")):
            if start >= 0:
                yield start, end
            start = -1
        else:
            place, end = (starts[row - 1] + column for row, column in (token.start, token.end))
            start = place if start < 0 else start


def _as_call(statement: str) -> str:
    """What is written as a statement in Python 2 only, as the call that it is in Python 3."""
    with suppress(SyntaxError):
        match ast.parse(statement).body:
            case [ast.Expr(ast.Call(ast.Name()))]:
                return statement
    for pattern, call in CALLS:
        if found := re.fullmatch(pattern, statement, re.S):
            return found.expand(call)
    return statement


# --- the statements ----------------------------------------------------------------------------------


def _is_wanted(statement: ast.stmt, names: Mapping[str, Any]) -> bool:
    """Whether a statement defines something, and does not compute with it."""
    match statement:
        case ast.FunctionDef() | ast.ClassDef() | ast.Import() | ast.ImportFrom():
            return True
        case ast.Assign(value=value) | ast.AnnAssign(value=ast.expr() as value):
            return all(_is_constant(node, names) for node in _evaluated(value))
        case ast.Try(body=body) | ast.If(body=body):
            others = [*statement.orelse, *(s for h in getattr(statement, "handlers", ()) for s in h.body)]
            inner = [*body, *(s for s in others if not isinstance(s, ast.Pass))]
            is_main = isinstance(statement, ast.If) and "__name__" in ast.unparse(statement.test)
            return not is_main and all(_is_wanted(s, names) for s in inner)
    return False


def _evaluated(node: ast.AST) -> Iterator[ast.AST]:
    """The parts of an expression, but for the bodies of functions in it, which run when they are called."""
    yield node
    for part in ast.iter_child_nodes(node):
        if not isinstance(node, ast.Lambda) or part is node.args:
            yield from _evaluated(part)


def _is_constant(node: ast.AST, names: Mapping[str, Any]) -> bool:
    """Whether a part of an expression is no call, or one of NumPy, of a built-in or of a class."""
    if not isinstance(node, ast.Call):
        return not isinstance(node, (ast.Await, ast.Yield, ast.YieldFrom))
    function = node.func
    called = ast.unparse(function).rpartition(".")[2]
    if called in READING:
        return False
    while isinstance(function, ast.Attribute):
        function = function.value
    if not isinstance(function, ast.Name):  # a method of what a call gave, as in randn(3).astype(int)
        return isinstance(function, (ast.Call, ast.Constant, ast.BinOp))
    owner = names.get(function.id, getattr(builtins, function.id, None))
    home = owner.__name__ if isinstance(owner, ModuleType) else getattr(owner, "__module__", None)
    if str(home).partition(".")[0] in PURE:
        return True
    if isinstance(node.func, ast.Attribute):  # of data, and not of a model
        return type(owner).__module__ in ("builtins", "numpy") and not callable(owner)
    return isinstance(owner, type) or (function.id in vars(builtins) and function.id not in ("print", "exec"))


class Missing:
    """What an import would have given; to use it is an ImportError that says why it is not there."""

    def __init__(self, why: str) -> None:
        self._why = why

    def __getattr__(self, name: str) -> Any:
        raise (AttributeError(name) if name[:2] == "__" else ImportError(self._why))

    def __call__(self, *args: Any, **named: Any) -> Any:
        raise ImportError(self._why)


def _missing(statement: ast.stmt, why: str) -> dict[str, Any]:
    """What stands for the names of an import that failed."""
    if isinstance(statement, (ast.FunctionDef, ast.ClassDef)):
        return {}
    imports = [node for node in ast.walk(statement) if isinstance(node, (ast.Import, ast.ImportFrom))]
    names = [alias.asname or alias.name.partition(".")[0] for node in imports for alias in node.names]
    return {name: Missing(why) for name in names if name != "*"}


class _Beside(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Loads the modules in some folders by their definitions alone."""

    def __init__(self, folders: Sequence[str], left_out: list[str]) -> None:
        self.folders, self.left_out = folders, left_out

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        parent = sys.modules.get(name.rpartition(".")[0])
        folders = self.folders if parent is None else path
        if parent is not None and not isinstance(getattr(parent.__spec__, "loader", None), _Beside):
            return None
        for folder in folders:
            place = os.path.join(folder, name.rpartition(".")[2])
            if os.path.isfile(f"{place}.py"):
                return spec_from_file_location(name, f"{place}.py", loader=self)
            if os.path.isdir(place) and any(file.endswith(".py") for file in os.listdir(place)):
                init = os.path.join(place, "__init__.py")
                return spec_from_file_location(name, init, loader=self, submodule_search_locations=[place])
        return None

    def exec_module(self, module: ModuleType) -> None:
        if os.path.isfile(str(module.__file__)):
            _define(str(module.__file__), module.__dict__, self.left_out)


@contextmanager
def _beside(root: str, left_out: list[str]) -> Iterator[None]:
    """Imports find modules beside a file first, in the folders around it last; all are forgotten again."""
    above = os.path.dirname(root)
    first, last = _Beside([root], left_out), _Beside([above, os.path.dirname(above)], left_out)
    sys.meta_path[:] = [first, *sys.meta_path, last]
    try:
        yield
    finally:
        sys.meta_path[:] = [finder for finder in sys.meta_path if finder not in (first, last)]
        for name, module in [*sys.modules.items()]:
            if isinstance(getattr(getattr(module, "__spec__", None), "loader", None), _Beside):
                del sys.modules[name]
