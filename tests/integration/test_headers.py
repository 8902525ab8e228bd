# ruff: noqa: RUF001 - letters of other scripts are what other encodings hold
"""What an upload makes of a file's header: lines above it, names that occur twice, keys that come late, encodings."""

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from criteo_audiences import ConfigurationError, Table
from criteo_audiences.uploads.sender import job_of
from tests.kit import LIST, options_of

REPORT = 'Report: "Customers\n\nsep=;;;\nid;email;name\n1;a@b.co;Ann\n2;b@b.co;Bob\n'
META = "email,email,phone,email,phone\na@b.co,b@b.co,+33612345678,,\n,,,c@b.co,+33612345679\n,,,,\n"
RUSSIAN = "имя,email,город\nИван,a@b.co,Москва\nМария,b@b.co,Казань\n"


@pytest.fixture
def crm(tmp_path: Path) -> Path:
    """A report with a title above its header."""
    path = tmp_path / "crm.csv"
    path.write_text(REPORT)
    return path


@pytest.mark.parametrize("skip_rows", [2, 3])
@pytest.mark.parametrize("dedupe", [True, False])
async def test_lines_above_the_header_are_skipped(stage: Any, crm: Path, skip_rows: int, *, dedupe: bool) -> None:
    """By the table's option or the upload's, whether or not a `sep=` line is among them; rows are numbered as before."""
    for source, options in ((crm, {"skip_rows": skip_rows}), (Table.from_file(crm, skip_rows=skip_rows), {})):
        report = await stage.upload(source, dedupe=dedupe, where="name <> 'Bob'", **options)
        assert (report.read, report.valid, report.columns) == (1, 1, ("email",))
    assert stage.held == {"a@b.co"}


async def test_opt_outs_have_options_of_their_own(stage: Any, crm: Path, tmp_path: Path) -> None:
    """What an upload says of its source is not said of its opt-outs, for a table and for an iterable."""
    plain = tmp_path / "plain.csv"
    plain.write_text("email\na@b.co\nb@b.co\nc@b.co\n")
    for source in (plain, ["a@b.co", "b@b.co", "c@b.co"]):
        report = await stage.upload(source, suppress=Table.from_file(crm, skip_rows=3))
        assert (report.suppressed, report.sent) == (2, 1)
    assert (await stage.upload(crm, skip_rows=3, suppress=plain)).suppressed == 2
    assert stage.held == {"c@b.co"}


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("table", "{} is given twice, by the table and as an option of the upload; give it once."),
        ("query", "{} goes with text files, not with the query; leave it out."),
        ("arrow", "{} goes with text files, not with the Table; leave it out."),
        ("list", "{} is about the columns of a table; an iterable has none."),
    ],
)
@pytest.mark.parametrize(("option", "value"), [("skip_rows", 3), ("encoding", "cp1251")])
async def test_an_option_of_files_is_never_ignored(
    stage: Any, crm: Path, source: str, message: str, option: str, value: Any
) -> None:
    """Given twice, or for what is no file, it is refused before a call."""
    sources: dict[str, Any] = {
        "table": Table.from_file(crm, **{option: value}),
        "query": Table.from_query("SELECT 'a@b.co' AS email"),
        "arrow": pa.table({"email": ["a@b.co"]}),
        "list": ["a@b.co"],
    }
    with pytest.raises(ConfigurationError) as caught:
        await stage.upload(sources[source], **{option: value})
    assert str(caught.value) == message.format(option)
    assert stage.calls == []


@pytest.mark.parametrize(
    ("option", "value"), [("where", "name = 'Ann'"), ("threads", 2), ("memory_limit", "300MB"), ("encoding", "utf-8")]
)
async def test_an_option_of_a_table_is_the_tables_or_the_uploads(
    stage: Any, tmp_path: Path, option: str, value: Any
) -> None:
    """Either place does the same; in both it is refused before a call."""
    crm = tmp_path / "crm.csv"
    crm.write_text("id,email,name\n1,a@b.co,Ann\n2,b@b.co,Bob\n")
    table = Table.from_file(crm, column="email", **{option: value})
    reports = [await stage.upload(table), await stage.upload(Table.from_file(crm, column="email"), **{option: value})]
    assert [report.sent for report in reports] == [1 if option == "where" else 2] * 2
    with pytest.raises(ConfigurationError) as caught:
        await stage.upload(table, **{option: value})
    assert str(caught.value) == (f"{option} is given twice, by the table and as an option of the upload; give it once.")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"threads": 0}, "threads must"),
        ({"threads": "2"}, "threads must be a whole number, not str"),
        ({"memory_limit": "much"}, "memory_limit must be a size such as '512MB'"),
    ],
)
def test_an_option_of_a_table_is_checked_at_once(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    """Before anything is read, for files, queries and frames alike."""
    for make, source in (
        (Table.from_file, tmp_path / "crm.csv"),
        (Table.from_query, "SELECT 1"),
        (Table.from_arrow, pa.table({"email": ["a@b.co"]})),
    ):
        with pytest.raises(ConfigurationError, match=message):
            make(source, **options)


@pytest.mark.parametrize("value", [-1, True, "3", 2.5])
async def test_skip_rows_is_a_number_of_lines(stage: Any, crm: Path, value: Any) -> None:
    """Anything else is refused, for the table and for the upload."""
    with pytest.raises(ConfigurationError, match="skip_rows must be the number of lines before the header"):
        await stage.upload(crm, skip_rows=value)
    with pytest.raises(ConfigurationError, match="skip_rows must be the number of lines before the header"):
        Table.from_file(crm, skip_rows=value)


async def test_a_delimiter_below_a_title_is_refused_in_sources_and_opt_outs(stage: Any, tmp_path: Path) -> None:
    """Nobody is sent as `12|a@b.co`, and no opt-out is missed because it was read so."""
    odd, plain = tmp_path / "odd.csv", tmp_path / "plain.csv"
    odd.write_text("Email export\nid|email\n12|a@b.co\n")
    plain.write_text("email\na@b.co\n")
    for source, options in ((odd, {}), (plain, {"suppress": odd}), (["a@b.co"], {"suppress": odd})):
        with pytest.raises(ConfigurationError, match=r"There, line 2 looks like the header: give skip_rows=1 "):
            await stage.upload(source, **options)
    assert stage.held == set()


@pytest.mark.parametrize("dedupe", [False, True])
async def test_a_row_with_another_delimiter_than_most_is_rejected(
    stage: Any,
    tmp_path: Path,
    dedupe: bool,  # noqa: FBT001 - a column of the table
) -> None:
    """Its address is not sent as part of a longer one."""
    report = await stage.upload(Table.from_file(mostly_commas(tmp_path)), dedupe=dedupe)
    assert (report.read, report.rejected) == (30, {"several_cells": 3})
    assert stage.held == {f"{row}{name}@b.co" for row in range(9) for name in SIGNS.values()}


async def test_an_opt_out_in_a_row_with_another_delimiter_than_most_is_heeded(stage: Any, tmp_path: Path) -> None:
    """And a list says what its values are."""
    opted_out = Table.from_file(mostly_commas(tmp_path))
    report = await stage.upload([*(f"{name}@b.co" for name in SIGNS.values()), "bob@b.co"], suppress=opted_out)
    assert (report.suppressed, report.sent) == (3, 1)
    report = await stage.upload([f"12{sign}{name}@b.co" for sign, name in SIGNS.items()])
    assert (report.sent, report.ok) == (3, True)


SIGNS = {"|": "ann", "^": "amy", "~": "ada"}


def mostly_commas(directory: Path) -> list[Path]:
    """Writes a file for each sign, of which the last row has that sign between its cells."""
    paths = [directory / f"{name}.csv" for name in SIGNS.values()]
    for path, (sign, name) in zip(paths, SIGNS.items(), strict=True):
        rows = [*(f"{row}{name}@b.co" for row in range(9)), f"12{sign}{name}@b.co"]
        path.write_text("email,note\n" + "".join(f"{row},x\n" for row in rows))
    return paths


@pytest.mark.parametrize(
    ("options", "read", "held"),
    [
        ({}, 4, {"a@b.co", "b@b.co", "c@b.co"}),
        ({"column": "email"}, 4, {"a@b.co", "b@b.co", "c@b.co"}),
        ({"column": ["email", "email"]}, 4, {"a@b.co", "b@b.co", "c@b.co"}),
        ({"column": "column_2"}, 3, {"b@b.co"}),
        ({"column": ["column_1", "column_4"]}, 3, {"a@b.co", "c@b.co"}),
        (
            {"columns": {"email": "email", "phone_number": "phone"}},
            7,
            {"a@b.co", "b@b.co", "c@b.co", "+33612345678", "+33612345679"},
        ),
    ],
)
async def test_columns_of_one_name_are_read_together(
    stage: Any, tmp_path: Path, options: dict[str, Any], read: int, held: set[str]
) -> None:
    """Lists made for other platforms have them; each filled cell counts, and a row without any is one empty row."""
    path = tmp_path / "meta.csv"
    path.write_text(META)
    report = await stage.upload(path, **options)
    assert (report.read, stage.held) == (read, held)
    assert set(report.columns) <= {"email", "phone"}


async def test_columns_of_one_name_in_opt_outs(stage: Any, tmp_path: Path) -> None:
    """Everybody who opted out in any of them is left out, in both lanes."""
    path = tmp_path / "meta.csv"
    path.write_text(META)
    people = ["a@b.co", "b@b.co", "c@b.co", "d@b.co"]
    for source in (people, pa.table({"email": people})):
        assert (await stage.upload(source, suppress=Table.from_file(path, column="email"))).suppressed == 3
    assert stage.held == {"d@b.co"}


async def test_a_country_is_one_column(stage: Any, tmp_path: Path) -> None:
    """Two of that name are refused by position; one of them can be named."""
    path = tmp_path / "crm.csv"
    path.write_text("phone,country,country\n0612345678,FR,DE\n")
    options = {"identifier_type": "phone_number", "column": "phone"}
    with pytest.raises(ConfigurationError, match=r"Name one of them: 'column_2' or 'column_3'\."):
        await stage.upload(path, region_column="country", **options)
    await stage.upload(path, region_column="column_2", **options)
    assert stage.held == {"+33612345678"}


def late(key: str, value: Any, rows: int = 1_500) -> str:
    """Returns JSON lines of which only the last has a key."""
    return "".join(json.dumps({"id": row}) + "\n" for row in range(rows)) + json.dumps({key: value, "c": "FR"}) + "\n"


@pytest.mark.parametrize("compress", [bytes, gzip.compress])
async def test_a_key_that_comes_late_is_read(stage: Any, tmp_path: Path, compress: Any) -> None:
    """Beyond the rows that are looked at first; as a column, in a condition, and in opt-outs."""
    path = tmp_path / "crm.jsonl"
    path.write_bytes(compress(late("email", "a@b.co").encode()))
    report = await stage.upload(path, column="email", max_rejected=1)
    assert (report.read, report.rejected, stage.held) == (1_501, {"empty": 1_500}, {"a@b.co"})
    assert (await stage.upload(path, column="email", where="c = 'FR' AND length(\"email\") > 2")).read == 1
    suppressed = await stage.upload(
        ["a@b.co", "b@b.co"], suppress=Table.from_file(path, column="email"), max_rejected=1
    )
    assert suppressed.suppressed == 1


@pytest.mark.parametrize("rows", [3, 1_500])
async def test_a_key_that_no_row_has_is_refused(stage: Any, tmp_path: Path, rows: int) -> None:
    """Whether or not all rows were looked at first."""
    path = tmp_path / "crm.jsonl"
    path.write_text(late("email", "a@b.co", rows))
    with pytest.raises(ConfigurationError, match=r"^crm\.jsonl has no row with a key of that name; its columns are: "):
        await stage.upload(path, column="emial")


@pytest.mark.parametrize("value", [["planted@b.co"], {"value": "planted@b.co"}, []])
@pytest.mark.parametrize("rows", [0, 1_500])
@pytest.mark.parametrize("dedupe", [True, False])
async def test_a_list_in_json_is_no_identifier(
    stage: Any, tmp_path: Path, value: Any, rows: int, *, dedupe: bool
) -> None:
    """It is refused by its column's name wherever it is, as in Parquet."""
    path = tmp_path / "crm.jsonl"
    path.write_text('{"email": "a@b.co"}\n' * rows + json.dumps({"email": value}) + "\n")
    with pytest.raises(ConfigurationError, match=r"^Column 'email' of crm\.jsonl holds (lists|structures)") as caught:
        await stage.upload(path, column="email", dedupe=dedupe)
    assert "planted" not in str(caught.value)


@pytest.mark.parametrize("dedupe", [True, False])
@pytest.mark.parametrize(
    ("values", "refused"),
    [([12.5], True), ([1e30], True), ([12.0], True), ([10**30, "12.5", "1e5", None], False)],
)
async def test_an_id_in_a_late_row_of_json_is_no_fraction(
    stage: Any, tmp_path: Path, values: list[Any], *, refused: bool, dedupe: bool
) -> None:
    """Every row is judged, not only those that are looked at first; a condition sees text, as in every column."""
    path = tmp_path / "crm.jsonl"
    ids = [*range(1_500), *values]
    path.write_text("".join(json.dumps({"id": each}) + "\n" for each in ids))
    segment = stage.sandbox.add_contact_list(service="retail-media", owner_id="7", identifier_type="CustomerId")
    options = {"account_id": "7", "identifier_type": "customer_id", "column": "id", "dedupe": dedupe}
    upload = stage.criteo.retail_media.upload_contact_list(segment, path, where="id <> '7'", **options)
    if refused:
        with pytest.raises(ConfigurationError, match=r"'id' of crm\.jsonl holds fractions in some rows, not text or"):
            await upload
        assert not stage.sandbox.contact_list(segment).identifiers
    else:
        await upload
        sent = {str(each) for each in ids if each not in {7, None}}
        assert stage.sandbox.contact_list(segment).identifiers == sent


@pytest.mark.parametrize(
    ("value", "refused"), [(12.5, True), (1e30, True), (123, False), ("12.5", False), ("{12}", False)]
)
async def test_ids_in_json(stage: Any, tmp_path: Path, value: Any, *, refused: bool) -> None:
    """Fractions are no ids; whole numbers and texts stay as they are written, a brace at the beginning included."""
    path = tmp_path / "crm.jsonl"
    path.write_text(json.dumps({"id": value}) + "\n")
    segment = stage.sandbox.add_contact_list(service="retail-media", owner_id="7", identifier_type="CustomerId")
    upload = stage.criteo.retail_media.upload_contact_list(
        segment, path, account_id="7", identifier_type="customer_id", column="id"
    )
    if refused:
        with pytest.raises(ConfigurationError, match=r"'id' of crm\.jsonl holds fractions, not text or whole numbers"):
            await upload
    else:
        await upload
        assert stage.sandbox.contact_list(segment).identifiers == {str(value)}


@pytest.mark.parametrize("encoding", ["cp1251", "koi8-r", "utf-16", "utf-8"])
async def test_conditions_are_held_against_the_named_encoding(stage: Any, tmp_path: Path, encoding: str) -> None:
    """Names and values beyond ASCII are what the caller sees, in plain and compressed files."""
    plain, packed = tmp_path / "crm.csv", tmp_path / "crm.csv.gz"
    plain.write_bytes(RUSSIAN.encode(encoding))
    packed.write_bytes(gzip.compress(RUSSIAN.replace("a@b.co", "c@d.co").encode(encoding)))
    await stage.upload(Table.from_file([plain, packed]), encoding=encoding, where="город = 'Москва'")
    assert stage.held == {"a@b.co", "c@d.co"}


async def test_a_guess_is_named_where_it_may_be_wrong(stage: Any, tmp_path: Path) -> None:
    """A condition on a column whose letters were taken for others."""
    path = tmp_path / "crm.csv"
    path.write_bytes("Jméno,email,Město\nJan,a@b.co,Kolín\n".encode("cp1250"))
    with pytest.raises(ConfigurationError, match=r"They were read as cp1252, which is a guess: give encoding="):
        await stage.upload(path, where="Město = 'Kolín'")
    await stage.upload(path, where="Město = 'Kolín'", encoding="cp1250")
    assert stage.held == {"a@b.co"}


def test_what_is_said_of_a_file_is_part_of_the_job(crm: Path) -> None:
    """Other rows are read, so an unfinished upload is not continued; wherever it is said, it is the same."""

    def configuration(options: dict[str, Any], said: dict[str, Any]) -> object:
        return job_of(LIST, Table.from_file(crm, **said), options_of(**options)).configuration

    plain = configuration({}, {})
    for option, value in (("skip_rows", 3), ("encoding", "cp1251")):
        assert configuration({option: value}, {}) == configuration({}, {option: value}) != plain
    assert configuration({"skip_rows": 0}, {}) == plain


@pytest.mark.parametrize("name", ["a\0b.csv", "a\udcff.csv"])
def test_a_query_that_sql_cannot_hold_is_refused(name: str) -> None:
    """It is not called a value that cannot be converted."""
    with pytest.raises(ConfigurationError, match="query holds a NUL character or a name that is no UTF-8"):
        Table.from_query(f"SELECT * FROM '{name}'")  # noqa: S608 - nothing is run
