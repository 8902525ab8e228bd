"""A real redis-server of a test's own, on a free port of this machine."""

import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Self

_PATIENCE = 30.0


def free_port() -> int:
    """Returns a port of this machine that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


class RedisProcess:
    """Starts redis-server, kills it and starts it again on the same port; with a configuration it is a sentinel."""

    def __init__(self, folder: Path, *options: str, configuration: Path | None = None) -> None:
        self.port = free_port()
        self._folder = folder
        self._options = options if configuration is None else ("--sentinel",)
        self._configuration = [] if configuration is None else [str(configuration)]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Its URL."""
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> Self:
        """Starts it and returns once it accepts connections."""
        program = shutil.which("redis-server")
        assert program, "redis-server is not installed; run `make test-integrations`, which installs it"
        self._process = subprocess.Popen(
            [
                *(program, *self._configuration, "--bind", "127.0.0.1", "--port", str(self.port)),
                *("--save", "", "--appendonly", "no", "--dir", str(self._folder), *self._options),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        ends_at = time.monotonic() + _PATIENCE
        while not self._accepts():
            assert self._process.poll() is None, "redis-server ended at once"
            assert time.monotonic() < ends_at, "redis-server does not accept connections"
            time.sleep(0.01)
        return self

    def _accepts(self) -> bool:
        with socket.socket() as connection:
            return connection.connect_ex(("127.0.0.1", self.port)) == 0

    def kill(self) -> None:
        """Kills it with SIGKILL: it forgets all."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def suspend(self) -> None:
        """Lets it hang."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Lets it go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.kill()
