import copy
import pickle
from typing import Any

import pytest

from criteo_audiences import BulkResult, ConfigurationError, PartialFailureError, Problem
from criteo_audiences.results import Page
from criteo_audiences.session.endpoints import Search

REFUSED = Problem(code="name-must-be-unique", instance="@data/1", trace_id="trace-1")
WARNED = Problem(code="deprecated-field")


def test_one_is_the_only_item() -> None:
    """`one()` returns the only item, whatever was warned of."""
    assert BulkResult(items=("a",), warnings=(WARNED,)).one() == "a"


@pytest.mark.parametrize(
    ("result", "message", "problems"),
    [
        (BulkResult(), "One result was expected, Criteo returned 0.", ()),
        (BulkResult(items=("a", "b")), "One result was expected, Criteo returned 2.", ()),
        (
            BulkResult(errors=(REFUSED,)),
            "One result was expected, Criteo returned 0: name-must-be-unique at @data/1 (trace trace-1).",
            (REFUSED,),
        ),
        (
            BulkResult(items=("a",), errors=(REFUSED,)),
            "One result was expected, Criteo returned 1: name-must-be-unique at @data/1 (trace trace-1).",
            (REFUSED,),
        ),
        (
            BulkResult(errors=(REFUSED,), warnings=(WARNED,)),
            (
                "One result was expected, Criteo returned 0: "
                "name-must-be-unique at @data/1, deprecated-field (trace trace-1)."
            ),
            (REFUSED, WARNED),
        ),
    ],
)
def test_one_raises_unless_exactly_one_came(
    result: BulkResult[str], message: str, problems: tuple[Problem, ...]
) -> None:
    """`one()` raises with the problems when not exactly one item came, or a problem stands beside it."""
    with pytest.raises(PartialFailureError) as caught:
        result.one()
    assert str(caught.value) == message
    assert caught.value.problems == problems


def pickled(value: Any) -> Any:
    """Returns what comes back from a pickle."""
    return pickle.loads(pickle.dumps(value))  # noqa: S301 - our own


@pytest.mark.parametrize("remake", [copy.deepcopy, pickled])
def test_result_is_a_value(remake: Any) -> None:
    """A result equals its like, can be pickled, and its parts are empty when left out."""
    result = BulkResult(items=(1, 2), errors=(REFUSED,))
    assert remake(result) == result
    assert (BulkResult().items, BulkResult().errors, BulkResult().warnings) == ((), (), ())


class Shelf:
    """What a search looks through; it may change between two pages, and says a total or not."""

    def __init__(self, *items: str, total: int | None = None) -> None:
        self.items = list(items)
        self.total = total
        self.asked: list[tuple[int, int]] = []

    async def fetch(self, limit: int, offset: int) -> Page[str]:
        """Returns a page."""
        self.asked.append((limit, offset))
        return Page(
            items=tuple(self.items[offset : offset + limit]), total_items=self.total, limit=limit, offset=offset
        )

    def search(self) -> Search[str]:
        """Returns a search with two items on a page."""
        return Search(self.fetch, 2, str)


@pytest.mark.parametrize(
    ("shelf", "asked"),
    [
        (Shelf(), [(2, 0)]),
        (Shelf("a"), [(2, 0)]),
        (Shelf("a", "b"), [(2, 0), (2, 2)]),
        (Shelf("a", "b", total=2), [(2, 0)]),
        (Shelf("a", "b", "c", total=3), [(2, 0), (2, 2)]),
        (Shelf("a", "b", "c", "d", total=99), [(2, 0), (2, 2), (2, 4)]),
        (Shelf("a", total=0), [(2, 0)]),
    ],
    ids=lambda value: "".join(value.items) + f" of {value.total}" if isinstance(value, Shelf) else "",
)
async def test_search_ends(shelf: Shelf, asked: list[tuple[int, int]]) -> None:
    """A search yields every item and ends by the total, or without one by a page that is not full."""
    assert [item async for item in shelf.search()] == shelf.items
    assert shelf.asked == asked


async def test_search_yields_no_item_twice() -> None:
    """An item that moved to the next page while the search went on is not yielded again."""
    shelf = Shelf("a", "b", "c", total=4)
    seen = []
    async for item in shelf.search():
        seen.append(item)
        if item == "b":
            shelf.items.insert(0, "new")
    assert seen == ["a", "b", "c"]


async def test_search_ends_when_a_page_brings_nothing_new() -> None:
    """A server that gives the same page for ever is not asked for ever."""

    async def stuck(limit: int, offset: int) -> Page[str]:
        asked.append(offset)
        return Page(items=("a", "b")[:limit], total_items=1_000)

    asked: list[int] = []
    assert [item async for item in Search(stuck, 2, str)] == ["a", "b"]
    assert asked == [0, 2]


async def test_items_that_cannot_be_told_apart_are_all_yielded() -> None:
    """An item without an identity is nobody's double; a page of them that comes again still ends the search."""
    pages = [("a", "b"), ("c", "d"), ("c", "d"), ("e", "f")]

    async def fetch(limit: int, offset: int) -> Page[str]:
        return Page(items=pages[offset // limit])

    assert [item async for item in Search(fetch, 2, lambda _: None)] == ["a", "b", "c", "d"]


async def test_an_item_twice_on_one_page_is_yielded_once() -> None:
    """The same identity twice is one item, also within a page."""
    assert [item async for item in Shelf("a", "a", "b").search()] == ["a", "b"]


async def test_a_server_may_give_smaller_pages_than_asked_for() -> None:
    """Without a total, a page is full by the limit that the server says it kept to."""
    shelf = ("a", "b", "c")

    async def fetch(limit: int, offset: int) -> Page[str]:
        return Page(items=shelf[offset : offset + 1], limit=min(limit, 1))

    assert [item async for item in Search(fetch, 2, str)] == ["a", "b", "c"]


async def test_search_can_be_repeated() -> None:
    """Iterating again searches again."""
    looking = Shelf("a", "b", "c").search()
    assert [item async for item in looking] == [item async for item in looking] == ["a", "b", "c"]


async def test_one_page_can_be_asked_for() -> None:
    """`page` asks for one page, a full one from the beginning when nothing else is said."""
    shelf = Shelf("a", "b", "c")
    assert (await shelf.search().page()).items == ("a", "b")
    assert (await shelf.search().page(limit=1, offset=2)).items == ("c",)
    assert shelf.asked == [(2, 0), (1, 2)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"limit": 0}, "limit must be between 1 and 2, not 0."),
        ({"limit": 3}, "limit must be between 1 and 2, not 3."),
        ({"offset": -1}, "offset must be between 0 and 2,147,483,647, not -1."),
        ({"limit": "2"}, "limit must be a whole number, not str."),
    ],
)
async def test_wrong_page_is_refused(options: dict[str, Any], message: str) -> None:
    """A page beyond the bounds is refused before anything is asked."""
    shelf = Shelf("a")
    with pytest.raises(ConfigurationError) as caught:
        await shelf.search().page(**options)
    assert (str(caught.value), shelf.asked) == (message, [])
