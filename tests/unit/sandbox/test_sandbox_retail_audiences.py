from typing import Any

import pytest

from criteo_audiences.sandbox import Sandbox

RM = "retail-media"
BASE = "/experimental/retail-media/accounts/1"
TARGET = "/2026-07/retail-media/preferred-line-items/7/targeting/audiences"
EVENTS = {"shopperActivity": "View", "lookbackDays": "Last30Days"}


async def create(call: Any, *names: str, **attributes: Any) -> Any:
    """Returns the answer to the creation of audiences of account and retailer 1."""
    items = [{"attributes": {"retailerId": "1", "name": name, **attributes}} for name in names]
    return await call("POST", f"{BASE}/audiences/create", json={"data": items})


async def created(sandbox: Sandbox, call: Any, *names: str) -> list[str]:
    """Returns the ids of new audiences."""
    algebra = {"audienceSegmentId": sandbox.add_contact_list(service=RM)}
    return [each["id"] for each in (await create(call, *names, algebra=algebra)).body["data"]]


async def compute(call: Any, *ids: str, of: str, **attributes: Any) -> Any:
    """Returns the answer to a computation."""
    data = {"attributes": {"channel": "Onsite", "ids": list(ids), **attributes}}
    return await call("POST", f"{BASE}/{of}/compute-sizes", json={"data": data})


async def estimate(call: Any, of: str, **attributes: Any) -> Any:
    """Returns the answer to an estimation for retailer 1."""
    body = {"data": {"attributes": {"retailerId": "1", "channel": "Offsite", **attributes}}}
    return await call("POST", f"{BASE}/{of}/estimate-size", json=body)


async def target(call: Any, method: str, end: str, **attributes: Any) -> Any:
    """Returns the answer to a call about the targeting of line item 7."""
    return await call(method, TARGET + end, json={"data": {"type": "x", "attributes": attributes}})


async def test_an_audience_is_created_under_experimental(sandbox: Sandbox, call: Any) -> None:
    """The answer is the full entity, and the search of any version finds it."""
    algebra = {"audienceSegmentId": sandbox.add_contact_list(service=RM)}
    reply = await create(call, "all", algebra=algebra)
    (entity,) = reply.body["data"]
    assert entity == {
        "id": "300000000000700001",
        "type": "Audience",
        "attributes": {
            "accountId": "1",
            "retailerId": "1",
            "name": "all",
            "description": None,
            "algebra": algebra,
            "channels": ["Onsite", "Offsite"],
            "createdById": None,
            "createdAt": "2023-11-14T22:13:20.250Z",
            "updatedAt": "2023-11-14T22:13:20.250Z",
        },
    }
    for version in ("2026-07", "experimental", "preview"):
        found = await call("POST", f"/{version}/retail-media/accounts/1/audiences/search?limit=500", json={})
        assert (found.body["data"], found.body["meta"]["limit"]) == ([entity], 500)


async def test_filters_and_accounts_of_a_search(sandbox: Sandbox, call: Any) -> None:
    """An account sees its own audiences only."""
    (audience_id,) = await created(sandbox, call, "all")
    for account, filters, count in (
        ("1", {"audienceIds": [audience_id], "retailerIds": ["1"]}, 1),
        ("1", {"retailerIds": ["2"]}, 0),
        ("2", {}, 0),
    ):
        path = f"/2026-07/retail-media/accounts/{account}/audiences/search"
        reply = await call("POST", path, json={"data": {"attributes": filters}})
        assert reply.body["meta"]["totalItems"] == count


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"name": "x" * 257}, "name-must-not-be-too-long"),
        ({"description": "x" * 501}, "invalid"),
        ({"retailerId": 1}, "invalid"),
        ({"name": "all"}, "name-must-be-unique"),
    ],
)
async def test_names_and_descriptions_have_limits(
    sandbox: Sandbox, call: Any, wrong: dict[str, Any], code: str
) -> None:
    """256 and 500 characters are the most."""
    await created(sandbox, call, "all")
    algebra = {"audienceSegmentId": "300000000000300001"}
    good = {"retailerId": "1", "name": "x" * 256, "description": "x" * 500, "algebra": algebra}
    items = [{"attributes": good | wrong}, {"attributes": good}]
    reply = await call("POST", f"{BASE}/audiences/create", json={"data": items})
    assert (reply.codes, len(reply.body["data"])) == ([code], 1)


async def test_an_update_keeps_the_limits(sandbox: Sandbox, call: Any) -> None:
    """Also in its wrapper."""
    (audience_id,) = await created(sandbox, call, "all")
    for changes, codes in (
        ({"name": "x" * 257, "description": {"value": "x" * 501}}, ["name-must-not-be-too-long", "invalid"]),
        ({"name": "new", "description": {"value": None}}, []),
    ):
        body = {"data": [{"id": audience_id, "attributes": changes}]}
        assert (await call("PATCH", f"{BASE}/audiences", json=body)).codes == codes


async def test_another_account_has_neither_segment_nor_audience(sandbox: Sandbox, call: Any) -> None:
    """What lies outside the path's account is as good as none."""
    (audience_id,) = await created(sandbox, call, "all")
    other = sandbox.add_contact_list(service=RM, account_id="2")
    assert (await create(call, "new", algebra={"audienceSegmentId": other})).codes == ["segment-not-found"]
    body = {"data": [{"id": audience_id}]}
    reply = await call("POST", "/experimental/retail-media/accounts/2/audiences/delete", json=body)
    assert reply.codes == ["audience-not-found"]
    gone = await call("POST", f"{BASE}/audiences/delete", json=body)
    assert gone.body["data"] == [{"id": audience_id, "type": "Audience"}]


async def test_sizes_are_absolute_and_relative(sandbox: Sandbox, call: Any) -> None:
    """One object names the channel and the ids; problems name the place of the id."""
    events = (await call.new(RM, "viewers", events=EVENTS)).body["data"][0]["id"]
    empty = sandbox.add_contact_list(service=RM)
    reply = await compute(call, empty, events, of="audience-segments")
    size = {"size": 30_000, "relativeSize": 0.003}
    assert reply.body["data"] == [{"id": events, "type": "RetailMediaAudienceSegment", "attributes": size}]
    assert (reply.problem["instance"], reply.codes) == ("@data/0", ["segment-size-not-available"])
    (audience,) = (await create(call, "all", algebra={"audienceSegmentId": events})).body["data"]
    computed = await compute(call, audience["id"], of="audiences")
    assert computed.body["data"] == [{"id": audience["id"], "type": "Audience", "attributes": size}]
    for reply in (
        await estimate(call, "audience-segments", events=EVENTS),
        await estimate(call, "audiences", algebra={"audienceSegmentId": events}),
    ):
        assert reply.body["data"]["attributes"] == size


async def test_a_size_is_for_one_channel(call: Any) -> None:
    """OpenAPI demands the channel and the ids."""
    for of in ("audience-segments", "audiences"):
        assert (await compute(call, of=of, channel="Unknown")).codes == ["invalid"]
        assert (await compute(call, of=of, ids="1")).codes == ["invalid"]
        assert (await estimate(call, of, channel=None)).codes == ["invalid"]
        body = {"data": {"attributes": {"ids": []}}}
        assert (await call("POST", f"{BASE}/{of}/compute-sizes", json=body)).codes == ["required-field"]


@pytest.mark.parametrize(
    ("method", "end"),
    [
        ("POST", "audience-segments/compute-sizes"),
        ("POST", "audience-segments/estimate-size"),
        ("POST", "audiences/create"),
        ("PATCH", "audiences"),
        ("POST", "audiences/delete"),
        ("POST", "audiences/compute-sizes"),
        ("POST", "audiences/estimate-size"),
    ],
)
async def test_stable_versions_lack_what_experimental_has(call: Any, method: str, end: str) -> None:
    """They answer 404, the others 400 for a body without data."""
    for version, status in (("2026-07", 404), ("experimental", 400), ("preview", 400)):
        assert (await call(method, f"/{version}/retail-media/accounts/1/{end}", json={})).status == status


async def test_experimental_lacks_what_stable_versions_have(call: Any) -> None:
    """Neither line items nor accounts."""
    for path in (TARGET, "/2026-07/retail-media/accounts"):
        for version in ("experimental", "preview"):
            assert (await call("GET", path.replace("2026-07", version))).status == 404


async def test_the_targeting_of_a_line_item(sandbox: Sandbox, call: Any) -> None:
    """It is set as a whole, added to and taken from; each answer is the state after the call."""
    first, second, third = await created(sandbox, call, "a", "b", "c")
    for reply, word, ids in (
        (await call("GET", TARGET), "include", []),
        (await target(call, "PUT", "", scope="exclude", audienceIds=[first]), "exclude", [first]),
        (await target(call, "POST", "/append", audienceIds=[second, first, third]), "exclude", [first, second, third]),
        (await target(call, "POST", "/delete", audienceIds=[second, "9"]), "exclude", [first, third]),
        (await call("GET", TARGET), "exclude", [first, third]),
        (await call("GET", TARGET.replace("/7/", "/8/")), "include", []),
    ):
        assert reply.body["data"] == {"type": "AudienceTarget", "attributes": {"scope": word, "audienceIds": ids}}


async def test_a_bad_target_is_refused(call: Any) -> None:
    """Unknown audiences, other scopes and ids that are no numbers; nothing is kept of it."""
    for method, end, attributes, code in (
        ("PUT", "", {"scope": "include", "audienceIds": ["9"]}, "audience-not-found"),
        ("PUT", "", {"scope": "only", "audienceIds": []}, "invalid"),
        ("PUT", "", {"audienceIds": []}, "required-field"),
        ("POST", "/append", {"audienceIds": ["x"]}, "invalid"),
        ("POST", "/append", {"audienceIds": ["9"]}, "audience-not-found"),
        ("POST", "/delete", {}, "required-field"),
    ):
        assert (await target(call, method, end, **attributes)).codes == [code]
    assert (await call("GET", TARGET)).body["data"]["attributes"]["audienceIds"] == []
