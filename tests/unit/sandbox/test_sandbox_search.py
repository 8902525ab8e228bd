from collections.abc import Callable
from typing import Any

import pytest

from criteo_audiences.sandbox import Sandbox

SERVICES = ["marketing-solutions", "retail-media", "commerce-grid"]
MS, RM, CG = SERVICES


def names(reply: Any) -> list[str]:
    """Returns the names that were found."""
    return [each["attributes"]["name"] for each in reply.body["data"]]


@pytest.mark.parametrize(("service", "maximum"), [(MS, 100), (RM, 500), (CG, 100)])
async def test_a_search_answers_a_page(sandbox: Sandbox, call: Any, service: str, maximum: int) -> None:
    """26: 50 segments by default, up to the service's maximum on request; meta tells the total."""
    for number in range(maximum + 1):
        sandbox.add_contact_list(f"{number}", service=service)
    for query, limit, offset, found in [
        ("", 50, 0, range(50)),
        (f"?limit={maximum}", maximum, 0, range(maximum)),
        (f"?limit={maximum}&offset={maximum}", maximum, maximum, range(maximum, maximum + 1)),
        ("?limit=0", 0, 0, range(0)),
        ("?offset=9999", 50, 9999, range(0)),
        ("?limit=2&offset=3", 2, 3, range(3, 5)),
    ]:
        reply = await call.search(service, query=query)
        assert names(reply) == list(map(str, found))
        assert reply.body["meta"] == {"totalItems": maximum + 1, "limit": limit, "offset": offset}
        assert (reply.body["errors"], reply.body["warnings"]) == ([], [])


@pytest.mark.parametrize(
    "query", ["limit={}", "limit=-1", "limit=x", "limit=", "limit=1.5", "offset=-1", "offset=2147483648", "limit=٣"]
)
@pytest.mark.parametrize(("service", "beyond"), [(MS, 101), (RM, 501), (CG, 101)])
async def test_a_page_that_openapi_does_not_allow_is_refused(call: Any, service: str, beyond: int, query: str) -> None:
    """A limit above the service's maximum, a negative number and no number at all get 400."""
    reply = await call.search(service, query=f"?{query.format(beyond)}")
    assert (reply.status, reply.problem["code"]) == (400, "invalid-range")


@pytest.fixture
async def filled(sandbox: Sandbox, call: Any) -> dict[str, str]:
    """Ids by name, of segments in all services."""
    owners = {MS: "advertiserId", CG: "dataProviderId"}
    for owner in "12":
        for service, field in owners.items():
            await call.new(service, f"list {owner}", **{field: owner})
        await call.new(RM, f"list {owner}", retailerId=owner)
    await call.new(MS, "market", inMarket={"country": "FR"})
    await call.new(RM, "events", events={"shopperActivity": "View", "lookbackDays": "Last7Days"})
    await call.new(CG, "remote", contactList={"remoteId": "r-1"})
    sandbox.add_contact_list("elsewhere", service="retail-media", account_id="2")
    return {each["attributes"]["name"]: each["id"] for each in (await call.search(MS)).body["data"]}


@pytest.mark.parametrize(
    ("service", "filters", "found"),
    [
        (MS, None, ["list 1", "list 2", "market"]),
        (MS, {"advertiserIds": ["1"]}, ["list 1", "market"]),
        (MS, {"advertiserIds": ["1", "2"]}, ["list 1", "list 2", "market"]),
        (MS, {"advertiserIds": ["1"], "audienceSegmentTypes": ["ContactList"]}, ["list 1"]),
        (MS, {"audienceSegmentTypes": ["InMarket", "Behavioral", "Unknown"]}, ["market"]),
        (
            MS,
            {"audienceSegmentIds": None, "advertiserIds": None, "audienceSegmentTypes": None},
            ["list 1", "list 2", "market"],
        ),
        (MS, {"advertiserIds": []}, ["list 1", "list 2", "market"]),
        (MS, {"advertiserIds": ["3"]}, []),
        (MS, {"retailerIds": ["3"]}, ["list 1", "list 2", "market"]),
        (RM, None, ["list 1", "list 2", "events"]),
        (RM, {"retailerIds": ["2"]}, ["list 2"]),
        (RM, {"audienceSegmentTypes": ["Events"]}, ["events"]),
        (CG, {"dataProviderIds": ["2"]}, ["list 2"]),
        (CG, {"remoteIds": ["r-1", "r-2"]}, ["remote"]),
        (CG, {"audienceSegmentTypes": ["Unknown"]}, []),
    ],
)
@pytest.mark.usefixtures("filled")
async def test_filters_are_joined_by_and(call: Any, service: str, filters: Any, found: list[str]) -> None:
    """A segment passes every filter that is given; null and an empty list let everything through."""
    reply = await call.search(service, filters)
    assert (reply.status, names(reply)) == (200, found)
    assert reply.body["meta"]["totalItems"] == len(found)


async def test_segments_are_found_by_id(call: Any, filled: dict[str, str]) -> None:
    """Ids of other services and unknown ones find nothing."""
    wanted = [filled["market"], "300000000000300003", "9"]
    assert names(await call.search(MS, {"audienceSegmentIds": wanted})) == ["market"]


@pytest.mark.parametrize(
    "body",
    [
        {"data": None},
        {"data": []},
        {"data": {"attributes": 1}},
        {"data": {"attributes": {"audienceSegmentIds": "1"}}},
        {"data": {"attributes": {"audienceSegmentIds": [1]}}},
        {"data": {"attributes": {"audienceSegmentTypes": ["In-market"]}}},
    ],
)
async def test_filters_that_openapi_does_not_allow_are_refused(call: Any, body: Any) -> None:
    """16: by default a type must be spelled as in OpenAPI, and every filter is a list of strings."""
    reply = await call("POST", "/2026-07/marketing-solutions/audience-segments/search", json=body)
    assert (reply.status, reply.problem["code"]) == (400, "invalid")


async def test_denied_segments_are_not_found(sandbox: Sandbox, call: Any) -> None:
    """Without consent an advertiser's segments are not shown."""
    shown, hidden = sandbox.add_contact_list("shown"), sandbox.add_contact_list("hidden")
    sandbox.deny(hidden)
    assert names(await call.search(MS, {"audienceSegmentIds": [shown, hidden]})) == ["shown"]


async def test_any_owner_is_accepted(connect: Callable[..., Any]) -> None:
    """An account that nobody has heard of has no segments, and that is no error."""
    async with Sandbox() as sandbox:
        path = "/2026-07/retail-media/accounts/987654/audience-segments/search"
        reply = await connect(sandbox)("POST", path, json={})
        assert (reply.status, reply.body["data"], reply.body["meta"]["totalItems"]) == (200, [], 0)


async def test_a_search_finds_only_its_service_where_three_have_one_id(sandbox: Sandbox, call: Any) -> None:
    """Criteo numbers each service on its own; the lists of the others are no part of the answer."""
    for service in SERVICES:
        sandbox.add_contact_list(f"of {service}", service=service, segment_id="812345")
    for service in SERVICES:
        for filters in (None, {"audienceSegmentIds": ["812345"]}):
            reply = await call.search(service, filters)
            assert (names(reply), reply.body["meta"]["totalItems"]) == ([f"of {service}"], 1)
    filtered = await call.search(MS, {"advertiserIds": ["1"]})
    assert names(filtered) == [f"of {MS}"]
