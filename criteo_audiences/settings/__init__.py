"""Reads a client's settings from outside the program: environment variables, secret files, profiles.

Profiles are sections of a TOML file in the user's configuration directory.
"""

import os
import re
import stat
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

from attrs import field, fields, frozen

from criteo_audiences.errors import ConfigurationError
from criteo_audiences.session import ClientCredentials, TokenSource
from criteo_audiences.session.consent import RefreshToken
from criteo_audiences.settings.secret_files import StoredRefreshToken, read_secret

__all__ = ["WAY_OF_A_LOGIN", "Login", "SharedQuota", "is_of_a_login", "read_login", "read_shared_quota"]

WAY_OF_A_LOGIN: Final = (
    "Set CRITEO_CLIENT_ID and CRITEO_CLIENT_SECRET (or CRITEO_CLIENT_SECRET_FILE, the path of a file), and "
    "CRITEO_QUOTA_URL where there is a Redis, in the environment of the {}, or name a profile of theirs with 'profile'."
)
"""How to give a login to programs on other machines, where it cannot be an option; format it with their name."""
_OF_A_LOGIN: Final = re.compile("secret|passw|token|credential|apikey|clientid|redis|quotaurl|login")

V = TypeVar("V")

_FILE: Final = Path("criteo-audiences") / "profiles.toml"
_LARGEST: Final = 1024 * 1024
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
_LINE: Final = re.compile(r"at line ([0-9]+)")


@frozen(kw_only=True)
class Profile:
    """One section of the file of profiles.

    Attributes:
        client_id: the application's id.
        client_secret: its secret, from the section or from the file that `client_secret_file` names.
        refresh_token_file: the file with a consented user's refresh token; each new token is written there.
        accounts: how many accounts have consented.
        base_url: the URL of the API, `None` for the default.
        api_version: `None` for the default.
    """

    client_id: str
    client_secret: str
    refresh_token_file: Path | None = None
    accounts: int = 1
    base_url: str | None = None
    api_version: str | None = None


_KEYS: Final = (*(field.name for field in fields(Profile)), "client_secret_file")


def is_of_a_login(name: str) -> bool:
    """Whether an option of that name would contain a secret or another part of a login."""
    return _OF_A_LOGIN.search(re.sub("[^a-z]", "", name.lower())) is not None


def profiles_path(environment: Mapping[str, str]) -> Path:
    """Returns the path of the file: in `$XDG_CONFIG_HOME` or `~/.config`, on Windows in `%APPDATA%`."""
    windows = sys.platform == "win32"
    folder = Path(environment.get("APPDATA" if windows else "XDG_CONFIG_HOME") or "")
    if not folder.is_absolute():  # the XDG Base Directory Specification: a relative path is to be ignored
        folder = Path("~/AppData/Roaming" if windows else "~/.config").expanduser()
    return folder / _FILE


def read_profile(path: Path, name: str) -> Profile:
    """Reads one profile.

    Raises:
        ConfigurationError: naming the file, the profile and the key; never a value.
    """
    document = _parse(_read(path), path)
    section = document.get(name)
    if not isinstance(section, dict):
        known = ", ".join(repr(key) for key, value in document.items() if isinstance(value, dict))
        hint = f"known are {known}" if known else f"it would be a section [{name}]"
        raise ConfigurationError(f"There is no profile {name!r} in {path}; {hint}.")
    where = f"profile {name!r}"
    unknown = sorted(set(section) - set(_KEYS))
    if unknown:
        known = ", ".join(sorted(_KEYS))
        raise ConfigurationError(f"{unknown[0]} is not a key that {where} can have; known are {known}.")
    accounts = _value(section, "accounts", int, where)
    return Profile(
        client_id=_needed(_value(section, "client_id", str, where), "client_id", where),
        client_secret=_client_secret(section, path.parent, where),
        refresh_token_file=_path(section, "refresh_token_file", path.parent, where),
        accounts=1 if accounts is None else accounts,
        base_url=_value(section, "base_url", str, where),
        api_version=_value(section, "api_version", str, where),
    )


def profile_names(path: Path) -> list[str]:
    """Returns the names of the profiles in a file, in the file's order.

    Raises:
        ConfigurationError: when the file does not exist or cannot be used.
    """
    return [name for name, section in _parse(_read(path), path).items() if isinstance(section, dict)]


def _read(path: Path) -> bytes:
    """Returns the content of the file; refuses a file that anyone but its owner can read."""
    try:
        with path.open("rb") as opened:
            mode = os.fstat(opened.fileno()).st_mode
            content = opened.read(_LARGEST)
    except FileNotFoundError:
        raise ConfigurationError(
            f"There are no profiles: {path} does not exist; docs/how-to/logins.md says how to write it."
        ) from None
    except ValueError:
        raise ConfigurationError(
            "The path of the profiles holds a NUL character, which no file's name can hold; check XDG_CONFIG_HOME."
        ) from None
    except OSError as error:
        raise ConfigurationError(f"The profiles in {path} cannot be read ({type(error).__name__}).") from None
    if os.name == "posix" and mode & _OTHERS:
        raise ConfigurationError(f"{path} can be read by others, and it holds secrets: run chmod 600 {path}.")
    return content


def _parse(content: bytes, path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(content.decode())
    except UnicodeDecodeError:
        unreadable = ConfigurationError(f"{path} is not UTF-8 text.")
    except tomllib.TOMLDecodeError as error:
        line = _LINE.search(str(error))
        unreadable = ConfigurationError(f"{path} is not TOML{f': see line {line[1]}' if line else ''}.")
    raise unreadable  # outside the `except` blocks: the decoders' exceptions contain the file


def _value(section: Mapping[str, Any], key: str, kind: type[V], where: str) -> V | None:
    value = section.get(key)
    if value is not None and type(value) is not kind:
        wanted = "text in quotes" if kind is str else "a whole number"
        raise ConfigurationError(f"{key} of {where} must be {wanted}.")
    return value


def _needed(value: str | None, key: str, where: str) -> str:
    if not value:
        raise ConfigurationError(f"{key} of {where} is missing.")
    return value


def _client_secret(section: Mapping[str, Any], folder: Path, where: str) -> str:
    value = _value(section, "client_secret", str, where)
    file = _path(section, "client_secret_file", folder, where)
    if value and file:
        raise ConfigurationError(f"Both client_secret and client_secret_file of {where} are set; remove one.")
    if file:
        return read_secret(file, source="client_secret_file")
    return _needed(value, "client_secret (or client_secret_file)", where)


def _path(section: Mapping[str, Any], key: str, folder: Path, where: str) -> Path | None:
    """Returns a path in the section; a relative path starts at the directory of the profiles."""
    value = _value(section, key, str, where)
    if value and "\0" in value:
        raise ConfigurationError(f"{key} of {where} holds a NUL character, which no file's name can hold.")
    return folder / Path(value).expanduser() if value else None


@frozen(kw_only=True)
class Login:
    """The settings with which a client logs in.

    Attributes:
        credentials: the login.
        base_url: the URL of the API, `None` for the default.
        api_version: `None` for the default.
    """

    credentials: TokenSource
    base_url: str | None = None
    api_version: str | None = None


def read_login(environment: Mapping[str, str], profile: str | None = None) -> Login:
    """Reads a profile if one is named, otherwise the environment variables; never mixes the two.

    Args:
        environment: the environment variables.
        profile: name of a profile; overrides `CRITEO_PROFILE`.

    Raises:
        ConfigurationError: naming the variable or the key, never its value.
    """
    name = environment.get("CRITEO_PROFILE") if profile is None else profile
    if name is None or (profile is None and not name):
        return _of_variables(environment)
    return _of_profile(name, profiles_path(environment))


@frozen(kw_only=True)
class SharedQuota:
    """The place of a quota that many programs share.

    Attributes:
        url: the URL of the Redis server; it may contain a password.
        key: the name of the quota, `None` for the application's.
    """

    url: str = field(repr=False)
    key: str | None = None


def read_shared_quota(environment: Mapping[str, str]) -> SharedQuota | None:
    """Reads `CRITEO_QUOTA_URL` (or the file that `CRITEO_QUOTA_URL_FILE` names) and `CRITEO_QUOTA_KEY`.

    Raises:
        ConfigurationError: naming the variable, never its value.
    """
    if not environment.get("CRITEO_QUOTA_URL") and not environment.get("CRITEO_QUOTA_URL_FILE"):
        return None
    return SharedQuota(url=_setting(environment, "CRITEO_QUOTA_URL"), key=environment.get("CRITEO_QUOTA_KEY") or None)


def _of_variables(environment: Mapping[str, str]) -> Login:
    return Login(
        credentials=_credentials(environment),
        base_url=environment.get("CRITEO_BASE_URL") or None,
        api_version=environment.get("CRITEO_API_VERSION") or None,
    )


def _credentials(environment: Mapping[str, str]) -> TokenSource:
    client_id = _setting(environment, "CRITEO_CLIENT_ID")
    client_secret = _setting(environment, "CRITEO_CLIENT_SECRET")
    refresh_token = environment.get("CRITEO_REFRESH_TOKEN")
    file = environment.get("CRITEO_REFRESH_TOKEN_FILE")
    if not refresh_token and not file:
        return ClientCredentials(client_id=client_id, client_secret=client_secret)
    login = RefreshToken(
        client_id=client_id,
        client_secret=client_secret,
        refresh_token=_setting(environment, "CRITEO_REFRESH_TOKEN"),
        accounts=_accounts(environment.get("CRITEO_ACCOUNTS")),
    )
    return StoredRefreshToken(login, Path(file), source="CRITEO_REFRESH_TOKEN_FILE") if file else login


def _accounts(text: str | None) -> int:
    if not text:
        return 1
    if not (text.isascii() and text.isdigit() and len(text) < 10):  # noqa: PLR2004 - beyond any number of accounts
        raise ConfigurationError("CRITEO_ACCOUNTS must be a whole number: how many accounts have consented.")
    return int(text)


def _setting(environment: Mapping[str, str], name: str) -> str:
    """Returns a setting from its variable or from the file that `NAME_FILE` names."""
    file = environment.get(f"{name}_FILE")
    if environment.get(name) and file:
        raise ConfigurationError(f"Both {name} and {name}_FILE are set; unset one.")
    if file:
        return read_secret(Path(file), source=f"{name}_FILE")
    value = environment.get(name, "").strip()
    if not value:
        raise ConfigurationError(f"{name} is not set: export it, or name a file that holds it in {name}_FILE.")
    return value


def _of_profile(name: str, path: Path) -> Login:
    profile = read_profile(path, name)
    credentials: TokenSource
    if profile.refresh_token_file is None:
        credentials = ClientCredentials(client_id=profile.client_id, client_secret=profile.client_secret)
    else:
        source = "refresh_token_file"
        login = RefreshToken(
            client_id=profile.client_id,
            client_secret=profile.client_secret,
            refresh_token=read_secret(profile.refresh_token_file, source=source),
            accounts=profile.accounts,
        )
        credentials = StoredRefreshToken(login, profile.refresh_token_file, source=source)
    return Login(credentials=credentials, base_url=profile.base_url, api_version=profile.api_version)
