import hashlib
from collections.abc import Callable
from typing import Any

import orjson
import pytest

from criteo_audiences.sandbox import Sandbox

SHA = hashlib.sha256(b"john.doe@gmail.com").hexdigest()
MD5 = "E13743A7F1DB7F4246BADD6FD6FF54FF"


async def test_an_amendment_is_answered_with_counts(sandbox: Sandbox, call: Any) -> None:
    """The answer has the shape and the types of ModifyAudienceResponse."""
    segment_id = sandbox.add_contact_list(name="crm")
    reply = await call.amend(segment_id, ["a@b.co", SHA, "nonsense"])
    assert reply.status == 200
    assert reply.body == {
        "data": {
            "type": "ContactlistAmendment",
            "attributes": {
                "contactListId": int(segment_id),
                "operation": "add",
                "requestDate": "2023-11-14T22:13:20.250Z",
                "identifierType": "email",
                "nbValidIdentifiers": 2,
                "nbInvalidIdentifiers": 1,
                "sampleInvalidIdentifiers": ["nonsense"],
            },
        },
        "errors": [],
        "warnings": [],
    }


async def test_the_list_holds_valid_identifiers_as_they_were_sent(sandbox: Sandbox, call: Any) -> None:
    """Adding is idempotent, spelling is kept, and removing takes out what is equal."""
    segment_id = sandbox.add_contact_list()
    await call.amend(segment_id, ["a@b.co", "A@b.co", SHA, MD5, MD5.lower(), "nonsense"])
    await call.amend(segment_id, ["a@b.co", SHA])
    contact_list = sandbox.contact_list(segment_id)
    assert contact_list.identifiers == {"a@b.co", "A@b.co", SHA, MD5, MD5.lower()}
    assert len(contact_list) == 5
    await call.amend(segment_id, ["a@b.co", MD5, "never@there.example"], operation="remove")
    assert contact_list.identifiers == {"A@b.co", SHA, MD5.lower()}
    assert SHA in contact_list
    assert MD5 not in contact_list


async def test_at_most_ten_invalid_identifiers_are_shown(sandbox: Sandbox, call: Any) -> None:
    """The sample holds the first ten of many, also when they are spread over a large call."""
    segment_id = sandbox.add_contact_list()
    identifiers = [f"user{n}@example.com" if n % 1_000 else f"bad {n}" for n in range(20_000)]
    attributes = (await call.amend(segment_id, identifiers)).body["data"]["attributes"]
    assert (attributes["nbValidIdentifiers"], attributes["nbInvalidIdentifiers"]) == (19_980, 20)
    assert attributes["sampleInvalidIdentifiers"] == [f"bad {n}" for n in range(0, 10_000, 1_000)]


async def test_a_full_call_of_hashes_is_taken(sandbox: Sandbox, call: Any) -> None:
    """50,000 identifiers are accepted and 50,001 are refused as a whole."""
    segment_id = sandbox.add_contact_list()
    hashes = [hashlib.sha256(b"%d" % n).hexdigest() for n in range(50_001)]
    assert (await call.amend(segment_id, hashes[:-1])).status == 200
    assert sandbox.contact_list(segment_id).identifiers == set(hashes[:-1])
    reply = await call.amend(segment_id, hashes)
    assert (reply.status, reply.problem["type"], reply.problem["code"]) == (400, "validation", "invalid-range")
    assert [entry.identifiers for entry in sandbox.requests] == [0, 50_000, 50_001]


@pytest.mark.parametrize(
    ("identifier_type", "extra", "valid", "wrong"),
    [
        ("madid", {}, "8F14E45F-CEEA-467F-9A0B-1C2D3E4F5A6B", "8f14e45fceea467f9a0b1c2d3e4f5a6b"),
        ("phoneNumber", {}, "+33 01 23-45 67 89", "0123456789"),
        ("identityLink", {}, "XY1000bIVBVah9ium-sZ3ykhPiXQbEcUpn4GjCtxrrw2BRDGM", ""),
        ("gum", {"gumCallerId": 7}, "gum-id", "  "),
    ],
)
async def test_each_type_has_its_own_rule(
    sandbox: Sandbox, call: Any, identifier_type: str, extra: dict[str, int], valid: str, wrong: str
) -> None:
    """An identifier is judged by the type of its call."""
    segment_id = sandbox.add_contact_list()
    reply = await call.amend(segment_id, [valid, wrong], identifierType=identifier_type, **extra)
    assert reply.body["data"]["attributes"]["sampleInvalidIdentifiers"] == [wrong]
    assert sandbox.contact_list(segment_id).identifiers == {valid}


async def test_without_a_type_identifiers_are_taken_for_emails(sandbox: Sandbox, call: Any) -> None:
    """OpenAPI lets identifierType be left out."""
    segment_id = sandbox.add_contact_list()
    body = {"data": {"type": "x", "attributes": {"operation": "add", "identifiers": ["a@b.co", "+49123"]}}}
    reply = await call("PATCH", call.contact_list_path(segment_id), json=body)
    assert reply.body["data"]["attributes"]["nbValidIdentifiers"] == 1


GOOD: dict[str, Any] = {"operation": "add", "identifierType": "email", "identifiers": []}


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ([], "invalid"),
        ({}, "required-field"),
        ({"data": []}, "invalid"),
        ({"data": {"attributes": GOOD}}, "required-field"),
        ({"data": {"type": 1, "attributes": GOOD}}, "invalid"),
        ({"data": {"type": "x"}}, "required-field"),
        ({"data": {"type": "x", "attributes": None}}, "invalid"),
        *(
            ({"data": {"type": "x", "attributes": GOOD | wrong}}, "invalid")
            for wrong in (
                {"operation": "Add"},
                {"operation": None},
                {"operation": ["add"]},
                {"identifierType": "Email"},
                {"identifierType": "phonenumber"},
                {"identifierType": "customerid"},
                {"identifierType": None},
                {"identifiers": "a@b.co"},
                {"identifiers": ["a@b.co", 1]},
                {"identifiers": None},
                {"gumCallerId": "7"},
                {"identifierType": "gum", "gumCallerId": True},
            )
        ),
        ({"data": {"type": "x", "attributes": {"operation": "add"}}}, "required-field"),
        ({"data": {"type": "x", "attributes": {"identifiers": []}}}, "required-field"),
        ({"data": {"type": "x", "attributes": GOOD | {"identifierType": "gum"}}}, "required-field"),
    ],
)
async def test_a_body_that_openapi_does_not_allow_is_refused(sandbox: Sandbox, call: Any, body: Any, code: str) -> None:
    """Every field is required, spelled and typed as the specification has it."""
    reply = await call("PATCH", call.contact_list_path(sandbox.add_contact_list()), json=body)
    assert (reply.status, reply.problem["type"], reply.problem["code"]) == (400, "validation", code)


@pytest.mark.parametrize("data", [b"", b"{", b'{"data": "\xff"}', b'{"data": "\\ud800"}'])
async def test_a_body_that_is_not_json_is_refused(sandbox: Sandbox, call: Any, data: bytes) -> None:
    """The problem does not quote the body."""
    path = call.contact_list_path(sandbox.add_contact_list())
    reply = await call("PATCH", path, data=data, headers={"Content-Type": "application/json"})
    assert reply.status == 400


async def test_another_content_type_is_refused(sandbox: Sandbox, call: Any) -> None:
    """JSON sent as text gets 415."""
    path = call.contact_list_path(sandbox.add_contact_list())
    reply = await call("PATCH", path, data=b"{}", headers={"Content-Type": "text/plain"})
    assert reply.status == 415


@pytest.mark.parametrize("surplus", [0, 1])
async def test_a_body_is_taken_up_to_its_limit(connect: Callable[..., Any], surplus: int) -> None:
    """A body of exactly the limit is read, and one byte more is answered with 413."""
    body = orjson.dumps({"data": {"type": "x", "attributes": GOOD}}).ljust(5_000 + surplus)
    async with Sandbox(max_body_bytes=5_000) as sandbox:
        call = connect(sandbox)
        path = call.contact_list_path(sandbox.add_contact_list())
        reply = await call("PATCH", path, data=body, headers={"Content-Type": "application/json"})
        assert reply.status == (413 if surplus else 200)


@pytest.mark.parametrize("factor", [3, 6])
async def test_a_client_that_sends_far_too_much_still_sees_the_answer(connect: Callable[..., Any], factor: int) -> None:
    """The rest of a refused body is read first; beyond a bound the connection is closed after the answer."""
    async with Sandbox(max_body_bytes=1_000_000) as sandbox:
        call = connect(sandbox)
        path = call.contact_list_path(sandbox.add_contact_list())
        data = b" " * (factor * 1_000_000)
        reply = await call("PATCH", path, data=data, headers={"Content-Type": "application/json"})
        assert reply.status == 413
        assert ("connection" in reply.headers) == (factor > 4)


@pytest.mark.parametrize("authorization", ["", None])
async def test_an_early_refusal_of_a_large_body_reaches_the_client(call: Any, authorization: str | None) -> None:
    """A 401 or a 404 is seen although megabytes were still on their way."""
    data = b" " * 5_000_000
    reply = await call("PATCH", call.contact_list_path("7"), data=data, authorization=authorization)
    assert reply.status == (404 if authorization is None else 401)


async def test_an_unknown_segment_is_not_found(call: Any) -> None:
    """The code is Criteo's segment-not-found, on every endpoint of a segment."""
    path = call.contact_list_path("999")
    replies = [await call.amend("999", []), await call("DELETE", path), await call("GET", f"{path}/statistics")]
    assert [(reply.status, reply.problem["code"]) for reply in replies] == [(404, "segment-not-found")] * 3


async def test_a_denied_segment_is_forbidden(sandbox: Sandbox, call: Any) -> None:
    """After deny() every call on the segment gets 403."""
    segment_id = sandbox.add_contact_list()
    sandbox.deny(segment_id)
    reply = await call.amend(segment_id, ["a@b.co"])
    assert (reply.status, reply.problem["type"]) == (403, "access-control")
    assert reply.problem["code"] == "insufficient-advertiser-permissions"
    assert len(sandbox.contact_list(segment_id)) == 0


async def test_a_read_only_list_cannot_be_changed(sandbox: Sandbox, call: Any) -> None:
    """Neither an amendment nor a deletion is accepted."""
    segment_id = sandbox.add_contact_list(read_only=True)
    replies = [await call.amend(segment_id, ["a@b.co"]), await call("DELETE", call.contact_list_path(segment_id))]
    assert [reply.problem["code"] for reply in replies] == ["audience-segment-read-only"] * 2
    assert len(sandbox.contact_list(segment_id)) == 0


async def test_a_segment_of_another_kind_has_no_contact_list(sandbox: Sandbox, call: Any) -> None:
    """Its amendment and its statistics are refused, and the handle says so too."""
    created = await call.create(
        {"advertiserId": "1", "name": "fans", "lookalike": {"seedSegmentId": sandbox.add_contact_list()}}
    )
    segment_id = created.body["data"][0]["id"]
    assert (await call.amend(segment_id, ["a@b.co"])).problem["code"] == "invalid"
    reply = await call("GET", f"{call.contact_list_path(segment_id)}/statistics")
    assert reply.problem["code"] == "contact-list-statistics-not-supported"
    with pytest.raises(LookupError, match="not a contact list"):
        sandbox.contact_list(segment_id)


async def test_deleting_empties_the_list_and_keeps_the_segment(sandbox: Sandbox, call: Any) -> None:
    """The answer is OpenAPI's, and the list can be filled again."""
    segment_id = sandbox.add_contact_list()
    await call.amend(segment_id, ["a@b.co", SHA])
    reply = await call("DELETE", call.contact_list_path(segment_id))
    data = {"id": segment_id, "type": "AudienceContactlist"}
    assert (reply.status, reply.body) == (200, {"data": data, "errors": [], "warnings": []})
    assert sandbox.contact_list(segment_id).identifiers == set()
    assert (await call.amend(segment_id, ["a@b.co"])).status == 200


async def test_statistics_count_what_the_list_holds(connect: Callable[..., Any]) -> None:
    """Matches are the whole part of count times match rate."""
    async with Sandbox(match_rate=0.5) as sandbox:
        call = connect(sandbox)
        segment_id = sandbox.add_contact_list()
        await call.amend(segment_id, ["a@b.co", "b@b.co", "c@b.co", "c@b.co"])
        reply = await call("GET", f"{call.contact_list_path(segment_id)}/statistics")
        assert reply.body["data"]["id"] == segment_id
        assert reply.body["data"]["attributes"] == {"numberOfIdentifiers": 3, "numberOfMatches": 1, "matchRate": 0.5}


@pytest.mark.parametrize(
    ("version", "status"),
    [("2026-07", 200), ("2025-10", 200), ("experimental", 200), ("preview", 200), ("v1", 404), ("2026-7", 404)],
)
async def test_any_version_string_of_criteos_forms_is_served(
    sandbox: Sandbox, call: Any, version: str, status: int
) -> None:
    """A month, "experimental" and "preview" are versions; other words lead nowhere."""
    path = call.contact_list_path(sandbox.add_contact_list()).replace("2026-07", version)
    assert (await call("DELETE", path)).status == status


async def test_an_unknown_method_is_refused(sandbox: Sandbox, call: Any) -> None:
    """A route answers 405 to a method it does not have, as a problem."""
    reply = await call("PUT", call.contact_list_path(sandbox.add_contact_list()))
    assert (reply.status, reply.problem["code"]) == (405, "method-not-allowed")


async def test_identifiers_can_be_refused_whatever_their_form(sandbox: Sandbox, call: Any) -> None:
    """So that a client's dealing with refusals can be tested with hashes, too; others go on as before."""
    segment_id = sandbox.add_contact_list()
    sandbox.contact_list(segment_id).refuse([SHA])
    attributes = (await call.amend(segment_id, ["a@b.co", SHA, MD5])).body["data"]["attributes"]
    assert (attributes["nbValidIdentifiers"], attributes["sampleInvalidIdentifiers"]) == (2, [SHA])
    assert sandbox.contact_list(segment_id).identifiers == {"a@b.co", MD5}
