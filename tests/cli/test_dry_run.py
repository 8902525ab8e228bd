"""What a dry run predicts."""

import datetime as dt
import json
import re
from pathlib import Path

import pytest

from criteo_audiences import Quota
from criteo_audiences.cli.output import QuotaPlan
from criteo_audiences.sandbox import Sandbox

SERVICE = "marketing-solutions"
FRIDAY = dt.datetime(2026, 11, 27, 17, 58, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("calls", "quota", "seconds", "moment"),
    [
        (0, 250, 0, "at once"),
        (250, 250, 0, "at once"),
        (251, 250, 60, "at 2026-11-27 17:59 UTC at the earliest"),
        (500, 250, 60, "at 2026-11-27 17:59 UTC at the earliest"),
        (21, 10, 120, "at 2026-11-27 18:00 UTC at the earliest"),
    ],
)
def test_the_last_call_waits_for_its_window(calls: int, quota: int, seconds: float, moment: str) -> None:
    """A window may be spent at once, on both sides of its end."""
    plan = QuotaPlan(calls=calls, quota=Quota(quota), assumed=False)
    assert plan.seconds == seconds
    assert f"could go out {moment}: the login's quota is {quota} calls a minute" in plan.forecast(FRIDAY)
    assert ("no wait" in plan.cost()) is (seconds == 0)


async def test_without_a_login_it_says_what_it_assumes(
    cli, environment: dict[str, str], export: Path, sandbox: Sandbox
) -> None:
    """`--dry-run` counts rows and calls without one request, and without credentials."""
    del environment["CRITEO_CLIENT_ID"], environment["CRITEO_CLIENT_SECRET"]
    done = await cli("upload", SERVICE, "1", str(export), "--hash", "sha256", "--dry-run")
    assert done.code == 0, done.err
    figures = {line.split()[0]: line.split()[1] for line in done.out.splitlines() if line.startswith("  ")}
    assert figures == {"rejected": "2", "duplicates": "1", "pending": "2"}
    assert "  pending     2  distinct, 1 batch" in done.out
    assert "It would take 1 call: no wait under a quota of 250 a minute." in done.out
    assert "at once: assuming 250 calls a minute, since no credentials are set." in done.out
    assert not sandbox.requests


async def test_a_users_login_has_its_own_quota(
    cli, environment: dict[str, str], export: Path, sandbox: Sandbox
) -> None:
    """Ten calls a minute and account count for a refresh token, of which the look at the segment takes one."""
    environment |= {"CRITEO_REFRESH_TOKEN": sandbox.refresh_token().refresh_token, "CRITEO_ACCOUNTS": "2"}
    segment = sandbox.add_contact_list()
    done = await cli(
        "upload", SERVICE, segment, str(export), "--hash", "sha256", "--dry-run", "--batch-size", "1", "--json"
    )
    plan = json.loads(done.out)["plan"]
    assert (plan["calls"], plan["calls_a_window"], plan["quota_assumed"], plan["seconds"]) == (2, 20, False, 0)
    assert [each.path.rsplit("/", 1)[-1] for each in sandbox.requests if "oauth2" not in each.path] == ["search"]


async def test_a_quota_that_the_server_announces_is_reckoned_with(
    cli, environment: dict[str, str], export: Path
) -> None:
    """The look at the list tells it, so that two calls have to wait for a window of one."""
    async with Sandbox(rate_limit=(1, 60.0)) as sandbox:
        environment["CRITEO_BASE_URL"] = sandbox.url
        environment |= {"CRITEO_CLIENT_ID": sandbox.client_id, "CRITEO_CLIENT_SECRET": sandbox.client_secret}
        options = ("--hash", "sha256", "--dry-run", "--batch-size", "1")
        done = await cli("upload", SERVICE, sandbox.add_contact_list(), str(export), *options)
    assert "It would take 2 calls: at least 1 min under a quota of 1 a minute." in done.out, done.err


async def test_a_plan_without_a_wait_is_said_once(cli, export: Path, sandbox: Sandbox) -> None:
    """The line of what is to be sent already holds the quota; when the last call goes out is said if that is later."""
    what = ("upload", SERVICE, sandbox.add_contact_list(), str(export), "--hash", "sha256", "--dry-run")
    done = await cli(*what)
    assert done.code == 0, done.err
    assert done.out.count("quota") == 1


async def test_half_a_login_is_a_mistake(cli, environment: dict[str, str], export: Path) -> None:
    """A rehearsal finds out what the upload would stumble over."""
    del environment["CRITEO_CLIENT_SECRET"]
    done = await cli("upload", SERVICE, "1", str(export), "--hash", "sha256", "--dry-run")
    assert done.code == 2
    assert "CRITEO_CLIENT_SECRET is not set" in done.err


async def test_it_says_when_the_upload_would_be_live(cli, export: Path, sandbox: Sandbox) -> None:
    """Five hours after a computation, in words and in the document."""
    what = ("upload", SERVICE, sandbox.add_contact_list(), str(export), "--hash", "sha256", "--dry-run")
    said = re.search(r"it would be live from about (\S+ \S+) UTC\.", (await cli(*what)).out)
    assert said is not None
    assert said[1][-5:] in {"05:00", "17:00"}
    plan = json.loads((await cli(*what, "--json")).out)["plan"]
    assert dt.datetime.fromisoformat(plan["live_from"]).hour in {5, 17}


@pytest.fixture
def slow(environment: dict[str, str], sandbox: Sandbox, tmp_path: Path) -> tuple[str, ...]:
    """An upload that a user's ten calls a minute hold up for more than half a day."""
    environment["CRITEO_REFRESH_TOKEN"] = sandbox.refresh_token().refresh_token
    path = tmp_path / "long.csv"
    path.write_text("email\n" + "".join(f"{number}@example.com\n" for number in range(7_300)), encoding="utf-8")
    return "upload", SERVICE, sandbox.add_contact_list(), str(path), "--hash", "none", "--batch-size", "1"


async def test_it_warns_of_an_upload_that_straddles_a_computation(cli, slow: tuple[str, ...]) -> None:
    """A line of the report says when the last call goes out, and how to have it refused."""
    done = await cli(*slow, "--dry-run")
    assert done.code == 0, done.err
    (warning,) = (line for line in done.out.splitlines() if line.startswith("By the quota"))
    assert warning.startswith("By the quota the last of 7,300 calls goes out at 20")
    assert warning.endswith("(--deadline next-window) refuses such an upload before anything is sent.")


@pytest.mark.parametrize("options", [(), ("--dry-run",)], ids=["upload", "rehearsal"])
async def test_deadline_of_the_next_window_refuses_it(
    cli, slow: tuple[str, ...], sandbox: Sandbox, options: tuple[str, ...]
) -> None:
    """In one line, as something to try again later, and nothing was sent; a rehearsal finds out the same."""
    done = await cli(*slow, "--deadline", "next-window", *options)
    assert done.code == 8, done.err
    assert "Nothing was sent, because deadline='next-window'" in done.err.splitlines()[-1]
    assert len(sandbox.contact_list(slow[2])) == 0
    assert {each.path.rsplit("/", 1)[-1] for each in sandbox.requests} == {"token", "search"}


@pytest.mark.parametrize("deadline", ["tomorrow", "", "nan"])
async def test_a_deadline_is_seconds_or_the_next_window(cli, export: Path, deadline: str) -> None:
    """Anything else is a mistake of the command line."""
    done = await cli("upload", SERVICE, "1", str(export), "--hash", "none", "--deadline", deadline)
    assert done.code == 2
    assert "deadline" in done.err
