"""The audience algebra: a Python expression of segments for the people in an audience.

`Segment("1") & (Segment("2") | Segment("3")) & ~Segment("4")` is people of 1 who are in 2 or 3, but not in 4.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Self

from criteo_audiences.errors import ConfigurationError
from criteo_audiences.models import Unset

_SEGMENT: Final = "audienceSegmentId"
_SYMBOLS: Final = {"and": " & ", "or": " | "}
# Precedence of a written part: a part gets parentheses unless its precedence is higher than its surroundings'.
_TIGHTNESS: Final = {"": 0, "or": 1, "and": 2, "not": 3, _SEGMENT: 4}

# An expression is stored in postfix order. A token is an id, or a tuple of an operator and the number of parts that it
# joins. So no depth needs recursion, whether the expression is compared, hashed, printed, sent or read.
Token = str | tuple[str, int]


class Expression:
    """A combination of segments by `&`, `|` and `~`; immutable, comparable, hashable.

    Parts that are joined by the same operator are flattened, and a double negation vanishes: neither changes the
    meaning.
    """

    __slots__ = ("_tokens",)

    def __init__(self, tokens: Sequence[Token]) -> None:
        self._tokens = tuple(tokens)

    def __and__(self, other: "Expression") -> "Expression":
        return _joined("and", [self, other]) if isinstance(other, Expression) else NotImplemented

    def __or__(self, other: "Expression") -> "Expression":
        return _joined("or", [self, other]) if isinstance(other, Expression) else NotImplemented

    def __invert__(self) -> "Expression":
        if self._tokens[-1] == ("not", 1):
            return Expression(self._tokens[:-1])
        return Expression((*self._tokens, ("not", 1)))

    def __eq__(self, other: object) -> bool:
        return self._tokens == other._tokens if isinstance(other, Expression) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._tokens)

    def __repr__(self) -> str:
        """Writes the expression as Python, with no more parentheses than it needs."""
        written: list[str] = []  # back to front: read in reverse, an operator comes before its parts
        waiting: list[str | tuple[str]] = [("",)]  # a text, or a placeholder for a part within an operator
        for token in reversed(self._tokens):
            operator, count = (_SEGMENT, 0) if isinstance(token, str) else token
            while isinstance(place := waiting.pop(), str):
                written.append(place)
            if _TIGHTNESS[operator] <= _TIGHTNESS[place[0]]:
                written.append(")")
                waiting.append("(")
            if isinstance(token, str):
                written.append(f"Segment({token!r})")
            elif operator == "not":
                waiting += ["~", (operator,)]
            else:
                waiting.append((operator,))
                for _ in range(count - 1):
                    waiting += [_SYMBOLS[operator], (operator,)]
        written += map(str, reversed(waiting))
        return "".join(reversed(written))

    @property
    def segment_ids(self) -> tuple[str, ...]:
        """The ids of its segments, each once, in order of appearance."""
        return tuple(dict.fromkeys(token for token in self._tokens if isinstance(token, str)))

    def to_wire(self) -> dict[str, Any]:
        """Returns the node that Criteo reads (OpenAPI `AlgebraNodeV1`)."""
        stack: list[dict[str, Any]] = []
        for token in self._tokens:
            if isinstance(token, str):
                stack.append({_SEGMENT: token})
                continue
            operator, count = token
            parts = stack[-count:]
            del stack[-count:]
            stack.append({operator: parts[0] if operator == "not" else parts})
        return stack[0]

    @classmethod
    def from_wire(cls, node: Any) -> "Expression":
        """Reads a node of any depth.

        Raises:
            ValueError: when a part of it is not a segment, `and`, `or` or `not`; the message does not show that part.
        """
        tokens: list[Token] = []
        # Tokens are collected from the end, each operator before its parts, and reversed into postfix order. A part
        # waits with the place of the operator that joins it. That operator takes over the parts of a nested equal one.
        waiting: list[tuple[Any, int | None]] = [(node, None)]
        while waiting:
            part, place = waiting.pop()
            operator, value, negated = _bare(part)
            if negated:
                tokens.append(("not", 1))
                place = None
            if operator == _SEGMENT:
                tokens.append(value)
                continue
            place = _counted(tokens, operator, len(value), place)
            waiting += [(inner, place) for inner in value]
        return Segment(str(tokens[0])) if len(tokens) == 1 else cls(tokens[::-1])


class Segment(Expression):
    """One audience segment: a leaf of the algebra.

    Args:
        segment_id: its id.

    Raises:
        ConfigurationError: when the id is not text.
    """

    __slots__ = ()

    def __init__(self, segment_id: str) -> None:
        if not isinstance(segment_id, str) or not segment_id.strip():
            raise ConfigurationError("segment_id must be a non-empty str.")
        super().__init__((segment_id,))

    def __reduce__(self) -> tuple[type[Self], tuple[str, ...]]:
        return type(self), (str(self._tokens[0]),)


def require_expression(value: Expression) -> Expression:
    """Returns an expression; refuses any other value.

    Raises:
        ConfigurationError: saying what an expression looks like.
    """
    if not isinstance(value, Expression):
        raise ConfigurationError('algebra must be an expression such as Segment("1") & ~Segment("2").')
    return value


def require_expression_or_unset(value: Expression | Unset) -> Expression | Unset:
    """Returns an expression or `UNSET`, for an update, in which a field may be left out."""
    return value if isinstance(value, Unset) else require_expression(value)


def _joined(operator: str, parts: Sequence[Expression]) -> Expression:
    """Joins expressions; replaces an expression with the same operator by its parts."""
    tokens: list[Token] = []
    count = 0
    for part in parts:
        last = part._tokens[-1]  # noqa: SLF001 - the same module
        if isinstance(last, tuple) and last[0] == operator:
            tokens += part._tokens[:-1]  # noqa: SLF001
            count += last[1]
        else:
            tokens += part._tokens  # noqa: SLF001
            count += 1
    return Expression((*tokens, (operator, count)))


def _bare(part: Any) -> tuple[str, Any, bool]:
    """Reads a node, skipping nodes without effect: pairs of negations, and joins of a single part."""
    negated = False
    while True:
        operator, value = _read(part)
        if operator == "not":
            negated, part = not negated, value
        elif operator in _SYMBOLS and len(value) == 1:
            part = value[0]
        else:
            return operator, value, negated


def _counted(tokens: list[Token], operator: str, count: int, place: int | None) -> int:
    """Adds an operator, or merges its parts into an enclosing same operator; returns its position."""
    around = None if place is None else tokens[place]
    if place is None or not isinstance(around, tuple) or around[0] != operator:
        tokens.append((operator, count))
        return len(tokens) - 1
    tokens[place] = (operator, around[1] - 1 + count)
    return place


def _read(part: Any) -> tuple[str, Any]:
    """Returns a node's one operator and its operand."""
    given = {name: value for name, value in part.items() if value is not None} if isinstance(part, Mapping) else {}
    if len(given) != 1:
        raise ValueError("expected a node with one of audienceSegmentId, and, or, not")
    operator, value = next(iter(given.items()))
    is_id = isinstance(value, (str, int)) and not isinstance(value, bool) and bool(str(value).strip())
    fits = {_SEGMENT: is_id, "not": isinstance(value, Mapping)}.get(
        operator, operator in _SYMBOLS and isinstance(value, list) and bool(value)
    )
    if not fits:
        raise ValueError("expected a node with one of audienceSegmentId, and, or, not")
    return operator, str(value) if operator == _SEGMENT else value
