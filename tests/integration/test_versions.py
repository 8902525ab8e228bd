"""One argument chooses the API version: the same code runs under each, and what one lacks is refused before a call."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from criteo_audiences import ConfigurationError, CriteoClient, Segment
from criteo_audiences import commerce_grid as cg
from criteo_audiences import marketing_solutions as ms
from criteo_audiences import retail_media as rm
from criteo_audiences.sandbox import Sandbox

STABLE = ("2026-01", "2026-07", "2027-01")
VERSIONS = (*STABLE, "experimental")
ACCOUNT = "7"
ANNA = ["anna@example.com"]


async def walk_marketing_solutions(criteo: CriteoClient) -> list[Any]:
    """Goes through all of Marketing Solutions and returns what it saw."""
    api = criteo.marketing_solutions
    new = ms.AudienceSegmentCreate(advertiser_id="1", name="new", in_market=ms.InMarketCreate(country="FR"))
    segment = (await api.create_audience_segments([new])).one()
    crm = await api.ensure_contact_list(advertiser_id="1", name="crm")
    change = ms.AudienceSegmentUpdate(id=segment.id, in_market=ms.InMarketUpdate(country="US"))
    audience = (
        await api.create_audiences([ms.AudienceCreate(advertiser_id="1", name="a", algebra=Segment(segment.id))])
    ).one()
    estimate = ms.AudienceSegmentEstimate(advertiser_id="1", in_market=ms.InMarketCreate(country="FR"))
    whole = ms.AudienceEstimate(advertiser_id="1", algebra=Segment(segment.id))
    report = await api.upload_contact_list(crm.id, ["bob@example.com"], hash="sha256", advertiser_id="1")
    return [
        (await api.update_audience_segments([change])).one().in_market.country,
        [found.name async for found in api.search_audience_segments(advertiser_ids=["1"])],
        (await api.compute_audience_segment_sizes([segment.id])).one().size,
        (await api.estimate_audience_segment_size(estimate)).size,
        (await api.amend_contact_list(crm.id, operation="add", identifiers=ANNA)).valid,
        (await api.get_contact_list_statistics(crm.id)).number_of_identifiers,
        await api.clear_contact_list(crm.id),
        report.valid,
        (await api.update_audiences([ms.AudienceUpdate(id=audience.id, name="b")])).one().name,
        [found.name async for found in api.search_audiences(advertiser_ids=["1"])],
        (await api.compute_audience_sizes([audience.id])).one().size,
        (await api.estimate_audience_size(whole)).size,
        (await api.set_ad_set_audience("5", audience.id)).audience_id == audience.id,
        (await api.delete_audiences([audience.id])).items == (audience.id,),
        (await api.delete_audience_segments([segment.id])).items == (segment.id,),
        await api.list_in_market_interests("1", "FR"),
        await api.list_in_market_brands("1", "FR"),
        await api.get_application(),
        await api.list_advertisers(),
    ]


async def walk_retail_media(criteo: CriteoClient) -> list[Any]:
    """Goes through what every version has of Retail Media."""
    api = criteo.retail_media
    events = rm.EventsCreate(shopper_activity="View", lookback_days="Last7Days", brand_ids=["1"])
    new = rm.AudienceSegmentCreate(retailer_id="1", name="viewers", events=events)
    segment = (await api.create_audience_segments(ACCOUNT, [new])).one()
    crm = await api.ensure_contact_list(ACCOUNT, retailer_id="1", name="crm")
    change = rm.AudienceSegmentUpdate(id=segment.id, events=rm.EventsUpdate(lookback_days="Last14Days"))
    report = await api.upload_contact_list(crm.id, ["bob@example.com"], hash="sha256", account_id=ACCOUNT)
    return [
        (await api.update_audience_segments(ACCOUNT, [change])).one().events.lookback_days,
        [found.name async for found in api.search_audience_segments(ACCOUNT)],
        (await api.amend_contact_list(crm.id, operation="add", identifiers=ANNA)).valid,
        (await api.get_contact_list_statistics(ACCOUNT, crm.id)).number_of_identifiers,
        await api.clear_contact_list(crm.id),
        report.valid,
        [found.name async for found in api.search_audiences(ACCOUNT)],
        (await api.delete_audience_segments(ACCOUNT, [segment.id])).items == (segment.id,),
        await api.get_application(),
    ]


async def walk_commerce_grid(criteo: CriteoClient) -> list[Any]:
    """Goes through all of Commerce Grid."""
    api = criteo.commerce_grid
    new = cg.AudienceSegmentCreate(data_provider_id="1", name="new")
    segment = (await api.create_audience_segments([new])).one()
    crm = await api.ensure_contact_list(data_provider_id="1", name="crm")
    report = await api.upload_contact_list(crm.id, ["bob@example.com"], hash="sha256", data_provider_id="1")
    return [
        (await api.update_audience_segments([cg.AudienceSegmentUpdate(id=segment.id, name="b")])).one().name,
        [found.name async for found in api.search_audience_segments(data_provider_ids=["1"])],
        (await api.amend_contact_list(crm.id, operation="add", identifiers=ANNA)).valid,
        (await api.get_contact_list_statistics(crm.id)).number_of_identifiers,
        await api.clear_contact_list(crm.id),
        report.valid,
        (await api.delete_audience_segments([segment.id])).items == (segment.id,),
        await api.get_application(),
    ]


WALKS = (walk_marketing_solutions, walk_retail_media, walk_commerce_grid)


async def walked(walk: Callable[[CriteoClient], Awaitable[list[Any]]], version: str) -> list[Any]:
    """Walks under a version, on a server of its own, and checks that every call went there."""
    async with Sandbox(rate_limit=None) as server:
        async with CriteoClient(server.credentials, base_url=server.url, api_version=version) as criteo:
            seen = await walk(criteo)
        calls = [call.path for call in server.requests if "oauth2" not in call.path]
    assert all(path.startswith(f"/{version}/") for path in calls)
    assert len(calls) >= len(seen)
    return seen


@pytest.mark.parametrize("walk", WALKS)
async def test_every_version_does_the_same(walk: Callable[[CriteoClient], Awaitable[list[Any]]]) -> None:
    """Changing one argument changes nothing else: each version gives the same results."""
    first, *others = [await walked(walk, version) for version in VERSIONS]
    assert all(seen == first for seen in others)


TARGET = rm.AudienceTarget(scope="include", audience_ids=[])
EVENTS = rm.EventsCreate(shopper_activity="View", lookback_days="Last7Days", brand_ids=["1"])
NEW = rm.AudienceCreate(retailer_id="1", name="a", algebra=Segment("1"))
PART = rm.AudienceSegmentEstimate(retailer_id="1", channel="Onsite", events=EVENTS)
WHOLE = rm.AudienceEstimate(retailer_id="1", channel="Onsite", algebra=Segment("1"))

ONLY_EXPERIMENTAL: dict[str, Callable[[rm.RetailMedia], Awaitable[Any]]] = {
    "create_audiences": lambda api: api.create_audiences(ACCOUNT, [NEW]),
    "update_audiences": lambda api: api.update_audiences(ACCOUNT, [rm.AudienceUpdate(id="1", name="b")]),
    "delete_audiences": lambda api: api.delete_audiences(ACCOUNT, ["1"]),
    "compute_audience_sizes": lambda api: api.compute_audience_sizes(ACCOUNT, ["1"], channel="Onsite"),
    "compute_audience_segment_sizes": lambda api: api.compute_audience_segment_sizes(ACCOUNT, ["1"], channel="Onsite"),
    "estimate_audience_size": lambda api: api.estimate_audience_size(ACCOUNT, WHOLE),
    "estimate_audience_segment_size": lambda api: api.estimate_audience_segment_size(ACCOUNT, PART),
}
ONLY_STABLE: dict[str, Callable[[rm.RetailMedia], Awaitable[Any]]] = {
    "get_line_item_audiences": lambda api: api.get_line_item_audiences("5"),
    "set_line_item_audiences": lambda api: api.set_line_item_audiences("5", TARGET),
    "append_line_item_audiences": lambda api: api.append_line_item_audiences("5", ["1"]),
    "delete_line_item_audiences": lambda api: api.delete_line_item_audiences("5", ["1"]),
    "list_accounts": lambda api: anext(api.list_accounts()),
}
LACKING = [(version, name, "experimental", call) for version in STABLE for name, call in ONLY_EXPERIMENTAL.items()]
LACKING += [("experimental", name, "2026-07", call) for name, call in ONLY_STABLE.items()]


@pytest.mark.parametrize(("version", "name", "has_it", "call"), LACKING)
async def test_what_a_version_lacks(
    version: str, name: str, has_it: str, call: Callable[[rm.RetailMedia], Awaitable[Any]]
) -> None:
    """It is refused with the version that has it, and nothing is sent, not even for a token."""
    async with Sandbox(rate_limit=None) as server:
        async with CriteoClient(server.credentials, base_url=server.url, api_version=version) as criteo:
            assert hasattr(criteo.retail_media, name)
            with pytest.raises(ConfigurationError, match=f'api_version="{has_it}"'):
                await call(criteo.retail_media)
        assert server.requests == []


BEFORE_COMMERCE_GRID: dict[str, Callable[[cg.CommerceGrid], Any]] = {
    "create": lambda api: api.create_audience_segments([cg.AudienceSegmentCreate(data_provider_id="1", name="n")]),
    "update": lambda api: api.update_audience_segments([cg.AudienceSegmentUpdate(id="1", name="n")]),
    "delete": lambda api: api.delete_audience_segments(["1"]),
    "search": lambda api: anext(aiter(api.search_audience_segments())),
    "ensure": lambda api: api.ensure_contact_list(data_provider_id="1", name="n"),
    "amend": lambda api: api.amend_contact_list("1", operation="add", identifiers=ANNA),
    "clear": lambda api: api.clear_contact_list("1"),
    "statistics": lambda api: api.get_contact_list_statistics("1"),
    "upload": lambda api: api.upload_contact_list("1", ANNA, hash="sha256"),
    "stream": lambda api: api.stream_contact_list("1", ANNA, hash="sha256").__aenter__(),
}


@pytest.mark.parametrize("name", BEFORE_COMMERCE_GRID)
async def test_commerce_grid_before_it_had_audiences(name: str) -> None:
    """Nothing is sent under a version that is older than the first one with the endpoints, which the message names."""
    async with Sandbox(rate_limit=None) as server:
        async with CriteoClient(server.credentials, base_url=server.url, api_version="2025-10") as criteo:
            with pytest.raises(ConfigurationError, match='since api_version="2026-01", not under 2025-10'):
                await BEFORE_COMMERCE_GRID[name](criteo.commerce_grid)
        assert server.requests == []


async def test_the_rest_of_retail_media_where_it_is() -> None:
    """Sizes and audiences under `experimental`, targeting and accounts under a stable version."""
    async with Sandbox(rate_limit=None) as server:
        options = {"base_url": server.url}
        async with CriteoClient(server.credentials, api_version="experimental", **options) as criteo:
            api = criteo.retail_media
            new = rm.AudienceSegmentCreate(retailer_id="1", name="viewers", events=EVENTS)
            segment = (await api.create_audience_segments(ACCOUNT, [new])).one()
            whole = rm.AudienceCreate(retailer_id="1", name="a", algebra=Segment(segment.id))
            audience = (await api.create_audiences(ACCOUNT, [whole])).one()
            sizes = await api.compute_audience_sizes(ACCOUNT, [audience.id], channel="Onsite")
            assert sizes.one().size == (await api.estimate_audience_segment_size(ACCOUNT, PART)).size
        for version in STABLE:
            async with CriteoClient(server.credentials, api_version=version, **options) as criteo:
                api = criteo.retail_media
                target = rm.AudienceTarget(scope="include", audience_ids=[audience.id])
                assert await api.set_line_item_audiences("5", target) == await api.get_line_item_audiences("5")
                assert [account.id async for account in api.list_accounts()] == ["1", ACCOUNT]
