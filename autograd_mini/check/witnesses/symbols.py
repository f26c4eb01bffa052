"""Proof, where it can be had: engine and hand derivation on SymPy's symbols, and their difference zero.

A simplifier may run for ever, so it runs in a process of its own that is ended after a time. Where it
does not decide, engine and hand derivation are held against each other at 50 digits at random points, which
is strong evidence and no proof.
"""

from __future__ import annotations

import pickle
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import chain
from typing import Any, TypeAlias

import numpy as np

from autograd_mini.arrays import values
from autograd_mini.check.subjects.arguments import RejectedError, is_floating, listed, nodes_of
from autograd_mini.check.subjects.points import domains_of, points_of
from autograd_mini.check.subjects.subject import Subject
from autograd_mini.check.verdicts import EVIDENCE, PROVED
from autograd_mini.labels import element_label
from autograd_mini.processes import run
from autograd_mini.program import trace
from autograd_mini.tracing import constant_node
from autograd_mini.transforms import gradient_graph
from autograd_mini.value import Value

Expressions: TypeAlias = list[Any]
POINTS = 5
DIGITS = 75
LONGEST = 2000  # instructions of a program that is worth turning into expressions
CHILD = """
import pickle, sys
sys.path[:], expressions = pickle.load(sys.stdin.buffer)
from autograd_mini.check.witnesses.symbols import is_zero
sys.exit(0 if all(map(is_zero, expressions)) else 1)
"""


def prove(subject: Subject, domain: Any, seed: int, seconds: float) -> tuple[str, str]:
    """What is proved, "proved", "evidence at 50 digits" or "", and a sentence on it."""
    try:
        import sympy  # noqa: F401  # brings mpmath along, and is brought along by its symbols below
    except ImportError:
        return "", "no proof: SymPy is not installed; python -m pip install sympy"
    if subject.fixed or subject.call is None:
        return "", "no proof: numbers are compared at the given point only"
    domains = domains_of(domain, subject)
    others = [name for name in subject.arguments if _is_free(name, subject, domains)]
    said = ""
    for free in [others, []] if others else [[]]:
        kept = [name for name in subject.arguments if name not in free and name not in subject.shapes]
        given = f" and {listed(kept)} as given" * bool(kept)
        names = [name + " > 0" * _is_positive(domains.get(name)) for name in [*subject.shapes, *free]]
        every = f"for every {listed(names)}{given}"
        try:
            symbols, engine, yours = _expressions(subject, free, domains)
            differences = [a - b for a, b in zip(engine, yours, strict=True) if a != b]
            distance = _distance(subject, symbols, engine, differences, domains, seed)
        except RejectedError as rejected:
            return "", f"no proof: {rejected}"
        except Exception as error:  # what cannot be recorded, or has no symbols
            said = f"no proof: {type(error).__name__}: {error}".partition("\n")[0]
            continue
        if distance > 10.0 ** -(DIGITS // 2):
            said = f"no proof: {every} the two differ by {distance:.1e} at 50 digits"
            said += ", as where a constant has only 16" * (distance < 1e-14)
        elif _all_zero(differences, seconds):
            return PROVED, f"proved with SymPy {every}"
        else:
            return EVIDENCE, (
                f"SymPy did not decide (limit {seconds:g} s); agreement at 50 digits at random "
                f"points, {every}, is evidence and not proof"
            )
    return "", said


def _is_free(name: str, subject: Subject, domains: Mapping[str, Any]) -> bool:
    """Whether an argument that is not differentiated may be any real number, or array of them."""
    if name in subject.shapes or domains.get(name) in ("simplex", "one-hot"):
        return False
    return is_floating(subject.arguments[name])


def _expressions(
    subject: Subject, free: Sequence[str], domains: Mapping[str, Any]
) -> tuple[dict[str, Any], Expressions, Expressions]:
    """The symbols by argument, and the entries of the engine's and the hand's derivative in them."""
    names = [*subject.shapes, *free]
    shapes = [np.shape(subject.arguments[name]) for name in names]
    symbols = {
        name: _symbols(name, shape, domains.get(name)) for name, shape in zip(names, shapes, strict=True)
    }
    examples = [np.zeros(shape) for shape in shapes]

    def engine(*inputs: Any) -> tuple[list[Any], list[Any]]:
        outputs, arguments = _called(subject, names, inputs)
        wanted = [node for name in subject.shapes for node in nodes_of(arguments[name])]
        return nodes_of(outputs), [entry for output in nodes_of(outputs) for entry in _row(output, wanted)]

    def both(*inputs: Any) -> tuple[list[Any], list[Any], list[Any]]:
        outputs, arguments = _called(subject, names, inputs)
        return (*engine(*inputs), _entries(subject, subject.results(arguments, outputs)))

    def on_symbols(f: Any) -> Any:
        program = trace(f, *examples, exact=True)
        if len(program) > LONGEST:
            raise ValueError(f"{len(program)} instructions are too many for symbols")
        return program(*symbols.values())

    try:
        _, derivative, yours = on_symbols(both)
    except Exception:  # the hand derivation may be written for symbols
        outputs, derivative = on_symbols(engine)
        shape = subject.start_output.shape
        output = np.array(outputs, dtype=object).reshape(shape) if shape else outputs[0]
        yours = _entries(subject, subject.results({**subject.arguments, **symbols}, output))
    return symbols, list(derivative), list(yours)


def _called(subject: Subject, names: Sequence[str], inputs: Sequence[Any]) -> tuple[Any, dict[str, Any]]:
    arguments = {**subject.arguments, **dict(zip(names, inputs, strict=True))}
    assert subject.call is not None
    outputs = subject.call(arguments)
    shape = np.shape(outputs)
    return values(nodes_of(outputs)).reshape(shape) if shape else outputs, arguments


def _row(output: Any, inputs: list[Any]) -> list[Any]:
    node = output if isinstance(output, Value) else constant_node(float(output))
    return list(gradient_graph(node, inputs))


def _entries(subject: Subject, results: Mapping[str, Any]) -> Expressions:
    """The hand results in the order of the engine's entries: all inputs for the first output, and so on."""
    blocks = []
    for name, shape in subject.shapes.items():
        result = results[name]
        if isinstance(result, RejectedError):
            raise result
        array = np.asarray(result, dtype=object)
        if array.shape != subject.rows + shape:
            raise RejectedError(f"the hand result for {name} has shape {array.shape} on symbols")
        blocks.append(array.reshape(int(np.prod(subject.rows)), -1))
    return list(np.concatenate(blocks, axis=1).flat)


def _is_positive(domain: Any) -> bool:
    return domain in ("positive", "simplex") or (isinstance(domain, (tuple, list)) and domain[0] >= 0)


def _symbols(name: str, shape: tuple[int, ...], domain: Any) -> Any:
    import sympy

    assumed = {"positive": True} if _is_positive(domain) else {"real": True}
    array = np.empty(shape, dtype=object)
    for index in np.ndindex(shape):
        array[index] = sympy.Symbol(element_label(name, index), **assumed)
    return array if shape else array[()]


def _distance(
    subject: Subject,
    symbols: Mapping[str, Any],
    engine: Expressions,
    differences: Expressions,
    domains: Mapping[str, Any],
    seed: int,
) -> float:
    """The largest difference at random points at 50 digits, relative to the derivative's size."""
    import mpmath
    import sympy

    flat = [symbol for part in symbols.values() for symbol in np.ravel(part)]
    compute = sympy.lambdify(flat, [engine, differences], "mpmath", cse=True)
    # What is not differentiated has to be drawn too; what is, around the given point and everywhere.
    near = {
        name: domains.get(name, "real") for name in symbols if name in domains or name not in subject.shapes
    }
    far = {name: domains.get(name, "real") for name in symbols}
    largest, found = 0.0, 0
    points = [points_of(subject, near, POINTS, seed), points_of(subject, far, POINTS, seed)]
    for point in chain.from_iterable(points):
        if point is None:
            continue
        numbers = [number for name in symbols for number in np.ravel(point[name])]
        with mpmath.workdps(DIGITS):
            truths, errors = compute(*(mpmath.mpf(float(number)) for number in numbers))
            scale = max([mpmath.mpf(1), *map(abs, truths)])
            found += 1
            largest = max([largest, *(float(abs(error) / scale) for error in errors)])
    if found <= POINTS:
        raise ValueError("f is not defined at enough random points")
    return largest


def _all_zero(differences: Expressions, seconds: float) -> bool:
    """Whether SymPy can tell in time that all are zero."""
    if not differences or not sys.executable:  # an interpreter inside another program
        return not differences
    with suppress(OSError):
        given = pickle.dumps((sys.path, differences))
        return run([sys.executable, "-c", CHILD], given, timeout=seconds, size=LONGEST).status == 0
    return False


def is_zero(expression: Any) -> bool:
    """Whether one of SymPy's simplifiers, cheap ones first, brings an expression to zero."""
    import sympy

    def cancelled(x: Any) -> Any:
        return sympy.cancel(sympy.together(sympy.expand(_with_free_choices(x))))

    attempts = (
        sympy.expand,
        cancelled,
        lambda x: cancelled(x.rewrite(sympy.exp)),
        sympy.simplify,
        lambda x: sympy.simplify(sympy.piecewise_fold(x)),
        lambda x: sympy.simplify(x.rewrite(sympy.exp)),
    )
    return any(attempt(expression) == 0 for attempt in attempts)


def _with_free_choices(expression: Any) -> Any:
    """A symbol for every maximum and condition: what is zero whatever these are is zero."""
    import sympy

    free: dict[Any, Any] = {}

    def symbol(x: Any) -> Any:
        return free.setdefault(x, sympy.Dummy(real=True))

    def chosen(choice: Any) -> Any:
        *cases, (value, _) = choice.args
        for other, condition in reversed(cases):
            value += (other - value) * symbol(condition)
        return value

    without = expression.replace(lambda x: isinstance(x, (sympy.Max, sympy.Min)), symbol)
    return without.replace(lambda x: isinstance(x, sympy.Piecewise) and x.args[-1].cond is sympy.true, chosen)
