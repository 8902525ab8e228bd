"""What an upload asks of a lane, which reads a source and hands on its batches."""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence

from attrs import frozen

from criteo_audiences.batches import Batch
from criteo_audiences.identifiers import OptOutCount, RowCounts
from criteo_audiences.models import IdentifierType
from criteo_audiences.tables.origins import SourceRow

Deliver = Callable[[Batch], Awaitable[None]]
"""Takes a batch, waiting until a sender is free."""


@frozen(kw_only=True)
class LaneProgress:
    """How far a lane has read its source.

    Attributes:
        seen: values read; about, while a table is read before its first batch.
        share: how much has been read, 0 to 1; `None` when the source cannot say.
        staged: how much has been read of a table that is read before its first batch, 0 to 1; `None` for other sources.
    """

    seen: int
    share: float | None = None
    staged: float | None = None


class Lane(ABC):
    """From a source to batches."""

    @property
    @abstractmethod
    def rows(self) -> RowCounts:
        """What has become of the values read so far."""

    @property
    def opt_outs(self) -> OptOutCount | None:
        """How many opt-outs the values are compared with, once the lane is open; `None` without any."""
        return None

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of a table that were chosen, once the lane is open."""
        return ()

    @property
    def notes(self) -> tuple[str, ...]:
        """What a caller should know of the source, a sentence each."""
        return ()

    @abstractmethod
    def progress(self) -> LaneProgress:
        """Returns how far the source has been read."""

    @abstractmethod
    async def open(self) -> None:
        """Finds out whether the source and the opt-outs can be used; reads no value of the source."""

    @abstractmethod
    async def run(self, deliver: Deliver) -> None:
        """Reads to the end of the source and delivers every batch, also an incomplete last one."""

    async def close(self) -> None:
        """Gives back what `open` took, whether or not `run` was called."""
        return

    def count_rest(self) -> None:
        """Counts what was read and not prepared yet, when the source is left before its end."""
        return

    @abstractmethod
    async def refused_rows(self, refused: Mapping[IdentifierType, set[str]]) -> Sequence[SourceRow]:
        """Reads the source once more, for the first row of each refused identifier, in the order of its rows.

        Args:
            refused: identifiers as they went out, by kind.

        Returns:
            Nothing where the source can be read only once.

        Raises:
            SourceChangedError: when the source is no longer what was read.
        """
