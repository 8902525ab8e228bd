"""Values that can be iterated over again, and where among them identifiers stand."""

from collections.abc import Iterator, Sequence
from itertools import islice

from attrs import field, frozen

from criteo_audiences.errors import SourceChangedError
from criteo_audiences.identifiers import Preparation
from criteo_audiences.tables.origins import SourceRow
from criteo_audiences.tables.plan import Selection
from criteo_audiences.uploads.pacing import Pace


@frozen
class Repeatable:
    """A sequence of values, such as a list.

    Attributes:
        values: the sequence.
        length: values in it when it was read first.
        selection: how they are prepared.
    """

    values: Sequence[object] = field(repr=False)
    length: int
    selection: Selection

    async def first_rows(self, sought: set[str]) -> list[SourceRow]:
        """Returns the first position of each identifier; on the event loop, in slices of about half a millisecond.

        Raises:
            SourceChangedError: when there are more or fewer values than before.
        """
        if len(self.values) != self.length:
            raise SourceChangedError("The source has changed.")
        left = set(sought)
        rows: list[SourceRow] = []
        pace, iterator, read = Pace(self._preparation()), iter(self.values), 0
        while left and (values := list(islice(iterator, pace.step))):
            if not left.isdisjoint(pace.prepared(values)):
                rows += (SourceRow(row=read + position) for position in self._positions(values, left))
            read += len(values)
            await pace.rest()
        return rows

    def _preparation(self) -> Preparation:
        return Preparation(algorithm=self.selection.algorithm, rule=self.selection.rule)

    def _positions(self, values: Sequence[object], left: set[str]) -> Iterator[int]:
        """Yields where in a slice identifiers stand, from 1, and takes them from those that are left."""
        preparation = self._preparation()
        for position, value in enumerate(values, start=1):
            found = left.intersection(preparation.prepare([value]))
            left -= found
            if found:
                yield position
