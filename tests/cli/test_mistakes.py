"""Every mistake ends in one clear line and an exit code of its own, and shows no identifier."""

import asyncio
import gzip
import json
import os
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from criteo_audiences.sandbox import Sandbox

SERVICE = "marketing-solutions"
USAGE, FILE, CREDENTIALS, PERMISSION, SEGMENT, INCOMPLETE, OUTAGE = 2, 3, 4, 5, 6, 7, 8


def last_line(err: str) -> str:
    """Returns the line that says what is wrong."""
    return err.strip().splitlines()[-1]


async def upload(cli, sandbox: Sandbox, path: Path, *options: str):  # noqa: ANN201 - the fixture's own type
    """Uploads with the hash chosen."""
    return await cli("upload", SERVICE, sandbox.add_contact_list(), str(path), "--hash", "sha256", *options)


async def test_missing_column_names_the_columns_that_exist(cli, export: Path, sandbox: Sandbox) -> None:
    """A typo in --column is answered with the header's names."""
    done = await upload(cli, sandbox, export, "--column", "E-mails")
    assert done.code == USAGE
    assert "'Name', 'Email', 'Note'" in last_line(done.err)


@pytest.mark.parametrize(
    ("name", "content", "code", "words"),
    [
        ("empty.csv", b"", USAGE, "empty"),
        ("binary.csv", b"\x00\x01\x02\x03" * 100, USAGE, "binary"),
        ("book.csv", b"PK\x03\x04 and so on", USAGE, "Excel"),
        ("none.csv", b"name,phone\nx,1\n", USAGE, "'name', 'phone'"),
        ("headerless.csv", b"anna@example.com\nli@example.org\n", USAGE, "no header row"),
        ("twice.csv", b"email,Email\na@b.cc,c@d.cc\n", USAGE, "several"),
        ("cut.csv.gz", gzip.compress(b"email\n" + b"anna@example.com\n" * 200_000)[:400], FILE, "damaged"),
    ],
)
async def test_a_file_that_is_not_what_it_says(
    cli, sandbox: Sandbox, tmp_path: Path, name: str, content: bytes, code: int, words: str
) -> None:
    """A file that cannot be used is named with the reason, and none of its content is shown."""
    path = tmp_path / name
    path.write_bytes(content)
    done = await upload(cli, sandbox, path)
    assert done.code == code, done.err
    assert words in last_line(done.err)
    assert "@example" not in done.err + done.out
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    ("make", "code", "words"),
    [
        (lambda path: path.symlink_to(os.devnull), USAGE, "crm.csv is empty"),
        (lambda path: path.symlink_to("nowhere"), FILE, "There is no file 'crm.csv'."),
        (lambda path: path.symlink_to(path), FILE, "The file 'crm.csv' cannot be used: Too many levels of"),
        (lambda path: path.write_bytes(bytes(99)), USAGE, "crm.csv is binary; expected CSV"),
        (
            lambda path: path.write_text('{"email": "a@b.co"}\n' * 2_000 + "{\n"),
            FILE,
            "crm.csv holds something near line",
        ),
        (lambda path: path.write_text("id,email\n1,a@b.co\n2," + "x" * 3_000_000), FILE, "crm.csv: a line is too long"),
    ],
)
async def test_a_path_that_is_no_file_of_rows(
    cli, sandbox: Sandbox, tmp_path: Path, make: Any, code: int, words: str
) -> None:
    """One line, after the announcement at most, and the code that tells a choice from a file damaged or absent."""
    make(tmp_path / "crm.csv")
    done = await upload(cli, sandbox, tmp_path / "crm.csv")
    assert (done.code, done.err.count("\n")) in {(code, 1), (code, 2)}, done.err
    assert words in last_line(done.err)


async def test_absent_and_unreadable_files(cli, sandbox: Sandbox, tmp_path: Path) -> None:
    """A file that is not there is one mistake with one exit code, whatever its name looks like."""
    (tmp_path / "crm.csv").write_text("email\na@b.co\n")
    meant = "There is no file 'crm.cvs'; did you mean 'crm.csv'?"
    way = "Check the path; a relative one begins at the working directory."
    for name, words in {
        "absent.parquet": f"There is no file 'absent.parquet'. {way}",
        "crm.cvs": f"{meant} {way}",
        "crm[1].csv": "There is no file 'crm[1].csv' and none that it matches as a pattern; did you mean 'crm.csv'?",
        "x/crm.csv": f"There is no directory 'x', so no file 'crm.csv' in it. {way}",
        "jane@b.co": "names no file that exists; it is not shown, since it might be an identifier.",
    }.items():
        done = await upload(cli, sandbox, tmp_path / name)
        assert (done.code, words in last_line(done.err)) == (FILE, True), done.err
    suppress = ("--suppress", str(tmp_path / "crm.cvs"), "--hash", "sha256")
    done = await cli("upload", SERVICE, sandbox.add_contact_list(), str(tmp_path / "crm.csv"), *suppress)
    assert (done.code, meant in last_line(done.err)) == (FILE, True), done.err
    (tmp_path / "crm.csv").unlink()
    assert "directory" in last_line((await upload(cli, sandbox, tmp_path)).err)


async def test_wrong_credentials(cli, environment: dict[str, str], export: Path, sandbox: Sandbox) -> None:
    """A wrong secret ends with its own code, shows no secret, and costs two token calls at most."""
    environment["CRITEO_CLIENT_SECRET"] = "planted-wrong-secret"
    done = await upload(cli, sandbox, export)
    assert done.code == CREDENTIALS
    assert "planted" not in done.err + done.out
    assert len(sandbox.requests) <= 2


async def test_unknown_and_read_only_segments(cli, export: Path, sandbox: Sandbox) -> None:
    """A segment that is not there or cannot be written ends with the segment's code."""
    unknown = await cli("upload", SERVICE, "999", str(export), "--hash", "sha256")
    read_only = await cli("upload", SERVICE, sandbox.add_contact_list(read_only=True), str(export), "--hash", "sha256")
    assert (unknown.code, read_only.code) == (SEGMENT, SEGMENT)
    assert "segment-not-found" in last_line(unknown.err)
    assert "read-only" in last_line(read_only.err)


async def test_refused_permission(cli, export: Path, sandbox: Sandbox) -> None:
    """A 403 ends with its own code and says what to check."""
    segment = sandbox.add_contact_list()
    sandbox.deny(segment)
    done = await cli("upload", SERVICE, segment, str(export), "--hash", "sha256")
    assert done.code == PERMISSION
    assert "permission" in last_line(done.err)


async def test_outage(cli, environment: dict[str, str], sandbox: Sandbox) -> None:
    """A server that cannot be reached ends with the outage's code; one that speaks no TLS is tried once."""
    environment["CRITEO_BASE_URL"] = sandbox.url.replace("http:", "https:")
    assert (await cli("stats", SERVICE, "1")).code == OUTAGE


async def test_too_many_rejects_is_incomplete(cli, sandbox: Sandbox, tmp_path: Path) -> None:
    """An upload of which the rejected share is beyond --max-rejected says so, though the rest arrived."""
    path = tmp_path / "crm.csv"
    path.write_text("email\nanna@example.com\nnope\nnope either\n", encoding="utf-8")
    assert (await upload(cli, sandbox, path)).code == INCOMPLETE
    assert (await upload(cli, sandbox, path, "--max-rejected", "0.7")).code == 0


UPLOAD = ("upload", SERVICE, "1", "crm.csv", "--hash", "sha256")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("upload", "marketing-solution", *UPLOAD[2:]), "Did you mean 'marketing-solutions'?"),
        (("upload", SERVICE, "", *UPLOAD[3:]), "must not be empty"),
        (("upload", SERVICE, "1", "", "--hash", "sha256"), "must not be empty"),
        ((*UPLOAD[:-1], "sha512"), "Did you mean 'sha256'?"),
        (UPLOAD[:4], "Choose --hash"),
        ((*UPLOAD, "--dryrun"), "--dry-run"),
        ((*UPLOAD, "--batch-size", "50001"), "--batch-size must be"),
        ((*UPLOAD, "--max-body-bytes", "10"), "--max-body-bytes must be"),
        ((*UPLOAD, "--identifier-type", "fax"), "--identifier-type"),
        ((*UPLOAD, "--identifier-type", "phone"), "Did you mean 'phone-number'?"),
        ((*UPLOAD, "--columns", "emial=Email"), "Did you mean 'email'?"),
        ((*UPLOAD, "--max-rejected", "2"), "'--max-rejected': expected a share"),
        ((*UPLOAD, "--drain-timeout", "nan"), "'--drain-timeout': expected seconds"),
        ((*UPLOAD, "--operation", "subtract"), "expected one of: add, remove"),
        (("remove", *UPLOAD[1:], "--operation", "add"), "No such option: --operation"),
        (("clear", SERVICE, "1"), "--yes"),
        (("segments", "update", SERVICE, "1", "--name", ""), "must not be empty"),
        (("segments", "delete", SERVICE, "", "--yes"), "must not be empty"),
        (("uplaod",), "'upload'"),
        (("sandbox", "--port", "99999"), "--port must be between 0 and 65535, not 99999."),
        (("sandbox", "--latency", "-1"), "--latency must be between 0 and 3600, not -1."),
        (("sandbox", "--calls", "-1"), "--calls must be at least 0, not -1."),
        (("sandbox", "--period", "0"), "--period must be at least 0.001, not 0."),
    ],
)
def test_a_typo_in_any_argument_is_a_usage_error(misuse, export: Path, arguments: tuple[str, ...], words: str) -> None:
    """Usage errors end with 2, announce nothing, reach no server, and say what was expected."""
    done = misuse(*(str(export) if argument == "crm.csv" else argument for argument in arguments))
    assert done.code == USAGE, done.err
    assert words in " ".join(done.err.replace("│", " ").split())
    assert "column 'Email'" not in done.err
    assert "Traceback" not in done.err


def test_a_thread_that_is_about_to_end_does_not_end_the_process(misuse, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only a reader that hangs needs `os._exit`, which leaves out what the interpreter does at its end."""
    exits: list[int] = []
    monkeypatch.setattr(os, "_exit", exits.append)
    reader = threading.Thread(target=threading.Event().wait, args=(0.1,), name="criteo-audiences-table")
    reader.start()
    assert misuse("clear", SERVICE, "1").code == USAGE
    assert (exits, reader.is_alive()) == ([], False)


async def test_a_typo_in_a_process_of_its_own(cli, export: Path, sandbox: Sandbox) -> None:
    """What holds within this process holds for a real one: code 2, and no call."""
    done = await cli("upload", SERVICE, "1", str(export), "--hash", "sha256", "--batch-size", "0")
    assert done.code == USAGE
    assert last_line(done.err) == done.err.strip(), "one line, and no announcement before it"
    assert not sandbox.requests


async def test_a_port_in_use_is_a_usage_error(cli, sandbox: Sandbox) -> None:
    """The line says which option to change."""
    done = await cli("sandbox", "--port", sandbox.url.rpartition(":")[2])
    assert done.code == USAGE
    assert "already in use" in last_line(done.err)
    assert "--port" in last_line(done.err)


@pytest.mark.parametrize("spelling", ["sha256_of_md5", "sha256-of-md5", "SHA256-of-MD5"])
async def test_a_hash_may_be_spelled_as_in_the_library(cli, export: Path, sandbox: Sandbox, spelling: str) -> None:
    """Dashes, underscores and capitals make no difference."""
    segment = sandbox.add_contact_list()
    done = await cli("upload", SERVICE.replace("-", "_"), segment, str(export), "--hash", spelling, "--dry-run")
    assert done.code == 0, done.err
    assert "as sha256-of-md5" in done.err


async def test_plain_http_to_another_machine_is_refused(cli, environment: dict[str, str]) -> None:
    """Nothing is sent in clear to anywhere but this machine."""
    environment["CRITEO_BASE_URL"] = "http://api.criteo.com"
    done = await cli("stats", SERVICE, "1")
    assert done.code == USAGE
    assert "HTTPS" in last_line(done.err)


async def test_a_traceback_comes_only_with_debug(cli, environment: dict[str, str]) -> None:
    """`--debug` adds the traceback to the same line and code."""
    environment["CRITEO_BASE_URL"] = "ftp://example.com"
    plain, debug = await cli("stats", SERVICE, "1"), await cli("stats", SERVICE, "1", "--debug")
    assert "Traceback" not in plain.err
    assert "Traceback" in debug.err
    assert plain.code == debug.code == USAGE


BAD = os.fsdecode(b"bad\xffname")


@pytest.mark.skipif(os.name != "posix", reason="names of other systems are text")
@pytest.mark.parametrize("as_json", [True, False], ids=["json", "text"])
@pytest.mark.parametrize(
    ("options", "code"),
    [
        (("--rejects", f"DIR/{BAD}.csv"), 0),
        (("--journal", f"DIR/{BAD}.journal"), 0),
        (("--suppress", f"DIR/{BAD}.csv"), USAGE),
        (("--where", f"Email = '{BAD}'"), USAGE),
        (("--advertiser-id", BAD), SEGMENT),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
async def test_names_that_are_no_utf8_end_in_a_sentence(
    cli, sandbox: Sandbox, export: Path, options: tuple[str, ...], code: int, *, as_json: bool
) -> None:
    """They are taken or refused by name, and shown as escapes, in a process of its own."""
    placed = [each.replace("DIR", str(export.parent)) for each in options]
    shown = ("--json",) if as_json else ()
    done = await cli(
        "upload",
        SERVICE,
        sandbox.add_contact_list(),
        str(export),
        "--hash",
        "sha256",
        "--max-rejected",
        "1",
        *placed,
        *shown,
    )
    assert done.code == code, done.err
    assert "Unexpected" not in done.err
    if as_json:
        json.loads(done.out)


@pytest.mark.skipif(os.name != "posix", reason="limits are of POSIX")
@pytest.mark.parametrize("limit", [6, 7])
async def test_a_lack_of_descriptors_is_a_sentence(
    sandbox: Sandbox, export: Path, environment: dict[str, str], limit: int
) -> None:
    """Wherever it shows first."""
    arguments = ["upload", SERVICE, sandbox.add_contact_list(), str(export), "--hash", "sha256"]
    process = await asyncio.create_subprocess_exec(
        "sh",
        "-c",
        f'ulimit -n {limit}; exec "$@"',
        "sh",
        sys.executable,
        "-m",
        "criteo_audiences",
        *arguments,
        env=environment,
        stderr=asyncio.subprocess.PIPE,
    )
    _, err = await process.communicate()
    assert process.returncode in {FILE, OUTAGE}, err
    assert "no file descriptors" in last_line(err.decode())
