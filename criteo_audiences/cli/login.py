"""With whose login a command works: the environment's, or that of a profile named before the command."""

import os
from contextlib import suppress
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from criteo_audiences import ConfigurationError

if TYPE_CHECKING:  # slow to import: `--help` need not wait for it
    from criteo_audiences import CriteoClient

_PROFILE: ContextVar[str | None] = ContextVar("profile", default=None)
_LOGINS = ("CRITEO_CLIENT_", "CRITEO_REFRESH_TOKEN", "CRITEO_PROFILE")


def choose_profile(name: str | None) -> None:
    """Lets the command work with a profile; `None`: with what the environment says."""
    _PROFILE.set(name)


def client(profile: str | None = None, **options: Any) -> "CriteoClient":
    """Builds the client, by a profile's name or with what the command works with.

    Args:
        profile: the profile's name.
        **options: the client's own.

    Raises:
        ConfigurationError: naming the variable or the key that is missing or cannot be used.
    """
    from criteo_audiences import CriteoClient  # noqa: PLC0415 - see above

    return CriteoClient.from_env(profile=profile or _PROFILE.get(), **options)


def names() -> list[str]:
    """Returns the names of the profiles.

    Raises:
        ConfigurationError: when there is no file of profiles, or it cannot be read.
    """
    from criteo_audiences.settings import profile_names, profiles_path  # noqa: PLC0415 - see above

    return profile_names(profiles_path(os.environ))


def complete_names() -> list[str]:
    """Returns the names of the profiles for a shell's completion, which is silent about what cannot be read."""
    with suppress(ConfigurationError):
        return names()
    return []


def source() -> str:
    """Says where the login of the command comes from."""
    name = _PROFILE.get() or os.environ.get("CRITEO_PROFILE")
    return f"profile {name!r}" if name else "the variables CRITEO_CLIENT_ID and so on"


def is_set() -> bool:
    """Whether there is a login at all, be it incomplete."""
    variables = (name for name, value in os.environ.items() if value and name.startswith(_LOGINS))
    return _PROFILE.get() is not None or any(variables)


def stand_in() -> "CriteoClient":
    """Builds a client for a dry run without a login: it makes no call."""
    from criteo_audiences import ClientCredentials, CriteoClient  # noqa: PLC0415 - see above

    class NoLogin(ClientCredentials):
        """Stands in for a login where there is none: a dry run with it makes no call at all."""

        is_login = False

    return CriteoClient(NoLogin(client_id="none", client_secret="none"))  # noqa: S106 - stands in for none
