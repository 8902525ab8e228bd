"""`audiences`, `in-market`, sizes and `whoami`."""

import json

import pytest

from criteo_audiences.sandbox import Sandbox

MS = "marketing-solutions"


async def test_an_audiences_life(cli, sandbox: Sandbox) -> None:
    """Create an audience of two segments, list, size and delete it."""
    first, second = (sandbox.add_contact_list(name=name, advertiser_id="9") for name in "ab")
    algebra = json.dumps({"and": [{"audienceSegmentId": first}, {"not": {"audienceSegmentId": second}}]})
    created = await cli("audiences", "create", MS, "Buyers", "--advertiser-id", "9", "--algebra", algebra)
    assert created.code == 0, created.err
    audience = created.out.strip()
    listed = json.loads((await cli("audiences", "list", MS, "--advertiser-id", "9", "--json")).out)["audiences"]
    assert [(entry["id"], entry["algebra"]) for entry in listed] == [(audience, json.loads(algebra))]
    sized = json.loads((await cli("audiences", "size", MS, audience, "--json")).out)
    assert audience in sized["sizes"] or sized["problems"][0]["id"] == audience
    deleted = await cli("audiences", "delete", MS, audience, "--yes")
    assert (deleted.code, deleted.out.strip()) == (0, audience)


async def test_in_market_and_estimates(cli) -> None:
    """Catalogs list what an estimate can be asked for."""
    interests = json.loads((await cli("in-market", "interests", "9", "FR", "--json")).out)["items"]
    assert interests
    assert "id" in (await cli("in-market", "brands", "9", "FR")).out
    interest = interests[0]["id"]
    asked = ("--advertiser-id", "9", "--type", "in-market", "--country", "FR", "--interest", interest)
    done = await cli("segments", "estimate", MS, *asked, "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["size"] >= 0


async def test_segment_sizes(cli, sandbox: Sandbox) -> None:
    """A segment's size is shown, or why there is none."""
    done = await cli("segments", "size", MS, sandbox.add_contact_list(name="a"), "99", "--json")
    document = json.loads(done.out)
    assert done.code == 7
    assert document["problems"][-1]["id"] == "99"


@pytest.mark.parametrize("service", [MS, "retail-media", "commerce-grid"])
async def test_whoami(cli, service: str) -> None:
    """Every service tells which application it sees."""
    done = await cli("whoami", service, "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["application"]["id"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("audiences", "list", "commerce-grid"), "no audiences"),
        (("audiences", "create", MS, "n", "--algebra", "{}", "--advertiser-id", "1"), "--algebra must be a node"),
        (("audiences", "create", MS, "n", "--algebra", "[", "--advertiser-id", "1"), "--algebra is no JSON"),
        (("audiences", "size", "retail-media", "1", "--account-id", "1"), "--channel"),
        (("audiences", "size", MS, "1", "--channel", "Onsite"), "--channel"),
        (("audiences", "size", "retail-media", "1", "--account-id", "1", "--channel", "Onsite"), "experimental"),
        (("segments", "size", "commerce-grid", "1"), "no sizes"),
        (("audiences", "delete", MS, "1"), "--yes"),
    ],
)
def test_mistakes_name_the_option(misuse, arguments: tuple[str, ...], words: str) -> None:
    """An argument that does not fit is named."""
    done = misuse(*arguments)
    assert done.code == 2, done.err
    assert words in done.err
