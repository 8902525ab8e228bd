from typing import Any

import pytest

from criteo_audiences.sandbox import Sandbox

MARKET = "/2026-07/marketing-solutions/audience-segments/in-market-"
SERVICES = ["marketing-solutions", "retail-media", "commerce-grid"]


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("version", ["2026-07", "experimental", "preview"])
async def test_who_is_calling(call: Any, service: str, version: str) -> None:
    """Every service says which application it talks to, to those that show a token."""
    path = f"/{version}/{service}/me"
    data = (await call("GET", path)).body["data"]
    assert data["type"] == "Application"
    assert (data["attributes"]["name"], data["attributes"]["criteoService"]) == ("sandbox", service)
    assert {type(data["attributes"][each]) for each in ("applicationId", "organizationId")} == {int}
    assert (await call("GET", path, authorization="")).status == 401


async def test_calls_beyond_the_quota_are_refused(connect: Any) -> None:
    """The new endpoints count as the old ones do."""
    async with Sandbox(rate_limit=(2, 60)) as sandbox:
        call = connect(sandbox)
        replies = [await call("GET", "/2026-07/advertisers/me") for _ in range(3)]
    assert [reply.status for reply in replies] == [200, 200, 429]


async def test_the_advertisers_are_those_that_have_something(sandbox: Sandbox, call: Any) -> None:
    """Advertiser 1 is always there; owners of other services are not among them."""
    for advertiser_id in ("73", "9", "9"):
        sandbox.add_contact_list(advertiser_id=advertiser_id)
    sandbox.add_contact_list(service="retail-media", account_id="5")
    reply = await call("GET", "/2026-07/advertisers/me")
    assert reply.body == {
        "data": [
            {"id": each, "type": "advertiser", "attributes": {"advertiserName": f"advertiser {each}"}}
            for each in ("1", "9", "73")
        ],
        "errors": [],
        "warnings": [],
    }


async def test_accounts_come_in_pages(sandbox: Sandbox, call: Any) -> None:
    """The metadata says where the page stands."""
    for account_id in ("2", "3"):
        sandbox.add_contact_list(service="retail-media", account_id=account_id)
    path = "/2026-07/retail-media/accounts"
    whole = (await call("GET", path)).body
    assert [each["id"] for each in whole["data"]] == ["1", "2", "3"]
    assert whole["data"][0]["attributes"]["type"] == "demand"
    assert whole["metadata"] == {
        "totalItemsAcrossAllPages": 3,
        "totalPages": 1,
        "currentPageIndex": 0,
        "currentPageSize": 25,
        "previousPage": None,
        "nextPage": None,
    }
    last = (await call("GET", f"{path}?pageIndex=1&pageSize=2")).body
    assert [each["id"] for each in last["data"]] == ["3"]
    assert (last["metadata"]["previousPage"], last["metadata"]["nextPage"]) == (f"{path}?pageIndex=0&pageSize=2", None)
    some = (await call("GET", f"{path}?limitToId=3&limitToId=1&limitToId=9")).body
    assert [each["id"] for each in some["data"]] == ["1", "3"]
    for query in ("pageSize=0", "pageIndex=-1"):
        assert (await call("GET", f"{path}?{query}")).codes == ["invalid-range"]


async def test_in_market_interests_form_a_tree(call: Any) -> None:
    """Each names the one that it is part of, or none."""
    data = (await call("GET", f"{MARKET}interests?advertiser-id=1&country=FR")).body["data"]
    ids = {each["id"] for each in data}
    assert {each["type"] for each in data} == {"InMarketAudienceSegmentInterest"}
    assert {each["attributes"]["parentId"] for each in data} <= {*ids, None}


async def test_in_market_brands_differ_in_size(call: Any) -> None:
    """By country, and not by call."""
    path = f"{MARKET}brands?advertiser-id=1&country="
    french, again, german = [(await call("GET", path + each)).body["data"] for each in ("FR", "FR", "DE")]
    assert french == again != german
    assert [each["attributes"]["name"] for each in french] == [each["attributes"]["name"] for each in german]


@pytest.mark.parametrize("end", ["interests", "brands"])
@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("", "required-field"),
        ("country=FR", "required-field"),
        ("advertiser-id=1", "country-code-is-required"),
        ("advertiser-id=1&country=France", "country-code-must-be-valid"),
    ],
)
async def test_both_parameters_are_needed(call: Any, end: str, query: str, code: str) -> None:
    """OpenAPI demands the advertiser and the country."""
    reply = await call("GET", f"{MARKET}{end}?{query}")
    assert (reply.status, reply.codes) == (400, [code])
