"""Where the identifiers stand that Criteo refused."""

import json
from pathlib import Path

import pytest

from criteo_audiences import IdentifierType, hash_email
from criteo_audiences.cli.output import print_report
from criteo_audiences.sandbox import Sandbox
from criteo_audiences.uploads import Outcome, SourceRow, UploadReport

SERVICE = "marketing-solutions"
PLANTED = ["planted.one@example.com", "planted.two@example.com"]


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Two exports with an address each that will be refused."""
    paths = [tmp_path / "crm.csv", tmp_path / "erp.csv"]
    for path, email in zip(paths, PLANTED, strict=True):
        path.write_text(f"name,Email\nx,{path.stem}@example.com\ny, {email.upper()}\n", encoding="utf-8")
    return paths


@pytest.mark.parametrize("form", ["none", "sha256"])
async def test_rows_are_named_and_values_are_not(cli, files: list[Path], form: str, sandbox: Sandbox) -> None:
    """In the report and in the document, each by file, row and column."""
    segment_id = sandbox.add_contact_list()
    wire = [email if form == "none" else hash_email(email, form) for email in PLANTED]
    sandbox.contact_list(segment_id).refuse(wire)
    command = ("upload", SERVICE, segment_id, *map(str, files), "--hash", form)
    told, document = await cli(*command), await cli(*command, "--json")
    assert (told.code, document.code) == (0, 0), told.err
    assert "Invalid: crm.csv row 2 (Email); erp.csv row 2 (Email)." in told.out.splitlines()
    assert json.loads(document.out)["invalid_rows"] == [
        {"file": "crm.csv", "row": 2, "column": "Email"},
        {"file": "erp.csv", "row": 2, "column": "Email"},
    ]
    everything = "".join((*told[1:], *document[1:])).lower()
    assert not [each for each in (*wire, "planted") if each in everything]


async def test_standard_input_has_no_rows(cli, files: list[Path], sandbox: Sandbox) -> None:
    """What was piped in is gone."""
    segment_id = sandbox.add_contact_list()
    sandbox.contact_list(segment_id).refuse(PLANTED)
    done = await cli("upload", SERVICE, segment_id, "-", "--hash", "none", "--json", stdin=files[0].read_bytes())
    document = json.loads(done.out)
    assert (document["invalid"], document["invalid_rows"]) == (1, [])


def test_many_rows_are_cut_short(capsys: pytest.CaptureFixture[str]) -> None:
    """The first twenty, grouped; a list has neither file nor column."""
    rows = [SourceRow(file="crm.csv", row=row, column="Email") for row in (17, 2_345)]
    rows += [SourceRow(row=row) for row in range(1, 31)]
    print_report(UploadReport(by_type={IdentifierType.EMAIL: Outcome(invalid=32)}, invalid_rows=tuple(rows)))
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("Invalid")]
    listed = ", ".join(map(str, range(1, 19)))
    assert line == f"Invalid, among others: crm.csv rows 17, 2,345 (Email); rows {listed}."
