"""Whose login a command works with: a user's who has consented, a profile's."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from criteo_audiences.sandbox import Sandbox

SERVICE = "marketing-solutions"


@pytest.fixture
def profiles(environment: dict[str, str], sandbox: Sandbox, tmp_path: Path) -> Path:
    """A file of two profiles in the user's configuration directory; no variable holds a login."""
    environment["XDG_CONFIG_HOME"] = str(tmp_path)
    for name in ("BASE_URL", "CLIENT_ID", "CLIENT_SECRET"):
        del environment[f"CRITEO_{name}"]
    path = tmp_path / "criteo-audiences" / "profiles.toml"
    path.parent.mkdir()
    (path.parent / "agency.token").write_text(sandbox.refresh_token().refresh_token, encoding="utf-8")
    login = f'client_id = "{sandbox.client_id}"\nclient_secret = "{sandbox.client_secret}"\n'
    login += f'base_url = "{sandbox.url}"\n'
    path.write_text(f'[own]\n{login}[agency]\n{login}refresh_token_file = "agency.token"\n', encoding="utf-8")
    path.chmod(0o600)
    return path


@pytest.mark.usefixtures("profiles")
async def test_a_profile_stands_before_the_command(cli, environment: dict[str, str]) -> None:
    """`--profile` goes before `CRITEO_PROFILE`, and either makes a login."""
    environment["CRITEO_PROFILE"] = "nobody"
    done = await cli("--profile", "agency", "whoami", SERVICE, "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["application"]["id"]
    environment["CRITEO_PROFILE"] = "own"
    assert (await cli("whoami", SERVICE)).code == 0


@pytest.mark.usefixtures("profiles")
async def test_an_unknown_profile_is_answered_with_those_there_are(cli) -> None:
    """The code is that of usage; an empty name is refused as well."""
    done = await cli("--profile", "agnecy", "whoami", SERVICE)
    assert done.code == 2
    assert "known are 'own', 'agency'" in done.err
    assert "must not be empty" in (await cli("--profile", "", "whoami", SERVICE)).err


@pytest.mark.usefixtures("profiles")
async def test_a_profile_may_stand_anywhere(cli, sandbox: Sandbox) -> None:
    """Before the command or after it; the one after it counts."""
    assert (await cli("whoami", SERVICE, "--profile", "own")).code == 0
    done = await cli("--profile", "agnecy", "whoami", "--profile", "own", SERVICE)
    assert done.code == 0, done.err
    assert (await cli("whoami", SERVICE, "--profile", "")).code == 2
    assert sandbox.requests


async def test_a_profile_that_others_can_read_is_refused(cli, profiles: Path, sandbox: Sandbox) -> None:
    """One line names the file and the command that mends it, and nothing is sent."""
    profiles.chmod(0o644)
    done = await cli("--profile", "own", "whoami", SERVICE)
    assert done.code == 2
    assert f"chmod 600 {profiles}" in done.err
    assert sandbox.client_secret not in done.err
    assert not sandbox.requests


@pytest.fixture
def consented(environment: dict[str, str], sandbox: Sandbox) -> Callable[[], None]:
    """Exports the refresh token of a user who has consented."""

    def export() -> None:
        environment["CRITEO_REFRESH_TOKEN"] = sandbox.refresh_token().refresh_token

    return export


async def test_whoami_of_a_user_who_has_consented(cli, consented: Callable[[], None], sandbox: Sandbox) -> None:
    """A refresh token logs in; once the consent is gone, the line says to ask for it again."""
    consented()
    done = await cli("whoami", SERVICE)
    assert done.code == 0, done.err
    assert "application" in done.out
    sandbox.revoke_consent()
    refused = await cli("whoami", SERVICE)
    assert refused.code in {4, 5}
    assert "consent" in refused.err
