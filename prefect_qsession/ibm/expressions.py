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
    canonical_names = {one: Parameter(f"p{number}") for number, one in enumerate(parameters)}
    return names, _ordered_text(str(expression.subs(canonical_names)))


@lru_cache(maxsize=4096)
def _ordered_text(text: str) -> str:
    try:
        return repr(_sum(ast.parse(text, mode="eval").body))
    except (SyntaxError, RecursionError):
        return text


def _sum(node: ast.expr) -> list[Any]:
    return sorted(_terms(node, 1), key=repr)


def _terms(node: ast.expr, sign: int) -> Iterator[Any]:
    for each, operand in _operands(node, ast.Add, ast.Sub, sign):
        match operand:
            case ast.UnaryOp(ast.USub(), inner):
                yield from _terms(inner, -each)
            case _:
                factors = list(_factors(operand, 1))
                changes = factors.count(_MINUS)
                product = sorted((one for one in factors if one != _MINUS), key=repr)
                yield (each * (-1) ** changes, product)


def _factors(node: ast.expr, power: int) -> Iterator[Any]:
    for each, operand in _operands(node, ast.Mult, ast.Div, power):
        match operand:
            case ast.UnaryOp(ast.USub(), inner):
                yield _MINUS
                yield from _factors(inner, each)
            case ast.BinOp(left, ast.Pow(), right):
                yield (each, "**", _sum(left), _sum(right))
            case ast.BinOp():
                yield (each, _sum(operand))
            case ast.Call(ast.Name(name), arguments):
                yield (each, name, [_sum(one) for one in arguments])
            case _:
                yield (each, ast.unparse(operand))


def _operands(
    node: ast.expr, operation: type[ast.operator], inverse: type[ast.operator], sign: int
) -> Iterator[tuple[int, ast.expr]]:
    """Return what an operation and its inverse join: each with the sign, or that turned round."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, operation | inverse):
        turned = -sign if isinstance(node.op, inverse) else sign
        yield from _operands(node.left, operation, inverse, sign)
        yield from _operands(node.right, operation, inverse, turned)
    else:
        yield sign, node
