"""`segments`, `remove` and the owner check, in all three services."""

import json
from pathlib import Path

import pytest

from criteo_audiences.sandbox import Sandbox

OWNERS = {
    "marketing-solutions": ("--advertiser-id", "1"),
    "retail-media": ("--account-id", "1"),
    "commerce-grid": ("--data-provider-id", "1"),
}


def account(service: str) -> tuple[str, ...]:
    """Returns the option that Retail Media wants everywhere."""
    return OWNERS[service] if service == "retail-media" else ()


@pytest.mark.parametrize("service", OWNERS)
async def test_a_segments_life(cli, sandbox: Sandbox, service: str) -> None:
    """Create twice, list, update and delete a segment of each service."""
    retailer = ("--retailer-id", "1") if service == "retail-media" else ()
    created = await cli("segments", "create", service, "CRM buyers", *OWNERS[service], *retailer)
    assert created.code == 0, created.err
    segment = created.out.strip()
    again = await cli("segments", "create", service, "CRM buyers", *OWNERS[service], *retailer, "--json")
    assert json.loads(again.out)["segment"]["id"] == segment
    renamed = await cli("segments", "update", service, segment, "--name", "Buyers", *account(service))
    assert renamed.code == 0, renamed.err
    listed = await cli("segments", "list", service, *OWNERS[service], "--json")
    found = [entry["name"] for entry in json.loads(listed.out)["segments"] if entry["id"] == segment]
    assert found == ["Buyers"]
    assert sandbox.contact_list(segment) is not None
    deleted = await cli("segments", "delete", service, segment, "--yes", *account(service))
    assert (deleted.code, deleted.out.strip()) == (0, segment)


async def test_a_segment_in_use_is_not_deleted(cli, sandbox: Sandbox) -> None:
    """What could be deleted is, what could not is named with the reason, and the exit code says so."""
    used, free = sandbox.add_contact_list(name="a"), sandbox.add_contact_list(name="b")
    sandbox.use_in_audience(used)
    done = await cli("segments", "delete", "marketing-solutions", used, free, "--yes", "--json")
    document = json.loads(done.out)
    assert done.code == 7
    assert document["deleted"] == [free]
    assert [each["id"] for each in document["problems"]] == [used]
    assert document["problems"][0]["problem"].startswith("segment-must-not-be-used-in-audience at @data/0 (")
    assert used in done.err


@pytest.mark.parametrize("dialect", ["openapi", "guides"])
@pytest.mark.parametrize("service", OWNERS)
async def test_a_deprecation_is_no_failure(cli, environment: dict[str, str], service: str, dialect: str) -> None:
    """With everything deleted the exit code is 0, in either dialect; with a segment in use it is 7."""
    async with Sandbox(rate_limit=None, dialect=dialect) as old:
        old.deprecate_version("2026-07")
        there = {
            "CRITEO_BASE_URL": old.url,
            "CRITEO_CLIENT_ID": old.client_id,
            "CRITEO_CLIENT_SECRET": old.client_secret,
        }
        environment.update(there)
        used, free = old.add_contact_list(service=service, name="a"), old.add_contact_list(service=service, name="b")
        done = await cli("segments", "delete", service, free, "--yes", "--json", *account(service))
        assert (done.code, json.loads(done.out)) == (0, {"ok": True, "deleted": [free], "problems": []}), done.err
        assert "endpoint-deprecated" in done.err
        old.use_in_audience(used)
        done = await cli("segments", "delete", service, used, "--yes", *account(service))
        assert (done.code, done.out) == (7, "")


async def test_remove_takes_a_file_out_of_a_list(cli, export: Path, sandbox: Sandbox) -> None:
    """`remove` undoes `upload`, names the list's owner, and checks it first."""
    segment = sandbox.add_contact_list(name="crm", advertiser_id="9")
    await cli("upload", "marketing-solutions", segment, str(export), "--hash", "md5")
    assert len(sandbox.contact_list(segment)) == 2
    done = await cli("remove", "marketing-solutions", segment, str(export), "--hash", "md5", "--advertiser-id", "9")
    assert done.code == 0, done.err
    assert f"from marketing-solutions segment {segment} of advertiser_id 9" in done.err
    assert len(sandbox.contact_list(segment)) == 0


@pytest.mark.parametrize("service", ["retail-media", "commerce-grid"])
async def test_upload_to_the_other_services(cli, export: Path, sandbox: Sandbox, service: str) -> None:
    """The same command uploads to each service, statistics included."""
    segment = sandbox.add_contact_list(name="crm", service=service, owner_id="1")
    done = await cli("upload", service, segment, str(export), "--hash", "sha256", *OWNERS[service], "--json")
    assert done.code == 0, done.err
    counted = await cli("stats", service, segment, *account(service), "--json")
    assert json.loads(counted.out)["identifiers"] == json.loads(done.out)["valid"] == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("segments", "list", "retail-media"), "needs --account-id"),
        (("segments", "list", "marketing-solutions", "--account-id", "1"), "has no --account-id"),
        (("segments", "create", "retail-media", "n", "--account-id", "1"), "needs --retailer-id"),
        (
            ("segments", "create", "commerce-grid", "n", "--data-provider-id", "1", "--retailer-id", "1"),
            "no --retailer-id",
        ),
        (("segments", "create", "marketing-solutions", "n"), "needs --advertiser-id"),
        (("segments", "update", "marketing-solutions", "1"), "must change something"),
        (("segments", "update", "commerce-grid", "1", "--description", "d", "--no-description"), "not both"),
        (("segments", "delete", "commerce-grid", "1"), "--yes"),
        (("stats", "retail-media", "1"), "needs --account-id"),
    ],
)
def test_mistakes_name_the_option(misuse, arguments: tuple[str, ...], words: str) -> None:
    """An option that is missing or does not fit is named, and no call is spent."""
    done = misuse(*arguments)
    assert done.code == 2, done.err
    assert words in done.err


async def test_anothers_list_is_refused_before_anything_is_sent(cli, export: Path, sandbox: Sandbox) -> None:
    """An upload with the wrong owner ends with the segment's code and an unchanged list."""
    segment = sandbox.add_contact_list(name="crm", advertiser_id="9")
    done = await cli("upload", "marketing-solutions", segment, str(export), "--hash", "md5", "--advertiser-id", "8")
    assert done.code == 6
    assert "no segment of advertiser_id=8" in done.err
    assert len(sandbox.contact_list(segment)) == 0


async def test_a_list_of_another_owner_is_exit_code_6(cli, export: Path, sandbox: Sandbox) -> None:
    """Another owner's or retailer's list, in an upload and in `create`: one line that says what differs."""
    theirs = sandbox.add_contact_list(service="retail-media", name="crm", account_id="1", retailer_id="99")
    sending = ("upload", "retail-media", theirs, str(export), "--hash", "md5")
    done = await cli(*sending, "--account-id", "1", "--retailer-id", "12")
    assert (done.code, "is no segment of retailer_id=12, but of 99" in done.err) == (6, True), done.err
    assert not len(sandbox.contact_list(theirs))
    done = await cli("segments", "create", "retail-media", "crm", "--account-id", "1", "--retailer-id", "12")
    assert (done.code, "give another name" in done.err) == (6, True), done.err
    other = sandbox.add_contact_list(name="crm", advertiser_id="9")
    done = await cli("upload", "marketing-solutions", other, str(export), "--hash", "md5", "--advertiser-id", "8")
    assert (done.code, "is no segment of advertiser_id=8, but of 9" in done.err) == (6, True), done.err
    done = await cli("upload", "marketing-solutions", other, str(export), "--hash", "md5", "--retailer-id", "8")
    assert (done.code, "marketing-solutions has no --retailer-id" in done.err) == (2, True), done.err
    assert (await cli(*sending, "--account-id", "1", "--retailer-id", "99")).code == 0
