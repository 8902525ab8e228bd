"""Rows read and prepared before the first batch: duplicates and opt-outs are found among them, on disk if need be."""

import time
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from criteo_audiences.tables import query
from criteo_audiences.tables.engine import execute_followed
from criteo_audiences.tables.interruption import Interruption
from criteo_audiences.tables.opening import Opened
from criteo_audiences.tables.origins import Reject
from criteo_audiences.tables.plan import Plan

if TYPE_CHECKING:
    import duckdb

_AT_ONCE: Final = 1_000
"""Rows turned into Python objects in one step, during which the caller's event loop must wait."""


def stage(engine: "duckdb.DuckDBPyConnection", coded: str) -> list[int]:
    """Reads and prepares all rows, into the table that `Staging` works on; returns their `scanned_rows`."""
    return execute_followed(engine, f"CREATE TEMP TABLE staged AS {coded}")


class Staging:
    """The prepared rows of a table, in a table of the engine's own, which `stage` has filled.

    Attributes:
        codes: how many rows have which code.
        already_hashed: rows that came as digests, whatever became of them.
    """

    def __init__(self, engine: "duckdb.DuckDBPyConnection", plan: Plan) -> None:
        self._engine = engine
        self._plan = plan
        hashed = engine.execute(f"SELECT DISTINCT k FROM staged WHERE code = {query.HASHED}").fetchall()
        self._hashed = {selection for (selection,) in hashed}
        self.codes: Counter[int] = Counter()
        self._recount()
        self.already_hashed = self.codes[query.HASHED]

    def suppress(self) -> None:
        """Marks the rows of the first selection whose identifier has opted out, in whatever form either is written."""
        selection = self._plan.selections[0]
        digests = [query.digest(selection.kind, algorithm) for algorithm in sorted(selection.rule.algorithms)]
        if digests and 0 in self._hashed:  # a digest of the list may be of an address that opted out in clear
            self._engine.execute(
                f"INSERT INTO opted_out (p, code) SELECT unnest([{', '.join(digests)}]), {query.HASHED} FROM opted_out "
                f"WHERE code = {query.PREPARED}"
            )
        spelled = ["p"]
        if selection.rule.spellings is not None:
            spelled += [f"{query.SPELLINGS}(p)[{at}]" for at in (1, 2)]
        forms = [*spelled]
        if digests and self._count(f"SELECT count(*) FROM opted_out WHERE code = {query.HASHED}"):
            forms += [
                f"CASE WHEN code = {query.PREPARED} THEN {query.digest(selection.kind, algorithm, spelling)} END"
                for algorithm in sorted(selection.rule.algorithms)
                for spelling in spelled
            ]
        opted_out = " OR ".join(f"coalesce({form} IN (SELECT p FROM opted_out), false)" for form in forms)
        self._engine.execute(
            f"UPDATE staged SET code = {query.SUPPRESSED} WHERE k = 0 AND code <= {query.HASHED} AND ({opted_out})"
        )
        self._recount()

    def drop_duplicates(self) -> None:
        """Finds the rows whose identifier has gone before them."""
        for at, selection in enumerate(self._plan.selections):
            # A digest and the address it was made of are the same identifier once the address is hashed.
            mixed = at in self._hashed and selection.algorithm is not None
            key = query.on_the_wire(selection.kind, selection.algorithm) if mixed else "p"
            self._drop_duplicates(at, key)
        self._recount()

    def _drop_duplicates(self, selection: int, key: str) -> None:
        """Marks all but the first of each identifier; only those whose hash occurs twice are compared."""
        mine = f"SELECT rowid AS r, {key} AS key FROM staged WHERE k = {selection} AND code <= {query.HASHED}"
        self._engine.execute(
            f"CREATE OR REPLACE TEMP TABLE again AS SELECT hash(key) AS h FROM ({mine}) GROUP BY h HAVING count(*) > 1"
        )
        if not self._count("SELECT count(*) FROM again"):
            return
        self._engine.execute(
            "CREATE OR REPLACE TEMP TABLE later AS SELECT r FROM ("
            f"SELECT r, min(r) OVER (PARTITION BY key) AS first FROM ({mine}) WHERE hash(key) IN (SELECT h FROM again)"
            ") WHERE r <> first"
        )
        self._engine.execute(f"UPDATE staged SET code = {query.DUPLICATE} WHERE rowid IN (SELECT r FROM later)")

    def _count(self, statement: str) -> int:
        row = self._engine.execute(statement).fetchone()
        return int(row[0]) if row else 0

    def _recount(self) -> None:
        counts = self._engine.execute("SELECT code, count(*) FROM staged GROUP BY code").fetchall()
        self.codes = Counter(dict(counts))


def staged_rejects(engine: "duckdb.DuckDBPyConnection", opened: Opened, interruption: Interruption) -> Iterator[Reject]:
    """Yields the rejected values of a table that has been staged with their origin, in the order of its rows.

    Raises:
        OSError: when it was interrupted.
    """
    found = engine.execute(
        f"SELECT {query.ORIGIN}, code, coalesce(v, '') FROM staged WHERE code >= {query.FIRST_REASON}"
    )
    while rows := found.fetchmany(_AT_ONCE):
        for relation, row, field, code, value in rows:
            origin = opened.relations[relation]
            reason = query.REASONS[code - query.FIRST_REASON]
            yield Reject(origin.file, row, origin.columns[field], reason, value)
        interruption.check()
        time.sleep(0)  # lets the caller's event loop have the interpreter
