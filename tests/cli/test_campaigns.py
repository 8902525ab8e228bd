"""Audiences from files, and where they are used: ad sets, line items, retailers."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import typer.main

from criteo_audiences.cli import app
from criteo_audiences.sandbox import Sandbox

MS, RM = "marketing-solutions", "retail-media"
ADVERTISER = ("--advertiser-id", "9")
ACCOUNT = ("--account-id", "1")


@pytest.fixture
async def segments(cli) -> tuple[str, str]:
    """Two segments of one advertiser, of a kind whose size is known at once."""
    options = (*ADVERTISER, "--type", "in-market", "--country", "FR")
    first, second = [await cli("segments", "create", MS, name, *options, "--interest", "166") for name in "ab"]
    return first.out.strip(), second.out.strip()


async def audiences(cli, *options: str, service: str = MS) -> list[dict[str, Any]]:
    """Returns what `audiences list --json` prints."""
    listed = await cli("audiences", "list", service, *options, "--json")
    assert listed.code == 0, listed.err
    return json.loads(listed.out)["audiences"]


async def test_the_algebra_that_list_prints_is_read_again(cli, segments: tuple[str, str]) -> None:
    """By `create`, by `update` and by `estimate`."""
    algebra = json.dumps({"and": [{"audienceSegmentId": segments[0]}, {"not": {"audienceSegmentId": segments[1]}}]})
    first = await cli("audiences", "create", MS, "first", *ADVERTISER, "--algebra", algebra)
    (found,) = await audiences(cli, "--id", first.out.strip())
    printed = json.dumps(found["algebra"])
    assert (await cli("audiences", "create", MS, "second", *ADVERTISER, "--algebra", printed)).code == 0
    alone = json.dumps({"audienceSegmentId": segments[0]})
    other = await cli("audiences", "create", MS, "third", *ADVERTISER, "--algebra", alone)
    changed = await cli("audiences", "update", MS, other.out.strip(), "--algebra", printed, "--name", "3", "--json")
    audience = json.loads(changed.out)["audience"]
    assert (audience["id"], audience["name"], audience["algebra"]) == (other.out.strip(), "3", found["algebra"])
    estimated = await cli("audiences", "estimate", MS, *ADVERTISER, "--algebra", printed, "--json")
    assert isinstance(json.loads(estimated.out)["size"], int)
    by_file = await cli("audiences", "estimate", MS, "--from-file", "-", "--json", stdin=json.dumps(found).encode())
    assert by_file.out == estimated.out


async def test_audiences_from_a_file(cli, segments: tuple[str, str]) -> None:
    """What `list --json` prints is taken by `update`, and by `create` under another name."""
    data = [
        {"type": "Audience", "attributes": {"name": name, "algebra": {"audienceSegmentId": segment}}}
        for name, segment in zip("xy", segments, strict=True)
    ]
    created = await cli(
        "audiences", "create", MS, *ADVERTISER, "--from-file", "-", stdin=json.dumps({"data": data}).encode()
    )
    assert created.code == 0, created.err
    assert len(created.out.split()) == 2
    listed = await cli("audiences", "list", MS, "--json")
    again = await cli("audiences", "update", MS, "--from-file", "-", stdin=listed.out.encode())
    assert (again.code, again.out) == (0, created.out)
    refused = await cli("audiences", "create", MS, "--from-file", "-", "--json", stdin=listed.out.encode())
    problems = [(each["id"], each["problem"].split(" (")[0]) for each in json.loads(refused.out)["problems"]]
    assert problems == [(name, f"name-must-be-unique at @data/{n}") for n, name in enumerate("xy")]
    assert refused.code == 7
    assert [each["name"] for each in await audiences(cli, "--segment-id", segments[1])] == ["y"]


async def test_an_ad_set_gets_an_audience_and_loses_it(cli, segments: tuple[str, str]) -> None:
    """The list shows the ad sets that have one; an unknown audience is no segment's fault but has its code."""
    algebra = json.dumps({"audienceSegmentId": segments[0]})
    audience = (await cli("audiences", "create", MS, "a", *ADVERTISER, "--algebra", algebra)).out.strip()
    done = await cli("ad-sets", "set", "55", audience, "--json")
    assert json.loads(done.out)["ad_set"] == {"id": "55", "audience_id": audience}
    listed = json.loads((await cli("ad-sets", "list", *ADVERTISER, "--json")).out)["ad_sets"]
    assert listed == [{"id": "55", "audience_id": audience, "audience_name": "a"}]
    assert [each["id"] for each in await audiences(cli, "--ad-set-id", "55")] == [audience]
    assert (await cli("ad-sets", "set", "55", "1")).code == 6
    assert (await cli("ad-sets", "unset", "55")).out == "Ad set 55 has no audience.\n"
    assert json.loads((await cli("ad-sets", "list", "--json")).out)["ad_sets"] == []


async def test_a_line_items_audiences(cli, environment: dict[str, str]) -> None:
    """They are replaced, added to, taken out and shown."""
    owner = (*ACCOUNT, "--retailer-id", "12")
    events = ("--type", "events", "--shopper-activity", "buy", "--lookback-days", "last7days", "--category", "5")
    segment = (await cli("segments", "create", RM, "Buyers", *owner, *events)).out.strip()
    algebra = json.dumps({"audienceSegmentId": segment})
    environment["CRITEO_API_VERSION"] = "experimental"
    ids = []
    for name in "ab":
        made = await cli("audiences", "create", RM, name, *owner, "--algebra", algebra)
        assert made.code == 0, made.err
        ids.append(made.out.strip())
    found = (await audiences(cli, *ACCOUNT, service=RM))[0]
    assert (found["retailer_id"], found["account_id"], found["channels"]) == ("12", "1", ["Onsite", "Offsite"])
    options = ("audiences", "estimate", RM, *ACCOUNT, "--channel", "offsite", "--json", "--from-file", "-")
    estimated = json.loads((await cli(*options, stdin=json.dumps(found).encode())).out)
    assert estimated.keys() == {"ok", "size", "relative_size"}
    del environment["CRITEO_API_VERSION"]
    shown = await cli("line-items", "set", "66", ids[0], "--scope", "exclude")
    assert shown.out == f"exclude:\n  {ids[0]}\n"
    await cli("line-items", "append", "66", ids[1])
    await cli("line-items", "remove", "66", ids[0])
    target = json.loads((await cli("line-items", "show", "66", "--json")).out)["line_item"]
    assert target == {"id": "66", "scope": "exclude", "audience_ids": [ids[1]]}


async def test_retailers_are_those_of_segments_and_audiences(cli, sandbox: Sandbox) -> None:
    """Each once, with how many there are."""
    for name, retailer in (("a", "12"), ("b", "12"), ("c", "99")):
        sandbox.add_contact_list(name=name, service=RM, account_id="1", retailer_id=retailer)
    done = await cli("retailers", "1", "--json")
    assert json.loads(done.out)["retailers"] == [
        {"id": "12", "segments": 2, "audiences": 0},
        {"id": "99", "segments": 1, "audiences": 0},
    ]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("audiences", "create", MS, "n", *ADVERTISER), "Give NAME and --algebra, or --from-file"),
        (("audiences", "create", MS, "n", "--from-file", "x"), "--from-file says what to create"),
        (("audiences", "create", RM, "n", *ACCOUNT, "--algebra", '{"audienceSegmentId": "1"}'), "--retailer-id"),
        (("audiences", "update", MS, "--name", "n"), "Give AUDIENCE_ID, or --from-file"),
        (("audiences", "update", MS, "1"), "must change something"),
        (("audiences", "estimate", MS, *ADVERTISER), "Give --algebra, or --from-file"),
        (("audiences", "estimate", MS, "--algebra", '{"audienceSegmentId": "1"}'), "needs --advertiser-id"),
        (("audiences", "estimate", MS, "--channel", "onsite"), "has no --channel"),
        (("audiences", "list", RM, *ACCOUNT, "--ad-set-id", "1"), "has no --ad-set-id"),
        (("line-items", "set", "1", "2", "--scope", "inside"), "scope is not one"),
    ],
)
def test_mistakes_are_one_line(misuse, arguments: tuple[str, ...], words: str) -> None:
    """What is missing or does not fit is named, and nothing is sent."""
    done = misuse(*arguments)
    assert done.code == 2, done.err
    assert words in done.err
    assert done.err.count("\n") == 1, done.err


def commands(command: Any, *names: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yields every command of the command line with its words."""
    for name, each in getattr(command, "commands", {}).items():
        yield from commands(each, *names, name)
    if names and not getattr(command, "commands", None):
        yield names, command


GROUPS = {"segments", "audiences", "in-market", "ad-sets", "line-items", "retailers", "sandbox"}


def test_every_command_of_these_groups_has_an_example() -> None:
    """Its help ends with a line that can be pasted, which begins with the command's own words."""
    for words, command in commands(typer.main.get_command(app)):
        if words[0] in GROUPS:
            assert f"criteo-audiences {' '.join(words)}" in (command.epilog or ""), words
