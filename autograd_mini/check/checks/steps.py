"""A derivation in steps: which step is wrong, and which only carries an earlier error forward.

A step claims ∂loss/∂node, as a function of inputs, intermediates and earlier steps. At every point it is
evaluated twice, on the user's own earlier steps and on correct ones, and compared with the truth and with
what is correct given the user's own: the reverse sweep with their adjoints in the place of its own.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, TypeAlias

import numpy as np

from autograd_mini.arrays import subscript
from autograd_mini.check.checks.comparison import places_of, told_at
from autograd_mini.check.diagnosis import diagnose
from autograd_mini.check.diagnosis.evidence import Evidence, Explanation, Point
from autograd_mini.check.judgement.finding import Finding, Place, program_of
from autograd_mini.check.judgement.rule import Judgement, Numbers, Program, judged, settled
from autograd_mini.check.reports.picture import draw_step
from autograd_mini.check.reports.report import Part, Report
from autograd_mini.check.settings import Settings, settings_of
from autograd_mini.check.subjects.arguments import (
    RejectedError,
    UnknownNameError,
    arguments_of,
    as_values,
    caller,
    listed,
    parameters_of,
    plain,
)
from autograd_mini.check.subjects.hand import Claim, Formula, claim_of, prepared
from autograd_mini.check.subjects.subject import Graph, Subject, subject_of
from autograd_mini.check.verdicts import (
    AGREES,
    CARRIED,
    DISAGREES,
    INCONCLUSIVE,
    RIGHT,
    WRONG,
)
from autograd_mini.check.witnesses.adjoints import Given, Loss
from autograd_mini.check.witnesses.testimony import Testimony
from autograd_mini.expressions import INDICES
from autograd_mini.sweeps import tape_of
from autograd_mini.value import Value

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from typing_extensions import Unpack

    from autograd_mini.check.settings import Options

    Floats: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Step(Part):
    """One step and what became of it: "right", "right given your earlier steps", "wrong" or "inconclusive".

    ``yours`` is its result given the user's own ``uses``, the earlier steps it asks for; ``expected`` what
    is correct given these, ``truth`` what is correct; all at random point ``point``, or the given one, 0.
    ``yours`` is None for a step that failed; then ``note`` says how.
    """

    node: str
    yours: Floats | None
    expected: Floats
    truth: Floats
    point: int = 0
    uses: tuple[str, ...] = ()
    noun: ClassVar[str] = "step"


def check_steps(
    f: Any,
    steps: Mapping[Any, Any],
    at: Any = None,
    decimals: int | None = None,
    **options: Unpack[Options],
) -> Report:
    """Check a derivation step by step, and tell errors from those that are only carried forward.

    ``steps`` maps, in the order of the derivation, the name of a labelled intermediate or of a parameter
    of ``f`` to what is claimed to be ∂f/∂name: a function, a formula as text, or plain or printed numbers,
    which count at ``at`` only; ``decimals`` is that of all numbers. What a function's parameters or a
    formula name are arguments of ``f``, earlier steps (their results) and labelled intermediates (their
    values), looked up in this order; so that both the value of ``h`` and its adjoint can be asked for, a key
    ``("dh", "h")`` calls the step ``dh``. ``f`` returns one number and labels its intermediates by `named`;
    or it is a graph that exists, with its labels.

    Each step is "right", "right given your earlier steps" (correct earlier results make it right, the
    user's own do not), or "wrong"; a wrong one is diagnosed against what is correct given the user's
    own earlier results. A step that fails is wrong, and later ones go on with the truth. Points, domains
    and tolerances are as in `check_gradient`; arguments without a domain are moved if they are among the
    steps, or the first if none is.

    >>> import numpy as np
    >>> from autograd_mini import named
    >>> def loss(W, x, t):
    ...     y = named(np.tanh(named(W @ x, "z")), "y")
    ...     return np.sum((y - t) ** 2) / 2
    >>> report = check_steps(loss, {
    ...     "y": lambda y, t: t - y,
    ...     ("d", "z"): lambda y, z: y * (1 - np.tanh(z) ** 2),
    ...     "W": lambda d, x: np.outer(d, x),
    ... }, at={"W": [[0.1, 0.2], [0.3, -0.4]], "x": [1.0, 2.0], "t": [0.0, 1.0]})
    >>> report.first_wrong, list(report.sections.values())
    ('y', ['wrong', 'right given your earlier steps', 'right given your earlier steps'])

    An error inside f at the given point is raised; TypeError or ValueError for steps that claim nothing.
    """
    claims = _claims(steps, decimals)
    settings = settings_of("check_steps", options)
    subject, also = _subject(f, claims, at)
    nodes = {claim.name: claim.node for claim in claims}
    for name, node in nodes.items():
        if name != node and name in subject.arguments:
            raise ValueError(f"check_steps: the step {name!r} has the name of an argument of f")
    with np.errstate(all="ignore"):
        places, skipped = places_of(subject, settings)
        if not np.isfinite(places[0].output).all():
            raise ValueError("check_steps: f is not finite at the given point: nothing can be said there")
        told = told_at(subject, places, settings, also)
        heard = [
            _Heard.at(place, subject, also, testimony)
            for place, testimony in zip(places, told, strict=True)
            if testimony is not None
        ]
        largest = {claim.node: _largest(claim.node, heard) for claim in claims}
        trials = zip(*(_tried(at, claims, settings, largest) for at in heard), strict=True)
        judged_steps = tuple(
            _step(claim, nodes, heard, tried, settings, largest)
            for claim, tried in zip(claims, trials, strict=True)
        )
    wrong = next((step for step in judged_steps if step.verdict == WRONG), None)
    loss = heard[0].loss
    picture = partial(draw_step, loss, wrong.node, [nodes[x] for x in wrong.uses]) if wrong else None
    findings = tuple(Finding(at.place, at.testimony) for at in heard)
    return Report(
        "check_steps",
        loss.out,
        judged_steps,
        findings,
        settings,
        skipped,
        medium=subject.medium,
        picture=picture,
    )


def _subject(f: Any, claims: Sequence[_Claimed], at: Any) -> tuple[Subject, list[str]]:
    """The loss as the subject of a check of what the steps are about, and the intermediates among these."""
    names = list(dict.fromkeys(claim.node for claim in claims))
    fixed = not all(callable(claim.result) for claim in claims)
    if not callable(f):
        if not isinstance(f, Value):
            raise TypeError(f"check_steps: f must return one Value, the loss, got {f!r}")
        hand = {claim.node: 0.0 if callable(claim.result) else claim.result for claim in claims}
        return subject_of(f, hand, None, None, None, scalar="check_steps"), []
    arguments = arguments_of(f, at)
    moved = [name for name in arguments if name in names] or [*arguments][:1]
    subject = subject_of(f, lambda: None, at, moved, None)
    also = [name for name in names if name not in moved]
    if subject.start_output.size != 1:
        raise TypeError(
            f"check_steps: f must return one Value, the loss, got shape {subject.start_output.shape}"
        )
    subject.rows, subject.fixed = (), fixed
    return subject, also


class _Heard(NamedTuple):
    """The loss at one place, and the testimony on its adjoints."""

    place: Place
    loss: Loss
    testimony: Testimony

    @classmethod
    def at(cls, place: Place, subject: Subject, also: Sequence[str], testimony: Testimony) -> _Heard:
        graph = testimony.graph or subject.graph(place.arguments, also)
        if not isinstance(graph.outputs.item(), Value):
            raise TypeError(f"check_steps: f must return one Value, the loss, got {graph.outputs.item()!r}")
        recorded = testimony.recorded
        tape = tape_of([*graph.outputs.flat]) if recorded is None else recorded.tape
        arguments = {} if subject.call is None else place.arguments  # a graph has nodes only
        return cls(place, Loss(graph, tape, arguments), testimony)

    def on(self, node: str) -> Testimony:
        """The testimony on one adjoint; where f cannot be followed, none on intermediates."""
        if any(name == node for name, _ in self.testimony.probe.columns):
            return self.testimony.about(node)
        return self.testimony.silent(node, self.loss.nodes(node).shape)


def _largest(node: str, heard: Sequence[_Heard]) -> Floats:
    """The largest adjoint of a node over all places."""
    sizes = [np.max(abs(np.nan_to_num(at.on(node).truth)), initial=0.0) for at in heard]
    return np.array([[max(sizes)]])


# --- what is claimed --------------------------------------------------------------------------------


class _Claimed(NamedTuple):
    """A step: its name, its node's, its result, and the names it asks for with whether they are needed."""

    name: str
    node: str
    result: Any
    asks: Mapping[str, bool]


def _claims(steps: Mapping[Any, Any], decimals: int | None) -> list[_Claimed]:
    if not isinstance(steps, Mapping) or not steps:
        raise TypeError('check_steps: steps must be a mapping such as {"z": lambda y, t: y - t}')
    claims: list[_Claimed] = []
    for key, result in steps.items():
        name, node = key if isinstance(key, tuple) and len(key) == 2 else (key, key)
        if not isinstance(name, str) or not isinstance(node, str):
            raise TypeError(
                f'check_steps: a step is called "z2" or, under another name, ("e", "z2"), got {key!r}'
            )
        if name in (claim.name for claim in claims):
            raise ValueError(f"check_steps: two steps are called {name!r}")
        if result is None:
            raise TypeError(f"check_steps: the step {name!r} claims nothing, got None")
        form = prepared(result, None if callable(result) else decimals)
        claims.append(_Claimed(name, node, form, _asks(name, form)))
    if decimals is not None and all(callable(claim.result) for claim in claims):
        raise ValueError("check_steps: decimals= is for printed figures, and every step is a function")
    return claims


def _asks(name: str, form: Any) -> dict[str, bool]:
    if isinstance(form, Formula):
        needed = {name: name not in INDICES for name in form.expression.names}
        return needed | dict.fromkeys(form.expression.constants, False)  # a step may be called e
    parameters = parameters_of(form) if callable(form) else {}
    if parameters is None:
        raise TypeError(f"check_steps: the parameters of step {name!r} must have names")
    return {x: p.default is inspect.Parameter.empty for x, p in parameters.items()}


def _uses(claim: _Claimed, earlier: Mapping[str, tuple[str, Floats]], loss: Loss) -> tuple[str, ...]:
    """The earlier steps that a step asks for; numbers come from that for the same node, or from any."""
    if not callable(claim.result):
        return tuple(name for name in earlier if earlier[name][0] == claim.node) or tuple(earlier)
    return tuple(name for name in claim.asks if name in earlier and not loss.takes(name))


# --- the steps at one point -------------------------------------------------------------------------


class _Application(NamedTuple):
    """A step applied to some results of earlier steps, and what is correct given these."""

    earlier: Given
    asked: Mapping[str, Any]
    claim: Claim | None
    trouble: str  # what keeps the result from being compared
    expected: Floats
    judgement: Judgement | None  # against the truth

    @property
    def result(self) -> Floats | None:
        return None if self.claim is None else self.claim.numbers

    @property
    def fits(self) -> bool:
        """Whether nothing in the result is wrong."""
        return self.judgement is not None and not (self.judgement.verdicts == DISAGREES).any()


class _Trial(NamedTuple):
    """A step at one point."""

    verdict: str
    own: _Application  # to the user's earlier results
    truth: Floats
    uses: tuple[str, ...]
    replaced: list[str]  # earlier steps that failed
    carried: list[str]  # earlier steps that are not right here

    @property
    def clear(self) -> bool:
        """Whether nothing about it was left open."""
        return self.own.judgement is None or not (self.own.judgement.verdicts == INCONCLUSIVE).any()


def _tried(
    at: _Heard, claims: Iterable[_Claimed], settings: Settings, largest: Mapping[str, Floats]
) -> list[_Trial]:
    """Every step at one point, in order."""
    loss = at.loss
    mine: dict[str, tuple[str, Floats]] = {}
    correct: dict[str, tuple[str, Floats]] = {}
    trials: dict[str, _Trial] = {}
    for claim in claims:
        truth = at.on(claim.node).truth.reshape(loss.nodes(claim.node).shape)
        uses = _uses(claim, mine, loss)
        wrong = [name for name in uses if trials[name].verdict != RIGHT]
        own = _applied(claim, at, {name: mine[name] for name in uses}, settings, largest, bool(wrong))
        right = own
        if wrong and callable(claim.result):
            right = _applied(claim, at, {name: correct[name] for name in uses}, settings, largest, False)
        if own.fits:
            clear = own.judgement is not None and (own.judgement.verdicts == AGREES).all()
            verdict = RIGHT if clear else INCONCLUSIVE
        elif right.fits or (
            wrong and not callable(claim.result) and _follows(own, at, claim, settings, largest)
        ):
            verdict = CARRIED
        else:
            verdict = WRONG
        replaced = [name for name in uses if trials[name].own.trouble]
        carried = [name for name in uses if trials[name].verdict in (CARRIED, WRONG) and name not in replaced]
        trials[claim.name] = _Trial(verdict, own, truth, uses, replaced, carried)
        correct[claim.name] = claim.node, truth
        mine[claim.name] = claim.node, truth if own.trouble or own.result is None else own.result
    return [*trials.values()]


def _applied(
    claim: _Claimed,
    at: _Heard,
    earlier: Given,
    settings: Settings,
    largest: Mapping[str, Floats],
    otherwise: bool,
) -> _Application:
    """A step applied to earlier results; ``otherwise`` says that these are not the true ones."""
    loss, testimony = at.loss, at.on(claim.node)
    truth = testimony.truth.reshape(loss.nodes(claim.node).shape)
    expected = loss.given(claim.node, earlier) if otherwise else truth
    asked: dict[str, Any] = {}
    result, trouble = None, ""
    try:
        for name, required in claim.asks.items():
            if name in earlier:
                asked[name] = plain(earlier[name][1])
            elif required or loss.knows(name):
                asked[name] = loss.value(name)
        result = claim_of(claim.name, _result(claim, asked, truth.shape), truth.shape)
    except RejectedError as rejected:
        trouble = str(rejected)
    except UnknownNameError:
        raise
    except Exception as error:  # a step that fails is wrong, not a reason to stop
        trouble = f"failed: {type(error).__name__}: {error}".partition("\n")[0]
    if result is None:
        return _Application(earlier, asked, None, trouble, expected, None)
    if result.numbers.shape != truth.shape:
        trouble = f"it has shape {result.numbers.shape}, expected {truth.shape}"
    elif np.isnan(result.numbers).any():
        index = tuple(map(int, np.argwhere(np.isnan(result.numbers))[0]))
        trouble = f"it holds nan, first at {subscript(claim.name, index)}"
    if trouble:
        return _Application(earlier, asked, result, trouble, expected, None)
    numbers = _numbers(result)

    def program() -> Program | None:
        return None if otherwise else _program(claim, asked, numbers.yours, truth.shape)

    fixed = not callable(claim.result)
    judgement = judged(numbers, testimony, settings, largest[claim.node], fixed, program)
    return _Application(earlier, asked, result, trouble, expected, judgement)


def _result(claim: _Claimed, asked: Mapping[str, Any], shape: tuple[int, ...]) -> Any:
    form = claim.result
    with np.errstate(all="ignore"):
        if isinstance(form, Formula):
            return form({name: np.asarray(x) for name, x in asked.items()}, shape)
        return caller(form)(asked) if callable(form) else form


def _numbers(claim: Claim) -> Numbers:
    """A step's result as one row."""
    yours, unit = (
        claim.numbers.reshape(1, -1),
        np.broadcast_to(claim.unit, claim.numbers.shape).reshape(1, -1),
    )
    return Numbers(yours, unit, np.full(yours.shape, claim.epsilon), np.full(yours.shape, claim.printed))


def _program(
    claim: _Claimed, asked: Mapping[str, Any], yours: Floats, shape: tuple[int, ...]
) -> Program | None:
    """The step's own program, if it runs on Values."""
    if not callable(claim.result):
        return None
    try:
        lifted = {name: as_values(x, name) for name, x in asked.items()}
        outputs = np.asarray(_result(claim, lifted, shape), dtype=object)
    except Exception:  # it works on floats, and need not on anything else
        return None
    return program_of([*outputs.flat], yours) if outputs.size == yours.size else None


def _follows(
    own: _Application, at: _Heard, claim: _Claimed, settings: Settings, largest: Mapping[str, Floats]
) -> bool:
    """Whether numbers are right given the user's earlier ones."""
    if own.claim is None or own.trouble:
        return False
    given = at.on(claim.node).given(own.expected.reshape(1, -1))
    judgement = judged(_numbers(own.claim), given, settings, largest[claim.node])
    return not (judgement.verdicts == DISAGREES).any()


# --- the verdict over all points --------------------------------------------------------------------


def _step(
    claim: _Claimed,
    nodes: Mapping[str, str],
    heard: Sequence[_Heard],
    trials: Sequence[_Trial],
    settings: Settings,
    largest: Mapping[str, Floats],
) -> Step:
    verdicts = [trial.verdict for trial in trials]
    judgements = [trial.own.judgement for trial in trials]
    if verdicts[0] == INCONCLUSIVE and settled(judgements):
        verdicts[0] = RIGHT  # what rounding left open there is clear elsewhere
    ranking = (WRONG, *verdicts[:1] * (verdicts[0] == INCONCLUSIVE), CARRIED, RIGHT, INCONCLUSIVE)
    verdict = next(v for v in ranking if v in verdicts)
    point = verdicts.index(verdict)
    shown = trials[point]
    notes = [f"with the truth in the place of {listed(shown.replaced)}" if shown.replaced else ""]
    explanations: list[Explanation] = []
    if verdict == WRONG:
        explanations = _explained(claim, nodes, heard, trials, settings, largest)
        notes.append(shown.own.trouble or _worst(claim.node, heard[0].loss.out, point, shown))
        if not explanations and not shown.own.trouble:
            notes.append("no known mistake reproduces it")
    elif verdict == CARRIED:
        notes.append(f"with the error of {listed(shown.carried)}")
    elif verdict == INCONCLUSIVE and shown.own.judgement is not None:
        why = dict.fromkeys(filter(None, shown.own.judgement.notes.flat))
        notes.append(f"{next(iter(why), '')}, at the given point")
    derivative = f"∂{heard[0].loss.out}/∂{claim.node}"
    return Step(
        claim.name,
        derivative if claim.name == claim.node else f"{claim.name} = {derivative}",
        verdict,
        note="; ".join(filter(None, notes)),
        explanations=tuple(explanations),
        node=claim.node,
        yours=shown.own.result,
        expected=shown.own.expected,
        truth=shown.truth,
        point=point,
        uses=shown.uses,
    )


def _explained(
    claim: _Claimed,
    nodes: Mapping[str, str],
    heard: Sequence[_Heard],
    trials: Sequence[_Trial],
    settings: Settings,
    largest: Mapping[str, Floats],
) -> list[Explanation]:
    """What is wrong with a step given the user's own earlier results; if these hide it, given random ones."""
    deadline = time.perf_counter() + settings.diagnosis
    known = [(at, trial) for at, trial in zip(heard, trials, strict=True) if trial.clear]
    found = diagnose(_evidence(claim.node, [(at.loss, trial.own) for at, trial in known], deadline))
    if found or not callable(claim.result) or not trials[0].uses:
        return found
    random = np.random.default_rng(settings.seed)
    applied = []
    for at, trial in known:
        shapes = {name: at.loss.nodes(nodes[name]).shape for name in trial.uses}
        earlier = {name: (nodes[name], random.standard_normal(shape)) for name, shape in shapes.items()}
        applied.append((at.loss, _applied(claim, at, earlier, settings, largest, True)))
    return diagnose(_evidence(claim.node, applied, deadline))


def _evidence(node: str, applied: Sequence[tuple[Loss, _Application]], deadline: float) -> Evidence:
    points: list[Point] = []
    graphs: list[Callable[[], Graph]] = []
    for loss, step in applied:
        if step.claim is not None:
            slack = _slack(step.claim, step.expected)
            parts = {node: step.expected}, {node: step.claim.numbers}, {node: slack}
            points.append(Point(step.asked, np.array(loss.root.data), *parts))
            graphs.append(partial(loss.with_adjoints, node, step.earlier))

    def graph(point: Point) -> Graph:
        return next(make for p, make in zip(points, graphs, strict=True) if p is point)()

    return Evidence(points, graph, None, applied[0][0].out if applied else "f", deadline)


def _slack(claim: Claim, expected: Floats) -> Floats:
    """How far a result may be from what an explanation makes of the step."""
    largest = float(np.max(abs(expected), initial=0.0, where=np.isfinite(expected)))
    coarse = max(1e-9, 64 * claim.epsilon) * largest + max(1e-6, 64 * claim.epsilon) * abs(expected)
    return np.where(claim.unit > 0, claim.unit * (1 + 1e-6), coarse) if claim.printed else coarse


def _worst(node: str, out: str, point: int, trial: _Trial) -> str:
    """The entry that is off by most."""
    own = trial.own
    assert own.claim is not None
    slack = _slack(own.claim, own.expected)
    off = np.nan_to_num(abs(own.claim.numbers - own.expected) / np.maximum(slack, 1e-300), posinf=np.inf)
    if not (off > 1).any():
        return "an earlier error hides that it is wrong: with correct earlier steps it is not the truth"
    index = tuple(map(int, np.unravel_index(int(np.argmax(off)), off.shape)))
    where = f" at random point {point}" if point else ""
    given = f" given your {listed(trial.uses)}" if trial.uses else ""
    yours = own.claim.numbers[index]
    return f"∂{out}/∂{subscript(node, index)} is {own.expected[index]:.8g}{given}, yours {yours:.8g}{where}"
