import asyncio
import gzip
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from criteo_audiences import ConfigurationError, HashAlgorithm, Table, UploadFailedError, hash_email
from tests.kit import emails

SetStage = Callable[..., AbstractAsyncContextManager[Any]]
MESSY = [
    " A@Example.com ",
    "a@example.com",
    "Bo <bo@example.com>",
    "nobody",
    None,
    "",
    "E13743A7F1DB7F4246BADD6FD6FF54FF",
]
CLEAN = {"a@example.com", "bo@example.com", "e13743a7f1db7f4246badd6fd6ff54ff"}


async def asynchronously(rows: Any) -> AsyncIterator[Any]:
    """Yields rows as a database driver would."""
    for row in rows:
        await asyncio.sleep(0)
        yield row


@pytest.mark.parametrize("kind", [list, iter, asynchronously], ids=["list", "iterator", "async_generator"])
@pytest.mark.parametrize("dedupe", [True, False])
async def test_the_list_holds_the_distinct_valid_identifiers(kind: Any, dedupe: bool, stage: Any) -> None:  # noqa: FBT001 - parametrized
    """From any kind of source, with and without looking for duplicates, which only changes what is counted."""
    report = await stage.upload(kind(MESSY), dedupe=dedupe)
    assert stage.held == CLEAN
    assert (report.read, report.rejected, report.already_hashed) == (7, {"no_at_sign": 1, "empty": 2}, 1)
    assert (report.valid, report.duplicates) == ((3, 1) if dedupe else (4, None))
    assert (report.batches, report.calls, report.retries, report.failures) == (1, 1, 0, ())
    assert report.live_from is not None
    assert report.ok


@pytest.mark.parametrize("algorithm", [None, "sha256", HashAlgorithm.MD5, "sha256_of_md5"])
async def test_identifiers_go_out_as_chosen(algorithm: Any, stage: Any) -> None:
    """In clear or hashed; what is hashed already goes out as it is."""
    await stage.upload(MESSY, hash=algorithm)
    digest = "e13743a7f1db7f4246badd6fd6ff54ff"
    plain = CLEAN - {digest}
    assert stage.held == {digest} | ({hash_email(each, algorithm) for each in plain} if algorithm else plain)


async def test_120_001_identifiers_are_three_calls(set_stage: SetStage) -> None:
    """Cut at 50,000, sent concurrently, and all of them arrive."""
    async with set_stage(latency=0.5) as stage:
        report = await stage.upload(emails(120_001), hash="sha256")
        assert sorted(call.identifiers for call in stage.calls) == [20_001, 50_000, 50_000]
        assert stage.sandbox.max_in_flight > 1
        assert (report.valid, report.calls, report.ok) == (120_001, 3, True)
        assert len(stage.sandbox.contact_list(stage.segment_id)) == 120_001


@pytest.mark.parametrize("senders", [1, 2, 5])
async def test_no_more_calls_are_in_flight_than_asked_for(senders: int, set_stage: SetStage) -> None:
    """The server never sees more than `max_concurrency` at the same moment, but does see several."""
    async with set_stage(latency=0.01) as stage:
        await stage.upload(emails(200), batch_size=10, max_concurrency=senders)
        assert min(senders, 2) <= stage.sandbox.max_in_flight <= senders
        assert len(stage.calls) == 20


async def test_remove_takes_identifiers_out(stage: Any) -> None:
    """The same upload with operation="remove" undoes what it names."""
    await stage.upload(emails(10))
    report = await stage.upload(emails(7), operation="remove")
    assert stage.held == {"7@example.com", "8@example.com", "9@example.com"}
    assert report.valid == 7


async def test_a_large_batch_is_split_by_its_bytes(stage: Any) -> None:
    """`max_body_bytes` bounds each call, so that no answer is 413."""
    rows = [f"{number}@{'x' * 60}.example.com" for number in range(9_000)]
    report = await stage.upload(rows, max_body_bytes=200_000)
    assert len(stage.calls) == report.batches == 4
    assert stage.held == set(rows)


@pytest.mark.parametrize(
    "options",
    [{"hash": "sha1"}, {"hash": None, "batch_size": 50_001}, {}, {"hash": None, "operation": "replace"}],
    ids=str,
)
async def test_a_wrong_option_sends_nothing_at_all(options: dict[str, Any], stage: Any) -> None:
    """Not even a call for a token is made."""
    with pytest.raises(ConfigurationError):
        await stage.criteo.marketing_solutions.upload_contact_list(stage.segment_id, ["a@b.co"], **options)
    assert stage.sandbox.requests == []


async def test_a_dry_run_sends_nothing_at_all(stage: Any) -> None:
    """It looks for the segment, once; the report says what would happen."""
    report = await stage.upload(MESSY, dry_run=True, dedupe=True)
    assert [each.path.rpartition("/")[2] for each in stage.calls] == ["search"]
    assert stage.held == frozenset()
    assert (report.pending, report.duplicates, report.rejected_total, report.batches) == (3, 1, 3, 1)
    assert report.ok


async def test_what_trickled_goes_out_while_the_source_is_open(stage: Any) -> None:
    """`flush_after` sends an incomplete batch; the source ends only once the server holds it."""
    held = asyncio.Event()

    async def source() -> AsyncIterator[str]:
        yield "a@b.co"
        yield "c@d.co"
        await held.wait()
        yield "e@f.co"

    uploading = asyncio.create_task(stage.upload(source(), flush_after=0.001))
    async with asyncio.timeout(10):
        while stage.held != {"a@b.co", "c@d.co"}:  # noqa: ASYNC110 - the server's list has no event to wait for
            await asyncio.sleep(0.001)
        held.set()
        report = await uploading
    assert stage.held == {"a@b.co", "c@d.co", "e@f.co"}
    assert (report.sent, report.batches) == (3, 2)


async def test_a_stream_tells_each_batch_and_then_reports(stage: Any) -> None:
    """Receipts carry Criteo's own counts."""
    ms = stage.criteo.marketing_solutions
    async with ms.stream_contact_list(stage.segment_id, emails(25), hash=None, batch_size=10) as results:
        told = [(result.number, result.sent, result.valid, result.receipt.contact_list_id) async for result in results]
    assert sorted(told) == [(1, 10, 10, stage.segment_id), (2, 10, 10, stage.segment_id), (3, 5, 5, stage.segment_id)]
    assert results.report.valid == 25
    assert results.report.ok


async def test_a_file_is_a_source(stage: Any, tmp_path: Path) -> None:
    """A path and a table are read alike; duplicates are looked for unless told otherwise."""
    path = tmp_path / "crm.csv.gz"
    path.write_bytes(gzip.compress('\ufeffid;E-Mail\n1;A@b.co\n2;a@b.co\n3\n4;"c@d.co"\n'.encode()))
    report = await stage.upload(path)
    assert stage.held == {"a@b.co", "c@d.co"}
    assert (report.read, report.valid, report.duplicates, report.rejected) == (4, 2, 1, {"empty": 1})
    assert (await stage.upload(Table.from_file(path, column="e-mail"), dedupe=False)).valid == 3
    assert (await stage.upload(path, column="E-Mail")).valid == 2


async def test_a_header_without_rows_uploads_nothing_and_is_not_fine(stage: Any, tmp_path: Path) -> None:
    """It raises nothing and changes nothing; the report is `.ok` only when that is allowed."""
    path = tmp_path / "crm.csv"
    path.write_text("id,email\n")
    report = await stage.upload(path)
    assert not report.ok
    with pytest.raises(UploadFailedError, match="no row was read"):
        report.raise_for_failures()
    assert (await stage.upload(path, allow_empty=True)).ok
    assert stage.amendments == []


async def test_a_missing_column_sends_nothing(stage: Any, tmp_path: Path) -> None:
    """The message names the columns that exist."""
    path = tmp_path / "crm.csv"
    path.write_text("id,e-mail\n1,a@b.co\n")
    with pytest.raises(ConfigurationError, match="its columns are: 'id', 'e-mail'"):
        await stage.upload(path, column="mail")
    assert stage.sandbox.requests == []


async def test_a_damaged_file_is_refused_before_anything_is_sent(stage: Any, tmp_path: Path) -> None:
    """A file is looked at to its end before the first call, and the note says that nothing went out."""
    path = tmp_path / "crm.csv.gz"
    rows = "".join(f"{number}@example.com\n" for number in range(30_000))
    path.write_bytes(gzip.compress(f"email\n{rows}".encode())[:-2_000])
    with pytest.raises(OSError, match=r"crm\.csv\.gz is damaged") as caught:
        await stage.upload(path, batch_size=1_000)
    assert "Running it again is safe" in caught.value.__notes__[0]
    assert stage.sandbox.requests == []


async def test_rejected_rows_never_stop_an_upload(stage: Any) -> None:
    """They are judged in the report alone, on both sides of `max_rejected`."""
    rows = [*emails(10), *["nobody"] * 10]
    assert (await stage.upload(rows)).ok
    report = await stage.upload([*rows, None])
    assert not report.ok
    assert report.valid == 10
    with pytest.raises(UploadFailedError, match="11 identifiers were rejected, more than 50% of the rows"):
        report.raise_for_failures()


async def test_what_the_caller_raises_inside_the_block_comes_out_unchanged(stage: Any) -> None:
    """The very object, in no group."""
    mine = ExceptionGroup("mine", [KeyError("x")])

    async def consume() -> None:
        ms = stage.criteo.marketing_solutions
        async with ms.stream_contact_list(stage.segment_id, emails(100), hash=None, batch_size=10) as results:
            async for _ in results:
                raise mine

    with pytest.raises(ExceptionGroup) as caught:
        await consume()
    assert caught.value is mine


async def test_an_unknown_keyword_is_refused_by_the_methods_own_name(stage: Any) -> None:
    """A typo is a TypeError as for any function, with the keyword that was probably meant."""
    ms = stage.criteo.marketing_solutions
    with pytest.raises(TypeError, match=r"^upload_contact_list\(\) got .* 'dedup'; did you mean 'dedupe'\?$"):
        await ms.upload_contact_list(stage.segment_id, [], hash=None, dedup=True)
    with pytest.raises(TypeError, match=r"^stream_contact_list\(\) got .* 'zzz'$"):
        async with ms.stream_contact_list(stage.segment_id, [], hash=None, zzz=1):
            pass
