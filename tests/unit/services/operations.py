"""How to make the call of each operation in Criteo's OpenAPI documents, and where its properties are in Python."""

import re
from collections.abc import Awaitable, Callable
from typing import Any, Final

from criteo_audiences import Segment
from criteo_audiences import commerce_grid as cg
from criteo_audiences import marketing_solutions as ms
from criteo_audiences import retail_media as rm
from criteo_audiences.models import UNSET

ALGEBRA: Final = Segment("1") & (Segment("2") | ~Segment("3"))
POINT: Final = ms.PointOfInterest(name="shop", latitude=48.85, longitude=2.35)
IN_MARKET: Final = ms.InMarketCreate(
    country="FR",
    interest_ids=["1"],
    brand_ids=["2"],
    gender="Male",
    buying_power=["Low"],
    price_range=["High"],
)
LOCATION: Final = ms.LocationCreate(points_of_interest=[POINT], radius_in_km=5)
EVENTS: Final = rm.EventsCreate(
    shopper_activity="View", lookback_days="Last7Days", category_ids=["1"], brand_ids=["2"], min_price=1, max_price=2.5
)
MS_SETTINGS: Final[dict[str, Any]] = {
    "contact_list": ms.ContactListCreate(),
    "in_market": IN_MARKET,
    "location": LOCATION,
    "lookalike": ms.LookalikeCreate(seed_segment_id="5", target_size=100),
    "prospecting": ms.ProspectingCreate(
        users_type="Prospects", days_since_last_visit_min=1, days_since_last_visit_max=9
    ),
    "retargeting": ms.RetargetingCreate(visitors_type="All", days_since_last_visit_min=1, days_since_last_visit_max=9),
}
MS_CHANGES: Final[dict[str, Any]] = {
    "in_market": ms.InMarketUpdate(
        country="FR",
        interest_ids=["1"],
        brand_ids=["2"],
        gender="Male",
        buying_power=["Low"],
        price_range=["High"],
    ),
    "location": ms.LocationUpdate(points_of_interest=[POINT], radius_in_km=5, registry_type="PointsOfInterest"),
    "lookalike": ms.LookalikeUpdate(target_size=100),
    "prospecting": ms.ProspectingUpdate(
        users_type="Prospects", days_since_last_visit_min=1, days_since_last_visit_max=9
    ),
    "retargeting": ms.RetargetingUpdate(visitors_type="All", days_since_last_visit_min=1, days_since_last_visit_max=9),
}
RM_SETTINGS: Final[dict[str, Any]] = {"contact_list": rm.ContactListCreate(), "events": EVENTS}
RM_UPDATE: Final = rm.AudienceSegmentUpdate(
    id="1",
    name="n",
    description="d",
    events=rm.EventsUpdate(
        shopper_activity="View",
        lookback_days="Last7Days",
        category_ids=["1"],
        brand_ids=["2"],
        min_price=1,
        max_price=2.5,
    ),
)
AUDIENCE_UPDATE: Final[dict[str, Any]] = {"id": "1", "name": "n", "description": "d", "algebra": ALGEBRA}
ESTIMATE: Final[dict[str, Any]] = {"retailer_id": "1", "channel": "Onsite"}
AMENDMENT: Final[dict[str, Any]] = {"operation": "add", "identifiers": ["a"], "identifier_type": "email"}
PAGE: Final[dict[str, Any]] = {"limit": 50, "offset": 5}


async def searched(search: Callable[..., Any], arguments: dict[str, Any]) -> Any:
    """Asks for a page of a search."""
    where = {name: arguments[name] for name in arguments.keys() - PAGE.keys()}
    return await search(**where).page(**{name: arguments[name] for name in PAGE.keys() & arguments.keys()})


async def accounts(criteo: Any, arguments: dict[str, Any]) -> list[Any]:
    """Lists the accounts."""
    return [account async for account in criteo.rm.list_accounts(**arguments)]


Call = Callable[[Any, Any], Awaitable[Any]]
IDS: Final = {"ids": ["1", "2"]}
SEARCH: Final = {"audience_segment_ids": ["1"], "audience_segment_types": ["ContactList"]}
CALLS: Final[dict[str, tuple[Call, list[Any]]]] = {
    "GET marketing-solutions/audience-segments/in-market-brands": (
        lambda c, given: c.ms.list_in_market_brands(**given), [{"advertiser_id": "1", "country": "FR"}]),
    "GET marketing-solutions/audience-segments/in-market-interests": (
        lambda c, given: c.ms.list_in_market_interests(**given), [{"advertiser_id": "1", "country": "FR"}]),
    "GET retail-media/accounts": (accounts, [{"account_ids": ["1", "2"]}]),
    "POST marketing-solutions/audience-segments/create": (
        lambda c, given: c.ms.create_audience_segments([given]),
        [ms.AudienceSegmentCreate(advertiser_id="1", name="n", description="d", **{name: each}) for name, each in MS_SETTINGS.items()]),
    "PATCH marketing-solutions/audience-segments": (
        lambda c, given: c.ms.update_audience_segments([given]),
        [ms.AudienceSegmentUpdate(id="1", name="n", description="d", **{name: each}) for name, each in MS_CHANGES.items()]),
    "POST marketing-solutions/audience-segments/delete": (lambda c, given: c.ms.delete_audience_segments(**given), [IDS]),
    "POST marketing-solutions/audience-segments/compute-sizes": (lambda c, given: c.ms.compute_audience_segment_sizes(**given), [IDS]),
    "POST marketing-solutions/audience-segments/estimate-size": (
        lambda c, given: c.ms.estimate_audience_segment_size(given),
        [ms.AudienceSegmentEstimate(advertiser_id="1", in_market=IN_MARKET), ms.AudienceSegmentEstimate(advertiser_id="1", location=LOCATION)]),
    "POST marketing-solutions/audience-segments/search": (
        lambda c, given: searched(c.ms.search_audience_segments, given), [{**SEARCH, "advertiser_ids": ["1"], **PAGE}]),
    "PATCH marketing-solutions/audience-segments/{audience-segment-id}/contact-list": (
        lambda c, given: c.ms.amend_contact_list("5", **given),
        [AMENDMENT, {**AMENDMENT, "identifier_type": "gum", "gum_caller_id": 7}]),
    "POST marketing-solutions/audiences/create": (
        lambda c, given: c.ms.create_audiences([given]),
        [ms.AudienceCreate(advertiser_id="1", name="n", description="d", algebra=ALGEBRA)]),
    "PATCH marketing-solutions/audiences": (lambda c, given: c.ms.update_audiences([given]), [ms.AudienceUpdate(**AUDIENCE_UPDATE)]),
    "POST marketing-solutions/audiences/delete": (lambda c, given: c.ms.delete_audiences(**given), [IDS]),
    "POST marketing-solutions/audiences/compute-sizes": (lambda c, given: c.ms.compute_audience_sizes(**given), [IDS]),
    "POST marketing-solutions/audiences/estimate-size": (
        lambda c, given: c.ms.estimate_audience_size(given), [ms.AudienceEstimate(advertiser_id="1", algebra=ALGEBRA)]),
    "POST marketing-solutions/audiences/search": (
        lambda c, given: searched(c.ms.search_audiences, given),
        [{"audience_ids": ["1"], "advertiser_ids": ["1"], "ad_set_ids": ["1"], "audience_segment_ids": ["1"], **PAGE}]),
    "PUT marketing-solutions/ad-sets/{ad-set-id}/audience": (
        lambda c, given: c.ms.set_ad_set_audience("5", **given), [{"audience_id": "6"}]),
    "POST retail-media/accounts/{account-id}/audience-segments/create": (
        lambda c, given: c.rm.create_audience_segments("7", [given]),
        [rm.AudienceSegmentCreate(retailer_id="1", name="n", description="d", **{name: each}) for name, each in RM_SETTINGS.items()]),
    "PATCH retail-media/accounts/{account-id}/audience-segments": (
        lambda c, given: c.rm.update_audience_segments("7", [given]), [RM_UPDATE]),
    "POST retail-media/accounts/{account-id}/audience-segments/delete": (
        lambda c, given: c.rm.delete_audience_segments("7", **given), [IDS]),
    "POST retail-media/accounts/{account-id}/audience-segments/compute-sizes": (
        lambda c, given: c.rm.compute_audience_segment_sizes("7", **given), [{**IDS, "channel": "Onsite"}]),
    "POST retail-media/accounts/{account-id}/audience-segments/estimate-size": (
        lambda c, given: c.rm.estimate_audience_segment_size("7", given), [rm.AudienceSegmentEstimate(**ESTIMATE, events=EVENTS)]),
    "POST retail-media/accounts/{account-id}/audience-segments/search": (
        lambda c, given: searched(lambda **each: c.rm.search_audience_segments("7", **each), given), [{**SEARCH, "retailer_ids": ["1"], **PAGE}]),
    "POST retail-media/accounts/{account-id}/audiences/create": (
        lambda c, given: c.rm.create_audiences("7", [given]),
        [rm.AudienceCreate(retailer_id="1", name="n", description="d", algebra=ALGEBRA)]),
    "PATCH retail-media/accounts/{account-id}/audiences": (
        lambda c, given: c.rm.update_audiences("7", [given]), [rm.AudienceUpdate(**AUDIENCE_UPDATE)]),
    "POST retail-media/accounts/{account-id}/audiences/delete": (lambda c, given: c.rm.delete_audiences("7", **given), [IDS]),
    "POST retail-media/accounts/{account-id}/audiences/compute-sizes": (
        lambda c, given: c.rm.compute_audience_sizes("7", **given), [{**IDS, "channel": "Onsite"}]),
    "POST retail-media/accounts/{account-id}/audiences/estimate-size": (
        lambda c, given: c.rm.estimate_audience_size("7", given), [rm.AudienceEstimate(**ESTIMATE, algebra=ALGEBRA)]),
    "POST retail-media/accounts/{account-id}/audiences/search": (
        lambda c, given: searched(lambda **each: c.rm.search_audiences("7", **each), given),
        [{"audience_ids": ["1"], "retailer_ids": ["1"], "audience_segment_ids": ["1"], **PAGE}]),
    "POST retail-media/audience-segments/{audience-segment-id}/contact-list/add-remove": (
        lambda c, given: c.rm.amend_contact_list("5", **given), [AMENDMENT]),
    "PUT retail-media/preferred-line-items/{line-item-id}/targeting/audiences": (
        lambda c, given: c.rm.set_line_item_audiences("5", given), [rm.AudienceTarget(scope="include", audience_ids=["1"])]),
    "POST retail-media/preferred-line-items/{line-item-id}/targeting/audiences/append": (
        lambda c, given: c.rm.append_line_item_audiences("5", **given), [{"audience_ids": ["1"]}]),
    "POST retail-media/preferred-line-items/{line-item-id}/targeting/audiences/delete": (
        lambda c, given: c.rm.delete_line_item_audiences("5", **given), [{"audience_ids": ["1"]}]),
    "POST commerce-grid/audience-segments/create": (
        lambda c, given: c.cg.create_audience_segments([given]),
        [cg.AudienceSegmentCreate(data_provider_id="1", name="n", description="d", contact_list=cg.ContactListCreate(remote_id="r"))]),
    "PATCH commerce-grid/audience-segments": (
        lambda c, given: c.cg.update_audience_segments([given]), [cg.AudienceSegmentUpdate(id="1", name="n", description="d")]),
    "POST commerce-grid/audience-segments/delete": (lambda c, given: c.cg.delete_audience_segments(**given), [IDS]),
    "POST commerce-grid/audience-segments/search": (
        lambda c, given: searched(c.cg.search_audience_segments, given),
        [{**SEARCH, "data_provider_ids": ["1"], "remote_ids": ["1"], **PAGE}]),
    "POST commerce-grid/audience-segments/{audience-segment-id}/contact-list/add-remove": (
        lambda c, given: c.cg.amend_contact_list("5", **given), [AMENDMENT]),
}  # fmt: skip
"""How to make the call of each operation, and with what it is made so that it sends every property."""


def of(operation: str) -> tuple[Call, list[Any], bool]:
    """Returns how an operation is called, its examples, and whether it is experimental."""
    method, path = operation.split()
    _, version, rest = path.split("/", 2)
    call, examples = CALLS[f"{method} {rest}"]
    return call, examples, version == "experimental"


def snake(name: str) -> str:
    """Returns a property's name in Python."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).replace("-", "_").lower()


def steps(path: str) -> list[str]:
    """Returns the names that lead from an example to a property; `[]` stands for the first of a list."""
    inner = path.removeprefix("?").removesuffix(".value")
    inner = re.sub(r"^data(\[\])?\.(attributes\.)?", "", inner)
    if inner == "id":
        return ["id"]
    return [
        step for part in inner.split(".") for step in (snake(part.removesuffix("[]")), *["[]"] * part.endswith("[]"))
    ]


def value_at(example: Any, way: list[str]) -> Any:
    """Returns what an example holds there, `UNSET` where it holds nothing."""
    for step in way:
        if step == "[]":
            example = example[0]
        elif isinstance(example, dict):
            example = example.get(step, UNSET)
        else:
            example = getattr(example, step, UNSET)
        if example is None or example is UNSET:
            return UNSET
    return example
