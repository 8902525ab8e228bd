"""What a real process leaves when it is killed, fails and is asked: nothing that was planted."""

import asyncio
import base64
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from criteo_audiences import hash_email
from criteo_audiences.cli import app
from criteo_audiences.sandbox import Sandbox

CLIENT_ID, SECRET, SEGMENT_NAME = "planted-client-id", "planted-client-secret", "planted-segment-name"
EMAILS = [f"planted.person.{number}@example.com" for number in range(100)]
WHERE = "email <> 'planted.condition@example.com'"
SERVICE, CALL = "marketing-solutions", "contact-list"


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    """A local Criteo with planted credentials."""
    async with Sandbox(rate_limit=None, client_id=CLIENT_ID, client_secret=SECRET) as running:
        yield running


@pytest.fixture
def arguments(sandbox: Sandbox, tmp_path: Path, environment: dict[str, str]) -> tuple[str, ...]:
    """An upload of ten batches with a condition, opt-outs and rejects, whose temporary files have a place of their own."""
    source, opt_outs, temporary = tmp_path / "crm.csv", tmp_path / "gone.csv", tmp_path / "temporary"
    source.write_text("\n".join(["email", *EMAILS, "planted.nobody"]), encoding="utf-8")
    opt_outs.write_text("email\nplanted.gone@example.com\n", encoding="utf-8")
    temporary.mkdir()
    environment["TMPDIR"] = str(temporary)
    segment_id = sandbox.add_contact_list(name=SEGMENT_NAME)
    options = ("--hash", "sha256", "--batch-size", "10", "--max-concurrency", "1", "--suppress", str(opt_outs))
    return ("upload", SERVICE, segment_id, str(source), *options, "--where", WHERE, "--debug")


def tokens(sandbox: Sandbox) -> list[str]:
    """Returns the tokens that the server has issued."""
    return list(sandbox._state.tokens._expiry)


def leaks(sandbox: Sandbox, *seen: str | bytes) -> set[bytes]:
    """Returns what of the planted stands in what was seen."""
    digests = [hash_email(email, name) for email in EMAILS for name in ("sha256", "md5")]
    texts = [CLIENT_ID, SECRET, SEGMENT_NAME, "planted.", *digests, *tokens(sandbox)]
    raw = [bytes.fromhex(digest) for digest in digests]
    planted = [*(text.encode() for text in texts), *raw, *map(base64.b64encode, raw)]
    everything = b"\n".join(each.encode() if isinstance(each, str) else each for each in seen)
    return {each for each in planted if each in everything}


def contents(directory: Path) -> Iterator[str | bytes]:
    """Yields the names and the bytes of the files in a directory, which only their owner can enter and read."""
    assert directory.stat().st_mode & 0o777 == 0o700
    for path in directory.iterdir():
        assert path.stat().st_mode & 0o777 == 0o600
        yield path.name
        yield path.read_bytes()


async def killed(start: Any, sandbox: Sandbox, arguments: tuple[str, ...]) -> list[str | bytes]:
    """Kills an upload while its fourth batch is in flight; returns what could be seen of it."""
    sandbox.fail_next(headers={"x-first": "1"}, times=3, on=CALL)
    sandbox.fail_next(delay=5, on=CALL)
    process = await start(*arguments)
    while sum(CALL in str(request) for request in sandbox.requests) < 4:  # noqa: ASYNC110 - another process
        await asyncio.sleep(0.01)
    proc = Path(f"/proc/{process.pid}")
    shown = [*(proc / "cmdline").read_bytes().split(b"\0"), (proc / "comm").read_bytes()]
    assert (proc / "environ").stat().st_mode & 0o777 == 0o400
    process.kill()
    out, err = await process.communicate()
    return [*(word for word in shown if word != WHERE.encode()), out, err]


async def test_a_killed_upload_leaves_nothing_that_was_planted(
    start_anew, cli, sandbox: Sandbox, arguments: tuple[str, ...], environment: dict[str, str], tmp_path: Path
) -> None:
    """In its output, its arguments, its journal; nor do the failures and the resumption after it, with --debug."""
    state = Path(environment["XDG_STATE_HOME"]) / "criteo-audiences" / "journals"
    seen = await killed(start_anew, sandbox, arguments)
    seen += contents(state)
    assert any(str(name).endswith(".journal-wal") for name in seen)

    sandbox.fail_next(status=401, body=EMAILS[0].encode(), times=2, on=CALL)
    refused = await cli(*arguments, "--json")
    assert "Traceback" in refused.err
    sandbox.fail_next(status=400, body=EMAILS[0].encode(), on=CALL)
    failed = await cli(*arguments, "--rejects", str(tmp_path / "rejects.csv"))
    other = await cli(*arguments[:-1], "--operation", "remove", "--resume", "--debug")
    done = await cli(*arguments, "--json")
    listed = await cli("journals", "list", "--json")
    assert [each.code for each in (refused, failed, other, done, listed)] == [4, 7, 3, 0, 0]
    for each in (refused, failed, other, done, listed):
        seen += [each.out, each.err]
    seen += contents(state)
    assert (tmp_path / "rejects.csv").stat().st_mode & 0o777 == 0o600
    seen.append((tmp_path / "rejects.csv").read_bytes())
    assert len(sandbox.contact_list(arguments[2])) == len(EMAILS)
    assert tokens(sandbox)
    assert leaks(sandbox, *seen) == set()


async def test_temporary_files_are_for_their_owner_and_go_with_the_upload(
    start, cli, sandbox: Sandbox, arguments: tuple[str, ...], environment: dict[str, str]
) -> None:
    """Only a process that is killed leaves its directory, which nobody else can enter; an upload that ends does not."""
    temporary = Path(environment["TMPDIR"])
    await killed(start, sandbox, arguments)
    (left,) = temporary.iterdir()
    assert left.name.startswith("criteo-audiences-")
    assert left.stat().st_mode & 0o777 == 0o700
    sandbox.fail_next(status=400, times=99, on=CALL)
    assert (await cli(*arguments)).code == 7
    assert list(temporary.iterdir()) == [left]


def options_of(command: Any) -> Iterator[str]:
    """Yields the names of all options and arguments of a command and those below it."""
    for parameter in command.params:
        yield from (str(parameter.name), *parameter.opts)
    for below in getattr(command, "commands", {}).values():
        yield from options_of(below)


def test_no_option_takes_a_secret() -> None:
    """Arguments can be read by every user of the machine and are kept in the shell's history."""
    found = set(options_of(typer.main.get_command(app)))
    assert "segment_id" in found
    assert not [name for name in found if any(word in name for word in ("secret", "token", "password", "client"))]


def test_a_leak_would_be_found(sandbox: Sandbox) -> None:
    """In clear, hashed and raw; what is harmless is none."""
    digest = hash_email(EMAILS[7], "sha256")
    for secret in (CLIENT_ID, SECRET, SEGMENT_NAME, EMAILS[7], WHERE, digest, bytes.fromhex(digest)):
        assert leaks(sandbox, "before", secret)
    assert not leaks(sandbox, "harmless", os.urandom(64))
