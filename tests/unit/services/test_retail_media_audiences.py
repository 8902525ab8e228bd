"""Retail Media's audiences, sizes, targeting and accounts, and which version has what."""

from collections.abc import Callable
from typing import Any

import pytest

from criteo_audiences import ConfigurationError, Segment
from criteo_audiences import retail_media as rm

ACCOUNT = "/retail-media/accounts/77"
TARGETING = "/retail-media/preferred-line-items/5/targeting/audiences"
NODE = {"or": [{"audienceSegmentId": "1"}, {"audienceSegmentId": "2"}]}
ALGEBRA = Segment("1") | Segment("2")
EVENTS = rm.EventsCreate(shopper_activity="Buy", lookback_days="Last90Days", category_ids=["3"])


async def test_create_and_update_audiences(experimental) -> None:
    """An audience has a retailer and an algebra; an update may replace the algebra."""
    experimental.will_answer({"data": [{"id": 7, "attributes": {"algebra": NODE, "channels": ["Onsite"]}}]})
    create = rm.AudienceCreate(retailer_id="3", name="n", algebra=ALGEBRA)
    audience = (await experimental.rm.create_audiences("77", [create])).one()
    assert (audience.id, audience.algebra, audience.channels) == ("7", ALGEBRA, (rm.Channel.ONSITE,))
    method, path, document = experimental.last
    assert (method, path) == ("POST", f"{ACCOUNT}/audiences/create")
    assert document["data"][0]["attributes"] == {"retailerId": "3", "name": "n", "algebra": NODE}
    experimental.will_answer({"data": [{"id": "7"}]})
    await experimental.rm.update_audiences("77", [rm.AudienceUpdate(id="7", description=None, algebra=Segment("9"))])
    attributes = {"description": {"value": None}, "algebra": {"audienceSegmentId": "9"}}
    assert experimental.last[2]["data"][0]["attributes"] == attributes


@pytest.mark.parametrize(("status", "document"), [(200, {"data": [{"id": "7"}]}), (204, None)])
async def test_delete_audiences_answers_200_or_204(experimental, status, document) -> None:
    """3: a delete answers the ids, or nothing, which means all of them."""
    experimental.will_answer(document, status=status)
    assert (await experimental.rm.delete_audiences("77", ["7"])).items == ("7",)


@pytest.mark.parametrize("kind", ["audience_segment", "audience"])
async def test_sizes(experimental, kind) -> None:
    """Sizes are asked for by one object with a channel, and may be hidden."""
    experimental.will_answer({"data": [{"id": 1, "attributes": {"size": None, "relativeSize": 0.25}}]})
    result = await getattr(experimental.rm, f"compute_{kind}_sizes")("77", ["1"], channel="onsite")
    assert result.items == (rm.Size(id="1", relative_size=0.25),)
    where = kind.replace("_", "-") + "s"
    assert experimental.last[1] == f"{ACCOUNT}/{where}/compute-sizes"
    assert experimental.last[2]["data"]["attributes"] == {"channel": "Onsite", "ids": ["1"]}


async def test_estimates(experimental) -> None:
    """A segment's events or an audience's algebra goes out with its retailer and channel."""
    experimental.will_answer({"data": {"attributes": {"size": 5}}})
    definition = rm.AudienceSegmentEstimate(retailer_id="3", channel="Offsite", events=EVENTS)
    assert (await experimental.rm.estimate_audience_segment_size("77", definition)).size == 5
    events = {"shopperActivity": "Buy", "lookbackDays": "Last90Days", "categoryIds": ["3"]}
    assert experimental.last[2]["data"]["attributes"] == {"retailerId": "3", "channel": "Offsite", "events": events}
    experimental.will_answer({"data": {"attributes": {"size": 6}}})
    whole = rm.AudienceEstimate(retailer_id="3", channel="Onsite", algebra=ALGEBRA)
    assert (await experimental.rm.estimate_audience_size("77", whole)).size == 6
    assert experimental.last[2]["data"]["attributes"] == {"retailerId": "3", "channel": "Onsite", "algebra": NODE}


async def test_search_audiences_is_stable(criteo) -> None:
    """Searching audiences needs no experimental version."""
    criteo.will_answer({"data": [{"id": "7", "attributes": {"algebra": NODE}}], "meta": {"totalItems": 1}})
    found = [audience async for audience in criteo.rm.search_audiences("77", retailer_ids=["3"])]
    assert found[0].algebra == ALGEBRA
    assert criteo.last[:2] == ("POST", f"{ACCOUNT}/audiences/search?limit=500&offset=0")


async def test_line_item_targeting(criteo) -> None:
    """The four calls around a line item's audiences."""
    answer = {"data": {"type": "AudienceTarget", "attributes": {"scope": "include", "audienceIds": [1, "2"]}}}
    target = rm.AudienceTarget(scope="include", audience_ids=["1", "2"])
    calls = [
        (criteo.rm.get_line_item_audiences, (), "GET", TARGETING, None),
        (
            criteo.rm.set_line_item_audiences,
            (target,),
            "PUT",
            TARGETING,
            {"scope": "include", "audienceIds": ["1", "2"]},
        ),
        (criteo.rm.append_line_item_audiences, (["2"],), "POST", f"{TARGETING}/append", {"audienceIds": ["2"]}),
        (criteo.rm.delete_line_item_audiences, (["3"],), "POST", f"{TARGETING}/delete", {"audienceIds": ["3"]}),
    ]
    for call, arguments, method, path, attributes in calls:
        criteo.will_answer(answer)
        assert await call("5", *arguments) == target
        assert criteo.last[:2] == (method, path)
        assert (criteo.last[2] or {"data": {"attributes": None}})["data"]["attributes"] == attributes


async def test_accounts_turn_their_pages(criteo) -> None:
    """Accounts come page by page for as long as there is a next one."""
    pages = [("1", "?pageIndex=1"), ("2", None)]
    for account_id, following in pages:
        attributes = {"name": "a", "type": "demand", "subtype": "brand", "countries": ["FR"]}
        data = [{"id": account_id, "type": "RetailMediaAccount", "attributes": attributes}]
        criteo.will_answer({"data": data, "metadata": {"currentPageIndex": 0, "nextPage": following}})
    accounts = [account async for account in criteo.rm.list_accounts()]
    assert [account.id for account in accounts] == ["1", "2"]
    assert accounts[0].type is rm.AccountType.DEMAND
    assert criteo.last[1] == "/retail-media/accounts?pageIndex=1&pageSize=100"


@pytest.mark.parametrize("service", ["rm", "cg"])
async def test_who_is_asking(criteo, service) -> None:
    """Every service says which application it sees."""
    criteo.will_answer({"data": {"attributes": {"applicationId": 3}}})
    assert (await getattr(criteo, service).get_application()).application_id == "3"
    assert criteo.last[1].endswith("/me")


EXPERIMENTAL: list[Callable[[Any], Any]] = [
    lambda lists: lists.create_audiences("77", [rm.AudienceCreate(retailer_id="3", name="n", algebra=ALGEBRA)]),
    lambda lists: lists.update_audiences("77", [rm.AudienceUpdate(id="1", name="n")]),
    lambda lists: lists.delete_audiences("77", ["1"]),
    lambda lists: lists.compute_audience_sizes("77", ["1"], channel="Onsite"),
    lambda lists: lists.compute_audience_segment_sizes("77", ["1"], channel="Onsite"),
    lambda lists: lists.estimate_audience_size(
        "77", rm.AudienceEstimate(retailer_id="3", channel="Onsite", algebra=ALGEBRA)
    ),
    lambda lists: lists.estimate_audience_segment_size(
        "77", rm.AudienceSegmentEstimate(retailer_id="3", channel="Onsite", events=EVENTS)
    ),
]


@pytest.mark.parametrize("call", EXPERIMENTAL)
async def test_what_a_version_lacks_is_refused_by_name(criteo, call) -> None:
    """An experimental call under a stable version names the version that has it, and nothing is sent."""
    with pytest.raises(ConfigurationError, match='api_version="experimental", not 2026-07'):
        await call(criteo.rm)
    assert not criteo.asked


async def test_what_the_experimental_version_lacks_is_refused_by_name(experimental) -> None:
    """Targeting and accounts are not in the experimental version."""
    with pytest.raises(ConfigurationError, match="2026-07"):
        await experimental.rm.get_line_item_audiences("5")
    with pytest.raises(ConfigurationError, match="2026-07"):
        await anext(aiter(experimental.rm.list_accounts()))
    assert not experimental.asked


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: rm.AudienceCreate(retailer_id="3", name="n" * 257, algebra=ALGEBRA), "name must have at most 256"),
        (lambda: rm.AudienceUpdate(id="1", description="d" * 501), "description must have at most 500"),
        (lambda: rm.AudienceCreate(retailer_id="", name="n", algebra=ALGEBRA), "retailer_id"),
        (lambda: rm.AudienceCreate(retailer_id="3", name="n", algebra="1"), "algebra"),
        (lambda: rm.AudienceEstimate(retailer_id="3", channel="Nowhere", algebra=ALGEBRA), "channel"),
        (lambda: rm.AudienceEstimate(retailer_id="", channel="Onsite", algebra=ALGEBRA), "retailer_id"),
        (lambda: rm.AudienceSegmentEstimate(retailer_id="", channel="Onsite", events=EVENTS), "retailer_id"),
        (lambda: rm.AudienceTarget(scope="around", audience_ids=["1"]), "scope"),
        (lambda: rm.AudienceTarget(scope="include", audience_ids="12"), "audience_ids"),
    ],
)
def test_impossible_models(build, words) -> None:
    """What Criteo would refuse cannot be built, and the message names the field."""
    with pytest.raises(ConfigurationError, match=words):
        build()


@pytest.mark.parametrize("ids", [[], "12"])
async def test_empty_lists_of_ids_are_refused(criteo, experimental, ids) -> None:
    """A call without an id is not made."""
    with pytest.raises(ConfigurationError, match="ids"):
        await criteo.rm.append_line_item_audiences("5", ids)
    with pytest.raises(ConfigurationError, match="ids"):
        await experimental.rm.compute_audience_sizes("77", ids, channel="Onsite")
    assert not criteo.asked + experimental.asked
