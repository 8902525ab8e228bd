"""Data frames: columns that nobody asked for do no harm, and what is no frame yet is told what leads to one."""

import csv
import decimal
import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pytest

from criteo_audiences import ConfigurationError, Progress, Table

EMAILS = ["a@b.co", "planted@b.co"]
NUMBERS = [1, 2]
INT128 = pl.Series([1, 2], dtype=pl.Int128)
DECIMAL256 = pa.array([decimal.Decimal(1), None], pa.decimal256(60, 2))
FLOAT16 = pa.array(np.array(NUMBERS, dtype=np.float16))

ODD_FRAMES: dict[str, Callable[[], Any]] = {
    "polars, Int128": lambda: pl.DataFrame({"n": INT128, "email": EMAILS, "age": NUMBERS}),
    "polars, Float16": lambda: pl.DataFrame({"email": EMAILS, "n": pl.Series(NUMBERS, dtype=pl.Float16), "age": NUMBERS}),
    "polars, objects": lambda: pl.DataFrame({"email": EMAILS, "n": pl.Series([object(), 1], dtype=pl.Object), "age": [1, 2]}),
    "pyarrow, half floats": lambda: pa.table({"n": FLOAT16, "email": EMAILS, "age": NUMBERS}),
    "pyarrow, decimal256": lambda: pa.table({"email": EMAILS, "n": DECIMAL256, "age": NUMBERS}),
    "pyarrow, a batch": lambda: pa.record_batch({"email": EMAILS, "n": DECIMAL256, "age": NUMBERS}),
    "pyarrow, once": lambda: pa.table({"email": EMAILS, "n": DECIMAL256, "age": NUMBERS}).to_reader(max_chunksize=1),
    "pandas, mixed": lambda: pd.DataFrame({"email": EMAILS, "n": pd.Series(["x", 1], dtype=object), "age": NUMBERS}),
    "pandas, complex": lambda: pd.DataFrame({"n": [1j, 2j], "email": EMAILS, "age": NUMBERS}, index=[7, 7]),
    "pandas, sparse": lambda: pd.DataFrame({"email": EMAILS, "n": pd.arrays.SparseArray([0, 1]), "age": NUMBERS}),
    "pandas, two of a name": lambda: pd.DataFrame([[email, 1, 2, age] for email, age in zip(EMAILS, NUMBERS, strict=True)],
                                                  columns=["email", "n", "n", "age"]),
    "pandas, a number for a name": lambda: pd.DataFrame({0: [1j, 2j], "email": EMAILS, "age": NUMBERS}),
}  # fmt: skip


@pytest.mark.parametrize("frame", ODD_FRAMES.values(), ids=ODD_FRAMES)
async def test_a_column_nobody_asked_for_does_no_harm(stage: Any, frame: Callable[[], Any]) -> None:
    """Whatever its type; a condition reads its own columns besides, and opt-outs are taken alike."""
    for source in (frame(), EMAILS):
        report = await stage.upload(source, suppress=Table.from_arrow(frame(), where='"AGE" = 1'))
        assert (report.read, report.suppressed, report.sent) == (2, 1, 1)
    assert stage.held == {"planted@b.co"}
    await stage.upload(frame(), where="age = 1 AND email LIKE 'a%'")
    assert stage.held == set(EMAILS)


async def test_a_condition_on_a_column_that_is_not_there_is_refused(stage: Any) -> None:
    """With the name that is nearest."""
    with pytest.raises(ConfigurationError, match='not there: "aeg"; did you mean "age"'):
        await stage.upload(pl.DataFrame({"email": EMAILS, "age": NUMBERS}), where="aeg = 1")


async def test_two_columns_of_a_name_are_told_apart_by_position(stage: Any) -> None:
    """A condition calls each `column_` and its position in the whole frame."""
    frame = pd.DataFrame([["x", "a@b.co", 1, 2], ["x", "c@b.co", 2, 2]], columns=["z", "email", "n", "n"])
    await stage.upload(frame, where="column_3 = column_4")
    assert stage.held == {"c@b.co"}


@pytest.mark.parametrize(
    ("frame", "kind"),
    [
        (
            pd.DataFrame({"n": NUMBERS, "email": ["x", 5]}),
            "the DataFrame cannot be handed over as Arrow .ArrowTypeError",
        ),
        (
            pl.DataFrame({"n": NUMBERS, "email": INT128}),
            "the DataFrame has a column of a type that DuckDB does not know",
        ),
    ],
)
async def test_a_wanted_column_that_cannot_be_handed_over(stage: Any, frame: Any, kind: str) -> None:
    """It is refused in a sentence about the frame, and nothing is sent."""
    with pytest.raises(ConfigurationError, match=kind):
        await stage.upload(frame)
    assert stage.sandbox.requests == []


NOTHING: dict[str, Callable[[], Any]] = {
    "pandas, nothing but None": lambda: pd.DataFrame({"email": [None, None], "n": NUMBERS}),
    "pandas, nothing but NaN": lambda: pd.DataFrame({"email": [float("nan")] * 2, "n": NUMBERS}),
    "pandas, Int64": lambda: pd.DataFrame({"email": pd.Series([None, None], dtype="Int64"), "n": NUMBERS}),
    "polars, nulls": lambda: pl.DataFrame({"email": [None, None], "n": NUMBERS}),
    "polars, NaN": lambda: pl.DataFrame({"email": [float("nan")] * 2, "n": NUMBERS}),
    "polars, dates": lambda: pl.DataFrame({"email": pl.Series([None, None], dtype=pl.Date), "n": NUMBERS}),
    "pyarrow, nulls": lambda: pa.table({"email": pa.nulls(2), "n": NUMBERS}),
    "pyarrow, lists": lambda: pa.table({"email": pa.array([None, None], pa.list_(pa.string()))}),
    "pandas series": lambda: pd.Series([None, None], dtype=float),
}


@pytest.mark.parametrize("frame", NOTHING.values(), ids=NOTHING)
async def test_a_column_without_a_value_is_empty(stage: Any, frame: Callable[[], Any]) -> None:
    """Whatever type a program gives it: its rows count, as in a list."""
    report = await stage.upload(frame(), max_rejected=1)
    assert (report.read, report.rejected) == (2, {"empty": 2})
    report = await stage.upload([None, float("nan")], max_rejected=1)
    assert (report.read, report.rejected) == (2, {"empty": 2})


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame({"email": [], "n": []}),
        pd.DataFrame({"email": pd.Series([], dtype=object)}),
        pl.DataFrame({"email": []}),
        pa.table({"email": pa.array([], pa.int64()), "n": pa.array([], pa.decimal256(60, 2))}),
    ],
)
async def test_a_frame_without_rows(stage: Any, frame: Any) -> None:
    """It reads nothing, whatever its columns' types."""
    assert (await stage.upload(frame)).read == 0


@pytest.mark.parametrize(
    ("frame", "is_known"),
    [
        (pd.DataFrame({"email": EMAILS}), True),
        (pd.Series(EMAILS), True),
        (pl.DataFrame({"email": EMAILS}), True),
        (pl.Series(EMAILS), True),
        (pa.table({"email": EMAILS}), True),
        (pa.chunked_array([EMAILS]), True),
        (pa.table({"email": EMAILS}).to_reader(), False),
    ],
    ids=["pandas", "pandas, a column", "polars", "polars, a column", "pyarrow", "pyarrow, a column", "pyarrow, once"],
)
async def test_a_frame_says_how_much_of_it_is_left(stage: Any, frame: Any, is_known: bool) -> None:  # noqa: FBT001
    """It knows its length, so the end is foreseen before the last row, as of a list; a stream of batches does not."""
    told: list[Progress] = []
    await stage.upload(frame, dedupe=False, batch_size=1, max_concurrency=1, on_progress=told.append)
    under_way = [each for each in told if each.batches == 1]
    assert under_way
    if is_known:
        assert all(None not in (each.share_read, each.remaining) for each in under_way)
    else:
        assert under_way[0].remaining is None


@pytest.mark.parametrize("missing", [pd.NA, pd.NaT, None, float("nan"), np.nan])
async def test_what_stands_for_nothing_is_empty(stage: Any, missing: object) -> None:
    """In a list as in a frame."""
    report = await stage.upload(["a@b.co", missing])
    assert report.rejected == {"empty": 1}
    report = await stage.upload(pd.DataFrame({"email": ["a@b.co", missing]}, dtype=object))
    assert report.rejected == {"empty": 1}


def connection() -> duckdb.DuckDBPyConnection:
    """A connection with a result that waits to be fetched."""
    return duckdb.connect().execute("SELECT 'planted@b.co' AS email")


NO_TABLES: dict[str, tuple[Callable[[], Any], str]] = {
    "polars, lazy": (lambda: pl.DataFrame({"email": EMAILS}).lazy(), r"LazyFrame: pass its \.collect\(\)"),
    "polars, grouped": (lambda: pl.DataFrame({"email": EMAILS}).group_by("email"), "GroupBy: pass a frame"),
    "pandas, grouped": (lambda: pd.DataFrame({"email": EMAILS}).groupby("email"), "DataFrameGroupBy: pass a frame"),
    "pyarrow, an array": (lambda: pa.array(EMAILS), r"StringArray: pass pyarrow\.chunked_array"),
    "pyarrow, a dataset": (
        lambda: ds.dataset(pa.table({"email": EMAILS})),
        r"pass its \.scanner\(columns=\[\.\.\.\]\)",
    ),
    "pyarrow, a scanner": (lambda: ds.dataset(pa.table({"email": EMAILS})).scanner(), r"Scanner: pass its \.to_reader"),
    "duckdb, a pending result": (connection, r"DuckDBPyConnection: pass a relation, connection\.sql"),
    "an open file": (lambda: io.StringIO("email\nplanted@b.co\n"), r"an open file \(StringIO\)"),
    "an open file of bytes": (lambda: io.BytesIO(b"email\nplanted@b.co\n"), r"an open file \(BytesIO\)"),
    "a mapping": (lambda: {"email": EMAILS}, r"a mapping \(dict\)"),
    "text": (lambda: "planted@b.co", "a single str"),
    "bytes": (lambda: b"planted@b.co", "a single bytes"),
}


@pytest.mark.parametrize(("make", "words"), NO_TABLES.values(), ids=NO_TABLES)
async def test_what_is_no_source_is_told_what_to_pass(stage: Any, make: Callable[[], Any], words: str) -> None:
    """As a source and as opt-outs, without showing a value."""
    for options in ({"source": make()}, {"source": EMAILS, "suppress": make()}):
        with pytest.raises(TypeError, match=words) as caught:
            await stage.upload(options.pop("source"), **options)
        assert "planted" not in str(caught.value)
    assert stage.sandbox.requests == []


NO_PATHS: dict[str, tuple[Callable[[], Any], str]] = {
    "an open file": (lambda: io.StringIO("planted@b.co\n"), r"not an open file \(StringIO\)"),
    "a series": (lambda: pd.Series(EMAILS), "not data .Series.: pass the Series itself"),
    "a column of polars": (lambda: pl.Series(EMAILS), "not data .Series."),
    "an array": (lambda: np.array(EMAILS), "not data .ndarray."),
    "a frame": (lambda: pd.DataFrame({"email": EMAILS}), "not data .DataFrame."),
    "bytes": (lambda: b"planted@b.co", "not bytes"),
    "a mapping": (lambda: dict.fromkeys(EMAILS), "not dict"),
    "None": (lambda: None, "not NoneType"),
    "a number": (lambda: 3, "not int"),
    "rows of csv": (lambda: csv.reader(["planted@b.co"]), "path, entry 1, must be a str or a pathlib.Path, not list"),
    "bytes in a list": (lambda: [b"planted@b.co"], "path, entry 1, must be .* not bytes"),
}


@pytest.mark.parametrize(("make", "words"), NO_PATHS.values(), ids=NO_PATHS)
def test_what_is_no_path_is_refused(make: Callable[[], Any], words: str) -> None:
    """Bare handles always, without a value."""
    with pytest.raises(TypeError, match=words) as caught:
        Table.from_file(make())
    assert "planted" not in str(caught.value)


@pytest.mark.parametrize(
    "value",
    [
        "planted@b.co",
        "e13743a7f1db7f4246badd6fd6ff54ff",
        "+33612345678",
        "06 12 34 56 78",
        "C-1234",
        "planted@b.co\nother@b.co\n" * 500,
        "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
        "planted person",
        "planted@b.co.csv",
        "123e4567-e89b-12d3-a456-426614174000",
    ],
)
def test_what_may_be_an_identifier_is_never_shown_as_a_path(value: str) -> None:
    """One by one, in a list, as a Path: neither the message nor its traceback repeats it."""
    for given in (value, [value], ["crm.csv", Path(value)], iter([value]), {value}):
        with pytest.raises(FileNotFoundError, match="it is not shown, since it might be an identifier") as caught:
            Table.from_file(given)
        assert value not in str(caught.value)
        assert caught.value.__context__ is None


@pytest.mark.parametrize("given", ["", " ", Path(), [""], ["crm.csv", ""]])
def test_an_empty_path_is_refused(given: Any) -> None:
    """It is a variable that was not set, and no wish for all there is below the working directory."""
    with pytest.raises(ConfigurationError, match="is empty: a variable may be unset"):
        Table.from_file(given)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("https://example.com/crm.csv?token=planted", r"path is an address in the web \(https://\)"),
        (Path("https://example.com/crm.csv"), r"an address in the web \(https://\)"),
        ("s3://bucket/crm.csv", r"an address in an object store \(s3://\)"),
        ("gs://bucket/*.parquet", r"an address in an object store \(gs://\)"),
        ("abfss://c@a.dfs.core.windows.net/x", r"an address in an object store \(abfss://\)"),
        ("FILE:///crm.csv", "give the path of the file itself"),
        ("crm\0.csv", "holds a NUL character"),
        ("crm\udcff.csv", "no UTF-8; rename the file"),
    ],
)
def test_a_path_that_can_be_no_file_of_this_machine(path: Any, words: str) -> None:
    """It is named as what it is, with the way, and not looked for."""
    with pytest.raises(ConfigurationError, match=words) as caught:
        Table.from_file(path)
    assert "planted" not in str(caught.value)


async def test_the_home_directory(stage: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tilde stands for it, in patterns, too."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "crm.csv").write_text("email\na@b.co\n")
    for path in ("~/crm.csv", Path("~/crm.csv"), "~/*.csv"):
        assert (await stage.upload(Table.from_file(path))).read == 1


def test_a_table_shows_no_datum(tmp_path: Path) -> None:
    """A file may have an address for its name; what its table looks like does not show it."""
    (tmp_path / "planted@b.co").touch()
    shown = repr(Table.from_file(tmp_path / "planted@b.co"))
    assert "planted" not in shown
    assert tmp_path.name in shown


async def test_pandas_without_pyarrow(stage: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is missing is named."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "pyarrow"]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ConfigurationError, match="the DataFrame needs pyarrow to hand over its rows: pip install"):
        await stage.upload(pd.DataFrame({"email": EMAILS}))
