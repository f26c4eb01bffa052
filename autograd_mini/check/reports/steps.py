"""The outcome of a derivation in steps: a line a step, the first wrong one first of all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from autograd_mini.check.diagnosis.evidence import Explanation
from autograd_mini.check.reports.report import Judged, as_json, painted, unpainted
from autograd_mini.check.subjects.arguments import listed
from autograd_mini.check.verdicts import AGREES, DISAGREES, INCONCLUSIVE, MARKS, RIGHT, SHADES, WRONG

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from autograd_mini.drawing import Drawing

    Floats: TypeAlias = NDArray[np.float64]


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


@dataclass(frozen=True, repr=False)
class StepsReport(Judged):
    """The outcome of `check_steps`: true if every step is right, and a line a step when printed."""

    steps: tuple[Step, ...]
    points: int
    skipped: int
    seed: int
    out: str
    picture: Callable[..., Drawing] | None = field(default=None, repr=False, compare=False)

    @property
    def verdict(self) -> str:
        verdicts = {step.verdict for step in self.steps}
        return DISAGREES if WRONG in verdicts else AGREES if verdicts == {RIGHT} else INCONCLUSIVE

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
        from autograd_mini.check.reports.html import steps_page

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
