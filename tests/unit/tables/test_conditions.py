"""Conditions are held against the columns before a row is read, and refused in words about `where`."""

import functools

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from criteo_audiences import ConfigurationError
from criteo_audiences.tables.engine import conditions
from criteo_audiences.tables.engine.conditions import FUNCTIONS, Shape, require_condition

SHAPE = Shape(
    "crm.csv",
    {"email": "VARCHAR", "consent": "VARCHAR", "E Mail": "VARCHAR", "n": "BIGINT", "d": "DATE", "Filename": "VARCHAR"},
)
COLUMNS = 'The columns are: "email", "consent", "E Mail", "n", "d", "Filename".'


@functools.cache
def engine() -> duckdb.DuckDBPyConnection:
    """Returns an engine without a table, the same one for all conditions: holding one against columns leaves nothing."""
    return duckdb.connect()


def checked(condition: str, shape: Shape = SHAPE) -> str:
    """Holds a condition against columns."""
    return require_condition(engine(), condition, shape)


@pytest.mark.parametrize(
    "condition",
    [
        "consent = 'yes'",
        " consent = 'yes' ; ",
        "consent = 'yes' -- only them",
        "consent == 'it''s' AND TRY_CAST(email AS INT) > 3",
        "CAST(email AS INT) > 3",
        "\"e mail\" IS NULL OR n > 3 AND d > '2024-12-31'",
        "regexp_matches(email, '^(a|b)@') OR filename LIKE '%x%' OR file_index = 1",
        "replace(replace(replace(email, ' ', ''), '-', ''), '+', '00') || consent = 'a'",
        "lower(trim(email)) IN ('a@b.co') AND len(email) BETWEEN 1 AND 9 AND NOT email ILIKE '%@x.%'",
        "d > current_date - INTERVAL '1 month' AND extract(year FROM d) = 2024 AND date_trunc('day', d) < now()::DATE",
        "CASE WHEN coalesce(nullif(email, ''), consent) IS NULL THEN false ELSE n::DECIMAL(9,2) > 1 END",
        "email->>'$.a' = 'b' AND split_part(email, '@', 2) SIMILAR TO 'b.*'",
        "COLUMNS(*) IS NOT NULL",
        "TRY(strptime(email, '%Y')) IS NULL",
        "true",
    ],
)
def test_what_fits_the_columns_is_taken(condition: str) -> None:
    """Without the semicolon at its end, otherwise as it is."""
    assert checked(condition) == condition.strip().rstrip(";")


REFUSED = {
    "consent = yes": f"""names a column that is not there: "yes". A text stands in single quotes: 'yes'. {COLUMNS}""",
    'consent = "yes"': "A text stands in single quotes: 'yes'.",
    "consent = \u2018yes\u2019": "A text stands in single quotes: 'yes'.",
    "Consnt = 'yes'": 'names a column that is not there: "Consnt"; did you mean "consent"?',
    "e_mail = 'x'": '"e_mail"; did you mean "E Mail"?',
    'consent = "planted@b.co"': """not there: "…". A text stands in single quotes: '…'.""",
    'consent = "+33 1 23 45 67 89"': """not there: "…". A text stands in single quotes: '…'.""",
    "consent = 'yes": "is not understood: unterminated string literal. In DuckDB's SQL texts stand in single quotes",
    "consent == yes please": "is not understood. In DuckDB's SQL texts stand in single quotes",
    "consent = = 3": 'is not understood: syntax error at or near "=".',
    "1=1) OR (1=1": 'syntax error at or near ")"',
    "consent = 'yes'; DROP TABLE x": "holds several statements",
    "consent = 'yes', n = 1": "holds several conditions; join them with AND or OR.",
    "-- nothing": "holds no condition",
    "consent = ?": "holds a placeholder",
    "consent > 3": "compares a text with something else, such as a number",
    "email BETWEEN 1 AND 3": "TRY_CAST(column AS INT)",
    "n = 'planted'": "holds a value that does not fit what it is compared with; a number stands without quotes",
    "d > 'planted'": "holds a value that does not fit what it is compared with",
    "count(*) > 1": "holds an aggregate, which is about more rows than one",
    "row_number() OVER () = 1": "holds a window function, which",
    "email IN (SELECT 'planted')": "holds a subquery, which",
    "EXISTS (FROM range(1))": "holds a subquery, which",
    "uper(email) = 'X'": 'calls a function that DuckDB does not have: "uper"; did you mean "upper"?',
    "getenv('HOME') = 'x'": 'calls a function that DuckDB does not have: "getenv".',
    "regexp_matches(email, 'planted(')": "has a regular expression that does not compile: missing ).",
    "regexp_replace(email, '[planted', '') = ''": "has a regular expression that does not compile: missing ].",
    "len(range(300000000)) > 1": 'calls "range", which conditions may not use. They may call functions whose result is',
    "repeat(email, 999999999) = 'a'": "all others work in Table.from_query.",
    "email.\"rpad\"(999999999, 'x') = 'a'": 'calls "rpad", which conditions may not use',
    "main.generate_series(1, 300000000) IS NULL": 'calls "generate_series"',
    "unnest(email) = 'x'": 'calls "unnest"',
    "sleep_ms(60000)": 'calls "sleep_ms"',
    "[email] = [consent]": 'calls "list_value"',
    "count(len(range(300000000))) > 1": "holds an aggregate",
    "list_filter([email], lambda x: x = consent)[1] = 'a'": "which conditions may not use",
    "email -> 'planted' IS NULL": "holds '->', or a function without a name",
    "json_extract_string(email, '$..*') IS NULL": 'has a path of "json_extract_string" that is no text',
    "json_extract_string(email, '$..' || '*') IS NULL": 'has a path of "json_extract_string" that is no text',
    "email::VARCHAR[] IS NULL": 'converts to "list"; expected a type of one value',
    "email::BIGNUM > 1": 'converts to "BIGNUM"',
    "replace(email, 'a', consent) = 'b'": 'lets "replace" look for or insert what is no text in single quotes',
    "replace(email, 'a', 'x') = 'b'".replace("x", "planted" * 99): "makes texts that are very much longer than a row's",
    f"{'email || ' * 100} email = 'a'": "makes texts that are very much longer than a row's own",
    "concat(email, x)".replace("x", "email, " * 9 + "email")
    + " || x = 'a'".replace("x", "email || " * 99 + "email"): "longer",
    f"{'regexp_replace(' * 9}email{', $$$$, $$aaa$$)' * 9} = 'b'": "makes texts that are very much longer",
    f"{'NOT ' * 5_000}true": "nested too deeply",
    f"{'NOT ' * 600}true": "nested too deeply",
    "email SIMILAR TO '*planted'": "does not compile: no argument for repetition operator.",
}


@pytest.mark.parametrize(("condition", "words"), REFUSED.items())
def test_what_does_not_is_refused_in_one_line(condition: str, words: str) -> None:
    """It names `where`, the table, and what to write; the engine's own error does not come along."""
    with pytest.raises(ConfigurationError) as caught:
        checked(condition)
    shown = str(caught.value)
    assert shown.startswith("where, the condition on crm.csv, ")
    assert words in shown
    assert "planted" not in shown
    assert shown.isprintable()
    assert caught.value.__context__ is None


def every_function() -> dict[str, str]:
    """Returns the functions of the engine that is installed, and what each is."""
    return dict(engine().execute("SELECT function_name, function_type FROM duckdb_functions()").fetchall())


def test_every_permitted_function_exists() -> None:
    """The list holds nothing that this release of the engine does not have."""
    assert FUNCTIONS - set(every_function()) == set()


def test_every_other_function_is_refused_before_it_is_computed() -> None:
    """Whatever the engine has or will have: what is not on the list is not called, aggregates and tables included."""
    comparisons = {"IS DISTINCT FROM", "IS NOT DISTINCT FROM"}  # which the parser takes for what they are
    others = {name: kind for name, kind in every_function().items() if name not in FUNCTIONS | comparisons}
    assert len(others) > 500
    words = ("holds an aggregate", "holds a window function", "which conditions may not use")
    calls = ", ".join(f'"{name}"(email)' for name in others)
    nodes = [
        node for node in conditions._nodes(conditions._tree(engine(), f"1 IN ({calls})")) if "function_name" in node
    ]
    refused = {node["function_name"] for node in nodes if conditions.misuse([node], str) == node["function_name"]}
    of_each_kind = {kind: name for name, kind in others.items()}.values()
    for name in (set(others) - refused) | set(of_each_kind):  # those that the parser takes for something else, too
        with pytest.raises(ConfigurationError) as caught:
            checked(f'"{name}"(email) IS NULL')
        assert any(said in str(caught.value) for said in words), name
    assert len(refused) > 500


CALLS = (
    *("concat({0}, {1})", "{0} || {1}", "replace({0}, 'x', 'xyz')", "regexp_replace({0}, '', '--', 'g')"),
    *("upper({0})", "reverse({1})", "coalesce({0}, {1})", "if({0} = {1}, {0}, {1})"),
)
EXPRESSIONS = st.recursive(
    st.sampled_from(["email", "consent", "'x'"]),
    lambda inner: st.builds(str.format, st.sampled_from(CALLS), inner, inner),
    max_leaves=60,
)


@given(EXPRESSIONS)
def test_what_is_taken_stays_in_proportion_to_its_row(expression: str) -> None:
    """No text that a condition makes is more than a hundred times as long as those of its row."""
    try:
        checked(f"({expression}) = 'a'")
    except ConfigurationError as error:
        assert "makes texts that are very much longer" in str(error)  # noqa: PT017
        return
    row = "SELECT repeat('x', 50) AS email, repeat('y', 50) AS consent"
    found = engine().execute(f"SELECT length({expression}) FROM ({row})").fetchall()  # noqa: S608
    assert found[0][0] <= 100 * 50


def test_columns_of_a_strange_name_stay_readable() -> None:
    """Masked where they may be a person's datum, doubled quotes, no control characters, at most forty."""
    names = ['a"b', "planted@example.com", "x\x1b[2J", *(f"c{number}" for number in range(50))]
    with pytest.raises(ConfigurationError) as caught:
        checked("nope = 'x'", Shape("crm.csv", dict.fromkeys(names, "VARCHAR")))
    shown = str(caught.value)
    assert shown.isprintable()
    assert 'The columns are: "a""b", "…", "x\ufffd[2J", "c0"' in shown
    assert shown.endswith('"c36", ….')
