"""A file that exists under a name is that file and nothing else, wherever a path is taken; directories are read as data."""

import gzip
import io
import os
import sys
import tempfile
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from criteo_audiences import ConfigurationError, SourceChangedError, Table
from criteo_audiences.tables.engine.opening import open_table

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

MINE, NEIGHBOR, FREE = "mine@b.co", "neighbor@b.co", "free@b.co"

ODD_NAMES = {  # each with a neighbor that a pattern of that name would match
    "export[1].csv": "export1.csv",
    "a*b.csv": "axxb.csv",
    "q?.csv": "q1.csv",
    "{a,b}.csv": "a.csv",
    "[!x].csv": "y.csv",
    "**": "anything",
    "tr[.csv": "tr.csv",
    "back\\slash.csv": "backslash.csv",
    "back\\[1].csv": "back[1].csv",
    "\\*.csv": "star.csv",
    "-dash.csv": "dash.csv",
    "it's.csv": "its.csv",
    'a"b.csv': "ab.csv",
    "new\nline.csv": "new line.csv",
    " spaces .csv": "spaces.csv",
    "Käufer 日本.csv": "Kaufer.csv",
    "Ka\u0308ufer.csv": "K\u00e4ufer.csv",
    "k=v.csv": "k.csv",
    "~tilde.csv": "tilde.csv",
    "$HOME.csv": "HOME.csv",
    "%41.csv": "A.csv",
    "a;b,c.csv": "abc.csv",
    "export[1].csv.gz": "export1.csv.gz",
    "no suffix?": "no suffix1",
}


def csv(address: str) -> bytes:
    """A table in delimited text."""
    return f"id,email\n1,{address}\n".encode()


def parquet(address: str) -> bytes:
    """A table in Parquet."""
    content = io.BytesIO()
    pl.DataFrame({"id": [1], "email": [address]}).write_parquet(content)
    return content.getvalue()


FORMATS: dict[str, Callable[[str], bytes]] = {
    "csv": csv,
    "csv, gzip": lambda address: gzip.compress(csv(address)),
    "csv, zstd": lambda address: zstd.compress(csv(address)),
    "csv, cp1252": lambda address: csv(address) + "2,Jos\u00e9\n".encode("cp1252"),
    "json": lambda address: f'{{"id": 1, "email": "{address}"}}\n'.encode(),
    "json, gzip": lambda address: gzip.compress(f'{{"email": "{address}"}}\n'.encode()),
    "parquet": parquet,
}


def written(paths: Iterable[Path], content: Callable[[str], bytes]) -> dict[str, Path]:
    """Writes files with an address each, and returns them by their addresses."""
    files = {f"{number}@b.co": path for number, path in enumerate(paths)}
    for address, path in files.items():
        path.write_bytes(content(address))
    return files


@pytest.mark.parametrize("content", [FORMATS["csv"], FORMATS["json, gzip"], FORMATS["parquet"]])
async def test_files_with_odd_names_are_these_files(
    stage: Any, tmp_path: Path, content: Callable[[str], bytes]
) -> None:
    """In one list, as a source and as opt-outs of both lanes, next to files that their names would match."""
    other = content(NEIGHBOR)
    for neighbor in ODD_NAMES.values():
        (tmp_path / neighbor).write_bytes(other)
    files = written(map(tmp_path.joinpath, ODD_NAMES), content)
    table = Table.from_file(files.values())
    assert (await stage.upload(table, operation="add")).read == len(files)
    assert stage.held == set(files)
    addresses = [*files, NEIGHBOR]
    for source in (addresses, pl.DataFrame({"email": addresses})):
        report = await stage.upload(source, suppress=table)
        assert (report.opt_outs, report.suppressed, report.sent) == (len(files), len(files), 1)


@pytest.mark.parametrize("name", ODD_NAMES, ids=ascii)
def test_an_odd_name_is_one_path(tmp_path: Path, name: str) -> None:
    """As a path, as a str or in a list, next to files that it would match."""
    for each in (*ODD_NAMES, *ODD_NAMES.values()):
        (tmp_path / each).touch()
    path = tmp_path / name
    for described in (path, str(path), [path], [str(path)]):
        assert Table.from_file(described).paths == (str(path),)


async def test_a_path_with_an_odd_name_is_a_source(stage: Any, tmp_path: Path) -> None:
    """By itself, as opt-outs, and as both at once."""
    for name, address in {"export[1].csv": MINE, "export1.csv": NEIGHBOR}.items():
        (tmp_path / name).write_bytes(csv(address))
    path = tmp_path / "export[1].csv"
    await stage.upload(path)
    assert stage.held == {MINE}
    assert (await stage.upload([MINE, NEIGHBOR], suppress=path)).suppressed == 1
    assert (await stage.upload(path, suppress=path)).sent == 0


@pytest.mark.parametrize("dedupe", [True, False])
@pytest.mark.parametrize("content", FORMATS.values(), ids=FORMATS)
async def test_every_format_under_an_odd_name(
    stage: Any,
    tmp_path: Path,
    content: Callable[[str], bytes],
    dedupe: bool,  # noqa: FBT001 - parametrized
) -> None:
    """Packed, in another encoding, with batches going out at once, and in a directory of an odd name."""
    names = ["export[1].csv", "a*b.csv", "odd\n'{x}?\\"]
    places = [tmp_path / "plain", tmp_path / "dir[1]"]
    other = content(NEIGHBOR)
    for place in (*places, tmp_path / "dir1"):
        place.mkdir()
        for neighbor in ("export1.csv", "axb.csv", "odd\n'{x}1\\", *names):
            (place / neighbor).write_bytes(other)
    files = written([place / name for place in places for name in names], content)
    report = await stage.upload(Table.from_file(files.values()), dedupe=dedupe)
    assert (report.sent, stage.held) == (len(files), set(files))


async def test_a_relative_path_is_a_file_below_the_working_directory(
    stage: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever it begins with, as long as the file is there."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a").mkdir()
    paths = ["-dash.csv", "s3:/x.csv", "./file:/x.csv", "s3://y.csv", "~/x.csv", "a/../x.csv", "a//x"]
    for path in paths:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        assert not Path(path).exists()
        Path(path).touch()
        assert len(Table.from_file(path).paths) == 1
    files = written(map(Path, paths), csv)
    await stage.upload(Table.from_file(paths))
    assert stage.held == set(files)
    report = await stage.upload([*files, FREE], suppress=Table.from_file(paths))
    assert (report.suppressed, report.sent) == (len(files), 1)


async def test_a_link_is_what_it_points_to(stage: Any, tmp_path: Path) -> None:
    """Also one that leads out of the directory, and `..` behind a link, as the system resolves them."""
    (tmp_path / "far" / "deep").mkdir(parents=True)
    (tmp_path / "far" / "x.csv").write_bytes(csv(MINE))
    (tmp_path / "x.csv").write_bytes(csv(NEIGHBOR))
    (tmp_path / "link").symlink_to(tmp_path / "far" / "deep")
    (tmp_path / "alias[1].csv").symlink_to("far/x.csv")
    for path in (tmp_path / "link" / ".." / "x.csv", tmp_path / "alias[1].csv"):
        await stage.upload(path)
    assert stage.held == {MINE}


@given(name=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/\0"), min_size=1, max_size=20))
@settings(max_examples=settings.default.max_examples * 2 // 5)
def test_no_name_is_a_pattern_to_the_engine(name: str, tmp_path: Path) -> None:
    """Whatever its signs, `literal_path` leads to the file of that name, beside one that it might match."""
    from criteo_audiences.tables.files.paths import literal_path  # noqa: PLC0415 - this test's alone

    if name in {".", ".."} or len(name.encode()) > 200:
        return
    place, workspace = Path(tempfile.mkdtemp(dir=tmp_path)), Path(tempfile.mkdtemp(dir=tmp_path))
    others = {"".join(sign if sign.isalnum() else "x" for sign in name), "a", "x1"} - {name}
    for other in others:
        (place / other).write_text("email\nneighbor\n")
    (place / name).write_text("email\nmine\n")
    path = literal_path(place / name, workspace).replace("'", "''")
    with duckdb.connect() as connection:
        query = f"SELECT * FROM read_csv('{path}', header = true, delim = ',')"  # noqa: S608 - it is a test of that
        assert connection.execute(query).fetchall() == [("mine",)]


async def test_a_temporary_directory_with_an_odd_name(
    stage: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Plain names are read all the same; where a link would be needed, a sentence says what to change."""
    for name, content in (("plain.csv", csv), ("odd[1].csv", csv)):
        (tmp_path / name).write_bytes(content(MINE))
    odd = tmp_path / "tmp[1]"
    odd.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(odd))
    await stage.upload(tmp_path / "plain.csv")
    assert stage.held == {MINE}
    with pytest.raises(ConfigurationError, match="let TMPDIR name another one"):
        await stage.upload(tmp_path / "odd[1].csv")


async def test_a_directory_before_a_pattern_is_no_pattern(stage: Any, tmp_path: Path) -> None:
    """Where it exists under the name that is given."""
    for name, address in {"d[1]": MINE, "d1": NEIGHBOR}.items():
        (tmp_path / name / "below[2]").mkdir(parents=True)
        (tmp_path / name / "below[2]" / "x.csv").write_bytes(csv(address))
    for pattern in ("d[1]/*/*.csv", "d[1]/below[2]/*.csv", "d[1]/*/", "d[1]/**/*.csv", "d[1]/../d[1]/**"):
        await stage.upload(Table.from_file(f"{tmp_path}/{pattern}", column="email"))
        assert stage.held == {MINE}, pattern
    with pytest.raises(FileNotFoundError, match="none that it matches as a pattern"):
        Table.from_file(f"{tmp_path}/d[1]/*.tsv")


async def test_a_pattern_is_expanded_once(stage: Any, tmp_path: Path) -> None:
    """What it matches may have names that are patterns themselves."""
    for name, address in {"e[1].csv": MINE, "e1.csv": NEIGHBOR, "e[2].csv": FREE, "e2.csv": "x@b.co"}.items():
        (tmp_path / name).write_bytes(csv(address))
    await stage.upload(Table.from_file(tmp_path / "e[[]*.csv"))
    assert stage.held == {MINE, FREE}


# Directories named like columns


def consenting(tmp_path: Path) -> Path:
    """A file below `consent=yes` whose row says no."""
    place = tmp_path / "consent=yes"
    place.mkdir()
    (place / "crm.csv").write_text(f"email,consent\n{MINE},no\n{FREE},yes\n")
    (place / "crm.jsonl").write_text(f'{{"email":"{MINE}","consent":"no"}}\n{{"email":"{FREE}","consent":"yes"}}\n')
    pl.read_csv(place / "crm.csv").write_parquet(place / "crm.parquet")
    return place


@pytest.mark.parametrize("name", ["crm.csv", "crm.jsonl", "crm.parquet"])
async def test_what_stands_in_the_file_counts(stage: Any, tmp_path: Path, name: str) -> None:
    """A directory named `column=value` is a directory, for sources and opt-outs."""
    path = consenting(tmp_path) / name
    await stage.upload(path, where="consent = 'yes'")
    assert stage.held == {FREE}
    opt_outs = Table.from_file(path, where="consent = 'no'")
    assert (await stage.upload([MINE, FREE], suppress=opt_outs)).suppressed == 1


LAKE = {"country=FR/a.parquet": MINE, "country=US%2F*/b.parquet": FREE, "country=[x]/c.parquet": "x@b.co"}


def lake(tmp_path: Path, files: dict[str, str] = LAKE) -> Path:
    """A lake of Parquet files, each with one address."""
    for name, address in files.items():
        path = tmp_path / "cut=1" / "lake" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pl.DataFrame({"email": [address]}).write_parquet(path)
    return tmp_path / "cut=1" / "lake"


@pytest.mark.parametrize(
    ("where", "held"),
    [
        ("country = 'FR'", {MINE}),
        ("country = 'US/*'", {FREE}),
        ("country = '[x]'", {"x@b.co"}),
        ("country IS NOT NULL", set(LAKE.values())),
    ],
)
async def test_partitions_are_columns_when_asked_for(
    stage: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str, held: set[str]
) -> None:
    """By the table or by the upload, as texts, whatever signs the values hold."""
    monkeypatch.chdir(lake(tmp_path).parent)
    await stage.upload(Table.from_file("lake", hive_partitioning=True), where=where)
    await stage.upload(Path("lake"), hive_partitioning=True, where=where)
    assert stage.held == held


async def test_partitions_are_columns_only_when_asked_for(
    stage: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And only those in the part of the path that is given."""
    monkeypatch.chdir(lake(tmp_path).parent)
    with pytest.raises(ConfigurationError, match='not there: "cut"'):
        await stage.upload(Path("lake"), hive_partitioning=True, where="cut = '1'")
    with pytest.raises(ConfigurationError, match='not there: "country"'):
        await stage.upload(Path("lake"), where="country = 'FR'")


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"email=x/a.parquet": MINE}, "The column 'email' is in the files of lake and in the names of its directories"),
        ({"Email=x/a.parquet": MINE}, "The column 'Email' is in the files of lake"),
        ({"x=1/a.parquet": MINE, "y=1/b.parquet": FREE}, "Directories of lake name different columns: 'x' and 'y'"),
        ({"x=1/a.parquet": MINE, "b.parquet": FREE}, "Directories of lake name different columns: none and 'x'"),
    ],
)
async def test_partitions_that_contradict_each_other(
    stage: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, str], words: str
) -> None:
    """A column of the files is never replaced, and every file has the same ones."""
    monkeypatch.chdir(lake(tmp_path, files).parent)
    with pytest.raises(ConfigurationError, match=words):
        await stage.upload(Path("lake"), hive_partitioning=True)
    assert stage.sandbox.requests == []


async def test_partitions_are_for_parquet(stage: Any, tmp_path: Path) -> None:
    """Other formats, and an iterable, are told so."""
    with pytest.raises(ConfigurationError, match=r"hive_partitioning is about Parquet files; crm\.csv is none"):
        await stage.upload(consenting(tmp_path) / "crm.csv", hive_partitioning=True)
    with pytest.raises(ConfigurationError, match="hive_partitioning is about Parquet files; an iterable has no"):
        await stage.upload([MINE], hive_partitioning=True)
    with pytest.raises(ConfigurationError, match="hive_partitioning must be True or False, not str"):
        Table.from_file(tmp_path, hive_partitioning="no")  # type: ignore[arg-type]


# Directories


async def test_parts_that_begin_with_a_mark_are_no_data(stage: Any, tmp_path: Path) -> None:
    """Temporary and hidden files are left out of a directory and of a pattern, and the report says how many."""
    content = parquet(NEIGHBOR)
    for name in ("_temporary/0/a.parquet", ".hidden.parquet", "._a.parquet", "_SUCCESS", "x/_tmp/b.parquet", ".git/c"):
        (tmp_path / "lake" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "lake" / name).write_bytes(content)
    (tmp_path / "lake" / "x" / "part-000").write_bytes(parquet(MINE))
    (tmp_path / "lake" / "empty").touch()
    report = await stage.upload(tmp_path / "lake")
    assert stage.held == {MINE}
    (note,) = report.notes
    assert note == "7 files in lake skipped: 1 empty, 6 hidden or temporary (a part of the path begins with _ or .)"
    assert report.to_dict()["notes"] == [note]
    assert (await stage.upload(Table.from_file(tmp_path / "lake" / "**" / "*a*"))).read == 1
    assert stage.held == {MINE}


async def test_formats_are_told_by_content(stage: Any, tmp_path: Path) -> None:
    """Whatever the files of a directory are called, they are read."""
    for number, name in enumerate(["B.PARQUET", "c.parq", "part-000", "d.parquet", "sub/e"]):
        (tmp_path / "lake" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "lake" / name).write_bytes(parquet(f"{number}@b.co"))
    assert (await stage.upload(tmp_path / "lake")).read == 5
    assert len(stage.held) == 5


@pytest.mark.parametrize("content", [csv, FORMATS["csv, gzip"], FORMATS["json"]])
async def test_a_directory_of_text(stage: Any, tmp_path: Path, content: Callable[[str], bytes]) -> None:
    """Files of one format and one header are one table, in alphabetical order; as opt-outs, too."""
    (tmp_path / "in" / "sub").mkdir(parents=True)
    for name, address in {"b": MINE, "a.txt": NEIGHBOR, "sub/c": FREE}.items():
        (tmp_path / "in" / name).write_bytes(content(address))
    assert (await stage.upload(tmp_path / "in")).read == 3
    report = await stage.upload([MINE, NEIGHBOR, FREE, "stays@b.co"], suppress=tmp_path / "in")
    assert (report.suppressed, report.sent) == (3, 1)


@pytest.mark.parametrize(
    ("files", "words"),
    [
        (
            {"a.parquet": parquet(MINE), "b.csv": csv(FREE)},
            "place holds files of several formats: 1 of Parquet and 1 of other text",
        ),
        ({"a": parquet(MINE), "b": b'{"email": "x@b.co"}\n'}, "several formats: 1 of JSON lines and 1 of Parquet"),
        ({"a": csv(MINE), "b": b'{"email": "x@b.co"}\n'}, "several formats: 1 of JSON lines and 1 of other text"),
        ({"a": csv(MINE), "b": b"email,id\nx@b.co,1\n"}, "b in place has other columns than a"),
        ({"a": csv(MINE), "b.xlsx": b"PK\x03\x04xx"}, "In the directory place: b.xlsx is an Excel workbook"),
        (
            {"_SUCCESS": b""},
            r"place is a directory without Parquet, CSV or JSON lines \(1 file in place skipped: 1 hidden",
        ),
        ({}, "place is a directory without Parquet, CSV or JSON lines; expected"),
    ],
)
async def test_a_directory_that_is_not_one_table(
    stage: Any, tmp_path: Path, files: dict[str, bytes], words: str
) -> None:
    """It is refused with what is in it, and nothing is sent."""
    (tmp_path / "place").mkdir()
    for name, content in files.items():
        (tmp_path / "place" / name).write_bytes(content)
    for options in ({}, {"suppress": tmp_path / "place"}):
        with pytest.raises(ConfigurationError, match=words):
            await stage.upload([MINE] if options else tmp_path / "place", **options)
    assert stage.sandbox.requests == []


@pytest.mark.parametrize(
    ("log", "words"),
    [
        ("_delta_log/0.json", "'lake' is a Delta table"),
        (".hoodie/hoodie.properties", "'lake' is a Hudi table"),
        ("metadata/v1.metadata.json", "'lake' is an Iceberg table"),
    ],
)
async def test_a_table_with_a_log_of_its_own_is_refused(stage: Any, tmp_path: Path, log: str, words: str) -> None:
    """Its log says which files count: as a directory, around it, a part of it, by a pattern, by name, as opt-outs."""
    root = tmp_path / "lake"
    (root / "data" / "day=1").mkdir(parents=True)
    (root / "data" / "day=1" / "a.parquet").write_bytes(parquet(MINE))
    (root / log).parent.mkdir()
    (root / log).touch()
    day = root / "data" / "day=1"
    for path in (root, tmp_path, root / "data", day, root / "data" / "*" / "*.parquet", day / "a.parquet"):
        with pytest.raises(ConfigurationError, match=words):
            await stage.upload(path)
    (root / "day=2").mkdir()  # as in a table that was migrated in place
    (root / "day=2" / "a.parquet").write_bytes(parquet(MINE))
    for path in (root, day / "a.parquet", root / "day=2", root / "day=2" / "a.parquet"):
        with pytest.raises(ConfigurationError, match="own reader, such as Table"):
            await stage.upload([MINE], suppress=path)
    assert stage.sandbox.requests == []


async def test_a_directory_that_contains_itself(stage: Any, tmp_path: Path) -> None:
    """Links to directories are followed, each directory once."""
    (tmp_path / "in").mkdir()
    (tmp_path / "far").mkdir()
    (tmp_path / "in" / "a.csv").write_bytes(csv(MINE))
    (tmp_path / "far" / "b.csv").write_bytes(csv(FREE))
    (tmp_path / "in" / "loop").symlink_to(tmp_path / "in")
    (tmp_path / "in" / "far").symlink_to(tmp_path / "far")
    assert (await stage.upload(tmp_path / "in")).read == 2


# Files that change


def replaced(path: Path) -> None:
    """Another export under the same name, with the columns in another order."""
    other = path.with_name("other")
    other.write_text("Sales Agent,email\nagent@b.co,customer@b.co\n" * 10)
    other.replace(path)


def appended(path: Path) -> None:
    """More rows at the end."""
    with path.open("a") as file:
        file.write("more@b.co,x\n")


def rewritten(path: Path) -> None:
    """As many bytes in the same file, later."""
    path.write_bytes(path.read_bytes().swapcase())
    os.utime(path, ns=(1, 1))


CHANGES = (replaced, appended, rewritten)


def after_look(monkeypatch: pytest.MonkeyPatch, change: Callable[[], object]) -> None:
    """Changes something between the look at a table and its reading."""

    def look(*arguments: Any, **options: Any) -> Any:
        opened = open_table(*arguments, **options)
        change()
        return opened

    monkeypatch.setattr("criteo_audiences.tables.reader.open_table", look)


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("dedupe", [True, False])
@pytest.mark.parametrize("place", ["file", "directory", "pattern"])
async def test_a_file_that_changes_after_the_look(
    stage: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[Path], None],
    dedupe: bool,  # noqa: FBT001 - parametrized
    place: str,
) -> None:
    """Where all rows are read first nothing is sent; otherwise the note says what went out."""
    path = tmp_path / "in" / "crm.csv"
    path.parent.mkdir()
    path.write_text("email,Sales Agent\n" + "customer@b.co,agent@b.co\n" * 10)
    source = {"file": path, "directory": path.parent, "pattern": path.parent / "*.csv"}[place]
    after_look(monkeypatch, lambda: change(path))
    with pytest.raises(SourceChangedError, match=r"^crm\.csv changed while it was read") as caught:
        await stage.upload(source, dedupe=dedupe)
    assert caught.value.__notes__[0].startswith("The upload stopped early: ")
    assert not (dedupe and stage.held)
    assert "b.co" not in str(caught.value) + caught.value.__notes__[0]


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize(
    "source", [["customer@b.co"], pl.DataFrame({"email": ["customer@b.co"]})], ids=["list", "table"]
)
async def test_opt_outs_that_change(
    stage: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Path], None], source: object
) -> None:
    """Nothing is sent by a list of opt-outs that may have been read wrongly, in either lane."""
    path = tmp_path / "crm.csv"
    path.write_text("email,Sales Agent\n" + "customer@b.co,agent@b.co\n" * 10)
    after_look(monkeypatch, lambda: change(path))
    monkeypatch.setattr("criteo_audiences.tables.engine.rules.open_table", open_table)
    with pytest.raises(SourceChangedError, match=r"^crm\.csv changed"):
        await stage.upload(source, suppress=path)
    assert not stage.held


async def test_what_went_out_of_a_file_that_changed(
    stage: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Batches in flight come back first; the stream's report has them, and the journal is not complete."""
    path = tmp_path / "crm.csv"
    path.write_text("email\n" + "".join(f"{number}@b.co\n" for number in range(1_000)))
    after_look(monkeypatch, lambda: os.utime(path, ns=(1, 1)))
    lists = stage.criteo.marketing_solutions
    options = {"hash": None, "dedupe": False, "batch_size": 100, "journal": tmp_path / "j"}
    results = None
    with pytest.raises(SourceChangedError):
        async with lists.stream_contact_list(stage.segment_id, path, **options) as results:
            assert [result.ok async for result in results] == [True] * 10
    assert results is not None
    assert (results.report.sent, results.report.unknown, results.resumable) == (1_000, 0, True)


async def test_a_file_replaced_once_it_is_read(stage: Any, tmp_path: Path) -> None:
    """While batches of what was read go out, the next export may take its place."""
    path = tmp_path / "crm.csv"
    path.write_bytes(csv(MINE))
    stage.sandbox.fail_next(delay=0.2)
    report = await stage.upload(path, on_progress=lambda progress: progress.share_staged == 1.0 and replaced(path))
    assert report.ok
    assert stage.held == {MINE}


# The engine


async def test_the_engine_reads_no_other_file(tmp_path: Path) -> None:
    """Neither by SQL nor through a link in its own directory; it loads nothing and reaches nobody."""
    from criteo_audiences.tables.engine.connection import connect  # noqa: PLC0415 - this test's alone

    mine, other, workspace = tmp_path / "mine.csv", tmp_path / "other.csv", tmp_path / "w"
    workspace.mkdir()
    for path in (mine, other):
        path.write_bytes(csv(MINE))
    (workspace / "link.csv").symlink_to(other)
    with connect(workspace, threads=1, memory_limit="100MB", files=[mine]) as engine:
        assert len(engine.read_csv(str(mine)).fetchall()) == 1
        for statement in (
            f"FROM read_csv('{other}')",
            f"FROM read_text('{workspace / 'link.csv'}')",
            f"FROM glob('{tmp_path}/*')",
            f"COPY (SELECT 1) TO '{tmp_path / 'out.csv'}'",
            f"ATTACH '{tmp_path / 'x.db'}'",
            "INSTALL httpfs",
            "LOAD httpfs",
            "SELECT * FROM read_csv('https://example.com/x.csv')",
            "SET enable_external_access = true",
            "SET allowed_paths = ['/etc/passwd']",
        ):
            with pytest.raises(duckdb.Error):
                engine.execute(statement).fetchall()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.csv", "other.csv", "w"]


def test_the_engine_prints_nothing(tmp_path: Path) -> None:
    """It would print a bar of its progress on standard output, where it takes the process for a prompt or a notebook."""
    from criteo_audiences.tables.engine.connection import connect  # noqa: PLC0415 - this test's alone

    with connect(tmp_path, threads=1, memory_limit="100MB", files=[]) as engine:
        assert engine.execute("SELECT current_setting('enable_progress_bar_print')").fetchone() == (False,)


# Files that are written


async def test_a_path_that_ends_with_a_slash_is_a_directory(
    stage: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For a journal it is made, for its owner only, when the upload begins; a file of rejects needs a name."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for given_path, place in ((f"{tmp_path}/a/b/", tmp_path / "a" / "b"), ("~/c/", tmp_path / "c")):
        await stage.upload([MINE], journal=given_path)
        assert [path.suffix for path in place.iterdir() if not path.name.startswith(".")] == [".journal"]
        assert place.stat().st_mode & 0o777 == 0o700
    for refused in ({"suppress": ["no address"]}, {"suppress": tmp_path / "nowhere.csv"}, {"dry_run": True}):
        with suppress(ConfigurationError, FileNotFoundError):
            await stage.upload([MINE], journal=f"{tmp_path}/new/", **refused)
    for path in (f"{tmp_path}/new/", tmp_path, f"{tmp_path}/"):
        with pytest.raises(ConfigurationError, match="rejects must name a new file, not a directory"):
            await stage.upload([MINE], rejects=path)
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="journal names a directory that cannot be made: File exists"):
        await stage.upload([MINE], journal=f"{tmp_path}/file/")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("option", ["journal", "rejects"])
@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("s3://bucket/x", r"{} is an address in an object store \(s3://\)"),
        ("https://example.com/x", r"{} is an address in the web"),
        ("a\0b", "{} holds a NUL character"),
    ],
)
async def test_a_place_where_nothing_can_be_written(stage: Any, option: str, path: str, words: str) -> None:
    """An address is no file of this machine."""
    with pytest.raises(ConfigurationError, match=words.format(option)):
        await stage.upload([MINE], **{option: path})
    assert stage.sandbox.requests == []


@pytest.mark.parametrize("name", ["r[1].csv", "r*.csv", "-r?.csv", "it's {r}.csv"])
async def test_what_is_written_under_an_odd_name(stage: Any, tmp_path: Path, name: str) -> None:
    """Rejects and a journal have exactly the name that was given."""
    await stage.upload([MINE, "x"], rejects=tmp_path / name, journal=tmp_path / f"j{name}")
    found = {path.name for path in tmp_path.iterdir() if not path.name.startswith(".")}
    assert found == {name, f"j{name}"}
