"""A derivation in steps: which step is wrong, and which only carries an earlier error forward.

A step claims ∂loss/∂node, as a function of inputs, intermediates and earlier steps. At every point it is
evaluated twice, on the user's own earlier steps and on correct ones, and compared with the truth and with
what is correct given the user's own: the reverse sweep with their adjoints in the place of its own.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np

from autograd_mini.check.checks.comparison import not_finite, places_of, told_at
from autograd_mini.check.diagnosis import diagnose
from autograd_mini.check.diagnosis.evidence import Evidence, Explanation, Point
from autograd_mini.check.judgement.finding import Finding, Place, program_of
from autograd_mini.check.judgement.rule import Judgement, Program, judged, settled
from autograd_mini.check.reports.picture import derived, draw_step
from autograd_mini.check.reports.report import Part, Report
from autograd_mini.check.settings import Options, Settings, settings_of
from autograd_mini.check.subjects.arguments import (
    Floats,
    Leaves,
    RejectedError,
    UnknownNameError,
    arguments_of,
    as_values,
    caller,
    listed,
    parameters_of,
    plain,
    required,
)
from autograd_mini.check.subjects.hand import Formula, claim_of, nan_in, prepared
from autograd_mini.check.subjects.subject import Graph, Subject, subject_of
from autograd_mini.check.verdicts import AGREES, CARRIED, DISAGREES, INCONCLUSIVE, RIGHT, WRONG
from autograd_mini.check.witnesses.adjoints import Given, Loss
from autograd_mini.check.witnesses.testimony import Testimony
from autograd_mini.expressions import INDICES, AmbiguousError
from autograd_mini.expressions.vocabulary import CONSTANTS
from autograd_mini.labels import subscript
from autograd_mini.progress import printing_once, progress
from autograd_mini.sweeps import tape_of
from autograd_mini.value import Value

if TYPE_CHECKING:
    from typing_extensions import Unpack


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


@printing_once()
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
    subject, also, parts = _subject(f, claims, at)
    with np.errstate(all="ignore"), progress() as say:
        places, skipped = places_of(subject, settings)
        if not np.isfinite(places[0].output).all():
            raise ValueError(f"check_steps: {not_finite(places[0])}")
        told = told_at(subject, places, settings, say, also)
        heard: list[_Heard] = []
        for place, testimony in zip(places, told, strict=True):
            if testimony is None:
                continue
            try:
                graph = testimony.graph or subject.graph(place.arguments, also)
            except ValueError:  # at a random point f may take a branch that has no node of that name
                if not place.number:
                    raise
                continue
            if not isinstance(graph.outputs.item(), Value):
                raise TypeError(
                    f"check_steps: f must return one Value, the loss, got {graph.outputs.item()!r}"
                )
            recorded = testimony.recorded
            tape = tape_of([*graph.outputs.flat]) if recorded is None else recorded.tape
            known = parts.whole(place.arguments.values()) | dict(place.arguments) if parts else {}
            heard.append(_Heard(place, Loss(graph, tape, known), testimony))
        absent = len(places) - len(heard)
        more = (f"{absent} random points say nothing: f has no node there that a step is about",)
        derivation = _Derivation(claims, heard, settings)
        say("the steps")
        judged_steps = derivation.steps()
    wrong = next((step for step in judged_steps if step.verdict == WRONG), None)
    uses = [derivation.nodes[x] for x in wrong.uses] if wrong else []
    picture = partial(draw_step, heard[0].loss, wrong.node, uses) if wrong else None
    findings = tuple(Finding(at.place, at.testimony) for at in heard)
    return Report("check_steps", derivation.out, judged_steps, findings, settings, skipped,
                  more=more * bool(absent), picture=picture, medium=subject.medium,
                  derive=partial(derived, subject))  # fmt: skip


class _Heard(NamedTuple):
    """The loss at one place, and the testimony on its adjoints."""

    place: Place
    loss: Loss
    testimony: Testimony

    def on(self, node: str) -> Testimony:
        """The testimony on one adjoint; where f cannot be followed, none on intermediates."""
        if any(name == node for name, _ in self.testimony.probe.columns):
            return self.testimony.about(node)
        return self.testimony.silent(node, self.loss.nodes(node).shape)


# --- what is claimed --------------------------------------------------------------------------------


class _Claimed(NamedTuple):
    """A step: its name, its node's, and its result."""

    name: str
    node: str
    result: Any

    def asks(self, known: Collection[str]) -> dict[str, bool]:
        """The names that it asks for where these are known, with whether it needs them."""
        if isinstance(self.result, Formula):  # a step may be called e
            return {name: name not in {*INDICES, *CONSTANTS} for name in self.result.names(known)}
        parameters = parameters_of(self.result) if callable(self.result) else {}
        if parameters is None:
            raise TypeError(f"check_steps: the parameters of step {self.name!r} must have names")
        return dict.fromkeys(parameters, False) | dict.fromkeys(required(parameters), True)


def _claims(steps: Mapping[Any, Any], decimals: int | None) -> list[_Claimed]:
    if not isinstance(steps, Mapping) or not steps:
        raise TypeError('check_steps: steps must be a mapping such as {"z": lambda y, t: y - t}')
    claims: dict[str, _Claimed] = {}
    for key, result in steps.items():
        name, node = key if isinstance(key, tuple) and len(key) == 2 else (key, key)
        if not isinstance(name, str) or not isinstance(node, str):
            raise TypeError(
                f'check_steps: a step is called "z2" or, under another name, ("e", "z2"), got {key!r}'
            )
        if name in claims:
            raise ValueError(f"check_steps: two steps are called {name!r}")
        if result is None:
            raise TypeError(f"check_steps: the step {name!r} claims nothing, got None")
        claims[name] = _Claimed(name, node, prepared(result, None if callable(result) else decimals))
        claims[name].asks(())
    if decimals is not None and all(callable(claim.result) for claim in claims.values()):
        raise ValueError("check_steps: decimals= is for printed figures, and every step is a function")
    return [*claims.values()]


def _subject(f: Any, claims: Sequence[_Claimed], at: Any) -> tuple[Subject, list[str], Leaves | None]:
    """The loss as the subject of a check of what the steps are about, and the intermediates among these.

    Arguments that are trees count by their leaves, which the third puts together again.
    """
    nodes = dict.fromkeys(claim.node for claim in claims)
    if not callable(f):
        if not isinstance(f, Value):
            raise TypeError(f"check_steps: f must return one Value, the loss, got {f!r}")
        hand = {claim.node: 0.0 if callable(claim.result) else claim.result for claim in claims}
        return subject_of(f, hand, None, None, None, scalar="check_steps"), [], None
    parts = Leaves(arguments_of(f, at))
    arguments = {*parts.arguments, *parts.flat}
    if taken := [claim.name for claim in claims if claim.name != claim.node and claim.name in arguments]:
        raise ValueError(f"check_steps: the step {taken[0]!r} has the name of an argument of f")
    moved = [name for name in parts.flat if name in nodes] or [*parts.flat][:1]
    forms = {claim.name: claim.result for claim in claims}
    subject = subject_of(parts.taken(f), forms, parts.flat, moved, None, scalar="check_steps")
    return subject, [name for name in nodes if name not in moved], parts


# --- the steps at one point -------------------------------------------------------------------------


class _Trial(NamedTuple):
    """A step applied to some results of earlier steps, judged by the truth and by what follows from these."""

    earlier: Given
    asked: Mapping[str, Any]
    truth: Floats
    expected: Floats  # what is correct given the earlier results
    yours: Floats | None
    trouble: str = ""  # what keeps it from being compared
    judgement: Judgement | None = None
    given: Judgement | None = None
    verdict: str = ""

    @property
    def passed_on(self) -> Floats:
        """What later steps take for its result."""
        return self.truth if self.trouble or self.yours is None else self.yours


def _holds(judgement: Judgement | None) -> bool:
    """Whether nothing is wrong in what was judged."""
    return judgement is not None and not (judgement.verdicts == DISAGREES).any()


class _Derivation:
    """The steps of a derivation, and what is known of the loss at every place."""

    def __init__(self, claims: Sequence[_Claimed], heard: Sequence[_Heard], settings: Settings) -> None:
        self.claims, self.heard, self.settings = claims, heard, settings
        self.nodes = {claim.name: claim.node for claim in claims}
        self.out = heard[0].loss.out
        self.largest = {  # of the adjoints of a node over all places
            node: np.max(
                [[abs(np.nan_to_num(at.on(node).truth)).max(initial=0.0)] for at in heard], keepdims=True
            )
            for node in self.nodes.values()
        }

    def steps(self) -> tuple[Step, ...]:
        """Every step with its verdict over all points."""
        tried = [self._tried(at) for at in self.heard]
        return tuple(self._step(claim, tried) for claim in self.claims)

    def _tried(self, at: _Heard) -> dict[str, _Trial]:
        """Every step at one point, in order."""
        trials: dict[str, _Trial] = {}
        for claim in self.claims:
            uses = self._uses(claim, [*trials], at.loss)
            is_wrong = any(trials[name].verdict != RIGHT for name in uses)
            mine = {name: (self.nodes[name], trials[name].passed_on) for name in uses}
            own = right = self._applied(claim, at, mine, is_wrong)
            if is_wrong and callable(claim.result):
                correct = {name: (self.nodes[name], trials[name].truth) for name in uses}
                right = self._applied(claim, at, correct, False)
            if _holds(own.judgement):
                clear = own.judgement is not None and (own.judgement.verdicts == AGREES).all()
                verdict = RIGHT if clear else INCONCLUSIVE
            else:
                excused = _holds(right.judgement) or (
                    is_wrong and not callable(claim.result) and _holds(own.given)
                )
                verdict = CARRIED if excused else WRONG
            trials[claim.name] = own._replace(verdict=verdict)
        return trials

    def _uses(self, claim: _Claimed, earlier: Sequence[str], loss: Loss) -> list[str]:
        """The earlier steps that a step asks for; numbers come from that for the same node, or from any."""
        if not callable(claim.result):
            return [name for name in earlier if self.nodes[name] == claim.node] or [*earlier]
        asked = claim.asks({*earlier, *loss.names})
        return [name for name in asked if name in earlier and not loss.takes(name)]

    def _applied(self, claim: _Claimed, at: _Heard, earlier: Given, otherwise: bool) -> _Trial:
        """A step applied to earlier results; ``otherwise`` says that these are not the true ones."""
        loss, testimony = at.loss, at.on(claim.node)
        shape = loss.nodes(claim.node).shape
        truth = testimony.truth.reshape(shape)
        expected = loss.given(claim.node, earlier) if otherwise else truth
        asked: dict[str, Any] = {}
        trial = _Trial(earlier, asked, truth, expected, None)
        try:
            for name, required in claim.asks({*earlier, *loss.names}).items():
                if name in earlier:
                    asked[name] = plain(earlier[name][1])
                elif required or loss.knows(name):
                    asked[name] = loss.value(name)
            result = claim_of(claim.name, _result(claim.result, asked, shape), shape)
            if np.isnan(result.numbers).any():
                raise RejectedError(nan_in(claim.name, result.numbers), result.numbers)
        except RejectedError as rejected:
            return trial._replace(yours=rejected.numbers, trouble=str(rejected))
        except (UnknownNameError, AmbiguousError):
            raise
        except Exception as error:  # a step that fails is wrong, not a reason to stop
            return trial._replace(trouble=f"failed: {type(error).__name__}: {error}".partition("\n")[0])
        numbers, largest = result.reshaped(1, -1), self.largest[claim.node]

        def program() -> Program | None:
            return None if otherwise else _program(claim.result, asked, numbers.numbers, shape)

        fixed = not callable(claim.result)
        judgement = given = judged(numbers, testimony, self.settings, largest, fixed, program)
        if otherwise:
            given = judged(numbers, testimony.given(expected.reshape(1, -1)), self.settings, largest)
        return trial._replace(yours=result.numbers, judgement=judgement, given=given)

    def _step(self, claim: _Claimed, tried: Sequence[Mapping[str, _Trial]]) -> Step:
        trials = [steps[claim.name] for steps in tried]
        verdicts = [trial.verdict for trial in trials]
        if verdicts[0] == INCONCLUSIVE and settled([trial.judgement for trial in trials]):
            verdicts[0] = RIGHT  # what rounding left open there is clear elsewhere
        ranking = (WRONG, *verdicts[:1] * (verdicts[0] == INCONCLUSIVE), CARRIED, RIGHT, INCONCLUSIVE)
        verdict = next(v for v in ranking if v in verdicts)
        point = verdicts.index(verdict)
        shown, others = trials[point], tried[point]
        failed = [name for name in shown.earlier if others[name].trouble]
        notes = [f"with the truth in the place of {listed(failed)}" * bool(failed)]
        explanations: list[Explanation] = []
        if verdict == WRONG:
            explanations = self._explained(claim, trials)
            notes.append(shown.trouble or self._worst(claim.node, point, shown))
            if not explanations and not shown.trouble and self.settings.diagnosis:
                notes.append("no known mistake reproduces it")
                for x in (name for name in shown.earlier if self.nodes[name] == name):
                    notes.append(
                        f'{x} is your ∂{self.out}/∂{x}: for its value, call that step ("d{x}", "{x}")'
                    )
        elif verdict == CARRIED:
            carried = [x for x in shown.earlier if others[x].verdict in (CARRIED, WRONG) and x not in failed]
            notes.append(f"with the error of {listed(carried)}")
        elif verdict == INCONCLUSIVE and shown.judgement is not None:
            left_open = shown.judgement.verdicts == INCONCLUSIVE
            why = next(filter(None, shown.judgement.notes[left_open]), "")
            notes.append(f"{why}, at the given point")
        derivative = f"∂{self.out}/∂{claim.node}"
        return Step(
            claim.name,
            derivative if claim.name == claim.node else f"{claim.name} = {derivative}",
            verdict,
            note="; ".join(filter(None, notes)),
            explanations=tuple(explanations),
            node=claim.node,
            yours=shown.yours,
            expected=shown.expected,
            truth=shown.truth,
            point=point,
            uses=tuple(shown.earlier),
        )

    def _worst(self, node: str, point: int, trial: _Trial) -> str:
        """The entry that is off by most."""
        if _holds(trial.given) or trial.given is None or trial.yours is None:
            return "an earlier error hides that it is wrong: with correct earlier steps it is not the truth"
        off = abs(trial.yours - trial.expected) / trial.given.allowed.reshape(trial.expected.shape)
        index = np.unravel_index(int(np.argmax(np.nan_to_num(off, posinf=np.inf))), off.shape)
        where = f" at random point {point}" if point else ""
        given = f" given your {listed(trial.earlier)}" if trial.earlier else ""
        named = f"∂{self.out}/∂{subscript(node, [*map(int, index)])}"
        return f"{named} is {trial.expected[index]:.8g}{given}, yours {trial.yours[index]:.8g}{where}"

    def _explained(self, claim: _Claimed, trials: Sequence[_Trial]) -> list[Explanation]:
        """What is wrong with a step given the user's own earlier results; if these hide it, random ones."""
        deadline = time.perf_counter() + self.settings.diagnosis
        clear = [
            (at, trial)
            for at, trial in zip(self.heard, trials, strict=True)
            if trial.judgement is not None and (trial.judgement.verdicts != INCONCLUSIVE).all()
        ]
        found = self._diagnosed(claim.node, clear, deadline)
        if found or not callable(claim.result) or not trials[0].earlier:
            return found
        random = np.random.default_rng(self.settings.seed)
        applied = []
        for at, trial in clear:
            earlier = {
                name: (node, random.standard_normal(numbers.shape))
                for name, (node, numbers) in trial.earlier.items()
            }
            applied.append((at, self._applied(claim, at, earlier, True)))
        return self._diagnosed(claim.node, applied, deadline)

    def _diagnosed(
        self, node: str, trials: Sequence[tuple[_Heard, _Trial]], deadline: float
    ) -> list[Explanation]:
        graphs: dict[int, Callable[[], Graph]] = {}
        points: list[Point] = []
        for (_, loss, _), step in trials:
            if step.yours is not None and step.given is not None:
                slack = step.given.allowed + 1e-9 * np.max(abs(step.expected), initial=0.0)
                parts = step.expected, step.yours, slack.reshape(step.expected.shape)
                points.append(Point(step.asked, np.array(loss.root.data), *({node: part} for part in parts)))
                graphs[id(points[-1])] = partial(loss.with_adjoints, node, step.earlier)
        return diagnose(Evidence(points, lambda point: graphs[id(point)](), None, self.out, deadline))


def _result(form: Any, asked: Mapping[str, Any], shape: tuple[int, ...]) -> Any:
    if isinstance(form, Formula):
        return form({name: np.asarray(x) for name, x in asked.items()}, shape)
    return caller(form)(asked) if callable(form) else form


def _program(form: Any, asked: Mapping[str, Any], yours: Floats, shape: tuple[int, ...]) -> Program | None:
    """The step's own program, if it runs on Values."""
    if not callable(form):
        return None
    try:
        lifted = {name: as_values(x, name) for name, x in asked.items()}
        outputs = np.asarray(_result(form, lifted, shape), dtype=object)
    except Exception:  # it works on floats, and need not on anything else
        return None
    return program_of([*outputs.flat], yours) if outputs.size == yours.size else None
