"""Functions as syntax trees, rewritten so that they ask what to call, and show what they compute.

A function is found in the text of its file by its code, or by what of the code does not depend on the rest of
the file. Its calls become `follow(g)(x)`; where it is watched, every assignment, store, return, call and
operation shows its result to `follow.watch`, with the number of a `Site`. `rebuilding` says what `follow` is.
"""

from __future__ import annotations

import ast
import builtins
import copy
import linecache
import warnings
from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache
from tokenize import TokenError
from types import CodeType, FunctionType
from typing import Any, NamedTuple, TypeAlias

from autograd_mini.definitions import python_3

FOLLOW = "_autograd_mini_follow"  # the parameter by which rebuilt code asks


class _Calls(ast.NodeTransformer):
    """``g(x)`` becomes ``follow(g)(x)``, ``x % y``, which may be a text, ``follow.mod(x, y)``, and ``z = x``
    ``z = follow.local("z", x)``.

    Every function gets ``follow`` as a parameter; those inside another have its own as the default.
    """

    def visit_Call(self, node: ast.Call) -> ast.expr:
        self.generic_visit(node)
        node.func = ast.Call(ast.Name(FOLLOW, ast.Load()), [node.func], [])
        return node

    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
        self.generic_visit(node)
        if not isinstance(node.op, ast.Mod):
            return node
        mod = ast.Attribute(ast.Name(FOLLOW, ast.Load()), "mod", ast.Load())
        return ast.Call(mod, [node.left, node.right], [])

    def visit_Assign(self, node: ast.Assign) -> ast.Assign:
        self.generic_visit(node)
        targets = getattr(node.targets[0], "elts", node.targets)
        if len(node.targets) == 1 and all(isinstance(target, ast.Name) for target in targets):
            names = tuple(target.id for target in targets)
            said: Any = names if targets is not node.targets else names[0]
            local = ast.Attribute(ast.Name(FOLLOW, ast.Load()), "local", ast.Load())
            node.value = ast.copy_location(ast.Call(local, [ast.Constant(said), node.value], []), node.value)
        return node

    def visit_arguments(self, node: ast.arguments) -> ast.arguments:
        self.generic_visit(node)
        node.kwonlyargs.append(ast.arg(FOLLOW))
        node.kw_defaults.append(ast.Name(FOLLOW, ast.Load()))
        return node


class Site(NamedTuple):
    """A place in a user's code whose results are watched: what is assigned or computed there, as text.

    ``kind`` is "name", "added" to in place, "stored", an item or the "whole" that holds it, "returned",
    "passed" to a function, "part" of an expression, "item" that is looked up, or "used", an operand of the
    expression ``within``. ``line`` and ``end`` are those of the statement.
    """

    file: str
    line: int
    end: int
    kind: str
    text: str
    within: str = ""


SITES: list[Site] = []


class _Result(ast.Call):
    """A call of the watcher, which is not itself rebuilt."""


class _Results(ast.NodeTransformer):
    """Every result is shown to ``follow.watch``: ``y = follow.watch(site, y)`` after ``y = …``, and so on."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.lines = 0, 0

    def _watched(self, node: ast.expr, kind: str, text: str = "", within: str = "") -> ast.expr:
        SITES.append(Site(self.file, *self.lines, kind, text or ast.unparse(node), within))
        watch = ast.Attribute(ast.Name(FOLLOW, ast.Load()), "watch", ast.Load())
        return ast.copy_location(_Result(watch, [ast.Constant(len(SITES) - 1), node], []), node)

    def visit(self, node: ast.AST) -> Any:
        if isinstance(node, ast.stmt):
            body = getattr(node, "body", None)
            self.lines = node.lineno, body[0].lineno - 1 if body else node.end_lineno or node.lineno
        return super().visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        """The body only: defaults are evaluated where it is defined."""
        body = ast.Module(node.body, [])
        self.generic_visit(body)
        node.body = body.body
        return node

    def visit_Lambda(self, node: ast.Lambda) -> ast.Lambda:
        node.body = self._watched(self.visit(node.body), "returned", ast.unparse(node.body))
        return node

    def visit_Assign(self, node: ast.Assign | ast.AugAssign | ast.AnnAssign) -> list[ast.stmt]:
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        elements = [x for t in targets for x in (t.elts if isinstance(t, (ast.Tuple, ast.List)) else [t])]
        alone = isinstance(node, ast.Assign) and len(elements) == 1 and isinstance(elements[0], ast.Name)
        if node.value is not None:
            node.value = self.visit(node.value)
            if alone and isinstance(node.value, _Result):  # seen once, by its name
                node.value = node.value.args[1]
        after: list[ast.stmt] = []
        for element in elements if node.value is not None else ():
            whole: ast.expr = element
            while isinstance(whole, ast.Subscript):
                whole = whole.value
            if isinstance(whole, (ast.Name, ast.Attribute)) and _is_pure(element):
                kind = "stored" if whole is not element else "name"
                kind = "added" if isinstance(node, ast.AugAssign) else kind
                seen = self._watched(_loaded(element), kind)
                after.append(ast.copy_location(ast.Assign([element], seen), node))
            if whole is not element and _is_pure(whole):
                after.append(ast.copy_location(ast.Expr(self._watched(_loaded(whole), "whole")), node))
        return [node, *after]

    visit_AugAssign = visit_AnnAssign = visit_Assign  # noqa: N815  # the names that ast calls

    def visit_Return(self, node: ast.Return) -> ast.Return:
        def returned(x: ast.expr) -> ast.expr:
            text = ast.unparse(x)
            new: ast.expr = self.visit(x)
            if isinstance(x, (ast.Constant, ast.Starred)):
                return new
            return self._watched(new.args[1] if isinstance(new, _Result) else new, "returned", text)

        if isinstance(node.value, ast.Tuple):
            node.value.elts = [*map(returned, node.value.elts)]
        elif node.value is not None:
            node.value = returned(node.value)
        return node

    def _used(self, node: ast.expr, within: str) -> ast.expr:
        return (
            self._watched(node, "used", within=within)
            if isinstance(node, (ast.Name, ast.Attribute))
            else node
        )

    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
        text = ast.unparse(node)
        left, right = (self._used(x, text) for x in (node.left, node.right))
        node.left, node.right = self.generic_visit(ast.Tuple([left, right])).elts  # type: ignore[attr-defined]  # a Tuple's
        return self._watched(node, "part", text)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.expr:
        text = ast.unparse(node)
        self.generic_visit(node)
        return self._watched(node, "part", text)

    def visit_Call(self, node: ast.Call) -> ast.expr:
        text = ast.unparse(node)
        root = node.func
        while isinstance(root, ast.Attribute):
            root = root.value
        builtin = isinstance(root, ast.Name) and (hasattr(builtins, root.id) or root.id in NUMPYS_NAMES)
        given = [isinstance(x, (ast.Name, ast.Attribute, ast.Subscript)) for x in node.args]
        texts = [*map(ast.unparse, node.args)]
        if isinstance(node.func, ast.Attribute) and node.func.attr not in IN_PLACE:
            if node.func.attr == "dot":
                node.func.value = self._used(node.func.value, text)
            if builtin or node.func.attr == "dot":
                node.args = [self._used(x, text) for x in node.args]
        self.generic_visit(node)
        if isinstance(node.func, ast.Name) and builtin:
            return node
        for i, is_given in enumerate(given):
            if is_given and not builtin:
                node.args[i] = self._watched(node.args[i], "passed", texts[i], text)
        return self._watched(node, "part", text)

    def visit_Subscript(self, node: ast.Subscript) -> ast.expr:
        text = ast.unparse(node)
        self.generic_visit(node)
        return self._watched(node, "item", text) if isinstance(node.ctx, ast.Load) else node

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.JoinedStr:
        return node


NUMPYS_NAMES = {"np", "numpy", "math"}
IN_PLACE = {
    "at",
    "copyto",
    "put",
    "place",
    "putmask",
    "put_along_axis",
    "fill_diagonal",
}  # they change arrays


def _loaded(target: Any) -> Any:
    """The value of what is assigned to."""
    load = copy.deepcopy(target)
    load.ctx = ast.Load()
    return load


def _is_pure(target: ast.expr) -> bool:
    """Whether what is assigned to can be evaluated again."""
    return all(isinstance(part, PURE) for part in ast.walk(target))


PURE = (
    ast.Name, ast.Attribute, ast.Subscript, ast.Constant, ast.Tuple, ast.Slice, ast.BinOp, ast.UnaryOp,
    ast.operator, ast.unaryop, ast.expr_context,
)  # fmt: skip


def text_of(file: str) -> str:
    """The text of a file as it is now."""
    linecache.checkcache(file)
    return "".join(linecache.getlines(file))


def _parsed(text: str) -> ast.Module:
    """The tree of a file, also of Python 2; an empty one if the file has changed and is none."""
    for read in (str, python_3):
        with suppress(SyntaxError, TokenError):
            return ast.parse(read(text))
    return ast.Module([], [])


@lru_cache(4096)
def edited(code: CodeType, file: str, watched: bool) -> CodeType | None:
    """The code of a function whose calls ask, and whose results are ``watched``; None without a text."""
    codes = _codes_of(text_of(file), file, code.co_flags & annotations.compiler_flag, watched)
    return codes.get(code) or codes.get(outline(code))


@lru_cache(4096)
def outline(code: CodeType) -> tuple[Any, ...]:
    """What a function's code is known by if it was compiled without the rest of its file."""
    place = code.co_name, code.co_firstlineno
    if ASSERTING in code.co_names:
        return place
    constants = (outline(x) if isinstance(x, CodeType) else repr(x) for x in code.co_consts)
    return *place, code.co_varnames, code.co_freevars, frozenset(code.co_names), tuple(constants)


ORIGINALS: dict[CodeType, CodeType] = {}  # of the edited codes
ASSERTING = "@pytest_ar"  # what pytest writes into functions of a test file for their assertions


@lru_cache(64)
def _codes_of(text: str, file: str, flags: int, watched: bool) -> dict[Any, CodeType]:
    """The edited code of each function of a file, by its own code, its outline, its name and first line."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they were given when the file was imported
        tree = _parsed(text)
        codes = list(codes_of(compile(tree, file, "exec", flags, dont_inherit=True)))
        if watched:
            tree = _Results(file).visit(tree)
        tree = ast.fix_missing_locations(_Calls().visit(tree))
        edited = list(codes_of(compile(tree, file, "exec", flags, dont_inherit=True)))
    pairs = list(zip(codes, edited, strict=True))
    ORIGINALS.update((b, a) for a, b in pairs)
    return {(a.co_name, a.co_firstlineno): b for a, b in pairs} | {
        key: b for a, b in pairs for key in (a, outline(a))
    }


# --- a function with another text ---------------------------------------------------------------------

Tree: TypeAlias = "ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda"
TREES = ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda


def tree_of(code: CodeType) -> Tree | None:
    """The syntax tree of a function, None where its text is not there."""
    file = code.co_filename
    trees = _trees_of(text_of(file), file, code.co_flags & annotations.compiler_flag)
    return trees.get(code) or trees.get(outline(code))


@lru_cache(64)
def _trees_of(text: str, file: str, flags: int) -> dict[Any, Tree]:
    """The tree of each function of a file, by its code, its outline, and its name and first line."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tree, counted = _parsed(text), _parsed(text)
        numbered: dict[int, Tree] = {}
        for n, (node, other) in enumerate(zip(ast.walk(tree), ast.walk(counted), strict=True), 1):
            if isinstance(node, TREES):
                numbered[n] = node
                for part in (other, *getattr(other, "decorator_list", ())):
                    part.lineno = part.end_lineno = n
                    part.col_offset = part.end_col_offset = 0
        codes = (codes_of(compile(x, file, "exec", flags, dont_inherit=True)) for x in (tree, counted))
    found: dict[Any, Tree] = {}
    for code, by_number in zip(*codes, strict=True):
        own = numbered.get(by_number.co_firstlineno)
        if own is not None and code.co_name == getattr(own, "name", "<lambda>"):
            found[code] = found[outline(code)] = found[code.co_name, code.co_firstlineno] = own
    return found


def asking(tree: Tree, watched: str = "") -> Tree:
    """The tree changed so that its calls ask what to call, for `code_of`; ``watched`` as one of a file."""
    seen = _Results(watched).visit(tree) if watched else tree
    asks: Tree = ast.fix_missing_locations(_Calls().visit(seen))
    return asks


def asks(tree: ast.AST) -> Any:
    """A part of a tree, or several, made so."""
    return ast.fix_missing_locations(_Calls().visit(tree))


def code_of(tree: Tree, f: FunctionType) -> CodeType:
    """The code of ``f`` if its text is that of a tree made by `asking`; SyntaxError if there is none."""
    code = f.__code__
    owner = f.__qualname__.rpartition(".")[0].rpartition(".")[2]
    cells = [name for name in code.co_freevars if name != "__class__" or not owner.isidentifier()]
    text = f"class {owner}: pass" if owner.isidentifier() else "if 1: pass"  # private names are its class's
    module = ast.parse(f"def outer({', '.join(cells)}):\n {text}")
    home: Any = module.body[0]
    home.body[0].body = [ast.copy_location(ast.Return(tree), tree) if isinstance(tree, ast.Lambda) else tree]
    flags = code.co_flags & annotations.compiler_flag
    compiled = compile(module, code.co_filename, "exec", flags, dont_inherit=True)
    return next(found for found in codes_of(compiled) if found.co_name == code.co_name)


def codes_of(code: CodeType) -> Iterator[CodeType]:
    """The code and those of all functions inside."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from codes_of(constant)
