"""Compares prepared rows with a snapshot of a list, and updates the snapshot, in SQL over Parquet files.

A row of a snapshot is an identifier as it was sent: a `digest` as its bytes, anything else as `text`. It is `uncertain`
if the list may or may not contain it. A row of changes also has these columns: `removes`, whether it is a removal;
`position`, its place among the removals or the additions; `was`, the identifier's state in the snapshot.
"""

import secrets
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from attrs import frozen

from criteo_audiences.models import HashAlgorithm
from criteo_audiences.tables.engine import query
from criteo_audiences.tables.table import Selection

ABSENT, HELD, UNCERTAIN = 0, 1, 2
"""The state of an identifier in a snapshot."""

DONE, NOT_DONE, MAYBE_DONE = 0, 1, 2
"""The outcome of a change."""

EMPTY_ROWS: Final = "SELECT NULL::BLOB AS digest, NULL::VARCHAR AS text, false AS uncertain WHERE false"
"""The rows of an empty snapshot."""

EMPTY_SNAPSHOT: Final = f"(SELECT *, 0 AS file_row_number FROM ({EMPTY_ROWS}))"
"""The same as a `relation`."""

_DIGEST: Final = "[0-9a-f]{64}|[0-9a-f]{32}"
_WIRE: Final = "coalesce(lower(hex(digest)), text)"
_WIRE_A: Final = "coalesce(lower(hex(a.digest)), a.text)"
_WIRE_B: Final = "coalesce(lower(hex(b.digest)), b.text)"


@frozen
class Difference:
    """How the prepared rows differ from a snapshot, in numbers of identifiers.

    Attributes:
        added: rows with an identifier that the list is not known to contain.
        removed: identifiers of the snapshot that no row contains.
        unchanged: identifiers that are in both.
        repeated: rows that repeat the identifier of another row.
    """

    added: int
    removed: int
    unchanged: int
    repeated: int = 0


@frozen
class Fate:
    """The common outcome of consecutive changes.

    Attributes:
        removes: whether they are removals.
        start: the position of the first one; they end where the next fate starts.
        state: `DONE`, `NOT_DONE` or `MAYBE_DONE`.
    """

    removes: bool
    start: int
    state: int


def relation(path: str) -> str:
    """Returns the SQL that reads a Parquet file with the number of each row; `path` is a `LiteralPath`."""
    return f"read_parquet({query.literal(path)}, file_row_number = true)"


def store(engine: Any, rows: str, target: Path, note: str) -> None:
    """Writes rows into a Parquet file, with a note in its footer that says what they are."""
    metadata = f"{{'criteo-audiences': {query.literal(note)}}}"
    engine.execute(
        f"COPY ({rows}) TO {query.literal(str(target))} (FORMAT parquet, COMPRESSION uncompressed, "
        f"KV_METADATA {metadata})"
    )


def stage_values(engine: Any, selection: Selection, values: Sequence[str]) -> None:
    """Adds normalized values to the table `staged`, in the same form as the rows of a table."""
    engine.execute("CREATE TEMP TABLE IF NOT EXISTS staged (k UTINYINT, p VARCHAR, code UTINYINT)")
    code = f"CASE WHEN {query.is_hashed(selection.kind)} THEN {query.HASHED} ELSE {query.PREPARED} END"
    engine.execute(f"INSERT INTO staged SELECT 0, p, {code} FROM (SELECT unnest(?::VARCHAR[]) AS p)", [list(values)])


def compare(engine: Any, selection: Selection, snapshot: str) -> Difference:
    """Finds what must be added and removed, and writes it into the tables `additions` and `removals`.

    Identifiers are compared by 96 bits of two hashes, because 20 million of those fit into little memory. The second
    hash has a random prefix in each run. A collision by chance is less likely than a broken disk.

    Args:
        engine: contains the prepared rows in its table `staged`.
        selection: how they are sent.
        snapshot: the relation with the list's content.
    """
    _register(engine, selection)
    _merge_persons(engine, selection)
    _match(engine, selection, snapshot)
    wire = query.on_the_wire(selection.kind, selection.algorithm)
    digest, text = _packed("w", is_hashed=selection.algorithm is not None)
    engine.execute(
        f"CREATE TEMP TABLE additions AS SELECT p, code, {digest} AS digest, {text} AS text, {ABSENT}::UTINYINT AS was "
        f"FROM (SELECT p, code, {wire} AS w FROM staged WHERE rowid IN (SELECT r FROM added));"
        f"CREATE TEMP TABLE removals AS SELECT digest, text, {HELD}::UTINYINT AS was FROM "
        f"{snapshot} WHERE file_row_number IN (SELECT held FROM unmatched WHERE held IS NOT NULL)"
    )
    found = _count(engine, "additions")
    kept = _count(engine, f"{snapshot} WHERE NOT uncertain") - _count(engine, "removals")
    repeated = _count(engine, f"staged WHERE code <= {query.HASHED}") - found - kept
    _add_uncertain(engine, snapshot)
    _keep_persons(engine, selection)
    added = _count(engine, "additions")
    return Difference(
        added=added, removed=_count(engine, "removals"), unchanged=kept + found - added, repeated=repeated
    )


def merged(engine: Any) -> int:
    """Returns how many digests a comparison has found for people that another row names in clear."""
    return _count(engine, f"staged WHERE code = {query.DUPLICATE}")


def changes() -> str:
    """Returns the SQL for the rows of a file of changes; call it after `compare`."""
    parts = (
        f"SELECT {removes} AS removes, row_number() OVER () AS position, digest, text, was FROM {table}"
        for removes, table in (("true", "removals"), ("false", "additions"))
    )
    return " UNION ALL ".join(parts)


def all_wanted(engine: Any, selection: Selection) -> tuple[str, int]:
    """Returns the SQL for a snapshot with all prepared rows, including every form of the same person, and their number.

    Call it after a comparison with an empty snapshot.
    """
    rows = "SELECT digest, text FROM additions"
    if merged(engine):
        digest, text = _packed("p", is_hashed=selection.algorithm is not None)
        rows += f" UNION SELECT {digest}, {text} FROM staged WHERE code = {query.DUPLICATE}"
        engine.execute(f"CREATE TEMP TABLE every AS {rows}")
        rows = "SELECT digest, text FROM every"
    return f"SELECT *, false AS uncertain FROM ({rows})", _count(engine, f"({rows})")


def outgoing(path: str, *, removes: bool, is_hashed: bool) -> str:
    """Returns the SQL for the additions or the removals in their order, in the form that `query.outgoing` expects."""
    text = "lower(hex(digest))" if is_hashed else _WIRE
    return f"SELECT {query.HASHED}::UTINYINT AS code, {text} AS p FROM {relation(path)} WHERE removes = {removes}"


def carry_on(engine: Any, snapshot: str, path: str, fates: Iterable[Fate]) -> tuple[int, int]:
    """Applies changes to a snapshot: the view `carried` contains the new one, the table `settled` the changes' outcome.

    Args:
        engine: reads the snapshot and the changes.
        snapshot: the relation of the old snapshot.
        path: the file of the changes, a `LiteralPath`.
        fates: the changes' outcome; changes before the first fate are `NOT_DONE`.

    Returns:
        By how many identifiers the snapshot grows, and by how many uncertain ones.
    """
    engine.execute("CREATE TEMP TABLE fates (removes BOOLEAN, start BIGINT, state UTINYINT)")
    for fate in fates:
        engine.execute("INSERT INTO fates VALUES (?, ?, ?)", [fate.removes, fate.start, fate.state])
    engine.execute(
        f"CREATE TEMP TABLE settled AS SELECT digest, text, was, CASE coalesce(state, {NOT_DONE}) "
        f"WHEN {DONE} THEN CASE WHEN c.removes THEN {ABSENT} ELSE {HELD} END "
        f"WHEN {MAYBE_DONE} THEN {UNCERTAIN} ELSE was END AS now "
        f"FROM {relation(path)} c ASOF LEFT JOIN fates f ON c.removes = f.removes AND c.position >= f.start"
    )
    # A NULL key matches nothing, so each of the two joins ignores the rows of the other.
    before = f"SELECT digest, text FROM settled WHERE was <> {ABSENT}"
    engine.execute(
        f"CREATE TEMP VIEW carried AS SELECT digest, text, uncertain FROM {snapshot} s "
        f"WHERE NOT EXISTS (FROM ({before}) a WHERE a.digest = s.digest) "
        f"AND NOT EXISTS (FROM ({before}) a WHERE a.text = s.text) "
        f"UNION ALL SELECT digest, text, now = {UNCERTAIN} FROM settled WHERE now <> {ABSENT}"
    )
    grown = _count(engine, f"settled WHERE now <> {ABSENT}") - _count(engine, f"settled WHERE was <> {ABSENT}")
    doubted = _count(engine, f"settled WHERE now = {UNCERTAIN}") - _count(engine, f"settled WHERE was = {UNCERTAIN}")
    return grown, doubted


def leave_out(engine: Any, snapshot: str, identifiers: Sequence[str]) -> tuple[str, int, int]:
    """Returns the SQL for a snapshot without some identifiers, and how many it loses: in all, and uncertain ones."""
    engine.execute("CREATE TEMP TABLE forgotten AS SELECT DISTINCT unnest(?::VARCHAR[]) AS w", [list(identifiers)])
    ((found, doubted),) = engine.execute(
        f"SELECT count(*), count(*) FILTER (uncertain) FROM {snapshot} WHERE {_WIRE} IN (FROM forgotten)"
    ).fetchall()
    kept = f"SELECT digest, text, uncertain FROM {snapshot} WHERE {_WIRE} NOT IN (FROM forgotten)"
    return kept, int(found), int(doubted)


def _packed(wire: str, *, is_hashed: bool) -> tuple[str, str]:
    """Returns the expressions for the columns `digest` and `text`; a digest stored as bytes takes half the room."""
    if is_hashed:
        return f"unhex({wire})", "NULL::VARCHAR"
    is_digest = f"regexp_full_match({wire}, '{_DIGEST}')"
    return f"CASE WHEN {is_digest} THEN unhex({wire}) END", f"CASE WHEN NOT {is_digest} THEN {wire} END"


def _match(engine: Any, selection: Selection, snapshot: str) -> None:
    """Makes the tables `unmatched` (rows that are on one side only) and `added` (the first row of each addition).

    The wanted rows stream through the join. The join keeps 16 bytes for each row of the snapshot: two hashes, and a
    row number that is large enough for four billion rows.
    """
    is_hashed = selection.algorithm is not None
    digest, text = _packed("w", is_hashed=is_hashed)
    wire = query.on_the_wire(selection.kind, selection.algorithm)
    wanted = f"SELECT rowid AS r, {wire} AS w FROM staged WHERE code <= {query.HASHED}"
    lot = f"'{secrets.token_hex(8)}'::BLOB"
    whole, part = ("hash(digest)", "digest") if is_hashed else ("hash(digest, text)", "coalesce(digest, encode(text))")
    both = f"{whole} AS h, (hash({lot} || {part}) >> 32)::UINTEGER AS g"
    engine.execute(
        "CREATE TEMP TABLE unmatched AS SELECT w.r AS wanted, h.r AS held, h, g "
        f"FROM (SELECT r, {both} FROM (SELECT r, {digest} AS digest, {text} AS text FROM ({wanted}))) w "
        f"FULL JOIN (SELECT file_row_number::UINTEGER AS r, {both} FROM {snapshot} WHERE NOT uncertain) h "
        "USING (h, g) WHERE w.r IS NULL OR h.r IS NULL;"
        "CREATE TEMP TABLE added AS SELECT min(wanted) AS r FROM unmatched WHERE wanted IS NOT NULL GROUP BY h, g"
    )


def _add_uncertain(engine: Any, snapshot: str) -> None:
    """Adds the uncertain identifiers to the changes: wanted ones are sent again, and the others are removed."""
    engine.execute(f"CREATE TEMP TABLE possible AS SELECT digest, text FROM {snapshot} WHERE uncertain")
    if not _count(engine, "possible"):
        return
    engine.execute(
        f"UPDATE additions SET was = {UNCERTAIN} WHERE rowid IN "
        f"(SELECT a.rowid FROM additions a JOIN possible b ON {_WIRE_A} = {_WIRE_B});"
        f"INSERT INTO removals SELECT digest, text, {UNCERTAIN} FROM possible a "
        f"WHERE NOT EXISTS (FROM additions b WHERE {_WIRE_A} = {_WIRE_B})"
    )


def _forms(selection: Selection, clear: str) -> list[str]:
    """Returns every form in which an identifier in clear may be sent: its spellings, and all their digests."""
    spelled = [clear]
    if selection.rule.spellings is not None:
        spelled += [f"{query.SPELLINGS}({clear})[{at}]" for at in (1, 2)]
    algorithms = sorted(selection.rule.algorithms)
    return [*spelled, *(query.digest(selection.kind, each, spelling) for each in algorithms for spelling in spelled)]


def _register(engine: Any, selection: Selection) -> None:
    """Registers the function for other spellings of an identifier, unless the opt-outs have registered it already."""
    spellings = selection.rule.spellings
    if spellings is not None and not _count(engine, f"duckdb_functions() WHERE function_name = '{query.SPELLINGS}'"):
        engine.create_function(query.SPELLINGS, spellings, ["VARCHAR"], "VARCHAR[]")


def _merge_persons(engine: Any, selection: Selection) -> None:
    """Marks digests of identifiers that another row contains in clear as duplicates, because they are one person."""
    codes = engine.execute(f"SELECT DISTINCT code FROM staged WHERE code <= {query.HASHED}").fetchall()
    if not selection.rule.algorithms or len(codes) < 2:  # noqa: PLR2004 - both in clear and as digests
        return
    forms = ", ".join(_forms(selection, "p"))
    named = f"SELECT unnest([{forms}]) FROM staged WHERE code = {query.PREPARED}"
    engine.execute(f"UPDATE staged SET code = {query.DUPLICATE} WHERE code = {query.HASHED} AND p IN ({named})")


def _keep_persons(engine: Any, selection: Selection) -> None:
    """Drops removals of people who are still in the source in clear, but are in the list in another form."""
    if not selection.rule.algorithms or not _count(engine, "removals"):
        return
    forms = ", ".join(_forms(selection, "p"))
    if _count(engine, "additions"):
        _take_back(engine, selection, forms)
    if _count(engine, f"removals WHERE {_foreign(selection)}"):
        named = f"SELECT unnest([{forms}]) FROM staged WHERE code = {query.PREPARED}"
        engine.execute(f"DELETE FROM removals WHERE {_foreign(selection)} AND {_WIRE} IN ({named})")


def _foreign(selection: Selection) -> str:
    """Returns the SQL test whether a removal has a digest of another length than the ones that are sent now."""
    if selection.algorithm is None:
        return "digest IS NOT NULL"
    return f"octet_length(digest) <> {16 if selection.algorithm is HashAlgorithm.MD5 else 32}"


def _take_back(engine: Any, selection: Selection, forms: str) -> None:
    """Cancels each addition and removal that concern the same person."""
    old = ", ".join(_forms(selection, "text"))
    # First by hashes, which need little memory; the few that agree are then compared themselves.
    engine.execute(
        f"CREATE TEMP TABLE alike AS SELECT a.r AS a, b.r AS r, form, true AS is_new FROM "
        f"(SELECT rowid AS r, unnest([{forms}]) AS form FROM additions WHERE code = {query.PREPARED}) a "
        f"JOIN (SELECT rowid AS r, hash({_WIRE}) AS h FROM removals WHERE was = {HELD}) b ON hash(form) = b.h;"
        f"INSERT INTO alike SELECT a.r, b.r, form, false FROM "
        f"(SELECT rowid AS r, unnest([{old}]) AS form FROM removals WHERE text IS NOT NULL AND was = {HELD}) b "
        "JOIN (SELECT rowid AS r, hash(p) AS h FROM additions) a ON hash(form) = a.h;"
        "CREATE TEMP TABLE same AS SELECT DISTINCT a.rowid AS a, b.rowid AS r FROM alike "
        f"JOIN additions a ON a.rowid = alike.a JOIN removals b ON b.rowid = alike.r "
        f"WHERE form = CASE WHEN is_new THEN {_WIRE_B} ELSE a.p END"
    )
    if _count(engine, "same"):
        engine.execute(
            "DELETE FROM additions WHERE rowid IN (SELECT a FROM same);"
            "DELETE FROM removals WHERE rowid IN (SELECT r FROM same)"
        )


def _count(engine: Any, rows: str) -> int:
    ((count,),) = engine.execute(f"SELECT count(*) FROM {rows}").fetchall()
    return int(count)
