"""Which values of a table are no identifiers, and where they stand."""

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, NamedTuple

from criteo_audiences.identifiers import RejectReason
from criteo_audiences.tables import query
from criteo_audiences.tables.interruption import Interruption
from criteo_audiences.tables.opening import Opened

if TYPE_CHECKING:
    import duckdb

_AT_ONCE: Final = 1_000
"""Rows turned into Python objects in one step, during which the caller's event loop must wait."""


class Reject(NamedTuple):
    """A value that is no identifier; a plain tuple, since there may be millions.

    Attributes:
        file: the name of the file it stands in; empty for what is no file.
        row: the row of data there, from 1.
        column: the column's name; empty for what has none.
        reason: why.
        value: as it was read; empty where there was none.
    """

    file: str
    row: int
    column: str
    reason: RejectReason
    value: str


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
