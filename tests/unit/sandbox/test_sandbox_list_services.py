from typing import Any

import pytest

from criteo_audiences.sandbox import Sandbox

MS, RM, CG = "marketing-solutions", "retail-media", "commerce-grid"
SUMMARY = {
    "requestDate": "2023-11-14T22:13:20.250Z",
    "nbValidIdentifiers": 1,
    "nbInvalidIdentifiers": 1,
    "sampleInvalidIdentifiers": ["nonsense"],
}


async def test_the_operation_of_retail_media_is_flat(sandbox: Sandbox, call: Any) -> None:
    """4, 12: the type stands at the top, data holds the counts, and the id is an integer beyond a float."""
    segment_id = sandbox.add_contact_list(service="retail-media", identifier_type="Email")
    reply = await call.change(
        RM, segment_id, operation="add", identifierType="Email", identifiers=["a@b.co", "nonsense"]
    )
    assert reply.status == 200
    assert reply.body == {
        "type": "AddRemoveContactlistResult",
        "data": {"contactListId": 300000000000300001, "operation": "add", "identifierType": "Email", **SUMMARY},
        "errors": [],
        "warnings": [],
    }
    assert sandbox.contact_list(segment_id).identifiers == {"a@b.co"}


async def test_the_operation_of_commerce_grid_is_nested(sandbox: Sandbox, call: Any) -> None:
    """8: its operations are capitalized, and the answer repeats them."""
    segment_id = sandbox.add_contact_list(service="commerce-grid")
    reply = await call.change(
        CG, segment_id, operation="Add", identifierType="Email", identifiers=["a@b.co", "nonsense"]
    )
    attributes = {"contactListId": 300001, "operation": "Add", "identifierType": "Email", **SUMMARY}
    assert reply.body["data"] == {"type": "AddRemoveContactlistResult", "attributes": attributes}
    assert {*reply.body} == {"data", "errors", "warnings"}
    await call.change(CG, segment_id, operation="Remove", identifierType="Email", identifiers=["a@b.co"])
    assert len(sandbox.contact_list(segment_id)) == 0


@pytest.mark.parametrize(
    ("service", "attributes"),
    [
        (RM, {"operation": "Add", "identifiers": []}),
        (CG, {"operation": "add", "identifiers": []}),
        (RM, {"operation": "add", "identifierType": "email", "identifiers": []}),
        (RM, {"operation": "add", "identifierType": "MadId", "identifiers": []}),
        (CG, {"operation": "Add", "identifierType": "Gum", "identifiers": []}),
        (CG, {"operation": "Add", "identifierType": "PhoneNumber", "identifiers": []}),
    ],
)
async def test_words_of_another_service_are_refused(
    sandbox: Sandbox, call: Any, service: str, attributes: dict[str, Any]
) -> None:
    """5, 8: operations and identifier types must be spelled as OpenAPI has them for the service."""
    segment_id = sandbox.add_contact_list(service=service)
    reply = await call.change(service, segment_id, **attributes)
    assert (reply.status, reply.problem["code"]) == (400, "invalid")


@pytest.mark.parametrize(
    ("service", "identifier_type", "valid", "wrong"),
    [
        (RM, "UserIdentifier", "u-1", " "),
        (RM, "IdentityLink", "i-1", ""),
        (RM, "Gum", "g-1", ""),
        (RM, "CustomerId", "c-1", ""),
        (RM, "PhoneNumber", "+33 1 23", "123"),
        (CG, "MadId", "8f14e45f-ceea-467f-9a0b-1c2d3e4f5a6b", "8f14"),
        (CG, "IpAddressV4", "192.0.2.255", "192.0.2.256"),
        (CG, "IpAddressV4", "10.0.0.1", "10.0.0.01"),
        *(
            (CG, each, "x-1", "")
            for each in ("UserIdentifier", "IdentityLink", "BidSwitchId", "FTrackId", "PanoramaId")
        ),
        *((CG, each, "x-1", "") for each in ("HadronId", "PageUrl", "PageDomain", "AppId")),
    ],
)
async def test_each_service_has_its_own_identifier_types(
    sandbox: Sandbox, call: Any, service: str, identifier_type: str, valid: str, wrong: str
) -> None:
    """Every type of OpenAPI is taken, with a rule of its own; none of them needs a caller id here."""
    segment_id = sandbox.add_contact_list(service=service)
    word = "Add" if service == CG else "add"
    reply = await call.change(
        service, segment_id, operation=word, identifierType=identifier_type, identifiers=[valid, wrong]
    )
    assert reply.status == 200
    assert sandbox.contact_list(segment_id).identifiers == {valid}


async def test_the_identifier_type_of_a_list_is_fixed(sandbox: Sandbox, call: Any) -> None:
    """A list that was created for e-mails takes nothing else, and assumes e-mails where nothing is said."""
    created = await call.new(RM, contactList={"identifierType": "CustomerId"})
    segment_id = created.body["data"][0]["id"]
    refused = await call.change(RM, segment_id, operation="add", identifierType="Email", identifiers=["a@b.co"])
    assert (refused.status, refused.problem["code"]) == (400, "type-must-be-the-same")
    reply = await call.change(RM, segment_id, operation="add", identifiers=["c-1"])
    assert reply.body["data"]["identifierType"] == "CustomerId"
    assert sandbox.contact_list(segment_id).identifiers == {"c-1"}


@pytest.mark.parametrize(("service", "word"), [(RM, "add"), (CG, "Add")])
async def test_without_a_type_identifiers_are_emails(sandbox: Sandbox, call: Any, service: str, word: str) -> None:
    """15: OpenAPI demands neither an identifier type nor a type of the entity, and takes any text for the latter."""
    segment_id = sandbox.add_contact_list(service=service)
    path = f"/2026-07/{service}/audience-segments/{segment_id}/contact-list/add-remove"
    for head in ({}, {"type": "ContactlistAmendment"}):
        body = {"data": {**head, "attributes": {"operation": word, "identifiers": ["a@b.co", "c-1"]}}}
        assert (await call("POST", path, json=body)).status == 200
    assert sandbox.contact_list(segment_id).identifiers == {"a@b.co"}
    reply = await call("POST", path, json={"data": {"type": 1, "attributes": {"operation": word, "identifiers": []}}})
    assert reply.status == 400


@pytest.mark.parametrize("service", [RM, CG])
async def test_clearing_answers_204(sandbox: Sandbox, call: Any, service: str) -> None:
    """1: no body, and the segment stays."""
    segment_id = sandbox.add_contact_list(service=service)
    word = "Add" if service == CG else "add"
    await call.change(service, segment_id, operation=word, identifiers=["a@b.co"])
    reply = await call.clear(service, segment_id)
    assert (reply.status, reply.raw) == (204, b"")
    assert len(sandbox.contact_list(segment_id)) == 0
    assert (await call.statistics(service, segment_id)).body["data"]["attributes"]["numberOfIdentifiers"] == 0


@pytest.mark.parametrize("service", [MS, RM, CG])
async def test_statistics_of_every_service(sandbox: Sandbox, call: Any, service: str) -> None:
    """13: the shape is the same everywhere; the path of Retail Media has an account and no suffix."""
    segment_id = sandbox.add_contact_list(service=service)
    reply = await call.statistics(service, segment_id)
    assert reply.body == {
        "data": {
            "id": segment_id,
            "type": "ContactListStatistics",
            "attributes": {"numberOfIdentifiers": 0, "numberOfMatches": 0, "matchRate": None},
        },
        "errors": [],
        "warnings": [],
    }


@pytest.mark.parametrize("service", [RM, CG])
async def test_a_list_of_another_service_or_kind_is_refused(sandbox: Sandbox, call: Any, service: str) -> None:
    """33: an id of another service is not found; a read-only list and a segment without a list cannot be written."""
    word = "Add" if service == CG else "add"
    foreign = sandbox.add_contact_list()
    read_only = sandbox.add_contact_list(service=service, read_only=True)
    for segment_id, status, code in [
        (foreign, 404, "segment-not-found"),
        (read_only, 400, "audience-segment-read-only"),
    ]:
        replies = [
            await call.change(service, segment_id, operation=word, identifiers=[]),
            await call.clear(service, segment_id),
        ]
        assert [(reply.status, reply.problem["code"]) for reply in replies] == [(status, code)] * 2


async def test_events_have_no_contact_list(call: Any) -> None:
    """An amendment, clearing and statistics of such a segment are refused."""
    created = await call.new(RM, events={"shopperActivity": "Buy", "lookbackDays": "Last7Days"})
    segment_id = created.body["data"][0]["id"]
    replies = [
        await call.change(RM, segment_id, operation="add", identifiers=[]),
        await call.clear(RM, segment_id),
        await call.statistics(RM, segment_id),
    ]
    assert [reply.problem["code"] for reply in replies] == [
        "invalid",
        "invalid",
        "contact-list-statistics-not-supported",
    ]


async def test_identifiers_of_all_services_are_counted_and_limited(sandbox: Sandbox, call: Any) -> None:
    """50,001 identifiers are one too many for any service, and the records tell how many there were."""
    many = ["a@b.co"] * 50_001
    for service, word in ((MS, "add"), (RM, "add"), (CG, "Add")):
        segment_id = sandbox.add_contact_list(service=service)
        reply = await call.change(service, segment_id, operation=word, identifiers=many)
        assert (reply.status, reply.problem["code"]) == (400, "invalid-range")
        assert sandbox.requests[-1].identifiers == 50_001
