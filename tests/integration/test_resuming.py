"""An upload with a journal, against the sandbox: what was acknowledged is not sent again, and nothing is lost."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from attrs import define, field

from criteo_audiences import CriteoClient, CriteoError, JournalError, RetryPolicy, UploadReport
from criteo_audiences.batches import Batch
from criteo_audiences.journals import directory
from criteo_audiences.journals.directory import JournalDirectory
from criteo_audiences.journals.store import Store
from criteo_audiences.sandbox import Sandbox
from criteo_audiences.uploads import sender
from tests.kit import assert_adds_up, emails

EMAILS = list(emails(100))


class Stage:
    """A contact list and a journal."""

    def __init__(self, sandbox: Sandbox, criteo: CriteoClient, journal: Path) -> None:
        self.sandbox = sandbox
        self.criteo = criteo
        self.journal = journal
        self.segment_id = sandbox.add_contact_list(name="crm")

    async def upload(self, source: Any, **options: Any) -> UploadReport:
        """Uploads in batches of 10, one at a time."""
        chosen = {"hash": "sha256", "batch_size": 10, "max_concurrency": 1, "journal": self.journal, **options}
        segment_id = chosen.pop("segment_id", self.segment_id)
        report = await self.criteo.marketing_solutions.upload_contact_list(segment_id, source, **chosen)
        check(report)
        return report

    async def cut_short(self, rows: list[str], after: int, **options: Any) -> None:
        """Uploads until the source fails behind so many rows, the full batches of which have arrived by then."""
        expected = self.amendments + after // 10

        async def failing() -> AsyncIterator[str]:
            for row in rows[:after]:
                yield row
            while self.amendments < expected:  # noqa: ASYNC110 - the server has no event for it
                await asyncio.sleep(0.001)
            raise SourceError

        with pytest.raises(SourceError):
            await self.upload(failing(), drain_timeout=10.0, **options)

    @property
    def held(self) -> int:
        """Identifiers that the server holds."""
        return len(self.sandbox.contact_list(self.segment_id))

    @property
    def amendments(self) -> int:
        """Calls that carried identifiers so far."""
        return sum(bool(request.identifiers) for request in self.sandbox.requests)


class SourceError(Exception):
    """A source that ends in the middle."""


def check(report: UploadReport) -> None:
    """Asserts that a report adds up, and that each batch was sent once, by this run or by an earlier one."""
    assert_adds_up(report)
    if not report.dry_run:
        assert report.calls == report.batches - report.resumed + report.retries


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    """A running sandbox, a client that gives up at once, and a journal in a directory of its own."""
    async with (
        Sandbox(rate_limit=None) as sandbox,
        CriteoClient(sandbox.credentials, base_url=sandbox.url, retry=RetryPolicy(attempts=1)) as criteo,
    ):
        yield Stage(sandbox, criteo, tmp_path / "state" / "crm.journal")


async def test_an_upload_that_was_cut_short_is_finished(stage: Stage) -> None:
    """Two of five batches were acknowledged: the same upload sends the other three, and reports all five."""
    await stage.cut_short(EMAILS[:50], 25)
    assert stage.amendments == 2

    report = await stage.upload(EMAILS[:50])
    assert (report.batches, report.resumed, report.calls) == (5, 2, 3)
    assert (report.sent, report.valid, report.ok) == (50, 50, True)
    assert (stage.held, stage.amendments) == (50, 5)
    assert report.live_from is not None


async def test_a_finished_upload_is_sent_again_when_it_is_started_again(stage: Stage) -> None:
    """Add, clear, add: the journal of the first does not keep the second from sending."""
    for _ in range(2):
        report = await stage.upload(EMAILS[:30])
        assert (report.resumed, report.calls, stage.held) == (0, 3, 30)
        await stage.criteo.marketing_solutions.clear_contact_list(stage.segment_id)


async def test_a_changed_source_is_sent_again_from_its_first_changed_batch(stage: Stage) -> None:
    """The second batch of three changed, so it and the third are sent, though the third had arrived."""
    rows = EMAILS[:40]
    await stage.cut_short(rows, 35)
    changed = [*rows[:12], "new@example.com", *rows[13:]]
    report = await stage.upload(changed)
    assert (report.resumed, report.calls) == (1, 3)
    assert stage.held == 41


async def test_a_batch_that_failed_is_the_only_one_that_is_sent_again(stage: Stage) -> None:
    """A batch was answered with 503 and one got no answer; the next run sends these two."""
    stage.sandbox.fail_next(status=503, on="contact-list")
    stage.sandbox.fail_next(lose_reply=True, on="contact-list")
    first = await stage.upload(EMAILS[:50])
    assert (first.failed, first.unknown, first.valid, first.ok) == (0, 20, 30, False)

    second = await stage.upload(EMAILS[:50])
    assert (second.resumed, second.calls, second.valid, second.ok) == (3, 2, 50, True)
    assert stage.held == 50


async def test_results_of_resumed_batches_come_too(stage: Stage) -> None:
    """Who adds up the results of a stream gets what the report says."""
    await stage.cut_short(EMAILS[:30], 25)
    lists = stage.criteo.marketing_solutions
    options: dict[str, Any] = {"hash": "sha256", "batch_size": 10, "journal": stage.journal}
    async with lists.stream_contact_list(stage.segment_id, EMAILS[:30], **options) as results:
        assert results.resumes
        assert results.resumable
        assert results.journal == stage.journal
        found = [result async for result in results]
    assert [(result.number, result.resumed) for result in found] == [(1, True), (2, True), (3, False)]
    assert sum(result.valid for result in found) == results.report.valid == 30
    assert not results.resumable


@pytest.mark.parametrize(
    "other",
    [{"operation": "remove"}, {"hash": None}, {"batch_size": 11}, {"dedupe": True}, {"segment_id": "other"}],
    ids=lambda other: next(iter(other)),
)
async def test_a_journal_is_of_one_job(stage: Stage, other: dict[str, Any]) -> None:
    """Another operation, list or setting does not continue it, and does not overwrite it."""
    await stage.cut_short(EMAILS[:30], 25)
    if "segment_id" in other:
        other = {"segment_id": stage.sandbox.add_contact_list()}
    with pytest.raises(JournalError, match="another job"):
        await stage.upload(EMAILS[:30], **other)
    assert (await stage.upload(EMAILS[:30])).resumed == 2


async def test_a_directory_has_a_journal_for_each_job(stage: Stage, tmp_path: Path) -> None:
    """Given a directory, uploads that differ do not get in each other's way; no name shows a setting."""
    for options in ({}, {"operation": "remove"}, {"hash": None}):
        await stage.cut_short(EMAILS[:30], 25, journal=tmp_path, **options)
    assert len(list(tmp_path.glob("*.journal"))) == 3
    assert len(list(tmp_path.glob(f"marketing-solutions-{stage.segment_id}-add-*.journal"))) == 2


async def test_another_operation_on_the_list_keeps_it_from_being_continued_unasked(
    stage: Stage, tmp_path: Path
) -> None:
    """An upload of the same directory came between: everything is sent, unless resume=True says otherwise."""
    await stage.cut_short(EMAILS[:30], 25)
    await stage.upload(EMAILS[:5], journal=stage.journal.with_name("other.journal"))
    stream = stage.criteo.marketing_solutions.stream_contact_list
    options: dict[str, Any] = {"hash": "sha256", "batch_size": 10, "max_concurrency": 1, "journal": stage.journal}
    copied = tmp_path / "copy"
    copied.mkdir()
    for file in stage.journal.parent.iterdir():
        (copied / file.name).write_bytes(file.read_bytes())
    async with stream(stage.segment_id, EMAILS[:30], **options) as results:
        assert results.set_aside is not None
        assert "something else has operated on the list" in results.set_aside
        assert [result.resumed async for result in results] == [False] * 3
    report = await stage.upload(EMAILS[:30], journal=copied / "crm.journal", resume=True)
    assert report.resumed == 2


async def amend(stage: Stage, segment_id: str) -> None:
    """Adds a customer in a call of its own."""
    lists = stage.criteo.marketing_solutions
    await lists.amend_contact_list(segment_id, operation="add", identifiers=["jane.doe@example.com"])


async def remove(stage: Stage, segment_id: str) -> None:
    """Removes customers without a journal."""
    await stage.upload(EMAILS[:20], segment_id=segment_id, journal=None, operation="remove")


async def stream(stage: Stage, segment_id: str) -> None:
    """Adds customers without a journal, batch by batch."""
    lists = stage.criteo.marketing_solutions
    async with lists.stream_contact_list(segment_id, EMAILS[:5], hash=None) as results:
        async for _ in results:
            pass


async def clear(stage: Stage, segment_id: str) -> None:
    """Removes everybody."""
    await stage.criteo.marketing_solutions.clear_contact_list(segment_id)


OPERATIONS = [amend, remove, stream, clear]


@pytest.mark.parametrize("operate", OPERATIONS)
async def test_what_this_library_did_to_the_list_keeps_it_from_being_continued_unasked(
    stage: Stage, operate: Any
) -> None:
    """A call or an upload that knows of no journal; the list is whole in the end, and resume=True goes on."""
    await stage.cut_short(EMAILS[:50], 25)
    await operate(stage, stage.segment_id)
    report = await stage.upload(EMAILS[:50])
    assert (report.resumed, report.valid) == (0, 50)
    assert stage.held >= 50

    await stage.cut_short(EMAILS[:50], 25)
    await operate(stage, stage.segment_id)
    assert (await stage.upload(EMAILS[:50], resume=True)).resumed == 2


@pytest.mark.parametrize("operate", OPERATIONS)
async def test_what_was_done_to_another_list_does_not(stage: Stage, operate: Any) -> None:
    """Nor does a dry run, or an operation when no state directory could be written to."""
    await stage.cut_short(EMAILS[:50], 25)
    await operate(stage, stage.sandbox.add_contact_list(name="other"))
    await stage.upload(EMAILS[:50], journal=None, dry_run=True)
    assert (await stage.upload(EMAILS[:50])).resumed == 2


@pytest.mark.parametrize("operate", OPERATIONS)
@pytest.mark.parametrize("place", ["missing", "/dev/null", "file", "damaged", "locked"])
async def test_an_operation_needs_no_state_directory(
    stage: Stage, operate: Any, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It succeeds and makes nothing; what keeps it from being noted is a warning at most."""
    monkeypatch.setenv("XDG_STATE_HOME", place if place.startswith("/") else str(tmp_path / "home"))
    monkeypatch.setattr(directory, "_PATIENCE_OF_A_CALL", 0.01)
    register_path = tmp_path / "home" / "criteo-audiences" / "journals" / directory.REGISTER_NAME
    if place == "file":
        (tmp_path / "home").touch()
    if place in {"damaged", "locked"}:
        await stage.upload(EMAILS[:10])
    if place == "damaged":
        register_path.write_bytes(b"x" * 5_000)
    before = sorted(tmp_path.rglob("*"))
    with JournalDirectory(register_path.parent) if place == "locked" else contextlib.nullcontext():
        await operate(stage, stage.segment_id)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("options", [{"column": "nowhere"}, {"where": "no such thing"}, {"resume": True}])
async def test_a_refused_start_leaves_no_journal(stage: Stage, options: dict[str, Any], tmp_path: Path) -> None:
    """Neither a file nor its log or lock, in a directory or under a name; the next one starts as if nothing was."""
    (tmp_path / "crm.csv").write_text("email\na@example.com\n", encoding="utf-8")
    stage.journal.parent.mkdir()
    for journal in (stage.journal, stage.journal.parent):
        with pytest.raises(CriteoError):
            await stage.upload(tmp_path / "crm.csv", journal=journal, **options)
        assert {each.name for each in stage.journal.parent.iterdir()} <= {directory.REGISTER_NAME}
        assert (await stage.upload(EMAILS[:1], journal=tmp_path / "other.journal")).ok


async def test_resuming_what_is_finished_is_refused(stage: Stage) -> None:
    """resume=True with nothing to continue says so instead of sending everything again."""
    await stage.upload(EMAILS[:10])
    with pytest.raises(JournalError, match="no unfinished upload"):
        await stage.upload(EMAILS[:10], resume=True)
    assert stage.amendments == 1


async def test_a_journal_has_one_upload_at_a_time(stage: Stage) -> None:
    """A second upload with a journal in use is refused in words, and nothing is sent for it."""
    lists = stage.criteo.marketing_solutions
    async with lists.stream_contact_list(stage.segment_id, EMAILS[:10], hash=None, journal=stage.journal):
        with pytest.raises(JournalError, match="in use"):
            await stage.upload(EMAILS[:10], hash=None)


async def test_a_dry_run_leaves_the_journal_alone(stage: Stage) -> None:
    """It neither makes one nor reads one."""
    report = await stage.upload(EMAILS[:10], dry_run=True)
    assert report.pending == 10
    assert not stage.journal.exists()


async def test_a_file_is_resumed_like_any_source(stage: Stage, tmp_path: Path) -> None:
    """The table lane: a refused batch in the middle, then the same file again."""
    path = tmp_path / "crm.csv"
    path.write_text("email\n" + "\n".join(EMAILS[:50]))
    stage.sandbox.fail_next(status=500, on="contact-list")
    assert (await stage.upload(path)).unknown == 10
    report = await stage.upload(path)
    assert (report.resumed, report.calls, report.valid) == (4, 1, 50)
    assert stage.held == 50


async def test_credentials_that_are_refused_leave_the_upload_unfinished(stage: Stage) -> None:
    """A token that is refused in the middle ends the upload with an error; the next one continues."""
    rows = EMAILS[:40]

    def revoking() -> Iterator[str]:
        yield from rows[:20]
        stage.sandbox.fail_next(status=401, times=2)
        yield from rows[20:]

    with pytest.raises(CriteoError):
        await stage.upload(revoking())
    report = await stage.upload(rows)
    assert report.ok
    assert stage.held == 40


async def test_a_canceled_upload_is_continued(stage: Stage) -> None:
    """What is in flight gets drain_timeout to come back, and is not sent again; nobody needs a signal for that."""
    stage.sandbox.fail_next(delay=0.2, times=3, on="contact-list")
    task = asyncio.create_task(stage.upload(EMAILS[:50], drain_timeout=10.0))
    while stage.amendments < 2:  # noqa: ASYNC110 - the server has no event for it
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    arrived = stage.held
    report = await stage.upload(EMAILS[:50])
    assert report.resumed == arrived // 10 > 0
    assert stage.amendments == 5


async def test_a_journal_that_cannot_be_written_any_more_ends_the_upload(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was acknowledged is in the error's note and in the list; nothing more is sent."""
    begin = Store.begin

    def full(store: Store, batch: Batch, *arguments: Any, **options: Any) -> None:
        if batch.number == 3:
            raise JournalError("The journal cannot be written: the disk is full.")
        begin(store, batch, *arguments, **options)

    monkeypatch.setattr(Store, "begin", full)
    with pytest.raises(JournalError, match="disk is full") as caught:
        await stage.upload(EMAILS[:50], drain_timeout=10.0)
    assert "20 valid" in caught.value.__notes__[0]
    assert stage.held == 20
    monkeypatch.undo()
    assert (await stage.upload(EMAILS[:50])).resumed == 2
    assert stage.amendments == 5


@define
class Disk:
    """What the journal has written down, what of it is on the disk, and which threads have waited for that."""

    recorded: list[int] = field(factory=list)
    safe: list[int] = field(factory=list)
    waited: list[threading.Thread] = field(factory=list)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    """Watches the journal's file."""
    watched, end, sync = Disk(), Store.end, Store.sync

    def recording(store: Store, number: int, *arguments: Any) -> None:
        end(store, number, *arguments)
        watched.recorded.append(number)

    def waiting(store: Store) -> None:
        covered = list(watched.recorded)
        sync(store)
        watched.safe = covered
        watched.waited.append(threading.current_thread())

    monkeypatch.setattr(Store, "end", recording)
    monkeypatch.setattr(Store, "sync", waiting)
    return watched


async def test_an_acknowledgement_is_on_the_disk_before_anybody_hears_of_it(stage: Stage, disk: Disk) -> None:
    """Every result comes after the wait for the disk that covers it."""
    options: dict[str, Any] = {"hash": None, "batch_size": 10, "max_concurrency": 2, "journal": stage.journal}
    heard = 0
    async with stage.criteo.marketing_solutions.stream_contact_list(
        stage.segment_id, EMAILS[:80], **options
    ) as results:
        async for result in results:
            assert result.number in disk.safe
            heard += 1
    assert heard == 8


async def test_results_that_follow_closely_wait_for_the_disk_together(
    stage: Stage, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first one by itself, the others once, in a thread, and not longer than until the last one is there."""
    monkeypatch.setattr(sender, "_BETWEEN_SYNCS", 3_600.0)
    assert (await stage.upload(EMAILS[:80])).ok
    opening, *waited = disk.waited
    assert len(waited) == 2
    assert threading.current_thread() not in {opening, *waited}


async def test_a_result_that_no_other_follows_does_not_wait(
    stage: Stage, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A source that goes on only after its first batch has come back gets that result at once."""
    monkeypatch.setattr(sender, "_BETWEEN_SYNCS", 3_600.0)
    await _go_on_after(1, stage, disk)


async def test_a_result_does_not_wait_long_for_others(stage: Stage, disk: Disk) -> None:
    """A source that goes on only after its second batch has come back gets that result, too."""
    await _go_on_after(2, stage, disk)


async def _go_on_after(number: int, stage: Stage, disk: Disk) -> None:
    is_back = asyncio.Event()

    async def source() -> AsyncIterator[str]:
        for email in EMAILS[: 10 * number]:
            yield email
        await is_back.wait()
        for email in EMAILS[:20]:
            yield email

    options: dict[str, Any] = {"hash": None, "batch_size": 10, "journal": stage.journal}
    async with stage.criteo.marketing_solutions.stream_contact_list(stage.segment_id, source(), **options) as results:
        async for result in results:
            if result.number == number:
                is_back.set()
    assert results.report.batches == number + 2
    assert disk.safe == [*range(1, number + 3)]
