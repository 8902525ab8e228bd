"""Tables as sources: files, queries, and what data frames hand over."""

import asyncio
import gzip
import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from criteo_audiences import (
    ConfigurationError,
    CriteoClient,
    HashAlgorithm,
    IdentifierType,
    Progress,
    Table,
    hash_email,
)
from criteo_audiences.sandbox import Sandbox

EMAILS = ["a@b.co", "B@b.co ", None, "planted", "a@b.co"]
HELD = {"a@b.co", "b@b.co"}
IDFA = "6D92078A-8246-4BA4-AE5B-76104861E7DC"


@pytest.fixture
def crm(tmp_path: Path) -> Path:
    """A file of five rows."""
    path = tmp_path / "crm.csv"
    path.write_text(
        "id,email,alt email,country,age,it's\n"
        "1,a@b.co,a2@b.co,DE,30,yes\n"
        "2,B@b.co ,,FR,n/a,no\n"
        '3,,c@b.co,DE,50,"a ""b"""\n'
        "4,planted,,FR,60,\n"
        "5,a@b.co,d@b.co,FR,7,x\n"
    )
    return path


async def test_a_path_is_a_table(stage: Any, crm: Path) -> None:
    """Its column is found, duplicates go out once, and the report says which column it was."""
    report = await stage.upload(crm)
    assert stage.held == HELD
    assert report.rejected == {"empty": 1, "no_at_sign": 1}
    assert (report.read, report.duplicates, report.columns) == (5, 1, ("email",))


async def test_progress_of_a_table_that_is_read_first(stage: Any, crm: Path) -> None:
    """It ends with every row read ahead; of an iterable, and of a table whose batches go out at once, none is."""
    for source, dedupe, staged in ((crm, True, 1.0), (crm, False, None), (["a@b.co"], True, None)):
        told: list[Progress] = []
        report = await stage.upload(source, dedupe=dedupe, on_progress=told.append)
        assert (told[-1].read, told[-1].share_staged) == (report.read, staged)


async def test_several_files(stage: Any, tmp_path: Path) -> None:
    """A list is read in its order, a pattern in alphabetical order, whatever format each file has."""
    (tmp_path / "2.jsonl").write_text('{"email": "json@b.co"}\n')
    (tmp_path / "1.csv").write_text("x,email\n,csv@b.co\n")
    (tmp_path / "3.tsv.gz").write_bytes(gzip.compress(b"email\ty\ntsv@b.co\t1\n"))
    pl.DataFrame({"email": ["parquet@b.co"]}).write_parquet(tmp_path / "4.parquet")
    report = await stage.upload(Table.from_file(tmp_path / "*.*"), dedupe=False)
    assert stage.held == {"csv@b.co", "json@b.co", "tsv@b.co", "parquet@b.co"}
    assert (report.read, report.duplicates) == (4, None)
    assert (await stage.upload(Table.from_file([tmp_path / "2.jsonl", tmp_path / "1.csv"]))).read == 2


async def test_a_directory_of_parquet(stage: Any, tmp_path: Path) -> None:
    """All files below it are one table, also when their columns differ."""
    (tmp_path / "day=1").mkdir()
    pl.DataFrame({"email": ["a@b.co"], "n": [1]}).write_parquet(tmp_path / "day=1" / "x.parquet")
    pl.DataFrame({"email": ["b@b.co"]}).write_parquet(tmp_path / "y.parquet")
    assert (await stage.upload(tmp_path, operation="add")).read == 2
    assert stage.held == HELD


async def test_standard_input(stage: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A dash reads it to its end."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"email\na@b.co\nb@b.co\n")))
    await stage.upload(Table.from_file("-"))
    assert stage.held == HELD


async def test_several_columns_of_a_kind(stage: Any, crm: Path) -> None:
    """Each filled cell counts; a row without any is one empty row."""
    report = await stage.upload(crm, column=["email", "alt email"])
    assert stage.held == HELD | {"a2@b.co", "c@b.co", "d@b.co"}
    assert report.rejected == {"no_at_sign": 1}
    assert (report.read, report.duplicates, report.columns) == (7, 1, ("email", "alt email"))


async def test_several_kinds_in_one_pass(stage: Any) -> None:
    """Each kind goes out in calls of its own, and is reported on its own; each file is read once."""
    people = pl.DataFrame(
        {
            "email": ["a@b.co", "b@b.co", None],
            "alt": ["c@b.co", None, None],
            "idfa": [IDFA, "x", None],
            "tel": ["+33 1 23 45 67 89", None, "0123"],
        }
    )
    columns = {"email": ["email", "alt"], IdentifierType.MADID: "idfa", "phone_number": "tel"}
    report = await stage.upload(people, columns=columns, hash="sha256", region="FR")
    assert {kind.value: outcome.sent for kind, outcome in report.by_type.items()} == {
        "email": 3,
        "madid": 1,
        "phone_number": 1,
    }
    assert stage.held >= {IDFA, hash_email("c@b.co", HashAlgorithm.SHA256)}
    assert report.read == 4 + 3 + 3
    assert report.columns == ("email", "alt", "idfa", "tel")


@pytest.mark.parametrize(
    ("where", "held"),
    [
        ("country = 'FR'", HELD),
        ("country = 'FR' -- only them", HELD),
        ("country = 'FR';", HELD),
        ("country = 'DE' OR country = 'XX'", {"a@b.co"}),
        ('"it\'s" = \'a "b"\'', set()),
        ("\"alt email\" IS NULL AND id < '3'", {"b@b.co"}),
        ("TRY_CAST(age AS INT) < 40", {"a@b.co"}),
        ("email LIKE 'B%'", {"b@b.co"}),
    ],
)
async def test_a_condition_chooses_rows(stage: Any, crm: Path, where: str, held: set[str]) -> None:
    """It may speak of any column; what it leaves out is not read."""
    await stage.upload(crm, where=where, max_rejected=1)
    assert stage.held == held
    before = stage.held
    assert (await stage.upload(Table.from_file(crm, where=where), max_rejected=1)).ok or not held
    assert stage.held == before


BAD_CONDITIONS = {
    "1=1; DROP TABLE staged": "where, the condition on crm.csv, holds several statements",
    "country = FR": """names a column that is not there: "FR". A text stands in single quotes: 'FR'. The columns are: "id",""",
    "CAST(age AS INT) < 40": "where, or the query, fails on a row of crm.csv",
    "email::date > '2020-01-01'": "TRY_CAST",
    "regexp_matches(email, email || '(')": "TRY(...)",
    "strptime(email, '%Y') > '2020-01-01'": "TRY(...)",
    "email LIKE 'a' ESCAPE 'bb'": "where, on crm.csv is not understood: Invalid escape string",
}


@pytest.mark.parametrize(("where", "words"), BAD_CONDITIONS.items())
@pytest.mark.parametrize("dedupe", [True, False])
async def test_a_condition_that_cannot_be_used(stage: Any, crm: Path, where: str, words: str, dedupe: bool) -> None:  # noqa: FBT001
    """It is refused in a sentence without a value of a row, and nothing is sent."""
    with pytest.raises(ConfigurationError) as caught:
        await stage.upload(crm, where=where, dedupe=dedupe)
    assert words in str(caught.value)
    assert "planted" not in str(caught.value)
    assert caught.value.__context__ is None
    assert stage.amendments == []


async def test_a_value_that_cannot_be_converted_in_the_middle(stage: Any, tmp_path: Path) -> None:
    """Batches that went before it stay counted; the error says what to do, and names no value."""
    path = tmp_path / "crm.csv"
    rows = "".join(f"{number}@b.co,{number}\n" for number in range(300_000))
    path.write_text(f"email,age\n{rows}x@b.co,planted\n")
    with pytest.raises(ConfigurationError, match="TRY_CAST") as caught:
        await stage.upload(path, where="CAST(age AS INT) >= 0", dedupe=False, threads=1)
    assert "planted" not in str(caught.value)
    assert " valid, " in caught.value.__notes__[0]
    assert stage.held


async def test_a_condition_or_a_column_given_twice(stage: Any, crm: Path) -> None:
    """Two that differ contradict each other; a table's own column counts."""
    with pytest.raises(ConfigurationError, match="give it once"):
        await stage.upload(Table.from_file(crm, where="id = 1"), where="id = 2")
    with pytest.raises(ConfigurationError, match="give it once"):
        await stage.upload(Table.from_file(crm, column="alt email"), column="email")
    with pytest.raises(ConfigurationError, match="column"):
        await stage.upload(Table.from_file(crm, column="email"), columns={"email": "email", "madid": "id"})
    await stage.upload(Table.from_file(crm, column="alt email"))
    assert stage.held == {"a2@b.co", "c@b.co", "d@b.co"}


FORMS: dict[str, Callable[[str], str]] = {
    "clear": lambda email: email,
    "shouted": lambda email: f" {email.upper()} ",
    "sha256": lambda email: hash_email(email, HashAlgorithm.SHA256),
    "md5": lambda email: hash_email(email, HashAlgorithm.MD5).upper(),
    "sha256_of_md5": lambda email: hash_email(email, HashAlgorithm.SHA256_OF_MD5),
}


@pytest.mark.parametrize("algorithm", [None, "md5"])
@pytest.mark.parametrize("lane", [list, lambda rows: pl.DataFrame({"email": rows})], ids=["list", "table"])
async def test_opt_outs_match_in_any_form(stage: Any, lane: Callable[[list[str]], object], algorithm: Any) -> None:
    """Whether the list or the opt-outs are hashed, however what is left goes out, in both lanes."""
    pairs = [("clear", form) for form in FORMS] + [(form, "clear") for form in FORMS]
    rows = [FORMS[theirs](f"{number}@b.co") for number, (theirs, _) in enumerate(pairs)]
    opted_out = [FORMS[listed](f"{number}@b.co") for number, (_, listed) in enumerate(pairs)]
    source = lane([*rows, "stays@b.co", "bogus"])
    report = await stage.upload(source, hash=algorithm, suppress=["junk", *opted_out], suppress_strict=False)
    assert stage.held == {"stays@b.co" if algorithm is None else hash_email("stays@b.co", HashAlgorithm.MD5)}
    assert (report.read, report.suppressed, report.sent) == (len(pairs) + 2, len(pairs), 1)
    assert (report.opt_outs, report.unusable_opt_outs) == (len(pairs), 1)


async def test_opt_outs_from_anywhere(stage: Any, tmp_path: Path) -> None:
    """A list, a file, a table, a frame or one of its columns: the same opt-outs."""
    file = tmp_path / "opted out.csv"
    file.write_text("id,email,alt\n1,junk,b@b.co\n2,A@b.co,\n")
    frame = pd.read_csv(file)
    table = Table.from_file(file, column="email", where="id = '2'")
    for suppress in (["a@b.co"], file, table, frame, pl.from_pandas(frame), frame["email"]):
        for source in (["a@b.co", "b@b.co"], pl.DataFrame({"email": ["a@b.co", "b@b.co"]})):
            report = await stage.upload(source, suppress=suppress, suppress_strict=False)
            assert (report.suppressed, report.sent, report.opt_outs) == (1, 1, 1)


async def test_opt_outs_that_cannot_be_read(stage: Any, crm: Path, tmp_path: Path) -> None:
    """Nothing goes out without them, and the message is about their file."""
    opted_out = tmp_path / "optouts.csv"
    opted_out.write_text("email,n\na@b.co,1\n")
    with pytest.raises(ConfigurationError, match=r"on optouts\.csv, names a column"):
        await stage.upload(crm, suppress=Table.from_file(opted_out, where="m = 1"))
    opted_out.write_bytes(gzip.compress(b"email\na@b.co\n")[:-6])
    with pytest.raises(OSError, match=r"optouts\.csv is damaged"):
        await stage.upload(crm, suppress=opted_out)
    assert stage.sandbox.requests == []


async def test_a_digest_and_its_address_are_one(stage: Any) -> None:
    """Hashed, they are the same identifier; in clear, nobody can tell."""
    mixed = [hash_email("a@b.co", HashAlgorithm.MD5), "a@b.co", "A@b.co", "b@b.co"]
    report = await stage.upload(pl.DataFrame({"email": mixed}), hash="md5")
    assert (report.already_hashed, report.duplicates, report.sent) == (1, 2, 2)
    assert (await stage.upload(pl.DataFrame({"email": mixed}))).sent == 3


DUCK = duckdb.connect()
FRAMES: dict[str, Callable[[], object]] = {
    "polars": lambda: pl.DataFrame({"email": EMAILS}),
    "polars, categorical": lambda: pl.DataFrame({"email": pl.Series(EMAILS, dtype=pl.Categorical)}),
    "polars series": lambda: pl.Series("anything", EMAILS),
    "pandas": lambda: pd.DataFrame({"email": EMAILS}, index=[9, 8, 7, 6, 5]),
    "pandas, objects": lambda: pd.DataFrame(
        {"email": pd.Series([*EMAILS[:2], float("nan"), *EMAILS[3:]], dtype=object)}
    ),
    "pandas series": lambda: pd.Series(EMAILS),
    "pyarrow": lambda: pa.table({"n": range(5), "email": EMAILS}),
    "pyarrow, once": lambda: pa.table({"email": EMAILS}).to_reader(max_chunksize=2),
    "pyarrow, dictionary": lambda: pa.table({"email": pa.array(EMAILS).dictionary_encode()}),
    "pyarrow, large": lambda: pa.table({"email": pa.array(EMAILS, pa.large_string())}),
    "pyarrow, views": lambda: pa.table({"email": pa.array(EMAILS, pa.string_view())}),
    "pyarrow column": lambda: pa.chunked_array([EMAILS[:2], EMAILS[2:]]),
    "duckdb": lambda: DUCK.sql(
        "SELECT * FROM (VALUES ('a@b.co'), ('B@b.co '), (NULL), ('planted'), ('a@b.co')) AS t(email)"
    ),
}


@pytest.mark.parametrize("frame", FRAMES.values(), ids=FRAMES)
async def test_data_frames(stage: Any, frame: Callable[[], object]) -> None:
    """All that speaks Arrow is a table, given as it is or as a `Table`."""
    for source in (frame(), Table.from_arrow(frame())):
        report = await stage.upload(source)
        assert stage.held == HELD
        assert report.rejected == {"empty": 1, "no_at_sign": 1}
        assert report.duplicates == 1


async def test_a_query(stage: Any, crm: Path) -> None:
    """Its result is the table; it sees files, and no variable of ours."""
    query = f"SELECT lower(\"alt email\") AS mail FROM '{crm}' -- those;"  # noqa: S608 - the path is ours
    await stage.upload(Table.from_query(query), column="mail")
    assert stage.held == {"a2@b.co", "c@b.co", "d@b.co"}
    for query in ("SELECT * FROM plan", "SELECT 'a@b.co' AS email; SELECT 1", "DROP TABLE x", "SELECT (1"):
        with pytest.raises(ConfigurationError, match="not understood"):
            await stage.upload(Table.from_query(query))


NO_SELECT = {
    "SELECT 'planted@b.co' AS email; SELECT 1": "it holds 2 statements. Expected one SELECT",
    "SELECT 1) ; COPY (SELECT 1) TO '{out}'; SELECT * FROM (SELECT 1": "syntax error",
    "COPY (SELECT 1) TO '{out}'": "it is no SELECT",
    "SELECT 1; INSTALL httpfs": "is not understood",
    "INSTALL httpfs": "it is no SELECT",
    "ATTACH '{out}'": "it is no SELECT",
    "PRAGMA enable_profiling": "is not understood",
    "CALL enable_logging(storage = 'file', storage_path = '{out}')": "it is no SELECT",
    "FROM enable_logging(storage = 'file', storage_path = '{out}')": 'reads from "enable_logging"',
    "SELECT (SELECT count(*) FROM enable_profiling()) AS email": 'reads from "enable_profiling"',
    "FROM query('SELECT 1')": 'reads from "query"',
    "FROM json_execute_serialized_sql('x')": 'reads from "json_execute_serialized_sql"',
    "FROM arrow_scan(1, 2, 3)": 'reads from "arrow_scan"',
    "SET memory_limit = '1GB'": "it is no SELECT",
    "-- nothing": "Expected one SELECT",
}


@pytest.mark.parametrize(("query", "words"), NO_SELECT.items())
async def test_a_query_is_one_select(stage: Any, tmp_path: Path, query: str, words: str) -> None:
    """Nothing else runs, neither first nor behind it, and nothing is written or sent."""
    place = tmp_path / "place"
    place.mkdir()
    for table in (Table.from_query(query.format(out=place / "x")),):
        with pytest.raises(ConfigurationError, match=words) as caught:
            await stage.upload(table)
        with pytest.raises(ConfigurationError, match=words):
            await stage.upload(["a@b.co"], suppress=table)
        assert "planted" not in str(caught.value)
    assert list(place.iterdir()) == []
    assert stage.sandbox.requests == []


@pytest.mark.parametrize("address", ["https://nowhere.invalid/crm.csv", "s3://bucket/crm.parquet", "az://crm.parquet"])
async def test_a_query_sees_no_file_elsewhere(stage: Any, address: str) -> None:
    """Its process loads nothing that could fetch it, and says what to do, without the address."""
    with pytest.raises(OSError, match="sees this machine's files only: fetch it first") as caught:
        await stage.upload(Table.from_query(f"SELECT email FROM '{address}'"))  # noqa: S608 - a test's
    assert address not in str(caught.value)


async def test_a_query_of_many_clauses(stage: Any, crm: Path) -> None:
    """All that one SELECT may hold is run."""
    query = (
        f"WITH known AS (FROM read_csv('{crm}') SELECT trim(lower(email)) AS mail, country) "  # noqa: S608 - a test's
        "SELECT mail AS email FROM known WHERE country IN (SELECT unnest(['DE', 'FR'])) AND mail LIKE '%@%' "
        "QUALIFY row_number() OVER (PARTITION BY mail) = 1 UNION BY NAME VALUES ('c@b.co') ORDER BY ALL;"
    )
    await stage.upload(Table.from_query(query.replace("VALUES ('c@b.co')", "SELECT 'c@b.co' AS email")))
    assert stage.held == {*HELD, "c@b.co"}


REFUSED_COLUMNS = {
    "BIGINT": pa.array([15550001111]),
    "DOUBLE": pa.array([1.5]),
    "BOOLEAN": pa.array([True]),
    "BLOB": pa.array([b"planted@b.co"]),
    "lists": pa.array([["planted@b.co"]]),
    "STRUCT": pa.array([{"planted": "planted@b.co"}]),
    "TIMESTAMP": pa.array([1], pa.timestamp("us")),
}


@pytest.mark.parametrize(("held", "values"), REFUSED_COLUMNS.items())
async def test_a_column_of_anything_but_text_is_no_column_of_emails(stage: Any, held: str, values: Any) -> None:
    """The message names what it holds instead."""
    with pytest.raises(ConfigurationError, match=f"Column 'email' of the Table holds {held}, not text"):
        await stage.upload(pa.table({"email": values, "n": [1]}))
    assert stage.sandbox.requests == []


@pytest.fixture
def retail(stage: Any) -> Callable[..., Any]:
    """Uploads customer ids to Retail Media."""
    segment_id = stage.sandbox.add_contact_list(service="retail-media")

    async def upload(source: object) -> frozenset[str]:
        await stage.criteo.retail_media.upload_contact_list(
            segment_id, source, identifier_type="customer_id", column="id"
        )
        return stage.sandbox.contact_list(segment_id).identifiers

    return upload


@pytest.mark.parametrize("kind", [pa.int64(), pa.uint8(), pa.decimal128(18, 0), pa.string()], ids=str)
async def test_customer_ids_may_be_whole_numbers(retail: Any, kind: pa.DataType) -> None:
    """They go out as they would be written."""
    assert await retail(pa.table({"id": pa.array(["1", "22", None]).cast(kind)})) == {"1", "22"}


async def test_customer_ids_may_hold_what_json_escapes(retail: Any) -> None:
    """Quotes and backslashes arrive."""
    assert await retail(pl.DataFrame({"id": ['a"b', "c\\d", "é"]})) == {'a"b', "c\\d", "é"}


async def test_customer_ids_must_not_be_fractions(retail: Any) -> None:
    """Pandas makes them of integers where one is missing: `1.0` would be nobody's id."""
    with pytest.raises(ConfigurationError, match="DOUBLE, not text or whole numbers"):
        await retail(pd.DataFrame({"id": [1, None]}))


class Broken:
    """Exports no Arrow after all."""

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        raise ValueError("planted@b.co")


@pytest.mark.parametrize(
    "source",
    [
        Broken(),
        pd.DataFrame({"email": pd.Series(["planted@b.co", 5], dtype=object)}),
    ],
    ids=["any object", "mixed types"],
)
async def test_a_frame_that_cannot_be_handed_over(stage: Any, source: object) -> None:
    """The message says so, and shows nothing of what the object said."""
    with pytest.raises(ConfigurationError, match="cannot be handed over as Arrow") as caught:
        await stage.upload(source)
    assert "planted" not in str(caught.value)
    assert caught.value.__context__ is None
    assert stage.amendments == []


async def test_two_columns_of_one_name(stage: Any) -> None:
    """All of them are read; names that differ in case are two."""
    report = await stage.upload(pa.table([["a@b.co"], ["c@b.co"]], names=["email", "email"]), column="email")
    assert (report.valid, stage.held) == (2, {"a@b.co", "c@b.co"})
    await stage.upload(pa.table([["a@b.co"], ["b@b.co"]], names=["email", "Email"]), column="Email")
    assert stage.held == {"a@b.co", "b@b.co", "c@b.co"}


@pytest.mark.parametrize("asked", ["email", "Email"])
async def test_names_that_differ_in_case(stage: Any, tmp_path: Path, asked: str) -> None:
    """The one asked for is read, where the engine can tell them apart; of JSON it cannot."""
    frame = pl.DataFrame({"email": ["first@b.co"], "n": ["1"], "Email": ["second@b.co"]})
    frame.write_parquet(tmp_path / "crm.parquet")
    frame.write_csv(tmp_path / "crm.csv")
    frame.write_ndjson(tmp_path / "crm.jsonl")
    for source in (tmp_path / "crm.parquet", tmp_path / "crm.csv", frame):
        report = await stage.upload(source, column=asked, where="column_1 <> column_3 AND n = '1'")
        assert report.columns == (asked,)
        assert report.valid == 1
    assert stage.held == {{"email": "first@b.co", "Email": "second@b.co"}[asked]}
    with pytest.raises(ConfigurationError, match="differ in case only"):
        await stage.upload(tmp_path / "crm.jsonl", column=asked)


async def test_without_duckdb(stage: Any, monkeypatch: pytest.MonkeyPatch, crm: Path) -> None:
    """A table needs the extra, and is never iterated over instead."""
    monkeypatch.setitem(sys.modules, "duckdb", None)
    for source in (crm, pl.DataFrame({"email": EMAILS}), pd.DataFrame({"email": EMAILS}), pd.Series(EMAILS)):
        with pytest.raises(ConfigurationError, match=r"criteo-audiences\[files\]"):
            await stage.upload(source)
    with pytest.raises(ConfigurationError, match=r"criteo-audiences\[files\]"):
        await stage.upload(["a@b.co"], suppress=pd.DataFrame({"email": EMAILS}))
    assert stage.sandbox.requests == []


async def test_a_dry_run_knows_everything_but_the_answers(stage: Any, crm: Path) -> None:
    """Nothing is called but one search for the segment."""
    report = await stage.upload(crm, dry_run=True, dedupe=False, batch_size=2)
    assert (report.pending, report.batches, report.read) == (3, 2, 5)
    assert len(stage.calls) == 1
    assert stage.amendments == []


def test_a_second_event_loop(crm: Path) -> None:
    """Nothing of an upload belongs to a loop that has ended, nor does the table."""
    table = Table.from_file(crm)

    async def upload() -> frozenset[str]:
        async with Sandbox() as sandbox, CriteoClient(sandbox.credentials, base_url=sandbox.url) as criteo:
            segment_id = sandbox.add_contact_list()
            await criteo.marketing_solutions.upload_contact_list(segment_id, table, hash=None)
            return sandbox.contact_list(segment_id).identifiers

    assert [asyncio.run(upload()) for _ in range(2)] == [HELD, HELD]


async def test_two_uploads_at_the_same_time(stage: Any, crm: Path) -> None:
    """Each has an engine of its own."""
    frame = pl.DataFrame({"email": ["c@b.co"]})
    reports = await asyncio.gather(*(stage.upload(source) for source in (crm, frame, crm, frame)))
    assert [report.valid for report in reports] == [2, 1, 2, 1]
    assert stage.held == HELD | {"c@b.co"}
