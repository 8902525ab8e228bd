import os
from pathlib import Path
from typing import Any

import pytest

from criteo_audiences.errors import ConfigurationError
from criteo_audiences.settings import Profile, profiles_path, read_profile

POSIX = pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
APPLICATION = 'client_id = "planted-client"\nclient_secret = "planted-secret"\n'


@pytest.fixture
def profiles(tmp_path: Path) -> Any:
    """Writes the file of profiles, which its owner alone can read."""
    path = tmp_path / "profiles.toml"

    def write(text: str | bytes, mode: int = 0o600) -> Path:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        path.chmod(mode)
        return path

    return write


def test_profile_is_a_section(profiles: Any, tmp_path: Path) -> None:
    """A profile is the section of its name, and no other; paths start where the file is."""
    (tmp_path / "secret").write_text("planted-secret\n")
    text = (
        '[other]\nclient_id = "x"\n["two words"]\n[agency]\nclient_id = "i"\nclient_secret_file = "secret"\n'
        'refresh_token_file = "tokens/agency"\naccounts = 3\nbase_url = "https://b"\napi_version = "2027-01"\n'
    )
    assert read_profile(profiles(text), "agency") == Profile(
        client_id="i",
        client_secret="planted-secret",
        refresh_token_file=tmp_path / "tokens" / "agency",
        accounts=3,
        base_url="https://b",
        api_version="2027-01",
    )


def test_profile_needs_the_application_only(profiles: Any) -> None:
    """An id and a secret make a profile."""
    profile = read_profile(profiles(f"[a]\n{APPLICATION}"), "a")
    assert profile == Profile(client_id="planted-client", client_secret="planted-secret")


def test_home_is_understood_in_paths(profiles: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A path may start with `~`, and an absolute one is left alone."""
    monkeypatch.setenv("HOME", "/home/somebody")
    monkeypatch.setenv("USERPROFILE", "/home/somebody")
    home = read_profile(profiles(f'[a]\n{APPLICATION}refresh_token_file = "~/token"'), "a")
    assert home.refresh_token_file == Path("/home/somebody/token")
    absolute = (tmp_path / "token").as_posix()
    there = read_profile(profiles(f'[a]\n{APPLICATION}refresh_token_file = "{absolute}"'), "a")
    assert there.refresh_token_file == tmp_path / "token"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "There is no profile 'a' in {path}; it would be a section [a]."),
        ("a = 5", "There is no profile 'a' in {path}; it would be a section [a]."),
        ("[A]\n" + APPLICATION, "There is no profile 'a' in {path}; known are 'A'."),
        ('[a]\nclient_secret = "planted"', "client_id of profile 'a' is missing."),
        ('[a]\nclient_id = ""\nclient_secret = "planted"', "client_id of profile 'a' is missing."),
        ('[a]\nclient_id = "i"', "client_secret (or client_secret_file) of profile 'a' is missing."),
        (
            f'[a]\n{APPLICATION}client_secret_file = "planted"',
            "Both client_secret and client_secret_file of profile 'a' are set; remove one.",
        ),
        ('[a]\nclient_id = "i"\nclient_secret = 5', "client_secret of profile 'a' must be text in quotes."),
        (f'[a]\n{APPLICATION}accounts = "planted"', "accounts of profile 'a' must be a whole number."),
        (f"[a]\n{APPLICATION}accounts = true", "accounts of profile 'a' must be a whole number."),
        (f"[a]\n{APPLICATION}base_url = ['planted']", "base_url of profile 'a' must be text in quotes."),
        (
            f'[a]\n{APPLICATION}refresh_token = "planted"',
            "refresh_token is not a key that profile 'a' can have; known are accounts, api_version, base_url, client_id, client_secret, client_secret_file, refresh_token_file.",
        ),
        (
            '[a]\nclient_id = "i"\nclient_secret_file = "missing"',
            "The file that client_secret_file names cannot be read (FileNotFoundError); check its path and mode.",
        ),
        ("[a]\nclient_secret = planted-secret\n", "{path} is not TOML: see line 2."),
        ('[a]\nclient_secret = "planted\n', "{path} is not TOML: see line 2."),
        (b"[a]\nclient_secret = 'planted\xff'", "{path} is not UTF-8 text."),
    ],
)
def test_what_is_wrong_is_named(profiles: Any, text: str, message: str) -> None:
    """A profile that cannot be used is refused in one sentence that names the key, never its value."""
    path = profiles(text)
    with pytest.raises(ConfigurationError) as caught:
        read_profile(path, "a")
    assert str(caught.value) == message.format(path=path)
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)


@POSIX
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o602, 0o610, 0o644, 0o777])
def test_profiles_that_others_can_read_are_refused(profiles: Any, mode: int) -> None:
    """Any right of anybody but the owner is refused, with the command that mends it."""
    path = profiles(f"[a]\n{APPLICATION}", mode)
    with pytest.raises(ConfigurationError) as caught:
        read_profile(path, "a")
    assert str(caught.value) == f"{path} can be read by others, and it holds secrets: run chmod 600 {path}."


@POSIX
@pytest.mark.parametrize("mode", [0o600, 0o400, 0o700])
def test_profiles_of_the_owner_are_read(profiles: Any, mode: int) -> None:
    """What the owner may do himself does not matter."""
    assert read_profile(profiles(f"[a]\n{APPLICATION}", mode), "a").accounts == 1


def test_missing_file_is_named(tmp_path: Path) -> None:
    """Where there are no profiles, the sentence says where they would be."""
    path = tmp_path / "none.toml"
    with pytest.raises(ConfigurationError) as caught:
        read_profile(path, "a")
    assert (
        str(caught.value)
        == f"There are no profiles: {path} does not exist; docs/how-to/logins.md says how to write it."
    )


@pytest.mark.parametrize(
    ("platform", "environment", "path"),
    [
        ("linux", {"XDG_CONFIG_HOME": "/config"}, "/config/criteo-audiences/profiles.toml"),
        ("linux", {"XDG_CONFIG_HOME": ""}, "/home/me/.config/criteo-audiences/profiles.toml"),
        ("linux", {"XDG_CONFIG_HOME": "relative"}, "/home/me/.config/criteo-audiences/profiles.toml"),
        ("darwin", {}, "/home/me/.config/criteo-audiences/profiles.toml"),
        ("win32", {"APPDATA": "/roaming", "XDG_CONFIG_HOME": "/x"}, "/roaming/criteo-audiences/profiles.toml"),
        ("win32", {}, "/home/me/AppData/Roaming/criteo-audiences/profiles.toml"),
    ],
)
@POSIX
def test_profiles_are_in_the_configuration_directory(
    monkeypatch: pytest.MonkeyPatch, platform: str, environment: dict[str, str], path: str
) -> None:
    """The file is where the system keeps a user's configuration."""
    monkeypatch.setattr("sys.platform", platform)
    monkeypatch.setenv("HOME", "/home/me")
    assert profiles_path(environment) == Path(path)


@pytest.mark.parametrize("key", ["client_secret_file", "refresh_token_file"])
def test_a_nul_in_a_path_is_named(key: str, tmp_path: Path) -> None:
    """No file's name can hold one, so no file is looked for."""
    path = tmp_path / "profiles.toml"
    secret = "" if key == "client_secret_file" else 'client_secret = "b"\n'
    path.write_text(f'[x]\nclient_id = "a"\n{secret}{key} = "a\\u0000b"\n')
    path.chmod(0o600)
    with pytest.raises(ConfigurationError, match=f"{key} of profile 'x' holds a NUL character"):
        read_profile(path, "x")
    with pytest.raises(ConfigurationError, match="holds a NUL character"):
        read_profile(tmp_path / "a\0b", "x")
