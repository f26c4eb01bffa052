"""The one rule of closeness, at its edges: what it is told of a derivative is made up."""

import numpy as np
import pytest

import autograd_mini as am
from autograd_mini.check.judgement.rule import ROUNDED, Program, judged, settled
from autograd_mini.check.settings import Settings
from autograd_mini.check.subjects.hand import Claim
from autograd_mini.check.subjects.sampling import Probe
from autograd_mini.check.witnesses import testimony as witnesses
from autograd_mini.check.witnesses.recorded import Recorded

ONE = np.ones((1, 1))
EPSILON = 2.0**-52


def told(truth=1.0, bound=0.0, **changes):
    """A testimony on one derivative."""
    parts = {
        "engine": truth * ONE, "error": 0 * ONE, "unseen": 0 * ONE, "open": ONE < 0,
        "left": np.nan * ONE, "right": np.nan * ONE,
        "followed": True, "exact": True,
    }  # fmt: skip
    return witnesses.Testimony(
        Probe([()], [("x", ())]), truth=truth * ONE, bound=bound * ONE, **{**parts, **changes}
    )


def verdict(
    yours,
    testimony,
    *,
    unit=0.0,
    epsilon=EPSILON,
    printed=False,
    largest=0.0,
    fixed=False,
    program=None,
    **options,
):
    claim = Claim(yours * ONE, unit * ONE, epsilon * ONE, 2 * (not printed) < ONE)
    found = judged(claim, testimony, Settings(**options), largest * ONE, fixed, lambda: program)
    return str(found.verdicts.item())


def test_the_relative_tolerance_is_a_millionth_of_the_larger_one():
    assert verdict(1 + 0.99e-6, told()) == "agrees"
    assert verdict(1 + 1.01e-6, told()) == "disagrees"
    assert verdict(1e-30 * (1 + 0.99e-6), told(1e-30)) == "agrees"
    assert verdict(1e-30 * (1 - 1.01e-6), told(1e-30)) == "disagrees"
    assert verdict(0.0, told(0.0)) == "agrees"
    assert verdict(5e-324, told(0.0)) == "disagrees"
    assert verdict(np.inf, told(1.0)) == verdict(np.nan, told(1.0)) == "disagrees"


def test_given_tolerances_replace_it():
    assert verdict(1.009, told(), rtol=1e-2) == "agrees"
    assert verdict(1.011, told(), rtol=1e-2) == "disagrees"
    assert verdict(0.09, told(0.0), atol=0.1) == "agrees"
    assert verdict(0.11, told(0.0), atol=0.1) == "disagrees"
    assert verdict(1 + 1e-6, told(), rtol=0.0) == "disagrees"


def test_a_printed_figure_has_one_unit_and_nothing_else():
    assert verdict(1.01, told(), unit=0.01, printed=True) == "agrees"
    assert verdict(1.01 + 1e-7, told(), unit=0.01, printed=True) == "disagrees"


def test_a_rounding_beside_which_no_derivative_is_seen_tells_nothing():
    assert verdict(0.0, told(0.3), unit=0.4) == "inconclusive"
    assert verdict(0.0, told(0.3), unit=0.4, printed=True) == "agrees"
    assert verdict(0.3, told(0.3), unit=0.2) == "agrees"
    assert verdict(1.0, told(0.3), unit=0.4) == "disagrees"
    assert verdict(0.0, told(0.0), unit=0.0) == "agrees"


def test_numbers_of_few_digits_have_four_of_their_epsilons():
    single = 2.0**-23
    assert verdict(1 + 1e-6 + 3.9 * single, told(), epsilon=single) == "agrees"
    assert verdict(1 + 1e-6 + 4.1 * single, told(), epsilon=single) == "disagrees"
    assert verdict(1 + 1e-6 + 4.1 * single, told(), epsilon=single, rtol=1e-6) == "disagrees"


@pytest.mark.parametrize("factor", [1.0, 2.0**29])
def test_between_the_tolerance_and_sixteen_bounds_nothing_is_said(factor):
    epsilon = EPSILON * factor
    slack = 1e-6 + 4 * epsilon * (factor > 1)
    bound = 1e-3 / factor
    assert verdict(1 + slack + 15.9e-3, told(bound=bound), epsilon=epsilon) == "inconclusive"
    assert verdict(1 + slack + 16.3e-3, told(bound=bound), epsilon=epsilon) == "disagrees"
    assert verdict(1 + slack + 15.9e-3, told(bound=bound, coarse=factor)) == "inconclusive"


def test_a_small_derivative_beside_large_ones_owes_to_their_rounding():
    u = 2.0**-53
    assert verdict(1 + 1e-6 + 15.9 * u * 1e12, told(), largest=1e12) == "inconclusive"
    assert verdict(1 + 1e-6 + 16.1 * u * 1e12, told(), largest=1e12) == "disagrees"


def test_the_hand_results_own_program_decides_in_between():
    def program(exact, accuses, bound=1e-3):
        return Program(bound * ONE, lambda: exact * ONE, accuses)

    assert verdict(1.01, told(), program=program(1.0, True)) == "agrees"
    assert verdict(1.01, told(), program=program(1.01, True)) == "disagrees"
    assert verdict(1.01, told(), program=program(1.01, False)) == "inconclusive"
    assert verdict(1.01, told(), program=program(np.nan, True)) == "inconclusive"
    assert verdict(1.02, told(), program=program(1.0, True)) == "disagrees"  # beyond what its rounding does
    assert verdict(1.01, told(), program=program(1.0, True), rtol=0.0) == "agrees"  # it is the truth itself
    single = 2.0**-23  # whose bound counts as if it were computed so
    assert verdict(1.01, told(), epsilon=single, program=program(1.01, False, 1e-3 / 2**29)) == "inconclusive"


def test_many_digits_of_the_hands_own_program_are_asked_only_where_something_is_open():
    def never():
        raise AssertionError

    program = Program(1e-3 * ONE, never, True)
    assert verdict(1.02, told(), program=program) == "disagrees"
    assert verdict(1.0, told(), program=program) == "agrees"


def test_what_f_hides_is_neither_right_nor_wrong():
    assert verdict(1.0, told(unseen=0.011 * ONE)) == "inconclusive"
    assert verdict(1.0, told(unseen=0.009 * ONE)) == "agrees"
    assert verdict(2.0, told(unseen=0.021 * ONE)) == "inconclusive"
    assert verdict(2.0, told(unseen=0.019 * ONE)) == "disagrees"
    assert verdict(0.0, told(0.0, unseen=1.0 * ONE)) == "agrees"
    assert verdict(0.0, told(0.0, unseen=np.inf * ONE)) == "inconclusive"


def test_an_entry_without_a_derivative_is_open_and_so_is_everything_where_f_is_random():
    assert verdict(1.0, told(open=ONE > 0)) == verdict(7.0, told(open=ONE > 0)) == "inconclusive"
    assert verdict(1.0, told(trouble="random")) == verdict(7.0, told(trouble="random")) == "inconclusive"


def by_differences(error, truth=1.0):
    return told(truth, error=error * ONE, followed=False, exact=False)


def test_differences_acquit_and_accuse_so_far_as_they_are_sure():
    assert verdict(1 + 9e-5, by_differences(1e-5)) == "agrees"
    assert verdict(1 + 1.2e-4, by_differences(1e-5)) == "disagrees"
    assert verdict(1.0, by_differences(4.9e-5)) == "agrees"
    assert verdict(1.0, by_differences(5.2e-5)) == "inconclusive"
    assert verdict(1.3, by_differences(9e-3)) == "disagrees"
    assert verdict(1.3, by_differences(1.4e-2)) == "inconclusive"
    assert verdict(1.0, by_differences(1e-2, 0.5)) == "disagrees"
    assert verdict(0.0, by_differences(0.0, 0.0)) == "agrees"
    assert verdict(0.0, by_differences(1e-10, 0.0), largest=1.0) == "agrees"
    assert verdict(0.0, by_differences(1e-8, 0.0), largest=1.0) == "inconclusive"


def test_differences_allow_ten_of_their_errors_beside_the_tolerance():
    claim = Claim(2 * ONE, 0 * ONE, EPSILON * ONE, ONE < 0)
    found = judged(claim, by_differences(1e-5, 2.0), Settings(), 0 * ONE)
    assert found.allowed.item() == pytest.approx(2e-6 + 1e-4, rel=1e-12)


def test_what_rounding_leaves_open_is_settled_by_another_point_and_nothing_else_is():
    def at(yours, testimony):
        claim = Claim(yours * ONE, 0 * ONE, EPSILON * ONE, ONE < 0)
        return judged(claim, testimony, Settings(), 0 * ONE)

    rounded, right = at(1.01, told(bound=1e-3)), at(1.0, told())
    assert rounded.notes.item() == ROUNDED
    assert settled([rounded, right])
    assert not settled([rounded, rounded])
    assert not settled([at(1.0, told(open=ONE > 0)), right])
    assert settled([right, rounded])
    assert not settled([None, right])
    assert not settled([rounded, None])


def test_a_truth_that_is_not_sure_itself_acquits_only_what_is_close_enough_for_both():
    unsure = {"exact": False, "bound": 4e-7, "error": 4e-7 * ONE}
    assert verdict(1 + 5.9e-7, told(**unsure)) == "agrees"
    assert verdict(1 + 6.1e-7, told(**unsure)) == "inconclusive"
    assert verdict(1 + 6.9e-6, told(**unsure)) == "inconclusive"
    assert verdict(1 + 7.2e-6, told(**unsure)) == "disagrees"


def test_plain_numbers_owe_to_the_rounding_of_the_point_and_a_function_does_not():
    """∂(sin(k x) / k) = cos(k x), which moves by k x u sin(k x) when x does by x u."""
    k, x = 2.0**40, 0.7
    [node] = am.values(np.array([x]))
    recorded = Recorded.of([am.sin(k * node) / k], [node])
    truth, sway = np.cos(k * x), 2.0**-53 * k * x * abs(np.sin(k * x))
    testimony = told(truth, recorded=recorded, seeds=recorded.seeds())
    for roundings, given in (15.5, "inconclusive"), (16.5, "disagrees"):
        yours = truth + np.sign(truth) * (roundings * sway)
        assert verdict(yours, testimony, fixed=True) == given
        assert verdict(yours, testimony) == "disagrees"
    assert verdict(truth, testimony, fixed=True) == "agrees"


def test_many_digits_are_asked_where_floats_leave_something_open_and_only_there():
    """∂(x (c + x) − c x) = 2 x, of which c = 10¹⁴ leaves floats two digits."""
    [node] = am.values(np.array([0.7]))
    recorded = Recorded.of([node * (1e14 + node) - 1e14 * node], [node])
    _, engine, bound = recorded.bounded(recorded.seeds())
    unsure = {"exact": False, "error": bound, "recorded": recorded, "seeds": recorded.seeds()}
    testimony = told(engine, bound, **unsure)
    assert bound > 1e-3

    def found(yours):
        claim = Claim(yours * ONE, 0 * ONE, EPSILON * ONE, ONE < 0)
        judgement = judged(claim, testimony, Settings(), 0 * ONE)
        return judgement.verdicts.item(), judgement.testimony.exact

    assert found(1.4) == ("agrees", True)
    assert found(1.4 + 1e-4) == ("inconclusive", True)
    assert found(1.4 + 17 * bound.item()) == ("disagrees", True)
    assert found(1.4 + 40 * bound.item()) == ("disagrees", False)


def test_a_derivative_of_zero_that_convention_gives_is_said_to_be_one():
    def note(testimony):
        claim = Claim(0 * ONE, 0 * ONE, EPSILON * ONE, ONE < 0)
        return judged(claim, testimony, Settings(), 0 * ONE).notes.item()

    sides = {"open": ONE > 0, "left": 0 * ONE, "right": 1 * ONE}
    assert note(told(0.0, **sides)).startswith("0 by convention (a tied edge): the derivative jumps")
    assert note(told(1.0, **sides)).startswith("the derivative jumps here")
    assert note(told(np.inf, **sides)).startswith("there is no finite derivative here")
    assert note(told(0.0, followed=False, **sides)).startswith("the differences do not settle")


def test_only_what_is_left_open_has_a_note():
    def note(yours, testimony):
        claim = Claim(yours * ONE, 0 * ONE, EPSILON * ONE, ONE < 0)
        return judged(claim, testimony, Settings(), 0 * ONE).notes.item()

    assert note(1.0, told(bound=1e-3)) == note(2.0, told(bound=1e-3)) == ""
    assert note(1.01, told(bound=1e-3)) == ROUNDED
    assert "one-sided 3 and 4" in note(1.0, told(open=ONE > 0, left=3 * ONE, right=4 * ONE))
    assert "leave 1.4e-02 open" in note(1.3, by_differences(1.4e-2))
    assert note(1.0, told(unseen=1.0 * ONE)).startswith("f's own rounding hides")
