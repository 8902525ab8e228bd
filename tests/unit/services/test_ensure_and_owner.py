"""Making sure a list is there, and checking whose it is before anything is sent to it."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from criteo_audiences import (
    ConfigurationError,
    NotFoundError,
    PartialFailureError,
    PermissionDeniedError,
    SegmentMismatchError,
    ServerError,
    TransportError,
)

TAKEN = {"type": "validation", "code": "name-must-be-unique", "instance": "@data/0"}
LIST = {"id": "5", "attributes": {"name": "crm", "type": "ContactList", "advertiserId": "1", "contactList": {}}}
OTHER = {"id": "4", "attributes": {"name": "other", "type": "ContactList"}}


def paths(criteo) -> list[str]:
    """Returns the last words of the paths asked for."""
    return [exchange.url.partition("?")[0].rpartition("/")[2] for exchange in criteo.asked]


async def test_ensure_creates_and_does_not_search(criteo) -> None:
    """A name that is free costs one call."""
    criteo.will_answer({"data": [LIST]})
    assert (await criteo.ms.ensure_contact_list(advertiser_id="1", name="crm")).id == "5"
    assert paths(criteo) == ["create"]


@pytest.mark.parametrize(
    ("status", "where", "instance"),
    [(200, "errors", "@data/0"), (200, "warnings", "@data/0"), (400, "errors", "@data/0"), (400, "errors", "/create")],
)
async def test_ensure_searches_only_when_the_name_is_taken(criteo, status: int, where: str, instance: str) -> None:
    """A name that is taken is searched, however the server says so (21, 22)."""
    criteo.will_answer({"data": [], where: [{**TAKEN, "instance": instance}]}, status=status)
    criteo.will_answer({"data": [OTHER, LIST], "meta": {"totalItems": 2}})
    found = await criteo.ms.ensure_contact_list(advertiser_id="1", name="crm")
    assert found.id == "5"
    assert paths(criteo) == ["create", "search"]
    assert criteo.last[2]["data"]["attributes"] == {"advertiserIds": ["1"]}


async def test_ensure_does_not_take_a_segment_of_another_kind(criteo) -> None:
    """A lookalike of that name is no contact list."""
    criteo.will_answer({"data": [], "errors": [TAKEN]})
    criteo.will_answer({"data": [{"id": "5", "attributes": {"name": "crm", "type": "Lookalike"}}]})
    with pytest.raises(SegmentMismatchError, match=r"Segment 5 .*is no contact list"):
        await criteo.ms.ensure_contact_list(advertiser_id="1", name="crm")


WANTED: dict[str, dict[str, Any]] = {
    "ms": {"advertiserId": "1", "contactList": {"isReadOnly": False}},
    "rm": {"accountId": "7", "retailerId": "99", "contactList": {"identifierType": "Email", "isReadOnly": False}},
    "cg": {"dataProviderId": "3", "remoteId": "r-1"},
}
ASKED: dict[str, dict[str, str]] = {
    "ms": {"advertiser_id": "1"},
    "rm": {"account_id": "7", "retailer_id": "99"},
    "cg": {"data_provider_id": "3", "remote_id": "r-1"},
}
DIFFERENT: list[tuple[str, dict[str, Any], str]] = [
    ("ms", {"advertiserId": "2"}, "is no segment of advertiser_id=1, but of 2"),
    ("ms", {"advertiserId": None}, "is not known to be of advertiser_id=1"),
    ("ms", {"type": "Lookalike"}, "is no contact list"),
    ("ms", {"type": "Holographic"}, "is no contact list"),
    ("ms", {"type": None, "contactList": None, "inMarket": {"country": "FR"}}, "is no contact list"),
    ("ms", {"contactList": {"isReadOnly": True}}, "is read-only"),
    ("rm", {"accountId": "8"}, "is no segment of account_id=7, but of 8"),
    ("rm", {"accountId": None}, "is not known to be of account_id=7"),
    ("rm", {"retailerId": "12"}, "is no segment of retailer_id=99, but of 12"),
    ("rm", {"retailerId": None}, "is not known to be of retailer_id=99"),
    ("rm", {"contactList": {"identifierType": "CustomerId"}}, "takes identifier_type='customer_id', not 'email'"),
    ("rm", {"contactList": {"identifierType": "Unknown"}}, "takes identifier_type='unknown', not 'email'"),
    ("rm", {"contactList": {"isReadOnly": False}}, "is not known to take identifier_type='email'"),
    ("rm", {"contactList": None}, "is not known to take identifier_type='email'"),
    ("rm", {"contactList": {"identifierType": "email", "isReadOnly": "true"}}, "is read-only"),
    ("rm", {"type": "Events"}, "is no contact list"),
    ("rm", {"type": None, "contactList": None, "events": {"minPrice": 1}}, "is no contact list"),
    ("cg", {"dataProviderId": "4"}, "is no segment of data_provider_id=3, but of 4"),
    ("cg", {"remoteId": "r-2"}, "has remote_id=r-2, not remote_id=r-1"),
    ("cg", {"remoteId": None}, "has no remote_id, not remote_id=r-1"),
    ("cg", {"type": "Behavioral"}, "is no contact list"),
]


@pytest.mark.parametrize(("service", "changes", "words"), DIFFERENT)
async def test_ensure_hands_out_only_what_was_asked_for(
    criteo, service: str, changes: dict[str, Any], words: str
) -> None:
    """A list of that name that differs in one thing is refused, with the difference and the way out."""
    wanted = {"name": "crm", "type": "ContactList", **WANTED[service]}
    criteo.will_answer({"data": [], "errors": [TAKEN]})
    criteo.will_answer({"data": [{"id": "5", "attributes": {**wanted, **changes}}]})
    with pytest.raises(SegmentMismatchError, match="give another name") as caught:
        await getattr(criteo, service).ensure_contact_list(name="crm", **ASKED[service])
    [difference] = caught.value.differences
    assert words in difference
    criteo.will_answer({"data": [], "errors": [TAKEN]})
    criteo.will_answer({"data": [{"id": "5", "attributes": wanted}]})
    assert (await getattr(criteo, service).ensure_contact_list(name="crm", **ASKED[service])).id == "5"


async def test_ensure_finds_its_own_among_lists_of_that_name(criteo) -> None:
    """A server that does not filter shows another's list of that name first."""
    criteo.will_answer({"data": [], "errors": [TAKEN]})
    theirs = {"id": "4", "attributes": {**LIST["attributes"], "advertiserId": "2"}}
    criteo.will_answer({"data": [theirs, LIST], "meta": {"totalItems": 2}})
    assert (await criteo.ms.ensure_contact_list(advertiser_id="1", name="crm")).id == "5"


async def test_ensure_does_not_hand_out_what_a_create_answers_by_mistake(criteo) -> None:
    """What the answer to a create leaves out is as it was asked for; what it says otherwise is not."""
    criteo.will_answer({"data": [{"id": "5", "attributes": {"name": "crm"}}]})
    asked = {"account_id": "7", "retailer_id": "99", "name": "crm"}
    assert (await criteo.rm.ensure_contact_list(**asked)).id == "5"
    criteo.will_answer({"data": [{"id": "5", "attributes": {"name": "crm", "retailerId": "12"}}]})
    with pytest.raises(SegmentMismatchError, match="retailer_id=99, but of 12"):
        await criteo.rm.ensure_contact_list(**asked)


async def test_the_owner_check_takes_a_retailer(criteo) -> None:
    """Another retailer's list of the same account is refused before anything is sent; without an account nothing is."""
    attributes = {"type": "ContactList", **WANTED["rm"], "retailerId": "12"}
    criteo.will_answer({"data": [{"id": "5", "attributes": attributes}]})
    with pytest.raises(SegmentMismatchError, match="no segment of retailer_id=99, but of 12"):
        await criteo.rm.upload_contact_list("5", ["a@b.example"], hash=None, account_id="7", retailer_id="99")
    assert paths(criteo) == ["search"]
    with pytest.raises(ConfigurationError, match="retailer_id goes with account_id"):
        await criteo.rm.upload_contact_list("5", ["a@b.example"], hash=None, retailer_id="99")
    criteo.will_answer({"data": [{"id": "5", "attributes": {**attributes, "retailerId": "99"}}]})
    criteo.will_answer({"data": {"attributes": {"nbValidIdentifiers": 1, "nbInvalidIdentifiers": 0}}})
    async with criteo.rm.stream_contact_list(
        "5", ["a@b.example"], hash=None, account_id="7", retailer_id="99"
    ) as results:
        assert [batch.valid async for batch in results] == [1]


async def test_ensure_says_so_when_the_name_is_taken_by_what_nobody_sees(criteo) -> None:
    """A name that is taken by a segment the search does not show ends in an error, not in a loop."""
    criteo.will_answer({"data": [], "errors": [TAKEN]})
    criteo.will_answer({"data": [OTHER], "meta": {"totalItems": 1}})
    with pytest.raises(PartialFailureError, match="no segment of it was found"):
        await criteo.ms.ensure_contact_list(advertiser_id="1", name="crm")


async def test_ensure_passes_other_problems_on(criteo) -> None:
    """Any other problem is raised as it came, without a search."""
    criteo.will_answer({"data": [], "errors": [{**TAKEN, "code": "cannot-create-contact-list"}]})
    with pytest.raises(PartialFailureError, match="cannot-create-contact-list"):
        await criteo.ms.ensure_contact_list(advertiser_id="1", name="crm")
    assert paths(criteo) == ["create"]


async def test_ensure_survives_a_lost_answer(criteo, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the answer to the create is lost, a second create finds the name taken, and the search finds the list."""
    criteo.will_answer({"data": [], "errors": [TAKEN]})
    criteo.will_answer({"data": [LIST]})
    send, lost = criteo.send, [TransportError("lost")]

    async def lossy(exchange: Any) -> Any:
        if lost:
            criteo.asked.append(exchange)
            raise lost.pop()
        return await send(exchange)

    monkeypatch.setattr(criteo, "send", lossy)
    assert (await criteo.ms.ensure_contact_list(advertiser_id="1", name="crm")).id == "5"
    assert paths(criteo) == ["create", "create", "search"]


async def test_a_create_is_not_repeated_after_a_server_error(criteo) -> None:
    """A 503 may have created the segments, so a create is not made again."""
    criteo.will_answer({"errors": []}, status=503)
    with pytest.raises(ServerError):
        await criteo.ms.ensure_contact_list(advertiser_id="1", name="crm")
    assert paths(criteo) == ["create"]


@pytest.mark.parametrize(
    ("service", "owner", "arguments", "attributes"),
    [
        ("rm", "account_id", {"account_id": "7"}, {"accountId": "7", "contactList": {"identifierType": "Email"}}),
        ("cg", "data_provider_id", {"data_provider_id": "7"}, {"dataProviderId": "7"}),
        ("ms", "advertiser_id", {"advertiser_id": "7"}, {"advertiserId": "7", "contactList": {"isReadOnly": False}}),
    ],
)
async def test_an_owner_costs_one_search_before_the_upload(
    criteo, service: str, owner: str, arguments: dict[str, str], attributes: dict[str, Any]
) -> None:
    """With an owner an upload makes one search first; without one it makes no other call."""
    assert owner in arguments
    criteo.will_answer({"data": [{"id": "5", "attributes": {"type": "ContactList", **attributes}}]})
    criteo.will_answer({"data": {"attributes": {"nbValidIdentifiers": 1, "nbInvalidIdentifiers": 0}}})
    upload = getattr(criteo, service).upload_contact_list
    assert (await upload("5", ["a@example.com"], hash=None, **arguments)).ok
    assert paths(criteo)[0] == "search"
    assert len(criteo.asked) == 2
    criteo.will_answer({"data": {"attributes": {"nbValidIdentifiers": 1, "nbInvalidIdentifiers": 0}}})
    await upload("5", ["a@example.com"], hash=None)
    assert len(criteo.asked) == 3


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ([], "no segment of advertiser_id=1"),
        ([{"id": "6", "attributes": {"advertiserId": "1"}}], "no segment of advertiser_id=1"),
        ([{"id": "5", "attributes": {"advertiserId": "2", "type": "ContactList"}}], "no segment of advertiser_id=1"),
        ([{"id": "5", "attributes": {"advertiserId": "1", "type": "InMarket"}}], "no contact list"),
        (
            [
                {
                    "id": "5",
                    "attributes": {"advertiserId": "1", "type": "ContactList", "contactList": {"isReadOnly": "true"}},
                }
            ],
            "read-only",
        ),
    ],
)
async def test_a_list_that_cannot_be_meant_is_refused(criteo, found: list[Any], words: str) -> None:
    """Another's list, none at all, another kind of segment and a read-only list are refused before anything is sent."""
    criteo.will_answer({"data": found})
    with pytest.raises(SegmentMismatchError, match=words):
        await criteo.ms.upload_contact_list("5", ["a@example.com"], hash=None, advertiser_id="1")
    assert paths(criteo) == ["search"]


async def test_a_retail_media_list_of_another_kind_of_identifier_is_refused(criteo) -> None:
    """Retail Media fixes a list's kind when it is made; an upload of another kind is refused before it is sent."""
    attributes = {"accountId": "7", "type": "ContactList", "contactList": {"identifierType": "customerId"}}
    criteo.will_answer({"data": [{"id": "5", "attributes": attributes}]})
    with pytest.raises(SegmentMismatchError, match="takes identifier_type='customer_id', not 'email'"):
        await criteo.rm.upload_contact_list("5", ["a@example.com"], hash=None, account_id="7")


async def test_a_stream_checks_its_owner_as_well(criteo) -> None:
    """A stream of results begins with the same search."""
    criteo.will_answer({"data": []})
    with pytest.raises(SegmentMismatchError):
        async with criteo.ms.stream_contact_list("5", ["a@example.com"], hash=None, advertiser_id="1"):
            pass


async def test_all_that_is_wrong_is_named_at_once(criteo) -> None:
    """Each difference is a clause of one sentence, and an attribute."""
    attributes = {"accountId": "8", "contactList": {"identifierType": "CustomerId", "isReadOnly": True}}
    criteo.will_answer({"data": [{"id": "5", "attributes": attributes}]})
    with pytest.raises(SegmentMismatchError) as caught:
        await criteo.rm.upload_contact_list("5", ["a@example.com"], hash=None, account_id="7")
    assert len(caught.value.differences) == 3
    assert str(caught.value) == (
        "Segment 5 is no segment of account_id=7, but of 8; it is read-only: it was made outside Criteo's API; it "
        "takes identifier_type='customer_id', not 'email'. Check the ids; nothing was sent."
    )


UNSUITABLE: list[tuple[str, list[Any], str]] = [
    ("ms", [{"id": "5", "attributes": {"type": "Lookalike"}}], "is no contact list"),
    ("cg", [{"id": "5", "attributes": {"type": "Behavioral"}}], "is no contact list"),
    ("ms", [{"id": "5", "attributes": {"contactList": {"isReadOnly": True}}}], "is read-only"),
]


@pytest.mark.parametrize(("service", "found", "words"), UNSUITABLE)
@pytest.mark.parametrize("source", ["table", "dry run of a table", "dry run of a list"])
async def test_a_table_and_a_dry_run_look_at_their_segment_first(
    criteo, service: str, found: list[Any], words: str, source: str, tmp_path: Path
) -> None:
    """With one search, also when no owner is named, and without a journal or a file of rejects being left behind."""
    criteo.will_answer({"data": found})
    rows: Any = ["a@example.com"] if source.endswith("list") else pl.DataFrame({"email": ["a@example.com"]})
    files: dict[str, Any] = {"journal": tmp_path / "journal", "rejects": tmp_path / "rejects.csv"}
    with pytest.raises(SegmentMismatchError, match=words):
        await getattr(criteo, service).upload_contact_list(
            "5", rows, hash=None, dry_run=source.startswith("dry"), **files
        )
    assert paths(criteo) == ["search"]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("service", ["ms", "cg"])
@pytest.mark.parametrize("found", [[], [{"id": "6", "attributes": {"type": "ContactList"}}]])
@pytest.mark.parametrize(("status", "error"), [(404, NotFoundError), (403, PermissionDeniedError)])
async def test_a_segment_that_the_search_does_not_show_is_asked_itself(
    criteo, service: str, found: list[Any], status: int, error: type[Exception], tmp_path: Path
) -> None:
    """An unknown one, and one of an owner that did not consent, end the upload before the table is read."""
    criteo.will_answer({"data": found})
    criteo.will_answer({"errors": []}, status=status)
    table = pl.DataFrame({"email": ["a@example.com"]})
    with pytest.raises(error):
        await getattr(criteo, service).upload_contact_list("5", table, hash=None, journal=tmp_path / "journal")
    assert paths(criteo) == ["search", "statistics"]
    assert not list(tmp_path.iterdir())


async def test_a_search_that_lags_behind_refuses_nothing(criteo) -> None:
    """A list that answers is there, whatever the search shows."""
    criteo.will_answer({"data": []})
    criteo.will_answer({"data": {"attributes": {"numberOfIdentifiers": 0}}})
    criteo.will_answer({"data": {"attributes": {"nbValidIdentifiers": 1, "nbInvalidIdentifiers": 0}}})
    assert (await criteo.ms.upload_contact_list("5", pl.DataFrame({"email": ["a@example.com"]}), hash=None)).ok


async def test_a_suitable_segment_costs_a_table_one_search(criteo) -> None:
    """An iterable's upload makes none; a dry run makes nothing else."""
    suitable = {"data": [{"id": "5", "attributes": {"type": "ContactList"}}]}
    table = pl.DataFrame({"email": ["a@example.com"]})
    criteo.will_answer(suitable)
    criteo.will_answer({"data": {"attributes": {"nbValidIdentifiers": 1, "nbInvalidIdentifiers": 0}}})
    assert (await criteo.ms.upload_contact_list("5", table, hash=None)).calls == 1
    assert len(criteo.asked) == 2
    criteo.will_answer(suitable)
    assert (await criteo.ms.upload_contact_list("5", ["a@example.com"], hash=None, dry_run=True)).ok
    assert paths(criteo)[2:] == ["search"]
    criteo.will_answer({"data": {"attributes": {"nbValidIdentifiers": 1, "nbInvalidIdentifiers": 0}}})
    await criteo.ms.upload_contact_list("5", ["a@example.com"], hash=None)
    assert len(criteo.asked) == 4


async def test_retail_media_looks_where_it_can(criteo) -> None:
    """Its searches are an account's: without one a table goes out unlooked at."""
    table = pl.DataFrame({"email": ["a@example.com"]})
    criteo.will_answer({"data": {"attributes": {"nbValidIdentifiers": 1, "nbInvalidIdentifiers": 0}}})
    await criteo.rm.upload_contact_list("5", table, hash=None)
    assert len(criteo.asked) == 1
    criteo.will_answer({"data": []})
    with pytest.raises(SegmentMismatchError, match="no segment of account_id=7"):
        await criteo.rm.upload_contact_list("5", table, hash=None, account_id="7")


async def test_who_may_write_and_not_search_uploads_all_the_same(criteo) -> None:
    """Nobody asked for the look; asked for by an owner, its failure is an error."""
    table = pl.DataFrame({"email": ["a@example.com"]})
    criteo.will_answer({"errors": []}, status=403)
    criteo.will_answer({"data": {"attributes": {"nbValidIdentifiers": 1, "nbInvalidIdentifiers": 0}}})
    assert (await criteo.ms.upload_contact_list("5", table, hash=None)).ok
    criteo.will_answer({"errors": []}, status=403)
    with pytest.raises(PermissionDeniedError):
        await criteo.ms.upload_contact_list("5", table, hash=None, advertiser_id="1")


@pytest.mark.parametrize(
    "options",
    [
        {"suppress": ["nonsense"]},
        {"suppress": pl.DataFrame({"email": []}, schema={"email": pl.String})},
        {"column": "absent"},
    ],
)
async def test_what_is_wrong_here_is_found_before_the_look(criteo, options: dict[str, Any]) -> None:
    """A mistake in the arguments costs no call."""
    with pytest.raises(ConfigurationError):
        await criteo.ms.upload_contact_list("5", pl.DataFrame({"email": ["a@example.com"]}), hash=None, **options)
    assert not criteo.asked
