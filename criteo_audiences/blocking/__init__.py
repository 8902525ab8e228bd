"""A blocking client for code without an event loop: every name of `criteo_audiences.CriteoClient`, without `await`.

See docs/how-to/blocking.md.
"""

import ssl as tls
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from criteo_audiences import CriteoClient as AsyncClient
from criteo_audiences.blocking.portal import Portal
from criteo_audiences.blocking.twins import Search, UploadStream, blocking, like
from criteo_audiences.client import HOW_TO_LOG_IN
from criteo_audiences.errors import ConfigurationError
from criteo_audiences.meter import OnEvent
from criteo_audiences.models import RateLimit
from criteo_audiences.session import Quota, RateLimiter, RetryPolicy, TokenSource
from criteo_audiences.validation import advised

if TYPE_CHECKING:
    from criteo_audiences.blocking.services import CommerceGrid, MarketingSolutions, RetailMedia


__all__ = ["CriteoClient", "Search", "UploadStream"]


class CriteoClient:
    """A client of Criteo's audience APIs for code without `async`: Django, Airflow, scripts and notebooks.

    Use it as `with CriteoClient(...) as criteo:`, or call `close()` yourself. Any number of threads may share a client,
    and so its quota; each thread waits for its own calls. Calls run in an event loop in the client's own thread, which
    starts with the first call. So the client also works in a thread with a running event loop, but blocks that loop.

    Sources and opt-outs are read in the thread that calls, and `on_progress` is called there. Ctrl-C ends an upload as
    on the command line: batches in flight get their `drain_timeout`. A second Ctrl-C ends them at once.

    Args:
        credentials: `ClientCredentials`, `RefreshToken`, `AuthorizationCode`, `StaticToken`, or a `TokenSource` of
            your own, whose coroutines run in the client's event loop.
        base_url: an HTTPS URL; plain HTTP is accepted for this machine only.
        api_version: such as `2026-07`, or `experimental`.
        proxy: URL of an HTTP proxy; proxy variables of the environment are honored without it.
        ssl: an SSL context, for a private certificate authority or a client certificate.
        timeout: seconds without any progress after which a request is given up; a slow link that moves is not cut.
        quota: calls per window; see `criteo_audiences.CriteoClient`.
        rate_limiter: a limiter of your own instead of `quota`, to share a quota with others.
        max_quota_wait: seconds a call may wait for the quota before `QuotaWaitError`; `None` for no limit.
        retry: when to repeat failed calls.
        on_event: called with an `Event` for each step of a call, in the client's thread.

    Raises:
        ConfigurationError: naming the argument and its allowed values.
    """

    @advised(HOW_TO_LOG_IN)
    def __init__(
        self,
        credentials: TokenSource,
        *,
        base_url: str = "https://api.criteo.com",
        api_version: str = "2026-07",
        proxy: str | None = None,
        ssl: tls.SSLContext | None = None,
        timeout: float = 60.0,
        quota: Quota | None = None,
        rate_limiter: RateLimiter | None = None,
        max_quota_wait: float | None = None,
        retry: RetryPolicy | None = None,
        on_event: OnEvent | None = None,
    ) -> None:
        self._use(
            AsyncClient(
                credentials,
                base_url=base_url,
                api_version=api_version,
                proxy=proxy,
                ssl=ssl,
                timeout=timeout,
                quota=quota,
                rate_limiter=rate_limiter,
                max_quota_wait=max_quota_wait,
                retry=retry,
                on_event=on_event,
            )
        )

    @classmethod
    @like(AsyncClient.from_env)
    def from_env(cls, *, profile: str | None = None, **options: Any) -> Self:  # noqa: D102 - see `like`
        if options.get("http") is not None:
            raise ConfigurationError("http belongs to an event loop, so a blocking client cannot borrow it.")
        client = cls.__new__(cls)
        client._use(AsyncClient.from_env(profile=profile, **options))  # noqa: SLF001 - its own class
        return client

    def _use(self, twin: AsyncClient) -> None:
        self._twin = twin
        self._portal = Portal(twin.aclose)

    @cached_property
    def marketing_solutions(self) -> "MarketingSolutions":
        """Marketing Solutions: audience segments and contact lists."""
        from criteo_audiences.blocking.services import MarketingSolutions  # noqa: PLC0415 - see above

        return MarketingSolutions(self._portal, self._twin.marketing_solutions)

    @cached_property
    def retail_media(self) -> "RetailMedia":
        """Retail Media: audience segments and contact lists of an account."""
        from criteo_audiences.blocking.services import RetailMedia  # noqa: PLC0415 - see above

        return RetailMedia(self._portal, self._twin.retail_media)

    @cached_property
    def commerce_grid(self) -> "CommerceGrid":
        """Commerce Grid: audience segments and contact lists of a data provider."""
        from criteo_audiences.blocking.services import CommerceGrid  # noqa: PLC0415 - see above

        return CommerceGrid(self._portal, self._twin.commerce_grid)

    @property
    def host(self) -> str:
        """The host that calls go to, with its port where the base URL has one."""
        return self._twin.host

    @property
    def quota(self) -> Quota | None:
        """The starting quota: the one you passed, or the credentials' default; with your own limiter, the limiter's."""
        return self._twin.quota

    @property
    def rate_limit(self) -> RateLimit | None:
        """What the server last announced about the quota, without a call; `None` before the first answer."""
        return self._twin.rate_limit

    @like(AsyncClient.authenticate)
    def authenticate(self) -> None:  # noqa: D102 - see `like`
        self._portal.call(self._twin.authenticate)

    erase = blocking(AsyncClient.erase)

    def close(self) -> None:
        """Closes the connections and ends the client's thread; cancels calls of other threads that still run."""
        self._portal.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
