"""Reads the changes of a list from a file of ours, as batches; blocking, for a thread of its own."""

import threading
from collections.abc import Generator
from contextlib import closing
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, Final

from attrs import frozen

from criteo_audiences.batches import Batch
from criteo_audiences.models import HashAlgorithm, IdentifierType
from criteo_audiences.tables.cutter import Cutter, framing_of
from criteo_audiences.tables.engine import comparison, query
from criteo_audiences.tables.engine.arrow import read_stream
from criteo_audiences.tables.engine.connection import connect, failure, translated
from criteo_audiences.tables.files.paths import literal_path
from criteo_audiences.tables.files.workspace import workspace

_LABEL: Final = "the file of changes"


@frozen(kw_only=True)
class Changes:
    """Changes of one operation, and how they are sent.

    Attributes:
        path: of the file.
        removes: whether to read the removals, or the additions.
        kind: of the identifiers.
        algorithm: how they are hashed.
        batch_size: identifiers per batch.
        max_body_bytes: bytes of identifiers per batch.
        memory_limit: of the engine.
    """

    path: Path
    removes: bool
    kind: IdentifierType
    algorithm: HashAlgorithm | None
    batch_size: int
    max_body_bytes: int
    memory_limit: str


class ChangeReader:
    """One pass over the changes of one operation.

    Args:
        changes: what to read.
    """

    def __init__(self, changes: Changes) -> None:
        self._changes = changes
        self._engine: Any = None
        self._closing = threading.Lock()  # the engine must not be closed while it is interrupted

    def interrupt(self) -> None:
        """Stops the reading in progress; may be called from another thread."""
        with self._closing:
            if self._engine is not None:
                self._engine.interrupt()

    def abandon(self) -> None:
        """Leaves nothing behind: it only reads."""

    def batches(self) -> Generator[tuple[Batch, ...], None, None]:
        """Yields the batches in the order of the changes, some at a time.

        Raises:
            OSError: when the file cannot be read to its end.
        """
        changes, algorithm = self._changes, self._changes.algorithm
        cutter = Cutter(
            changes.kind,
            framing_of(algorithm),
            size=changes.batch_size,
            max_bytes=changes.max_body_bytes,
            number=count(1).__next__,
        )
        with workspace() as directory, translated(_LABEL, has_sql=False):
            engine = connect(directory, threads=1, memory_limit=changes.memory_limit, files=[changes.path])
            with closing(engine), closing(cutter):
                self._engine = engine
                try:
                    path = literal_path(changes.path, directory)
                    rows = comparison.outgoing(path, removes=changes.removes, is_hashed=algorithm is not None)
                    stream = engine.sql(query.outgoing(rows, changes.kind, algorithm))
                    fail = partial(failure, name=_LABEL, has_sql=False)
                    for codes, texts in read_stream(stream.__arrow_c_stream__(), fail):
                        yield tuple(cutter.feed(codes, texts))
                    yield tuple(cutter.flush())
                finally:
                    with self._closing:
                        self._engine = None
