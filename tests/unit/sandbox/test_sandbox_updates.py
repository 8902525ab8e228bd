from typing import Any

import pytest

from criteo_audiences.sandbox import Sandbox

SERVICES = ["marketing-solutions", "retail-media", "commerce-grid"]
MS = "marketing-solutions"
POINT = {"latitude": 1.0000049, "longitude": 2}


async def created(call: Any, service: str = MS, **attributes: Any) -> str:
    """Returns the id of a new segment."""
    return str((await call.new(service, **attributes)).body["data"][0]["id"])


@pytest.mark.parametrize("service", SERVICES)
async def test_name_and_description_are_updated(sandbox: Sandbox, call: Any, clock: Any, service: str) -> None:
    """10: the name comes plain, the description in its wrapper; the answer is the whole segment with a new time."""
    segment_id = sandbox.add_contact_list("old", service=service)
    clock.now += 60
    reply = await call.update(service, segment_id, name="new", description={"value": "text"})
    (entity,) = reply.body["data"]
    assert (reply.status, reply.body["errors"], entity["id"]) == (200, [], segment_id)
    attributes = entity["attributes"]
    assert (attributes["name"], attributes["description"]) == ("new", "text")
    assert (attributes["createdAt"], attributes["updatedAt"]) == (
        "2023-11-14T22:13:20.250Z",
        "2023-11-14T22:14:20.250Z",
    )
    assert (await call.search(service)).body["data"] == [entity]


@pytest.mark.parametrize(
    ("wrapper", "kept"),
    [({"description": {"value": None}}, None), ({"description": {}}, None), ({}, "text"), ({"name": "x"}, "text")],
)
async def test_a_wrapper_sets_to_null_and_its_absence_changes_nothing(
    call: Any, wrapper: dict[str, Any], kept: str | None
) -> None:
    """A missing or null value means null; no wrapper means no change."""
    segment_id = await created(call, description="text")
    reply = await call.update(MS, segment_id, **wrapper)
    assert reply.body["data"][0]["attributes"]["description"] == kept


@pytest.mark.parametrize(
    ("kind", "settings", "change", "result"),
    [
        (
            "inMarket",
            {"country": "FR", "gender": "Male", "brandIds": ["1"]},
            {"gender": {"value": None}, "brandIds": []},
            {"country": "FR", "gender": None, "brandIds": []},
        ),
        ("inMarket", {"country": "FR"}, {"gender": {"value": "Female"}}, {"country": "FR", "gender": "Female"}),
        (
            "location",
            {"pointsOfInterest": [{"latitude": 5}], "radiusInKm": 1},
            {"pointsOfInterest": [POINT], "registryType": "PointOfInterest"},
            {
                "pointsOfInterest": [{"latitude": 1.0, "longitude": 2}],
                "radiusInKm": 1,
                "registryType": "PointOfInterest",
            },
        ),
        (
            "lookalike",
            {"seedSegmentId": "300001"},
            {"targetSize": 9, "seedSegmentId": "2"},
            {"seedSegmentId": "300001", "targetSize": 9},
        ),
        (
            "prospecting",
            {"usersType": "Prospects", "daysSinceLastVisitMin": 1, "daysSinceLastVisitMax": 2},
            {"daysSinceLastVisitMin": {}, "daysSinceLastVisitMax": {"value": 3}},
            {"usersType": "Prospects", "daysSinceLastVisitMin": None, "daysSinceLastVisitMax": 3},
        ),
        (
            "retargeting",
            {"visitorsType": "All", "daysSinceLastVisitMin": 1, "daysSinceLastVisitMax": 2},
            {"daysSinceLastVisitMax": 400, "visitorsType": "Buyers"},
            {"visitorsType": "Buyers", "daysSinceLastVisitMin": 1, "daysSinceLastVisitMax": 400},
        ),
        ("contactList", {}, {"isReadOnly": True}, {"isReadOnly": False}),
    ],
)
async def test_settings_of_marketing_solutions_are_updated(
    sandbox: Sandbox, call: Any, kind: str, settings: dict[str, Any], change: dict[str, Any], result: dict[str, Any]
) -> None:
    """Nullable fields come in wrappers, others plain; what an update has no field for is ignored."""
    sandbox.add_contact_list("seed")
    segment_id = await created(call, **{kind: settings})
    reply = await call.update(MS, segment_id, **{kind: change})
    assert reply.body["errors"] == []
    assert reply.body["data"][0]["attributes"][kind] == result


async def test_events_are_updated(call: Any) -> None:
    """Prices come in wrappers; OpenAPI demands unique items of a creation only."""
    settings = {"shopperActivity": "View", "lookbackDays": "Last7Days", "minPrice": 1}
    segment_id = await created(call, "retail-media", events=settings)
    change = {"minPrice": {"value": None}, "maxPrice": {"value": 9.5}, "brandIds": ["1", "1"], "shopperActivity": "Buy"}
    reply = await call.update("retail-media", segment_id, events=change)
    assert reply.body["data"][0]["attributes"]["events"] == {
        "shopperActivity": "Buy",
        "lookbackDays": "Last7Days",
        "minPrice": None,
        "maxPrice": 9.5,
        "brandIds": ["1", "1"],
    }


async def test_the_retailer_and_the_identifier_type_cannot_be_updated(call: Any) -> None:
    """27: what the guide's sample sends besides is accepted, and changes nothing."""
    segment_id = await created(call, "retail-media", contactList={"identifierType": "Email"})
    change = {"retailerId": "9", "contactList": {"identifierType": "CustomerId"}, "name": "x"}
    attributes = (await call.update("retail-media", segment_id, **change)).body["data"][0]["attributes"]
    assert (attributes["retailerId"], attributes["contactList"]["identifierType"]) == ("1", "Email")
    assert attributes["name"] == "x"


@pytest.mark.parametrize(
    ("kind", "change", "code"),
    [
        ("contactList", {"name": ""}, "name-must-not-be-empty"),
        ("contactList", {"name": None}, "invalid"),
        ("contactList", {"name": "taken"}, "name-must-be-unique"),
        ("contactList", {"description": "plain"}, "invalid"),
        ("contactList", {"description": None}, "invalid"),
        ("contactList", {"description": {"value": 1}}, "invalid"),
        ("contactList", {"inMarket": {"country": "FR"}}, "type-must-be-the-same"),
        ("inMarket", {"inMarket": {"country": "France"}}, "country-code-must-be-valid"),
        ("inMarket", {"inMarket": {"gender": "Male"}}, "invalid"),
        ("inMarket", {"inMarket": {"gender": {"value": "male"}}}, "gender-must-be-valid"),
        ("inMarket", {"inMarket": []}, "invalid"),
        ("location", {"location": {"pointsOfInterest": []}}, "poi-list-must-be-not-empty"),
        ("location", {"location": {"registryType": "PointsOfInterest"}}, "registry-type-must-be-valid"),
        (
            "retargeting",
            {"retargeting": {"daysSinceLastVisitMin": 7}},
            "retargeting-segment-days-since-last-visit-are-not-compatible",
        ),
        (
            "retargeting",
            {"retargeting": {"daysSinceLastVisitMax": 401}},
            "retargeting-segment-days-since-last-visit-are-not-in-acceptable-range",
        ),
        ("retargeting", {"retargeting": {"daysSinceLastVisitMax": {"value": 9}}}, "invalid"),
    ],
)
async def test_an_update_that_breaks_a_rule_changes_nothing(
    sandbox: Sandbox, call: Any, kind: str, change: dict[str, Any], code: str
) -> None:
    """The rules of a creation hold for the result of an update, with the same codes."""
    settings = {
        "contactList": {},
        "inMarket": {"country": "FR"},
        "location": {"pointsOfInterest": [POINT], "radiusInKm": 1},
        "retargeting": {"visitorsType": "All", "daysSinceLastVisitMin": 1, "daysSinceLastVisitMax": 7},
    }
    sandbox.add_contact_list("taken")
    segment_id = await created(call, **{kind: settings[kind]})
    before = (await call.search(MS)).body["data"]
    reply = await call.update(MS, segment_id, **change)
    assert (reply.status, reply.body["data"], reply.codes) == (200, [], [code])
    assert (await call.search(MS)).body["data"] == before


@pytest.mark.parametrize("service", SERVICES)
async def test_good_updates_are_made_beside_bad_ones(sandbox: Sandbox, call: Any, service: str) -> None:
    """21, 33: failed items are in errors, each tied to its place; an unknown id is segment-not-found."""
    segment_id = sandbox.add_contact_list("a", service=service)
    reply = await call.bulk(
        service,
        "update",
        {"id": "999", "attributes": {"name": "x"}},
        {"id": segment_id, "attributes": {"name": "b"}},
        {"attributes": {}},
        {"id": 7},
        {"id": segment_id, "attributes": {"name": ""}},
    )
    assert reply.status == 200
    assert [each["attributes"]["name"] for each in reply.body["data"]] == ["b"]
    assert [(each["code"], each["instance"]) for each in reply.body["errors"]] == [
        ("segment-not-found", "@data/0"),
        ("required-field", "@data/2"),
        ("invalid", "@data/3"),
        ("name-must-not-be-empty", "@data/4"),
    ]


async def test_a_segment_may_keep_its_name_and_frees_its_old_one(sandbox: Sandbox, call: Any) -> None:
    """Its own name is no duplicate, and after a rename another segment can have the old one."""
    segment_id = sandbox.add_contact_list("a")
    assert (await call.update(MS, segment_id, name="a")).codes == []
    assert (await call.update(MS, segment_id, name="b")).codes == []
    assert sandbox.add_contact_list("a") != segment_id
    assert (await call.update(MS, segment_id, name="a")).codes == ["name-must-be-unique"]


async def test_a_segment_of_another_account_or_service_is_not_found(sandbox: Sandbox, call: Any) -> None:
    """The path names account 1, so a segment of account 2 is as good as none; so is one of another service."""
    other = sandbox.add_contact_list(service="retail-media", account_id="2")
    foreign = sandbox.add_contact_list(service="commerce-grid")
    for segment_id in (other, foreign):
        assert (await call.update("retail-media", segment_id, name="x")).codes == ["segment-not-found"]
        assert (await call.bulk("retail-media", "delete", {"id": segment_id})).codes == ["segment-not-found"]
        assert (await call.statistics("retail-media", segment_id)).status == 404


@pytest.mark.parametrize("endpoint", ["update", "delete"])
async def test_a_denied_segment_is_a_problem_of_its_item(sandbox: Sandbox, call: Any, endpoint: str) -> None:
    """In a bulk call a withdrawn consent does not fail the other items."""
    denied, other = sandbox.add_contact_list(), sandbox.add_contact_list()
    sandbox.deny(denied)
    reply = await call.bulk(MS, endpoint, {"id": denied}, {"id": other})
    assert [each["id"] for each in reply.body["data"]] == [other]
    assert (reply.problem["type"], reply.problem["instance"]) == ("access-control", "@data/0")


@pytest.mark.parametrize("service", SERVICES)
async def test_segments_are_deleted(sandbox: Sandbox, call: Any, service: str) -> None:
    """The answer is ids and types only; the segment and its name are gone for calls and for the handle."""
    segment_id = sandbox.add_contact_list("crm", service=service)
    item = {"id": segment_id, "type": "AudienceSegment"}
    reply = await call.bulk(service, "delete", item, item)
    assert [each["id"] for each in reply.body["data"]] == [segment_id]
    assert {*reply.body["data"][0]} == {"id", "type"}
    assert (reply.status, reply.problem["code"], reply.problem["instance"]) == (200, "segment-not-found", "@data/1")
    assert (await call.search(service)).body["data"] == []
    with pytest.raises(LookupError, match=segment_id):
        sandbox.contact_list(segment_id)
    assert sandbox.add_contact_list("crm", service=service) != segment_id


@pytest.mark.parametrize("service", SERVICES)
async def test_a_segment_in_an_audience_is_not_deleted(sandbox: Sandbox, call: Any, service: str) -> None:
    """The refusal is inside a 200, for that item alone."""
    used, free = (sandbox.add_contact_list(service=service) for _ in range(2))
    sandbox.use_in_audience(used)
    reply = await call.bulk(service, "delete", {"id": used}, {"id": free})
    assert [each["id"] for each in reply.body["data"]] == [free]
    assert (reply.problem["code"], reply.problem["instance"]) == ("segment-must-not-be-used-in-audience", "@data/0")
    assert len(sandbox.contact_list(used)) == 0
    with pytest.raises(LookupError, match=free):
        sandbox.use_in_audience(free)


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("endpoint", ["create", "update", "delete"])
@pytest.mark.parametrize("body", [{}, {"data": {}}, {"data": [1]}, {"data": [{"attributes": []}]}])
async def test_a_bulk_body_of_the_wrong_shape_is_refused(call: Any, service: str, endpoint: str, body: Any) -> None:
    """Without a list of objects there are no items to answer for: 400."""
    reply = await call.bulk(service, endpoint, body=body)
    assert (reply.status, reply.problem["type"]) == (400, "validation")


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("endpoint", ["create", "update", "delete"])
async def test_a_bulk_call_without_items_is_answered(call: Any, service: str, endpoint: str) -> None:
    """Nothing to do is done."""
    reply = await call.bulk(service, endpoint)
    assert (reply.status, reply.body) == (200, {"data": [], "errors": [], "warnings": []})
