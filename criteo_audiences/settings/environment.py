"""Credentials from variables, from the files that variables name, or from a profile."""

from collections.abc import Mapping
from pathlib import Path

from attrs import field, frozen

from criteo_audiences.errors import ConfigurationError
from criteo_audiences.session import ClientCredentials, TokenSource
from criteo_audiences.session.consent import RefreshToken
from criteo_audiences.settings.profiles import profiles_path, read_profile
from criteo_audiences.settings.secret_files import StoredRefreshToken, read_secret


@frozen(kw_only=True)
class Login:
    """What a client is built from.

    Attributes:
        credentials: the login.
        base_url: where Criteo is, `None` for its own address.
        api_version: `None` for the usual one.
    """

    credentials: TokenSource
    base_url: str | None = None
    api_version: str | None = None


def read_login(environment: Mapping[str, str], profile: str | None = None) -> Login:
    """Reads a profile when one is named, otherwise the variables; the two are never mixed.

    Args:
        environment: the variables.
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
    """Where a quota is kept that many programs share.

    Attributes:
        url: of the Redis server; it may hold a password.
        key: names the quota, `None` for the application's.
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
