"""What a type checker must see of the public API; checked by mypy and basedpyright, never run.

Each public method of the client and of the services stands in an `assert_type` here; a unit test looks for it.
"""

import datetime as dt
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from io import StringIO, TextIOWrapper
from pathlib import Path
from typing import assert_type

from criteo_audiences import (
    AuthorizationCode,
    Baseline,
    BatchResult,
    BulkResult,
    ClientCredentials,
    CriteoClient,
    ErasureReceipt,
    ErasureState,
    HashAlgorithm,
    IdentifierType,
    ItemFailure,
    MirrorReport,
    Operation,
    Problem,
    Progress,
    Quota,
    RefreshToken,
    RetryPolicy,
    Segment,
    StaticToken,
    Table,
    UploadReport,
    blocking,
    hash_email,
    hash_phone,
    live_from,
    next_window,
    normalize_email,
    normalize_phone,
)
from criteo_audiences import commerce_grid as cg
from criteo_audiences import marketing_solutions as mso
from criteo_audiences import retail_media as rm
from criteo_audiences.algebra import Expression
from criteo_audiences.commerce_grid import CommerceGrid
from criteo_audiences.marketing_solutions import (
    AudienceSegment,
    AudienceSegmentCreate,
    AudienceSegmentUpdate,
    ContactListCreate,
    InMarketCreate,
    MarketingSolutions,
    SegmentType,
)
from criteo_audiences.models import Application, ContactListOperation, ContactListStatistics, RateLimit
from criteo_audiences.results import Page
from criteo_audiences.retail_media import RetailMedia
from criteo_audiences.sandbox import Sandbox
from criteo_audiences.session import Event
from criteo_audiences.session.endpoints import Search
from criteo_audiences.uploads import NotASource, SourceRow, UploadStream, Verdict


def observe(event: Event) -> None:
    """An observer as a user writes it."""
    assert_type(event.status, int | None)


def watch(progress: Progress) -> None:
    """A progress callback as a user writes it."""
    assert_type(progress.read, int)


async def customers() -> AsyncIterator[str]:
    """A source as a user writes it."""
    yield "anna@example.com"


async def client() -> None:
    """Builds clients in every way."""
    credentials = ClientCredentials(client_id="id", client_secret="secret")
    async with CriteoClient(credentials, quota=Quota(250, period=60.0, share=0.5), on_event=observe) as criteo:
        assert_type(criteo, CriteoClient)
    assert_type(CriteoClient.from_env(retry=RetryPolicy(attempts=2)), CriteoClient)
    CriteoClient(StaticToken("token"))
    CriteoClient(credentials, timeout="60")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def ready_client(criteo: CriteoClient) -> None:
    """Uses what a client offers."""
    assert_type(criteo.marketing_solutions, MarketingSolutions)
    assert_type(criteo.retail_media, RetailMedia)
    assert_type(criteo.commerce_grid, CommerceGrid)
    assert_type(criteo.rate_limit, RateLimit | None)
    assert_type(criteo.quota, Quota | None)
    assert_type(criteo.host, str)
    assert_type(await criteo.authenticate(), None)
    assert_type(await criteo.erase(["a@example.com"], services=["retail-media"], rejects=["r.csv"]), ErasureReceipt)
    receipt = await criteo.erase(["a@example.com"], journals=[Path("journals")])
    assert_type(receipt.lists[0].state, ErasureState)
    await criteo.erase({"email": ["a@example.com"], IdentifierType.CUSTOMER_ID: ["7"]}, account_id="7", dry_run=True)
    await criteo.erase([b"a"])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
    assert_type(await criteo.aclose(), None)


async def store(token: str) -> None:
    """A place for refresh tokens as a user writes it."""
    assert_type(token, str)


async def logins() -> None:
    """Logs in for a user who has consented, in both ways."""
    verifier, challenge = AuthorizationCode.pkce()
    url = AuthorizationCode.consent_url(client_id="i", redirect_uri="https://x", state="s", code_challenge=challenge)
    assert_type(url, str)
    code = AuthorizationCode(
        client_id="i",
        client_secret="s",
        code="c",
        redirect_uri="https://x",
        code_verifier=verifier,
        on_rotate=store,
        accounts=3,
    )
    refresh = RefreshToken(client_id="i", client_secret="s", refresh_token="r", on_rotate=store)
    assert_type(code.refresh_token, str | None)
    assert_type(refresh.refresh_token, str)
    assert_type(refresh.quota, Quota)
    CriteoClient(code)
    CriteoClient(refresh)
    assert_type(CriteoClient.from_env(profile="agency"), CriteoClient)
    RefreshToken(client_id="i", client_secret="s", refresh_token="r", on_rotate=print)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    RefreshToken("i", "s", "r")  # type: ignore[call-arg, arg-type]  # pyright: ignore[reportCallIssue]


async def marketing_solutions(ms: MarketingSolutions) -> None:
    """Awaits every coroutine."""
    assert_type(ms.identifier_types, frozenset[IdentifierType])
    create = AudienceSegmentCreate(advertiser_id="1", name="crm", contact_list=ContactListCreate())
    assert_type(await ms.create_audience_segments([create]), BulkResult[AudienceSegment])
    created = await ms.create_audience_segments(iter([create]))
    assert_type(created.one().type, SegmentType | None)
    assert_type(created.errors, tuple[Problem, ...])
    assert_type(created.errors[0].index, int | None)
    InMarketCreate(country="FR", gender="Male", buying_power=["High"])
    receipt = await ms.amend_contact_list("1", operation="add", identifiers=["a"], identifier_type="email")
    assert_type(receipt.valid, int | None)
    assert_type(await ms.amend_contact_list("1", operation="add", identifiers=["a"]), ContactListOperation)
    assert_type(await ms.clear_contact_list("1"), None)
    assert_type(await ms.get_contact_list_statistics("1"), ContactListStatistics)


async def segments(ms: MarketingSolutions) -> None:
    """Changes, deletes and searches segments."""
    change = AudienceSegmentUpdate(id="1", description=None)
    assert_type(await ms.update_audience_segments([change]), BulkResult[AudienceSegment])
    assert_type(await ms.delete_audience_segments(["1"]), BulkResult[str])
    assert_type((await ms.delete_audience_segments(["1"])).failures, tuple[ItemFailure, ...])
    assert_type(ms.search_audience_segments(), Search[AudienceSegment])
    found = ms.search_audience_segments(advertiser_ids=["1"], audience_segment_types=["ContactList"])
    assert_type(await found.page(limit=10, offset=20), Page[AudienceSegment])
    async for segment in found:
        assert_type(segment, AudienceSegment)
    assert_type(await ms.ensure_contact_list(advertiser_id="1", name="crm"), AudienceSegment)
    await ms.upload_contact_list("1", ["a"], hash=None, advertiser_id="1")
    await ms.upload_contact_list("1", ["a"], identifier_type="madid")
    await ms.upload_contact_list("1", ["a"], identifier_type=IdentifierType.MADID, dedupe=True)
    await ms.upload_contact_list("1", ["a"])  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    await ms.upload_contact_list("1", ["a"], hash="sha1")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    await ms.upload_contact_list("1", ["a"], hash=None, operation="insert")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    await ms.upload_contact_list("1", ["a"], identifier_type="email")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    await ms.upload_contact_list("1", ["a"], hash=None, account_id="1")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]


async def audiences(ms: MarketingSolutions) -> None:
    """Creates, changes, finds and sizes audiences."""
    algebra = Segment("1") & (Segment("2") | Segment("3")) & ~Segment("4")
    assert_type(algebra, Expression)
    create = mso.AudienceCreate(advertiser_id="1", name="a", algebra=algebra)
    assert_type(await ms.create_audiences([create]), BulkResult[mso.Audience])
    created = await ms.create_audiences((create,))
    assert_type(created.items[0].algebra, Expression | None)
    change = mso.AudienceUpdate(id="1", description=None, algebra=Segment("9"))
    assert_type(await ms.update_audiences([change]), BulkResult[mso.Audience])
    assert_type(await ms.delete_audiences(["1"]), BulkResult[str])
    assert_type(ms.search_audiences(ad_set_ids=["1"]), Search[mso.Audience])
    assert_type(await ms.compute_audience_sizes(["1"]), BulkResult[mso.Size])
    estimate = mso.AudienceEstimate(advertiser_id="1", algebra=algebra)
    assert_type(await ms.estimate_audience_size(estimate), mso.Size)
    assert_type(await ms.compute_audience_segment_sizes(["1"]), BulkResult[mso.Size])
    definition = mso.AudienceSegmentEstimate(advertiser_id="1", in_market=InMarketCreate(country="FR"))
    assert_type(await ms.estimate_audience_segment_size(definition), mso.Size)
    assert_type(await ms.list_in_market_interests("1", "FR"), tuple[mso.InMarketInterest, ...])
    assert_type(await ms.list_in_market_brands("1", "FR"), tuple[mso.InMarketBrand, ...])
    assert_type(await ms.set_ad_set_audience("1", None), mso.AdSetAudience)
    assert_type(await ms.get_application(), Application)
    assert_type(await ms.list_advertisers(), tuple[mso.Advertiser, ...])
    await ms.create_audiences([{"name": "a"}])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]


async def retail_media_audiences(lists: RetailMedia) -> None:
    """The same in Retail Media, with the account first."""
    algebra = Segment("1") | Segment("2")
    create = rm.AudienceCreate(retailer_id="1", name="a", algebra=algebra)
    assert_type(await lists.create_audiences("7", [create]), BulkResult[rm.Audience])
    assert_type(await lists.update_audiences("7", [rm.AudienceUpdate(id="1", name="b")]), BulkResult[rm.Audience])
    assert_type(await lists.delete_audiences("7", ["1"]), BulkResult[str])
    assert_type(lists.search_audiences("7"), Search[rm.Audience])
    assert_type(await lists.compute_audience_sizes("7", ["1"], channel="Onsite"), BulkResult[rm.Size])
    whole = rm.AudienceEstimate(retailer_id="1", channel=rm.Channel.ONSITE, algebra=algebra)
    assert_type(await lists.estimate_audience_size("7", whole), rm.Size)
    assert_type(await lists.compute_audience_segment_sizes("7", ["1"], channel="Onsite"), BulkResult[rm.Size])
    events = rm.EventsCreate(shopper_activity="View", lookback_days="Last7Days", brand_ids=["1"])
    part = rm.AudienceSegmentEstimate(retailer_id="1", channel="Offsite", events=events)
    assert_type(await lists.estimate_audience_segment_size("7", part), rm.Size)
    target = rm.AudienceTarget(scope="include", audience_ids=["1"])
    assert_type(await lists.get_line_item_audiences("5"), rm.AudienceTarget)
    assert_type(await lists.set_line_item_audiences("5", target), rm.AudienceTarget)
    assert_type(await lists.append_line_item_audiences("5", ["1"]), rm.AudienceTarget)
    assert_type(await lists.delete_line_item_audiences("5", ["1"]), rm.AudienceTarget)
    assert_type(await lists.get_application(), Application)
    assert_type(lists.list_accounts(), AsyncIterator[rm.Account])


async def retail_media(lists: RetailMedia) -> None:
    """Awaits every coroutine of Retail Media."""
    assert_type(lists.identifier_types, frozenset[IdentifierType])
    create = rm.AudienceSegmentCreate(retailer_id="1", name="crm", contact_list=rm.ContactListCreate())
    assert_type(await lists.create_audience_segments("7", [create]), BulkResult[rm.AudienceSegment])
    change = rm.AudienceSegmentUpdate(id="1", events=rm.EventsUpdate(min_price=None))
    assert_type(await lists.update_audience_segments("7", [change]), BulkResult[rm.AudienceSegment])
    assert_type(await lists.delete_audience_segments("7", ["1"]), BulkResult[str])
    assert_type(lists.search_audience_segments("7", retailer_ids=["1"]), Search[rm.AudienceSegment])
    assert_type(await lists.ensure_contact_list("7", retailer_id="1", name="crm"), rm.AudienceSegment)
    receipt = lists.amend_contact_list("1", operation="add", identifiers=["a"], identifier_type="customer_id")
    assert_type(await receipt, ContactListOperation)
    assert_type(await lists.amend_contact_list("1", operation="add", identifiers=["a"]), ContactListOperation)
    assert_type(await lists.clear_contact_list("1"), None)
    assert_type(await lists.get_contact_list_statistics("7", "1"), ContactListStatistics)
    assert_type(
        await lists.upload_contact_list("1", ["a"], hash="sha256", account_id="7", retailer_id="5"), UploadReport
    )
    assert_type(await lists.replace_contact_list("1", ["a"], hash="sha256", account_id="7"), UploadReport)
    assert_type(await lists.mirror_contact_list("1", ["a"], hash="sha256", snapshot="s", account_id="7"), MirrorReport)
    assert_type(
        lists.stream_contact_list("1", customers(), hash="sha256"),
        AbstractAsyncContextManager[UploadStream, bool | None],
    )


async def commerce_grid(lists: CommerceGrid) -> None:
    """Awaits every coroutine of Commerce Grid."""
    assert_type(lists.identifier_types, frozenset[IdentifierType])
    assert_type(await lists.get_application(), Application)
    create = cg.AudienceSegmentCreate(data_provider_id="1", name="crm")
    assert_type(await lists.create_audience_segments([create]), BulkResult[cg.AudienceSegment])
    change = cg.AudienceSegmentUpdate(id="1", name="new")
    assert_type(await lists.update_audience_segments([change]), BulkResult[cg.AudienceSegment])
    assert_type(await lists.delete_audience_segments(["1"]), BulkResult[str])
    assert_type(lists.search_audience_segments(remote_ids=["1"]), Search[cg.AudienceSegment])
    assert_type(await lists.ensure_contact_list(data_provider_id="1", name="crm"), cg.AudienceSegment)
    receipt = lists.amend_contact_list("1", operation="add", identifiers=["a"], identifier_type="madid")
    assert_type(await receipt, ContactListOperation)
    assert_type(await lists.amend_contact_list("1", operation="add", identifiers=["a"]), ContactListOperation)
    assert_type(await lists.clear_contact_list("1"), None)
    assert_type(await lists.get_contact_list_statistics("1"), ContactListStatistics)
    assert_type(await lists.upload_contact_list("1", ["a"], hash="sha256", data_provider_id="7"), UploadReport)
    assert_type(await lists.replace_contact_list("1", ["a"], hash="sha256", data_provider_id="7"), UploadReport)
    assert_type(
        await lists.mirror_contact_list("1", ["a"], hash="sha256", snapshot="s", data_provider_id="7"), MirrorReport
    )
    assert_type(
        lists.stream_contact_list("1", customers(), hash="sha256"),
        AbstractAsyncContextManager[UploadStream, bool | None],
    )


async def mirrors(ms: MarketingSolutions) -> None:
    """Mirrors a source, with the keywords of an upload and its own."""
    report = await ms.mirror_contact_list("1", Path("crm.csv"), hash="sha256", snapshot=Path("s"), baseline="empty")
    assert_type(await ms.mirror_contact_list("1", ["a"], hash=None, snapshot="s", advertiser_id="1"), MirrorReport)
    assert_type(report.removals, UploadReport)
    assert_type(report.added + report.removed + report.unchanged + report.calls, int)
    assert_type(report.ok, bool)
    await ms.mirror_contact_list("1", ["a"], hash=None, snapshot="s", max_removals=0.5, baseline=Baseline.UNKNOWN)
    await ms.mirror_contact_list("1", ["a"], hash=None)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    await ms.mirror_contact_list("1", ["a"], snapshot=7)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    await ms.replace_contact_list("1", ["a"])  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    assert_type(await ms.replace_contact_list("1", ["a"], hash=None, advertiser_id="1"), UploadReport)


async def uploads(ms: MarketingSolutions) -> None:
    """Uploads from every kind of source, with every kind of option."""
    report = await ms.upload_contact_list("1", ["a@example.com", None], hash="sha256")
    assert_type(await ms.upload_contact_list("1", ["a@example.com"], hash="sha256"), UploadReport)
    assert_type(report.failures, tuple[BatchResult, ...])
    assert_type(report + report, UploadReport)
    assert_type(report.hint, str | None)
    assert_type(report.invalid_rows, tuple[SourceRow, ...])
    assert_type(report.verdicts, tuple[Verdict, ...])
    await ms.upload_contact_list("1", customers(), hash=None, operation=Operation.REMOVE, on_progress=watch)
    await ms.upload_contact_list("1", Path("crm.csv"), hash=HashAlgorithm.MD5, column="Email", dedupe=False)
    await ms.upload_contact_list("1", Table.from_file("crm.csv"), hash="md5", identifier_type=IdentifierType.EMAIL)
    await ms.upload_contact_list("1", Table.from_file("crm.csv", skip_rows=3, encoding="cp1251"), hash="md5")
    await ms.upload_contact_list("1", Path("crm.csv"), hash="md5", skip_rows=3, encoding="cp1251")
    await ms.upload_contact_list("1", ["a"], identifier_type="phone_number", hash="sha256", region="FR")
    await ms.upload_contact_list("1", ["a"], identifier_type=IdentifierType.GUM, gum_caller_id="329739")
    await ms.upload_contact_list("1", ["a"], hash=None, deadline=30.0, drain_timeout=5.0)
    await ms.upload_contact_list("1", ["a"], hash=None, deadline=dt.datetime(2030, 1, 1, tzinfo=dt.UTC))
    await ms.upload_contact_list("1", ["a"], hash=None, deadline="next-window")
    await ms.upload_contact_list("1", ["a"], hash=None, deadline="noon")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    assert_type(report.partly_live_from, dt.datetime | None)
    assert_type(report.window_warning, str | None)
    await ms.upload_contact_list("1", ["a"], hash=None, fail_on="rejected>1%,any")
    await ms.upload_contact_list("1", ["a"], hash=None, fail_on=["rejected>1%", "invalid>100"])
    report = await ms.upload_contact_list("1", ["a"], hash=None, allow_empty=True, suppress=[], suppress_strict=False)
    assert_type(report.opt_outs, int | None)
    assert_type(report.unusable_opt_outs, int)
    await ms.upload_contact_list("1", ["a"], hash=None, suppress_strict="no")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    await ms.upload_contact_list("1", ["a"], hash=None, fail_on=1)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    await ms.upload_contact_list("1", [1, 2], hash=None)  # type: ignore[list-item]  # pyright: ignore[reportCallIssue, reportArgumentType]
    await ms.upload_contact_list("1", ["a"], hash=None, batchsize=1)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    stream = ms.stream_contact_list("1", ["a@example.com"], hash="sha256")
    assert_type(
        ms.stream_contact_list("1", Path("crm.csv"), hash=None), AbstractAsyncContextManager[UploadStream, bool | None]
    )
    async with stream as results:
        async for batch in results:
            assert_type(batch, BatchResult)
    assert_type(results.report, UploadReport)


async def lookalikes(
    ms: MarketingSolutions, lists: RetailMedia, grid: CommerceGrid, rows: dict[str, str], file: TextIOWrapper
) -> None:
    """Passes what can be iterated like a source and is none: a path as text, an open file, a mapping."""
    await ms.upload_contact_list("1", "crm.csv", hash="sha256")  # type: ignore[misc]  # pyright: ignore[reportGeneralTypeIssues]
    await ms.upload_contact_list("1", "crm.csv", identifier_type="madid")  # type: ignore[misc]  # pyright: ignore[reportGeneralTypeIssues]
    await ms.upload_contact_list("1", file, hash="sha256", advertiser_id="1")  # type: ignore[misc]  # pyright: ignore[reportGeneralTypeIssues]
    await ms.upload_contact_list("1", StringIO("a@example.com"), hash="sha256")  # type: ignore[misc]  # pyright: ignore[reportGeneralTypeIssues]
    await ms.upload_contact_list("1", rows, hash="sha256")  # type: ignore[misc]  # pyright: ignore[reportGeneralTypeIssues]
    await lists.upload_contact_list("1", "crm.csv", hash="sha256", account_id="7")  # type: ignore[misc]  # pyright: ignore[reportGeneralTypeIssues]
    await grid.upload_contact_list("1", rows, identifier_type="madid")  # type: ignore[misc]  # pyright: ignore[reportGeneralTypeIssues]
    assert_type(ms.replace_contact_list("1", "crm.csv", hash="sha256"), NotASource)
    assert_type(ms.mirror_contact_list("1", {"a@example.com": "Anna"}, hash=None, snapshot="s"), NotASource)
    assert_type(ms.stream_contact_list("1", file, hash="sha256"), NotASource)
    assert_type(lists.replace_contact_list("1", file, hash="sha256", account_id="7"), NotASource)
    async with ms.stream_contact_list("1", "crm.csv", hash=None):  # type: ignore[attr-defined]  # pyright: ignore[reportGeneralTypeIssues]
        pass
    await ms.upload_contact_list("1", b"crm.csv", hash=None)  # type: ignore[arg-type]  # pyright: ignore[reportCallIssue, reportArgumentType]
    assert_type(await ms.upload_contact_list("1", rows.values(), hash=None), UploadReport)
    assert_type(await ms.upload_contact_list("1", rows.keys(), hash=None), UploadReport)
    assert_type(await ms.upload_contact_list("1", (row for row in rows), hash=None), UploadReport)


async def sandbox() -> None:
    """Prepares a test."""
    async with Sandbox(latency=0.0, rate_limit=(250, 60.0)) as server:
        segment_id = server.add_contact_list(name="crm")
        assert_type(segment_id, str)
        assert_type(server.credentials, ClientCredentials)
        CriteoClient(server.credentials, base_url=server.url)
        assert_type(server.refresh_token(on_rotate=store), RefreshToken)
        assert_type(server.authorization_code(pkce=False), AuthorizationCode)


def functions() -> None:
    """Calls the pure functions."""
    assert_type(next_window(dt.datetime.now(dt.UTC)), dt.datetime)
    assert_type(live_from(dt.datetime.now(dt.UTC)), dt.datetime)
    assert_type(normalize_email(" A@example.com"), str)
    assert_type(hash_email("a@example.com", "md5"), str)
    assert_type(normalize_phone("01 23 45 67 89", region="FR"), str)
    assert_type(hash_phone("+33 1 23 45 67 89", keep_trunk_zero=True), str)


def blocking_client(criteo: blocking.CriteoClient) -> None:
    """Uses the blocking client: the types are those of the async one, without `await`."""
    assert_type(criteo.authenticate(), None)
    assert_type(criteo.host, str)
    with blocking.CriteoClient.from_env() as another:
        assert_type(another, blocking.CriteoClient)
    lists = criteo.marketing_solutions
    assert_type(lists.upload_contact_list("1", ["a"], hash=None, advertiser_id="1"), UploadReport)
    assert_type(lists.delete_audience_segments(["1"]), BulkResult[str])
    found = lists.search_audience_segments(advertiser_ids=["1"])
    assert_type(found, blocking.Search[AudienceSegment])
    assert_type(found.page(limit=10), Page[AudienceSegment])
    for segment in found:
        assert_type(segment, AudienceSegment)
    stream = lists.stream_contact_list("1", Path("crm.csv"), hash=None)
    assert_type(stream, AbstractContextManager[blocking.UploadStream, bool | None])
    with stream as results:
        for batch in results:
            assert_type(batch, BatchResult)
    assert_type(results.report, UploadReport)
    assert_type(criteo.retail_media.list_accounts(), Iterator[rm.Account])
    assert_type(criteo.commerce_grid.get_application(), Application)
    lists.upload_contact_list("1", ["a"], hash=None, account_id="1")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    lists.upload_contact_list("1", ["a"], hash=None, batchsize=1)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    for take in lists.upload_contact_list, lists.replace_contact_list, lists.stream_contact_list:
        assert_type(take("1", "crm.csv", hash=None), NotASource)
        assert_type(take("1", {"a@example.com": "Anna"}, hash=None), NotASource)
    assert_type(lists.mirror_contact_list("1", "crm.csv", hash=None, snapshot="s"), NotASource)
    lists.upload_contact_list("1", [1, 2], hash=None)  # type: ignore[list-item]  # pyright: ignore[reportCallIssue, reportArgumentType]
    lists.delete_audience_segments(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
