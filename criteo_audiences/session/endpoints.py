"""The four shapes of calls: a bulk call, a search, a single result, no result."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Generic, NoReturn, TypeVar

from attrs import evolve, field, frozen

from criteo_audiences.errors import ConfigurationError, InvalidRequestError
from criteo_audiences.models import Word
from criteo_audiences.results import BulkResult, Page
from criteo_audiences.session.codec import read_bulk, read_nothing, read_one, read_page, unstructure
from criteo_audiences.session.protocol import MOST_OF_MANY, Request, json_request
from criteo_audiences.session.session import Session
from criteo_audiences.validation import choose, require_ids, require_list, require_whole

T = TypeVar("T")
W = TypeVar("W", bound=Word)

_BAD_REQUEST: Final = 400


@frozen(kw_only=True)
class _Identity:
    """A deleted item, of which only the id is left."""

    id: str | None = None


async def send_bulk(session: Session, request: Request, kind: type[T], requested: Sequence[Any] = ()) -> BulkResult[T]:
    """Makes a bulk call; reads a 400 that blames items like a 200 in which every item failed.

    Criteo's guide shows a 200 when every item fails, but Criteo also answers 400 then (name-must-be-unique).

    Args:
        session: sends the call.
        request: the call.
        kind: the model of an item.
        requested: the items of the call, in its order: models or ids.
    """
    return await _send_bulk(session, request, requested, lambda document: read_bulk(document, kind, requested))


async def send_deletion(session: Session, request: Request, ids: Sequence[str]) -> BulkResult[str]:
    """Makes a call that deletes; an answer without a body (204) means that every item was deleted."""

    def read(document: Any) -> BulkResult[str]:
        if document is None:
            return BulkResult(items=tuple(ids), requested=tuple(ids))
        found = read_bulk(document, _Identity, ids)
        gone = tuple(item.id for item in found.items if item.id is not None)
        return BulkResult(items=gone, errors=found.errors, warnings=found.warnings, requested=found.requested)

    return await _send_bulk(session, request, ids, read)


async def _send_bulk(
    session: Session, request: Request, requested: Sequence[Any], read: Callable[[Any], BulkResult[T]]
) -> BulkResult[T]:
    try:
        return await session.ask(_with_room(request), read)
    except InvalidRequestError as error:
        refused: BulkResult[T] = BulkResult(errors=error.problems, warnings=error.warnings, requested=tuple(requested))
        if error.status != _BAD_REQUEST or not refused.failures:
            raise
        return refused


async def send_for_one(session: Session, request: Request, kind: type[T]) -> T:
    """Makes a call with a single result."""
    return await session.ask(request, lambda document: read_one(document, kind))


async def send_for_list(session: Session, request: Request, kind: type[T]) -> tuple[T, ...]:
    """Makes a call whose answer is a whole list."""
    return await session.ask(_with_room(request), lambda document: _items(document, kind))


async def send_for_page(session: Session, request: Request, kind: type[T]) -> tuple[tuple[T, ...], bool]:
    """Makes a call for a numbered page (`metadata.nextPage`); returns its items and whether another page follows."""

    def read(document: Any) -> tuple[tuple[T, ...], bool]:
        items = _items(document, kind)  # raises unless it is an object
        metadata = document.get("metadata")
        return items, isinstance(metadata, dict) and bool(metadata.get("nextPage"))

    return await session.ask(_with_room(request), read)


def _with_room(request: Request) -> Request:
    """Allows the answer to be as large as an answer about many items."""
    return evolve(request, most_bytes=MOST_OF_MANY)


def _items(document: Any, kind: type[T]) -> tuple[T, ...]:
    return read_page(document, kind).items


async def send_for_nothing(session: Session, request: Request) -> None:
    """Makes a call that returns nothing; its answer may have a body or none."""
    await session.ask(request, read_nothing)


def entities(models: Iterable[object], entity_type: str, name: str) -> dict[str, Any]:
    """Returns the body of a bulk call: each model as an entity, its `id` next to its attributes.

    Raises:
        ConfigurationError: when there are no models; names the argument.
    """
    data = []
    for model in models:
        attributes = unstructure(model)
        identity = {"id": attributes.pop("id")} if "id" in attributes else {}
        data.append({**identity, "type": entity_type, "attributes": attributes})
    if not data:
        raise ConfigurationError(f"{name} must hold at least one; found none.")
    return {"data": data}


def identities(ids: Iterable[str], entity_type: str) -> dict[str, Any]:
    """Returns the body of a bulk call that only names entities.

    Raises:
        ConfigurationError: when there are no ids, or one of them is not text.
    """
    return {"data": [{"id": entry, "type": entity_type} for entry in require_ids(ids, "ids")]}


def id_list(ids: Iterable[str] | None, name: str) -> list[str] | None:
    """Returns ids as a list; `None` stays `None`, which filters nothing.

    Raises:
        ConfigurationError: when it is not a list, or contains anything but text.
    """
    # Criteo ignores an empty filter, and would answer with the items of all owners.
    return None if ids is None else require_ids(ids, name)


def words_of(words: type[W], values: Iterable[object] | None, name: str) -> list[str] | None:
    """Returns words of a vocabulary as Criteo spells them; `None` stays `None`, which filters nothing.

    Raises:
        ConfigurationError: when it is not a list, or contains an unknown word.
    """
    if values is None:
        return None
    chosen = [choose(words, value, name).value for value in require_list(values, name)]
    if not chosen:
        raise ConfigurationError(f"{name} must hold at least one word; leave it out to filter nothing.")
    return chosen


@frozen
class Search(Generic[T]):
    """A search: iterate over it with `async for` to get every item, page by page, or get a single page with `page`.

    Nothing is sent before the first item is requested; iterating again searches again.
    """

    _fetch: Callable[[int, int], Awaitable[Page[T]]] = field(repr=False)
    _page_maximum: int
    _identity: Callable[[T], object] = field(repr=False)

    if not TYPE_CHECKING:  # hidden from type checkers: to them, it is not iterable like this

        def __iter__(self) -> NoReturn:
            raise TypeError(
                "a search is iterated over with `async for`, or asked for a page with `await search.page()`."
            )

        __await__ = __iter__

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
        require_whole(wanted, "limit", least=1, most=self._page_maximum)
        require_whole(offset, "offset", least=0)
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
        """Returns the items that were not seen before, and remembers them."""
        fresh = []
        for item in items:
            identity = self._identity(item)
            if identity is None or identity not in seen:
                fresh.append(item)
                seen.add(identity)
        return fresh

    def _is_last(self, page: Page[T], covered: int, offset: int) -> bool:
        """Whether no page follows: judged by the total, or without a total by whether the page is full.

        A full page has as many entries as were requested, unless the server announces a lower limit.
        """
        if page.total_items is not None:
            return offset >= page.total_items
        return covered < min(self._page_maximum, page.limit or self._page_maximum)


def search(
    session: Session, path: Request, filters: Mapping[str, Any], kind: type[T], *, page_maximum: int
) -> Search[T]:
    """Returns a search that requests each page when it is needed.

    Args:
        session: sends the calls.
        path: the call, without the page's parameters.
        filters: what to look for; a filter that is `None` is left out.
        kind: the model of an item, which has an `id`.
        page_maximum: the most items the service puts on a page.
    """
    attributes = {name: value for name, value in filters.items() if value is not None}
    template = json_request(
        path.method, path.path, {"data": {"attributes": attributes}}, path_parameters=path.path_parameters
    )

    async def fetch(limit: int, offset: int) -> Page[T]:
        request = evolve(_with_room(template), query={"limit": str(limit), "offset": str(offset)})
        return await session.ask(request, lambda document: read_page(document, kind))

    return Search(fetch, page_maximum, lambda item: getattr(item, "id", None))
