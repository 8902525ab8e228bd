"""A person is removed from every list that could hold them, and from what is stored here; the receipt names nobody."""

import asyncio
import hashlib
import json
import os
import re
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from criteo_audiences import (
    AuthenticationError,
    ConfigurationError,
    CriteoClient,
    ErasureFailedError,
    ErasureReceipt,
    ErasureState,
    IdentifierType,
    journals,
    live_from,
)
from criteo_audiences.journals.directory import REGISTER_NAME, Witness
from criteo_audiences.mirrors import describe_snapshot
from criteo_audiences.sandbox import RecordedRequest, Sandbox
from criteo_audiences.sandbox.faults import Fault
from tests.kit import Stage

ANNA, PHONE = "anna.kowalska@example.com", "+919812345678"
NUMBERS = ["+919812345678", "+9109812345678"]
JOANNA, OTHER_PHONE = "joanna.kowalska@example.com", "+919812345679"
MOBILE_ID = "6D92078A-8246-4BA4-AE5B-76104861E7DC"
STATES = ErasureState


@pytest.fixture(autouse=True)
def _temporary_files_of_its_own(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets no test find what others have left behind."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path_factory.mktemp("temporary")))


def md5(text: str) -> str:
    """Returns an MD5 in hexadecimal."""
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def sha256(text: str) -> str:
    """Returns a SHA-256 in hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


EMAIL_FORMS = [ANNA, md5(ANNA), sha256(ANNA), sha256(md5(ANNA))]
PHONE_FORMS = [*NUMBERS, *(sha256(number[1:]) for number in NUMBERS)]
NEIGHBORS = {
    "email": [JOANNA, sha256(JOANNA)],
    "phone_number": [OTHER_PHONE, sha256(OTHER_PHONE[1:])],
    "customer_id": ["7"],
}
FORMS = {"email": EMAIL_FORMS, "phone_number": PHONE_FORMS, "customer_id": []}
SERVICES = ("marketing-solutions", "retail-media", "commerce-grid")
TAKEN = {
    "marketing-solutions": ["email", "phone_number"],
    "retail-media": ["email", "phone_number", "customer_id"],
    "commerce-grid": ["email"],
}


def traces() -> list[str]:
    """Returns what shows the person in a text: every form in lower case, and the digits of the number."""
    return [*EMAIL_FORMS, *PHONE_FORMS, "anna.kowalska", "9812345678", "98123 45678"]


def assert_nobody_in(text: str) -> None:
    """Asserts that the person stands in a text in no form."""
    plain = text.lower().replace("joanna.kowalska", "")
    assert [trace for trace in traces() if trace in plain] == []


@attrs.define
class World:
    """A local Criteo with lists of three services, and who is in them."""

    sandbox: Sandbox
    criteo: CriteoClient
    lists: dict[str, tuple[str, str]] = attrs.field(factory=dict)
    """The service and the kind of each list."""

    async def add(self, service: str, kind: str, *, owner_id: str = "1") -> str:
        """Makes a list with the person in every form of a kind and a neighbor; returns its id."""
        fixed = {"email": "Email", "phone_number": "PhoneNumber", "customer_id": "CustomerId"}[kind]
        only = fixed if service == "retail-media" else None
        segment = self.sandbox.add_contact_list(service=service, owner_id=owner_id, identifier_type=only)
        amend = getattr(self.criteo, service.replace("-", "_")).amend_contact_list
        held = [*FORMS[kind], *NEIGHBORS[kind]]
        await amend(segment, operation="add", identifiers=held, identifier_type=kind)
        self.lists[segment] = service, kind
        return segment

    def assert_gone(self) -> None:
        """Asserts that each list holds the neighbors and nobody else."""
        for segment, (_, kind) in self.lists.items():
            assert self.sandbox.contact_list(segment).identifiers == set(NEIGHBORS[kind]), segment

    def requests(self, ending: str = "") -> list[RecordedRequest]:
        """Returns the calls whose path ends like this."""
        return [each for each in self.sandbox.requests if each.path.endswith(ending)]

    def removals(self, since: int) -> list[RecordedRequest]:
        """Returns the calls that changed a list after so many requests."""
        calls = self.sandbox.requests[since:]
        return [each for each in calls if not re.search("search|accounts|oauth2", each.path)]


@pytest.fixture
async def world(set_stage: Callable[..., Any]) -> AsyncIterator[World]:
    """No list yet, and no quota."""
    async with set_stage(rate_limit=None) as stage:
        await stage.criteo.marketing_solutions.delete_audience_segments([stage.segment_id])
        yield World(stage.sandbox, stage.criteo)


def written(*directories: Path) -> Iterator[str]:
    """Yields what every file below directories holds, and its name."""
    for directory in directories:
        for path in directory.rglob("*"):
            yield str(path.relative_to(directory))
            if path.is_file():
                yield path.read_bytes().decode("latin-1")


async def upload_with_rejects(world: World, segment: str, rejects: Path) -> None:
    """Uploads rows of which some are no identifiers, because of how the person is written in them."""
    rows = [
        "x@example.com",
        "anna.kowalska @example.com",
        "Anna.Kowalska@@example.com",
        "anna.kowalska@example.com; mobile 7",
        "joanna.kowalska@example.com, ann",
        "098123 45678",
        "=@" + sha256(ANNA),
        "nobody",
    ]
    upload = world.criteo.marketing_solutions.upload_contact_list
    journal = f"{journals.state_directory()}/"
    await upload(segment, rows, hash="sha256", rejects=rejects, rejects_plain=True, journal=journal, max_rejected=1)


async def test_erasing_over_thirty_lists_of_three_services_leaves_nothing(
    world: World, tmp_path: Path, state_home: Path
) -> None:
    """Nothing of the person is left in a list, a journal or a file of rejects; neighbors stay; the receipt is blind."""
    for service in SERVICES:
        for number in range(10):
            await world.add(service, TAKEN[service][number % len(TAKEN[service])])
    segment = next(iter(world.lists))
    rejects = tmp_path / "rejects.csv"
    await upload_with_rejects(world, segment, rejects)
    await world.criteo.marketing_solutions.amend_contact_list(
        segment, operation="remove", identifiers=[sha256("x@example.com")]
    )
    snapshot = tmp_path / "crm.snapshot"
    people = [ANNA, "mirrored@example.com"]
    await world.criteo.marketing_solutions.mirror_contact_list(
        segment, people, hash=None, snapshot=snapshot, baseline="assume-current"
    )
    assert any("anna.kowalska" in text.lower().replace("joanna", "") for text in written(tmp_path))

    before = len(world.sandbox.requests)
    receipt = await world.criteo.erase(
        ["Anna.Kowalska@Example.com", "+91 (0)98123 45678"], rejects=[rejects], snapshots=[snapshot]
    )

    world.assert_gone()
    for text in written(tmp_path, state_home):
        assert_nobody_in(text)
    assert receipt.ok
    receipt.raise_for_failures()
    assert receipt.contact_lists == 30 - sum(kind == "customer_id" for _, kind in world.lists.values())
    assert len(receipt.lists) == len(world.removals(before)) == 10 * 2 + 7 + 10
    assert {each.state for each in receipt.lists} == {STATES.REMOVED}
    assert [each.erased for each in receipt.files if each.kind == "rejects"] == [5]
    assert [(each.erased, each.state) for each in receipt.files if each.kind == "snapshot"] == [(1, STATES.REMOVED)]
    assert describe_snapshot(snapshot).identifiers == 1
    for shown in (json.dumps(receipt.to_dict()), repr(receipt), str(receipt), receipt.explain()):
        assert_nobody_in(shown)
    rows = rejects.read_text("utf-8").splitlines()
    assert len(rows) == 1 + 7
    assert sum(row.endswith(",") for row in rows) == 5
    assert rejects.stat().st_mode & 0o777 == 0o600


async def test_the_receipt_says_what_was_asked_and_answered(world: World) -> None:
    """By service, list and kind, with Criteo's counts and the time from which campaigns follow."""
    first, second = await world.add("marketing-solutions", "email"), await world.add("retail-media", "phone_number")
    receipt = await world.criteo.erase([ANNA, PHONE])
    document = json.loads(json.dumps(receipt.to_dict()))
    asked = [(each["segment_id"], each["kind"], each["forms"], each["valid"]) for each in document["lists"]]
    assert asked == [(first, "email", 4, 4), (first, "phone_number", 4, 4), (second, "phone_number", 4, 4)]
    assert [(each["service"], each["state"], each["lists"]) for each in document["services"]] == [
        ("marketing-solutions", "searched", 1), ("retail-media", "searched", 1), ("commerce-grid", "searched", 0)
    ]  # fmt: skip
    assert [(each["kinds"], each["forms"]) for each in document["identifiers"]] == [
        (["email"], 4),
        (["phone_number"], 4),
    ]
    last = max(each.answered_at for each in receipt.lists if each.answered_at)
    assert receipt.live_from == live_from(last)
    assert document["live_from"] == receipt.live_from.isoformat()


async def test_fingerprints_recur_as_long_as_their_key_is_kept(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """So a later dry run shows whether a person was in a receipt; without a state directory none recurs."""
    await world.add("marketing-solutions", "email")
    receipts = [await world.criteo.erase([written, JOANNA], dry_run=True) for written in (ANNA, ANNA.title())]
    fingerprints = [[each.fingerprint for each in receipt.identifiers] for receipt in receipts]
    assert fingerprints[0] == fingerprints[1]
    assert len(set(fingerprints[0])) == 2
    assert all(receipt.key_is_kept for receipt in receipts)
    monkeypatch.setenv("XDG_STATE_HOME", "/dev/null")
    strange = [await world.criteo.erase([ANNA], dry_run=True) for _ in range(2)]
    assert not any(receipt.key_is_kept for receipt in strange)
    assert len({receipt.identifiers[0].fingerprint for receipt in strange} | set(fingerprints[0])) == 4


async def test_an_owner_bounds_the_erasure(world: World) -> None:
    """Only lists of the owners that are given are asked, of no other service either."""
    mine = await world.add("marketing-solutions", "email", owner_id="7")
    theirs = await world.add("marketing-solutions", "email", owner_id="8")
    account = await world.add("retail-media", "email", owner_id="9")
    grid = await world.add("commerce-grid", "email", owner_id="7")
    receipt = await world.criteo.erase([ANNA], advertiser_id="7", account_id="9")
    assert {each.segment_id for each in receipt.lists} == {mine, account}
    assert {each.owner_id for each in receipt.lists} == {"7", "9"}
    assert ANNA not in world.sandbox.contact_list(mine)
    assert ANNA in world.sandbox.contact_list(theirs)
    assert ANNA in world.sandbox.contact_list(grid)
    receipt = await world.criteo.erase([ANNA], services=["Commerce_Grid"], advertiser_id="8")
    assert {each.segment_id for each in receipt.lists} == {theirs, grid}


async def test_a_service_that_may_not_be_searched_is_left_out_unless_it_is_named(world: World) -> None:
    """The receipt says so in either case, and only in the second one is that a failure."""
    await world.add("marketing-solutions", "email")
    for services, state, ok in ((None, "not permitted", True), (["commerce-grid"], "failed", False)):
        world.sandbox.fail_next(status=403, on="commerce-grid")
        receipt = await world.criteo.erase([ANNA], services=services)
        assert [each.state.value for each in receipt.services if each.service == "commerce-grid"] == [state]
        assert receipt.ok is ok
    assert receipt.explain().startswith("The erasure is not complete: 1 service failed; no service could be searched.")
    with pytest.raises(ErasureFailedError) as failed:
        receipt.raise_for_failures()
    assert failed.value.receipt is receipt


async def test_a_version_without_a_service_leaves_it_out(set_stage: Callable[..., Any]) -> None:
    """Commerce Grid has no audiences in older versions, and Retail Media no list of accounts in the experimental one."""
    for version, missing in (("2025-10", "commerce-grid"), ("experimental", "retail-media")):
        async with set_stage(client={"api_version": version}) as stage:
            receipt = await stage.criteo.erase([ANNA])
            states = {each.service: each.state for each in receipt.services}
            assert states.pop(missing) is STATES.NOT_OFFERED
            assert set(states.values()) == {STATES.SEARCHED}
            assert receipt.ok


async def test_a_list_that_cannot_be_changed_is_not_asked_and_not_forgotten(world: World) -> None:
    """It may hold the person, so the erasure is not complete."""
    closed = world.sandbox.add_contact_list(read_only=True)
    open_ = await world.add("marketing-solutions", "email")
    before = len(world.sandbox.requests)
    receipt = await world.criteo.erase([ANNA])
    assert {each.segment_id: each.state for each in receipt.lists} == {
        closed: STATES.READ_ONLY, open_: STATES.REMOVED
    }  # fmt: skip
    assert len(world.removals(before)) == 1
    assert not receipt.ok
    assert "1 request to a list read-only" in receipt.explain()


@pytest.mark.parametrize(
    ("fault", "state"),
    [({"status": 400}, STATES.FAILED), ({"status": 503}, STATES.UNKNOWN), ({"status": 404}, STATES.FAILED)],
)
async def test_one_list_that_fails_keeps_the_others_from_nothing(
    world: World, fault: dict[str, Any], state: ErasureState
) -> None:
    """What became of each is in the receipt, with the status; running it again finishes it."""
    segments = [await world.add("marketing-solutions", "email") for _ in range(5)]
    world.sandbox.fail_with(lambda request: Fault(**fault) if f"/{segments[2]}/" in request.path else None)
    receipt = await world.criteo.erase([ANNA])
    states = [each.state for each in receipt.lists]
    assert states == [STATES.REMOVED, STATES.REMOVED, state, STATES.REMOVED, STATES.REMOVED]
    failed = receipt.to_dict()["lists"][2]
    assert (failed["status"], failed["answered_at"]) == (fault["status"], None)
    assert not receipt.ok
    assert_nobody_in(receipt.explain() + repr(receipt))
    world.sandbox.fail_with(None)
    assert (await world.criteo.erase([ANNA])).ok
    world.assert_gone()


async def test_rejects_that_uploads_have_written_are_found(world: World, tmp_path: Path) -> None:
    """Nobody names them: the state directory knows where values stand; a file that has gone is forgotten."""
    segment = await world.add("marketing-solutions", "email")
    kept, gone, moved, piped = (tmp_path / name for name in ("kept \udcff.csv", "gone.csv", "moved.csv", "piped.csv"))
    for path in (kept, gone, moved, piped):
        await upload_with_rejects(world, segment, path)
    piped.unlink()
    os.mkfifo(piped)  # nobody writes into it
    gone.unlink()
    moved.unlink()
    moved.write_text(f"email\n{ANNA}\n")  # of somebody else
    planned = await world.criteo.erase([ANNA, PHONE], dry_run=True)
    assert [each.state for each in planned.files if each.kind == "rejects"] == [STATES.PLANNED]
    receipt = await world.criteo.erase([ANNA, PHONE])
    assert [(each.erased, each.state) for each in receipt.files if each.kind == "rejects"] == [(5, STATES.REMOVED)]
    assert "anna.kowalska @example.com" not in kept.read_text()
    assert ANNA in moved.read_text()
    assert Witness().rejects(forget_gone=False) == [kept, moved, piped]
    with pytest.raises(ConfigurationError, match="expected a file of rejects, found another file"):
        await world.criteo.erase([ANNA], rejects=[piped])


async def test_rejects_without_values_are_not_noted(world: World, tmp_path: Path) -> None:
    """They hold nobody."""
    segment = await world.add("marketing-solutions", "email")
    upload = world.criteo.marketing_solutions.upload_contact_list
    await upload(segment, ["not an address"], hash=None, rejects=tmp_path / "rejects.csv", max_rejected=1)
    assert Witness().rejects(forget_gone=False) == []


async def test_a_register_that_cannot_be_read_is_in_the_receipt(world: World, state_home: Path) -> None:
    """Which files of rejects there are is then not known, so the erasure is not complete."""
    await world.add("marketing-solutions", "email")
    register = state_home / "criteo-audiences" / "journals" / REGISTER_NAME
    register.parent.mkdir(parents=True)
    register.write_bytes(b"no register" * 1_000)
    register.chmod(0o600)
    receipt = await world.criteo.erase([ANNA])
    assert [(each.kind, each.state) for each in receipt.files] == [("rejects", STATES.FAILED)]
    assert not receipt.ok


async def test_credentials_that_are_refused_half_way_leave_a_receipt(world: World) -> None:
    """What was removed by then is in it, and what was not asked says so."""
    for _ in range(12):
        await world.add("marketing-solutions", "email")
    seen: list[str] = []

    def refuse(request: RecordedRequest) -> Fault | None:
        if request.path.endswith("contact-list"):
            seen.append(request.path)
        return Fault(status=401) if len(seen) > 4 else None

    world.sandbox.fail_with(refuse)
    receipt = await world.criteo.erase([ANNA])
    states = {each.state for each in receipt.lists}
    assert states == {STATES.REMOVED, STATES.FAILED, STATES.NOT_ASKED}
    assert isinstance(receipt.error, AuthenticationError)
    assert not receipt.ok


async def test_refused_credentials_end_it_before_a_list_is_asked(world: World) -> None:
    """Nothing was done, so there is nothing to receipt."""
    await world.add("marketing-solutions", "email")
    world.sandbox.fail_with(lambda _: Fault(status=401))
    with pytest.raises(AuthenticationError):
        await world.criteo.erase([ANNA])


async def test_a_dry_run_asks_no_list(world: World, tmp_path: Path) -> None:
    """It searches, and says what it would ask; lists and files stay as they are."""
    segment = await world.add("marketing-solutions", "email")
    rejects = tmp_path / "rejects.csv"
    await upload_with_rejects(world, segment, rejects)
    content, before = rejects.read_bytes(), len(world.sandbox.requests)
    receipt = await world.criteo.erase([ANNA, PHONE], rejects=[tmp_path], dry_run=True)
    assert (receipt.ok, receipt.dry_run, receipt.live_from) == (True, True, None)
    assert world.removals(before) == []
    assert {each.state for each in (*receipt.lists, *receipt.files)} == {STATES.PLANNED}
    assert [each.erased for each in receipt.files if each.kind == "rejects"] == [5]
    assert rejects.read_bytes() == content
    assert ANNA in world.sandbox.contact_list(segment)


@pytest.mark.parametrize(
    ("given", "options", "message"),
    [
        ([ANNA, "planted.nobody"], {}, r"identifiers, entry 2: .* \(no_at_sign\)\. Nothing was sent"),
        (["", "  "], {}, "at least one identifier; found none"),
        ([], {}, "at least one identifier; found none"),
        (ANNA, {}, "must be a list, not a single str"),
        ([ANNA, 5], {}, "entry 2: expected a str, found int"),
        ({"email": ["planted.nobody"]}, {}, r"identifiers of email, entry 1: .*no_at_sign"),
        ({"planted@example.com": ["x"]}, {}, "identifiers is not one this library knows"),
        ({"email": [ANNA]}, {"identifier_type": "email"}, "leave out identifier_type"),
        ([ANNA], {"identifier_type": "planted.nobody"}, "identifier_type is not one"),
        (
            [ANNA],
            {"services": ["planted.nobody"]},
            "expected some of: marketing-solutions, retail-media, commerce-grid",
        ),
        ([ANNA], {"services": "retail-media"}, "services must be a list"),
        ([ANNA], {"advertiser_id": ""}, "advertiser_id must not be empty"),
        (["09812345678"], {}, r"no_country_code"),
        ([ANNA], {"region": "Narnia"}, "region"),
        (["5"], {"identifier_type": "gum"}, "gum_caller_id goes with GUM ids"),
        ([ANNA], {"gum_caller_id": 5}, "gum_caller_id goes with GUM ids"),
        ([ANNA], {"rejects": ["/nowhere/rejects.csv"]}, "rejects, entry 1: the file cannot be read"),
        ([ANNA], {"rejects": [__file__]}, "rejects, entry 1: expected a file of rejects, found another file"),
    ],
)
async def test_a_mistake_is_found_before_anything_is_sent(
    world: World, given: Any, options: dict[str, Any], message: str
) -> None:
    """Not even a token is asked for, and the message shows no value."""
    before = len(world.sandbox.requests)
    with pytest.raises(ConfigurationError, match=message) as refused:
        await world.criteo.erase(given, **options)
    assert len(world.sandbox.requests) == before
    assert "planted" not in str(refused.value)
    assert_nobody_in(str(refused.value))


async def test_other_ids_are_removed_by_their_kind(world: World) -> None:
    """A customer id where customer ids are; a mobile id in both cases, also where a service has user ids only."""
    customers = world.sandbox.add_contact_list(service="retail-media", identifier_type="CustomerId")
    users = world.sandbox.add_contact_list(service="retail-media", identifier_type="UserIdentifier")
    mobiles = world.sandbox.add_contact_list(service="commerce-grid")
    gums = world.sandbox.add_contact_list(service="marketing-solutions")
    retail, grid, marketing = world.criteo.retail_media, world.criteo.commerce_grid, world.criteo.marketing_solutions
    add = {"operation": "add"}
    await retail.amend_contact_list(customers, identifiers=["c-1", "c-2"], identifier_type="customer_id", **add)
    await retail.amend_contact_list(users, identifiers=[MOBILE_ID.lower()], identifier_type="user_identifier", **add)
    await grid.amend_contact_list(mobiles, identifiers=[MOBILE_ID], identifier_type="madid", **add)
    await marketing.amend_contact_list(gums, identifiers=["g-1"], identifier_type="gum", gum_caller_id=5, **add)
    wanted = {"customer_id": ["c-1"], IdentifierType.MADID: [MOBILE_ID], "gum": ["g-1"]}
    receipt = await world.criteo.erase(wanted, gum_caller_id=5)
    assert receipt.ok, receipt.explain()
    held = {each: world.sandbox.contact_list(each).identifiers for each in (customers, users, mobiles, gums)}
    assert held == {customers: {"c-2"}, users: set(), mobiles: set(), gums: set()}


async def test_an_unfinished_upload_to_a_list_is_not_continued_unasked_afterwards(stage: Stage) -> None:
    """It would not send again what the erasure has removed, nor know that it did."""
    upload = stage.criteo.marketing_solutions.upload_contact_list
    journal = f"{journals.state_directory()}/"
    rows, options = [f"{number}@example.com" for number in range(30)], {"hash": None, "batch_size": 10}
    stage.sandbox.fail_next(status=400, on="contact-list")
    await upload(stage.segment_id, rows, journal=journal, **options)
    receipt = await stage.criteo.erase(["1@example.com"])
    (kept,) = (each for each in receipt.files if each.kind == "journal")
    assert (kept.state, "unfinished" in (kept.remark or "")) == (STATES.NOTHING, True)
    directory = journals.state_directory()
    assert directory is not None
    (summary,) = journals.list_journals(directory)
    assert summary.obstacle is not None


async def test_a_journal_of_a_finished_upload_forgets_its_batches(stage: Stage) -> None:
    """The digest of a batch of one address could be tried out; journals of other lists stay as they are."""
    upload = stage.criteo.marketing_solutions.upload_contact_list
    other = stage.sandbox.add_contact_list(owner_id="2")
    directory = journals.state_directory()
    assert directory is not None
    for segment in (stage.segment_id, other):
        await upload(segment, [ANNA], hash=None, journal=f"{directory}/")
    sizes = {each.segment_id: rows_of(each.path) for each in journals.list_journals(directory)}
    assert sizes == {stage.segment_id: 1, other: 1}
    receipt = await stage.criteo.erase([ANNA], advertiser_id="1")
    assert [(each.kind, each.state) for each in receipt.files] == [("journal", STATES.REMOVED)]
    sizes = {each.segment_id: rows_of(each.path) for each in journals.list_journals(directory)}
    assert sizes == {stage.segment_id: 0, other: 1}


async def test_what_is_stored_about_a_list_that_failed_stays(stage: Stage) -> None:
    """It is needed until the list has done as asked; then it goes, too."""
    upload = stage.criteo.marketing_solutions.upload_contact_list
    directory = journals.state_directory()
    await upload(stage.segment_id, [ANNA], hash=None, journal=f"{directory}/")
    stage.sandbox.fail_next(status=400, on="contact-list")
    receipt = await stage.criteo.erase([ANNA])
    assert (receipt.ok, receipt.files) == (False, ())
    receipt = await stage.criteo.erase([ANNA])
    assert [(each.kind, each.state) for each in receipt.files] == [("journal", STATES.REMOVED)]


def rows_of(journal: Path) -> int:
    """Returns how many batches a journal remembers."""
    import sqlite3  # noqa: PLC0415 - only here is a journal looked into
    from contextlib import closing  # noqa: PLC0415 - see above

    with closing(sqlite3.connect(f"{journal.as_uri()}?mode=ro", uri=True)) as db:
        ((count,),) = db.execute("SELECT count(*) FROM batches")
        return int(count)


async def test_many_people_take_as_many_calls_as_their_forms_need(world: World) -> None:
    """50,000 forms a call, which are 12,500 addresses."""
    segment = await world.add("marketing-solutions", "email")
    people = [ANNA, *(f"{number}@example.com" for number in range(12_500))]
    before = len(world.sandbox.requests)
    receipt = await world.criteo.erase(people)
    assert [each.forms for each in receipt.lists] == [50_000, 4]
    assert len(world.removals(before)) == 2
    assert ANNA not in world.sandbox.contact_list(segment)
    assert len(receipt.identifiers) == 12_501


async def test_a_few_calls_are_under_way_at_once(set_stage: Callable[..., Any]) -> None:
    """So an erasure over many lists takes a fraction of the time, and leaves room for others."""
    async with set_stage(rate_limit=None, latency=0.01) as stage:
        for number in range(20):
            stage.sandbox.add_contact_list(f"more {number}")
        await stage.criteo.erase([ANNA])
        assert 2 <= stage.sandbox.max_in_flight <= 4


async def test_a_cancellation_ends_it(world: World) -> None:
    """It can be started again."""
    await world.add("marketing-solutions", "email")
    world.sandbox.fail_next(delay=60.0, on="contact-list")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5):
            await world.criteo.erase([ANNA])
    receipt: ErasureReceipt = await world.criteo.erase([ANNA])
    assert receipt.ok
