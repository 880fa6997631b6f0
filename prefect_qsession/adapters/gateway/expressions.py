"""
Expressions of parameters, written alike whenever the same is built again.

Qiskit prints the terms of a sum and the factors of a product in an order that follows random ids of
the parameters, so that it is another one in each process.
"""

import ast
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from qiskit.circuit import Parameter

_MINUS = "-"
"""Among the factors of a product: one change of its sign."""


def ordered(expression: Any) -> tuple[list[str], str]:
    """
    Return the names of an expression's parameters, and its text in an order of its own.

    Two expressions get the same only if they are equal but for the order of terms and factors, and
    the brackets around them. One of a form that is unknown here is left as Qiskit prints it.
    """
    parameters = sorted(expression.parameters, key=lambda one: str(one.name))
    names = [str(one.name) for one in parameters]
    if len(names) == 1:
        return names, str(expression)
    # A parameter may have any name, also one that looks like an expression.
    plain_names = {one: Parameter(f"p{number}") for number, one in enumerate(parameters)}
    return names, _ordered_text(str(expression.subs(plain_names)))


@lru_cache(maxsize=4096)
def _ordered_text(text: str) -> str:
    try:
        return repr(_sum(ast.parse(text, mode="eval").body))
    except (SyntaxError, RecursionError):
        return text


def _sum(node: ast.expr) -> list[Any]:
    return sorted(_terms(node, 1), key=repr)


def _terms(node: ast.expr, sign: int) -> Iterator[Any]:
    match node:
        case ast.BinOp(left, ast.Add(), right):
            yield from _terms(left, sign)
            yield from _terms(right, sign)
        case ast.BinOp(left, ast.Sub(), right):
            yield from _terms(left, sign)
            yield from _terms(right, -sign)
        case ast.UnaryOp(ast.USub(), operand):
            yield from _terms(operand, -sign)
        case _:
            factors = list(_factors(node, 1))
            changes = factors.count(_MINUS)
            yield (
                sign * (-1) ** changes,
                sorted((one for one in factors if one != _MINUS), key=repr),
            )


def _factors(node: ast.expr, power: int) -> Iterator[Any]:
    match node:
        case ast.BinOp(left, ast.Mult(), right):
            yield from _factors(left, power)
            yield from _factors(right, power)
        case ast.BinOp(left, ast.Div(), right):
            yield from _factors(left, power)
            yield from _factors(right, -power)
        case ast.UnaryOp(ast.USub(), operand):
            yield _MINUS
            yield from _factors(operand, power)
        case ast.BinOp(left, ast.Pow(), right):
            yield (power, "**", _sum(left), _sum(right))
        case ast.BinOp():
            yield (power, _sum(node))
        case ast.Call(ast.Name(name), arguments):
            yield (power, name, [_sum(one) for one in arguments])
        case _:
            yield (power, ast.unparse(node))
