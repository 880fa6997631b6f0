"""An expression of parameters is written alike whenever it is built again, and unlike any other."""

from itertools import combinations

import pytest
from qiskit.circuit import Parameter, ParameterVector

from prefect_qsession.ibm.expressions import ordered

FORMS = {
    "sum": lambda a, b, c: a + b + c,
    "difference": lambda a, b, c: a - b - c,
    "difference of a difference": lambda a, b, c: a - (2 * b - c / 3),
    "factors": lambda a, b, c: 0.5 * b - 0.25 * a + c,
    "negative": lambda a, b, c: -a - 3 * b - c,
    "quotients": lambda a, b, c: c / 3.5 + a * 3.5 - b,
    "squares": lambda a, b, c: b * c + a * a,
    "product": lambda a, b, c: -2 * a * b * c,
    "product of sums": lambda a, b, c: (a + b) * (c - 1),
    "quotient of products": lambda a, b, c: a * b / (2 * c),
    "quotient of quotients": lambda a, b, c: a / b / c,
    "functions": lambda a, b, c: 2 * a.sin() - 3 * c.cos() + b.exp(),
    "function of a sum": lambda a, b, c: (0.5 * b - 0.25 * a).sin() * c,
    "powers": lambda a, b, c: 2**c + 3 * b - a,
    "power of a sum": lambda a, b, c: (a + b) ** (c + 1),
    "power of the other": lambda a, b, c: (c + 1) ** (a + b),
    "small and large": lambda a, b, c: -1.5 * a * b + 1e-7 * c - 1e20,
    "nearly": lambda a, b, c: 0.5 * b - 0.25000000000000006 * a + c,
    "other signs": lambda a, b, c: 0.5 * b + 0.25 * a - c,
    "names exchanged": lambda a, b, c: 0.5 * a - 0.25 * b + c,
    "feature map": lambda a, b, c: 2 * (3.14 - a) * (3.14 - b) * (3.14 - c),
}


def built(form, names=("a", "b", "c")):
    """Return what is written of a form whose parameters have new ids."""
    return ordered(FORMS[form](*map(Parameter, names)))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("names", [("a", "b", "c"), ("θ[2]", "θ[10]", "a+b")], ids=str)
def test_it_is_written_alike_whenever_it_is_built(form, names):
    """Also where names look like expressions."""
    assert 1 == len({repr(built(form, names)) for _ in range(100)})


def test_every_two_forms_are_told_apart():
    """Also those that differ in a number's last bit, a sign, or what stands where."""
    for one, other in combinations(FORMS, 2):
        assert built(one) != built(other), (one, other)


def test_names_count():
    """Of one parameter and of several."""
    assert built("sum") != built("sum", ("a", "b", "d"))
    assert ordered(2 * Parameter("a")) != ordered(2 * Parameter("b"))
    assert ordered(Parameter("a+b")) != ordered(Parameter("a") + Parameter("b"))


def test_the_order_in_which_it_was_built_does_not_count():
    """It is the same expression."""
    a, b = ParameterVector("x", 2)

    assert ordered(a + 2 * b) == ordered(2 * b + a)
    assert ordered(a * b / 3) == ordered(b * a / 3)
    assert ordered(-a + b) == ordered(b - a)


def test_a_form_that_is_unknown_is_left_as_it_is_printed():
    """It is told apart from others, though perhaps also from itself as it is built next time."""
    a, b = map(Parameter, "ab")

    assert ordered(a + b * 1j) != ordered(a + b * 2j)
    assert "1i" in ordered(a + b * 1j)[1]
