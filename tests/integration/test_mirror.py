"""Mirrors against the sandbox: the list holds what the source does, by the fewest calls, and nothing else is written."""

import asyncio
import hashlib
import itertools
import re
import shutil
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from attrs import define
from hypothesis import given, settings
from hypothesis import strategies as st

from criteo_audiences import (
    ConfigurationError,
    MirrorRefusedError,
    MirrorReport,
    Quota,
    RetryPolicy,
    SegmentMismatchError,
    SnapshotError,
    Table,
    UploadFailedError,
    WindowMissedError,
)
from criteo_audiences.mirrors import describe_snapshot, forget, list_snapshots, remove_snapshot
from criteo_audiences.mirrors import mirror as mirroring
from criteo_audiences.mirrors.facts import Facts, read_note
from criteo_audiences.mirrors.registers import Registers
from criteo_audiences.mirrors.snapshot import Snapshot
from criteo_audiences.sandbox import Fault
from criteo_audiences.tables.engine.connection import connect
from tests.kit import AMENDING, Stage, emails


class CrashError(BaseException):
    """The process ends here."""


def sha256(addresses: Any) -> set[str]:
    """Returns the digests of addresses."""
    return {hashlib.sha256(each.encode()).hexdigest() for each in addresses}


@define
class Mirrored:
    """A contact list, the sandbox that holds it, and its snapshot."""

    stage: Stage
    path: Path

    async def __call__(self, source: Any, **options: Any) -> MirrorReport:
        """Mirrors a source in batches of 10, hashed, whatever has to be removed."""
        chosen = {"hash": "sha256", "snapshot": self.path, "batch_size": 10, "max_removals": 1.0, **options}
        lists = self.stage.criteo.marketing_solutions
        segment_id = chosen.pop("segment_id", self.stage.segment_id)
        return await lists.mirror_contact_list(segment_id, source, **chosen)

    async def begin(self, source: Any, **options: Any) -> None:
        """Gives the list and its snapshot a content; costs less than a first mirror that sends it."""
        await self.stage.upload(source, hash=options.get("hash", "sha256"))
        await self(source, baseline="assume-current", **options)

    @property
    def held(self) -> frozenset[str]:
        """What the server holds."""
        return self.stage.held

    def changes(self) -> int:
        """Calls so far that change a list."""
        return len([each for each in self.stage.sandbox.requests if AMENDING in each.path and each.identifiers])


@pytest.fixture
def mirror(stage: Stage, tmp_path: Path) -> Mirrored:
    """A list that has not been mirrored yet."""
    return Mirrored(stage, tmp_path / "crm.snapshot")


def files(path: Path) -> list[str]:
    """Names what a directory holds of snapshots and what belongs to them."""
    return sorted(each.name for each in path.iterdir() if not each.name.startswith(".criteo") and each.is_file())


async def test_only_changes_are_sent(mirror: Mirrored, tmp_path: Path) -> None:
    """Additions and removals take a call per batch of their own, what is unchanged none, and the list is the source."""
    first = await mirror(list(emails(35)), baseline="empty")
    assert (first.added, first.removed, first.unchanged, first.calls, first.ok) == (35, 0, 0, 4, True)
    source = [*list(emails(50))[12:], "0@example.com", "0@example.com"]
    second = await mirror(source)
    assert (second.added, second.removed, second.unchanged, second.calls) == (15, 11, 24, 4)
    assert (second.source.read, second.source.duplicates) == (40, 1)
    assert (second.removals.sent, second.additions.sent) == (11, 15)
    assert mirror.held == sha256(source)
    before = len(mirror.stage.sandbox.requests)
    third = await mirror(source)
    assert (third.added, third.removed, third.unchanged, third.calls, third.ok) == (0, 0, 39, 0, True)
    assert len(mirror.stage.sandbox.requests) == before
    assert files(tmp_path) == ["crm.snapshot"]
    assert mirror.path.stat().st_mode & 0o777 == 0o600


async def test_the_way_out_of_damaged_changes_is_one(mirror: Mirrored) -> None:
    """Whoever removes what the message names can mirror again with the baseline it names."""
    await mirror.begin(list(emails(20)))
    changes = mirror.path.with_name(f"{mirror.path.name}.changes")
    for content in (mirror.path.read_bytes(), mirror.path.read_bytes()[:-20]):
        changes.write_bytes(content)
        changes.chmod(0o600)
        with pytest.raises(SnapshotError) as caught:
            await mirror(emails(10))
    assert "remove it and the snapshot, and mirror once with a baseline (--baseline unknown)" in str(caught.value)
    changes.unlink()
    mirror.path.unlink()
    assert (await mirror(emails(10), baseline="unknown")).ok


async def test_the_snapshot_has_the_threads_that_the_table_has(
    mirror: Mirrored, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine that reads the table on three cores does not wait for a snapshot that is written on one."""
    (tmp_path / "crm.csv").write_text("email\na@b.co\nc@d.co\n")
    threads: list[int] = []

    def noted(*args: Any, **limits: Any) -> Any:
        threads.append(limits["threads"])
        return connect(*args, **limits)

    monkeypatch.setattr("criteo_audiences.mirrors.snapshot.connect", noted)
    await mirror(tmp_path / "crm.csv", baseline="empty", threads=3)
    assert set(threads) == {3}


@pytest.mark.parametrize("service", ["retail_media", "commerce_grid"])
async def test_every_service_mirrors(stage: Stage, tmp_path: Path, service: str) -> None:
    """The lists of all three services are mirrored alike."""
    add = {"retail_media": "retail-media", "commerce_grid": "commerce-grid"}[service]
    segment_id = stage.sandbox.add_contact_list(service=add)
    lists = getattr(stage.criteo, service)
    options: dict[str, Any] = {"hash": "md5", "snapshot": tmp_path / "s", "max_removals": 1}
    await lists.mirror_contact_list(segment_id, ["a@b.co", "c@d.co"], baseline="empty", **options)
    report = await lists.mirror_contact_list(segment_id, ["c@d.co", "e@f.co"], **options)
    assert (report.added, report.removed, report.unchanged) == (1, 1, 1)
    expected = {hashlib.md5(each, usedforsecurity=False).hexdigest() for each in (b"c@d.co", b"e@f.co")}
    assert stage.sandbox.contact_list(segment_id).identifiers == expected


def as_file(rows: list[str], path: Path) -> Path:
    """Writes rows into a CSV file."""
    path.write_text("email\n" + "\n".join(rows), encoding="utf-8")
    return path


async def asynchronous(rows: list[str]) -> AsyncIterator[str]:
    """Yields rows."""
    for row in rows:
        yield row


SOURCES: list[Callable[[list[str], Path], Any]] = [
    lambda rows, _: list(rows),
    lambda rows, _: iter(rows),
    lambda rows, _: asynchronous(rows),
    lambda rows, path: as_file(rows, path / "crm.csv"),
    lambda rows, _: pa.table({"email": rows}),
    lambda rows, _: pd.DataFrame({"email": rows}),
    lambda rows, _: pl.DataFrame({"email": rows}),
    lambda rows, path: Table.from_query("SELECT email FROM " + repr(str(as_file(rows, path / "crm.csv")))),  # noqa: S608 - ours
]


@pytest.mark.parametrize("chosen", [{"hash": None}, {"hash": "sha256"}])
async def test_sources_of_every_kind_are_one(mirror: Mirrored, tmp_path: Path, chosen: dict[str, Any]) -> None:
    """A list, an iterator, an async one, a file, data frames and a query of the same rows leave nothing to change."""
    rows = ["Ann@Example.com ", "bob@example.com", "no address", "ann@example.com", "d\u00e4n@example.com"]
    await mirror.begin(rows, **chosen)
    for source in SOURCES:
        report = await mirror(source(rows, tmp_path), **chosen)
        assert (report.added, report.removed, report.source.read, report.source.duplicates) == (0, 0, 5, 1)
        assert report.source.rejected_total == 5 - 1 - report.unchanged


async def test_values_in_clear_and_ids_come_back_as_they_were(stage: Stage, tmp_path: Path) -> None:
    """What is sent in clear is removed in clear: signs that JSON escapes, digests, an id that looks like a digest."""
    ids = ['a "quoted" id', "back\\slash", "\u00fcml\u00e4ut", "F" * 64, "f" * 64, "0" * 32, "x" * 31, "y" * 15]
    segment_id = stage.sandbox.add_contact_list(identifier_type="CustomerId", service="retail-media")
    lists = stage.criteo.retail_media
    options: dict[str, Any] = {"identifier_type": "customer_id", "snapshot": tmp_path / "s", "max_removals": 1}
    await lists.mirror_contact_list(segment_id, ids, baseline="empty", **options)
    held = stage.sandbox.contact_list(segment_id)
    assert held.identifiers == set(ids)
    report = await lists.mirror_contact_list(segment_id, ids[:1], **options)
    assert (report.removed, report.unchanged, report.ok) == (len(ids) - 1, 1, True)
    assert held.identifiers == set(ids[:1])


async def test_dry_run_shows_and_changes_nothing(mirror: Mirrored, tmp_path: Path) -> None:
    """Adds, removals, what is left and the calls; neither the list nor a file changes."""
    planned = await mirror(list(emails(35)), baseline="empty", dry_run=True)
    assert (planned.added, planned.removed, planned.unchanged, planned.calls, planned.ok) == (35, 0, 0, 4, True)
    assert files(tmp_path) == []
    await mirror.begin(list(emails(35)))
    before = mirror.path.read_bytes()
    planned = await mirror(list(emails(10)), dry_run=True)
    assert (planned.added, planned.removed, planned.unchanged, planned.calls) == (0, 25, 10, 3)
    assert mirror.path.read_bytes() == before
    assert mirror.held == sha256(emails(35))


async def test_baselines(mirror: Mirrored, tmp_path: Path) -> None:
    """Unknown adds all and removes none; assume-current sends nothing; none is refused, and so is one too many."""
    with pytest.raises(ConfigurationError, match="say what the list holds, with baseline=empty, baseline=unknown"):
        await mirror(list(emails(3)))
    await mirror.stage.upload(["stranger@example.com"], hash="sha256")
    report = await mirror(list(emails(3)), baseline="unknown")
    assert (report.added, report.removed) == (3, 0)
    assert mirror.held == sha256([*emails(3), "stranger@example.com"])
    with pytest.raises(ConfigurationError, match=r"baseline=unknown is for a first mirror, but the snapshot .* exists"):
        await mirror(list(emails(3)), baseline="unknown")
    mirror.path = tmp_path / "another"
    calls = mirror.changes()
    report = await mirror(list(emails(3)), baseline="assume_current")
    assert (report.added, report.removed, report.unchanged, mirror.changes()) == (0, 0, 3, calls)
    assert describe_snapshot(mirror.path).identifiers == 3
    report = await mirror(list(emails(2)))
    assert (report.added, report.removed, report.unchanged) == (0, 1, 2)
    with pytest.raises(ConfigurationError, match="baseline must be one of: empty, unknown, assume-current"):
        await mirror([], baseline="full")


async def test_guard_stops_before_any_call(mirror: Mirrored) -> None:
    """An empty source and a drop of half are refused with the numbers, before a token is asked for."""
    await mirror.begin(list(emails(100)))
    before, requests = mirror.path.read_bytes(), len(mirror.stage.sandbox.requests)
    with pytest.raises(
        MirrorRefusedError, match=r"would remove 50 of 100 identifiers \(50.0%\) and add 1; .* allows 20"
    ):
        await mirror([*list(emails(50)), "new@example.com"], max_removals=0.2)
    with pytest.raises(MirrorRefusedError, match=r"holds no identifier \(0 rows read, 0 rejected\)") as refused:
        await mirror(iter(()))
    assert (refused.value.added, refused.value.removed, refused.value.unchanged) == (0, 100, 0)
    with pytest.raises(MirrorRefusedError, match=r"rows read were rejected, more than max_rejected=0.5"):
        await mirror([*emails(100), *["x"] * 101])
    assert (mirror.path.read_bytes(), len(mirror.stage.sandbox.requests)) == (before, requests)
    await mirror(list(emails(80)), max_removals=0.2)
    assert mirror.held == sha256(emails(80))
    await mirror([], allow_empty=True)
    assert mirror.held == set()


async def test_guard_of_a_first_mirror_asks_for_no_token(set_stage: Any, tmp_path: Path) -> None:
    """Not even one call is made for an empty first source."""
    async with set_stage() as stage:
        mirror = Mirrored(stage, tmp_path / "crm.snapshot")
        with pytest.raises(MirrorRefusedError):
            await mirror([], baseline="empty")
        assert stage.sandbox.requests == []
        assert files(tmp_path) == []


async def test_a_person_in_two_forms_is_one(mirror: Mirrored) -> None:
    """An address and a digest of it are one person, within a source and from one mirror to the next."""
    ann = "ann@example.com"
    md5 = hashlib.md5(ann.encode(), usedforsecurity=False).hexdigest()
    report = await mirror([ann, md5, "bob@example.com"], baseline="empty")
    assert (report.added, report.source.duplicates) == (2, 1)
    report = await mirror([md5, "bob@example.com"])
    assert mirror.held == {md5, *sha256(["bob@example.com"])}  # not to be told from somebody else: removed, then added
    report = await mirror([ann, "bob@example.com"])
    assert (report.added, report.removed, report.unchanged, report.calls) == (0, 0, 2, 0)
    report = await mirror(["bob@example.com"])
    assert (report.removed, mirror.held) == (1, sha256(["bob@example.com"]))


async def test_an_address_that_becomes_a_digest_is_left(mirror: Mirrored) -> None:
    """Sent in clear before, a digest now: the same person, who is removed as what was sent."""
    await mirror.begin(["ann@example.com", "bob@example.com"], hash=None)
    report = await mirror([*sha256(["ann@example.com"]), "bob@example.com"], hash=None)
    assert (report.added, report.removed, report.unchanged) == (0, 0, 2)
    await mirror(["bob@example.com"], hash=None)
    assert mirror.held == {"bob@example.com"}


async def test_failed_batches_are_sent_again_and_no_others(mirror: Mirrored) -> None:
    """What was refused stays to be done; what got no answer may or may not be done, and is done again."""
    mirror.stage.sandbox.fail_next(status=400, on=AMENDING)
    report = await mirror(list(emails(35)), baseline="empty", max_concurrency=1)
    assert (report.ok, report.additions.failed, report.uncertain) == (False, 10, 0)
    with pytest.raises(UploadFailedError, match="The additions are incomplete"):
        report.raise_for_failures()
    mirror.stage.sandbox.fail_next(status=503, on=AMENDING, times=9, handle_first=True)
    report = await mirror(list(emails(35)), max_concurrency=1)
    assert (report.added, report.ok, report.uncertain) == (10, False, 10)
    assert describe_snapshot(mirror.path).state == "unfinished"
    report = await mirror(list(emails(30)))
    assert (report.ok, report.uncertain) == (True, 0)
    assert mirror.held == sha256(emails(30))
    assert describe_snapshot(mirror.path).state == "complete"


async def test_nobody_stays_who_was_added_without_an_answer(mirror: Mirrored) -> None:
    """A batch that got no answer and whose people have left the source meanwhile is removed."""
    await mirror.begin(list(emails(10)))
    mirror.stage.sandbox.fail_next(status=503, on=AMENDING, times=9, handle_first=True)
    await mirror(list(emails(20)))
    report = await mirror(list(emails(10)))
    assert (report.removed, report.added, report.ok) == (10, 0, True)
    assert mirror.held == sha256(emails(10))


async def test_refused_permission_leaves_the_additions_unsent(mirror: Mirrored) -> None:
    """When no removal arrives, no addition is tried, and the next mirror does both."""
    await mirror.begin(list(emails(20)))
    mirror.stage.sandbox.fail_next(status=403, on=AMENDING)
    report = await mirror(list(emails(30))[10:])
    assert (report.ok, report.removals.failed, report.additions.pending, report.additions.sent) == (False, 10, 10, 0)
    assert (await mirror(list(emails(30))[10:])).ok
    assert mirror.held == sha256(list(emails(30))[10:])


async def test_cancellation_keeps_what_was_acknowledged(mirror: Mirrored) -> None:
    """A mirror that is canceled half-way goes on from there."""
    arrived = asyncio.Event()
    calls = 0

    def watch(call: Any) -> None:
        nonlocal calls
        calls += AMENDING in call.path
        if calls == 3:
            arrived.set()

    mirror.stage.sandbox.fail_with(watch)
    running = asyncio.create_task(mirror(list(emails(60)), baseline="empty", max_concurrency=1))
    await arrived.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    report = await mirror(list(emails(60)))
    assert report.ok
    assert 20 <= report.unchanged <= 50
    assert mirror.held == sha256(emails(60))


async def test_other_operations_are_noticed(mirror: Mirrored) -> None:
    """An upload, a clear or a single call between two mirrors is said, and not what the mirror itself does."""
    assert (await mirror(list(emails(3)), baseline="empty")).notes == ()
    assert (await mirror(list(emails(4)))).notes == ()
    lists, segment_id = mirror.stage.criteo.marketing_solutions, mirror.stage.segment_id
    for number, operate in enumerate(
        (
            lambda: lists.clear_contact_list(segment_id),
            lambda: lists.amend_contact_list(segment_id, operation="add", identifiers=["x@y.co"]),
            lambda: lists.upload_contact_list(segment_id, ["x@y.co"], hash=None),
            lambda: lists.upload_contact_list(segment_id, ["x@y.co"], hash=None, journal=mirror.path.parent / "j/"),
        ),
        start=5,
    ):
        await operate()
        report = await mirror(list(emails(number)))
        assert len(report.notes) == 1
        assert "Something else has operated on the list" in report.notes[0]
        assert (await mirror(list(emails(number)))).notes == ()


async def test_second_mirror_of_a_list_is_refused(mirror: Mirrored, tmp_path: Path) -> None:
    """By the snapshot's own lock, and with another snapshot by that of the list."""
    await mirror.begin(list(emails(3)))
    began, go_on = asyncio.Event(), asyncio.Event()

    async def slowly() -> AsyncIterator[str]:
        began.set()
        await go_on.wait()
        yield "a@b.co"

    running = asyncio.create_task(mirror(slowly()))
    await began.wait()
    with pytest.raises(SnapshotError, match=r"The snapshot .* is in use by another mirror: wait for its end"):
        await mirror(list(emails(3)))
    with pytest.raises(SnapshotError, match=r"Segment .* is in use by another mirror"):
        await mirror(list(emails(3)), snapshot=tmp_path / "another", baseline="empty")
    go_on.set()
    assert (await running).ok


async def test_restored_copy_is_refused(mirror: Mirrored, tmp_path: Path, state_home: Path) -> None:
    """An older snapshot that came back is not believed, whichever register knows better."""
    await mirror.begin(list(emails(3)))
    shutil.copy(mirror.path, tmp_path / "old")
    await mirror(list(emails(4)))
    newest = mirror.path.read_bytes()
    shutil.copy(tmp_path / "old", mirror.path)
    for forgotten in (None, mirror.path.parent / ".criteo-audiences.register"):
        if forgotten is not None:
            forgotten.unlink()
        with pytest.raises(
            SnapshotError, match=r"is not the newest of its list: it is generation \d, and generation \d"
        ):
            await mirror(list(emails(4)))
    assert list(state_home.rglob(".criteo-audiences.register"))
    mirror.path.write_bytes(newest)
    assert (await mirror(list(emails(4)))).unchanged == 4


async def test_register_that_was_given_knows_the_newest(mirror: Mirrored, tmp_path: Path, state_home: Path) -> None:
    """Where nothing else does: the journals' directory was kept, the snapshot's and the user's state came back."""
    journals = tmp_path / "journals"
    await mirror.begin(list(emails(3)), journal=journals)
    old = mirror.path.read_bytes()
    await mirror(list(emails(4)), journal=journals)
    mirror.path.write_bytes(old)
    for register in (*state_home.rglob(".criteo-audiences.register*"), *tmp_path.glob(".criteo-audiences.register*")):
        register.unlink()
    with pytest.raises(SnapshotError, match="is not the newest"):
        await mirror(list(emails(4)), journal=journals)
    assert sorted(each.name for each in journals.iterdir()) == [".criteo-audiences.register"]
    (journals / ".criteo-audiences.register").unlink()
    assert (await mirror(list(emails(4)), journal=journals)).added == 1  # nobody knows better


async def test_journals_of_an_earlier_mirror_say_nothing_of_this_one(
    mirror: Mirrored, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One was killed while it removed its journals, the next one before it began its own: nothing counts as sent."""
    with monkeypatch.context() as patch:
        patch.setattr(Snapshot, "_remove_journals", lambda *_: None)
        await mirror(list(emails(20)), baseline="empty")
    assert list(mirror.path.parent.glob("*.journal"))
    with monkeypatch.context() as patch:
        patch.setattr(mirroring, "upload_lane", crashing(mirroring.upload_lane, at=2))
        with pytest.raises(CrashError):
            await mirror(list(emails(40)))
    report = await mirror(list(emails(40)))
    assert (report.added, report.unchanged) == (20, 20)
    assert mirror.held == sha256(emails(40))


@pytest.mark.parametrize("content", ["nothing", "no tables"])
async def test_a_journal_that_was_being_made_is_no_obstacle(
    mirror: Mirrored, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: str
) -> None:
    """A mirror that was killed between making the file and writing into it has sent nothing of that upload."""
    await mirror.begin(list(emails(20)))
    with monkeypatch.context() as patch:
        patch.setattr(mirroring, "upload_lane", crashing(mirroring.upload_lane, at=2))
        with pytest.raises(CrashError):
            await mirror(list(emails(40)))
    journal = mirror.path.with_name("crm.snapshot.add.journal")
    journal.unlink(missing_ok=True)
    journal.touch(mode=0o600)
    if content == "no tables":
        with closing(sqlite3.connect(journal)) as db:
            db.execute("PRAGMA journal_mode=WAL")
    report = await mirror(list(emails(40)))
    assert (report.added, report.unchanged, report.uncertain) == (20, 20, 0)
    assert mirror.held == sha256(emails(40))
    assert files(tmp_path) == ["crm.snapshot"]


def crashing(function: Any, *, at: int) -> Any:
    """Returns a coroutine function that ends the process at one of its calls."""
    calls = itertools.count(1)

    async def called(*arguments: Any, **keywords: Any) -> Any:
        if next(calls) == at:
            raise CrashError
        return await function(*arguments, **keywords)

    return called


@pytest.mark.parametrize(
    "crash",
    [
        "Registers.note",
        "Snapshot.carry_on",
        "Snapshot.replace",
        "Snapshot._clean_up",
        "Snapshot._remove_journals",
        "Snapshot.settle",
    ],
)
async def test_crash_between_two_steps(
    mirror: Mirrored, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, state_home: Path, crash: str
) -> None:
    """Wherever a mirror ends, the next one sends what is still to change, and leaves nothing but the snapshot."""
    await mirror.begin(list(emails(30)))
    owner, _, name = crash.partition(".")

    calls = itertools.count()

    def end(*_: object, **__: object) -> None:
        if next(calls) or name not in {"carry_on", "_remove_journals"}:  # these are called at the beginning, too
            raise CrashError

    with monkeypatch.context() as patch:
        patch.setattr({"Registers": Registers, "Snapshot": Snapshot}[owner], name, end)
        with pytest.raises(CrashError):
            await mirror(list(emails(45))[5:])
    before = mirror.held
    restore = kept(tmp_path, state_home)
    for which, first, last in (("same", 5, 45), ("another", 10, 50), ("the old one", 0, 30)):
        source = list(emails(last))[first:]
        wanted = sha256(source)
        report = await mirror(source)
        assert (report.ok, report.uncertain, report.notes) == (True, 0, ()), which
        assert (report.added, report.removed) == (len(wanted - before), len(before - wanted)), which
        assert mirror.held == wanted, which
        assert files(tmp_path) == ["crm.snapshot"], which
        await mirror.stage.criteo.marketing_solutions.clear_contact_list(mirror.stage.segment_id)
        await mirror.stage.upload(before)
        restore()


def kept(*directories: Path) -> Callable[[], None]:
    """Copies directories, and returns what makes them what they were."""
    copies = {each: shutil.copytree(each, each.with_name(f"{each.name} before")) for each in directories}

    def restore() -> None:
        for each, copy in copies.items():
            shutil.rmtree(each)
            shutil.copytree(copy, each)

    return restore


async def test_nothing_of_an_identifier_is_shown(mirror: Mirrored, caplog: pytest.LogCaptureFixture) -> None:
    """Neither in the report, nor in the logs, nor in the registers and journals; in clear it is in the snapshot only."""
    caplog.set_level("DEBUG")
    secret = "ann.secret@example.com"
    mirror.stage.sandbox.fail_next(status=400, on=AMENDING)
    report = await mirror([secret], baseline="empty", hash=None)
    report = await mirror([secret], hash=None)
    shown = repr(report) + str(report.to_dict()) + caplog.text + repr(describe_snapshot(mirror.path))
    (digest,) = sha256([secret])
    assert secret not in shown
    assert digest not in shown
    directory = mirror.path.parent
    holding = {each.name for each in directory.rglob("*") if each.is_file() and secret.encode() in each.read_bytes()}
    assert holding == {"crm.snapshot"}


async def test_lost_snapshot_has_a_way_out(mirror: Mirrored) -> None:
    """It is said that there was one; a baseline begins anew, and the old one is no longer believed."""
    await mirror.begin(list(emails(3)))
    old = mirror.path.read_bytes()
    mirror.path.unlink()
    with pytest.raises(ConfigurationError, match="though the list was mirrored before: bring it back, or give"):
        await mirror(list(emails(3)))
    assert (await mirror(list(emails(3)), baseline="unknown")).added == 3
    mirror.path.write_bytes(old)
    with pytest.raises(SnapshotError, match="is not the newest"):
        await mirror(list(emails(3)))


def flipped(data: bytes, at: int) -> bytes:
    """Returns bytes of which one is another."""
    return data[:at] + bytes([data[at] ^ 0x40]) + data[at + 1 :]


BAD: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "corrupt": (lambda data: flipped(data, len(data) // 4), "is damaged, its checksum does not fit"),
    "corrupt at the end": (lambda data: flipped(data, len(data) - 9), "is (damaged|no snapshot|cut off)"),
    "cut": (lambda data: data[: len(data) // 2], "is cut off"),
    "empty": (lambda _: b"", "is no snapshot of this library, and is left as it is"),
    "foreign": (lambda _: b"email\na@b.co\n", "is no snapshot of this library, and is left as it is"),
    "newer": (lambda data: data.replace(b'{"format": 1', b'{"format": 2'), "was written by a newer release"),
}


async def test_bad_snapshots_are_refused_in_one_line(mirror: Mirrored) -> None:
    """Nothing is sent, and the file stays as it is."""
    await mirror.begin(list(emails(200)))
    good, calls = mirror.path.read_bytes(), len(mirror.stage.sandbox.requests)
    for kind, (spoil, message) in BAD.items():
        bad = spoil(good)
        mirror.path.write_bytes(bad)
        with pytest.raises(SnapshotError) as refused:
            await mirror(list(emails(200)))
        assert re.search(message, str(refused.value)), kind
        assert "\n" not in str(refused.value), kind
        assert (mirror.path.read_bytes(), len(mirror.stage.sandbox.requests)) == (bad, calls), kind


async def test_a_snapshot_that_others_can_change_is_refused(mirror: Mirrored) -> None:
    """Whoever writes it decides who is removed."""
    await mirror.begin(list(emails(3)))
    for changed, message in (
        (
            mirror.path,
            r"crm\.snapshot can be written by other users, so it cannot be trusted: remove it, or use chmod 600",
        ),
        (
            mirror.path.parent,
            r"crm\.snapshot cannot be trusted because the directory .* can be written by other users: take",
        ),
    ):
        mode = changed.stat().st_mode
        changed.chmod(mode | 0o022)
        with pytest.raises(SnapshotError, match=message):
            await mirror(list(emails(3)))
        changed.chmod(mode)


async def test_snapshot_of_something_else_is_refused(mirror: Mirrored) -> None:
    """Another segment, kind or hash; the message says which."""
    await mirror.begin(list(emails(3)))
    others: list[tuple[dict[str, Any], str]] = [
        ({"hash": "md5"}, "is of hash=sha256, not md5"),
        ({"segment_id": "another"}, "is of segment"),
        (
            {"identifier_type": "madid", "hash": None},
            "is of identifier_type=email, not madid and of hash=sha256, not None",
        ),
    ]
    for options, message in others:
        with pytest.raises(SnapshotError, match=message):
            await mirror(list(emails(3)), **options)


async def test_clock_before_the_last_write_is_refused(mirror: Mirrored) -> None:
    """A snapshot from the future is not believed: the clock is wrong, or the file."""
    await mirror.begin(list(emails(3)))
    note = read_note(mirror.path)
    assert note is not None
    facts = Facts.from_note(note, mirror.path)
    facts.require_usable(mirror.path, facts.mirrored, facts.written - 1)
    with pytest.raises(SnapshotError, match="lies ahead of this machine's clock: set the clock right"):
        facts.require_usable(mirror.path, facts.mirrored, facts.written - 3_600)


async def test_read_only_segment_and_a_failing_source_change_nothing(mirror: Mirrored, tmp_path: Path) -> None:
    """Both end before anything is sent, and leave the snapshot as it is, or none."""
    read_only = mirror.stage.sandbox.add_contact_list(read_only=True)
    with pytest.raises(SegmentMismatchError, match="read-only"):
        await mirror(list(emails(3)), segment_id=read_only, baseline="empty")
    assert files(tmp_path) == []
    await mirror.begin(list(emails(3)))
    before, calls = mirror.path.read_bytes(), len(mirror.stage.sandbox.requests)

    def failing() -> Iterator[str]:
        yield from emails(2)
        raise LookupError

    with pytest.raises(LookupError):
        await mirror(failing())
    assert (mirror.path.read_bytes(), len(mirror.stage.sandbox.requests)) == (before, calls)
    assert files(tmp_path) == ["crm.snapshot"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"operation": "add"}, "operation does not go with a mirror: a mirror adds and removes"),
        ({"resume": True}, "resume does not go with a mirror"),
        ({"columns": {"email": "a"}}, "columns does not go with a mirror"),
        ({"max_removals": 1.5}, "max_removals must be between 0 and 1"),
        ({"snapshot": None}, "snapshot must name the file"),
        ({"column": "email"}, "column is about the columns of a table"),
        ({"snapshot": "/"}, "snapshot must name a file, not a directory"),
    ],
)
async def test_options_that_cannot_be_used(mirror: Mirrored, options: Any, message: str) -> None:
    """Each is refused by name."""
    with pytest.raises(ConfigurationError, match=message):
        await mirror(list(emails(3)), **{"baseline": "empty", **options})
    with pytest.raises(TypeError, match=r"mirror_contact_list\(\) .* 'snapshto'; did you mean 'snapshot'"):
        await mirror([], snapshto="x")


async def test_summaries_and_removal(mirror: Mirrored, tmp_path: Path) -> None:
    """A directory's snapshots are listed, a damaged one among them; a foreign file is neither listed nor removed."""
    await mirror(list(emails(3)), baseline="empty")
    (tmp_path / "broken.snapshot").write_bytes(b"PAR1")
    (tmp_path / "notes.txt").write_text("x")
    found = {each.path.name: each for each in list_snapshots(tmp_path)}
    assert {name: each.state.value for name, each in found.items()} == {
        "broken.snapshot": "damaged", "crm.snapshot": "complete"
    }  # fmt: skip
    shown = found["crm.snapshot"]
    assert (shown.segment_id, shown.hash, shown.identifiers, shown.baseline) == (
        mirror.stage.segment_id, "sha256", 3, "empty"
    )  # fmt: skip
    with pytest.raises(SnapshotError, match="is no snapshot"):
        remove_snapshot(tmp_path / "notes.txt")
    remove_snapshot(mirror.path)
    assert files(tmp_path) == ["broken.snapshot", "notes.txt"]
    with pytest.raises(SnapshotError, match="There is no snapshot"):
        describe_snapshot(mirror.path)


async def test_what_is_forgotten_is_not_in_the_file(mirror: Mirrored) -> None:
    """A person is taken out in every form that is named; the next mirror neither removes them nor is refused."""
    await mirror.begin(list(emails(3)))
    (digest,) = sha256(["0@example.com"])
    assert bytes.fromhex(digest) in mirror.path.read_bytes()
    assert forget(mirror.path, ["0@example.com", digest]) == 1
    assert bytes.fromhex(digest) not in mirror.path.read_bytes()
    assert forget(mirror.path, ["0@example.com", digest]) == 0
    report = await mirror(list(emails(3))[1:])
    assert (report.added, report.removed, report.unchanged) == (0, 0, 2)


async def test_replace_clears_right_before_the_first_batch(mirror: Mirrored) -> None:
    """A source without an identifier leaves the list as it is; another one replaces it."""
    lists, segment_id = mirror.stage.criteo.marketing_solutions, mirror.stage.segment_id
    await mirror.stage.upload(["old@example.com"])
    report = await lists.replace_contact_list(segment_id, ["no address"], hash=None)
    assert (report.ok, mirror.held) == (False, {"old@example.com"})
    report = await lists.replace_contact_list(segment_id, list(emails(30)), hash=None, batch_size=10)
    assert (report.ok, mirror.held) == (True, set(emails(30)))
    kept: Any
    for kept in ({"journal": mirror.path}, {"ledger": SimpleNamespace(find=print, note=print)}):
        with pytest.raises(ConfigurationError, match=f"{min(kept)} does not go with replace_contact_list"):
            await lists.replace_contact_list(segment_id, ["a@b.co"], hash=None, **kept)
    mirror.stage.sandbox.fail_next(status=403, on=AMENDING)
    report = await lists.replace_contact_list(segment_id, ["a@b.co"], hash=None)
    assert (report.ok, mirror.held) == (False, set(emails(30)))


OLD = {"old@example.com"}
CLEARED: list[tuple[dict[str, Any], bool | None, set[str]]] = [
    ({"status": 501}, None, OLD),
    ({"status": 501, "handle_first": True}, None, set()),
    ({"lose_reply": True}, None, set()),
    ({"drop_connection": True}, None, OLD),
    ({"status": 403}, False, OLD),
    ({"status": 429, "rate_limit_headers": False}, False, OLD),
]


@pytest.mark.parametrize(("fault", "cleared", "held"), CLEARED, ids=str)
async def test_replace_whose_clear_fails_says_what_may_have_happened(
    set_stage: Any, fault: dict[str, Any], *, cleared: bool | None, held: set[str]
) -> None:
    """The upload ends with that call; unless it was refused, the report says that the list may be empty now."""
    async with set_stage({"retry": RetryPolicy(attempts=1)}) as stage:
        await stage.upload(OLD)
        stage.sandbox.fail_next(**fault, on=AMENDING)
        calls = len(stage.calls)
        report = await stage.criteo.marketing_solutions.replace_contact_list(
            stage.segment_id, list(emails(30)), hash=None, batch_size=10, max_concurrency=1
        )
        assert (report.cleared, report.to_dict()["cleared"], stage.held) == (cleared, cleared, held)
        assert (report.sent, report.pending, len(report.failures)) == (0, report.read, 1)
        assert len(stage.calls) == calls + 1
    told = "Whether the list was cleared is not known: it may be empty now, and nothing was added. Run it again."
    assert (told in report.explain()) is (cleared is None)
    assert (told in str(report)) is (cleared is None)


async def test_replace_that_is_cut_off_says_what_is_left(mirror: Mirrored) -> None:
    """A deadline or a cancellation in the middle of clearing leaves it open; a batch that fails after it does not."""
    lists, segment_id = mirror.stage.criteo.marketing_solutions, mirror.stage.segment_id
    mirror.stage.sandbox.fail_next(on=AMENDING, stall=30.0, at="handled")
    report = await lists.replace_contact_list(segment_id, ["a@b.co"], hash=None, deadline=0.5)
    assert (report.cleared, report.deadline_passed, report.pending) == (None, True, 1)
    assert "it may be empty now" in report.explain()
    mirror.stage.sandbox.fail_next(on=AMENDING, stall=30.0, at="handled")
    with pytest.raises(TimeoutError) as caught:
        async with asyncio.timeout(0.5):
            await lists.replace_contact_list(segment_id, ["a@b.co"], hash=None)
    assert any("it may be empty now" in note for note in getattr(caught.value.__cause__, "__notes__", ()))
    mirror.stage.sandbox.fail_with(lambda call: Fault(status=413) if call.method == "PATCH" else None)
    report = await lists.replace_contact_list(segment_id, ["a@b.co"], hash=None)
    assert (report.cleared, report.failed) == (True, 1)
    assert "The list was cleared first, so it holds nothing but what was added since." in report.explain()
    mirror.stage.sandbox.fail_with(None)
    report = await lists.replace_contact_list(segment_id, ["a@b.co"], hash=None)
    assert (report.cleared, report.ok, report.explain()) == (True, True, "")
    assert (await lists.replace_contact_list(segment_id, ["a@b.co"], hash=None, dry_run=True)).cleared is False


async def test_deadline_ends_a_mirror_that_goes_on_later(mirror: Mirrored) -> None:
    """What was not sent by then is pending, and the next mirror sends it."""
    mirror.stage.sandbox.fail_next(on=AMENDING, stall=30.0, at="handled")
    report = await mirror(list(emails(30)), baseline="empty", deadline=1.5, max_concurrency=1)
    assert not report.ok
    assert report.additions.deadline_passed
    assert (await mirror(list(emails(30)))).ok
    assert mirror.held == sha256(emails(30))


@settings(max_examples=5)
@given(
    versions=st.lists(st.sets(st.integers(0, 30)), min_size=1, max_size=4),
    refused=st.lists(st.sampled_from([None, 400, 503]), max_size=4),
)
def test_any_sequence_of_versions(tmp_path_factory: pytest.TempPathFactory, versions: Any, refused: Any) -> None:
    """Whatever the versions are and whichever calls fail, a mirror that is `.ok` leaves exactly its source."""
    asyncio.run(sequence(tmp_path_factory.mktemp("mirror") / "crm.snapshot", versions, refused))


async def sequence(path: Path, versions: list[set[int]], refused: list[int | None]) -> None:
    """Mirrors versions, the first calls of each failing with the next status."""
    from criteo_audiences import CriteoClient, RetryPolicy  # noqa: PLC0415 - the fixtures are for one test each
    from criteo_audiences.sandbox import Sandbox  # noqa: PLC0415 - the same

    async with Sandbox(rate_limit=None) as sandbox:
        retry = RetryPolicy(attempts=1)
        async with CriteoClient(sandbox.credentials, base_url=sandbox.url, retry=retry) as criteo:
            mirror = Mirrored(Stage(sandbox, criteo, sandbox.add_contact_list()), path)
            for version in versions:
                source = [f"{number}@example.com" for number in version]
                status = refused.pop() if refused else None
                if status is not None:
                    sandbox.fail_next(status=status, on=AMENDING, handle_first=status == 503)
                for _ in range(1 + len(versions)):  # a fault may wait for a call that comes later
                    baseline = {} if path.exists() else {"baseline": "empty"}
                    report = await mirror(source, allow_empty=True, batch_size=7, **baseline)
                    if report.ok:
                        break
                assert report.ok
                assert mirror.held == sha256(source)


async def test_the_next_computation_is_a_deadline_for_the_changes(set_stage: Any, tmp_path: Path) -> None:
    """A source of many batches is fine when few of them have changed; changes that come too late are not sent at all."""
    async with set_stage(client={"quota": Quota(8, period=86_400.0)}, rate_limit=(8, 86_400.0)) as stage:
        mirror = Mirrored(stage, tmp_path / "crm.snapshot")
        assert (await mirror(list(emails(100)), baseline="assume-current", deadline="next-window")).ok
        report = await mirror(list(emails(105)), deadline="next-window")
        assert (report.ok, report.added, report.calls) == (True, 5, 1)
        before = stage.held
        with pytest.raises(WindowMissedError, match="Nothing was sent"):
            await mirror(list(emails(200)), deadline="next-window")
        assert stage.held == before
        assert describe_snapshot(mirror.path).identifiers == 105
