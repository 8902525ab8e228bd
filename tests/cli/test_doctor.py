"""What `doctor` and `profiles` find, on set-ups that work and on broken ones."""

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from criteo_audiences.sandbox import Sandbox

USAGE, FILE, CREDENTIALS, PERMISSION, OUTAGE = 2, 3, 4, 5, 8
Break = Callable[[dict[str, str], Path, Sandbox], object]


async def test_a_set_up_that_works_is_all_ok(cli, sandbox: Sandbox) -> None:
    """Every look has its line, and it spends a call a service."""
    _announce(sandbox, 0)
    done = await cli("doctor")
    assert done.code == 0, done.out
    lines = done.out.splitlines()
    assert all(line.startswith("ok    ") for line in lines[:-1])
    subjects = {line[6:18].strip() for line in lines[:-1]}
    assert subjects == {
        *("version", "extra files", "extra phone", "temporary", "journals"),
        *("profile", "login", "permission", "quota"),
    }
    assert lines[-1] == "OK: uploads can begin."
    assert "the clock is right" in lines[-2]
    assert sum("oauth2" not in request.path for request in sandbox.requests) == 3
    document = json.loads((await cli("doctor", "--json")).out)
    assert document["ok"] is True
    assert {finding["subject"] for finding in document["findings"]} == subjects


def _announce(sandbox: Sandbox, ahead: float) -> None:
    """Lets the server announce its quota, by a clock that is so many seconds ahead."""
    moment = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + ahead))
    reset = str(int(time.time() + ahead + 5))
    headers = {"Date": moment, "x-ratelimit-limit": "250", "x-ratelimit-remaining": "200", "x-ratelimit-reset": reset}
    sandbox.fail_next(delay=0.0, headers=headers, times=20)


def _late(_: dict[str, str], __: Path, sandbox: Sandbox) -> None:
    _announce(sandbox, 3_600)


def _damage(_: dict[str, str], tmp_path: Path, __: Sandbox) -> None:
    directory = tmp_path / "state" / "criteo-audiences" / "journals"
    directory.mkdir(parents=True, mode=0o700)
    (directory / "crm.journal").write_bytes(b"SQLite format 3\0" + bytes(5_000))
    (directory / "crm.journal").chmod(0o600)


def _lock(env: dict[str, str], tmp_path: Path, _: Sandbox) -> None:
    (tmp_path / "file").write_text("no directory")
    env["TMPDIR"] = str(tmp_path / "file")


def _through_nobody(env: dict[str, str], *_: object) -> None:
    env.update(CRITEO_BASE_URL="https://criteo.invalid", HTTPS_PROXY="http://127.0.0.1:9")


@pytest.mark.parametrize(
    ("break_it", "code", "subject", "words"),
    [
        (lambda env, *_: env.pop("CRITEO_CLIENT_ID"), USAGE, "login", "CRITEO_CLIENT_ID is not set: export it"),
        (lambda env, *_: env.update(CRITEO_CLIENT_SECRET="wrong"), CREDENTIALS, "login", "401"),
        (lambda env, *_: env.update(CRITEO_BASE_URL="http://127.0.0.1:9"), OUTAGE, "host", "Check the base URL"),
        (lambda env, *_: env.update(CRITEO_PROFILE="nobody"), USAGE, "login", "There are no profiles"),
        (lambda _, __, sandbox: sandbox.fail_next(status=403, times=3, on="/me"), PERMISSION, "permission", "403"),
        (_lock, FILE, "temporary", "let TMPDIR name another directory"),
        (lambda env, *_: env.update(CRITEO_BASE_URL="https://criteo.invalid"), OUTAGE, "host", "Check the base URL"),
        (_through_nobody, OUTAGE, "host", "Check its URL (proxy=, or HTTPS_PROXY)"),
        (_late, USAGE, "clock", "s behind of Criteo's: set it by NTP"),
        (_damage, FILE, "journals", "crm.journal"),
    ],
    ids=[
        *("no variable", "wrong secret", "nobody there", "no profile", "no permission", "no temporary directory"),
        *("no such host", "no such proxy", "late clock", "damaged journal"),
    ],
)
async def test_what_is_wrong_says_what_to_do(
    cli,
    environment: dict[str, str],
    sandbox: Sandbox,
    tmp_path: Path,
    break_it: Break,
    code: int,
    subject: str,
    words: str,
) -> None:
    """In the line of its subject, with the code that a command would end with; the verdict names the subject."""
    environment["XDG_CONFIG_HOME"] = str(tmp_path)
    break_it(environment, tmp_path, sandbox)
    done = await cli("doctor")
    assert done.code == code, done.out + done.err
    wrong = [line for line in done.out.splitlines() if line.startswith("FAIL")]
    assert wrong, done.out
    assert all(line.split()[1] == subject for line in wrong)
    assert words in wrong[0]
    assert done.err.splitlines()[-1] == f"FAILED ({code}): see {', '.join([subject] * len(wrong))} above."
    assert sandbox.client_secret not in done.out + done.err


async def test_a_call_that_fails_is_repeated_once(cli, sandbox: Sandbox) -> None:
    """Whoever asks what is wrong does not wait for an outage to pass."""
    sandbox.fail_next(status=503, times=9, on="/oauth2/token")
    done = await cli("doctor")
    assert (done.code, len(sandbox.requests)) == (OUTAGE, 2)


async def test_without_the_engine_no_upload_can_begin(start_anew, environment: dict[str, str], tmp_path: Path) -> None:
    """Every upload of the command line reads a file, so what reads files is no extra there."""
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib.util as u\nfind = u.find_spec\nu.find_spec = lambda name: None if name == 'duckdb' else find(name)"
    )
    environment["PYTHONPATH"] = str(tmp_path)
    process = await start_anew("doctor")
    out, err = await process.communicate()
    assert process.returncode == USAGE
    assert b"FAIL  extra files   not installed, so no file can be read: pip install" in out
    assert err.decode().splitlines()[-1] == "FAILED (2): see extra files above."


async def test_a_place_that_cannot_keep_journals_is_noted(cli, environment: dict[str, str], tmp_path: Path) -> None:
    """It is no reason not to upload: nothing could be resumed, as the upload would say."""
    (tmp_path / "state").write_text("a file")
    environment["XDG_STATE_HOME"] = str(tmp_path / "state")
    done = await cli("doctor")
    assert done.code == 0
    assert f"note  journals      none can be kept in {tmp_path / 'state'}; XDG_STATE_HOME" in done.out


async def test_profiles_are_listed_and_checked(
    cli, environment: dict[str, str], sandbox: Sandbox, tmp_path: Path
) -> None:
    """By name alone; each that cannot log in says why, and its code is the command's."""
    path = tmp_path / "criteo-audiences" / "profiles.toml"
    path.parent.mkdir()
    login = f'client_id = "{sandbox.client_id}"\nbase_url = "{sandbox.url}"\n'
    path.write_text(f'[own]\n{login}client_secret = "{sandbox.client_secret}"\n[old]\n{login}client_secret = "gone"\n')
    path.chmod(0o600)
    environment["XDG_CONFIG_HOME"] = str(tmp_path)
    assert (await cli("profiles", "list")).out == "own\nold\n"
    done = await cli("profiles", "check")
    assert done.code == CREDENTIALS
    assert done.out.startswith("ok    own: accepted\nFAIL  old: ")
    assert (await cli("profiles", "check", "own")).code == 0
    assert json.loads((await cli("profiles", "check", "--json")).out)["ok"] is False
    assert sandbox.client_secret not in done.out
    assert (
        await cli("upload", "--profile", "agnecy", "marketing-solutions", "1", "x.csv", "--hash", "md5")
    ).code == USAGE
