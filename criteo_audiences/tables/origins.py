"""Places of values in a source: of the rejected ones, and of those that Criteo refused."""

from typing import Any, NamedTuple

from attrs import frozen

from criteo_audiences.identifiers import RejectReason


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


@frozen(kw_only=True)
class SourceRow:
    """A row of a source, named as in the file of rejects; its value is not here.

    Attributes:
        file: the name of the file; empty for what is no file.
        row: the row of data there, from 1; elsewhere the position in the source.
        column: the column's name; empty for what has none.
    """

    file: str = ""
    row: int
    column: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Returns JSON-safe values."""
        return {"file": self.file, "row": self.row, "column": self.column}
