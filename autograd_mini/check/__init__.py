"""Hand derivations held against testimony that does not depend on them.

f is recorded and differentiated at many digits, f itself is moved to confirm the record, and one rule, for
every check, says whether a hand result agrees, disagrees, or cannot be told from rounding. Nobody is blamed
for a kink, for noise, or for what f does not say.

The wings, each knowing only those before it: ``verdicts`` and ``settings``; ``subjects``, what is checked;
``witnesses``, what is known of it; ``judgement``, the rule; ``diagnosis``, what went wrong; ``reports``; and
``checks``, which people call.
"""

from autograd_mini.check.checks.backward import check_backward, check_vjp
from autograd_mini.check.checks.functions import check_gradient, check_jacobian, check_update, check_value
from autograd_mini.check.checks.steps import check_steps
from autograd_mini.check.diagnosis.evidence import Explanation
from autograd_mini.check.judgement.finding import Entry
from autograd_mini.check.reports.report import InconclusiveError, Report, as_json
from autograd_mini.check.subjects.hand import Formula
from autograd_mini.check.subjects.points import DOMAINS
from autograd_mini.check.verdicts import AGREES, DISAGREES, INCONCLUSIVE, RIGHT, WRONG, painted, wants_colour

__all__ = [
    "AGREES",
    "DISAGREES",
    "DOMAINS",
    "INCONCLUSIVE",
    "RIGHT",
    "WRONG",
    "Entry",
    "Explanation",
    "Formula",
    "InconclusiveError",
    "Report",
    "as_json",
    "check_backward",
    "check_gradient",
    "check_jacobian",
    "check_steps",
    "check_update",
    "check_value",
    "check_vjp",
    "painted",
    "wants_colour",
]
