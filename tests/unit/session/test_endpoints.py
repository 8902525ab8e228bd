from typing import Any

import orjson
import pytest

from criteo_audiences.errors import ConfigurationError, InvalidRequestError, PartialFailureError, PermissionDeniedError
from criteo_audiences.marketing_solutions import AudienceSegment, SegmentType
from criteo_audiences.session import Request, Response
from criteo_audiences.session.endpoints import (
    id_list,
    identities,
    search,
    send_bulk,
    send_for_nothing,
    send_for_one,
    words_of,
)

CALL = Request(method="POST", path="/things/search")


def found(*ids: str, total: int | None = None) -> Response:
    """Returns a page of a search."""
    entities = [{"id": each, "type": "AudienceSegment", "attributes": {"name": each}} for each in ids]
    return Response(status=200, body=orjson.dumps({"data": entities, "meta": {"totalItems": total, "limit": 2}}))


def refusal(status: int, *instances: str | None) -> Response:
    """Returns an error answer with a problem for each instance."""
    problems = [{"code": "name-must-be-unique", "instance": each} for each in instances]
    return Response(status=status, body=orjson.dumps({"errors": problems}))


async def test_400_that_blames_items_is_a_bulk_result(transport: Any, make_session: Any) -> None:
    """A 400 whose problems name items is read like the 200 it stands for."""
    transport.script.append(refusal(400, "@data/0", "@data/1"))
    result = await send_bulk(make_session(), CALL, AudienceSegment, ["a", "b"])
    assert [(failure.index, failure.item) for failure in result.failures] == [(0, "a"), (1, "b")]
    transport.script.append(refusal(400, "@data/0", None))
    result = await send_bulk(make_session(), CALL, AudienceSegment, ["a", "b"])
    assert ([failure.index for failure in result.failures], len(result.call_errors), result.ok) == ([0], 1, False)


@pytest.mark.parametrize("response", [refusal(400), refusal(400, None), refusal(400, "/x"), refusal(422, "@data/0")])
async def test_refusal_of_the_whole_call_raises(transport: Any, make_session: Any, response: Response) -> None:
    """Any other refusal is one of the call as a whole."""
    transport.script.append(response)
    with pytest.raises(InvalidRequestError):
        await send_bulk(make_session(), CALL, AudienceSegment)


async def test_single_results(transport: Any, make_session: Any) -> None:
    """A call with one result returns it, one without returns when it is done, with a body or without."""
    session = make_session()
    transport.script.append(Response(status=200, body=b'{"data":{"id":5,"attributes":{"name":"x"}}}'))
    assert await send_for_one(session, CALL, AudienceSegment) == AudienceSegment(id="5", name="x")
    transport.script.append(Response(status=204))
    await send_for_nothing(session, CALL)
    transport.script.append(Response(status=200, body=b'{"errors":[{"code":"x"}]}'))
    with pytest.raises(PartialFailureError):
        await send_for_nothing(session, CALL)


async def test_search_turns_its_pages(transport: Any, make_session: Any) -> None:
    """A search asks for page after page until it has all, and leaves out the filters that are not given."""
    transport.script.extend([found("1", "2", total=3), found("3", total=3)])
    looking = search(
        make_session(), CALL, {"advertiserIds": ["5"], "audienceSegmentIds": None}, AudienceSegment, page_maximum=2
    )
    assert transport.sent == []
    assert [segment.id async for segment in looking] == ["1", "2", "3"]
    assert [sent.path for sent in transport.api_calls] == [
        "/2026-07/things/search?limit=2&offset=0",
        "/2026-07/things/search?limit=2&offset=2",
    ]
    assert {sent.body for sent in transport.api_calls} == {b'{"data":{"attributes":{"advertiserIds":["5"]}}}'}


async def test_a_null_on_a_page_is_a_place_of_it(transport: Any, make_session: Any) -> None:
    """A full page with a `null` on it is full all the same: without a total, the next one is asked for."""
    full = Response(status=200, body=b'{"data":[{"id":"1"},null]}')
    transport.script.extend([full, found("3")])
    looking = search(make_session(), CALL, {}, AudienceSegment, page_maximum=2)
    assert [segment.id async for segment in looking] == ["1", "3"]
    assert transport.api_calls[-1].path.endswith("limit=2&offset=2")


async def test_search_with_problems_raises(transport: Any, make_session: Any) -> None:
    """A page with problems is no result."""
    transport.script.append(refusal(200, "/x"))
    with pytest.raises(PartialFailureError):
        await search(make_session(), CALL, {}, AudienceSegment, page_maximum=2).page()


@pytest.mark.parametrize("meta", ["null", "{}", '{"totalItems":null}', '{"other":1}'])
async def test_meta_may_say_nothing(transport: Any, make_session: Any, meta: str) -> None:
    """A page is read whatever its `meta` leaves out."""
    transport.script.append(Response(status=200, body=f'{{"data":[],"meta":{meta}}}'.encode()))
    page = await search(make_session(), CALL, {}, AudienceSegment, page_maximum=2).page()
    assert (page.items, page.total_items) == ((), None)


def test_ids_are_listed() -> None:
    """Ids become entities in order."""
    assert identities(iter(["1", "2"]), "X") == {"data": [{"id": "1", "type": "X"}, {"id": "2", "type": "X"}]}
    assert id_list(None, "ids") is None


def test_words_are_spelled_as_on_the_wire() -> None:
    """Words of a filter are sent in Criteo's spelling."""
    assert words_of(SegmentType, ["in-market", SegmentType.LOOKALIKE], "types") == ["InMarket", "Lookalike"]
    assert words_of(SegmentType, None, "types") is None


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: identities([], "X"), "ids must hold at least one id; found none."),
        (lambda: identities("812", "X"), "ids must be a list, not a single str."),
        (lambda: identities([812], "X"), "ids must hold ids as non-empty str, not int: put it in quotes."),
        (lambda: identities([""], "X"), "ids must hold ids as non-empty str, not an empty one."),
        (lambda: id_list("812", "advertiser_ids"), "advertiser_ids must be a list, not a single str."),
        (lambda: id_list(812, "advertiser_ids"), "advertiser_ids must be a list, not a single int."),
        (lambda: id_list({"812": 1}, "advertiser_ids"), "advertiser_ids must be a list, not a single dict."),
        (lambda: words_of(SegmentType, "InMarket", "types"), "types must be a list, not a single str."),
        (lambda: words_of(SegmentType, 5, "types"), "types must be a list, not a single int."),
    ],
)
def test_wrong_arguments_are_named(build: Any, message: str) -> None:
    """A wrong argument is refused before anything is sent, in one sentence that names it."""
    with pytest.raises(ConfigurationError) as caught:
        build()
    assert str(caught.value) == message


async def test_failure_of_a_search_ends_it(transport: Any, make_session: Any) -> None:
    """A search that fails on a later page has handed out the earlier ones and raises."""
    transport.script.extend([found("1", "2", total=9), Response(status=403)])
    items = aiter(search(make_session(), CALL, {}, AudienceSegment, page_maximum=2))
    assert [(await anext(items)).id for _ in range(2)] == ["1", "2"]
    with pytest.raises(PermissionDeniedError):
        await anext(items)
