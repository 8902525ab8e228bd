"""What `--json` prints goes into every command that reads JSON, whichever of Criteo's truths the server answers."""

import codecs
import json
import re
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from criteo_audiences.sandbox import Sandbox

MS, RM, CG = "marketing-solutions", "retail-media", "commerce-grid"

KINDS: dict[str, tuple[str, ...]] = {
    "contact-list": (),
    "in-market": (
        "--country",
        "FR",
        "--interest",
        "166",
        "--brand",
        "7",
        "--gender",
        "female",
        "--buying-power",
        "low",
    ),
    "location": ("--point", "Louvre,48.8606,2.3376", "--radius-in-km", "5"),
    "lookalike": ("--seed-segment-id", "812345", "--target-size", "7"),
    "prospecting": ("--users-type", "prospects", "--days-since-last-visit-min", "3"),
    "retargeting": (
        "--visitors-type",
        "buyers",
        "--days-since-last-visit-min",
        "3",
        "--days-since-last-visit-max",
        "9",
    ),
}
EVENTS = ("--type", "events", "--shopper-activity", "buy", "--lookback-days", "last30days", "--brand", "7")
OWNERS = {
    MS: ("--advertiser-id", "1"),
    RM: ("--account-id", "1", "--retailer-id", "12"),
    CG: ("--data-provider-id", "1"),
}
SEGMENTS = [
    *((MS, ("--type", kind, *options)) for kind, options in KINDS.items()),
    (RM, ("--identifier-type", "customer-id")),
    (RM, EVENTS),
    (CG, ("--remote-id", "r-1")),
]
ONLY_IN_ANSWERS = {"id", "name", "created_at", "updated_at"}


@pytest.fixture(params=["openapi", "guides"])
def dialect(request: pytest.FixtureRequest) -> Any:
    """Which of the truths the server answers."""
    return request.param


@pytest.fixture
async def sandbox(dialect: Any) -> AsyncIterator[Sandbox]:
    """A local Criteo with a list to make others of."""
    async with Sandbox(rate_limit=None, dialect=dialect) as running:
        running.add_contact_list("seed", segment_id="812345")
        yield running


def _account(service: str) -> tuple[str, ...]:
    return OWNERS[RM][:2] if service == RM else ()


def _said(entry: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in entry.items() if name not in ONLY_IN_ANSWERS}


@pytest.mark.parametrize(("service", "options"), SEGMENTS)
async def test_a_segment_is_copied_and_changed_by_what_its_creation_printed(
    cli, service: str, options: tuple[str, ...]
) -> None:
    """Owner, description and settings are the same in the copy; the answer to a change makes one as well."""
    made = await cli("segments", "create", service, "first", *OWNERS[service], "--description", "d", *options, "--json")
    assert made.code == 0, made.err
    segment = json.loads(made.out)["segment"]
    copy = json.dumps({"ok": True, "segment": {**segment, "name": "copy"}}).encode()
    copied = await cli("segments", "create", service, *_account(service), "--from-file", "-", "--json", stdin=copy)
    assert copied.code == 0, copied.err
    assert [_said(each) for each in json.loads(copied.out)["segments"]] == [_said(segment)]
    feed = made.out.encode()
    changed = await cli("segments", "update", service, *_account(service), "--from-file", "-", "--json", stdin=feed)
    assert changed.code == 0, changed.err
    (entry,) = json.loads(changed.out)["segments"]
    assert _said(entry) == _said(segment)
    again = json.dumps({"segments": [{**entry, "name": "again"}]}).encode()
    assert (await cli("segments", "create", service, *_account(service), "--from-file", "-", stdin=again)).code == 0


@pytest.mark.parametrize("kind", ["in-market", "location"])
async def test_what_a_creation_printed_is_estimated(cli, kind: str) -> None:
    """The estimate is that of the options the segment was made of."""
    options = (*OWNERS[MS], "--type", kind, *KINDS[kind])
    made = await cli("segments", "create", MS, "first", *options, "--json")
    by_file = await cli("segments", "estimate", MS, "--from-file", "-", stdin=made.out.encode())
    assert (by_file.code, by_file.out) == (0, (await cli("segments", "estimate", MS, *options)).out)


async def test_an_audience_is_copied_by_file_and_by_algebra(cli) -> None:
    """`--algebra` takes the node, and the whole of what a command printed about one audience."""
    node = '{"not": {"audienceSegmentId": "812345"}}'
    made = await cli("audiences", "create", MS, "first", *OWNERS[MS], "--algebra", node, "--json")
    audience = json.loads(made.out)["audience"]
    listed = await cli("audiences", "list", MS, "--json")
    for number, algebra in enumerate((json.dumps(audience["algebra"]), made.out, listed.out)):
        done = await cli("audiences", "create", MS, f"copy {number}", *OWNERS[MS], "--algebra", algebra, "--json")
        assert json.loads(done.out)["audience"]["algebra"] == audience["algebra"]
    assert (await cli("audiences", "update", MS, "--from-file", "-", stdin=made.out.encode())).code == 0
    several = await cli("audiences", "list", MS, "--json")
    refused = await cli("audiences", "create", MS, "x", *OWNERS[MS], "--algebra", several.out)
    assert (refused.code, refused.err.count("\n")) == (2, 1)


async def test_settings_that_an_answer_lacks_are_read_again_once(cli, sandbox: Sandbox, dialect: str) -> None:
    """Only with `--json`, and only where they are missing."""
    market = (*OWNERS[MS], "--type", "in-market", *KINDS["in-market"])
    await cli("segments", "create", MS, "a", *market)
    await cli("segments", "create", MS, "b", *OWNERS[MS], "--type", "location", *KINDS["location"], "--json")
    assert not [call for call in sandbox.requests if call.path.endswith("/search")]
    await cli("segments", "create", MS, "c", *market, "--json")
    reads = [call for call in sandbox.requests if call.path.endswith("/search")]
    assert len(reads) == (dialect == "guides")


@pytest.mark.usefixtures("dialect")
@pytest.mark.parametrize("dialect", ["guides"])
async def test_a_read_that_fails_leaves_the_creation_done(cli, sandbox: Sandbox) -> None:
    """One line says what is missing, why, and what to do."""
    sandbox.fail_next(status=403, on="/audience-segments/search")
    made = await cli("segments", "create", MS, "a", *OWNERS[MS], "--type", "in-market", *KINDS["in-market"], "--json")
    segment = json.loads(made.out)["segment"]
    assert (made.code, "in_market" in segment) == (0, False)
    assert made.err.count("\n") == 1
    assert f"without the settings of segment {segment['id']}" in made.err
    assert "segments list --id" in made.err
    fed = await cli("segments", "create", MS, "--from-file", "-", stdin=made.out.encode())
    assert fed.code == 2
    assert "an answer of Criteo's without the settings of the segment" in fed.err


@pytest.mark.parametrize(
    ("what", "service"),
    [("segments", MS), ("segments", RM), ("segments", CG), ("audiences", MS), ("audiences", RM)],
)
async def test_a_list_names_the_ids_that_it_did_not_find(cli, sandbox: Sandbox, what: str, service: str) -> None:
    """They end it with the code of an unknown segment; what was found is shown."""
    if what == "segments" and service != MS:
        sandbox.add_contact_list("seed", service=service, segment_id="812345")
    known = ["812345"] if what == "segments" else []
    ids = [word for each in (*known, "98", "99", "98") for word in ("--id", each)]
    done = await cli(what, "list", service, *_account(service), *ids, "--json")
    document = json.loads(done.out)
    assert (done.code, document["ok"]) == (6, False)
    assert [each["id"] for each in document[what]] == known
    assert [each["id"] for each in document["problems"]] == ["98", "99"]
    assert re.findall(r"There is no \w+ (\d+) that this login may see", done.err) == ["98", "99"]


async def test_an_id_that_only_the_name_hides_is_not_unknown(cli) -> None:
    """`--name` is applied to what Criteo found."""
    done = await cli("segments", "list", MS, "--id", "812345", "--name", "other", "--json")
    assert (done.code, json.loads(done.out)["segments"]) == (0, [])


UNREADABLE: dict[bytes, str] = {
    b'{"name": "n", "name": "m", "contactList": {}}': "says a field 'name' twice",
    b"[" * 1_010 + b"]" * 1_010: "is nested too deeply" if sys.version_info < (3, 12) else "must be an object",
    b'{"name": "n", "advertiserId": "1", "advertiser_id": "1", "contactList": {}}': "advertiser_id twice, in two spellings",
    b'{"name": "n", "x@example.com": 1, "x@example.com": 2}': "says a field twice",
    b'{"name": "n", "lookalike": {"seedSegmentId": "1", "targetSize": NaN}}': "is no JSON, from line 1",
    b'{"name": "n", "lookalike": {"seedSegmentId": "1", "targetSize": 1e400}}': "is no JSON, from line 1",
    "{}".encode("utf-16"): "is no UTF-8",
    b'{"name": "Caf\xe9"}': "is no UTF-8",
    codecs.BOM_UTF8: "is empty",
    b"[" * 100_000: "is no JSON",
    b"[" * 200 + b"]" * 200: "must be an object",
    b'"text"': "must be an object",
    b"null": "must be an object",
    b" " * 16_000_001: "is larger than 16 MB",
    b'{"ok": false, "error": {"kind": "NotFoundError", "message": "m"}}': "holds the error of a command",
}


def test_a_file_that_cannot_be_meant_is_one_line(misuse: Callable[..., Any], tmp_path: Path) -> None:
    """Nothing is sent of it."""
    path = tmp_path / "segments.json"
    for content, words in UNREADABLE.items():
        path.write_bytes(content)
        done = misuse("segments", "create", MS, "--from-file", str(path), *OWNERS[MS])
        assert (done.code, done.err.count("\n")) == (2, 1), done.err
        assert words in done.err
        assert "example" not in done.err


async def test_a_byte_order_mark_is_passed_over(cli, tmp_path: Path) -> None:
    """Editors of Windows write one."""
    path = tmp_path / "segments.json"
    path.write_bytes(codecs.BOM_UTF8 + b'{"name": "n", "contactList": {}}')
    assert (await cli("segments", "create", MS, *OWNERS[MS], "--from-file", str(path))).code == 0
