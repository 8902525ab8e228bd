"""What an upload asks of a lane, which reads a source and hands on its batches."""

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

from criteo_audiences.batches import Batch
from criteo_audiences.identifiers import OptOutCount, RejectReason
from criteo_audiences.models import IdentifierType
from criteo_audiences.tables.origins import SourceRow

Deliver = Callable[[Batch], Awaitable[None]]
"""Takes a batch, waiting until somebody is free to send it."""


class Rows(Protocol):
    """What has become of the values read so far: each goes out, or is counted in one of these."""

    @property
    def read(self) -> int:
        """Values read."""

    @property
    def rejected(self) -> Counter[RejectReason]:
        """Values that are no identifiers, by reason."""

    @property
    def suppressed(self) -> int:
        """Values that have opted out."""

    @property
    def duplicates(self) -> int | None:
        """Values whose identifier went before them, `None` when nobody looks."""

    @property
    def already_hashed(self) -> int:
        """Values that came as digests."""


class Lane(Protocol):
    """From a source to batches."""

    @property
    def rows(self) -> Rows:
        """What has become of the values read so far."""

    @property
    def opt_outs(self) -> OptOutCount | None:
        """How many opt-outs the values are compared with, once it is open; `None` without any."""

    async def open(self) -> None:
        """Finds out whether the source and the opt-outs can be used; reads no value of the source."""

    async def run(self, deliver: Deliver) -> None:
        """Reads to the end of the source and delivers every batch, also an incomplete last one."""

    async def close(self) -> None:
        """Gives back what `open` took, whether or not `run` was called."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of a table that were chosen."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What a caller should know of the source, a sentence each."""

    def share(self) -> float | None:
        """How much has been read, 0 to 1; `None` when the source cannot tell."""

    def staged(self) -> float | None:
        """How much has been read of a table that is read before its first batch, 0 to 1; `None` for other sources."""

    def seen(self) -> int:
        """Values read; about, while a table is read before its first batch."""

    def count_rest(self) -> None:
        """Counts what was read and not prepared yet, when the source is left before its end."""

    async def first_rows(self, sought: Mapping[IdentifierType, set[str]]) -> Sequence[SourceRow]:
        """Reads the source once more, for the first row of each identifier, in the order of its rows.

        Args:
            sought: identifiers as they went out, by kind.

        Returns:
            None where the source can be read only once.
        """
