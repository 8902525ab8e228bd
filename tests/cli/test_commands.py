"""What the commands do when all is well."""

import csv
import gzip
import json
import os
from pathlib import Path

import pytest

from criteo_audiences import hash_email
from criteo_audiences.sandbox import Sandbox

SERVICE = "marketing-solutions"
ANNA, LI = hash_email("anna@example.com"), hash_email("li.wei@example.org")


async def test_upload_sends_the_column_and_shows_where_every_row_went(cli, export: Path, sandbox: Sandbox) -> None:
    """An upload ends with 0, names what it does first, and the server holds each valid address once."""
    segment = sandbox.add_contact_list(name="crm")
    done = await cli("upload", SERVICE, segment, str(export), "--hash", "sha256")
    assert done.code == 0, done.err
    assert f"add the email column of crm.csv as sha256 to {SERVICE} segment {segment}" in done.err
    assert "column 'Email'" in done.out
    assert sandbox.contact_list(segment).identifiers == {ANNA, LI}
    shown = {line.split()[0]: line.split()[1] for line in done.out.splitlines() if len(line.split()) > 1}
    assert (shown["rejected"], shown["duplicates"], shown["sent"], shown["valid"]) == ("2", "1", "2", "2")


async def test_rejects_are_written_to_a_file_of_their_own(cli, export: Path, sandbox: Sandbox, tmp_path: Path) -> None:
    """`--rejects` says where each rejected value stands, with `--rejects-plain` also what it was; a file is never hit."""
    segment = sandbox.add_contact_list()
    written = tmp_path / "rejects.csv"
    options = ("--hash", "none", "--dry-run", "--rejects", str(written))
    done = await cli("upload", SERVICE, segment, str(export), *options, "--rejects-plain")
    assert done.code == 0, done.err
    with written.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert {row["file"] for row in rows} == {"crm.csv"}
    assert [row["column"] for row in rows] == ["Email", "Email"]
    with export.open(newline="", encoding="utf-8") as file:
        addresses = [row["Email"] for row in csv.DictReader(file)]
    assert [row["value"] for row in rows] == [addresses[int(row["row"]) - 1] for row in rows]
    again = await cli("upload", SERVICE, segment, str(export), *options)
    assert again.code == 2
    assert "rejects must name a new file" in again.err


async def test_the_report_says_where_the_rejects_are(cli, export: Path, sandbox: Sandbox, tmp_path: Path) -> None:
    """The path as it was given, also when the upload stops, but not of a file that was never made."""
    segment = sandbox.add_contact_list()
    options = ("upload", SERVICE, segment, str(export), "--hash", "none", "--dry-run", "--rejects")
    done = await cli(*options, str(tmp_path / "one.csv"))
    assert done.out.splitlines()[-2] == f"What was rejected, and where it stands: {tmp_path / 'one.csv'}"
    given = os.fsdecode(bytes(tmp_path) + b"/\xe9.csv")
    done = await cli(*options, given, "--json")
    assert json.loads(done.out)["rejects"] == f"{tmp_path}/\\udce9.csv"
    assert Path(given).exists()
    refused = await cli(*options, given, "--json")
    assert refused.code == 2
    assert "rejects" not in json.loads(refused.out)
    failing = ("--where", "CAST(Email AS INT) = 1")
    stopped = await cli(*options, str(tmp_path / "two.csv"), *failing, "--json")
    assert (json.loads(stopped.out)["ok"], json.loads(stopped.out)["rejects"]) == (False, str(tmp_path / "two.csv"))
    stopped = await cli(*options, str(tmp_path / "three.csv"), *failing)
    assert stopped.out == f"What was rejected, and where it stands: {tmp_path / 'three.csv'}\n"


async def test_json_is_one_document_on_standard_output_and_nothing_else(cli, export: Path, sandbox: Sandbox) -> None:
    """`--json` prints the report, whose equations hold."""
    segment = sandbox.add_contact_list(name="crm")
    done = await cli("upload", SERVICE, segment, str(export), "--hash", "sha256", "--json")
    report = json.loads(done.out)
    rejected = sum(report["rejected"].values())
    assert report["read"] == report["sent"] + rejected + report["duplicates"] + report["pending"] == 5
    assert report["valid"] == len(sandbox.contact_list(segment)) == 2


@pytest.mark.parametrize("packed", [False, True])
async def test_standard_input_is_read_as_a_stream(cli, export: Path, sandbox: Sandbox, packed: bool) -> None:  # noqa: FBT001
    """`-` takes CSV, plain or gzip."""
    segment = sandbox.add_contact_list(name="crm")
    content = gzip.compress(export.read_bytes()) if packed else export.read_bytes()
    done = await cli("upload", SERVICE, segment, "-", "--hash", "none", stdin=content)
    assert done.code == 0, done.err
    assert sandbox.contact_list(segment).identifiers == {"anna@example.com", "li.wei@example.org"}


async def test_remove_stats_and_clear(cli, export: Path, sandbox: Sandbox) -> None:
    """What was added can be counted, removed and cleared."""
    segment = sandbox.add_contact_list(name="crm")
    await cli("upload", SERVICE, segment, str(export), "--hash", "sha256")
    counted = await cli("stats", SERVICE, segment, "--json")
    assert json.loads(counted.out)["identifiers"] == 2
    removed = await cli(
        "upload", SERVICE, segment, "-", "--hash", "sha256", "--operation", "remove", stdin=b"email\nanna@example.com\n"
    )
    assert removed.code == 0, removed.err
    assert sandbox.contact_list(segment).identifiers == {LI}
    cleared = await cli("clear", SERVICE, segment, "--yes")
    assert cleared.code == 0, cleared.err
    assert len(sandbox.contact_list(segment)) == 0


async def test_demo_ends_with_the_servers_own_count_equal_to_accepted(cli) -> None:
    """The demonstration uploads the example export in at least three batches and loses nothing."""
    done = await cli("demo", "--json")
    report = json.loads(done.out)
    assert done.code == 0, done.err
    assert report["held"] == report["valid"] == report["sent"]
    assert report["batches"] >= 3
    assert done.err.count("Local Criteo at") == done.err.count("\n") == 1
    assert report["read"] >= 120_000


async def test_version_and_help(cli) -> None:
    """`--version` and `--help` answer without anything else being set."""
    assert (await cli("--version")).out.strip().count(".") == 2
    assert "upload" in (await cli("--help")).out


async def test_secrets_may_come_from_files(cli, environment: dict[str, str], tmp_path: Path, sandbox: Sandbox) -> None:
    """`CRITEO_CLIENT_SECRET_FILE` names a file that holds the secret."""
    secret = tmp_path / "secret"
    secret.write_text(environment.pop("CRITEO_CLIENT_SECRET") + "\n", encoding="utf-8")
    environment["CRITEO_CLIENT_SECRET_FILE"] = str(secret)
    assert (await cli("stats", SERVICE, sandbox.add_contact_list(name="crm"))).code == 0
