"""Builds the engine's SQL statements: pure functions of a plan and a table's columns.

SQL prepares only values that are proved safe: ASCII of the usual form, for which the engine and Python agree on lower
case and white space. For all other values it calls our own function, which applies the same rule as for every source.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Final

from attrs import frozen

from criteo_audiences.identifiers import BLANKS, DIGESTS_OF_NOTHING, RejectReason
from criteo_audiences.models import HashAlgorithm, IdentifierType
from criteo_audiences.tables.files.quotes import BROKEN, NO_CELL

PREPARED, HASHED = 0, 1
DUPLICATE, SUPPRESSED = 2, 3
REASONS: Final[tuple[RejectReason, ...]] = tuple(RejectReason)
FIRST_REASON: Final = 4
"""Codes of rows: an identifier in clear, one that came as a digest, two for rows left out, then the reject reasons."""

EMPTY: Final = FIRST_REASON + REASONS.index(RejectReason.EMPTY)
"""The code of a value that is missing or blank."""

FRAME: Final = '","'
"""Separates two strings of a JSON array, quotes included."""

ORIGIN: Final = "relation, number, field"
"""Columns for a value's place: the relation, counted from 0, its row, from 1, and the field in the row, from 0."""

UNFIT: Final = "unfit value in column "
"""Prefix of the engine's error for a JSON cell that cannot be an identifier; the cell's kind and column follow."""

SURPLUS: Final = "surplus cell of criteo_audiences"
"""The column for the first cell of a row beyond the header's cells, if it is read."""

OBJECT: Final = "object_of_criteo_audiences"
"""The column for a whole JSON object, if it is read."""

# A name that no column of a table has.
_ROW: Final = "row number of criteo_audiences"

FRACTION: Final = "\x02"
"""Prefix of a JSON number that is not whole, in columns whose numbers must be whole."""

MARK: Final = "\x01"
"""Prefix of a value that our function rejects; no identifier can contain it."""

# The same pattern as identifiers.PLAIN_ADDRESS, written for an engine without look-ahead.
_ADDRESS: Final = "[a-z0-9._+-]+@(?:[a-z0-9]+[.-])*[a-z0-9]+[.][a-z]+"
_ANY_CASE: Final = _ADDRESS.replace("a-z", "a-zA-Z")
_LONGEST: Final = 64
_DIGEST: Final = "[0-9a-fA-F]{64}|[0-9a-fA-F]{32}"
# Digests of empty values must be rejected. Our function judges each digest that begins like one of them; this has a bit
# for each beginning. The engine would compile a pattern of hundreds of digests anew for each file, and a list is slow.
_BEGINNING: Final = 4  # hexadecimal digits


def _bits(places: Iterable[int]) -> str:
    bits = bytearray(b"0" * 16**_BEGINNING)
    for place in places:
        bits[place] = ord("1")
    return bits.decode()


_SUSPECTS: Final = _bits(int(digest[:_BEGINNING], 16) for digest in DIGESTS_OF_NOTHING)
_WORDS: Final = "[a-zA-Z0-9][a-zA-Z0-9._+ -]*"
_NOTHING: Final = BLANKS + "'\"=<>\uff07\uff02\uff1d\uff1c\uff1e"  # a cell of only these contains no value

_STRING: Final = re.compile(r"'(?:[^']|'')*'")
_NAME: Final = re.compile(r'"([^"]+)"|\b([^\W\d]\w*)\b(?!\s*\()')
_KEY_WORDS: Final = re.compile(
    "all|and|any|as|between|case|cast|date|double|else|end|escape|false|from|glob|ilike|in|int|integer|interval|is|isnull|"
    "like|not|notnull|null|or|similar|then|timestamp|to|true|varchar|when",
    re.IGNORECASE,
)

# Patterns of an opt-out of each kind, to find it in another cell if its own is missing; an id may look like anything.
_DIGESTED: Final = "[0-9a-fA-F]{32}"
_LIKENESS: Final[Mapping[IdentifierType, str]] = {
    IdentifierType.EMAIL: f"[@\uff20]|{_DIGESTED}",
    IdentifierType.PHONE_NUMBER: rf"\d(?:[\s()./-]*\d){{6}}|{_DIGESTED}",
    IdentifierType.MADID: f"[0-9a-fA-F]{{8}}-[0-9a-fA-F]{{4}}-|{_DIGESTED}",
}
_ANYTHING: Final = r"[^\s\x1f]"
_BETWEEN: Final = "\x1f"


@frozen
class Field:
    """A value to take from each row.

    Attributes:
        selection: the number of its selection, counted from 0.
        column: the column's name.
        is_text: whether the column contains text and needs no cast.
        region: the column with its country, if there is one.
        is_json: whether it is read from JSON.
        is_whole: whether numbers in it must be whole, as in ids.
    """

    selection: int
    column: str
    is_text: bool = True
    region: str | None = None
    is_json: bool = False
    is_whole: bool = False

    @property
    def sql(self) -> str:
        """Returns the SQL for the value as text; it raises an error for a list, an object or a fraction in JSON.

        The engine reads these as text. A fraction has the prefix `FRACTION`, which distinguishes it from a JSON string
        with the same characters.
        """
        if self.is_json:
            cell = name(self.column)
            nested = f"ascii({cell}) IN ({ord('[')}, {ord('{')}) AND json_valid({cell})"
            fraction = f"WHEN starts_with({cell}, {literal(FRACTION)}) THEN {self._unfit('fractions')} "
            return (
                f"CASE WHEN {nested} THEN {self._unfit('lists or structures')} "
                f"{fraction if self.is_whole else ''}ELSE {cell} END"
            )
        return name(self.column) if self.is_text else f"CAST({name(self.column)} AS VARCHAR)"

    def _unfit(self, held: str) -> str:
        return f"error({literal(f'{UNFIT}{held}: {self.column}')})"

    @property
    def region_sql(self) -> str:
        """Returns the SQL for the country as text."""
        return "NULL::VARCHAR" if self.region is None else f"CAST({name(self.region)} AS VARCHAR)"


SPELLINGS: Final = "spellings"
"""The name of our function that returns the other spellings of an identifier, for kinds that have some."""


def name(text: str) -> str:
    """Quotes a name."""
    return '"' + text.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Quotes a text."""
    return "'" + text.replace("'", "''") + "'"


def names_in(condition: str) -> list[str]:
    """Returns the possible column names in a condition: names in double quotes, and words but key words and calls."""
    found = _NAME.findall(_STRING.sub("", condition))
    return [quoted or word for quoted, word in found if not _KEY_WORDS.fullmatch(word)]


def function(selection: int) -> str:
    """Returns the name of our function that judges the values of a selection."""
    return f"prepare_{selection}"


def function_of_opt_outs(_: int) -> str:
    """Returns the name of our function that judges opt-outs."""
    return "prepare_opt_outs"


def rows(
    relation: str, fields: Sequence[Field], where: str | None, origin: int | None = None, broken: str | None = None
) -> str:
    """Selects the raw values, one per row, with the number of the selection and, if `origin` is given, its `ORIGIN`.

    Args:
        relation: what to read from.
        fields: the values to take from each row.
        where: the caller's condition.
        origin: the relation's number, if values must be found again later; rows are then counted, on one thread.
        broken: a column that marks the rows that cannot be read; the condition does not apply to these.
    """
    marks = f"({literal(BROKEN)}, {literal(NO_CELL)})"
    is_broken = "false" if broken is None else f"coalesce({name(broken)} IN {marks}, false)"
    condition = f" WHERE CASE WHEN {is_broken} THEN true ELSE ({where}\n) END" if where else ""
    place = found = ""
    if origin is not None:  # rows are counted before the condition, so that the numbers are the file's
        place = f", {origin}::UINTEGER AS relation, {name(_ROW)} AS number"
        found = ", relation, number, one.field AS field"
        relation = f"(SELECT *, row_number() OVER () AS {name(_ROW)} FROM {relation})"
    if len(fields) == 1:
        one = fields[0]
        place += place and ", 0::USMALLINT AS field"
        return f"SELECT 0::UTINYINT AS k, {one.sql} AS v, {one.region_sql} AS r{place} FROM {relation}{condition}"
    values = ", ".join(_cells(at, fields, is_broken) for at in sorted({field.selection for field in fields}))
    inner = f"SELECT unnest(flatten([{values}])) AS one{place} FROM {relation}{condition}"
    return f"SELECT one.k AS k, one.v AS v, one.r AS r{found} FROM ({inner})"


def _cells(selection: int, fields: Sequence[Field], is_broken: str) -> str:
    """Returns the SQL for a row's cells of one selection: the filled ones, or one if none is filled or it is broken."""
    mine = [(at, field) for at, field in enumerate(fields) if field.selection == selection]
    cells = [_cell(selection, at, field.sql, field.region_sql) for at, field in mine]
    filled = f"list_filter([{', '.join(cells)}], lambda cell: trim(cell.v) <> '')"
    empty = _cell(selection, mine[0][0], "NULL::VARCHAR", "NULL::VARCHAR")
    return f"CASE WHEN {is_broken} THEN [{cells[0]}] WHEN len({filled}) > 0 THEN {filled} ELSE [{empty}] END"


def _cell(selection: int, at: int, value: str, region: str) -> str:
    return f"{{'k': {selection}::UTINYINT, 'v': {value}, 'r': {region}, 'field': {at}::USMALLINT}}"


def prepared(source: str, kinds: Sequence[IdentifierType], judge: Callable[[int], str] = function) -> str:
    """Normalizes raw values: `p` is the identifier in clear, the digest in the source, or `MARK` and a reject reason.

    A value that is `usual` needs no other test: it is an identifier in clear, and only its case may have to change.

    Args:
        source: the SQL of the values.
        kinds: the kind of each selection.
        judge: returns the name of our function that judges the values of a selection.
    """
    usual, others = _by_kind(kinds, _is_usual), _by_kind(kinds, partial(_judged, judge))
    lowered = f"SELECT *, lower(v) AS l FROM ({source})"
    told_apart = f"SELECT *, coalesce({usual}, false) AS usual FROM ({lowered})"
    return f"SELECT *, CASE WHEN usual THEN l ELSE {others} END AS p FROM ({told_apart})"


def coded(source: str, kinds: Sequence[IdentifierType], *, traced: bool = False) -> str:
    """Adds each row's code to its identifier; if `traced`, also the raw value and the origin of rejected values."""
    code = _code(kinds)
    if not traced:
        return f"SELECT k, p, ({code})::UTINYINT AS code FROM ({source})"
    kept = ", ".join(
        f"CASE WHEN code >= {FIRST_REASON} THEN {column} END AS {column}" for column in ("v", *ORIGIN.split(", "))
    )
    return f"SELECT k, p, code, {kept} FROM (SELECT *, ({code})::UTINYINT AS code FROM ({source}))"


def _code(kinds: Sequence[IdentifierType]) -> str:
    """Returns the SQL for the code of a prepared value."""
    reasons = ", ".join(literal(reason) for reason in REASONS)
    rejected = f"list_position([{reasons}], substr(p, 2)) + {FIRST_REASON - 1}"
    hashed = _by_kind(kinds, lambda _, kind: is_hashed(kind))
    return (
        f"CASE WHEN usual THEN {PREPARED} WHEN starts_with(p, {literal(MARK)}) THEN {rejected} "
        f"WHEN {hashed} THEN {HASHED} ELSE {PREPARED} END"
    )


def refused_places(source: str, kinds: Sequence[IdentifierType], algorithms: Sequence[HashAlgorithm | None]) -> str:
    """Selects the first place of each identifier in the table `sought` (`k`: its selection, `w`: as it is sent).

    Args:
        source: the SQL of prepared values with their origin.
        kinds: the kind of each selection.
        algorithms: how the identifiers of each selection are hashed.
    """
    coded = f"SELECT *, ({_code(kinds)})::UTINYINT AS code FROM ({source})"
    wire = _by_kind(kinds, lambda at, kind: on_the_wire(kind, algorithms[at]))
    place = "{'relation': relation, 'number': number, 'field': field}"
    sent = f"SELECT k, {wire} AS w, {place} AS place FROM ({coded}) WHERE code <= {HASHED}"
    first = f"SELECT min(place) AS place FROM ({sent}) SEMI JOIN sought USING (k, w) GROUP BY k, w"
    return f"SELECT place.relation, place.number, place.field FROM ({first}) ORDER BY place"


def _by_kind(kinds: Sequence[IdentifierType], expression: Callable[[int, IdentifierType], str]) -> str:
    """Returns the expression for the only kind, or for several kinds an expression that chooses by selection."""
    if len(kinds) == 1:
        return expression(0, kinds[0])
    return "CASE k " + " ".join(f"WHEN {at} THEN {expression(at, kind)}" for at, kind in enumerate(kinds)) + " END"


def _is_usual(_: int, kind: IdentifierType) -> str:
    if kind is IdentifierType.EMAIL:
        # Tests the value before it is lowered: the lower case of a letter beyond ASCII may be ASCII (the Kelvin sign).
        return f"strlen(v) <= {_LONGEST} AND regexp_matches(v, '\\A{_ANY_CASE}\\z')"
    return "false"


def _judged(judge: Callable[[int], str], selection: int, kind: IdentifierType) -> str:
    """Returns the SQL that judges unusual values, by our own function where SQL cannot be sure."""
    sure = ""
    if kind is IdentifierType.EMAIL:
        sure = (
            f"WHEN strlen(v) <= {_LONGEST} AND strlen(l) = strlen(v) AND regexp_full_match(l, ' *(?:{_ADDRESS}) *') "
            f"THEN trim(l) "
            f"WHEN strlen(v) IN (32, 64) AND regexp_full_match(v, '{_DIGEST}') "
            f"AND get_bit('{_SUSPECTS}'::BIT, TRY_CAST('0x' || substr(v, 1, {_BEGINNING}) AS INTEGER)) = 0 THEN l "
            f"WHEN strlen(v) < 32 AND regexp_full_match(v, '{_WORDS}') THEN {literal(MARK + RejectReason.NO_AT_SIGN)} "
        )
    empty = literal(MARK + RejectReason.EMPTY)
    return f"CASE WHEN v IS NULL OR v = '' THEN {empty} {sure}ELSE {judge(selection)}(v, r) END"


def is_hashed(kind: IdentifierType) -> str:
    """Returns the SQL test whether the normalized identifier `p` is a digest."""
    if kind is IdentifierType.EMAIL:
        return "NOT contains(p, '@')"
    return "NOT starts_with(p, '+')" if kind is IdentifierType.PHONE_NUMBER else "false"


def digest(kind: IdentifierType, algorithm: HashAlgorithm | None, text: str = "p") -> str:
    """Returns the SQL that hashes a normalized identifier."""
    if kind is IdentifierType.PHONE_NUMBER:
        text = f"substr({text}, 2)" if algorithm else text  # the digits, without the plus sign
    return {
        None: text,
        HashAlgorithm.SHA256: f"sha256({text})",
        HashAlgorithm.MD5: f"md5({text})",
        HashAlgorithm.SHA256_OF_MD5: f"sha256(md5({text}))",
    }[algorithm]


def on_the_wire(kind: IdentifierType, algorithm: HashAlgorithm | None) -> str:
    """Returns the SQL for the identifier in the form in which it is sent."""
    if algorithm is None:
        return "p"
    return f"CASE WHEN code = {PREPARED} THEN {digest(kind, algorithm)} ELSE p END"


def outgoing(source: str, kind: IdentifierType, algorithm: HashAlgorithm | None) -> str:
    """Selects the rows from which batches are cut: each row's code, and its text if it is sent.

    The text is a digest; if sent in clear, a JSON string without its first quote, followed by the `FRAME`.
    """
    if algorithm is not None:
        text = f"CASE code WHEN {PREPARED} THEN {digest(kind, algorithm)} WHEN {HASHED} THEN p END"
        return f"SELECT code, {text} FROM ({source})"
    kept = "p"
    if kind not in {IdentifierType.EMAIL, IdentifierType.PHONE_NUMBER}:  # these contain nothing that JSON escapes
        kept = "replace(replace(p, '\\', '\\\\'), '\"', '\\\"')"
    return f"SELECT code, CASE WHEN code <= {HASHED} THEN {kept} || {literal(FRAME)} END FROM ({source})"


def opt_out_rows(
    relation: str, columns: Sequence[str], wanted: Sequence[str], delimiter: str, kind: IdentifierType
) -> str:
    """Marks rows of delimited text in which the opt-out seems to be in another column.

    Such a row is shorter or longer than the header, or one of its quoted cells spans several columns. Its opt-out cell
    is blank, and another cell looks like an opt-out. In all other rows a blank cell means that there is no opt-out.

    Args:
        relation: what to read from; has one column more than the file (`SURPLUS`), and NULL only for missing cells.
        columns: all columns of the file.
        wanted: the columns of the opt-outs.
        delimiter: the character between cells.
        kind: the kind of identifier.
    """
    is_short = " OR ".join(f"{name(column)} IS NULL" for column in wanted)
    text = f"concat_ws({literal(_BETWEEN)}, {', '.join(map(name, (*columns, SURPLUS)))})"
    runs_on = " OR ".join(f"contains({text}, {literal(sign)})" for sign in (f'"{delimiter}', f'{delimiter}"'))
    is_long = f"{name(SURPLUS)} IS NOT NULL"
    is_odd = f"(({is_short} OR {runs_on} OR {is_long}) AND {_is_like(text, kind)}) OR trim({name(SURPLUS)}) <> ''"
    cells = {column: f"nullif({name(column)}, '')" for column in columns}
    return _marked(relation, cells, wanted, is_odd)


def opt_out_objects(
    relation: str, keys: Sequence[str], wanted: Sequence[str], kind: IdentifierType, *, is_whole: bool
) -> str:
    """Marks JSON objects in which the opt-out seems to be under another key.

    Args:
        relation: what to read from; contains whole objects, as `OBJECT`.
        keys: the keys to read.
        wanted: the keys of the opt-outs.
        kind: the kind of identifier.
        is_whole: whether numbers under these keys must be whole.
    """
    cells = {}
    for key in keys:
        path = literal('$."' + key.replace("\\", "\\\\").replace('"', '\\"') + '"')
        value = f"({OBJECT} -> {path})"
        cells[key] = text_of_json(value) if is_whole and key in wanted else f"{value} ->> '$'"
    return _marked(relation, cells, wanted, _is_like(f"{OBJECT}::VARCHAR", kind))


def _marked(relation: str, cells: Mapping[str, str], wanted: Sequence[str], is_odd: str) -> str:
    is_blank = " AND ".join(f"trim(coalesce({cells[column]}, ''), {literal(_NOTHING)}) = ''" for column in wanted)
    has_none = f"{is_blank} AND coalesce({is_odd}, false)"
    marked = {
        column: f"CASE WHEN {has_none} THEN {literal(NO_CELL)} ELSE {cell} END" if column in wanted else cell
        for column, cell in cells.items()
    }
    named = ", ".join(f"{cell} AS {name(column)}" for column, cell in marked.items())
    return f"(SELECT {named} FROM {relation})"


def _is_like(text: str, kind: IdentifierType) -> str:
    return f"regexp_matches({text}, {literal(_LIKENESS.get(kind, _ANYTHING))})"


def text_of_json(cell: str) -> str:
    """Returns the SQL for a JSON value as text; a fraction gets the prefix `FRACTION`."""
    is_fraction = f"json_type({cell}) = 'DOUBLE' AND NOT regexp_full_match({cell}::VARCHAR, '-?[0-9]+')"
    return f"CASE WHEN {is_fraction} THEN {literal(FRACTION)} || {cell}::VARCHAR ELSE {cell} ->> '$' END"
