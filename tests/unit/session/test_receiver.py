"""How a connection takes in what it receives: a moment at a time, whatever it is."""

import asyncio
from typing import Any

import pytest
from aiohttp import ServerDisconnectedError
from aiohttp.client_proto import ResponseHandler

from criteo_audiences.session.network import Connector, Receiver

HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
TINY = b"1\r\n \r\n" * 10_000
HINTS = (b"HTTP/1.1 103 Early Hints\r\n" + b"X: y\r\n" * 50 + b"\r\n") * 200
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


class Wire(asyncio.Transport):
    """Remembers whether it is read."""

    def __init__(self) -> None:
        super().__init__()
        self.is_read = True
        self.changes = 0

    def pause_reading(self) -> None:
        """See `asyncio.ReadTransport`."""
        self.is_read, self.changes = False, self.changes + 1

    def resume_reading(self) -> None:
        """See `asyncio.ReadTransport`."""
        self.is_read, self.changes = True, self.changes + 1

    def close(self) -> None:
        """See `asyncio.BaseTransport`."""


async def received() -> tuple[Receiver, Wire]:
    """Returns a connection that waits for an answer, and its wire."""
    connection, wire = Receiver(asyncio.get_running_loop()), Wire()
    connection.connection_made(wire)
    connection.set_response_params()
    return connection, wire


async def content(body: Any) -> bytes:
    """Reads a body to its end, a little at a time."""
    read = b""
    while not body.at_eof() and (piece := await body.read(2_048)):
        read += piece
    return read


@pytest.mark.parametrize("flood", [TINY, HINTS], ids=["chunks of a byte", "early hints"])
async def test_a_flood_is_taken_in_over_many_turns_of_the_loop(flood: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """None of them longer than a piece, when the clock says that it took long; nothing is read meanwhile."""
    monkeypatch.setattr("criteo_audiences.session.network._TURN", 0.0)
    fed: list[int] = []
    feed = ResponseHandler.data_received
    monkeypatch.setattr(ResponseHandler, "data_received", lambda me, data: (fed.append(len(data)), feed(me, data))[1])
    connection, wire = await received()
    connection.data_received((HEAD if flood is TINY else b"") + flood)
    assert sum(fed) == 2_048
    turns = 0
    reading = asyncio.create_task(connection.read())
    while not wire.is_read and turns < 1_000:
        before = sum(fed)
        await asyncio.sleep(0)
        turns += 1
        assert sum(fed) - before <= 2_048
        if flood is TINY and reading.done() and not reading.result()[1].at_eof():
            reading.result()[1].read_nowait(2_048)
    assert turns >= len(flood) // 2_048
    assert sum(fed) == len(flood) + (len(HEAD) if flood is TINY else 0)
    reading.cancel()


async def test_the_transport_is_told_once_a_turn() -> None:
    """Not once a chunk, though aiohttp asks after each: that would be two system calls a byte."""
    connection, wire = await received()
    connection.data_received(HEAD + TINY + b"0\r\n\r\n")
    _, body = await connection.read()
    assert await content(body) == b" " * 10_000
    assert wire.changes < 200
    assert wire.is_read


async def test_what_is_held_is_taken_in_before_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server may say why and leave at once."""
    monkeypatch.setattr("criteo_audiences.session.network._TURN", 0.0)
    connection, _ = await received()
    connection.data_received(HINTS + ANSWER)
    connection.connection_lost(None)
    codes = [(await connection.read())[0].code for _ in range(201)]
    assert codes == [103] * 200 + [200]
    with pytest.raises(ServerDisconnectedError):
        await connection.read()


async def test_a_connection_with_something_held_serves_no_other_request(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would be taken for the answer."""
    connection, _ = await received()
    assert not connection.should_close
    monkeypatch.setattr("criteo_audiences.session.network._TURN", 0.0)
    connection.data_received(HINTS)
    assert connection.should_close


async def test_a_transport_that_is_closed_may_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some raise when they are to pause; there is nothing to pause any more."""
    connection, wire = await received()

    def refuse() -> None:
        raise RuntimeError("the handler is closed")

    monkeypatch.setattr(wire, "pause_reading", refuse)
    monkeypatch.setattr("criteo_audiences.session.network._TURN", 0.0)
    connection.data_received(HINTS + ANSWER)
    codes = [(await connection.read())[0].code for _ in range(201)]
    assert codes[-1] == 200


async def test_connections_are_of_this_kind() -> None:
    """They are made by a function that aiohttp does not promise to keep."""
    connector = Connector()
    assert isinstance(connector._factory(), Receiver)
    await connector.close()
