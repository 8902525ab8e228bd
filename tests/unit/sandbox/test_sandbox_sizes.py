from typing import Any

import pytest

from criteo_audiences.sandbox import Sandbox

MS = "/2026-07/marketing-solutions"
MARKET = {"country": "FR"}
POINT = {"latitude": 48.85, "longitude": 2.35}


async def sizes(call: Any, *ids: Any, of: str = "audience-segments") -> Any:
    """Returns the answer to a computation."""
    data = [{"id": each, "type": "AudienceSegment"} for each in ids]
    return await call("POST", f"{MS}/{of}/compute-sizes", json={"data": data})


async def estimate(call: Any, of: str = "audience-segments", **attributes: Any) -> Any:
    """Returns the answer to an estimation for advertiser 1."""
    body = {"data": {"type": "x", "attributes": {"advertiserId": "1", **attributes}}}
    return await call("POST", f"{MS}/{of}/estimate-size", json=body)


async def segment(call: Any, name: str, **settings: Any) -> str:
    """Returns the id of a new segment."""
    return str((await call.new("marketing-solutions", name, **settings)).body["data"][0]["id"])


async def test_contact_lists_come_to_their_matched_users(sandbox: Sandbox, call: Any) -> None:
    """Six of ten; an empty list has no size yet, and one of which nobody was matched is too small."""
    full, small, empty = (sandbox.add_contact_list() for _ in range(3))
    await call.amend(full, [f"{number}@b.co" for number in range(10)])
    await call.amend(small, ["a@b.co"])
    reply = await sizes(call, full, small, empty, "9", None)
    assert reply.status == 200
    assert reply.body["data"] == [{"id": full, "type": "AudienceSegment", "attributes": {"size": 6}}]
    assert [(each["instance"], each["code"]) for each in reply.body["errors"]] == [
        ("@data/1", "segment-size-too-small"),
        ("@data/2", "segment-size-not-available"),
        ("@data/3", "segment-not-found"),
        ("@data/4", "required-field"),
    ]


async def test_kinds_with_a_size(sandbox: Sandbox, call: Any) -> None:
    """Figures of our own, the same each time; prospecting and retargeting have none."""
    seed, days = sandbox.add_contact_list(), {"daysSinceLastVisitMin": 0, "daysSinceLastVisitMax": 9}
    ids = [
        await segment(call, "a", inMarket=MARKET),
        await segment(call, "b", location={"pointsOfInterest": [POINT], "radiusInKm": 2}),
        await segment(call, "c", lookalike={"seedSegmentId": seed, "targetSize": 500}),
        await segment(call, "d", lookalike={"seedSegmentId": seed}),
        await segment(call, "e", prospecting={"usersType": "Prospects"}),
        await segment(call, "f", retargeting={"visitorsType": "All", **days}),
    ]
    reply = await sizes(call, *ids)
    assert reply.body["data"] == (await sizes(call, *ids)).body["data"]
    market, location, lookalike = [each["attributes"]["size"] for each in reply.body["data"]]
    assert market > 1_000_000
    assert (location, lookalike) == (1_200, 500)
    assert reply.codes == ["segment-size-not-available", *["segment-size-not-supported"] * 2]


async def test_a_definition_is_estimated(call: Any) -> None:
    """It comes to what the segment would come to, and narrower ones to less."""
    market = (await estimate(call, inMarket=MARKET)).body["data"]
    narrower = (await estimate(call, inMarket={**MARKET, "gender": "Male"}, location=None)).body["data"]
    assert market["type"] == "AudienceSegment"
    assert 0 < narrower["attributes"]["size"] < market["attributes"]["size"]
    computed = await sizes(call, await segment(call, "a", inMarket=MARKET))
    assert computed.body["data"][0]["attributes"] == market["attributes"]
    around = await estimate(call, location={"pointsOfInterest": [POINT], "radiusInKm": 10_000})
    assert around.body["data"]["attributes"]["size"] == 10_000_000


@pytest.mark.parametrize(
    ("attributes", "code"),
    [
        ({}, "required-field"),
        ({"inMarket": MARKET, "location": {}}, "invalid"),
        ({"inMarket": {}}, "country-code-is-required"),
        ({"inMarket": 7}, "invalid"),
        ({"location": {"pointsOfInterest": [POINT, POINT], "radiusInKm": 1}}, "poi-coordinates-must-be-unique"),
        ({"location": {"pointsOfInterest": [POINT], "radiusInKm": 0}}, "radius-must-be-in-range"),
        ({"location": {"pointsOfInterest": [{"latitude": 91}], "radiusInKm": 1}}, "poi-coordinates-must-be-valid"),
        ({"prospecting": {}}, "segment-size-not-supported"),
        ({"inMarket": MARKET, "advertiserId": 1}, "invalid"),
    ],
)
async def test_a_bad_definition_is_refused(call: Any, attributes: dict[str, Any], code: str) -> None:
    """There is one definition, so that the whole call fails."""
    reply = await estimate(call, **attributes)
    assert (reply.status, reply.codes) == (400, [code])


async def test_an_estimation_needs_its_advertiser(call: Any) -> None:
    """OpenAPI demands it."""
    body = {"data": {"attributes": {"inMarket": MARKET}}}
    assert (await call("POST", f"{MS}/audience-segments/estimate-size", json=body)).codes == ["required-field"]


async def test_audiences_come_to_what_their_algebra_says(sandbox: Sandbox, call: Any) -> None:
    """The same for one that exists as for a definition; what its segments lack, it lacks."""
    lists = [sandbox.add_contact_list() for _ in range(3)]
    for count, segment_id in zip((10, 5), lists, strict=False):
        await call.amend(segment_id, [f"{number}@b.co" for number in range(count)])
    first, second, empty = ({"audienceSegmentId": each} for each in lists)
    algebra = {"or": [first, {"and": [second, {"not": first}]}]}
    items = [
        {"attributes": {"advertiserId": "1", "name": name, "algebra": node}}
        for name, node in (("a", algebra), ("b", empty))
    ]
    created = await call("POST", f"{MS}/audiences/create", json={"data": items})
    reply = await sizes(call, *(each["id"] for each in created.body["data"]), "9", of="audiences")
    assert reply.body["data"] == [{"id": "700001", "type": "Audience", "attributes": {"size": 9}}]
    assert [(each["instance"], each["code"]) for each in reply.body["errors"]] == [
        ("@data/1", "segment-size-not-available"),
        ("@data/2", "audience-not-found"),
    ]
    estimated = await estimate(call, "audiences", algebra=algebra)
    assert estimated.body["data"] == {"type": "Audience", "attributes": {"size": 9}}


@pytest.mark.parametrize(
    ("algebra", "code"),
    [
        ({"audienceSegmentId": "9"}, "segment-not-found"),
        ({"audienceSegmentId": "300002"}, "segment-must-have-valid-segment-id"),
        ({"audienceSegmentId": "300001"}, "segment-size-not-available"),
        ({"and": []}, "invalid"),
        (7, "invalid"),
    ],
)
async def test_a_bad_algebra_is_not_estimated(sandbox: Sandbox, call: Any, algebra: Any, code: str) -> None:
    """The rules of a creation hold here too."""
    sandbox.add_contact_list()
    sandbox.add_contact_list(advertiser_id="2")
    reply = await estimate(call, "audiences", algebra=algebra)
    assert (reply.status, reply.codes) == (400, [code])
