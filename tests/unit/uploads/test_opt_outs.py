"""What becomes of opt-outs that cannot be used: refused before any call, or said."""

import hashlib
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from criteo_audiences import ConfigurationError, Table
from criteo_audiences.identifiers import OptOutCount, RejectReason
from criteo_audiences.uploads import UploadReport
from tests.kit import LIST, options_of, upload

SOURCE = ["a@b.co", "gone@b.co"]
LANES: dict[str, Callable[[list[str]], Any]] = {
    "iterable": lambda values: values,
    "table": lambda values: pl.DataFrame({"email": values}),
}
KINDS = ["file", "frame", "list"]

Fake = Callable[..., Any]


def opt_outs(kind: str, values: list[str], directory: Path) -> Any:
    """Returns opt-outs as a file, a data frame or a list."""
    if kind == "file":
        path = directory / "opt-outs.csv"
        path.write_text("id,email\n" + "".join(f'{at},"{value}"\n' for at, value in enumerate(values)))
        return Table.from_file(path, column="email")
    return pl.DataFrame({"email": values}, schema={"email": pl.String}) if kind == "frame" else values


UNUSABLE = ["planted@example.com;", "planted@example.com (left)", "planted", "planted@example@example.com"]


@pytest.mark.parametrize("lane", LANES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dry_run", [False, True])
async def test_opt_outs_that_cannot_be_used_are_refused(
    lane: str,
    kind: str,
    dry_run: bool,  # noqa: FBT001 - a column of the table
    fake_amend: Fake,
    tmp_path: Path,
) -> None:
    """Before any call, with count and places and never with a value; neither journal nor rejects are left behind."""
    amend = fake_amend()
    listed = opt_outs(kind, ["gone@b.co", "", *UNUSABLE], tmp_path)
    state = tmp_path / "state"
    state.mkdir()
    options = options_of(suppress=listed, dry_run=dry_run, journal=state / "journal", rejects=state / "rejects.csv")
    with pytest.raises(ConfigurationError) as caught:
        await upload(amend, LIST, LANES[lane](SOURCE), options)
    label = {"file": "opt-outs.csv", "frame": "the DataFrame", "list": "suppress"}[kind]
    word = "entry" if kind == "list" else "row"
    places = ", ".join(f"{word} {number}" for number in range(3, 7))
    assert str(caught.value) == (
        f"4 of the 5 opt-outs in {label} cannot be used ({places}): they are no valid identifiers, so those people would "
        "not be left out. Correct them, or give suppress_strict=False (--no-suppress-strict) to go on without them."
    )
    assert amend.received == []
    assert not list(state.iterdir())


@pytest.mark.parametrize("algorithm", [None, "sha256"])
@pytest.mark.parametrize("lane", LANES)
@pytest.mark.parametrize("kind", KINDS)
async def test_an_opt_out_behind_a_delimiter_that_the_header_lacks_is_one(
    lane: str, kind: str, algorithm: Any, fake_amend: Fake, tmp_path: Path
) -> None:
    """The whole cell is an address as well, so both are left out; a few such lines do not tell the delimiter."""
    cells = ["id|gone@b.co", "2^c@b.co", "J~d@b.co", "3#e@b.co", "x|y/f@b.co", *(f"{at}@b.co" for at in range(9))]
    source = ["a@b.co", "gone@b.co", "c@b.co", "d@b.co", "e@b.co", "f@b.co", "id|gone@b.co", "Y@b.co"]
    amend = fake_amend()
    options = options_of(hash=algorithm, suppress=opt_outs(kind, cells, tmp_path))
    report = await upload(amend, LIST, LANES[lane](source), options)
    assert len(amend.identifiers) == 2
    assert (report.suppressed, report.opt_outs, report.unusable_opt_outs) == (6, len(cells), 0)


@pytest.mark.parametrize("lane", LANES)
async def test_opt_outs_that_stray_quotes_may_hide_are_refused(lane: str, fake_amend: Fake, tmp_path: Path) -> None:
    """Nobody can say whether they are opt-outs or part of a note; who goes on is given a note."""
    path = tmp_path / "opt-outs.csv"
    path.write_text('email,size\nx@b.co,1\ngone@b.co,"15\na@b.co,21"\ny@b.co,2\n')
    amend = fake_amend()
    with pytest.raises(ConfigurationError) as caught:
        await upload(amend, LIST, LANES[lane](SOURCE), options_of(suppress=Table.from_file(path)))
    assert str(caught.value) == (
        "The opt-outs in opt-outs.csv have a quoted cell with several lines that look like rows of their own (row 2), so "
        "people in them might not be left out. Correct the quotes, or give suppress_strict=False (--no-suppress-strict) "
        "to read it as it stands."
    )
    assert amend.received == []
    options = options_of(suppress=Table.from_file(path), suppress_strict=False)
    report = await upload(amend, LIST, LANES[lane](SOURCE), options)
    assert amend.identifiers == ["a@b.co"]
    assert report.notes[0].startswith("opt-outs.csv: the quoted cell in row 2 has several lines that look like rows")
    assert report.unusable_opt_outs == 1
    options = options_of(suppress=Table.from_file(path), suppress_strict=False, fail_on="unusable_opt_outs")
    assert not (await upload(fake_amend(), LIST, LANES[lane](SOURCE), options)).ok


@pytest.mark.parametrize("lane", LANES)
@pytest.mark.parametrize("kind", KINDS)
async def test_an_upload_may_go_on_without_them(
    lane: str, kind: str, fake_amend: Fake, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It leaves out those that can be compared; the report counts the others, the log says where the first stand."""
    values = ["gone@b.co", *(f"planted {number}" for number in range(7)), " ", ""]
    options = options_of(suppress=opt_outs(kind, values, tmp_path), suppress_strict=False)
    amend = fake_amend()
    report = await upload(amend, LIST, LANES[lane](SOURCE), options)
    assert amend.identifiers == ["a@b.co"]
    assert (report.suppressed, report.opt_outs, report.unusable_opt_outs) == (1, 1, 7)
    assert report.ok
    word = "entry" if kind == "list" else "row"
    assert "7 of the 8 opt-outs in" in caplog.text
    assert f"({', '.join(f'{word} {number}' for number in range(2, 7))}, …)" in caplog.text
    assert "planted" not in caplog.text


@pytest.mark.parametrize("lane", LANES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("values", [[], [""], ["", " ", "\t"]])
async def test_a_list_without_any_opt_out_is_refused(
    lane: str, kind: str, values: list[str], fake_amend: Fake, tmp_path: Path
) -> None:
    """A header only, or blanks only; an empty list of a program's own says that nobody has opted out."""
    amend, listed, source = fake_amend(), opt_outs(kind, values, tmp_path), LANES[lane](SOURCE)
    if kind == "list" and not values:
        report = await upload(amend, LIST, source, options_of(suppress=listed))
    else:
        with pytest.raises(ConfigurationError, match="holds no opt-out, so nobody would be left out"):
            await upload(amend, LIST, source, options_of(suppress=listed))
        assert amend.received == []
        report = await upload(amend, LIST, source, options_of(suppress=listed, suppress_strict=False))
    assert (report.opt_outs, report.unusable_opt_outs, report.sent) == (0, 0, 2)


@pytest.mark.parametrize("spent", [iter([]), (value for value in ()), map(str, [])], ids=["iter", "generator", "map"])
def test_an_iterator_that_yields_nothing_is_refused(spent: Iterator[str]) -> None:
    """Nothing tells it from one that was used up before; a list says what is meant."""
    for strict in (True, False):
        with pytest.raises(ConfigurationError, match="suppress is an iterator that yields nothing"):
            options_of(suppress=spent, suppress_strict=strict)
    for empty in ((), [], set(), {}.keys()):
        assert options_of(suppress=empty).suppress == ()


@pytest.mark.parametrize("lane", LANES)
@pytest.mark.parametrize(
    "text", ["email\nplanted;\n(left)\n", "e-mail,name\nplanted;,x\n(left),y\n", "who\nplanted;\n(left)\n"]
)
async def test_a_list_in_which_every_opt_out_is_broken_says_so(
    lane: str, text: str, fake_amend: Fake, tmp_path: Path
) -> None:
    """A clear header, or being the only column, is enough: otherwise the message would be about columns."""
    path = tmp_path / "opt-outs.csv"
    path.write_text(text)
    with pytest.raises(
        ConfigurationError, match=r"^2 of the 2 opt-outs in opt-outs\.csv cannot be used \(row 1, row 2\)"
    ):
        await upload(fake_amend(), LIST, LANES[lane](SOURCE), options_of(suppress=path))


@pytest.mark.parametrize("lane", LANES)
@pytest.mark.parametrize(
    ("text", "column", "words"),
    [
        ("customer,who\n1,a@b.co\n", None, r"'who' \(100% fit\)\. Choose one with suppress=.* \(--suppress-column on"),
        ("customer,who\n1,a@b.co\n", "whoo", "'customer', 'who'. Did you mean 'who'?"),
        ("", None, "opt-outs.csv is empty"),
    ],
)
async def test_a_file_of_opt_outs_that_cannot_be_read_is_named_as_such(
    lane: str, text: str, column: str | None, words: str, fake_amend: Fake, tmp_path: Path
) -> None:
    """Its column is chosen elsewhere than the source's."""
    path = tmp_path / "opt-outs.csv"
    path.write_text(text)
    table = Table.from_file(path, column=column)
    with pytest.raises(ConfigurationError, match=rf"^The opt-outs cannot be read: .*{words}"):
        await upload(fake_amend(), LIST, LANES[lane](SOURCE), options_of(suppress=table))


async def test_several_files_are_told_apart(fake_amend: Fake, tmp_path: Path) -> None:
    """A place names the file where there are several."""
    for name, rows in {"a.csv": "gone@b.co\n", "b.csv": "x@b.co\nnobody\n"}.items():
        (tmp_path / name).write_text(f"email\n{rows}")
    table = Table.from_file([tmp_path / "a.csv", tmp_path / "b.csv"])
    for lane in LANES.values():
        with pytest.raises(ConfigurationError, match=r"1 of the 3 opt-outs in a\.csv and 1 more .* \(b\.csv row 2\)"):
            await upload(fake_amend(), LIST, lane(SOURCE), options_of(suppress=table))


async def test_opt_outs_of_several_kinds_are_those_of_the_first(fake_amend: Fake) -> None:
    """What the first kind cannot use is refused, whatever another kind could make of it."""
    frame = pl.DataFrame({"email": ["a@b.co"], "id": ["C-1"]})
    columns = {"email": "email", "madid": "id"}
    with pytest.raises(ConfigurationError, match=r"1 of the 1 opt-outs in suppress cannot be used \(entry 1\)"):
        await upload(fake_amend(), LIST, frame, options_of(columns=columns, suppress=["C-1"]))


VALUES = st.lists(
    st.sampled_from(["", " ", "a@b.co", "A@b.co ", "gone@b.co", "nobody", "a@@b.co", "x@b.co;", "0" * 64, "é@b.co"]),
    max_size=12,
)


@settings(max_examples=settings.default.max_examples * 2 // 5)  # each is ten uploads
@given(values=VALUES)
async def test_every_way_counts_alike(values: list[str], fake_amend: Fake, tmp_path: Path) -> None:
    """Both lanes, and a file, a frame and a list, find the same opt-outs and leave out the same people."""
    reports: list[UploadReport] = []
    arrived: list[list[str]] = []
    for lane in LANES.values():
        for kind in KINDS:
            amend = fake_amend()
            listed = opt_outs(kind, values, tmp_path)
            options = options_of(suppress=listed, suppress_strict=False)
            reports.append(await upload(amend, LIST, lane(SOURCE), options))
            arrived.append(amend.identifiers)
    assert len({(each.opt_outs, each.unusable_opt_outs, each.suppressed) for each in reports}) == 1
    assert len({tuple(each) for each in arrived}) == 1
    assert (reports[0].opt_outs or 0) + reports[0].unusable_opt_outs == sum(bool(value.strip()) for value in values)


def written_opt_outs(directory: Path, rows: str, **options: Any) -> Table:
    """Writes opt-outs of three columns, the second being the address."""
    path = directory / "opt-outs.csv"
    path.write_text("id,email,note\n" + rows)
    return Table.from_file(path, column="email", **options)


def several(directory: Path, texts: Collection[str], **options: Any) -> Table:
    """Writes opt-outs into files of their own, named by their numbers, since quotes in one text may affect all its rows."""
    paths = [directory / str(number) for number, _ in enumerate(texts, start=1)]
    for path, text in zip(paths, texts, strict=True):
        path.write_text(text)
    return Table.from_file(paths, column="email", **options)


WITHOUT_A_CELL = [
    '"it\'s"",gone@b.co,""a"',
    '"it\'s"",gone@b.co,""a",',
    '"it\'s"",gone@b.co,""a",,x',
    "gone@b.co",
    '"1 gone@b.co"',
    hashlib.sha256(b"gone@b.co").hexdigest(),
    '"4,gone@b.co,x"',
]


@pytest.mark.parametrize("lane", LANES)
@pytest.mark.parametrize("where", [None, "note = 'x'"])
async def test_a_row_without_a_cell_for_its_opt_out_is_no_blank(
    lane: str, where: str | None, fake_amend: Fake, tmp_path: Path
) -> None:
    """It is refused with its place, whatever the condition says, or counted where the caller accepts that."""
    texts = [f"id,email,note\n1,other{number}@b.co,x\n{row}\n" for number, row in enumerate(WITHOUT_A_CELL)]
    listed = several(tmp_path, texts, where=where)
    amend = fake_amend()
    with pytest.raises(ConfigurationError) as caught:
        await upload(amend, LIST, LANES[lane](SOURCE), options_of(suppress=listed))
    assert str(caught.value) == (
        "7 of the 14 opt-outs in 1 and 6 more cannot be used (1 row 2, 2 row 2, 3 row 2, 4 row 2, 5 row 2, …): 7 in a row "
        "that has no cell in the column, but something like an identifier elsewhere, so those people would not be left "
        "out. Correct them, or give suppress_strict=False (--no-suppress-strict) to go on without them."
    )
    assert amend.received == []
    report = await upload(amend, LIST, LANES[lane](SOURCE), options_of(suppress=listed, suppress_strict=False))
    assert (report.opt_outs, report.unusable_opt_outs, report.sent) == (7, 7, 2)


@pytest.mark.parametrize("lane", LANES)
async def test_rows_that_name_nobody_are_said(lane: str, fake_amend: Fake, tmp_path: Path) -> None:
    """A blank cell, and a short row that holds nothing like an identifier; blank lines are no rows."""
    listed = written_opt_outs(tmp_path, '1,gone@b.co,x\n\n2,,c@d.co\n3\n4,"",z\n5,\n\n')
    report = await upload(fake_amend(), LIST, LANES[lane](SOURCE), options_of(suppress=listed))
    assert (report.opt_outs, report.unusable_opt_outs, report.sent) == (1, 0, 1)
    assert report.notes == ("opt-outs.csv: 4 rows have no opt-out in the column, and so leave nobody out.",)


@pytest.mark.parametrize("lane", LANES)
async def test_a_condition_on_opt_outs_sees_an_empty_cell_as_before(
    lane: str, fake_amend: Fake, tmp_path: Path
) -> None:
    """It is NULL, whether it is empty or not there."""
    listed = written_opt_outs(tmp_path, "1,gone@b.co,\n2,a@b.co,x\n3,more@b.co\n", where="note IS NULL")
    report = await upload(fake_amend(), LIST, LANES[lane](SOURCE), options_of(suppress=listed))
    assert (report.opt_outs, report.sent) == (2, 1)


@pytest.mark.parametrize("lane", LANES)
async def test_broken_quotes_among_opt_outs_are_called_so(lane: str, fake_amend: Fake, tmp_path: Path) -> None:
    """The refusal names their line, and the report of an upload that goes on without them does."""
    listed = written_opt_outs(tmp_path, '1,other@b.co,x\n2,"gone@b.co,x\n3,planted,"15" TV"\n')
    with pytest.raises(ConfigurationError) as caught:
        await upload(fake_amend(), LIST, LANES[lane](SOURCE), options_of(suppress=listed))
    note = "opt-outs.csv: 1 row has broken quotes and cannot be read, in line 3; double quotes within a cell."
    assert str(caught.value) == (
        "2 of the 3 opt-outs in opt-outs.csv cannot be used (row 2, row 3): 1 in a row with broken quotes, 1 no valid "
        f"identifier, so those people would not be left out. {note} Correct them, or give suppress_strict=False "
        "(--no-suppress-strict) to go on without them."
    )
    report = await upload(fake_amend(), LIST, LANES[lane](SOURCE), options_of(suppress=listed, suppress_strict=False))
    assert report.notes == (note,)
    assert report.to_dict()["notes"] == [note]


@pytest.mark.parametrize("lane", LANES)
async def test_opt_outs_within_a_quoted_cell_of_another_are_refused(
    lane: str, fake_amend: Fake, tmp_path: Path
) -> None:
    """Two stray quotes may have made one row of several, which nobody can tell from a cell of several lines."""
    listed = written_opt_outs(tmp_path, '1,other@b.co,"foo\n2,gone@b.co,bar"\n')
    with pytest.raises(ConfigurationError, match=r"several lines that look like rows of their own \(row 1\)"):
        await upload(fake_amend(), LIST, LANES[lane](SOURCE), options_of(suppress=listed))
    report = await upload(fake_amend(), LIST, LANES[lane](SOURCE), options_of(suppress=listed, suppress_strict=False))
    assert "look like rows of their own" in report.notes[0]


MISPLACED = {
    "a cell too many before it": "item,email,city\nT,,gone@b.co,Paris\nx,other@b.co,Rome\n",
    "two cells too many": "item,email\n1,other@b.co\nT,,x,gone@b.co\n",
    "a delimiter at its end as well": "item,email,city\nT,,gone@b.co,\nx,other@b.co,Rome\n",
    "an apostrophe under its header": "item,email,city\nT,',gone@b.co,Paris\nx,other@b.co,Rome\n",
    "the guard of an empty text": 'item,email,city\nT,"=""""",gone@b.co,Paris\nx,other@b.co,Rome\n',
    "a no-break space": "item,email,city\nT,\N{NO-BREAK SPACE},gone@b.co,Paris\nx,other@b.co,Rome\n",
    "one column": "email\nother@b.co\n,gone@b.co\n",
    "another key": '{"email":"other@b.co"}\n' * 1_500 + '{"Email":"gone@b.co"}\n',
    "a key with a blank": '{"email":"other@b.co"}\n' * 1_500 + '{"email ":"gone@b.co"}\n',
    "an object within": '{"email":"other@b.co"}\n' * 1_500 + '{"person":{"mail":"gone@b.co"}}\n',
    "a quote under its key": '{"email":"other@b.co"}\n' * 1_500 + '{"email":"\'","id":"gone@b.co"}\n',
    "null under its key": '{"email":"other@b.co"}\n' * 1_500 + '{"email":null,"id":"gone@b.co"}\n',
}


@pytest.mark.parametrize("lane", LANES)
@pytest.mark.parametrize("sign", ["i", "e", "{"], ids=["several columns", "one column", "JSON"])
async def test_an_opt_out_in_another_place_is_never_a_blank_one(
    fake_amend: Any, tmp_path: Path, lane: str, sign: str
) -> None:
    """The upload does not start; without strictness it is counted as one that cannot be used."""
    texts = [text for text in MISPLACED.values() if text.startswith(sign)]
    table = several(tmp_path, texts)
    amend = fake_amend()
    with pytest.raises(
        ConfigurationError, match=rf"opt-outs.* cannot be used \(.*\): {len(texts)} in a row that has no cell"
    ):
        await upload(amend, LIST, LANES[lane](SOURCE), options_of(suppress=table))
    assert amend.received == []
    report = await upload(amend, LIST, LANES[lane](SOURCE), options_of(suppress=table, suppress_strict=False))
    assert report.unusable_opt_outs == len(texts)


BLANK = [
    "item,email\n1,gone@b.co,\n2,,\n3,,\n",
    "item,email,\n1,gone@b.co,\n2,,\n",
    '{"email":"gone@b.co"}\n{}\n{"email":null}\n{"email":"","name":"x"}\n',
    '{"email":"gone@b.co","a":{"b":[1]}}\n{"email":" "}\n',
]


@pytest.mark.parametrize("lane", LANES)
async def test_blank_opt_outs_stay_blank(fake_amend: Any, tmp_path: Path, lane: str) -> None:
    """A delimiter at the end of every line, an object without the key and without anything like an opt-out."""
    options = options_of(suppress=several(tmp_path, BLANK))
    report = await upload(fake_amend(), LIST, LANES[lane](SOURCE), options)
    assert (report.opt_outs, report.unusable_opt_outs) == (len(BLANK), 0)


@pytest.mark.parametrize("lane", LANES)
async def test_what_is_missing_in_a_list_of_opt_outs_is_blank(fake_amend: Any, lane: str) -> None:
    """As in a source: `None`, NaN and `pd.NA` name nobody."""
    listed = ["gone@b.co", None, float("nan"), pd.NA]
    report = await upload(fake_amend(), LIST, LANES[lane](SOURCE), options_of(suppress=listed))
    assert (report.opt_outs, report.unusable_opt_outs, report.suppressed) == (1, 0, 1)


def test_hidden_and_unusable_opt_outs_are_counted_together() -> None:
    """The sentence adds up, and names where both stand."""
    causes = Counter({RejectReason.BROKEN_QUOTES: 1})
    count = OptOutCount(label="gone.csv", usable=2, causes=causes, places=["row 4"], hiding=("row 2",))
    with pytest.raises(ConfigurationError) as caught:
        count.require_usable()
    assert str(caught.value).startswith(
        "2 of the 4 opt-outs in gone.csv cannot be used (row 4, row 2): 1 in a row with broken quotes, "
        "1 in a cell of several lines that look like rows, so those people would not be left out."
    )
