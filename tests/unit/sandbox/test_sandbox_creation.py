import re
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

from criteo_audiences.sandbox import Sandbox


def segment(name: str = "new", **settings: Any) -> dict[str, Any]:
    """Returns the attributes of a segment, of a contact list when nothing else is said."""
    return {"advertiserId": "1", "name": name, **(settings or {"contactList": {}})}


async def test_a_contact_list_is_created(sandbox: Sandbox, call: Any) -> None:
    """The answer is the full entity, and the list is there to be filled."""
    reply = await call.create(segment("crm", contactList={}, description="customers"))
    assert reply.status == 200
    (entity,) = reply.body["data"]
    assert entity == {
        "id": "300001",
        "type": "AudienceSegment",
        "attributes": {
            "advertiserId": "1",
            "name": "crm",
            "description": "customers",
            "type": "ContactList",
            "createdAt": "2023-11-14T22:13:20.250Z",
            "updatedAt": "2023-11-14T22:13:20.250Z",
            "contactList": {"isReadOnly": False},
        },
    }
    assert (reply.body["errors"], reply.body["warnings"]) == ([], [])
    assert len(sandbox.contact_list("300001")) == 0


@pytest.mark.parametrize(
    ("name", "kind", "settings", "kept"),
    [
        ("inMarket", "InMarket", {"country": "FR", "gender": "Male", "buyingPower": ["Low", "VeryHigh"], "x": 1}, None),
        ("lookalike", "Lookalike", {"seedSegmentId": "300001", "targetSize": 2**40}, None),
        ("prospecting", "Prospecting", {"usersType": "Prospects"}, None),
        (
            "retargeting",
            "Retargeting",
            {"visitorsType": "All", "daysSinceLastVisitMin": 0, "daysSinceLastVisitMax": 400},
            None,
        ),
        (
            "location",
            "Location",
            {"pointsOfInterest": [{"latitude": 48.8566969, "longitude": 2}, {"name": "here"}], "radiusInKm": 5},
            {
                "pointsOfInterest": [{"latitude": 48.8567, "longitude": 2}, {"name": "here"}],
                "radiusInKm": 5,
                "registryType": "PointOfInterest",
            },
        ),
    ],
)
async def test_every_kind_of_segment_can_be_created(
    sandbox: Sandbox, call: Any, name: str, kind: str, settings: dict[str, Any], kept: dict[str, Any] | None
) -> None:
    """The settings come back under their name, and unknown fields are left out."""
    sandbox.add_contact_list("seed")
    reply = await call.create(segment("new", **{name: settings}))
    attributes = reply.body["data"][0]["attributes"]
    assert attributes["type"] == kind
    assert attributes[name] == (kept or {field: value for field, value in settings.items() if field != "x"})


async def test_good_items_are_created_beside_bad_ones(sandbox: Sandbox, call: Any) -> None:
    """A partial success is a 200 whose problems name their items, all with one trace id and an id for each request."""
    reply = await call.create(segment("one"), segment(""), segment("one"), segment("two"))
    assert reply.status == 200
    assert [each["attributes"]["name"] for each in reply.body["data"]] == ["one", "two"]
    found = [(each["type"], each["code"], each["instance"]) for each in reply.body["errors"]]
    assert found == [
        ("validation", "name-must-not-be-empty", "@data/1"),
        ("validation", "name-must-be-unique", "@data/2"),
    ]
    (trace,) = {each["traceId"] for each in reply.body["errors"]}
    assert UUID(trace)
    assert trace != (await call.create(segment(""))).problem["traceId"]
    assert sandbox.requests[-1].status == 200


async def test_all_problems_of_an_item_are_told(call: Any) -> None:
    """An item with two mistakes has two problems of the same instance."""
    reply = await call.create({"name": " ", "description": None, "inMarket": {"country": "France", "gender": "male"}})
    assert reply.codes == [
        "required-field",
        "name-must-not-be-empty",
        "invalid",
        "country-code-must-be-valid",
        "gender-must-be-valid",
    ]
    assert {each["instance"] for each in reply.body["errors"]} == {"@data/0"}


async def test_names_are_unique_per_advertiser(sandbox: Sandbox, call: Any) -> None:
    """Another advertiser may use a name; the same one may not, not even through the handle."""
    sandbox.add_contact_list(name="crm")
    other = segment("crm") | {"advertiserId": "2"}
    assert (await call.create(segment("crm"), other)).codes == ["name-must-be-unique"]
    with pytest.raises(ValueError, match="already"):
        sandbox.add_contact_list(name="crm", advertiser_id="2")


POINT = {"latitude": 1, "longitude": 2}
DAYS = "retargeting-segment-days-since-last-visit-are-not"


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ({"contactList": []}, "invalid"),
        ({"contactList": None}, "invalid"),
        ({"contactList": {}, "lookalike": {"seedSegmentId": "1"}}, "invalid"),
        ({"unheardOf": {}}, "required-field"),
        ({"inMarket": {}}, "country-code-is-required"),
        ({"inMarket": {"country": "FR", "interestIds": ["1", "1"]}}, "interests-list-must-be-valid"),
        ({"inMarket": {"country": "FR", "brandIds": [1]}}, "brand-list-must-be-valid"),
        ({"inMarket": {"country": "FR", "buyingPower": ["Huge"]}}, "buying-power-must-be-valid"),
        ({"inMarket": {"country": "FR", "priceRange": ["VeryHigh"]}}, "price-range-must-be-valid"),
        ({"location": {"radiusInKm": 1}}, "poi-list-must-be-not-empty"),
        ({"location": {"radiusInKm": 1, "pointsOfInterest": []}}, "poi-list-must-be-not-empty"),
        ({"location": {"radiusInKm": 1, "pointsOfInterest": [{"latitude": 91}]}}, "poi-coordinates-must-be-valid"),
        ({"location": {"radiusInKm": 1, "pointsOfInterest": [{"longitude": True}]}}, "poi-coordinates-must-be-valid"),
        ({"location": {"radiusInKm": 1, "pointsOfInterest": [POINT, POINT]}}, "poi-coordinates-must-be-unique"),
        ({"location": {"pointsOfInterest": [POINT]}}, "poi-radius-must-be-not-null"),
        ({"location": {"radiusInKm": 0, "pointsOfInterest": [POINT]}}, "radius-must-be-in-range"),
        ({"location": {"radiusInKm": 1.5, "pointsOfInterest": [POINT]}}, "radius-must-be-in-range"),
        ({"lookalike": {}}, "required-field"),
        ({"lookalike": {"seedSegmentId": 1}}, "segment-must-have-valid-segment-id"),
        ({"lookalike": {"seedSegmentId": "1", "targetSize": "2"}}, "invalid"),
        ({"prospecting": {}}, "required-field"),
        ({"prospecting": {"usersType": "Unknown"}}, "invalid"),
        ({"prospecting": {"usersType": "Prospects", "daysSinceLastVisitMin": 2**31}}, "days-must-be-in-range"),
        *(
            (
                {"retargeting": {"visitorsType": "All", "daysSinceLastVisitMin": low, "daysSinceLastVisitMax": high}},
                code,
            )
            for low, high, code in [
                (-1, 5, f"{DAYS}-in-acceptable-range"),
                (0, 401, f"{DAYS}-in-acceptable-range"),
                (5, 5, f"{DAYS}-compatible"),
                (True, 5, "invalid"),
            ]
        ),
    ],
)
async def test_settings_that_break_a_rule_are_refused(call: Any, settings: dict[str, Any], code: str) -> None:
    """Each rule of OpenAPI and of Criteo's error list has its code."""
    reply = await call.create(segment("new", **settings))
    assert reply.status == 200
    assert reply.body["data"] == []
    assert reply.codes == [code]


@pytest.mark.parametrize(
    ("change", "code"),
    [({"name": 1}, "invalid"), ({"advertiserId": 1}, "invalid"), ({"description": {"value": "x"}}, "invalid")],
)
async def test_plain_fields_are_strings(call: Any, change: dict[str, Any], code: str) -> None:
    """A number or an object in place of a string is a problem of its item."""
    assert (await call.create(segment() | change)).codes == [code]


@pytest.mark.parametrize("body", [{}, {"data": {}}, {"data": [1]}, {"data": [{"attributes": []}]}, []])
async def test_a_body_of_the_wrong_shape_is_refused_as_a_whole(call: Any, body: Any) -> None:
    """Without a list of objects there are no items to answer for: 400."""
    reply = await call("POST", "/2026-07/marketing-solutions/audience-segments/create", json=body)
    assert (reply.status, reply.problem["type"]) == (400, "validation")


async def test_ids_are_numbers_in_text_and_never_repeat(connect: Callable[..., Any]) -> None:
    """Segments made by a call and through the handle share one sequence."""
    async with Sandbox() as sandbox:
        call = connect(sandbox)
        ids = [sandbox.add_contact_list(), sandbox.add_contact_list()]
        ids += [each["id"] for each in (await call.create(segment("a"), segment("b"))).body["data"]]
        assert len(set(ids)) == 4
        assert all(re.fullmatch("[1-9][0-9]*", each) for each in ids)
