from typing import Any

import pytest

from criteo_audiences.sandbox import Sandbox

EVENTS = {"shopperActivity": "View", "lookbackDays": "Last30Days"}


async def test_retail_media_creates_a_contact_list(sandbox: Sandbox, call: Any) -> None:
    """The account comes from the path, the identifier type from the settings, and the id has 18 digits."""
    reply = await call.new("retail-media", "crm", contactList={"identifierType": "Email"}, description="customers")
    assert reply.status == 200
    assert reply.body == {
        "data": [
            {
                "id": "300000000000300001",
                "type": "RetailMediaAudienceSegment",
                "attributes": {
                    "accountId": "1",
                    "retailerId": "1",
                    "name": "crm",
                    "description": "customers",
                    "type": "ContactList",
                    "channels": ["Onsite", "Offsite"],
                    "createdById": None,
                    "createdAt": "2023-11-14T22:13:20.250Z",
                    "updatedAt": "2023-11-14T22:13:20.250Z",
                    "contactList": {"identifierType": "Email", "isReadOnly": False, "sharingStatus": "NotShared"},
                },
            }
        ],
        "errors": [],
        "warnings": [],
    }
    assert len(sandbox.contact_list("300000000000300001")) == 0


async def test_commerce_grid_creates_a_contact_list(sandbox: Sandbox, call: Any) -> None:
    """The remote id moves from the settings to the segment, and the settings in the answer are empty."""
    reply = await call.new("commerce-grid", "crm", contactList={"remoteId": "r-7"})
    (entity,) = reply.body["data"]
    assert entity == {
        "id": "300001",
        "type": "AudienceSegment",
        "attributes": {
            "dataProviderId": "1",
            "remoteId": "r-7",
            "name": "crm",
            "description": None,
            "type": "ContactList",
            "createdAt": "2023-11-14T22:13:20.250Z",
            "updatedAt": "2023-11-14T22:13:20.250Z",
            "contactList": {},
        },
    }
    assert len(sandbox.contact_list("300001")) == 0


@pytest.mark.parametrize("service", ["retail-media", "commerce-grid"])
async def test_settings_may_be_left_out_where_openapi_demands_none(call: Any, service: str) -> None:
    """A segment without a settings object is a contact list, without a remote id or an identifier type."""
    owner = {"retail-media": "retailerId", "commerce-grid": "dataProviderId"}[service]
    reply = await call.bulk(service, "create", {"attributes": {owner: "7", "name": "bare"}})
    attributes = reply.body["data"][0]["attributes"]
    assert attributes["type"] == "ContactList"
    assert attributes["contactList"].get("identifierType") is None
    assert attributes.get("remoteId") is None


async def test_retail_media_creates_events_segments(call: Any) -> None:
    """30: the schema of OpenAPI allows them, whatever the guides say; their settings come back."""
    settings = EVENTS | {"categoryIds": ["1"], "brandIds": ["2"], "minPrice": 1.5, "maxPrice": 9}
    attributes = (await call.new("retail-media", events=settings | {"x": 1})).body["data"][0]["attributes"]
    assert (attributes["type"], attributes["events"]) == ("Events", settings)
    assert "contactList" not in attributes


@pytest.mark.parametrize(
    ("service", "change", "code"),
    [
        ("retail-media", {"retailerId": 1}, "invalid"),
        ("retail-media", {"name": " "}, "name-must-not-be-empty"),
        ("retail-media", {"contactList": {"identifierType": "email"}}, "invalid"),
        ("retail-media", {"contactList": {"identifierType": "Gum"}}, "invalid"),
        ("retail-media", {"contactList": {}, "events": EVENTS}, "invalid"),
        ("retail-media", {"events": {"lookbackDays": "Last30Days"}}, "required-field"),
        ("retail-media", {"events": {"shopperActivity": "View"}}, "required-field"),
        ("retail-media", {"events": EVENTS | {"lookbackDays": "Last31Days"}}, "invalid"),
        ("retail-media", {"events": EVENTS | {"shopperActivity": "Unknown"}}, "invalid"),
        ("retail-media", {"events": EVENTS | {"brandIds": ["1", "1"]}}, "invalid"),
        ("retail-media", {"events": EVENTS | {"minPrice": True}}, "invalid"),
        ("commerce-grid", {"dataProviderId": None}, "invalid"),
        ("commerce-grid", {"contactList": {"remoteId": 1}}, "invalid"),
        ("commerce-grid", {"contactList": []}, "invalid"),
        ("commerce-grid", {"description": {"value": "x"}}, "invalid"),
    ],
)
async def test_what_openapi_does_not_allow_is_refused(
    call: Any, service: str, change: dict[str, Any], code: str
) -> None:
    """The item is named in a 200, and nothing is created."""
    reply = await call.new(service, **change)
    assert (reply.status, reply.body["data"], reply.codes) == (200, [], [code])
    assert reply.problem["instance"] == "@data/0"


@pytest.mark.parametrize("service", ["marketing-solutions", "retail-media", "commerce-grid"])
async def test_the_owner_or_retailer_is_demanded(call: Any, service: str) -> None:
    """Without it the item is refused."""
    reply = await call.bulk(service, "create", {"attributes": {"name": "x", "contactList": {}}})
    assert reply.codes == ["required-field"]


@pytest.mark.parametrize("service", ["marketing-solutions", "retail-media", "commerce-grid"])
async def test_names_are_unique_per_owner_and_service(call: Any, service: str) -> None:
    """The second of two is refused within one call and in a later one; another service has names of its own."""
    await call.new("retail-media" if service == "commerce-grid" else "commerce-grid", "crm")
    assert [(await call.new(service, "crm")).codes for _ in range(2)] == [[], ["name-must-be-unique"]]


async def test_accounts_have_names_of_their_own(call: Any) -> None:
    """The same name and the same retailer in another account is another segment."""
    body = {"data": [{"attributes": {"retailerId": "1", "name": "crm"}}]}
    paths = [f"/2026-07/retail-media/accounts/{account}/audience-segments/create" for account in ("1", "2", "1")]
    replies = [await call("POST", path, json=body) for path in paths]
    assert [reply.codes for reply in replies] == [[], [], ["name-must-be-unique"]]


async def test_ids_are_unique_across_services(sandbox: Sandbox, call: Any) -> None:
    """No service hands out an id of another, and the ids of Retail Media are beyond a float."""
    services = ("marketing-solutions", "retail-media", "commerce-grid")
    ids = [(await call.new(service, name)).body["data"][0]["id"] for name in "ab" for service in services]
    ids += [sandbox.add_contact_list(service=service) for service in services]
    assert len(set(ids)) == 9
    assert [len(each) for each in ids] == [6, 18, 6] * 3
    assert all(int(each) > 2**53 for each in ids[1::3])
