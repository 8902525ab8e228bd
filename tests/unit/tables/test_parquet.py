from pathlib import Path
from typing import Any

import duckdb
import pytest

from criteo_audiences import IdentifierType
from criteo_audiences.tables.columns import choose_column
from criteo_audiences.tables.files.inspection import inspect
from criteo_audiences.tables.files.layout import Layout
from criteo_audiences.tables.files.source_files import layouts_of, listing


def parquet(path: Path, select: str) -> Path:
    """Writes a query's rows as Parquet."""
    with duckdb.connect() as connection:
        connection.execute(f"COPY ({select}) TO '{path}' (FORMAT parquet)")
    return path


def only_layout(directory: Path, workspace: Path, **options: bool) -> Layout:
    """Looks at a directory that is one table."""
    (layout,) = layouts_of(listing(directory), workspace, **options)
    return layout


PEOPLE = (
    "SELECT i AS id, 'person' || i || '@example.com' AS \"E-Mail\", i % 2 = 0 AS email_opt_in FROM range(5000) t(i)"
)


def test_parquet_brings_its_names_types_and_rows(desk: Any) -> None:
    """The format is told by its marks, whatever the file is called."""
    layout = inspect(str(parquet(desk.files / "people.bin", PEOPLE)), desk.workspace)
    assert (layout.format, layout.name, layout.rows) == ("parquet", "people.bin", 5_000)
    assert layout.names == ("id", "E-Mail", "email_opt_in")
    assert layout.types == ("BIGINT", "VARCHAR", "BOOLEAN")
    assert len(layout.sample) == 1_000
    assert layout.sample[1] == ("1", "person1@example.com", "false")
    assert choose_column(layout, None, IdentifierType.EMAIL).position == 1


def test_a_directory_is_all_parquet_files_in_it(desk: Any) -> None:
    """Also those below it, in a path that holds signs of a pattern, and with columns in another order."""
    root = desk.files / "a*[b]?"
    (root / "day=1").mkdir(parents=True)
    parquet(root / "1.parquet", "SELECT 1 AS id, 'a@b.co' AS email")
    parquet(root / "day=1" / "2.parquet", "SELECT 'c@d.co' AS email, 2 AS id")
    (root / "_SUCCESS").touch()
    layout = only_layout(root, desk.workspace)
    assert (layout.name, layout.names, layout.rows) == ("a*[b]?", ("id", "email"), 2)
    assert sorted(layout.sample) == [("1", "a@b.co"), ("2", "c@d.co")]


@pytest.mark.parametrize("share", [0.001, 0.1, 0.5, 0.9, 0.999])
def test_a_cut_parquet_file_is_an_os_error(share: float, desk: Any) -> None:
    """In a directory, too; the file is named without its path."""
    content = parquet(desk.files / "whole", PEOPLE).read_bytes()
    path = desk.write(content[: max(4, int(len(content) * share))], "cut.parquet")
    for look in (lambda: inspect(str(path), desk.workspace), lambda: layouts_of(listing(desk.files), desk.workspace)):
        with pytest.raises(OSError, match=r"^cut\.parquet is cut or damaged: a Parquet file begins and ends with "):
            look()


def test_a_damaged_footer_is_an_os_error(desk: Any) -> None:
    """What the engine says about it, which may hold data and paths, is not repeated."""
    content = bytearray(parquet(desk.files / "whole", PEOPLE).read_bytes())
    footer = int.from_bytes(content[-8:-4], "little")
    content[-8 - footer : -8] = bytes(footer)
    with pytest.raises(OSError, match=r"^crm\.parquet is damaged or no Parquet that can be read\.$") as caught:
        desk.inspect(bytes(content), "crm.parquet")
    assert caught.value.__cause__ is None
