from typing import Any

import pytest

from criteo_audiences.sandbox import Sandbox

MS = "/2026-07/marketing-solutions"
RETARGETING = {"visitorsType": "All", "daysSinceLastVisitMin": 0, "daysSinceLastVisitMax": 9}


def leaf(segment_id: str) -> dict[str, str]:
    """Returns the node of a segment."""
    return {"audienceSegmentId": segment_id}


async def new(call: Any, *audiences: dict[str, Any]) -> Any:
    """Returns the answer to a creation; owner and name are there unless an audience says otherwise."""
    items = [{"type": "Audience", "attributes": {"advertiserId": "1", "name": "all", **each}} for each in audiences]
    return await call("POST", f"{MS}/audiences/create", json={"data": items})


async def created(call: Any, **attributes: Any) -> str:
    """Returns the id of a new audience."""
    return str((await new(call, attributes)).body["data"][0]["id"])


async def update(call: Any, audience_id: str, **changes: Any) -> Any:
    """Returns the answer to an update."""
    return await call("PATCH", f"{MS}/audiences", json={"data": [{"id": audience_id, "attributes": changes}]})


async def found(call: Any, query: str = "", **filters: Any) -> list[str]:
    """Returns the names that a search finds."""
    reply = await call("POST", f"{MS}/audiences/search{query}", json={"data": {"attributes": filters}})
    return [each["attributes"]["name"] for each in reply.body["data"]]


async def test_an_audience_is_created(sandbox: Sandbox, call: Any) -> None:
    """The answer is the full entity."""
    algebra = {"and": [leaf(sandbox.add_contact_list()), {"not": leaf(sandbox.add_contact_list())}]}
    reply = await new(call, {"algebra": algebra, "description": "text"})
    assert (reply.status, reply.body["errors"], reply.body["warnings"]) == (200, [], [])
    assert reply.body["data"] == [
        {
            "id": "700001",
            "type": "Audience",
            "attributes": {
                "advertiserId": "1",
                "name": "all",
                "description": "text",
                "algebra": algebra,
                "adSetIds": [],
                "createdAt": "2023-11-14T22:13:20.250Z",
                "updatedAt": "2023-11-14T22:13:20.250Z",
            },
        }
    ]


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"algebra": leaf("9")}, "segment-not-found"),
        ({"algebra": leaf("300002")}, "segment-must-have-valid-segment-id"),
        ({"algebra": {"and": []}}, "invalid"),
        ({"algebra": {"and": [leaf("300001")], "or": [leaf("300001")]}}, "invalid"),
        ({"algebra": None}, "required-field"),
        ({}, "required-field"),
        ({"algebra": leaf("300001"), "name": " "}, "name-must-not-be-empty"),
        ({"algebra": leaf("300001"), "name": 1}, "invalid"),
        ({"algebra": leaf("300001"), "name": "taken"}, "name-must-be-unique"),
        ({"algebra": leaf("300001"), "description": 1}, "invalid"),
    ],
)
async def test_a_bad_audience_is_not_created(sandbox: Sandbox, call: Any, wrong: dict[str, Any], code: str) -> None:
    """Its problem names its place, and the good one beside it is created."""
    sandbox.add_contact_list()
    sandbox.add_contact_list(advertiser_id="2")
    good = {"name": "taken", "algebra": leaf("300001")}
    reply = await new(call, good, wrong)
    assert (reply.status, reply.codes, reply.problem["instance"]) == (200, [code], "@data/1")
    assert len(reply.body["data"]) == 1


async def test_a_retargeting_segment_stands_alone(sandbox: Sandbox, call: Any) -> None:
    """Beside another segment, or excluded, it is refused."""
    fans = leaf((await call.new("marketing-solutions", "fans", retargeting=RETARGETING)).body["data"][0]["id"])
    other = leaf(sandbox.add_contact_list())
    reply = await new(call, {"algebra": {"or": [other, fans]}}, {"algebra": {"not": fans}}, {"algebra": fans})
    assert reply.codes == ["audience-with-retargeting-segment-must-be-correctly-specified"] * 2
    assert len(reply.body["data"]) == 1


async def test_a_deep_algebra_is_kept(sandbox: Sandbox, call: Any) -> None:
    """It comes back as it was sent, deeper than orjson writes; what is too deep to read is no JSON."""
    deep: Any = leaf(sandbox.add_contact_list())
    for _ in range(800):
        deep = {"not": deep}
    start, end = b'{"data":[{"attributes":{"advertiserId":"1","name":"deep","algebra":', b"}}]}"
    for depth, status in ((800, 200), (5_000, 400)):
        node = b'{"not":' * depth + b'{"audienceSegmentId":"300001"}' + b"}" * depth
        headers = {"Content-Type": "application/json"}
        reply = await call("POST", f"{MS}/audiences/create", data=start + node + end, headers=headers)
        assert reply.status == status
    reply = await call("POST", f"{MS}/audiences/search", json={})
    assert reply.body["data"][0]["attributes"]["algebra"] == deep


async def test_an_audience_is_updated(sandbox: Sandbox, call: Any, clock: Any) -> None:
    """What is named changes, the rest stays; a null algebra changes nothing."""
    first, second = leaf(sandbox.add_contact_list()), leaf(sandbox.add_contact_list())
    audience_id = await created(call, algebra=first, description="text")
    clock.now += 60
    attributes = (await update(call, audience_id, algebra=second, name="new")).body["data"][0]["attributes"]
    assert (attributes["algebra"], attributes["name"], attributes["description"]) == (second, "new", "text")
    assert attributes["updatedAt"] == "2023-11-14T22:14:20.250Z"
    again = (await update(call, audience_id, algebra=None, description={})).body["data"][0]["attributes"]
    assert (again["algebra"], again["description"]) == (second, None)


async def test_a_bad_update_changes_nothing(sandbox: Sandbox, call: Any) -> None:
    """Names stay unique per owner, and the rules of the algebra hold."""
    algebra = leaf(sandbox.add_contact_list())
    await new(call, {"algebra": algebra, "name": "taken"})
    audience_id = await created(call, algebra=algebra)
    assert (await update(call, "9", name="x")).codes == ["audience-not-found"]
    assert (await update(call, audience_id, name="taken")).codes == ["name-must-be-unique"]
    assert (await update(call, audience_id, algebra=leaf("9"))).codes == ["segment-not-found"]
    assert (await update(call, audience_id, description="x")).codes == ["invalid"]
    assert (await update(call, audience_id, name="all")).codes == []
    assert await found(call) == ["taken", "all"]


async def test_filters_of_a_search(sandbox: Sandbox, call: Any) -> None:
    """All of them must let an audience through; a page is a part of what is found."""
    one, two = sandbox.add_contact_list(), sandbox.add_contact_list()
    other = sandbox.add_contact_list(advertiser_id="2")
    a = await created(call, name="a", algebra={"and": [leaf(one), {"not": leaf(two)}]})
    await created(call, name="b", algebra=leaf(two))
    await created(call, name="c", algebra=leaf(other), advertiserId="2")
    await call("PUT", f"{MS}/ad-sets/7/audience", json={"data": {"attributes": {"audienceId": a}}})
    assert await found(call) == ["a", "b", "c"]
    assert await found(call, audienceSegmentIds=[two]) == ["a", "b"]
    assert await found(call, audienceIds=[a], advertiserIds=None) == ["a"]
    assert await found(call, advertiserIds=["2"]) == ["c"]
    assert await found(call, adSetIds=["7", "8"]) == ["a"]
    assert await found(call, adSetIds=["7"], audienceSegmentIds=[other]) == []
    assert await found(call, "?limit=1&offset=1") == ["b"]
    assert await found(call, "?limit=0") == []
    for query in ("limit=101", "limit=-1", "offset=x"):
        assert (await call("POST", f"{MS}/audiences/search?{query}", json={})).codes == ["invalid-range"]


async def test_a_used_segment_cannot_be_deleted(sandbox: Sandbox, call: Any) -> None:
    """Not until its last audience is gone."""
    segment_id = sandbox.add_contact_list()
    audience_id = await created(call, algebra={"not": leaf(segment_id)})
    refused = await call.bulk("marketing-solutions", "delete", {"id": segment_id})
    assert refused.codes == ["segment-must-not-be-used-in-audience"]
    items = [{"id": audience_id, "type": "Audience"}, {"id": "9"}, {}]
    gone = await call("POST", f"{MS}/audiences/delete", json={"data": items})
    assert (gone.status, gone.body["data"]) == (200, [{"id": audience_id, "type": "Audience"}])
    assert [(each["code"], each["instance"]) for each in gone.body["errors"]] == [
        ("audience-not-found", "@data/1"),
        ("required-field", "@data/2"),
    ]
    assert (await call.bulk("marketing-solutions", "delete", {"id": segment_id})).codes == []
    assert await found(call) == []


async def test_an_ad_set_has_one_audience(sandbox: Sandbox, call: Any) -> None:
    """Another takes the place of the first, and null leaves none."""
    algebra = leaf(sandbox.add_contact_list())
    first, second = await created(call, name="a", algebra=algebra), await created(call, name="b", algebra=algebra)
    for audience_id, names in ((first, ["a"]), (second, ["b"]), (None, [])):
        data = {"id": "7", "type": "x", "attributes": {"audienceId": audience_id}}
        reply = await call("PUT", f"{MS}/ad-sets/7/audience", json={"data": data})
        assert reply.body["data"] == {"id": "7", "type": "AdSetAudienceLink", "attributes": {"audienceId": audience_id}}
        assert await found(call, adSetIds=["7"]) == names


@pytest.mark.parametrize(
    ("data", "status", "code"),
    [
        ({"attributes": {"audienceId": "9"}}, 404, "audience-not-found"),
        ({"attributes": {"audienceId": 9}}, 400, "invalid"),
        ({"attributes": {}}, 400, "required-field"),
        ({"attributes": []}, 400, "invalid"),
        ({}, 400, "required-field"),
        ({"id": "8", "attributes": {"audienceId": None}}, 400, "invalid"),
    ],
)
async def test_a_bad_link_is_refused(call: Any, data: dict[str, Any], status: int, code: str) -> None:
    """The audience must exist, and the id must be the path's."""
    reply = await call("PUT", f"{MS}/ad-sets/7/audience", json={"data": data})
    assert (reply.status, reply.codes) == (status, [code])


@pytest.mark.parametrize(
    ("seed", "code"), [("9", "segment-not-found"), ("300002", "segment-must-have-valid-segment-id"), ("300001", None)]
)
async def test_the_seed_of_a_lookalike(sandbox: Sandbox, call: Any, seed: str, code: str | None) -> None:
    """It exists and belongs to the same advertiser."""
    sandbox.add_contact_list()
    sandbox.add_contact_list(advertiser_id="2")
    reply = await call.new("marketing-solutions", lookalike={"seedSegmentId": seed})
    assert reply.codes == ([code] if code else [])
