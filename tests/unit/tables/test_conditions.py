"""Conditions are held against the columns before a row is read, and refused in words about `where`."""

import duckdb
import pytest

from criteo_audiences import ConfigurationError
from criteo_audiences.tables.conditions import Shape, require_condition

SHAPE = Shape(
    "crm.csv",
    {"email": "VARCHAR", "consent": "VARCHAR", "E Mail": "VARCHAR", "n": "BIGINT", "d": "DATE", "Filename": "VARCHAR"},
)
COLUMNS = 'The columns are: "email", "consent", "E Mail", "n", "d", "Filename".'


def checked(condition: str, shape: Shape = SHAPE) -> str:
    """Holds a condition against columns, in an engine without a table."""
    with duckdb.connect() as engine:
        return require_condition(engine, condition, shape)


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
        "list_filter([email], lambda x: x = consent)[1] = 'a'",
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


def test_columns_of_a_strange_name_stay_readable() -> None:
    """Masked where they may be a person's datum, doubled quotes, no control characters, at most forty."""
    names = ['a"b', "planted@example.com", "x\x1b[2J", *(f"c{number}" for number in range(50))]
    with pytest.raises(ConfigurationError) as caught:
        checked("nope = 'x'", Shape("crm.csv", dict.fromkeys(names, "VARCHAR")))
    shown = str(caught.value)
    assert shown.isprintable()
    assert 'The columns are: "a""b", "…", "x\ufffd[2J", "c0"' in shown
    assert shown.endswith('"c36", ….')
