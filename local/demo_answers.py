"""The answers of the demo model: simple rules, with a label so that they cannot be mistaken for Claude's."""

import ast
import operator
import re
from collections.abc import Callable
from typing import Any

LABEL = "[Demo model, not Claude]"

_HOW_TO = (
    "I am the gateway's built-in demo model: I add numbers up and repeat what you say. "
    "For answers from the real Claude, set ANTHROPIC_API_KEY or CLAUDE_CODE_OAUTH_TOKEN and start the gateway again."
)
_GREETING = re.compile(r"\W*(hi|hello|hey|hallo|bonjour|hola|good (morning|day|afternoon|evening))\b", re.IGNORECASE)
_HELP = re.compile(r"\b(who|what) are you\b|\bwhat can you do\b|\bhelp\b|\bare you claude\b", re.IGNORECASE)

# A run of characters that can only be arithmetic. A single character class, so that matching takes linear time.
_ARITHMETIC = re.compile(r"[-+*/%^().\d \t\u00d7\u00f7]{3,}")
_PYTHON_SIGNS = {0xD7: "*", 0xF7: "/", ord("^"): "**"}  # the typographic signs for multiplication and division
_OPERATIONS: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
}
_DATE = re.compile(r"\d{4}-\d\d-\d\d")  # looks like a subtraction but is a date
# Limits that keep every step far below a millisecond for any query.
_LONGEST_EXPRESSION = 100
_LARGEST_NUMBER = 10**50
_LARGEST_EXPONENT = 200
_SEARCHED = 2_000
_ECHOED = 80
_MOST_CHUNKS = 24


def answer(query: str) -> str:
    """Answer a query, with the label of the demo model."""
    return f"{LABEL} {_answer(query)}"


def chunks(text: str) -> list[str]:
    """Split a text between words into at most 24 chunks, without losing characters."""
    words = re.findall(r"\s*\S+\s*\Z|\s*\S+", text) or [text]
    size = -(-len(words) // _MOST_CHUNKS)
    return ["".join(words[start : start + size]) for start in range(0, len(words), size)]


def arithmetic(text: str) -> tuple[str, str] | None:
    """Find the last calculation in a text: the expression and its value as text, or None.

    Integers are exact. The value is a message if there is no result (division by zero, too large).
    """
    for match in reversed(_ARITHMETIC.findall(text[-_SEARCHED:])):
        expression = match.strip(" \t.")
        if len(expression) > _LONGEST_EXPRESSION or _DATE.fullmatch(expression):
            continue
        if (value := _calculate(expression)) is not None:
            return expression, value
    return None


def _answer(query: str) -> str:
    if calculation := arithmetic(query):
        expression, value = calculation
        return f"{expression} = {value}"
    if _HELP.search(query[:_SEARCHED]):
        return _HOW_TO
    if _GREETING.match(query):
        return "Hello! Ask me to calculate something, such as 6 * 7, or ask who I am."
    words = len(query.split())
    shown = " ".join(query[:_SEARCHED].split())
    shown = shown if len(shown) <= _ECHOED else f"{shown[:_ECHOED].rstrip()}…"
    return f"You wrote {words} {'word' if words == 1 else 'words'}: “{shown}”."


def _calculate(expression: str) -> str | None:
    try:
        tree = ast.parse(expression.translate(_PYTHON_SIGNS), mode="eval").body
        if not isinstance(tree, ast.BinOp):
            return None  # a single number is not a calculation
        value = _value(tree)
    except ZeroDivisionError:
        return "undefined: it divides by zero"
    except OverflowError:
        return "a number too large for a demo"
    except (SyntaxError, ValueError):
        return None
    return f"{value:.12g}" if isinstance(value, float) else str(value)


def _value(node: ast.expr) -> int | float:
    match node:
        case ast.Constant(value=int() | float() as number):
            return _bounded(number)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand)
        case ast.UnaryOp(op=ast.UAdd(), operand=operand):
            return _value(operand)
        case ast.BinOp(left, op, right):
            first, second = _value(left), _value(right)
            if isinstance(op, ast.Pow) and abs(second) > _LARGEST_EXPONENT:
                raise OverflowError  # checked before computing
            return _bounded(_OPERATIONS[type(op)](first, second))
        case _:
            raise ValueError(f"{type(node).__name__} is not arithmetic")


def _bounded(number: Any) -> int | float:
    if not isinstance(number, int | float):
        raise ValueError("a complex number")  # noqa: TRY004 - a root of a negative number is a value, not a type
    if abs(number) > _LARGEST_NUMBER:
        raise OverflowError
    return number
