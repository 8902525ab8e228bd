import ast
import asyncio
import gc
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

import criteo_audiences.sandbox
from criteo_audiences.sandbox import RecordedRequest, Sandbox


async def test_the_server_listens_on_a_free_loopback_port() -> None:
    """Two sandboxes run side by side, each under its own URL."""
    async with Sandbox() as first, Sandbox(host="localhost") as second:
        assert first.url.startswith("http://127.0.0.1:")
        assert second.url.startswith("http://127.0.0.1:")
        assert first.url != second.url
        assert first.url in repr(first)


async def test_a_port_can_be_chosen_and_is_free_again_afterwards() -> None:
    """The same port serves two sandboxes one after the other; a taken port is an error that leaves nothing behind."""
    async with Sandbox() as sandbox:
        port = int(sandbox.url.rpartition(":")[2])
        taken = Sandbox(port=port)
        with pytest.raises(OSError, match="address"):
            await taken.__aenter__()
    async with taken as sandbox:
        assert sandbox.url == f"http://127.0.0.1:{port}"


@pytest.mark.parametrize("host", ["0.0.0.0", "10.0.0.1", "::", "example.com", ""])  # noqa: S104
def test_only_loopback_addresses_are_listened_on(host: str) -> None:
    """An address that other machines can reach is refused before anything is opened."""
    with pytest.raises(ValueError, match="loopback"):
        Sandbox(host=host)


async def test_there_is_a_url_only_while_it_runs() -> None:
    """Before and after, the property says why there is none; running twice at once is refused, ending early is not."""
    sandbox = Sandbox()
    await sandbox.__aexit__(None, None, None)
    with pytest.raises(RuntimeError, match="async with"):
        _ = sandbox.url
    async with sandbox:
        with pytest.raises(RuntimeError, match="already"):
            await sandbox.__aenter__()
    assert repr(sandbox) == "<Sandbox not running>"


async def test_what_the_server_holds_outlives_it(connect: Callable[..., Any]) -> None:
    """Lists made before the start are served, and can be read after the end."""
    sandbox = Sandbox()
    segment_id = sandbox.add_contact_list(name="crm")
    async with sandbox:
        await connect(sandbox).amend(segment_id, ["a@b.co"])
    assert sandbox.contact_list(segment_id).identifiers == {"a@b.co"}


async def test_stopping_is_quick_and_leaves_no_task(http: aiohttp.ClientSession, connect: Callable[..., Any]) -> None:
    """Neither an idle connection nor a call that hangs holds it up for long."""
    before = asyncio.all_tasks()
    async with Sandbox() as sandbox:
        call = connect(sandbox)
        await call.token()
        sandbox.fail_next(delay=30.0)
        hanging = asyncio.create_task(call("GET", "/2026-07/anything"))
        while len(sandbox.requests) < 3:  # noqa: ASYNC110 - the server has no event to wait for
            await asyncio.sleep(0)
        start = time.monotonic()
    assert time.monotonic() - start < 10.0
    with pytest.raises(aiohttp.ClientError):
        await hanging
    assert asyncio.all_tasks() - {hanging} == before
    assert http is not None


async def test_a_call_whose_client_left_ends_with_the_sandbox(http: aiohttp.ClientSession) -> None:
    """It would go on in the event loop, and look for a sandbox that is gone."""
    before = asyncio.all_tasks()
    async with Sandbox() as sandbox:
        sandbox.fail_next(stall=30.0, at=0.0)
        with pytest.raises(TimeoutError):
            await http.get(f"{sandbox.url}/2026-07/anything", timeout=aiohttp.ClientTimeout(total=0.05))
        await http.close()
    assert asyncio.all_tasks() == before


async def test_what_the_server_held_goes_with_the_sandbox(connect: Callable[..., Any]) -> None:
    """A program that makes one sandbox after another does not keep all of their lists."""
    sandbox = Sandbox()
    segment_id = sandbox.add_contact_list()
    async with sandbox:
        await connect(sandbox).amend(segment_id, ["a@b.co"])
    held = weakref.ref(sandbox.contact_list(segment_id))
    del sandbox
    gc.collect()
    assert held() is None


async def test_unknown_segments_are_a_lookup_error(sandbox: Sandbox) -> None:
    """The handle names the id it does not know."""
    with pytest.raises(LookupError, match="42"):
        sandbox.contact_list("42")
    with pytest.raises(LookupError, match="42"):
        sandbox.deny("42")


async def test_requests_are_recorded_in_order_of_arrival(sandbox: Sandbox, call: Any) -> None:
    """Every call is there, token calls and refused ones too, with its path in its text."""
    segment_id = sandbox.add_contact_list()
    await call.amend(segment_id, ["planted@example.com", "b@b.co"])
    await call("GET", "/2026-07/nowhere?email=planted@example.com")
    path = call.contact_list_path(segment_id)
    found = [(entry.method, entry.path, entry.status, entry.identifiers) for entry in sandbox.requests]
    assert found == [
        ("POST", "/oauth2/token", 200, 0),
        ("PATCH", path, 200, 2),
        ("GET", "/2026-07/nowhere", 404, 0),
    ]
    assert [entry.path in str(entry) for entry in sandbox.requests] == [True] * 3


async def test_no_identifier_and_no_token_is_shown(sandbox: Sandbox, call: Any) -> None:
    """Neither the records nor the repr of a list give away what was sent."""
    segment_id = sandbox.add_contact_list()
    token = await call.token()
    body = {"operation": "add", "identifiers": ["planted@example.com"]}
    path = call.contact_list_path(segment_id)
    await call("PATCH", path, token=token, json={"data": {"type": "x", "attributes": body}})
    shown = f"{sandbox.requests} {[*map(str, sandbox.requests)]} {sandbox!r} {sandbox.contact_list(segment_id)!r}"
    shown += repr(sandbox._state)
    assert "planted" not in shown
    assert token not in shown
    assert sandbox.client_secret not in shown


async def test_calls_in_flight_are_counted(connect: Callable[..., Any]) -> None:
    """The peak is the number of API calls that overlapped; token calls do not count."""
    async with Sandbox(latency=0.02) as sandbox:
        call = connect(sandbox)
        await asyncio.gather(*(call.token() for _ in range(5)))
        assert sandbox.max_in_flight == 0
        segment_id = sandbox.add_contact_list()
        await call.amend(segment_id, [])
        assert sandbox.max_in_flight == 1
        await asyncio.gather(*(call.amend(segment_id, []) for _ in range(4)))
        assert sandbox.max_in_flight == 4


async def test_latency_passes_before_an_answer(connect: Callable[..., Any]) -> None:
    """A call takes at least the latency."""
    async with Sandbox(latency=0.05) as sandbox:
        start = time.monotonic()
        await connect(sandbox).token()
        assert time.monotonic() - start >= 0.05


async def test_a_client_that_leaves_in_the_middle_changes_nothing(
    sandbox: Sandbox, call: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Half a body is no amendment: nothing is applied, nothing is logged, and the server goes on."""
    segment_id = sandbox.add_contact_list()
    token = await call.token()
    host, port = sandbox.url.removeprefix("http://").split(":")
    _, writer = await asyncio.open_connection(host, int(port))
    head = f"PATCH {call.contact_list_path(segment_id)} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n"
    writer.write(f'{head}Content-Type: application/json\r\nContent-Length: 999\r\n\r\n{{"data": '.encode())
    await writer.drain()
    while len(sandbox.requests) < 2:  # noqa: ASYNC110 - the server has no event to wait for
        await asyncio.sleep(0)
    writer.close()
    await writer.wait_closed()
    assert (await call.amend(segment_id, ["a@b.co"])).status == 200
    assert sandbox.requests[1].status is None
    assert sandbox.contact_list(segment_id).identifiers == {"a@b.co"}
    assert not caplog.records


def test_the_server_knows_nothing_of_the_client() -> None:
    """Only the handle imports from the library, and only the credentials."""
    found = set()
    for module in Path(criteo_audiences.sandbox.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(module.read_text())):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            found |= {(module.name, name) for name in names if name.startswith("criteo_audiences")}
    outside = {(file, name) for file, name in found if not name.startswith("criteo_audiences.sandbox")}
    credentials = {"criteo_audiences.session.auth", "criteo_audiences.session.consent"}
    assert outside == {("__init__.py", module) for module in credentials}


async def test_each_call_is_handed_over_when_it_has_ended(connect: Callable[..., Any]) -> None:
    """Token calls and refused ones too, with the status that was answered."""
    calls: list[RecordedRequest] = []
    async with Sandbox(on_call=calls.append) as sandbox:
        await connect(sandbox).amend("1", ["a@b.co"])
        assert [call.status for call in calls] == [200, 404]
        assert calls == sandbox.requests
