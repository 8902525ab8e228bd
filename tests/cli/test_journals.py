"""Journals on the command line: on by default, and an upload that was cut short says how to finish it."""

import asyncio
import json
import shlex
import signal
from pathlib import Path

import pytest

from criteo_audiences.sandbox import Sandbox

SERVICE = "marketing-solutions"
ROWS = 100
OPTIONS = ("--hash", "sha256", "--batch-size", "10", "--max-concurrency", "1")
FILE, USAGE, INCOMPLETE, INTERRUPTED = 3, 2, 7, 130


@pytest.fixture
def emails(tmp_path: Path) -> Path:
    """A file of ten batches."""
    path = tmp_path / "crm.csv"
    path.write_text("email\n" + "".join(f"c{number}@example.com\n" for number in range(ROWS)), encoding="utf-8")
    return path


@pytest.fixture
def state(environment: dict[str, str]) -> Path:
    """Where the journals are kept."""
    return Path(environment["XDG_STATE_HOME"]) / "criteo-audiences" / "journals"


def amendments(sandbox: Sandbox) -> int:
    """Returns the calls to a contact list that have arrived."""
    return sum("contact-list" in str(request) for request in sandbox.requests)


async def test_an_upload_that_was_stopped_prints_the_command_that_finishes_it(
    start_anew, cli, emails: Path, sandbox: Sandbox
) -> None:
    """Ctrl-C after a batch: the printed command, as it stands, sends the others and none twice."""
    segment = sandbox.add_contact_list()
    sandbox.fail_next(delay=0.0, headers={"x-first": "1"}, on="contact-list")
    sandbox.fail_next(delay=0.3, times=9, on="contact-list")
    process = await start_anew("upload", SERVICE, segment, str(emails), *OPTIONS)
    while amendments(sandbox) < 2:  # noqa: ASYNC110 - another process
        await asyncio.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, err = await process.communicate()
    assert process.returncode == INTERRUPTED

    line, verdict = err.decode().strip().splitlines()[-2:]
    assert verdict == "FAILED (130): Interrupted. Running the same command again is safe."
    announced, _, command = line.partition("To send what is missing: ")
    words = shlex.split(command)
    assert announced == "criteo-audiences: "
    assert words[1:3] == ["-m", "criteo_audiences"]
    assert words[-1] == "--resume"
    arrived = len(sandbox.contact_list(segment))
    assert 0 < arrived < ROWS

    done = await cli(*words[3:], "--json")
    report = json.loads(done.out)
    assert (done.code, report["ok"]) == (0, True)
    assert report["resumed"] == arrived // 10
    assert (report["sent"], len(sandbox.contact_list(segment))) == (ROWS, ROWS)
    assert amendments(sandbox) == ROWS // 10
    assert "resume" not in report


async def test_a_killed_upload_is_finished_by_the_same_command(start, cli, emails: Path, sandbox: Sandbox) -> None:
    """SIGKILL while a batch is in flight: at most that one is sent again."""
    segment = sandbox.add_contact_list()
    arguments = ("upload", SERVICE, segment, str(emails), *OPTIONS)
    sandbox.fail_next(delay=0.0, headers={"x-first": "1"}, times=3, on="contact-list")
    sandbox.fail_next(delay=5, on="contact-list")
    process = await start(*arguments)
    while amendments(sandbox) < 4:  # noqa: ASYNC110 - another process
        await asyncio.sleep(0.01)
    process.kill()
    await process.wait()
    done = await cli(*arguments, "--json")
    report = json.loads(done.out)
    assert (report["resumed"], report["ok"], report["sent"]) == (3, True, ROWS)
    assert "resuming an upload that was cut short" in done.err
    assert len(sandbox.contact_list(segment)) == ROWS
    assert amendments(sandbox) == ROWS // 10 + 1


async def test_a_batch_that_failed_is_sent_by_the_printed_command(cli, emails: Path, sandbox: Sandbox) -> None:
    """An upload that ran to its end and is not complete says how to complete it, in --json too."""
    segment = sandbox.add_contact_list()
    sandbox.fail_next(status=400, on="contact-list")
    done = await cli("upload", SERVICE, segment, str(emails), *OPTIONS, "--json")
    assert done.code == INCOMPLETE
    report = json.loads(done.out)
    assert report["resume"].endswith("--json --resume")
    assert report["resume"] in done.err

    program, *words = shlex.split(report["resume"])
    assert program == "criteo-audiences"
    again = await cli(*words)
    assert again.code == 0
    assert len(sandbox.contact_list(segment)) == ROWS
    assert amendments(sandbox) == ROWS // 10 + 1


async def test_the_report_says_what_an_earlier_run_has_sent(cli, emails: Path, sandbox: Sandbox) -> None:
    """All that was ever sent is in it, and how much of it this run did not send."""
    arguments = ("upload", SERVICE, sandbox.add_contact_list(), str(emails), *OPTIONS)
    sandbox.fail_next(status=400, on="contact-list")
    assert (await cli(*arguments)).code == INCOMPLETE
    assert "10 batches, 1 call, 9 by an earlier run\n" in (await cli(*arguments)).out


async def test_a_clear_in_between_keeps_it_from_being_resumed_unasked(cli, emails: Path, sandbox: Sandbox) -> None:
    """What was acknowledged is gone, so everything is sent; the reason is printed."""
    segment = sandbox.add_contact_list()
    arguments = ("upload", SERVICE, segment, str(emails), *OPTIONS)
    sandbox.fail_next(status=400, on="contact-list")
    assert (await cli(*arguments)).code == INCOMPLETE
    assert (await cli("clear", SERVICE, segment, "--yes")).code == 0
    done = await cli(*arguments, "--json")
    assert json.loads(done.out)["resumed"] == 0
    assert "something else has operated on the list since" in done.err
    assert len(sandbox.contact_list(segment)) == ROWS


@pytest.mark.parametrize("between", [("remove",), ("upload", "--no-journal")], ids=["remove", "no journal"])
async def test_another_upload_in_between_does_too(
    cli, emails: Path, sandbox: Sandbox, between: tuple[str, ...]
) -> None:
    """Also one that keeps no journal itself."""
    segment = sandbox.add_contact_list()
    arguments = ("upload", SERVICE, segment, str(emails), *OPTIONS)
    sandbox.fail_next(status=400, on="contact-list")
    assert (await cli(*arguments)).code == INCOMPLETE
    command, *more = between
    assert (await cli(command, SERVICE, segment, str(emails), "--hash", "sha256", *more)).code == 0
    assert json.loads((await cli(*arguments, "--json")).out)["resumed"] == 0


async def test_the_second_upload_with_one_journal_is_refused(start, cli, emails: Path, sandbox: Sandbox) -> None:
    """In one line, with nothing sent."""
    segment = sandbox.add_contact_list()
    arguments = ("upload", SERVICE, segment, str(emails), *OPTIONS)
    sandbox.fail_next(delay=5, on="contact-list")
    first = await start(*arguments)
    while not amendments(sandbox):  # noqa: ASYNC110 - another process
        await asyncio.sleep(0.01)
    second = await cli(*arguments)
    first.kill()
    await first.wait()
    assert second.code == FILE
    assert "in use by another upload" in second.err
    assert len(second.err.splitlines()) == 1
    assert amendments(sandbox) == 1


async def test_journals_are_listed_compacted_and_removed(cli, emails: Path, sandbox: Sandbox, state: Path) -> None:
    """One that is finished and one that is not; only the finished one can be compacted."""
    segment = sandbox.add_contact_list()
    assert (await cli("upload", SERVICE, segment, str(emails), *OPTIONS)).code == 0
    sandbox.fail_next(status=400, on="contact-list")
    assert (await cli("remove", SERVICE, segment, str(emails), *OPTIONS)).code == INCOMPLETE

    listed = await cli("journals", "list")
    assert [line.split()[1] for line in listed.out.splitlines()[1:]] == ["completed", "unfinished"]
    found = json.loads((await cli("journals", "list", "--json")).out)["journals"]
    assert [(one["operation"], one["batches"]) for one in found] == [
        ("add", {"acknowledged": 10}),
        ("remove", {"acknowledged": 9, "failed": 1}),
    ]
    done, undone = (one["name"] for one in found)
    assert (await cli("journals", "compact", undone)).code == FILE
    assert (await cli("journals", "compact", "--completed")).out == f"compacted {done}\n"
    assert (await cli("journals", "remove", done, undone)).code == 0
    assert json.loads((await cli("journals", "list", "--json")).out)["journals"] == []
    assert not list(state.glob("*.journal"))


async def test_what_is_kept_is_for_its_owner_only_and_names_nobody(
    cli, tmp_path: Path, sandbox: Sandbox, state: Path
) -> None:
    """Modes 0700 and 0600; neither the address nor its digest stands in any file, even for a batch of one."""
    path = tmp_path / "one.csv"
    path.write_text("email\nplanted@example.com\n", encoding="utf-8")
    condition = "email <> 'planted.too@example.com'"
    sandbox.fail_next(status=400, on="contact-list")
    done = await cli(
        "upload", SERVICE, sandbox.add_contact_list(), str(path), "--hash", "none", "--where", condition, "--debug"
    )
    assert "planted" not in done.err
    assert state.stat().st_mode & 0o777 == 0o700
    files = list(state.iterdir())
    assert len(files) >= 2
    for file in files:
        assert file.stat().st_mode & 0o777 == 0o600
        assert b"planted" not in file.read_bytes()
        assert "planted" not in file.name


async def test_a_state_directory_that_cannot_be_made_keeps_no_journal(
    cli, emails: Path, sandbox: Sandbox, environment: dict[str, str], tmp_path: Path
) -> None:
    """The upload goes on and says so; asked to resume, it does not begin."""
    blocked = tmp_path / "blocked"
    blocked.touch()
    environment["XDG_STATE_HOME"] = str(blocked)
    arguments = ("upload", SERVICE, sandbox.add_contact_list(), str(emails), *OPTIONS)
    done = await cli(*arguments)
    assert done.code == 0
    assert "No journal is kept" in done.err
    assert (await cli(*arguments, "--resume")).code == USAGE


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--no-journal", "--resume"), "--no-journal excludes"),
        (("--no-journal", "--journal", "x"), "--no-journal excludes"),
        (("--dry-run", "--resume"), "without --dry-run"),
        (("--resume",), "no unfinished upload to resume"),
    ],
    ids=" ".join,
)
async def test_options_that_contradict_each_other_are_refused(
    cli, emails: Path, sandbox: Sandbox, options: tuple[str, ...], words: str
) -> None:
    """In one line, with nothing sent."""
    done = await cli("upload", SERVICE, sandbox.add_contact_list(), str(emails), *OPTIONS, *options)
    assert done.code in {USAGE, FILE}
    assert words in done.err.splitlines()[-1]
    assert not amendments(sandbox)


async def test_a_file_that_is_no_journal_is_left_as_it_is(cli, emails: Path, sandbox: Sandbox) -> None:
    """The export itself, given as the journal by mistake."""
    before = emails.read_bytes()
    segment = sandbox.add_contact_list()
    done = await cli("upload", SERVICE, segment, str(emails), *OPTIONS, "--journal", str(emails))
    assert done.code == FILE
    assert len(done.err.splitlines()) == 1
    assert emails.read_bytes() == before
    assert not amendments(sandbox)


async def test_names_that_are_no_utf8_are_printed(cli, emails: Path, tmp_path: Path, sandbox: Sandbox) -> None:
    """In words and in JSON, with escapes in place of their bytes."""
    folder, odd = tmp_path / "\udcff", "crm\udcff.journal"
    folder.mkdir()
    segment = sandbox.add_contact_list()
    done = await cli("upload", SERVICE, segment, str(emails), *OPTIONS, "--journal", str(folder / odd), "--json")
    assert done.code == 0, done.err
    shown = await cli("journals", "list", "--directory", str(folder), "--json")
    (journal,) = json.loads(shown.out)["journals"]
    assert journal["name"] == "crm\\udcff.journal"
    listed = await cli("journals", "list", "--directory", str(folder))
    assert (listed.code, "Traceback" in listed.err) == (0, False)
    gone = await cli("upload", SERVICE, segment, str(folder / "nothere.csv"), *OPTIONS, "--json")
    assert gone.code in {USAGE, FILE}
    assert "Traceback" not in gone.err


async def test_journals_are_pruned_by_an_age_with_a_unit(cli, emails: Path, state: Path, sandbox: Sandbox) -> None:
    """A bare number is refused, and nothing is removed: 30 would be taken for seconds where days were meant."""
    await cli("upload", SERVICE, sandbox.add_contact_list(), str(emails), *OPTIONS)
    kept = sorted(state.glob("*.journal"))
    done = await cli("journals", "prune", "--older-than", "0")
    assert (done.code, "expected a number with its unit: 12h or 30d." in done.err) == (USAGE, True)
    assert sorted(state.glob("*.journal")) == kept != []
    assert (await cli("journals", "prune", "--older-than", "0s")).code == 0
    assert not list(state.glob("*.journal"))
