"""The client: builds the session, offers the services, and owns their lifetime."""

import hashlib
import inspect
import os
import re
import ssl as tls
from collections.abc import Iterable
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, NoReturn, Self

import aiohttp

from criteo_audiences.errors import ConfigurationError
from criteo_audiences.meter import OnEvent
from criteo_audiences.models import IdentifierType, RateLimit
from criteo_audiences.session import (
    AiohttpTransport,
    LocalRateLimiter,
    Quota,
    RateLimiter,
    RetryPolicy,
    Session,
    SystemClock,
    TokenSource,
)
from criteo_audiences.session.transport import check_base_url, check_proxy
from criteo_audiences.validation import advised, hinted, require_known, require_plain_function, require_range
from criteo_audiences.version import __version__

if TYPE_CHECKING:  # a service is imported when it is first asked for: who uses one does not wait for three
    from criteo_audiences.commerce_grid import CommerceGrid
    from criteo_audiences.erasure import ErasureReceipt
    from criteo_audiences.erasure.request import Identifiers
    from criteo_audiences.integrations.redis import RedisQuota
    from criteo_audiences.marketing_solutions import MarketingSolutions
    from criteo_audiences.retail_media import RetailMedia

FilePath = str | os.PathLike[str]

_API_VERSION: Final = re.compile(r"[0-9]{4}-(?:0[1-9]|1[0-2])|experimental")
_LONGEST_TIMEOUT: Final = 3_600
_DEFAULT_BASE_URL: Final = "https://api.criteo.com"
_DEFAULT_API_VERSION: Final = "2026-07"

HOW_TO_LOG_IN: Final = (
    "; a login is given as CriteoClient(ClientCredentials(client_id=..., client_secret=...)), or as variables of the "
    "environment to CriteoClient.from_env()"
)


class CriteoClient:
    """A client of Criteo's audience APIs.

    Use it as `async with CriteoClient(...) as criteo:`, or call `aclose()` yourself. Nothing is sent before the first
    call. One client may serve several event loops one after the other (`asyncio.run` twice, AWS Lambda, Celery,
    pytest): it opens new connections in each, and keeps its token and its count of the quota. Two event
    loops that run at the same time need a client each.

    Args:
        credentials: `ClientCredentials`, `RefreshToken`, `AuthorizationCode`, `StaticToken`, or a `TokenSource` of
            your own.
        base_url: an HTTPS URL; plain HTTP is accepted for this machine only.
        api_version: such as `2026-07`, or `experimental`.
        http: an `aiohttp.ClientSession` to borrow; the client never closes it, and is bound to its event loop.
        proxy: URL of an HTTP proxy; proxy variables of the environment are honored without it.
        ssl: an SSL context, for a private certificate authority or a client certificate.
        timeout: seconds without any progress after which a request is given up; a slow link that moves is not cut.
        quota: calls per window, corrected by what the server announces. The default is the credentials' quota: 250 a
            minute for an application, or 10 a minute for each consented account if it acts for users.
        rate_limiter: a limiter of your own instead of `quota`, to share a quota with others.
        max_quota_wait: seconds a call may wait for the quota before `QuotaWaitError`; `None` for no limit.
        retry: when to repeat failed calls.
        on_event: called with an `Event` for each step of a call; never with a body, a token or an identifier.

    Raises:
        ConfigurationError: naming the argument and its allowed values.
    """

    @advised(HOW_TO_LOG_IN)
    def __init__(
        self,
        credentials: TokenSource,
        *,
        base_url: str = _DEFAULT_BASE_URL,
        api_version: str = _DEFAULT_API_VERSION,
        http: aiohttp.ClientSession | None = None,
        proxy: str | None = None,
        ssl: tls.SSLContext | None = None,
        timeout: float = 60.0,
        quota: Quota | None = None,
        rate_limiter: RateLimiter | None = None,
        max_quota_wait: float | None = None,
        retry: RetryPolicy | None = None,
        on_event: OnEvent | None = None,
    ) -> None:
        _check_credentials(credentials)
        if api_version == "preview":
            raise ConfigurationError('api_version="preview" is called "experimental" now.')
        if not isinstance(api_version, str) or not _API_VERSION.fullmatch(api_version):
            raise ConfigurationError("api_version must look like 2026-07, or be 'experimental'.")
        if quota is not None and rate_limiter is not None:
            raise ConfigurationError("Give quota or rate_limiter, not both: a limiter of your own holds its own quota.")
        require_range(timeout, "timeout", least=0.001, most=_LONGEST_TIMEOUT)
        if max_quota_wait is not None:
            require_range(max_quota_wait, "max_quota_wait", least=0)
        _check_kind(quota, Quota, "quota")
        _check_kind(retry, RetryPolicy, "retry")
        _check_kind(http, aiohttp.ClientSession, "http")
        _check_callables(on_event, rate_limiter)
        _check_kind(ssl, tls.SSLContext, "ssl")  # aiohttp would take False for "verify nothing"
        clock = SystemClock()
        self._quota = quota or _quota_of(credentials if rate_limiter is None else rate_limiter)
        if rate_limiter is None:
            self._quota = self._quota or Quota()
        self._shared_quota: RedisQuota | None = None
        self._session = Session(
            credentials,
            AiohttpTransport(timeout=timeout, clock=clock, http=http, proxy=check_proxy(proxy), tls=ssl),
            base_url=check_base_url(base_url),
            api_version=api_version,
            user_agent=f"criteo-audiences/{__version__}",
            limiter=rate_limiter or LocalRateLimiter(self._quota, clock=clock),
            retry=retry,
            max_quota_wait=max_quota_wait,
            on_event=on_event,
            clock=clock,
        )

    @classmethod
    @hinted
    def from_env(cls, *, profile: str | None = None, **options: Any) -> Self:
        """Builds a client from the environment, or from a named profile.

        `CRITEO_CLIENT_ID` and `CRITEO_CLIENT_SECRET` identify the application; with `CRITEO_REFRESH_TOKEN`, it acts for
        a user who has consented (`CRITEO_ACCOUNTS`: for how many accounts). Each of these three values may be in a file
        instead, whose path is in the variable with the suffix `_FILE`. Prefer `CRITEO_REFRESH_TOKEN_FILE`, because that
        file is updated when Criteo replaces the token. `CRITEO_BASE_URL` and `CRITEO_API_VERSION` are optional.
        `CRITEO_QUOTA_URL` (or `CRITEO_QUOTA_URL_FILE`) names a Redis server through which all clients of the
        application share its quota (docs/how-to/share-a-quota.md).

        A profile is a section of `criteo-audiences/profiles.toml` in the user's configuration directory. If a profile
        is named, here or in `CRITEO_PROFILE`, it replaces all variables above except those of the quota.

        Args:
            profile: name of a profile; overrides `CRITEO_PROFILE`.
            **options: the constructor's other arguments; they override the environment and the profile.

        Raises:
            ConfigurationError: naming the variable or the key that is missing or cannot be used; never its value.
        """
        from criteo_audiences.settings import read_login, read_shared_quota  # noqa: PLC0415

        require_known(options, inspect.signature(cls).parameters, f"{cls.__name__}.from_env", HOW_TO_LOG_IN)
        login = read_login(os.environ, profile)
        options.setdefault("base_url", login.base_url or _DEFAULT_BASE_URL)
        options.setdefault("api_version", login.api_version or _DEFAULT_API_VERSION)
        shared = None if options.get("rate_limiter") is not None else read_shared_quota(os.environ)
        if shared is None:
            return cls(login.credentials, **options)
        from criteo_audiences.integrations.redis import RedisQuota  # noqa: PLC0415 - needs the extra

        quota = options.pop("quota", None) or _quota_of(login.credentials) or Quota()
        limiter = RedisQuota(
            shared.url,
            key=shared.key or _shared_key(login.credentials, options["base_url"]),
            calls=quota.calls,
            period=quota.period,
            share=quota.share,
            source="CRITEO_QUOTA_URL",
        )
        client = cls(login.credentials, rate_limiter=limiter, **options)
        client._shared_quota = limiter
        return client

    @cached_property
    def marketing_solutions(self) -> "MarketingSolutions":
        """Marketing Solutions: audience segments and contact lists."""
        from criteo_audiences.marketing_solutions import MarketingSolutions  # noqa: PLC0415 - see above

        return MarketingSolutions(self._session)

    @cached_property
    def retail_media(self) -> "RetailMedia":
        """Retail Media: audience segments and contact lists of an account."""
        from criteo_audiences.retail_media import RetailMedia  # noqa: PLC0415 - see above

        return RetailMedia(self._session)

    @cached_property
    def commerce_grid(self) -> "CommerceGrid":
        """Commerce Grid: audience segments and contact lists of a data provider."""
        from criteo_audiences.commerce_grid import CommerceGrid  # noqa: PLC0415 - see above

        return CommerceGrid(self._session)

    @property
    def host(self) -> str:
        """The host that calls go to, with its port where the base URL has one."""
        return self._session.host

    @property
    def quota(self) -> Quota | None:
        """The starting quota: the one you passed, or the credentials' default; with your own limiter, the limiter's."""
        return self._quota

    @property
    def rate_limit(self) -> RateLimit | None:
        """What the server last announced about the quota, without a call; `None` before the first answer."""
        return self._session.rate_limit

    async def authenticate(self) -> None:
        """Gets a token if none is cached, which shows that the credentials work; uses no quota.

        Raises:
            AuthenticationError: when the credentials are refused.
            CriteoError: when no token can be obtained for another reason.
        """
        await self._session.authenticate()

    async def erase(
        self,
        identifiers: "Identifiers",
        *,
        advertiser_id: str | None = None,
        account_id: str | None = None,
        data_provider_id: str | None = None,
        services: Iterable[str] | None = None,
        identifier_type: IdentifierType | str | None = None,
        region: str | None = None,
        gum_caller_id: int | str | None = None,
        rejects: Iterable[FilePath] = (),
        journals: Iterable[FilePath] = (),
        snapshots: Iterable[FilePath] = (),
        dry_run: bool = False,
    ) -> "ErasureReceipt":
        """Removes people from every contact list that could contain them, and from files that this library has stored.

        Each identifier is removed in every form, plain and hashed. Criteo cannot say whether a list contained it, so it
        is removed from each list of a kind that could. Running it again does no harm (docs/how-to/erase.md).

        Args:
            identifiers: values whose format shows their kind, or a mapping such as `{"email": [...], "madid": [...]}`.
            advertiser_id: only lists of this advertiser, and of the other owners given.
            account_id: only lists of this account of Retail Media, and of the other owners given.
            data_provider_id: only lists of this data provider, and of the other owners given.
            services: only these services, such as `retail-media`. Without services and owners, all lists that the
                application may see in all three services.
            identifier_type: kind of all values, for ids whose format does not show it.
            region: country of telephone numbers without a country code; needs the extra `phone`.
            gum_caller_id: the caller id that GUM ids of Marketing Solutions need.
            rejects: files of rejects, or directories of them, in addition to those of this user's uploads.
            journals: directories of journals, in addition to the one in the user's state directory.
            snapshots: snapshots of mirrors or directories of them, in addition to the command line's own directory.
            dry_run: look for the lists and report what would be removed from each, but remove nothing.

        Returns:
            A receipt with the request and the outcome for each list and file; it contains no identifier.

        Raises:
            ConfigurationError: when a value is not an identifier, or an argument cannot be used; nothing was sent.
            AuthenticationError: when the credentials are refused before the first call on a list.
        """
        from criteo_audiences.erasure.erase import Stored, Task, erase  # noqa: PLC0415 - see above
        from criteo_audiences.erasure.lists import places_of  # noqa: PLC0415 - see above

        owners = {"advertiser_id": advertiser_id, "account_id": account_id, "data_provider_id": data_provider_id}
        places = places_of(self, owners, services, gum_caller_id)
        stored = Stored(rejects=rejects, journals=journals, snapshots=snapshots)
        return await erase(Task(self.host, places, identifiers, identifier_type, region, stored, dry_run))

    async def aclose(self) -> None:
        """Closes the connections, but neither a borrowed session nor your own limiter."""
        await self._session.aclose()
        if self._shared_quota is not None:
            await self._shared_quota.aclose()

    if not TYPE_CHECKING:  # hidden from type checkers, so that they report `with`

        def __enter__(self) -> NoReturn:
            raise TypeError("CriteoClient needs `async with`; in code without `async` use criteo_audiences.blocking.")

        def __exit__(self, *_: object) -> None:
            return

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


def _check_credentials(credentials: object) -> None:
    if isinstance(credentials, type) or not isinstance(credentials, TokenSource):
        raise ConfigurationError(
            "credentials must be ClientCredentials, StaticToken or an object with an async token() method, "
            f"not {type(credentials).__name__}."
        )
    _check_kind(getattr(credentials, "quota_key", None), str, "The quota_key of the credentials")


def _quota_of(source: TokenSource | RateLimiter) -> Quota | None:
    """Returns the quota that the grant or the limiter allows, `None` if it has none."""
    quota = getattr(source, "quota", None)
    if isinstance(source, TokenSource):
        _check_kind(quota, Quota, "The quota of the credentials")
    return quota if isinstance(quota, Quota) else None


def _shared_key(credentials: TokenSource, base_url: str) -> str:
    """Returns a digest as the name of the application's quota, so that the keys in Redis reveal no client id."""
    name = getattr(credentials, "quota_key", None)
    if not name:
        raise ConfigurationError(
            "CRITEO_QUOTA_KEY is not set: Criteo counts the calls of this login by account, so name the account there."
        )
    return hashlib.sha256(f"{check_base_url(base_url)}\n{name}".encode()).hexdigest()[:32]


def _check_kind(value: object, kind: type, name: str) -> None:
    if value is not None and not isinstance(value, kind):
        such = ", such as Quota(250)" if kind is Quota else ""
        raise ConfigurationError(f"{name} must be {kind.__name__}{such}, not {type(value).__name__}.")


def _check_callables(on_event: object, rate_limiter: object) -> None:
    if on_event is not None:
        require_plain_function(on_event, "on_event", "an Event")
    if rate_limiter is not None and not all(
        callable(getattr(rate_limiter, name, None)) for name in ("acquire", "settle")
    ):
        raise ConfigurationError("rate_limiter must have acquire() and settle(), as RateLimiter describes them.")
