"""The options of `upload` and `remove` that say what is read: columns, conditions, opt-outs, kinds, and how long."""

# ruff: noqa: RUF001 - letters of other scripts are what other encodings hold

import json
from pathlib import Path

import polars as pl
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
    assert "columns 'email' and 'second' of january.csv and 1 more as sha256" in done.err
    assert "columns 'email', 'second'" in done.out
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
    done = await cli("upload", SERVICE, sandbox.add_contact_list(), *exports, "--hash", "md5", "--where", where)
    assert done.code == 2
    assert words in done.err.strip().splitlines()[-1]
    assert "Traceback" not in done.err
    assert "@example" not in done.err
    assert not any(request.path.endswith("contact-list") for request in sandbox.requests)


@pytest.mark.parametrize(
    ("listed", "said"),
    [
        (
            "email\ngone@example.com\nb@example.com (left)\n\n'c@example\n",
            "2 of the 3 opt-outs in opt-outs.csv cannot be",
        ),
        ("email\n", "opt-outs.csv holds no opt-out, so nobody would be left out"),
        (
            'email,note\ngone@example.com,"15\nb@example.com,21"\nc@example.com,y\n',
            "have a quoted cell with several lines that look like rows of their own (row 1), so people in them might",
        ),
    ],
)
async def test_opt_outs_that_cannot_be_used_end_as_a_mistake(
    cli, sandbox: Sandbox, exports: list[str], tmp_path: Path, listed: str, said: str
) -> None:
    """With 2, before any call, in one line that shows no value; a rehearsal and `--json` say the same."""
    (tmp_path / "opt-outs.csv").write_text(listed, encoding="utf-8")
    what = (*exports, "--hash", "md5", "--column", "email", "--suppress", str(tmp_path / "opt-outs.csv"))
    for options in ((), ("--dry-run",), ("--json",)):
        done = await cli("upload", SERVICE, sandbox.add_contact_list(), *what, *options)
        assert done.code == 2
        assert said in done.err
        assert "--no-suppress-strict" in done.err
        assert done.err.count("\n") == 1
        assert "example.com" not in done.err + done.out
    assert said in json.loads(done.out)["error"]["message"]
    assert not sandbox.requests
    assert not list(Path(tmp_path / "state").rglob("*.journal"))


async def test_an_upload_may_go_on_without_them(cli, sandbox: Sandbox, exports: list[str], tmp_path: Path) -> None:
    """A line on standard error, the report and the document say so, and a policy may fail it."""
    segment = sandbox.add_contact_list()
    opt_outs = tmp_path / "opt-outs.csv"
    opt_outs.write_text("email\nout@example.com\nb@example.com (left)\n", encoding="utf-8")
    what = (*exports, "--hash", "none", "--column", "email", "--suppress", str(opt_outs), "--no-suppress-strict")
    for options in ((), ("--quiet",)):
        done = await cli("upload", SERVICE, segment, *what, *options)
        assert done.code == 0, done.err
        assert done.err.count("1 of 2 opt-outs cannot be used: those people are not left out\n") == 1
        assert "have opted out; 1 opt-out, 1 cannot be used" in done.out
    assert "out@example.com" not in sandbox.contact_list(segment).identifiers
    failed = await cli("upload", SERVICE, segment, *what, "--fail-on", "unusable_opt_outs", "--json")
    assert failed.code == 7
    document = json.loads(failed.out)
    assert (document["opt_outs"], document["unusable_opt_outs"]) == (1, 1)
    assert "fails by unusable_opt_outs>0: 1 of 2 opt-outs (50%)" in failed.err
    opt_outs.write_text("email\n", encoding="utf-8")
    done = await cli("upload", SERVICE, segment, *what)
    assert done.code == 0, done.err
    assert "there is no opt-out in the file of --suppress: no row is left out\n" in done.err
    assert "have opted out; 0 opt-outs" in done.out


@pytest.mark.parametrize("options", [(), ("--where", "email = 'nobody'"), ("--dry-run",)])
async def test_sending_nothing_is_incomplete_unless_allowed(
    cli, sandbox: Sandbox, tmp_path: Path, options: tuple[str, ...]
) -> None:
    """One clear line; with `--allow-empty` it is done, and a lower limit still counts."""
    export = tmp_path / "crm.csv"
    export.write_text("email\n" + "a@example.com\n" * ("--where" in options), encoding="utf-8")
    what = ("upload", SERVICE, sandbox.add_contact_list(), str(export), "--hash", "none", *options)
    done = await cli(*what)
    assert done.code == 7
    assert done.err.splitlines()[-1] == (
        "FAILED (7): The upload is not complete: no row was read (an empty source, or a condition that no row "
        "meets); give --allow-empty if that is right."
    )
    assert done.out.startswith("read          0")
    document = json.loads((await cli(*what, "--json")).out)
    assert (document["ok"], document["read"]) == (False, 0)
    allowed = await cli(*what, "--allow-empty", "--json")
    assert allowed.code == 0, allowed.err
    assert json.loads(allowed.out)["ok"] is True
    limited = await cli(*what, "--allow-empty", "--fail-on", "read<1")
    assert limited.code == 7
    assert limited.err.splitlines()[-1].endswith("The upload fails by read<1: 0 rows.")


@pytest.mark.parametrize("options", [(), ("--dry-run",), ("--owner",)])
async def test_an_unknown_segment_is_noticed_before_the_file_is_read(
    cli, sandbox: Sandbox, exports: list[str], options: tuple[str, ...]
) -> None:
    """With 6 and one line, whether it is rehearsed, or an owner is named."""
    options = ("--advertiser-id", "1") if "--owner" in options else options
    done = await cli("upload", SERVICE, "404", *exports, "--hash", "md5", "--column", "email", *options)
    assert done.code == 6
    assert ("Segment 404 is no segment" if "--advertiser-id" in options else "HTTP 404") in done.err
    assert done.err.count("\n") == 1
    assert not any(request.identifiers for request in sandbox.requests)


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


async def test_each_row_has_its_country_and_a_number_may_keep_its_zero(cli, sandbox: Sandbox) -> None:
    """`--region-column` and `--keep-trunk-zero` are the library's keywords."""
    segment = sandbox.add_contact_list()
    rows = "phone,land\n612 345 678,España\n+33 (0)1 23 45 67 89,\n030 123456,Narnia\n".encode()
    kind = ("--identifier-type", "phone-number", "--column", "phone", "--hash", "none")
    options = ("--region-column", "land", "--keep-trunk-zero")
    done = await cli("upload", SERVICE, segment, "-", *kind, *options, "--json", stdin=rows)
    assert done.code == 0, done.err
    assert json.loads(done.out)["rejected"] == {"unknown_country": 1}
    assert sandbox.contact_list(segment).identifiers == {"+34612345678", "+330123456789"}


async def test_a_title_above_the_header_and_an_encoding(cli, sandbox: Sandbox, tmp_path: Path) -> None:
    """Without the options a line says which to give; with them names beyond ASCII can be spoken of."""
    segment = sandbox.add_contact_list()
    report = tmp_path / "report.csv"
    report.write_bytes("Отчёт\n\nимя;email\nИван;a@example.com\nОльга;b@example.com\n".encode("cp1251"))
    what = ("upload", SERVICE, segment, str(report), "--hash", "none")
    refused = await cli(*what)
    assert refused.code == 2
    assert "There, line 3 looks like the header: give --skip-rows 2" in refused.err.splitlines()[-1]
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
        (("--identifier-type", "customer-id"), "takes no --identifier-type customer_id"),
        (("--identifier-type", "madid", "--hash", "sha256"), "must be left out"),
        (("--identifier-type", "gum"), "--gum-caller-id"),
        (("--hash", "md5", "--gum-caller-id", "7"), "--gum-caller-id goes with"),
        (("--hash", "md5", "--region", "FR"), "region goes with"),
        (("--identifier-type", "phone-number", "--hash", "sha256", "--region", "XX"), "region"),
        (("--hash", "md5", "--threads", "0"), "threads must be"),
        (("--hash", "md5", "--memory-limit", "lots"), "--memory-limit must be"),
        (("--hash", "md5", "--memory-limit", ""), "--memory-limit must be"),
        (("--hash", "md5", "--deadline", "-1"), "'--deadline': expected a time"),
        (("--hash", "md5", "--deadline", "nan"), "'--deadline': expected a time"),
        (("--hash", "md5", "--where", ""), "where must"),
        (("--hash", "md5", "--column", ""), "column must name"),
        (("--hash", "md5", "--suppress", ""), "must not be empty"),
        (("--hash", "md5", "--skip-rows", "-1"), "--skip-rows must be"),
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
        assert (done.code, done.err.count("\n")) == (2, 1), done.err
        assert "Excel" in done.err
    done = misuse("upload", SERVICE, "1", str(export), "--hash", "md5", "--suppress", str(tmp_path / "absent.csv"))
    assert done.code == 3, done.err
    assert "absent.csv" in done.err.splitlines()[-1]


async def test_odd_names_and_places(cli, sandbox: Sandbox, tmp_path: Path) -> None:
    """A file's name is no pattern, neither that of opt-outs; a directory named `column=value` is a column when asked for."""
    segment = sandbox.add_contact_list()
    for name, address in {"e[1].csv": "mine", "e1.csv": "neighbor", "-x?.csv": "out", "-x1.csv": "mine"}.items():
        (tmp_path / name).write_text(f"email\n{address}@b.co\n", encoding="utf-8")
    files = [str(tmp_path / name) for name in ("e[1].csv", "-x?.csv")]
    done = await cli("upload", SERVICE, segment, *files, "--hash", "none", "--suppress", files[1])
    assert done.code == 0, done.err
    assert sandbox.contact_list(segment).identifiers == {"mine@b.co"}
    lake = tmp_path / "country=FR"
    (lake / "_temporary").mkdir(parents=True)
    for place, address in ((lake, "fr"), (lake / "_temporary", "gone")):
        pl.DataFrame({"email": [f"{address}@b.co"]}).write_parquet(place / "a")
    where = ("--where", "country = 'FR'", "--hash", "none")
    refused = await cli("upload", SERVICE, segment, str(lake), *where)
    assert refused.code == 2, refused.err
    done = await cli(
        "remove", SERVICE, segment, str(lake), *where, "--hive-partitioning", "--journal", f"{tmp_path}/j/"
    )
    assert done.code == 0, done.err
    assert "1 file in country=FR skipped: 1 hidden or temporary" in done.err
    assert len(list((tmp_path / "j").glob("*.journal"))) == 1


async def test_what_is_no_path(cli, sandbox: Sandbox) -> None:
    """An address ends with 2, what may be an identifier with 3 like any missing file; one line does not show it."""
    for given, code in (
        ("https://example.com/planted.csv", 2),
        ("planted@example.com", 3),
        ("s3://planted/x.parquet", 2),
    ):
        for arguments in ((given,), ("-", "--suppress", given)):
            done = await cli("upload", SERVICE, "1", *arguments, "--hash", "none", stdin=b"email\na@b.co\n")
            assert done.code == code, done.err
            assert "planted" not in done.err
    assert not sandbox.requests
