"""The options of `upload` and `remove` that say what is read: columns, conditions, opt-outs, kinds, and how long."""

# ruff: noqa: RUF001 - letters of other scripts are what other encodings hold

import json
from pathlib import Path

import pytest

from criteo_audiences import hash_email, hash_phone
from criteo_audiences.sandbox import Sandbox

SERVICE = "marketing-solutions"


@pytest.fixture
def exports(tmp_path: Path) -> list[str]:
    """Two exports of one shop in different formats."""
    first, second = tmp_path / "january.csv", tmp_path / "february.csv"
    first.write_text("email;second;consent\na@example.com;b@example.com;yes\nc@example.com;;no\n", encoding="utf-8")
    second.write_text("email;second;consent\nd@example.com;A@example.com;yes\nOut@example.com;;yes\n", encoding="utf-8")
    return [str(first), str(second)]


async def test_files_columns_a_condition_and_opt_outs(
    cli, sandbox: Sandbox, exports: list[str], tmp_path: Path
) -> None:
    """One upload takes them all, and its report says which columns it read and how many opted out; `remove` undoes it."""
    segment = sandbox.add_contact_list()
    opt_outs = tmp_path / "opt-outs.csv"
    opt_outs.write_text(f"email\n{hash_email('out@example.com')}\n", encoding="utf-8")
    what = (*exports, "--hash", "sha256", "--column", "email", "--column", "second", "--where", "consent = 'yes'")
    how = ("--suppress", str(opt_outs), "--threads", "1", "--memory-limit", "100MB", "--deadline", "60")
    done = await cli("upload", SERVICE, segment, *what, *how)
    assert done.code == 0, done.err
    assert "column 'email' and 'second' of january.csv and 1 more as sha256" in done.err
    assert "column 'email', 'second'" in done.out
    assert "suppressed" in done.out
    assert sandbox.contact_list(segment).identifiers == {hash_email(f"{name}@example.com") for name in "abd"}
    removed = await cli("remove", SERVICE, segment, *what, "--json")
    assert removed.code == 0, removed.err
    assert json.loads(removed.out)["columns"] == ["email", "second"]
    assert len(sandbox.contact_list(segment)) == 0


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ("consent = = 'yes'", "where, the condition on january.csv, is not understood: syntax error"),
        ("consent=yes", """A text stands in single quotes: 'yes'. The columns are: "email", "second", "consent"."""),
        ("CAST(email AS INT) = 1", "where, or the query, fails on a row of january.csv"),
    ],
)
async def test_a_condition_that_cannot_be_used(
    cli, sandbox: Sandbox, exports: list[str], where: str, words: str
) -> None:
    """It ends with 2 and one line that shows no value, before any call."""
    done = await cli("upload", SERVICE, "1", *exports, "--hash", "md5", "--where", where)
    assert done.code == 2
    assert words in done.err.strip().splitlines()[-1]
    assert "Traceback" not in done.err
    assert "@example" not in done.err
    assert not sandbox.requests


async def test_other_kinds_of_identifier(cli, sandbox: Sandbox) -> None:
    """Phone numbers are read as dialed in a region; customer ids need no hash."""
    segment = sandbox.add_contact_list()
    numbers = b"phone\n01 23 45 67 89\n+33 1 23 45 67 89\n"
    kind = ("--identifier-type", "phone-number", "--region", "FR", "--hash", "sha256")
    done = await cli("upload", SERVICE, segment, "-", *kind, stdin=numbers)
    assert done.code == 0, done.err
    assert sandbox.contact_list(segment).identifiers == {hash_phone("+33123456789")}
    theirs = sandbox.add_contact_list(service="retail-media", owner_id="1", identifier_type="CustomerId")
    kind = ("--identifier-type", "customer-id", "--column", "id")
    done = await cli("upload", "retail-media", theirs, "-", *kind, stdin=b"id\nC-1\nC-2\n")
    assert done.code == 0, done.err
    assert "as they are" in done.err
    assert sandbox.contact_list(theirs).identifiers == {"C-1", "C-2"}


async def test_a_title_above_the_header_and_an_encoding(cli, sandbox: Sandbox, tmp_path: Path) -> None:
    """Without the options a line says which to give; with them names beyond ASCII can be spoken of."""
    segment = sandbox.add_contact_list()
    report = tmp_path / "report.csv"
    report.write_bytes("Отчёт\n\nимя;email\nИван;a@example.com\nОльга;b@example.com\n".encode("cp1251"))
    what = ("upload", SERVICE, segment, str(report), "--hash", "none")
    refused = await cli(*what)
    assert refused.code == 2
    assert "Line 3 looks like the header: give skip_rows=2 (--skip-rows" in refused.err.splitlines()[-1]
    done = await cli(*what, "--skip-rows", "2", "--encoding", "cp1251", "--where", "имя = 'Иван'")
    assert done.code == 0, done.err
    assert sandbox.contact_list(segment).identifiers == {"a@example.com"}


async def test_a_deadline_ends_an_upload_as_incomplete(cli, sandbox: Sandbox) -> None:
    """It has a report that adds up, and the code and the line of an upload that is not complete."""
    sandbox.fail_next(delay=30, on="contact-list")
    options = ("--hash", "none", "--deadline", "0.5", "--drain-timeout", "0.1", "--json")
    done = await cli("upload", SERVICE, sandbox.add_contact_list(), "-", *options, stdin=b"email\na@example.com\n")
    report = json.loads(done.out)
    assert done.code == 7, done.err
    assert "its deadline ended it" in done.err.splitlines()[-1]
    assert report["deadline_passed"] is True
    assert report["read"] == report["sent"] + report["pending"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--identifier-type", "phone-number"), "Choose --hash"),
        (("--identifier-type", "phone-number", "--hash", "md5"), "'sha256'"),
        (("--identifier-type", "customer-id"), "takes no identifier_type='customer_id'"),
        (("--identifier-type", "madid", "--hash", "sha256"), "must be left out"),
        (("--identifier-type", "gum"), "gum_caller_id"),
        (("--hash", "md5", "--gum-caller-id", "7"), "gum_caller_id goes with"),
        (("--hash", "md5", "--region", "FR"), "region goes with"),
        (("--identifier-type", "phone-number", "--hash", "sha256", "--region", "XX"), "region"),
        (("--hash", "md5", "--threads", "0"), "threads must be"),
        (("--hash", "md5", "--memory-limit", "lots"), "memory_limit must be"),
        (("--hash", "md5", "--memory-limit", ""), "memory_limit must be"),
        (("--hash", "md5", "--deadline", "-1"), "deadline must be"),
        (("--hash", "md5", "--deadline", "nan"), "deadline must be"),
        (("--hash", "md5", "--where", ""), "where must"),
        (("--hash", "md5", "--column", ""), "column must name"),
        (("--hash", "md5", "--suppress", ""), "must not be empty"),
        (("--hash", "md5", "--skip-rows", "-1"), "skip_rows must be"),
        (("--hash", "md5", "--skip-rows", "two"), "--skip-rows"),
        (("--hash", "md5", "--encoding", "klingon"), "encoding must be a codec"),
    ],
)
def test_a_value_that_does_not_fit_is_a_usage_error(misuse, export: Path, options: tuple[str, ...], words: str) -> None:
    """Each is answered with 2 and one line that names it."""
    done = misuse("upload", SERVICE, "1", str(export), *options)
    assert done.code == 2, done.err
    assert words in " ".join(done.err.replace("│", " ").split())
    assert done.err.count("\n") == 1 or "Usage:" in done.err, "one line, but for what typer refuses itself"


def test_files_of_other_kinds_have_one_line(misuse, export: Path, tmp_path: Path) -> None:
    """A spreadsheet, an archive and a missing list of opt-outs are told in a line."""
    for name, content in {
        "book.xlsx": b"PK\x03\x04 and so on",
        "old.xls": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" * 99,
    }.items():
        (tmp_path / name).write_bytes(content)
        done = misuse("upload", SERVICE, "1", str(tmp_path / name), "--hash", "md5")
        assert (done.code, done.err.count("\n")) == (2, 2), done.err  # what is about to happen, and why it does not
        assert "Excel" in done.err
    done = misuse("upload", SERVICE, "1", str(export), "--hash", "md5", "--suppress", str(tmp_path / "absent.csv"))
    assert done.code == 3, done.err
    assert "absent.csv" in done.err.splitlines()[-1]
