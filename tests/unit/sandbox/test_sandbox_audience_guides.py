from collections.abc import AsyncIterator
from typing import Any

import pytest

from criteo_audiences.sandbox import Sandbox

PATHS = {
    "marketing-solutions": "/2026-07/marketing-solutions/audiences",
    "retail-media": "/experimental/retail-media/accounts/1/audiences",
}


@pytest.fixture
async def sandbox(clock: Any) -> AsyncIterator[Sandbox]:
    """A sandbox that speaks as the guides do."""
    async with Sandbox(clock=clock, dialect="guides") as running:
        yield running


async def create(call: Any, service: str, *names: str, **attributes: Any) -> Any:
    """Returns the answer to the creation of audiences."""
    owners = {"advertiserId": "1", "retailerId": "1"}
    items = [{"attributes": {**owners, "name": name, **attributes}} for name in names]
    return await call("POST", f"{PATHS[service]}/create", json={"data": items})


@pytest.mark.parametrize("service", PATHS)
async def test_a_deletion_without_failures_has_a_body_or_none(sandbox: Sandbox, call: Any, service: str) -> None:
    """3: 204 and 200 take turns; with a failure there is a list, and the failure stays in errors."""
    algebra = {"audienceSegmentId": sandbox.add_contact_list(service=service)}
    made = (await create(call, service, "a", "b", "c", algebra=algebra)).body["data"]
    first, second, third = [each["id"] for each in made]
    replies = [await call("POST", f"{PATHS[service]}/delete", json={"data": [{"id": each}]}) for each in (third, first)]
    assert sorted(reply.status for reply in replies) == [200, 204]
    assert sorted(reply.raw == b"" for reply in replies) == [False, True]
    reply = await call("POST", f"{PATHS[service]}/delete", json={"data": [{"id": first}, {"id": second}]})
    assert (reply.status, reply.codes, reply.problem["instance"]) == (200, ["audience-not-found"], "@data/0")
    assert [each["id"] for each in reply.body["data"]] == [second]


@pytest.mark.parametrize("service", PATHS)
async def test_a_creation_of_which_nothing_comes(call: Any, service: str) -> None:
    """22: 200 or 400, with a code for the unknown segment that takes turns (33)."""
    replies = [await create(call, service, "a", algebra={"audienceSegmentId": "9"}) for _ in range(2)]
    assert {reply.status for reply in replies} == {200, 400}
    assert {reply.problem["code"] for reply in replies} == {"segment-has-not-been-found", "audience-segment-not-found"}


async def test_sizes_have_the_longer_codes(sandbox: Sandbox, call: Any) -> None:
    """33, 34: as in the samples; 20: what the guide prints as the answer is understood as a request."""
    empty, full = sandbox.add_contact_list(), sandbox.add_contact_list()
    await call.amend(full, ["a@b.co", "b@b.co"])
    items = [{"id": each, "type": "AudienceSegment", "attributes": {"size": 7}} for each in (empty, full, "9")]
    reply = await call("POST", "/2026-07/marketing-solutions/audience-segments/compute-sizes", json={"data": items})
    assert reply.body["data"] == [{"id": full, "type": "AudienceSegment", "attributes": {"size": 1}}]
    assert reply.codes[0] == "audience-segment-size-not-available"
    assert reply.codes[1] in {"segment-has-not-been-found", "audience-segment-not-found"}
    body = {"data": {"attributes": {"advertiserId": "1", "prospecting": {}}}}
    reply = await call("POST", "/2026-07/marketing-solutions/audience-segments/estimate-size", json=body)
    assert reply.codes == ["audience-segment-size-not-supported"]


async def test_answers_about_audiences_are_worded_as_others(sandbox: Sandbox, call: Any) -> None:
    """23, 31: no empty lists of problems, and timestamps in turns; the algebra stays as it is, however deep."""
    algebra: dict[str, Any] = {"audienceSegmentId": sandbox.add_contact_list()}
    for _ in range(100):
        algebra = {"not": algebra}
    (entity,) = (await create(call, "marketing-solutions", "a", algebra=algebra)).body["data"]
    assert entity["attributes"]["algebra"] == algebra
    assert entity["attributes"]["createdAt"] != entity["attributes"]["updatedAt"]
    reply = await call("POST", f"{PATHS['marketing-solutions']}/search", json={})
    assert reply.body.keys() == {"data", "meta"}


async def test_a_deep_algebra_passes_the_dialect(sandbox: Sandbox, call: Any) -> None:
    """Neither the request nor the answer is gone through by a function that calls itself."""
    sandbox.add_contact_list()
    node = b'{"not":' * 900 + b'{"audienceSegmentId":"300001"}' + b"}" * 900
    body = b'{"data":[{"attributes":{"advertiserId":"1","name":"deep","algebra":' + node + b"}}]}"
    path = f"{PATHS['marketing-solutions']}/create"
    reply = await call("POST", path, data=body, headers={"Content-Type": "application/json"})
    assert reply.status == 200
    assert node in reply.raw


async def test_who_is_calling_is_the_same_in_both_dialects(sandbox: Sandbox, call: Any) -> None:
    """Only the empty lists of problems are missing."""
    sandbox.add_contact_list(advertiser_id="2")
    for path in ("/2026-07/advertisers/me", "/2026-07/commerce-grid/me", "/2026-07/retail-media/accounts"):
        reply = await call("GET", path)
        assert reply.status == 200
        assert not reply.body.keys() & {"errors", "warnings"}
