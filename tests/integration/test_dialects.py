"""The same client code against a server that answers as OpenAPI says, and one that answers as the guides do."""

import asyncio
import datetime as dt
import warnings
from collections.abc import AsyncIterator

import pytest

from criteo_audiences import ApiVersionGoneError, CriteoClient, NotFoundError, PartialFailureError, SegmentMismatchError
from criteo_audiences import commerce_grid as cg
from criteo_audiences import marketing_solutions as ms
from criteo_audiences import retail_media as rm
from criteo_audiences.sandbox import Sandbox

ACCOUNT = "77"


@pytest.fixture(params=["openapi", "guides"])
async def server(request: pytest.FixtureRequest) -> AsyncIterator[Sandbox]:
    """A local Criteo in one of the two dialects."""
    async with Sandbox(rate_limit=None, dialect=request.param) as running:
        yield running


@pytest.fixture
async def criteo(server: Sandbox) -> AsyncIterator[CriteoClient]:
    """A client of it."""
    async with CriteoClient(server.credentials, base_url=server.url) as connected:
        yield connected


class Lists:
    """One service's segments and lists, with the arguments that its paths want filled in."""

    def __init__(self, criteo: CriteoClient, service: str) -> None:
        self.api = getattr(criteo, service)
        self.account = (ACCOUNT,) if service == "retail_media" else ()
        self.owner = {
            "marketing_solutions": {"advertiser_id": "1"},
            "retail_media": {"account_id": ACCOUNT},
            "commerce_grid": {"data_provider_id": "1"},
        }[service]
        self.models = {"marketing_solutions": ms, "retail_media": rm, "commerce_grid": cg}[service]

    def new(self, name: str):  # noqa: ANN201 - each service's own model
        """Builds a contact list to create."""
        owner = {"retailer_id": "1"} if self.models is rm else self.owner
        return self.models.AudienceSegmentCreate(
            name=name, description="d", contact_list=self.models.ContactListCreate(), **owner
        )

    async def ensure(self, name: str):  # noqa: ANN201 - as above
        """Makes sure a list is there."""
        extra = {"retailer_id": "1"} if self.models is rm else self.owner
        return await self.api.ensure_contact_list(*self.account, name=name, **extra)

    def change(self, changes):  # noqa: ANN201 - as above
        """Changes segments."""
        return self.api.update_audience_segments(*self.account, changes)

    def search(self, **filters):  # noqa: ANN003, ANN201 - as above
        """Searches."""
        return self.api.search_audience_segments(*self.account, **filters)


@pytest.fixture(params=["marketing_solutions", "retail_media", "commerce_grid"])
def lists(criteo: CriteoClient, request: pytest.FixtureRequest) -> Lists:
    """One of the three services."""
    return Lists(criteo, request.param)


async def test_a_segments_life(lists: Lists) -> None:
    """Create, find, change and delete a segment; everything reads the same in either dialect."""
    created = (await lists.api.create_audience_segments(*lists.account, [lists.new("crm")])).one()
    assert (created.name, created.description, created.type) == ("crm", "d", "ContactList")
    assert created.created_at.tzinfo is dt.UTC
    assert abs(created.created_at - dt.datetime.now(dt.UTC)) < dt.timedelta(minutes=1)
    change = lists.models.AudienceSegmentUpdate(id=created.id, name="renamed", description=None)
    await lists.api.update_audience_segments(*lists.account, [change])
    found = [segment async for segment in lists.search(audience_segment_ids=[created.id])]
    assert [(segment.id, segment.name, segment.description) for segment in found] == [(created.id, "renamed", None)]
    for owner, value in lists.owner.items():
        assert getattr(found[0], owner) == value
    assert (await lists.api.delete_audience_segments(*lists.account, [created.id])).items == (created.id,)
    assert not [segment async for segment in lists.search(audience_segment_ids=[created.id])]


async def test_half_failed_bulk_calls_keep_their_successes(lists: Lists, server: Sandbox) -> None:
    """Problems are tied to their items, whichever list they come in, and the other items are kept."""
    segments = [lists.new("a"), lists.new("a"), lists.new("b")]
    result = await lists.api.create_audience_segments(*lists.account, segments)
    problems = result.errors + result.warnings
    assert [item.name for item in result.items] == ["a", "b"]
    assert [(problem.code, problem.index) for problem in problems] == [("name-must-be-unique", 1)]
    used, free = (item.id for item in result.items)
    server.use_in_audience(used)
    deleted = await lists.api.delete_audience_segments(*lists.account, [used, free])
    assert deleted.items == (free,)
    problems = deleted.errors + deleted.warnings
    assert [(problem.code, problem.index) for problem in problems] == [("segment-must-not-be-used-in-audience", 0)]


async def test_every_item_failed(lists: Lists) -> None:
    """A create of which nothing succeeded is a result with problems, and `one()` raises (21, 22)."""
    await lists.api.create_audience_segments(*lists.account, [lists.new("a")])
    result = await lists.api.create_audience_segments(*lists.account, [lists.new("a")])
    assert result.items == ()
    with pytest.raises(PartialFailureError, match="name-must-be-unique"):
        result.one()


async def test_ensure_is_right_when_many_run_at_once(lists: Lists, server: Sandbox) -> None:
    """Ten that want the same list get the same one, and only one was made."""
    ids = {segment.id for segment in await asyncio.gather(*(lists.ensure("crm") for _ in range(10)))}
    assert len(ids) == 1
    assert len([segment async for segment in lists.search()]) == 1
    searches = sum("search" in str(request) for request in server.requests)
    assert searches == 9 + 1


async def test_amend_statistics_and_clear(lists: Lists, server: Sandbox) -> None:
    """What is added is counted, removed and cleared, under the same names in every service."""
    segment = await lists.ensure("crm")
    added = await lists.api.amend_contact_list(segment.id, operation="add", identifiers=["a@b.co", "c@d.co", "nope"])
    assert (added.valid, added.invalid, added.sample_invalid) == (2, 1, ("nope",))
    assert (added.operation, added.identifier_type) == ("add", "email")
    removed = await lists.api.amend_contact_list(segment.id, operation="remove", identifiers=["a@b.co"])
    assert (removed.operation, removed.valid) == ("remove", 1)
    assert server.contact_list(segment.id).identifiers == {"c@d.co"}
    assert (await lists.api.get_contact_list_statistics(*lists.account, segment.id)).number_of_identifiers == 1
    await lists.api.clear_contact_list(segment.id)
    await lists.api.clear_contact_list(segment.id)
    assert len(server.contact_list(segment.id)) == 0


async def test_upload_with_the_owner_checked(lists: Lists, server: Sandbox) -> None:
    """An upload to one's own list makes one search and sends; to another's it is refused before anything is sent."""
    segment = await lists.ensure("crm")
    report = await lists.api.upload_contact_list(segment.id, ["A@b.co", "x"], hash=None, **lists.owner)
    assert (report.valid, report.rejected_total, report.calls) == (1, 1, 1)
    assert server.contact_list(segment.id).identifiers == {"a@b.co"}
    stranger = dict.fromkeys(lists.owner, "99999")
    before = len(server.requests)
    with pytest.raises(SegmentMismatchError, match="99999"):
        await lists.api.upload_contact_list(segment.id, ["a@b.co"], hash=None, **stranger)
    assert len(server.requests) == before + 1


async def test_a_search_turns_its_pages(lists: Lists) -> None:
    """A search over several pages yields every segment once."""
    names = [f"list {number}" for number in range(130 if lists.models is not rm else 520)]
    await lists.api.create_audience_segments(*lists.account, [lists.new(name) for name in names])
    assert [segment.name async for segment in lists.search()] == names
    page = await lists.search().page(limit=10, offset=5)
    assert ([segment.name for segment in page.items], page.total_items) == (names[5:15], len(names))


async def test_a_read_only_list_is_refused_by_the_owner_check(lists: Lists, server: Sandbox) -> None:
    """A list made outside the API is refused where the service says so, whether as `true` or as "true" (9)."""
    service = lists.models.__name__.rpartition(".")[2].replace("_", "-")
    owner = next(iter(lists.owner.values()))
    segment_id = server.add_contact_list(name="theirs", service=service, owner_id=owner, read_only=True)
    if lists.models is cg:  # Commerce Grid's answers do not tell
        return
    with pytest.raises(SegmentMismatchError, match="read-only"):
        await lists.api.upload_contact_list(segment_id, ["a@b.co"], hash=None, **lists.owner)


async def test_an_unknown_segment(lists: Lists) -> None:
    """A list that is not there raises `NotFoundError`, whatever the code is called (33)."""
    with pytest.raises(NotFoundError):
        await lists.api.clear_contact_list("123456")


async def test_every_kind_of_marketing_solutions_segment(criteo: CriteoClient) -> None:
    """Each kind is created, returned and found by its kind, with the settings the answer carries."""
    settings = {
        ms.SegmentType.CONTACT_LIST: {"contact_list": ms.ContactListCreate()},
        ms.SegmentType.IN_MARKET: {"in_market": ms.InMarketCreate(country="FR", gender="Male", interest_ids=["1"])},
        ms.SegmentType.LOCATION: {
            "location": ms.LocationCreate(
                points_of_interest=[ms.PointOfInterest(name="p", latitude=48.85, longitude=2.35)], radius_in_km=5
            )
        },
        ms.SegmentType.PROSPECTING: {"prospecting": ms.ProspectingCreate(users_type="Prospects")},
        ms.SegmentType.RETARGETING: {
            "retargeting": ms.RetargetingCreate(
                visitors_type="All", days_since_last_visit_min=1, days_since_last_visit_max=9
            )
        },
    }
    creates = [ms.AudienceSegmentCreate(advertiser_id="1", name=kind.value, **own) for kind, own in settings.items()]
    created = await criteo.marketing_solutions.create_audience_segments(creates)
    assert [segment.type for segment in created.items] == list(settings)
    for kind in settings:
        found = [s async for s in criteo.marketing_solutions.search_audience_segments(audience_segment_types=[kind])]
        assert [segment.name for segment in found] == [kind.value]
    assert created.items[2].location.points_of_interest[0].latitude == pytest.approx(48.85)


async def test_retail_media_events(criteo: CriteoClient) -> None:
    """An events segment can be made and changed (30)."""
    events = rm.EventsCreate(shopper_activity="View", lookback_days="Last30Days", brand_ids=["1"], max_price=9.5)
    create = rm.AudienceSegmentCreate(retailer_id="1", name="viewers", events=events)
    segment = (await criteo.retail_media.create_audience_segments(ACCOUNT, [create])).one()
    change = rm.AudienceSegmentUpdate(id=segment.id, events=rm.EventsUpdate(max_price=None, lookback_days="Last7Days"))
    changed = (await criteo.retail_media.update_audience_segments(ACCOUNT, [change])).one()
    assert (changed.events.lookback_days, changed.events.max_price) == (rm.LookbackDays.LAST_7_DAYS, None)


async def test_a_retail_media_list_takes_the_kind_it_was_made_for(criteo: CriteoClient, server: Sandbox) -> None:
    """A list of customer ids takes customer ids, however their kind is spelled on the wire (5)."""
    segment = await criteo.retail_media.ensure_contact_list(
        ACCOUNT, retailer_id="1", name="ids", identifier_type="customer_id"
    )
    receipt = await criteo.retail_media.amend_contact_list(
        segment.id, operation="add", identifiers=["c-1"], identifier_type="customer_id"
    )
    assert receipt.identifier_type == "customer_id"
    assert server.contact_list(segment.id).identifiers == {"c-1"}
    with pytest.raises(SegmentMismatchError, match="customer_id"):
        await criteo.retail_media.upload_contact_list(segment.id, ["a@b.co"], hash=None, account_id=ACCOUNT)


@pytest.mark.parametrize("is_old", [False, True])
async def test_failed_items_are_found_wherever_they_stand(server: Sandbox, lists: Lists, *, is_old: bool) -> None:
    """In every service and dialect, with the notice of a deprecated version next to them, in a 200 and in a 400."""
    if is_old:
        server.deprecate_version("2026-07")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        taken = await lists.ensure("taken")
        for turn in range(2):  # what the guides say twice takes turns
            made = await lists.api.create_audience_segments(
                *lists.account, [lists.new(f"a{turn}"), lists.new("taken"), lists.new(f"b{turn}")]
            )
            assert [(failure.index, failure.item.name) for failure in made.failures] == [(1, "taken")]
            assert (made.asked, made.done, made.unaccounted, made.ok) == (3, 2, 0, False)
            none = await lists.api.create_audience_segments(*lists.account, [lists.new("taken")])
            assert ([failure.codes for failure in none.failures], none.done) == ([("name-must-be-unique",)], 0)
            ids = [segment.id for segment in made.items]
            renamed = [lists.models.AudienceSegmentUpdate(id=each, description="x") for each in (*ids, "999")]
            assert [failure.index for failure in (await lists.change(renamed)).failures] == [2]
            assert (await lists.change(renamed[:2])).ok
            gone = await lists.api.delete_audience_segments(*lists.account, ["999", *ids])
            assert ([(failure.index, failure.item) for failure in gone.failures], gone.done) == ([(0, "999")], 2)
        last = await lists.api.delete_audience_segments(*lists.account, [taken.id])
        assert last.raise_for_failures() is None


async def test_the_api_version_is_one_argument(server: Sandbox) -> None:
    """The same code runs against every version by changing one argument."""
    segment_id = server.add_contact_list(name="crm")
    for version in ("2026-01", "2026-07", "2027-01", "experimental"):
        async with CriteoClient(server.credentials, base_url=server.url, api_version=version) as criteo:
            statistics = await criteo.marketing_solutions.get_contact_list_statistics(segment_id)
        assert statistics.number_of_identifiers == 0


async def test_a_deprecated_version_warns_by_name(server: Sandbox) -> None:
    """A version in its last months warns once for its headers, with the day it ends, and once for its notice."""
    server.deprecate_version("2026-01", sunset=dt.datetime(2027, 2, 2, tzinfo=dt.UTC))
    segment_id = server.add_contact_list(name="crm")
    async with CriteoClient(server.credentials, base_url=server.url, api_version="2026-01") as criteo:
        with pytest.warns(DeprecationWarning, match="API version 2026-01") as caught:
            await asyncio.gather(
                *(criteo.marketing_solutions.get_contact_list_statistics(segment_id) for _ in range(3))
            )
    assert len(caught) == 2
    assert "ends on 2027-02-02" in str(caught[0].message)
    assert "endpoint-deprecated" in str(caught[1].message)


async def test_a_retired_version_is_gone(server: Sandbox) -> None:
    """A version that has ended raises and warns by name."""
    server.retire_version("2025-10")
    async with CriteoClient(server.credentials, base_url=server.url, api_version="2025-10") as criteo:
        with pytest.raises(ApiVersionGoneError), pytest.warns(DeprecationWarning, match="2025-10 has ended"):
            await criteo.marketing_solutions.get_contact_list_statistics("1")
