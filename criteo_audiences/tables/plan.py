"""What an upload takes from a table."""

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from attrs import field, frozen

from criteo_audiences.batches import DEFAULT_MAX_BODY_BYTES, MAX_BATCH_SIZE
from criteo_audiences.identifiers import Rule
from criteo_audiences.models import HashAlgorithm, IdentifierType
from criteo_audiences.tables.origins import Reject
from criteo_audiences.tables.table import Table

DEFAULT_MEMORY_LIMIT: Final = "512MB"


def default_threads() -> int:
    """All cores but one, which the caller's event loop keeps."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores - 1)


@frozen(kw_only=True)
class Selection:
    """A kind of identifier, and where in a row it stands.

    Attributes:
        kind: the kind.
        rule: how its values are prepared.
        algorithm: how they are hashed, `None` sends them in clear.
        columns: their columns; none to detect them by the header and the values.
        is_opt_out: whether its values are opt-outs; one that is no identifier is counted, never passed over.
        region_column: of phone numbers, the column with the country that a row's number is dialed in.
    """

    kind: IdentifierType
    rule: Rule
    algorithm: HashAlgorithm | None = None
    columns: tuple[str, ...] = ()
    region_column: str | None = None
    is_opt_out: bool = False


Compare = Callable[[Any, Selection], int]
"""Takes an engine whose table `staged` holds prepared rows (`p`, and their `code`), and how they are sent.

Returns how many rows have an identifier that another row has as well.
"""


@frozen(kw_only=True)
class Plan:
    """What an upload takes from a table.

    Attributes:
        selections: the kinds of identifier.
        where: a condition on the other columns, in SQL.
        suppress: opt-outs of the first kind, which must not go out: a table, or raw values.
        suppress_strict: whether an opt-out that cannot be used is refused.
        dedupe: whether each identifier goes out once.
        counted: whether the total must be known before the first batch.
        batch_size: identifiers per batch.
        max_body_bytes: bytes of identifiers per batch.
        on_rejects: takes the rejected values in the reading thread, before the first batch; `None` only counts them.
        compare: takes the prepared rows in the reading thread, instead of the batches, of which there are none then.
        places: files and directories that it needs for that.
        threads: the engine's threads.
        memory_limit: beyond it the engine writes to disk.
    """

    selections: tuple[Selection, ...]
    where: str | None = None
    suppress: Table | Sequence[str] | None = field(default=None, repr=False)
    suppress_strict: bool = False
    dedupe: bool = True
    counted: bool = False
    batch_size: int = MAX_BATCH_SIZE
    max_body_bytes: int = DEFAULT_MAX_BODY_BYTES
    on_rejects: Callable[[Iterable[Reject]], object] | None = field(default=None, repr=False)
    compare: Compare | None = field(default=None, repr=False)
    places: tuple[Path, ...] = ()
    threads: int = field(factory=default_threads)
    memory_limit: str = DEFAULT_MEMORY_LIMIT

    @property
    def staged(self) -> bool:
        """Whether all rows are read before the first batch is cut."""
        one_pass = self.suppress is None and self.on_rejects is None and len(self.selections) == 1
        return self.dedupe or self.counted or self.compare is not None or not one_pass
