"""Which line is wrong: a true adjoint in the place of what one line computed, and what becomes right with it.

The earliest line whose repair makes every wrong gradient right is the wrong one; if no line does, a smallest
set of lines that do together.
"""

from __future__ import annotations

import ast
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np

from autograd_mini.check.margin.adjoints import SAID, Known, Label, Places, Versions
from autograd_mini.check.margin.runs import ADJOINT, Event, Recorder, Runs, close, is_called
from autograd_mini.check.margin.scope import is_leaf
from autograd_mini.rewriting import SITES, Site, tree_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats: TypeAlias = NDArray[np.float64]

UNKNOWN = ("", "multiple", "forward")  # kinds of labels of what might be wrong
NUDGED = 1.001
MOST_LINES = 2  # of which each mends a part, so that it says something that they do
MOST_VERSIONS = 64  # of a line in a loop, that are put in the place of one another together


class Repair(NamedTuple):
    """A line, or a part of it, what should be in its place, and the gradients that are right with it."""

    site: int
    should: str
    mends: frozenset[str]
    put: Mapping[int, Floats]
    place: int  # of the first result that is wrong
    scaled: bool = False  # they are right but for a factor

    @property
    def where(self) -> Site:
        return SITES[self.site]

    @property
    def by_its_name(self) -> bool:
        """Whether what the line computes is called by what should be in its place, as dh is ∂L/∂h."""
        return is_called(self.where.text, self.should)


class Repairing:
    """The search; ``labels`` are those of the results, by their place in the run."""

    def __init__(
        self,
        runs: Runs,
        places: Places,
        events: Sequence[Event],
        labels: Mapping[int, Label],
        right: frozenset[str],
    ) -> None:
        self.runs, self.events, self.labels, self.right = runs, events, labels, right
        self.wrong = frozenset(runs.trial.truth) - right
        self.by_site: dict[int, list[Event]] = defaultdict(list)
        for event in events:
            forward = labels[event.place].kind == "forward" or (runs.passes.joined and event.site in places)
            if not forward:
                self.by_site[event.site].append(event)
        self.exact: dict[int, bool] = {}
        for site, own in [*self.by_site.items()]:
            kinds = [labels[event.place].kind for event in own]
            if all(kind == "value" for kind in kinds[:3]):  # nothing of the forward pass is replaced
                del self.by_site[site]
            self.exact[site] = all(kind == "adjoint" for kind in kinds)
        firsts = {site: labels[own[0].place] for site, own in self.by_site.items()}
        self.as_named = {  # what is right where the line first runs, as its name says
            site for site, x in firsts.items() if x.kind == "adjoint" and is_called(SITES[site].text, x.text)
        }
        self.sites = sorted(self.by_site, key=lambda site: self.by_site[site][0].place)
        self.candidates = _with_adjoints(places)
        self.candidates += [
            [
                x._replace(name=f"{factor:g} · {x.name}", adjoint=factor * x.adjoint)
                for x in versions
                if x.adjoint is not None
            ]
            for factor in self._factors(labels)
            for versions in self.candidates
        ]
        self.tried: set[Any] = set()
        self.partial: dict[int, list[Repair]] = defaultdict(list)

    def _factors(self, labels: Mapping[int, Label]) -> list[float]:
        """Constants by which the author's gradients differ from the loss's, as N where 1/N comes last."""
        sizes = {float(d) for x in self.runs.trial.arguments.values() for d in np.shape(x) if d > 1}
        named = sizes | {1 / size for size in sizes}
        seen = [label.number for label in labels.values() if label.kind == "multiple"]
        return [c for c in sorted(named) if any(abs(x - c) <= 1e-6 * c for x in seen)][:2]

    def run(self, seconds: float, by_name: bool) -> None:
        """Try every line with every adjoint that fits it, first those that are none; or with the one that it
        is called by alone, first those that are called by what is wrong."""
        end = time.process_time() + seconds
        scaled = self.runs.trial.scaled
        last = (lambda site: not self._names_wrong(site)) if by_name else self.exact.__getitem__
        for site in sorted(self.sites, key=last):
            for put, should, first in self._attempts(site, by_name):
                if time.process_time() > end:
                    return
                key = site, *((place, _rounded(new)) for place, new in sorted(put.items()))
                if key in self.tried:
                    continue
                self.tried.add(key)
                mends = self._mends(put)
                if mends:
                    self.partial[site].append(Repair(site, should, mends, put, first, scaled))
                if mends == self.wrong:
                    break

    def _names_wrong(self, site: int) -> bool:
        return any(is_called(SITES[site].text, name) for name in self.wrong)

    def _mends(self, put: Mapping[int, Floats]) -> frozenset[str]:
        """The wrong gradients that become right, none if another does not stay so."""
        try:
            right = self.runs.replaced(put)
        except Exception:  # a shape or an index that there is not
            return frozenset()
        return frozenset(right & self.wrong) if right >= self.right else frozenset()

    def _attempts(self, site: int, by_name: bool) -> Iterator[tuple[dict[int, Floats], str, int]]:
        """What is put where, what it is called, and the first place at which it differs from what was."""
        own = self.by_site[site]
        for versions in self.candidates:
            if by_name and not is_called(SITES[site].text, versions[0].title):
                continue
            if 1 < len(own) <= MOST_VERSIONS and len(versions) > 1 and abs(len(own) - len(versions)) <= 1:
                for paired in _paired(own, versions):
                    put = {}
                    for event, x in paired:
                        fitting = next(_fitted(x, event), None)
                        if fitting is None:
                            break
                        put[event.place] = fitting
                    else:
                        apart = [e.place for e, _ in paired if not close(put[e.place], _numbers(e))]
                        if apart:
                            yield put, f"{versions[0].title}, of each step in turn", min(apart)
            ends = [own[-1]] + [own[0]] * (len(own) > 1)
            some = versions if len(versions) <= 8 else [versions[0], versions[-1]]
            if some[0].through and len(own) > 1:
                continue
            for event in ends:
                for x in some:
                    for new in _fitted(x, event):
                        if not close(new, _numbers(event)):
                            yield {event.place: new}, x.title, event.place

    @property
    def is_whole(self) -> bool:
        """Whether a line is found that mends everything alone."""
        return any(r.mends == self.wrong for repairs in self.partial.values() for r in repairs)

    def searched(self, seconds: float) -> tuple[tuple[Repair, ...], list[Site]]:
        """What is found by the names that lines have, else by any adjoint, in some seconds each."""
        for by_name in (True, False):
            self.run(seconds, by_name)
            if self.is_whole:
                break
        return self.found()

    def found(self) -> tuple[tuple[Repair, ...], list[Site]]:
        """The lines to repair, where it is sure that they are wrong, and the places of all that mend
        everything alone, the best first."""
        every = [
            repair
            for repairs in self.partial.values()
            for repair in repairs
            if repair.site not in self.as_named or repair.by_its_name
        ]
        whole = {repair.site: repair for repair in every if repair.mends == self.wrong}.values()
        loose = sorted((r for r in whole if not self._is_exact(r)), key=lambda r: r.place)
        exact = sorted(
            (r for r in whole if self._is_exact(r)), key=lambda r: (r.where.kind == "returned", -r.place)
        )
        named = [*loose, *exact][:1]
        left = self.wrong if not whole else frozenset()
        while left and (useful := [r for r in every if r.mends & left]):
            chosen = min(useful, key=lambda r: (-len(r.mends & left), self._is_exact(r), r.place))
            named.append(chosen)
            left -= chosen.mends
        return tuple(filter(self._is_sure, named)), [
            r.where for r in (loose + exact or named[: MOST_LINES * (len(named) <= MOST_LINES)])
        ]

    def _is_sure(self, repair: Repair) -> bool:
        """Whether a line is wrong in itself: it computes neither an adjoint of something else nor a constant,
        and of nothing that matches nothing, which might be wrong already."""
        if self._is_exact(repair) or self.labels[repair.place].kind == "constant":
            return False
        if self._reads_indices(repair.where):
            return False
        doubtful: dict[int, list[Event]] = defaultdict(list)
        for event in self.events:
            site = SITES[event.site]
            is_before = event.place < repair.place and site[:2] != repair.where[:2]
            kind, title, _ = self.labels[event.place]
            kind = "" if " through " in title else kind  # a part of an adjoint alone
            known = ("multiple",) * repair.scaled + ("forward",) * (not ADJOINT.match(site.text))
            is_unknown = kind in UNKNOWN and kind not in known
            if is_before and site.kind in SAID and is_unknown:
                doubtful[event.site].append(event)
        return not any(
            self._feed(events, repair.place) and not self._feed_right(events)
            for events in reversed(doubtful.values())
        )

    def _reads_indices(self, where: Site) -> bool:
        """Whether a line reads an index or a mask that is computed, of which nothing is known."""
        held = {SITES[event.site].text for event in self.events}
        for code in self.runs.functions:
            tree = tree_of(code)
            if tree is None or code.co_filename != where.file:
                continue
            nodes = [node for node in ast.walk(tree) if isinstance(node, ast.stmt)]
            lines = [node for node in nodes if (node.lineno, node.end_lineno) == where[1:3]]
            in_loops = {x for loop in nodes if isinstance(loop, (ast.For, ast.While)) for x in ast.walk(loop)}
            unknown = {
                name.id
                for node in nodes
                if isinstance(node, ast.Assign) and (node in in_loops or not _is_given(node.value))
                for target in node.targets
                for name in ast.walk(target)
                if isinstance(getattr(name, "ctx", None), ast.Store) and isinstance(name, ast.Name)
            }
            read = {x.id for line in lines for x in ast.walk(line) if isinstance(x, ast.Name)}
            if read & (unknown - held):
                return True
        return False

    def _feed_right(self, events: Sequence[Event]) -> bool:
        """Whether results go, in the first step and in the last, into gradients that are right."""
        ends = ({x.place: NUDGED * _numbers(x)} for x in (events[0], events[-1]))
        return bool(self.right) and all(not self._stay(put) for put in ends)

    def _stay(self, put: Mapping[int, Floats]) -> bool:
        """Whether what is right stays so."""
        try:
            return self.runs.replaced(put) >= self.right
        except Exception:  # it is not known
            return True

    def _feed(self, events: Sequence[Event], place: int) -> bool:
        """Whether a result depends on others, by more than adjoints and values that are right."""
        held = [e for e in self.events if self.labels[e.place].kind in ("adjoint", "value")]
        put = {event.place: _numbers(event) for event in held if event.place < place}
        recorder = Recorder(put | {event.place: NUDGED * _numbers(event) for event in events})
        try:
            self.runs.gradients(recorder)
        except Exception:  # it is not known
            return True
        before, after = (
            next((_numbers(event) for event in run if event.place == place), None)
            for run in (self.events, recorder.events)
        )
        return before is None or after is None or not close(after, before, 1e-12)

    def _is_exact(self, repair: Repair) -> bool:
        return self.exact[repair.site] and not repair.by_its_name


def _is_given(node: ast.expr) -> bool:
    """Whether it is a part of what there is, or a length."""
    return is_leaf(node) or (isinstance(node, ast.Call) and ast.unparse(node.func) == "len")


def _with_adjoints(places: Places) -> list[Versions]:
    found = []
    seen: set[Any] = set()
    for versions in places.values():
        some = [x for x in versions if x.adjoint is not None and x.adjoint.any()]
        key = tuple(_rounded(x.adjoint) for x in some if x.adjoint is not None)
        if some and key not in seen:
            seen.add(key)
            found.append(some)
    return found


def _paired(own: list[Event], versions: Versions) -> Iterator[list[tuple[Event, Known]]]:
    """A line's results in a loop with those of a forward line, backwards or in order, also one step apart."""
    for order in (versions[::-1], versions):
        if len(own) >= len(order):
            yield [*zip(own[len(own) - len(order) :], order, strict=True)]
        if len(own) > len(order):
            yield [*zip(own[:-1], order, strict=True)]
        if len(own) <= len(order):
            yield [*zip(own[1:], order[: len(own) - 1], strict=True)]
            yield [*zip(own[:-1], order[len(order) - len(own) + 1 :], strict=True)]
        if len(own) < len(order):
            yield [*zip(own, order[1:], strict=True)]
            yield [*zip(own, order[:-1], strict=True)]


def _numbers(event: Event) -> Floats:
    return np.asarray(event.result, dtype=float)


def _fitted(x: Known, event: Event) -> Iterator[Floats]:
    """The adjoint in the shape of a result."""
    adjoint, shape = x.adjoint, np.shape(event.result)
    assert adjoint is not None
    if adjoint.shape == shape:
        yield adjoint
    elif adjoint.size == np.prod(shape, dtype=int) and adjoint.size > 1:
        yield adjoint.reshape(shape)
        if adjoint.ndim == 2:
            yield adjoint.T.reshape(shape)


def _rounded(x: Floats) -> bytes:
    size = float(np.max(abs(x), initial=0.0)) or 1.0
    return np.round(x / size, 9).tobytes() + np.float32(size).tobytes()
