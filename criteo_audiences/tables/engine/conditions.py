"""Checks conditions on rows before any row is read: which functions they call, and whether their columns exist."""

import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from criteo_audiences.errors import ConfigurationError
from criteo_audiences.rendering import nearest
from criteo_audiences.tables.engine import query
from criteo_audiences.tables.engine.connection import import_duckdb, said
from criteo_audiences.tables.header_words import fold, listed, written

if TYPE_CHECKING:
    import duckdb

_CLASSES: Final = {
    *("BETWEEN", "CASE", "CAST", "COLLATE", "COLUMN_REF", "COMPARISON", "CONJUNCTION", "CONSTANT", "FUNCTION"),
    *("OPERATOR", "PARAMETER", "STAR", "TYPE"),
}
"""Allowed parts of an expression: neither subqueries nor window functions, nor functions without a name."""

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
"""Types that a value may be converted to: scalar types only."""

_MOST_TIMES: Final = 100
"""Factor by which an expression may lengthen the texts of a row."""

_LITERAL: Final = 1_000


def misuse(nodes: Iterable[dict[str, Any]], unlisted: Callable[[str], str]) -> str | None:
    """Describes the first part of a condition that is not allowed, or returns `None` if all parts are.

    Args:
        nodes: the objects of the parsed condition.
        unlisted: describes a function that is not in `FUNCTIONS`.
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
    """Whether an expression may lengthen a row's texts by more than `_MOST_TIMES`."""
    return _growth(expression) > _MOST_TIMES


def _arguments(node: dict[str, Any]) -> list[dict[str, Any]]:
    return [argument["expression"] for argument in node.get("arguments", ())]


def _text(node: dict[str, Any]) -> str | None:
    """Returns the text of a constant, or `None` for an expression that is computed."""
    if node.get("class") != "CONSTANT":
        return None
    literal = node.get("literal") or node.get("value") or {}
    return str(literal.get("text", ""))


def _is_path(node: dict[str, Any]) -> bool:
    path = _text(node)
    return path is not None and "*" not in path


def _times(node: dict[str, Any]) -> float | None:
    """Returns how many times longer than its first argument the result of a replacing function may be.

    Returns `None` if the sought or the inserted text is not a constant.
    """
    texts = [_text(argument) for argument in _arguments(node)[1:]]
    if len(texts) < 2 or texts[0] is None or texts[1] is None:  # noqa: PLR2004 - what is sought, what is inserted
        return None if len(texts) >= 2 else 1  # noqa: PLR2004 - the engine says what is missing
    sought, inserted = (len(text.encode()) for text in texts[:2] if text is not None)
    if node["function_name"] == "replace":
        return max(1.0, inserted / max(1, sought))
    return 1.0 + 2 * inserted  # a pattern may match nothing, between any two letters; \1 repeats what it matched


def _growth(expression: Any) -> float:
    """Returns the factor by which an expression may lengthen the texts of a row."""
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


_OF_FILES: Final = {"filename": "VARCHAR", "file_index": "UBIGINT"}
"""Columns that the engine adds to every row."""

_ROWS_OF: Final = {
    *("read_csv", "read_csv_auto", "sniff_csv", "read_parquet", "parquet_scan", "read_text", "read_blob", "glob"),
    *("read_json", "read_json_auto", "read_json_objects", "read_ndjson", "read_ndjson_auto", "read_ndjson_objects"),
    *("parquet_metadata", "parquet_schema", "parquet_file_metadata", "parquet_kv_metadata"),
    *("range", "generate_series", "unnest", "repeat", "json_each", "json_tree"),
}
"""Table functions that a query may call: others write files, change settings, run statements or take pointers."""

_QUOTING: Final = "texts stand in single quotes, names with spaces in double ones"
_MANY_ROWS: Final = "which is about more rows than one; use Table.from_query, or suppress for opt-outs."
_MANY: Final = {"SUBQUERY": "a subquery", "WINDOW": "a window function"}
_TOO_LONG: Final = (
    "makes texts that are very much longer than a row's own; join and replace less, or use Table.from_query."
)
_TOO_DEEP: Final = "is nested too deeply; write it with fewer parentheses, or several values with IN."
_BOUNDED: Final = (
    "They may call functions whose result is no longer than their arguments, such as lower, trim, substring, "
    "regexp_matches, coalesce or date_trunc; all others work in Table.from_query."
)
_EMPTY_ROW: Final = "empty_row"
_FANCY_QUOTES: Final = "\u2018\u2019\u201c\u201d\u00b4\u00ab\u00bb"
_NO_COLUMN: Final = re.compile(r'Referenced column "(.*)" not found')
# Messages of RE2, the engine's library for regular expressions, without the pattern that follows them.
_PATTERN: Final = re.compile(
    r"Invalid Input Error: (missing [\])]|unexpected \)|trailing \\|invalid escape sequence|invalid perl operator"
    r"|invalid character class(?: range)?|no argument for repetition operator|invalid repetition size"
    r"|bad repetition operator|invalid UTF-8|invalid named capture group)"
)
_TELLING: Final = {
    "Max expression depth": _TOO_DEEP,
    "more than one statement": "holds several statements; expected one condition, without ';'.",
    "single expression": "holds several conditions; join them with AND or OR.",
    "without selection list": "holds no condition; expected one such as country = 'FR'.",
    "explicit cast is required": "compares a text with something else, such as a number; columns of a text file are "
    "text: use TRY_CAST(column AS INT), or put the value in single quotes.",
    "Conversion Error": "holds a value that does not fit what it is compared with; a number stands without quotes, "
    "a date as '2024-12-31'.",
    "Values were not provided": "holds a placeholder for a value; write the value itself.",
}
"""Parts of the engine's messages about a condition, each with our own message about `where`."""


@frozen
class Shape:
    """The names that a condition may use.

    Attributes:
        label: the table's name in messages.
        columns: the columns' types, by the engine's name for each.
        note: what may be wrong with the names, for messages.
    """

    label: str
    columns: Mapping[str, str]
    note: str = ""


def require_condition(engine: "duckdb.DuckDBPyConnection", condition: str, shape: Shape) -> str:
    """Checks a condition without reading a row, and returns it without a semicolon at its end.

    Raises:
        ConfigurationError: when it is not one condition on a row's own columns, or cannot be computed from them.
    """
    condition = condition.strip().rstrip(";")
    objection = _objection(engine, condition, shape)
    if objection is not None:  # outside of any handler, so that the engine's own error is not its context
        raise ConfigurationError(f"where, the condition on {shape.label}, {objection}")
    return condition


def require_select(engine: "duckdb.DuckDBPyConnection", statement: str) -> None:
    """Refuses a query that is anything but one SELECT, or calls a function that does more than return rows.

    Raises:
        ConfigurationError: when it is such a query; says what is wrong with it.
    """
    parsed = _parsed(engine, statement)
    if parsed["error"]:
        said_of = str(parsed["error_message"])
        reason = "it is no SELECT." if "Only SELECT" in said_of else said(f"Parser Error: {said_of}")
        raise ConfigurationError(f"The query is not understood: {reason} Expected one SELECT.")
    if len(parsed["statements"]) != 1:
        count = len(parsed["statements"])
        raise ConfigurationError(f"The query is not understood: it holds {count} statements. Expected one SELECT.")
    calls = (node["function"]["function_name"] for node in _nodes(parsed) if node.get("type") == "TABLE_FUNCTION")
    if other := next((name for name in calls if name not in _ROWS_OF), None):
        raise ConfigurationError(
            f"The query reads from {written(str(other))}, which is none of the functions that it may read from: "
            f"{', '.join(sorted(_ROWS_OF))}."
        )


def used_columns(engine: "duckdb.DuckDBPyConnection", condition: str) -> tuple[str, ...] | None:
    """Returns the names of the columns that a condition uses; `None` if the engine cannot parse it or it uses `*`."""
    duckdb = import_duckdb()
    try:
        nodes = list(_nodes(_tree(engine, condition.strip().rstrip(";"))))
    except duckdb.Error:
        return None
    if any(node.get("error") is True or node.get("class") == "STAR" for node in nodes):
        return None
    return tuple(str(node["column_names"][-1]) for node in nodes if node.get("class") == "COLUMN_REF")


def _objection(engine: "duckdb.DuckDBPyConnection", condition: str, shape: Shape) -> str | None:
    """Describes why a condition cannot be used, or returns `None` if it can.

    Checks its form first, then lets the engine compute it for a row of NULLs.
    """
    duckdb = import_duckdb()
    try:
        duckdb.SQLExpression(condition)
        if objection := _form(engine, condition):
            return objection
        # For a table, not for constants: with these the engine would optimize an impossible comparison away.
        engine.execute(f"CREATE OR REPLACE TEMP TABLE {_EMPTY_ROW} AS SELECT {_row(shape)}")
        engine.execute(f"SELECT 1 FROM {_EMPTY_ROW} WHERE ({condition}\n)").fetchall()
    except duckdb.Error as error:
        return _explained(error, shape)
    return None


def _form(engine: "duckdb.DuckDBPyConnection", condition: str) -> str | None:
    """Describes what a condition contains that is not allowed, or returns `None`; does not compute it."""
    tree = _tree(engine, condition)
    if tree["error"]:  # an expression with an alias, as in `a b`, is no condition
        is_misspelled = str(tree.get("error_message")).startswith("syntax error")
        return f"is not understood. In DuckDB's SQL {_QUOTING}." if is_misspelled else _TOO_DEEP
    expression = tree["statements"][0]["node"]["where_clause"]
    nodes = list(_nodes(expression))
    if many := next(filter(_MANY.get, (str(node.get("class")) for node in nodes)), None):
        return f"holds {_MANY[many]}, {_MANY_ROWS}"
    try:
        return misuse(nodes, partial(_unlisted, engine)) or (_TOO_LONG if grows(expression) else None)
    except RecursionError:
        return _TOO_DEEP


def _unlisted(engine: "duckdb.DuckDBPyConnection", called: str) -> str:
    """Describes why a condition may not call a function: it concerns several rows, does too much, or does not exist."""
    found = "SELECT function_type FROM duckdb_functions() WHERE lower(function_name) = ?"
    kinds = {kind for (kind,) in engine.execute(found, [called]).fetchall()}
    if "aggregate" in kinds:
        return f"holds an aggregate, {_MANY_ROWS}"
    if kinds or called == "unnest":
        return f'calls "{called}", which conditions may not use. {_BOUNDED}'
    return f"calls a function that DuckDB does not have: {_corrected(called, FUNCTIONS)}"


def _row(shape: Shape) -> str:
    """Returns the SQL for a row of NULLs, one for each column."""
    taken = {column.lower() for column in shape.columns}
    types = {**shape.columns, **{name: held for name, held in _OF_FILES.items() if name not in taken}}
    return ", ".join(f"CAST(NULL AS {held}) AS {query.name(column)}" for column, held in types.items())


def _tree(engine: "duckdb.DuckDBPyConnection", condition: str) -> Any:
    """Returns a condition's syntax tree, from the engine's parser."""
    return _parsed(engine, f"SELECT 1 WHERE ({condition}\n)")


def _parsed(engine: "duckdb.DuckDBPyConnection", statement: str) -> Any:
    ((text,),) = engine.execute("SELECT json_serialize_sql(?)", [statement]).fetchall()
    try:
        return json.loads(text)
    except RecursionError:
        return {"error": True, "error_message": f"the query {_TOO_DEEP}"}


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    """Yields every object of a parsed document."""
    rest = [tree]
    while rest:
        each = rest.pop()
        if isinstance(each, dict):
            yield each
        rest += each.values() if isinstance(each, dict) else each if isinstance(each, list) else ()


def _explained(error: Exception, shape: Shape) -> str:
    """Translates the engine's message into a message about `where`; shows no text that may be personal data."""
    message = str(error)
    if found := _NO_COLUMN.search(message):
        return _no_column(found[1], shape)
    if found := _PATTERN.match(message):
        return f"has a regular expression that does not compile: {found[1]}."
    for words, meant in _TELLING.items():
        if words in message:
            return meant
    return f"is not understood: {said(error)} In DuckDB's SQL {_QUOTING}."


def _no_column(name: str, shape: Shape) -> str:
    """Describes an unknown column: either its name is misspelled, or it is a text without its quotes."""
    text = written(name.strip(_FANCY_QUOTES), quote="'")
    return (
        f"names a column that is not there: {_corrected(name, shape.columns)} A text stands in single quotes: {text}. "
        f"The columns are: {listed(shape.columns, written)}.{shape.note}"
    )


def _corrected(name: str, known: Iterable[str]) -> str:
    """Returns a name for the end of a sentence, with the name that was probably meant."""
    near = nearest(name, known, spelled=fold)
    return f"{written(name)}; did you mean {written(near)}?" if near is not None else f"{written(name)}."
