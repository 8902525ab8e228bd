"""Runs a caller's query in a separate process, which can always be killed and whose memory is limited.

The engine reacts to an interruption only between two pieces of its work, and the query determines how long a piece
takes. The process writes the result into a database file in the run's directory, which keeps all types, and ends.
"""

import json
import os
import signal
import subprocess
import sys
import threading
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from criteo_audiences.tables.engine import query
from criteo_audiences.tables.engine.connection import connect, import_duckdb, in_bytes
from criteo_audiences.tables.files.workspace import Interruption

if TYPE_CHECKING:
    import duckdb

RESULT: Final = "result"
"""The name of the table with the result."""

_DATABASE: Final = "query.duckdb"
_ANSWER: Final = "query.json"
_LISTEN_EVERY: Final = 0.05
_BESIDE_THE_ENGINE: Final = 512 * 1024**2
_PER_THREAD: Final = 24 * 1024**2
_NOT_FOR_CHILDREN: Final = "CRITEO_"


def run_query(
    statement: str, directory: Path, *, threads: int, memory_limit: str, interruption: Interruption
) -> tuple[Path, dict[str, str]]:
    """Runs a query, and returns the database that contains its `RESULT`, and the types of its columns; blocks.

    Args:
        statement: one SELECT.
        directory: where the process may write.
        threads: worker threads.
        memory_limit: memory beyond which the engine writes to `directory`; the process as a whole may take little more.
        interruption: kills the process at once.

    Raises:
        duckdb.Error: when the engine cannot run it, with the engine's message.
        OSError: when it was interrupted, or its process ended without a result.
    """
    duckdb = import_duckdb()
    request = {"statement": statement, "directory": str(directory), "threads": threads, "memory_limit": memory_limit}
    with _started() as process:
        try:
            assert process.stdin is not None  # noqa: S101 - it is a pipe
            with suppress(BrokenPipeError):  # the exit code says more
                process.stdin.write(json.dumps(request).encode() + b"\n")
                process.stdin.flush()
            _wait(process, interruption)
        finally:
            process.kill()
    try:
        answer: dict[str, Any] = json.loads((directory / _ANSWER).read_bytes())
    except FileNotFoundError:
        raise _without_answer(process.returncode) from None
    if (error := answer.get("error")) is not None:
        raise duckdb.Error(error)
    return directory / _DATABASE, dict(answer["types"])


def _started() -> "subprocess.Popen[bytes]":
    """Starts another process of the same Python, without our secrets in its environment.

    Its standard input is a pipe, which is closed when this process ends.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith(_NOT_FOR_CHILDREN)}
    return subprocess.Popen(  # noqa: S603 - our own module
        [sys.executable, "-P", "-m", __name__],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment | {"PYTHONPATH": os.pathsep.join(each or os.curdir for each in sys.path)},
        start_new_session=True,  # Ctrl-C at the terminal interrupts only the program, which then ends it
    )


def _without_answer(code: int) -> OSError:
    """Returns the error for a process that ended without a result.

    Args:
        code: its exit code, or the negative number of the signal that ended it.
    """
    signals = {-number.value: f"signal {number.name}" for number in signal.Signals}
    return OSError(
        f"The process that ran the query ended without a result ({signals.get(code, f'exit code {code}')}). "
        "If memory ran out, change memory_limit or let the query do less at once; otherwise run it again."
    )


def _wait(process: "subprocess.Popen[bytes]", interruption: Interruption) -> None:
    while True:
        interruption.check()
        with suppress(subprocess.TimeoutExpired):
            process.wait(_LISTEN_EVERY)
            return


def _main() -> None:
    """Runs the query from standard input; the main function of the process that `run_query` starts."""
    request = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    directory, threads = Path(request["directory"]), int(request["threads"])
    os.umask(0o077)
    duckdb = import_duckdb(calls_functions=False)
    try:
        with closing(connect(directory, threads=threads, memory_limit=request["memory_limit"], files=None)) as engine:
            _bound_memory(request["memory_limit"], threads)
            answer: dict[str, Any] = {"types": _stored(engine, request["statement"], directory / _DATABASE)}
    except duckdb.Error as error:
        answer = {"error": str(error)}
    except MemoryError:
        answer = {"error": "Out of Memory Error: of Python's"}
    part = directory / f"{_ANSWER}.part"
    part.write_text(json.dumps(answer), encoding="utf-8")
    part.rename(directory / _ANSWER)


def _end_with_parent() -> None:
    while os.read(0, 1):  # not through `sys.stdin`, which the interpreter could not close as it ends
        pass
    os._exit(1)


def _bound_memory(memory_limit: str, threads: int) -> None:
    """Limits the memory of the process: the engine itself exceeds its limit, for long lists for example."""
    if sys.platform == "linux":
        import resource  # noqa: PLC0415 - not on Windows

        most = int(in_bytes(memory_limit)) + _BESIDE_THE_ENGINE + threads * _PER_THREAD
        resource.setrlimit(resource.RLIMIT_DATA, (most, most))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core file would contain identifiers


def _stored(engine: "duckdb.DuckDBPyConnection", statement: str, database: Path) -> list[tuple[str, str]]:
    described = engine.execute(f"DESCRIBE SELECT * FROM ({statement}\n)").fetchall()
    types = [(str(column[0]), str(column[1])) for column in described]
    engine.execute(f"ATTACH {query.literal(str(database))} AS results")
    engine.execute(f"CREATE TABLE results.{RESULT} AS SELECT * FROM ({statement}\n)")
    engine.execute("DETACH results")
    return types


if __name__ == "__main__":
    _main()
