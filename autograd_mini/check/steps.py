"""A derivation in steps: which step is wrong, and which only carries an earlier error forward.

A step claims ∂loss/∂node, as a function of inputs, intermediates and earlier steps. At every point it is
evaluated twice, on the user's own earlier steps and on correct ones, and compared with the truth and with
what is correct given the user's own: the reverse sweep with their adjoints in the place of its own.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np

from autograd_mini.check.binding import EPSILON, RejectedError, caller, listed, parameters_of, plain
from autograd_mini.check.diagnosis import diagnose
from autograd_mini.check.evidence import Evidence, Explanation, Graph, Point
from autograd_mini.check.hand import Claim, Formula, claim_of, prepared
from autograd_mini.check.loss_graph import LossGraph, loss_graphs
from autograd_mini.check.picture import draw_step
from autograd_mini.check.report import (
    AGREES,
    DISAGREES,
    INCONCLUSIVE,
    Judged,
    as_json,
    painted,
    subscript,
    unpainted,
)
from autograd_mini.check.settings import Settings
from autograd_mini.expressions import INDICES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from autograd_mini.drawing import Drawing

    Floats: TypeAlias = NDArray[np.float64]

RIGHT, CARRIED, WRONG = "right", "right given your earlier steps", "wrong"
MARKS = {RIGHT: "✓", CARRIED: "→", WRONG: "✗", INCONCLUSIVE: "?"}
SHADES = {RIGHT: AGREES, CARRIED: INCONCLUSIVE, WRONG: DISAGREES, INCONCLUSIVE: INCONCLUSIVE}


@dataclass(frozen=True)
class Step:
    """One step and what became of it: "right", "right given your earlier steps", "wrong" or "inconclusive".

    ``yours`` is its result given the user's own ``uses``, the earlier steps it asks for; ``expected`` what
    is correct given these, ``truth`` what is correct; all at random point ``point``, or the given one, 0.
    ``yours`` is None for a step that failed; then ``note`` says how.
    """

    name: str
    node: str
    verdict: str
    yours: Floats | None
    expected: Floats
    truth: Floats
    point: int = 0
    uses: tuple[str, ...] = ()
    note: str = ""
    explanations: tuple[Explanation, ...] = ()


@dataclass(frozen=True)
class StepsReport(Judged):
    """The outcome of `check_steps`: true if every step is right, and a line a step when printed."""

    verdict: str
    steps: tuple[Step, ...]
    points: int
    skipped: int
    seed: int
    out: str
    picture: Callable[..., Drawing] | None = field(default=None, repr=False, compare=False)

    @property
    def first_wrong(self) -> str | None:
        """The name of the first wrong step, which is the one to repair first."""
        return next((step.name for step in self.steps if step.verdict == WRONG), None)

    def draw(self, **options: Any) -> Drawing:
        """The loss's graph at the given point, marked from the first wrong step's node to those it uses.

        ``options`` are those of `autograd_mini.draw`. Raises ValueError if no step is wrong.
        """
        if self.picture is None:
            raise ValueError("draw: no step is wrong; only a derivation that is wrong is drawn")
        return self.picture(**options)

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "picture": None}  # a pickle holds no function of the user's

    def __getitem__(self, name: str) -> Step:
        """The step of that name; KeyError if there is none."""
        named = {step.name: step for step in self.steps}
        if name not in named:
            raise KeyError(f"no step is called {name!r}; there are {listed(named)}")
        return named[name]

    def text(self, colour: bool = False) -> str:
        """The report as lines of text."""
        paint = painted if colour else unpainted
        lines = [f"check_steps: {paint(self.verdict, self.verdict)}: {self.reason}", self.provenance()]
        rows = self.table()
        width = max(len(claim) for _, (_, claim, *_) in rows)
        for shade, (mark, claim, verdict, details) in rows:
            line = f"{mark} {claim:<{width}}  {verdict}"
            lines.append(f"  {line if shade == AGREES else paint(line, shade)}")
            lines += [f"      {detail}" for detail in details.splitlines()]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        from autograd_mini.check.html import steps_page

        return steps_page(self)

    def to_dict(self) -> dict[str, Any]:
        """The report as plain dicts, lists, numbers and text."""
        return {
            "title": "check_steps",
            "verdict": self.verdict,
            "reason": self.reason,
            "first_wrong": self.first_wrong,
            "out": self.out,
            "points": self.points,
            "skipped": self.skipped,
            "seed": self.seed,
            "steps": [
                {name: as_json(x.tolist() if isinstance(x, np.ndarray) else x) for name, x in part.items()}
                for part in map(asdict, self.steps)
            ],
        }

    @property
    def reason(self) -> str:
        """The first wrong step and what is wrong with it, or how many are right."""
        if self.first_wrong is not None:
            step = self[self.first_wrong]
            why = step.explanations[0].text if step.explanations else step.note
            return f"the first wrong step is {self._claim(step)}: {why}"
        right = sum(step.verdict == RIGHT for step in self.steps)
        return f"{right} of {len(self.steps)} steps are right"

    def provenance(self) -> str:
        """How many points were tried."""
        skipped = f", {self.skipped} more skipped outside f's domain" * bool(self.skipped)
        return f"points tried: {self.points} (seed {self.seed}{skipped})"

    def table(self) -> list[tuple[str, list[str]]]:
        """For each step a verdict for its colour, and its mark, claim, verdict, and what there is to say."""
        return [
            (SHADES[s.verdict], [MARKS[s.verdict], self._claim(s), s.verdict, self._details(s)])
            for s in self.steps
        ]

    def _claim(self, step: Step) -> str:
        derivative = f"∂{self.out}/∂{step.node}"
        return derivative if step.name == step.node else f"{step.name} = {derivative}"

    def _details(self, step: Step) -> str:
        if not step.explanations:
            return step.note
        first, *others = step.explanations
        also = [f"also fits: {other.text}" for other in others[:1]]
        more = [f"and {len(others) - 1} more"] * (len(others) > 1)
        return "\n".join(["; ".join([first.text, *also, *more]), f"right: {first.formula}", step.note])


def check_steps(
    f: Any,
    steps: Mapping[Any, Any],
    at: Any = None,
    points: int = 5,
    seed: int = 0,
    rtol: float | None = None,
    atol: float | None = None,
    domain: Any = None,
    decimals: int | None = None,
) -> StepsReport:
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
    >>> report.first_wrong, [step.verdict for step in report.steps]
    ('y', ['wrong', 'right given your earlier steps', 'right given your earlier steps'])

    An error inside f at the given point is raised; TypeError or ValueError for steps that claim nothing.
    """
    claims = _claims(steps, decimals)
    settings = Settings(points, seed, rtol, atol, domain)
    nodes = {claim.name: claim.node for claim in claims}
    fixed = not all(callable(claim.result) for claim in claims)
    losses, skipped = loss_graphs(f, at, nodes.values(), fixed, settings)
    for name, node in nodes.items():
        if name != node and name in losses[0].arguments:
            raise ValueError(f"check_steps: the step {name!r} has the name of an argument of f")
    trials = zip(*(_tried(loss, claims, settings) for loss in losses), strict=True)
    judged = tuple(
        _step(claim, nodes, losses, tried, settings) for claim, tried in zip(claims, trials, strict=True)
    )
    verdicts = {step.verdict for step in judged}
    verdict = DISAGREES if WRONG in verdicts else AGREES if verdicts == {RIGHT} else INCONCLUSIVE
    wrong = next((step for step in judged if step.verdict == WRONG), None)
    picture = partial(draw_step, losses[0], wrong.node, [nodes[x] for x in wrong.uses]) if wrong else None
    return StepsReport(verdict, judged, len(losses), skipped, seed, losses[0].out, picture)


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


def _uses(claim: _Claimed, earlier: Mapping[str, tuple[str, Floats]], loss: LossGraph) -> tuple[str, ...]:
    """The earlier steps that a step asks for; numbers come from that for the same node, or from any."""
    if not callable(claim.result):
        return tuple(name for name in earlier if earlier[name][0] == claim.node) or tuple(earlier)
    return tuple(name for name in claim.asks if name in earlier and not loss.takes(name))


# --- the steps at one point -------------------------------------------------------------------------


class _Application(NamedTuple):
    """A step applied to some results of earlier steps, and what is correct given these."""

    asked: Mapping[str, Any]
    result: Floats | None
    trouble: str  # what keeps the result from being compared
    expected: Floats
    slack: Floats
    graph: Graph


class _Trial(NamedTuple):
    """A step at one point; ``clear`` tells the entries on which engine and differences agree."""

    verdict: str
    own: _Application  # to the user's earlier results
    truth: Floats
    clear: NDArray[np.bool_]
    uses: tuple[str, ...]
    replaced: list[str]  # earlier steps that failed
    carried: list[str]  # earlier steps that are not right here


def _tried(loss: LossGraph, claims: Iterable[_Claimed], settings: Settings) -> list[_Trial]:
    """Every step at one point, in order."""
    mine: dict[str, tuple[str, Floats]] = {}
    correct: dict[str, tuple[str, Floats]] = {}
    trials: dict[str, _Trial] = {}
    for claim in claims:
        truth, clear = loss.truth(claim.node)
        uses = _uses(claim, mine, loss)
        own = _applied(claim, loss, {name: mine[name] for name in uses}, settings)
        right = _applied(claim, loss, {name: correct[name] for name in uses}, settings)
        if _fits(own.result, truth, right.slack, clear):
            verdict = RIGHT if clear.all() else INCONCLUSIVE
        elif _fits(right.result, truth, right.slack, clear) or (
            not callable(claim.result) and _fits(own.result, own.expected, own.slack, clear)
        ):
            verdict = CARRIED
        else:
            verdict = WRONG
        replaced = [name for name in uses if trials[name].own.trouble]
        carried = [name for name in uses if trials[name].verdict in (CARRIED, WRONG) and name not in replaced]
        trials[claim.name] = _Trial(verdict, own, truth, clear, uses, replaced, carried)
        correct[claim.name] = claim.node, truth
        mine[claim.name] = claim.node, truth if own.trouble or own.result is None else own.result
    return [*trials.values()]


def _applied(
    claim: _Claimed,
    loss: LossGraph,
    earlier: Mapping[str, tuple[str, Floats]],
    settings: Settings,
) -> _Application:
    expected, graph = loss.given(claim.node, earlier)
    asked: dict[str, Any] = {}
    result, trouble = None, ""
    try:
        for name, required in claim.asks.items():
            if name in earlier:
                asked[name] = plain(earlier[name][1])
            elif required or loss.knows(name):
                asked[name] = loss.value(name)
        result = _result(claim, asked, expected.shape)
    except RejectedError as rejected:
        trouble = str(rejected)
    except Exception as error:  # a step that fails is wrong, not a reason to stop
        trouble = f"failed: {type(error).__name__}: {error}".partition("\n")[0]
    if result is None:
        return _Application(asked, None, trouble, expected, np.zeros(expected.shape), graph)
    if result.numbers.shape != expected.shape:
        trouble = f"it has shape {result.numbers.shape}, expected {expected.shape}"
    elif np.isnan(result.numbers).any():
        index = tuple(map(int, np.argwhere(np.isnan(result.numbers))[0]))
        trouble = f"it holds nan, first at {subscript(claim.name, index)}"
    slack = _slack(result, expected, abs(loss.root.data), settings)
    return _Application(asked, result.numbers, trouble, expected, slack, graph)


def _result(claim: _Claimed, asked: dict[str, Any], shape: tuple[int, ...]) -> Claim:
    form = claim.result
    with np.errstate(all="ignore"):
        if isinstance(form, Formula):
            form = form({name: np.asarray(x) for name, x in asked.items()}, shape)
        elif callable(form):
            form = caller(form)(asked)
    return claim_of(claim.name, form)


def _slack(result: Claim, expected: Floats, size: float, settings: Settings) -> Floats:
    """How far a result may lie from what is expected: by rounding, or by a unit of the last printed digit."""
    largest = float(np.max(abs(expected), initial=0.0, where=np.isfinite(expected)))
    rounding = 64 * EPSILON * size + 1e-14
    relative = max(1e-6, 64 * result.epsilon) if settings.rtol is None else settings.rtol
    absolute = max(1e-9, 64 * result.epsilon) * largest + rounding if settings.atol is None else settings.atol
    rounded = absolute + relative * abs(expected)
    if result.unit.shape != expected.shape:
        return rounded
    return np.where(result.unit > 0, result.unit * (1 + 1e-6) + rounding, rounded)


def _fits(yours: Floats | None, truth: Floats, slack: Floats, clear: NDArray[np.bool_]) -> bool:
    if yours is None or yours.shape != truth.shape:
        return False
    with np.errstate(invalid="ignore"):
        return bool(np.all((abs(yours - truth) <= slack) | ~clear))


# --- the verdict over all points --------------------------------------------------------------------


def _step(
    claim: _Claimed,
    nodes: Mapping[str, str],
    losses: Sequence[LossGraph],
    trials: Sequence[_Trial],
    settings: Settings,
) -> Step:
    verdicts = [trial.verdict for trial in trials]
    ranking = (WRONG, *verdicts[:1] * (verdicts[0] == INCONCLUSIVE), CARRIED, RIGHT, INCONCLUSIVE)
    verdict = next(v for v in ranking if v in verdicts)
    point = verdicts.index(verdict)
    shown = trials[point]
    notes = [f"with the truth in the place of {listed(shown.replaced)}" if shown.replaced else ""]
    explanations: list[Explanation] = []
    if verdict == WRONG:
        explanations = _explained(claim, nodes, losses, trials, settings)
        notes.append(shown.own.trouble or _worst(claim.node, losses[0].out, point, shown))
        if not explanations and not shown.own.trouble:
            notes.append("no known mistake reproduces it")
    elif verdict == CARRIED:
        notes.append(f"with the error of {listed(shown.carried)}")
    elif verdict == INCONCLUSIVE:
        notes.append("engine and differences leave it open at the given point, as on a kink")
    return Step(
        claim.name,
        claim.node,
        verdict,
        shown.own.result,
        shown.own.expected,
        shown.truth,
        point,
        shown.uses,
        "; ".join(filter(None, notes)),
        tuple(explanations),
    )


def _explained(
    claim: _Claimed,
    nodes: Mapping[str, str],
    losses: Sequence[LossGraph],
    trials: Sequence[_Trial],
    settings: Settings,
) -> list[Explanation]:
    """What is wrong with a step given the user's own earlier results; if these hide it, given random ones."""
    known = [(loss, trial) for loss, trial in zip(losses, trials, strict=True) if trial.clear.all()]
    out = losses[0].out
    found = diagnose(_evidence(claim.node, out, [(loss, trial.own) for loss, trial in known]))
    if found or not callable(claim.result) or not trials[0].uses:
        return found
    random = np.random.default_rng(settings.seed)
    applied = []
    for loss, trial in known:
        shapes = {name: loss.nodes(nodes[name]).shape for name in trial.uses}
        earlier = {name: (nodes[name], random.standard_normal(shape)) for name, shape in shapes.items()}
        applied.append((loss, _applied(claim, loss, earlier, settings)))
    return diagnose(_evidence(claim.node, out, applied))


def _evidence(node: str, out: str, applied: Sequence[tuple[LossGraph, _Application]]) -> Evidence:
    points: list[Point] = []
    graphs: list[Graph] = []
    for loss, step in applied:
        if step.result is not None:
            output = np.array(loss.root.data)
            points.append(
                Point(step.asked, output, {node: step.expected}, {node: step.result}, {node: step.slack})
            )
            graphs.append(step.graph)
    return Evidence(
        points, lambda point: next(g for p, g in zip(points, graphs, strict=True) if p is point), None, out
    )


def _worst(node: str, out: str, point: int, trial: _Trial) -> str:
    """The entry that is off by most."""
    yours, expected, slack = trial.own.result, trial.own.expected, trial.own.slack
    assert yours is not None
    if _fits(yours, expected, slack, trial.clear):
        return "an earlier error hides that it is wrong: with correct earlier steps it is not the truth"
    off = np.where(trial.clear, abs(yours - expected) / np.maximum(slack, 1e-300), 0.0)
    index = tuple(map(int, np.unravel_index(int(np.argmax(off)), off.shape)))
    where = f" at random point {point}" if point else ""
    given = f" given your {listed(trial.uses)}" if trial.uses else ""
    return (
        f"∂{out}/∂{subscript(node, index)} is {expected[index]:.8g}{given}, yours {yours[index]:.8g}{where}"
    )
