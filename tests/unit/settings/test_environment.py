import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from criteo_audiences.errors import ConfigurationError
from criteo_audiences.session import ClientCredentials, Quota
from criteo_audiences.session.consent import RefreshToken
from criteo_audiences.settings import read_login

APPLICATION = {"CRITEO_CLIENT_ID": "planted-client", "CRITEO_CLIENT_SECRET": "planted-secret"}
POSIX = pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")


class Endpoint:
    """A token endpoint that rotates: keeps what it was asked with, and gives refresh-1, refresh-2 … back."""

    def __init__(self) -> None:
        self.used: list[str] = []

    async def __call__(self, form: Any) -> Any:
        """Answers a form."""
        self.used.append(form["refresh_token"])
        await asyncio.sleep(0)
        return {"access_token": "t", "expires_in": 900, "refresh_token": f"refresh-{len(self.used)}"}


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    """A file with a refresh token."""
    path = tmp_path / "token"
    path.write_text("refresh-0\n")
    return path


@pytest.fixture
def profile_home(tmp_path: Path, token_file: Path) -> dict[str, str]:
    """Variables of a home with the profiles `shop` and `agency`, the latter of a user who consented for 3 accounts."""
    path = tmp_path / "criteo-audiences" / "profiles.toml"
    path.parent.mkdir()
    application = 'client_id = "profile-client"\nclient_secret = "planted-secret"\n'
    path.write_text(
        f'[shop]\n{application}base_url = "https://profile.example"\n[agency]\n{application}accounts = 3\n'
        f'refresh_token_file = "{token_file.as_posix()}"\napi_version = "2027-01"\n'
    )
    path.chmod(0o600)
    return {"XDG_CONFIG_HOME": str(tmp_path), "APPDATA": str(tmp_path)}


def test_variables_are_read() -> None:
    """Without a refresh token the application acts for itself; an empty variable is none."""
    empty = {"CRITEO_REFRESH_TOKEN": "", "CRITEO_REFRESH_TOKEN_FILE": "", "CRITEO_PROFILE": "", "CRITEO_BASE_URL": ""}
    settings = read_login(APPLICATION | empty)
    assert settings.credentials == ClientCredentials(client_id="planted-client", client_secret="planted-secret")
    assert (settings.base_url, settings.api_version) == (None, None)


def test_refresh_token_variable_is_read() -> None:
    """A refresh token makes it a user's login, with 10 calls a minute for each of the accounts."""
    login = read_login(APPLICATION | {"CRITEO_REFRESH_TOKEN": " refresh-0\n", "CRITEO_ACCOUNTS": "4"}).credentials
    assert isinstance(login, RefreshToken)
    assert (login.refresh_token, login.accounts, login.on_rotate) == ("refresh-0", 4, None)


async def test_token_file_is_read_and_written(token_file: Path) -> None:
    """A refresh token from a file is replaced there before it is used, and the file is read before each renewal."""
    login = read_login(APPLICATION | {"CRITEO_REFRESH_TOKEN_FILE": str(token_file), "CRITEO_ACCOUNTS": "2"}).credentials
    endpoint = Endpoint()
    await login.token(endpoint)
    assert token_file.read_text() == "refresh-1\n"
    await login.token(endpoint)
    token_file.write_text("another process's")
    await login.token(endpoint)
    assert endpoint.used == ["refresh-0", "refresh-1", "another process's"]
    assert token_file.read_text() == "refresh-3\n"
    assert login.quota == Quota(20)  # type: ignore[attr-defined]
    assert "refresh" not in repr(login)


async def test_renewals_by_one_file_take_turns(token_file: Path) -> None:
    """Renewals at the same time use one token after the other, none twice."""
    login = read_login(APPLICATION | {"CRITEO_REFRESH_TOKEN_FILE": str(token_file)}).credentials
    endpoint = Endpoint()
    await asyncio.gather(*(login.token(endpoint) for _ in range(5)))
    assert endpoint.used == [f"refresh-{n}" for n in range(5)]
    assert token_file.read_text() == "refresh-5\n"


@POSIX
async def test_token_that_cannot_be_written_stays_in_memory(token_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the file cannot be written, renewals fail without asking Criteo; afterwards the new token is stored first."""
    login = read_login(APPLICATION | {"CRITEO_REFRESH_TOKEN_FILE": str(token_file)}).credentials
    endpoint = Endpoint()
    with monkeypatch.context() as patch:
        patch.setattr("tempfile.mkstemp", lambda **_: (_ for _ in ()).throw(PermissionError("planted")))
        for _ in range(2):
            with pytest.raises(ConfigurationError, match="file that CRITEO_REFRESH_TOKEN_FILE names") as caught:
                await login.token(endpoint)
            assert "planted" not in str(caught.value)
    assert (endpoint.used, token_file.read_text()) == (["refresh-0"], "refresh-0\n")
    await login.token(endpoint)
    assert (endpoint.used, token_file.read_text()) == (["refresh-0", "refresh-1"], "refresh-2\n")


async def test_token_file_that_went_away_is_named(token_file: Path) -> None:
    """A file that is gone at a renewal is named by its variable."""
    login = read_login(APPLICATION | {"CRITEO_REFRESH_TOKEN_FILE": str(token_file)}).credentials
    token_file.unlink()
    with pytest.raises(ConfigurationError, match="CRITEO_REFRESH_TOKEN_FILE names cannot be read"):
        await login.token(Endpoint())


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        (
            {"CRITEO_REFRESH_TOKEN": "planted", "CRITEO_REFRESH_TOKEN_FILE": "planted"},
            "Both CRITEO_REFRESH_TOKEN and CRITEO_REFRESH_TOKEN_FILE are set; unset one.",
        ),
        (
            {"CRITEO_REFRESH_TOKEN_FILE": "missing"},
            "The file that CRITEO_REFRESH_TOKEN_FILE names cannot be read (FileNotFoundError); check its path and mode.",
        ),
        (
            {"CRITEO_REFRESH_TOKEN": "planted\nplanted"},
            "refresh_token holds a line break or another control character; give it exactly as Criteo showed it.",
        ),
        (
            {"CRITEO_REFRESH_TOKEN": "planted", "CRITEO_ACCOUNTS": "planted"},
            "CRITEO_ACCOUNTS must be a whole number: how many accounts have consented.",
        ),
        (
            {"CRITEO_REFRESH_TOKEN": "planted", "CRITEO_ACCOUNTS": "0"},
            "accounts must be between 1 and 100,000, not 0.",
        ),
        (
            {"CRITEO_CLIENT_ID": "", "CRITEO_REFRESH_TOKEN": "planted"},
            "CRITEO_CLIENT_ID is not set: export it, or name a file that holds it in CRITEO_CLIENT_ID_FILE.",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, dict) else "",
)
def test_what_is_wrong_is_named(variables: dict[str, str], message: str) -> None:
    """A variable that cannot be used is named, its value is not."""
    with pytest.raises(ConfigurationError) as caught:
        read_login(APPLICATION | variables)
    assert str(caught.value) == message


@pytest.mark.parametrize("where", ["argument", "variable"])
def test_named_profile_is_used_whole(profile_home: dict[str, str], where: str) -> None:
    """Once a profile is named, none of the other variables is read, not even where the profile says nothing."""
    others = APPLICATION | {
        "CRITEO_REFRESH_TOKEN": "planted",
        "CRITEO_BASE_URL": "https://planted.example",
        "CRITEO_API_VERSION": "2020-01",
    }
    named = {"CRITEO_PROFILE": "shop"} if where == "variable" else {}
    settings = read_login(profile_home | others | named, "shop" if where == "argument" else None)
    assert settings.credentials == ClientCredentials(client_id="profile-client", client_secret="planted-secret")
    assert (settings.base_url, settings.api_version) == ("https://profile.example", None)


async def test_profile_of_a_user(profile_home: dict[str, str], token_file: Path) -> None:
    """A profile with a file for its refresh token is a user's login; the argument goes before `CRITEO_PROFILE`."""
    settings = read_login(profile_home | {"CRITEO_PROFILE": "shop"}, "agency")
    await settings.credentials.token(Endpoint())
    assert token_file.read_text() == "refresh-1\n"
    assert settings.credentials.quota == Quota(30)  # type: ignore[attr-defined]
    assert (settings.base_url, settings.api_version) == (None, "2027-01")


@pytest.mark.parametrize("name", ["", "Shop", "planted"])
def test_unknown_profile_never_falls_back(profile_home: dict[str, str], name: str) -> None:
    """A profile that there is not is an error, also where the variables would do."""
    with pytest.raises(ConfigurationError, match=f"There is no profile '{name}' in "):
        read_login(profile_home | APPLICATION, name)
