"""A column of a file, as a source of identifiers."""

import os
from collections.abc import AsyncGenerator
from functools import partial
from pathlib import Path

import anyio.to_thread
from attrs import frozen

from criteo_audiences.errors import ConfigurationError
from criteo_audiences.tables.columns import choose_column
from criteo_audiences.tables.delimited import STDIN, DelimitedFile


@frozen
class Table:
    """A column of a file: opened when it is read, never held in memory.

    Attributes:
        path: the file, `-` for standard input.
        column: the column asked for, `None` for the one whose header is unmistakably an e-mail.
    """

    path: str
    column: str | None = None

    @classmethod
    def from_file(cls, path: str | os.PathLike[str], *, column: str | None = None) -> "Table":
        """Describes a column of a CSV or TSV file in UTF-8, plain or gzip; nothing is read yet.

        Args:
            path: the file; `"-"` is standard input.
            column: the header of the column; may be left out when one header is unmistakably an e-mail.
        """
        return cls(os.fspath(path), column)

    def chosen_column(self) -> str:
        """Returns the header of the column that will be read.

        Raises:
            OSError: when the file cannot be opened or read.
            ConfigurationError: when it is no delimited text, or none or several columns fit; standard input cannot
                be looked at beforehand.
        """
        if self.path == STDIN:
            raise ConfigurationError("Standard input can be read only once; name the column with column=.")
        file, position = self._start()
        file.close()
        return file.header[position].strip()

    async def slices(self) -> AsyncGenerator[tuple[list[str | None], float | None], None]:
        """Yields the column's cells, some thousand at a time, read in a worker thread, and how much has been read.

        The second value is a share of the file's bytes, 0 to 1, or `None` for standard input.

        Raises:
            OSError: when the file cannot be opened or read to its end.
            ConfigurationError: when it is no delimited text, or none or several columns fit.
        """
        # Standard input may stay silent for ever: a thread that waits for it is left behind when we are canceled.
        in_thread = partial(anyio.to_thread.run_sync, abandon_on_cancel=self.path == STDIN)
        file, position = await in_thread(self._start)
        slices = file.slices(position)
        waiting = False
        try:
            while True:
                waiting = True
                cells = await in_thread(next, slices, None)
                waiting = False
                if cells is None:
                    return
                yield cells, file.share()
        finally:
            if not (waiting and self.path == STDIN):
                file.close()

    def _start(self) -> tuple[DelimitedFile, int]:
        file = self._open()
        try:
            return file, choose_column(file.header, self.column, file=file.name)
        except BaseException:
            file.close()
            raise

    def _open(self) -> DelimitedFile:
        if self.path != STDIN:
            path = Path(self.path)
            if path.is_dir():
                raise ConfigurationError(f"{path.name} is a directory; expected a file.")
            if path.exists() and not path.is_file():  # it can be read only once, and may never end
                raise ConfigurationError(f"{path.name} is no regular file; pipe it to standard input and name it '-'.")
        return DelimitedFile(self.path)
