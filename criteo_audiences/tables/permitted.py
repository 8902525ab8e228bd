"""What a condition may call: functions whose result is bounded by their arguments, and none that makes lists.

The engine computes a condition some thousand rows at a time, and listens to an interruption only between two of
them. So each row must cost little, in time and in memory, whatever it holds.
"""

import math
from collections.abc import Callable, Iterable
from typing import Any, Final

from criteo_audiences.tables.names import written

_CLASSES: Final = {
    *("BETWEEN", "CASE", "CAST", "COLLATE", "COLUMN_REF", "COMPARISON", "CONJUNCTION", "CONSTANT", "FUNCTION"),
    *("OPERATOR", "PARAMETER", "STAR", "TYPE"),
}
"""Parts of an expression: neither subqueries nor window functions, nor functions without a name."""

_JOINING: Final = {"concat", "concat_ws", "||"}
_REPLACING: Final = {"replace", "regexp_replace"}
_OF_JSON: Final = {"->>", "json_exists", "json_extract_string", "json_array_length", "json_type", "json_valid"}

FUNCTIONS: Final = frozenset({
    *("!=", "%", "&", "*", "**", "+", "-", "/", "//", "<", "<<", "<=", "=", ">", ">=", ">>", "@", "^", "^@", "|", "~"),
    *("~~", "!~~", "~~*", "!~~*", "~~~", "like_escape", "not_like_escape", "ilike_escape", "not_ilike_escape"),
    *("regexp_matches", "regexp_full_match", "regexp_extract"),
    *("contains", "starts_with", "ends_with", "prefix", "suffix", "position", "instr", "strpos"),
    *("lower", "upper", "lcase", "ucase", "trim", "ltrim", "rtrim", "strip_accents", "nfc_normalize", "reverse"),
    *("substring", "substr", "left", "right", "split_part", "translate", "ascii", "chr", "ord", "unicode"),
    *("length", "len", "strlen", "char_length", "character_length", "octet_length", "bit_length"),
    *("md5", "sha1", "sha256", "hash"),
    *("if", "nullif", "greatest", "least", "typeof"),
    *("abs", "cbrt", "ceil", "ceiling", "exp", "floor", "fmod", "isfinite", "isinf", "isnan", "ln", "log", "log10"),
    *("log2", "mod", "pow", "power", "random", "round", "round_even", "sign", "sqrt", "trunc", "xor"),
    *("age", "ago", "current_date", "get_current_time", "get_current_timestamp", "now", "today"),
    *("century", "date_add", "date_diff", "date_part", "date_sub", "date_trunc", "datediff", "datepart", "datesub"),
    *("datetrunc", "day", "dayname", "dayofmonth", "dayofweek", "dayofyear", "days_in_month", "decade", "epoch"),
    *("epoch_ms", "epoch_ns", "epoch_us", "hour", "isodow", "isoyear", "julian", "last_day", "make_date", "make_time"),
    *("make_timestamp", "millisecond", "minute", "month", "monthname", "quarter", "second", "strftime", "strptime"),
    *("time_bucket", "timezone", "to_days", "to_hours", "to_microseconds", "to_milliseconds", "to_minutes"),
    *("to_months", "to_quarters", "to_seconds", "to_timestamp", "to_weeks", "to_years", "try_strptime", "week"),
    *("weekday", "weekofyear", "year", "yearweek"),
    *("array_contains", "array_has", "array_length", "list_contains", "list_has", "struct_extract"),
    *(_JOINING | _REPLACING | _OF_JSON),
})  # fmt: skip

_TYPES: Final = {
    *("boolean", "bool", "logical", "tinyint", "int1", "smallint", "int2", "short", "integer", "int", "int4", "signed"),
    *("bigint", "int8", "long", "hugeint", "utinyint", "usmallint", "uinteger", "ubigint", "uhugeint", "real"),
    *(
        "float",
        "float4",
        "double",
        "float8",
        "decimal",
        "dec",
        "numeric",
        "varchar",
        "char",
        "bpchar",
        "text",
        "string",
    ),
    *("date", "time", "timestamp", "datetime", "timestamp_s", "timestamp_ms", "timestamp_us", "timestamp_ns"),
    *("timestamptz", "timetz", "timestamp with time zone", "time with time zone", "interval", "uuid"),
}
"""Types that a value may be converted to: those of one value each."""

_MOST_TIMES: Final = 100
"""How much longer than a row's texts what is made of them may become."""

_LITERAL: Final = 1_000


def misuse(nodes: Iterable[dict[str, Any]], unlisted: Callable[[str], str]) -> str | None:
    """Says what a condition calls or holds that it may not; `None` when there is nothing.

    Args:
        nodes: the objects of the parsed condition.
        unlisted: says of a function that is none of those above what it is.
    """
    for node in nodes:
        kind = node.get("class")
        if kind == "FUNCTION":
            called = str(node["function_name"])
            if called not in FUNCTIONS:
                return unlisted(called)
            if called in _OF_JSON and not all(map(_is_path, _arguments(node)[1:])):
                return f"has a path of {written(called)} that is no text in single quotes, or holds '*'."
            if called in _REPLACING and _times(node) is None:
                return f"lets {written(called)} look for or insert what is no text in single quotes; write the text."
        elif kind == "TYPE" and str(node["type_name"]).lower() not in _TYPES:
            return f"converts to {written(str(node['type_name']))}; expected a type of one value, such as INT or DATE."
        elif kind is not None and kind not in _CLASSES:
            return "holds '->', or a function without a name; of a value in JSON, '->>' gives the text."
    return None


def grows(expression: dict[str, Any]) -> bool:
    """Tells whether an expression may make texts out of a row's that are very much longer."""
    return _growth(expression) > _MOST_TIMES


def _arguments(node: dict[str, Any]) -> list[dict[str, Any]]:
    return [argument["expression"] for argument in node.get("arguments", ())]


def _text(node: dict[str, Any]) -> str | None:
    """Returns the text that an expression is, `None` when it is computed."""
    if node.get("class") != "CONSTANT":
        return None
    literal = node.get("literal") or node.get("value") or {}
    return str(literal.get("text", ""))


def _is_path(node: dict[str, Any]) -> bool:
    path = _text(node)
    return path is not None and "*" not in path


def _times(node: dict[str, Any]) -> float | None:
    """Returns how much longer than its first argument the result of a replacing function may be."""
    texts = [_text(argument) for argument in _arguments(node)[1:]]
    if len(texts) < 2 or texts[0] is None or texts[1] is None:  # noqa: PLR2004 - what is sought, what is inserted
        return None if len(texts) >= 2 else 1  # noqa: PLR2004 - the engine says what is missing
    sought, inserted = (len(text.encode()) for text in texts[:2] if text is not None)
    if node["function_name"] == "replace":
        return max(1.0, inserted / max(1, sought))
    return 1.0 + 2 * inserted  # a pattern may match nothing, between any two letters; \1 repeats what it matched


def _growth(expression: Any) -> float:
    """Returns how many times as long as the texts of a row what an expression makes of them may be."""
    if isinstance(expression, list):
        return max(map(_growth, expression), default=0)
    if not isinstance(expression, dict):
        return 0
    kind, called = expression.get("class"), expression.get("function_name")
    if kind == "CONSTANT":
        return math.ceil(len(_text(expression) or "") / _LITERAL)
    if kind == "COLUMN_REF":
        return 1
    parts = map(_growth, _arguments(expression) if kind == "FUNCTION" else expression.values())
    if called in _JOINING:
        return sum(parts)
    return max(parts, default=0) * ((_times(expression) or 1) if called in _REPLACING else 1)
