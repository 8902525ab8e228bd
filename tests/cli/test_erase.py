"""`erase`, and what `clear` asks: identifiers come from a file or standard input, and nothing shows them."""

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from criteo_audiences import CriteoClient
from criteo_audiences.sandbox import Sandbox

ANNA, NEIGHBOR = "anna.kowalska@example.com", "li.wei@example.org"
DIGEST = hashlib.sha256(ANNA.encode()).hexdigest()
MS = "marketing-solutions"


@pytest.fixture
async def lists(sandbox: Sandbox) -> dict[str, str]:
    """A list of each service with a person and a neighbor in it."""
    found = {}
    async with CriteoClient(sandbox.credentials, base_url=sandbox.url) as criteo:
        for service in (MS, "retail-media", "commerce-grid"):
            segment = found[service] = sandbox.add_contact_list(service=service)
            amend = getattr(criteo, service.replace("-", "_")).amend_contact_list
            await amend(segment, operation="add", identifiers=[ANNA, DIGEST, NEIGHBOR])
    return found


@pytest.fixture
def people(tmp_path: Path) -> Path:
    """A file with the person, a blank line and a number."""
    path = tmp_path / "people.txt"
    path.write_text("\ufeffAnna.Kowalska@Example.com\r\n\r\n+91 98123 45678\n", encoding="utf-8")
    return path


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    """A terminal: the end of the user, and the one of the command."""
    user, command = os.openpty()
    yield user, command
    os.close(user)
    os.close(command)


def held(sandbox: Sandbox, lists: dict[str, str]) -> list[set[str]]:
    """Returns what each list holds."""
    return [set(sandbox.contact_list(segment).identifiers) for segment in lists.values()]


def assert_blind(*texts: str) -> None:
    """Asserts that no text shows the person."""
    for text in texts:
        assert not [trace for trace in ("kowalska", DIGEST, "9812345678", "98123 45678") if trace in text.lower()]


async def test_a_person_is_erased_from_all_services(
    cli: Any, sandbox: Sandbox, lists: dict[str, str], people: Path, tmp_path: Path
) -> None:
    """By a file; the receipt is printed as a document, kept in a file of the owner's, and shows nobody."""
    kept = tmp_path / "receipt.json"
    done = await cli("erase", str(people), "--yes", "--json", "--receipt", str(kept))
    assert done.code == 0, done.err
    assert held(sandbox, lists) == [{NEIGHBOR}] * 3
    receipt = json.loads(done.out)
    assert receipt == json.loads(kept.read_text("utf-8"))
    assert kept.stat().st_mode & 0o777 == 0o600
    assert (receipt["ok"], receipt["contact_lists"], len(receipt["identifiers"])) == (True, 3, 2)
    assert_blind(done.out, done.err)
    again = await cli("erase", str(people), "--yes", "--receipt", str(kept))
    assert again.code == 2
    assert "--receipt must name a new file; one of that name exists" in again.err


async def test_identifiers_come_from_standard_input(cli: Any, sandbox: Sandbox, lists: dict[str, str]) -> None:
    """In words this time; with an owner only that one's lists are asked."""
    done = await cli("erase", "-", "--yes", "--advertiser-id", "1", stdin=ANNA.encode())
    assert done.code == 0, done.err
    assert [ANNA in each for each in held(sandbox, lists)] == [False, True, True]
    lines = done.out.splitlines()
    assert lines[0] == "identifiers    1, in 4 forms"
    assert lines[1:3] == [f"{MS} of 1: searched, 1 contact list", "lists          1 request removed"]
    assert lines[-1].startswith("Campaigns follow from about 20")
    assert_blind(done.out, done.err)
    assert (await cli("erase", "-", "--yes", "--service", "Retail-Media", stdin=ANNA.encode())).code == 0
    assert [ANNA in each for each in held(sandbox, lists)] == [False, False, True]


async def test_a_dry_run_needs_no_answer(cli: Any, sandbox: Sandbox, lists: dict[str, str], people: Path) -> None:
    """It says what would be asked."""
    done = await cli("erase", str(people), "--dry-run")
    assert done.code == 0, done.err
    assert "lists          5 requests planned" in done.out
    assert done.out.splitlines()[-1] == "Dry run: nothing was removed."
    assert all(ANNA in each for each in held(sandbox, lists))


async def test_a_list_that_fails_makes_it_incomplete(
    cli: Any, sandbox: Sandbox, lists: dict[str, str], people: Path
) -> None:
    """Code 7 when some lists did as asked; the code of the first failure when none did."""
    sandbox.fail_next(status=403, times=4, on=lists["retail-media"])
    done = await cli("erase", str(people), "--yes", "--json")
    assert done.code == 7, done.err
    states = {each["service"]: each["state"] for each in json.loads(done.out)["lists"]}
    assert states == {MS: "removed", "retail-media": "failed", "commerce-grid": "removed"}
    assert "The erasure is not complete: 2 requests to lists failed. Running it again is safe." in done.err
    alone = await cli("erase", str(people), "--yes", "--service", "retail-media")
    assert alone.code == 5
    assert_blind(done.out, done.err, alone.out, alone.err)


@pytest.mark.parametrize("given", [ANNA, f"/nowhere/{ANNA}", "+919812345678", "."])
def test_an_identifier_is_no_argument(misuse: Any, given: str) -> None:
    """It is refused without being shown again, and the message says where identifiers go."""
    done = misuse("erase", given, "--yes")
    assert done.code == 2
    assert "FILE must name a file of identifiers, one a line, or - for standard input" in done.err
    assert "never arguments" in done.err
    assert_blind(done.out, done.err)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"email\n" + ANNA.encode(), "entry 1: expected an e-mail"),
        (ANNA.encode() + b"\n\nplanted.kowalska", "entry 3: expected an e-mail"),
        (b"\n \n", "at least one identifier; found none"),
        (b"\xff\xfe\x00", "it is no UTF-8 text"),
    ],
)
def test_a_file_with_a_mistake_sends_nothing(misuse: Any, tmp_path: Path, content: bytes, words: str) -> None:
    """The line is named, not what stands in it; no receipt is left behind."""
    path, kept = tmp_path / "people.txt", tmp_path / "receipt.json"
    path.write_bytes(content)
    done = misuse("erase", str(path), "--yes", "--receipt", str(kept))
    assert done.code == 2
    assert words in done.err
    assert_blind(done.out, done.err)
    assert not kept.exists()


def test_without_a_terminal_it_needs_a_yes(misuse: Any, people: Path) -> None:
    """Nobody can be asked, so nothing is done; nor where standard input holds the identifiers."""
    assert "confirm with --yes where standard input is no terminal" in misuse("erase", str(people)).err
    assert "confirm with --yes where standard input holds identifiers" in misuse("erase", "-").err


@pytest.mark.parametrize(("answer", "code"), [(b"n\n", 2), (b"\n", 2), (b"y\n", 0)])
async def test_it_asks_and_names_lists_and_numbers(
    start: Any,
    terminal: tuple[int, int],
    sandbox: Sandbox,
    lists: dict[str, str],
    people: Path,
    answer: bytes,
    code: int,
) -> None:
    """Only a yes removes anything."""
    os.write(terminal[0], answer)
    process = await start("erase", str(people), stdin=terminal[1])
    out, err = await process.communicate()
    assert process.returncode == code, err
    for service, segment in lists.items():
        assert f"{service} segment {segment}" in err.decode()
    assert "Remove 2 identifiers, in 10 forms, from 3 contact lists? [y/N]: " in err.decode()
    assert all((ANNA in each) is (code != 0) for each in held(sandbox, lists))
    assert_blind(out.decode(), err.decode())


@pytest.mark.parametrize(
    ("service", "options", "count"),
    [
        (MS, (), "it holds 3"),
        ("retail-media", ("--account-id", "1"), "it holds 3"),
        ("retail-media", (), "how many it holds is not known"),
    ],
)
async def test_clear_asks_with_the_number(
    start: Any,
    terminal: tuple[int, int],
    sandbox: Sandbox,
    lists: dict[str, str],
    service: str,
    options: tuple[str, ...],
    count: str,
) -> None:
    """As far as it can be known; an answer other than yes leaves the list as it is."""
    segment = lists[service]
    for answer, left in ((b"no\n", 3), (b"yes\n", 0)):
        os.write(terminal[0], answer)
        process = await start("clear", service, segment, *options, stdin=terminal[1])
        out, err = await process.communicate()
        name = f" 'segment {segment}'" if count.startswith("it holds") else ""
        assert f"Remove every identifier from {service} segment {segment}{name} ({count})? [y/N]: " in err.decode()
        assert len(sandbox.contact_list(segment)) == left
    assert b"For campaigns it is empty from about 20" in out


async def test_clear_says_when_it_counts(cli: Any, lists: dict[str, str]) -> None:
    """In the document, too."""
    done = await cli("clear", MS, lists[MS], "--yes", "--json")
    assert json.loads(done.out)["live_from"].endswith(("T05:00:00+00:00", "T17:00:00+00:00"))
    assert (await cli("clear", MS, lists[MS], "--yes", "--account-id", "1")).code == 2
