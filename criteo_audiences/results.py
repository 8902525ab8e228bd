"""What bulk calls and searches return."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from attrs import field, frozen

from criteo_audiences.errors import PartialFailureError
from criteo_audiences.models import Problem
from criteo_audiences.validation import require_range

T = TypeVar("T")


@frozen(kw_only=True)
class BulkResult(Generic[T]):
    """What a bulk call did, item by item: a 200 is not a success.

    Attributes:
        items: the items that succeeded, in Criteo's order.
        errors: problems; `problem.index` is the position of the failed item in the request.
        warnings: the same for warnings.
    """

    items: tuple[T, ...] = ()
    errors: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()

    def one(self) -> T:
        """Returns the only item.

        Raises:
            PartialFailureError: when there is not exactly one item, or a problem comes with it.
        """
        if len(self.items) == 1 and not self.errors:
            return self.items[0]
        raise PartialFailureError(
            (*self.errors, *self.warnings), what=f"One result was expected, Criteo returned {len(self.items)}"
        )


@frozen(kw_only=True)
class Page(Generic[T]):
    """One page of a search.

    Attributes:
        items: what it holds.
        total_items: how many there are in all, where the server says so.
        limit: the most a page may hold.
        offset: position of the first item.
        places: how many places of the search it covers, those that Criteo left empty (`null`) included; `None` for as
            many as there are items.
    """

    items: tuple[T, ...] = ()
    total_items: int | None = None
    limit: int | None = None
    offset: int | None = None
    places: int | None = None


@frozen
class Search(Generic[T]):
    """A search: iterate over it with `async for` and it turns the pages by itself, or ask for one with `page`.

    Nothing is sent before the first item is asked for; iterating again searches again.
    """

    _fetch: Callable[[int, int], Awaitable[Page[T]]] = field(repr=False)
    _page_maximum: int
    _identity: Callable[[T], object] = field(repr=False)

    async def page(self, limit: int | None = None, offset: int = 0) -> Page[T]:
        """Returns one page.

        Args:
            limit: items on it, at most the service's page maximum, which is also the default.
            offset: position of the first item, from 0.

        Raises:
            ConfigurationError: when a bound is exceeded; nothing was sent.
            CriteoError: when the call failed.
        """
        wanted = self._page_maximum if limit is None else limit
        require_range(wanted, "limit", least=1, most=self._page_maximum)
        require_range(offset, "offset", least=0, most=2**31 - 1)
        return await self._fetch(wanted, offset)

    async def __aiter__(self) -> AsyncIterator[T]:
        """Yields every item once, though pages shift when segments come and go between two calls.

        Items without an identity cannot be compared, so each of them is yielded.
        """
        seen: set[object] = set()
        before: tuple[T, ...] = ()
        offset = 0
        while True:
            page = await self._fetch(self._page_maximum, offset)
            fresh = [] if page.items == before else self._fresh(page.items, seen)
            for item in fresh:
                yield item
            covered = len(page.items) if page.places is None else page.places
            offset += covered
            # Without a new item on it a page is the last one, whatever the total claims.
            if not fresh or self._is_last(page, covered, offset):
                return
            before = page.items

    def _fresh(self, items: Sequence[T], seen: set[object]) -> list[T]:
        """Returns the items that were not there before, and notes them."""
        fresh = []
        for item in items:
            identity = self._identity(item)
            if identity is None or identity not in seen:
                fresh.append(item)
                seen.add(identity)
        return fresh

    def _is_last(self, page: Page[T], covered: int, offset: int) -> bool:
        """Whether nothing follows: by the total, or without one by a page that is not full.

        A full one has as many places as were asked for, unless the server says that it gives fewer.
        """
        if page.total_items is not None:
            return offset >= page.total_items
        return covered < min(self._page_maximum, page.limit or self._page_maximum)
