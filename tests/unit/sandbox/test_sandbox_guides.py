from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from criteo_audiences.sandbox import Sandbox
from criteo_audiences.sandbox.dialects import GUIDES, Answer, Occasion

MS, RM, CG = SERVICES = "marketing-solutions", "retail-media", "commerce-grid"
CREATED = "2023-11-14T22:13:20.250Z"


@pytest.fixture
async def sandbox(clock: Any) -> AsyncIterator[Sandbox]:
    """A sandbox that speaks as Criteo's guides do."""
    async with Sandbox(clock=clock, dialect="guides") as running:
        yield running


def adding(service: str) -> str:
    """Returns the word of a service for adding."""
    return "Add" if service == CG else "add"


def test_an_unknown_dialect_is_refused() -> None:
    """There are two dialects."""
    with pytest.raises(ValueError, match="dialect"):
        Sandbox(dialect="pirate")


async def test_clearing_a_list_of_retail_media_takes_turns(sandbox: Sandbox, call: Any) -> None:
    """1: once 200 with the id, once 201 with nothing; Commerce Grid stays with 204."""
    segment_id = sandbox.add_contact_list(service=RM)
    replies = sorted([await call.clear(RM, segment_id) for _ in range(2)], key=lambda reply: reply.status)
    assert [reply.status for reply in replies] == [200, 201]
    assert replies[0].body == {"data": {"id": segment_id, "type": "AudienceSegment"}}
    assert replies[0].headers["content-type"] == "application/json"
    assert replies[1].raw == b""
    reply = await call.clear(CG, sandbox.add_contact_list(service=CG))
    assert (reply.status, reply.raw) == (204, b"")


async def test_clearing_a_list_of_marketing_solutions_names_another_type(sandbox: Sandbox, call: Any) -> None:
    """2: ContactListAudienceSegment and OpenAPI's word take turns."""
    segment_id = sandbox.add_contact_list()
    replies = [(await call.clear(MS, segment_id)).body["data"] for _ in range(2)]
    assert {reply["id"] for reply in replies} == {segment_id}
    assert {reply["type"] for reply in replies} == {"ContactListAudienceSegment", "AudienceContactlist"}


async def test_the_operation_of_retail_media_is_nested(sandbox: Sandbox, call: Any) -> None:
    """4, 5, 12: type and attributes as elsewhere, the identifier type in lower case, no list id after a removal."""
    segment_id = sandbox.add_contact_list(service=RM, identifier_type="Email")
    for operation in ("add", "remove"):
        reply = await call.change(RM, segment_id, operation=operation, identifierType="Email", identifiers=["a@b.co"])
        assert {*reply.body} == {"data"}
        attributes = reply.body["data"]["attributes"]
        assert reply.body["data"]["type"] == "ContactlistAmendment"
        assert (attributes["identifierType"], attributes["nbValidIdentifiers"]) == ("email", 1)
        assert ("contactListId" in attributes) == (operation == "add")


@pytest.mark.parametrize("word", ["Email", "email"])
async def test_identifier_types_of_retail_media_in_either_spelling(sandbox: Sandbox, call: Any, word: str) -> None:
    """5: what the guides send and what OpenAPI has both work, in creations and in amendments."""
    reply = await call.new(RM, contactList={"identifierType": word})
    entity = reply.body["data"][0]
    assert entity["attributes"]["contactList"]["identifierType"] == "email"
    amended = await call.change(RM, entity["id"], operation="add", identifierType=word, identifiers=["a@b.co"])
    assert amended.status == 200
    assert sandbox.contact_list(entity["id"]).identifiers == {"a@b.co"}


@pytest.mark.parametrize("word", ["phoneNumber", "phonenumber"])
async def test_phone_numbers_of_marketing_solutions_in_either_spelling(sandbox: Sandbox, call: Any, word: str) -> None:
    """6, 12: phonenumber is understood and answered, and the list id is text or a number in turn."""
    segment_id = sandbox.add_contact_list()
    body = {"operation": "add", "identifierType": word, "identifiers": ["+91 1"]}
    replies = [(await call.change(MS, segment_id, **body)).body["data"]["attributes"] for _ in range(2)]
    assert {reply["identifierType"] for reply in replies} == {"phonenumber"}
    assert {reply["contactListId"] for reply in replies} == {segment_id, int(segment_id)}


async def test_customer_ids_of_marketing_solutions(sandbox: Sandbox, call: Any) -> None:
    """7: the guide lists customerid, which OpenAPI does not have."""
    segment_id = sandbox.add_contact_list()
    reply = await call.change(MS, segment_id, operation="add", identifierType="customerid", identifiers=["c-1"])
    assert (reply.status, reply.body["data"]["attributes"]["identifierType"]) == (200, "customerid")
    assert sandbox.contact_list(segment_id).identifiers == {"c-1"}


async def test_the_sample_of_an_update_in_retail_media(call: Any) -> None:
    """27: it names the retailer and the list's kind of identifier as well, which OpenAPI has no place for."""
    segment_id = (await call.new(RM)).body["data"][0]["id"]
    settings = {"contactList": {"identifierType": "email"}, "retailerId": "1"}
    reply = await call.update(RM, segment_id, name="new", description="text", **settings)
    assert reply.body["data"][0]["attributes"]["name"] == "new"


@pytest.mark.parametrize("service", SERVICES)
async def test_the_sample_of_a_search_has_a_type_and_nulls(sandbox: Sandbox, call: Any, service: str) -> None:
    """A filter that is null filters nothing."""
    segment_id = sandbox.add_contact_list(service=service)
    filters = {"audienceSegmentIds": [segment_id], "audienceSegmentTypes": None}
    reply = await call.search(service, filters)
    assert [each["id"] for each in reply.body["data"]] == [segment_id]


@pytest.mark.parametrize("service", SERVICES)
async def test_what_openapi_allows_is_accepted(sandbox: Sandbox, call: Any, service: str) -> None:
    """8, 15, 28: words and types as OpenAPI has them work in this dialect as well."""
    segment_id = sandbox.add_contact_list(service=service)
    kind = "email" if service == MS else "Email"
    body = {"operation": adding(service), "identifierType": kind, "identifiers": ["a@b.co"]}
    assert (await call.change(service, segment_id, **body)).status == 200
    assert (await call.statistics(service, segment_id)).body["data"]["attributes"]["numberOfIdentifiers"] == 1
    assert (await call.update(service, segment_id, name="x", description={"value": "y"})).status == 200
    assert (await call.search(service, {"audienceSegmentTypes": ["ContactList"]})).body["meta"]["totalItems"] == 1
    assert (await call.bulk(service, "delete", {"id": segment_id})).body["data"][0]["id"] == segment_id


@pytest.mark.parametrize(("read_only", "text"), [(True, "true"), (False, "false")])
async def test_read_only_is_text_in_retail_media(
    sandbox: Sandbox,
    call: Any,
    read_only: bool,  # noqa: FBT001
    text: str,
) -> None:
    """9: the flag is "true" or "false" where it is searched there, and a boolean in Marketing Solutions."""
    for service, shown in ((RM, text), (MS, read_only)):
        sandbox.add_contact_list(service=service, read_only=read_only)
        (entity,) = (await call.search(service)).body["data"]
        assert entity["attributes"]["contactList"]["isReadOnly"] == shown


async def test_descriptions_in_and_out_of_wrappers(call: Any) -> None:
    """10, 11: a plain one updates in Retail Media, a wrapped one creates in Marketing Solutions and comes back so."""
    segment_id = (await call.new(RM)).body["data"][0]["id"]
    updated = await call.update(RM, segment_id, description="text")
    assert updated.body["data"][0]["attributes"]["description"] == "text"
    replies = [
        await call.new(MS, name, description=description)
        for name, description in (("a", {"value": "text"}), ("b", "text"))
    ]
    replies += [await call.new(MS, "c")]
    found = [reply.body["data"][0]["attributes"]["description"] for reply in replies]
    assert found == [{"value": "text"}, {"value": "text"}, None]
    searched = (await call.search(MS)).body["data"]
    assert [each["attributes"]["description"] for each in searched] == ["text", "text", None]


async def test_the_type_of_an_entity_goes_by_other_names_and_words(sandbox: Sandbox, call: Any) -> None:
    """13, 14: identifierType holds it in statistics, and in every second update and deletion, with another word."""
    segment_id = sandbox.add_contact_list(service=RM)
    created = (await call.new(RM)).body["data"][0]
    searched = (await call.search(RM)).body["data"][0]
    assert (created["type"], searched["type"]) == ("RetailMediaAudienceSegment", "AudienceSegment")
    statistics = (await call.statistics(RM, segment_id)).body["data"]
    assert statistics["identifierType"] == "ContactListStatistics"
    assert "type" not in statistics
    updated = [(await call.update(RM, segment_id, name=name)).body["data"][0] for name in "xy"]
    deleted = [(await call.bulk(RM, "delete", {"id": each})).body["data"][0] for each in (segment_id, created["id"])]
    for found in (updated, deleted):
        assert {each.get("identifierType", "type: " + each.get("type", "")) for each in found} == {
            "Audience Segment",
            "type: RetailMediaAudienceSegment",
        }


@pytest.mark.parametrize("word", ["InMarket", "In-market"])
async def test_the_type_filter_in_either_spelling(call: Any, word: str) -> None:
    """16: the sample's In-market means InMarket."""
    await call.new(MS, "a", inMarket={"country": "FR"})
    await call.new(MS, "b")
    reply = await call.search(MS, {"audienceSegmentTypes": [word]})
    assert [each["attributes"]["name"] for each in reply.body["data"]] == ["a"]


async def test_filters_that_are_no_lists_are_still_refused(call: Any) -> None:
    """16: understanding more words does not mean understanding other types."""
    for wrong in ("In-market", [1], ["Other"]):
        assert (await call.search(MS, {"audienceSegmentTypes": wrong})).status == 400


@pytest.mark.parametrize("extra", [{}, {"registryType": "PointsOfInterest"}, {"registryType": "PointOfInterest"}])
async def test_the_registry_type_of_a_location(call: Any, extra: dict[str, str]) -> None:
    """17: it may be sent in either spelling or not at all, and comes back in the plural."""
    location = {"pointsOfInterest": [{"latitude": 1, "longitude": 2}], "radiusInKm": 3, **extra}
    reply = await call.new(MS, location=location)
    assert reply.body["data"][0]["attributes"]["location"]["registryType"] == "PointsOfInterest"


async def test_a_prospecting_segment_needs_no_settings(call: Any) -> None:
    """18: an empty object is enough, and what OpenAPI demands is not lost."""
    empty = await call.new(MS, "a", prospecting={})
    full = await call.new(MS, "b", prospecting={"usersType": "ProspectsOrNonBuyers"})
    assert "errors" not in empty.body
    assert full.body["data"][0]["attributes"]["prospecting"] == {"usersType": "ProspectsOrNonBuyers"}
    assert (await call.new(MS, "c", prospecting=7)).codes == ["invalid"]


async def test_an_in_market_segment_needs_only_its_country(call: Any) -> None:
    """19: interests and brands may be left out; the answer to a creation has no settings, a search has them."""
    created = (await call.new(MS, inMarket={"country": "FR"})).body["data"][0]["attributes"]
    assert created["type"] == "InMarket"
    assert "inMarket" not in created
    found = (await call.search(MS)).body["data"][0]["attributes"]
    assert found["inMarket"] == {"country": "FR"}


@pytest.mark.parametrize(
    ("service", "place", "other"), [(MS, "errors", "warnings"), (RM, "warnings", "errors"), (CG, "warnings", "errors")]
)
@pytest.mark.parametrize("endpoint", ["create", "update", "delete"])
async def test_failed_items_stand_in_another_place(
    sandbox: Sandbox, call: Any, service: str, place: str, other: str, endpoint: str
) -> None:
    """21: Retail Media and Commerce Grid have them in warnings, tied to their items all the same."""
    segment_id = sandbox.add_contact_list("a", service=service)
    owners = dict.fromkeys(("advertiserId", "retailerId", "dataProviderId"), "1")
    good = {"id": segment_id, "attributes": {**owners, "name": "b", "contactList": {}}}
    bad = {"id": "9", "attributes": {"name": ""}}
    reply = await call.bulk(service, endpoint, good, bad)
    assert (reply.status, len(reply.body["data"])) == (200, 1)
    assert {each["instance"] for each in reply.body[place]} == {"@data/1"}
    assert reply.body[other] == []


async def test_failed_deletions_of_retail_media_take_turns(call: Any) -> None:
    """21: its page says warnings, and has errors in its sample."""
    replies = [(await call.bulk(RM, "delete", {"id": "9"})).body for _ in range(2)]
    assert sorted((len(reply["errors"]), len(reply["warnings"])) for reply in replies) == [(0, 1), (1, 0)]


@pytest.mark.parametrize("service", SERVICES)
async def test_a_creation_that_fails_whole_is_every_second_time_no_200(
    sandbox: Sandbox, call: Any, service: str
) -> None:
    """22: when every item fails the status is 200 or 400, where the first error has the code; updates stay with 200."""
    sandbox.add_contact_list("crm", service=service)
    replies = [await call.new(service, "crm") for _ in range(2)]
    done, refused = sorted(replies, key=lambda reply: reply.status)
    assert (done.status, done.body["data"]) == (200, [])
    assert (refused.status, refused.codes) == (400, ["name-must-be-unique"])
    assert refused.problem["instance"] == "@data/0"
    assert "data" not in refused.body
    assert (await call.update(service, "9", name="x")).status == 200
    assert (await call.bulk(service, "create")).status == 200


@pytest.mark.parametrize("service", SERVICES)
async def test_answers_without_problems_have_no_lists_of_them(sandbox: Sandbox, call: Any, service: str) -> None:
    """23: the keys errors and warnings are missing."""
    segment_id = sandbox.add_contact_list(service=service)
    replies = [
        await call.new(service),
        await call.search(service),
        await call.statistics(service, segment_id),
        await call.change(service, segment_id, operation=adding(service), identifiers=[]),
        await call.update(service, segment_id, name="x"),
        await call.bulk(service, "delete", {"id": segment_id}),
    ]
    assert [{*reply.body} & {"errors", "warnings"} for reply in replies] == [set()] * 6


async def test_traces_take_two_forms_and_ids_the_old_name(call: Any) -> None:
    """24, 25: stackTrace is now a list and now text, the id of the trace now stands under its old name."""
    reply = await call.bulk(MS, "update", {"id": "8"}, {"id": "9"})
    assert {type(each["stackTrace"]) for each in reply.body["errors"]} == {list, str}
    names = {name for each in reply.body["errors"] for name in each if name.startswith("traceI")}
    assert names == {"traceId", "traceIdentifier"}
    assert len({each.get("traceIdentifier", each.get("traceId")) for each in reply.body["errors"]}) == 1
    refused = [(await call.statistics(MS, "9")).problem for _ in range(2)]
    assert {"traceIdentifier" in problem for problem in refused} == {True, False}


@pytest.mark.parametrize(("service", "limit"), [(MS, 50), (RM, 500), (CG, 50)])
async def test_the_default_page_of_retail_media_is_the_largest(call: Any, service: str, limit: int) -> None:
    """26: 500 there, 50 elsewhere; a limit that is asked for is kept."""
    assert (await call.search(service)).body["meta"]["limit"] == limit
    assert (await call.search(service, query="?limit=7")).body["meta"]["limit"] == 7


async def test_timestamps_come_in_seven_spellings(sandbox: Sandbox, call: Any) -> None:
    """31: they rotate, the same calls give the same spellings, and all mean the same moment."""
    for _ in range(4):
        sandbox.add_contact_list()
    found = (await call.search(MS)).body["data"]
    spelled = [each["attributes"][name] for each in found for name in ("createdAt", "updatedAt")]
    # The eighth is spelled as the first.
    assert set(spelled) == {
        "2023-11-14T22:13:20.250Z",
        "2023-11-14T22:13:20.25Z",
        "2023-11-14T22:13:20.2500009Z",
        "2023-11-14T22:13:20.2500009",
        "2023-11-14T22:13:20.25",
        "2023-11-14T22:13:20.2500009+00:00",
        "2023-11-14T22:13:20Z",
    }
    seconds = {datetime.fromisoformat(each).replace(tzinfo=UTC, microsecond=0) for each in spelled}
    assert seconds == {datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)}


@pytest.mark.parametrize("service", SERVICES)
async def test_a_new_segment_was_never_updated(call: Any, service: str) -> None:
    """32: updatedAt is null in the answer to a creation."""
    attributes = (await call.new(service)).body["data"][0]["attributes"]
    assert attributes["updatedAt"] is None
    assert attributes["createdAt"]


@pytest.mark.parametrize("service", SERVICES)
async def test_what_is_not_found_has_other_codes(call: Any, service: str) -> None:
    """33: two codes take turns, in refusals and in bulk calls."""
    codes = {(await call.statistics(service, "9")).problem["code"] for _ in range(2)}
    assert codes == {"segment-has-not-been-found", "audience-segment-not-found"}
    reply = await call.bulk(service, "delete", {"id": "8"}, {"id": "9"})
    problems = reply.body["errors"] or reply.body["warnings"]
    assert {each["code"] for each in problems} == codes


def test_codes_about_sizes_have_a_prefix() -> None:
    """34: audience- stands before the code."""
    answer = Answer(200, {"data": [], "errors": [{"code": "segment-size-not-available", "traceId": "t"}]})
    said = GUIDES.worded(answer, Occasion(0, MS, "sizes")).body
    assert said is not None
    assert said["errors"][0]["code"] == "audience-segment-size-not-available"


async def test_the_account_is_spelled_in_capitals(call: Any) -> None:
    """42: accountID in place of accountId."""
    segment_id = (await call.new(RM)).body["data"][0]["id"]
    replies = [await call.search(RM), await call.update(RM, segment_id, name="x")]
    assert [reply.body["data"][0]["attributes"]["accountID"] for reply in replies] == ["1", "1"]


def test_the_wording_of_an_answer_leaves_the_answer_as_it_was() -> None:
    """The same answer and the same turn give the same words, and the next turn gives others."""
    body = {"data": {"id": "1", "attributes": {"createdAt": CREATED}}, "errors": [], "warnings": []}
    answer = Answer(200, body)
    said = [GUIDES.worded(answer, Occasion(turn)) for turn in (1, 1, 2)]
    assert said[0] == said[1] != said[2]
    assert answer == Answer(
        200, {"data": {"id": "1", "attributes": {"createdAt": CREATED}}, "errors": [], "warnings": []}
    )


async def test_refusals_before_an_endpoint_are_worded_too(connect: Callable[..., Any]) -> None:
    """25: a missing token and an unknown route are told with the old name of the trace; token calls are not touched."""
    async with Sandbox(dialect="guides") as sandbox:
        call = connect(sandbox)
        replies = [await call("GET", "/2026-07/nowhere", authorization=""), await call("GET", "/2026-07/nowhere")]
        assert [reply.status for reply in replies] == [401, 404]
        assert {"traceIdentifier" in reply.problem for reply in replies} == {True, False}
        assert (await call.grant()).body["expires_in"] == 900


async def test_an_injected_answer_is_left_as_it_is(sandbox: Sandbox, call: Any) -> None:
    """A body that a test gives can have any unknown word or field, in this dialect as well."""
    segment_id = sandbox.add_contact_list()
    body = b'{"data":[{"id":"1","type":"AudienceSegment","attributes":{"type":"Astrological","sign":"Leo"}}]}'
    sandbox.fail_next(body=body, on="/search")
    assert (await call.statistics(MS, segment_id)).status == 200
    assert (await call.search(MS)).raw == body
