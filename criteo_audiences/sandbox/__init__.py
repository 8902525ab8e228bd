"""A local Criteo for tests: a server on a loopback port, with tokens, quota, segments, contact lists and faults.

It is written from Criteo's OpenAPI documents and guides alone and shares no code with the client, so that a mistake
made in one of them cannot cancel itself out in the other.
"""

import secrets
import ssl
import time
from collections.abc import Callable
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Self, Unpack

from criteo_audiences.sandbox import segment_endpoints
from criteo_audiences.sandbox.admission import CallQuota, Consents, Rotation, TokenIssuer, Window
from criteo_audiences.sandbox.calls import ServerState
from criteo_audiences.sandbox.contact_list import ContactList
from criteo_audiences.sandbox.dialects import DialectName, dialect_of
from criteo_audiences.sandbox.faults import CallLog, Fault, FaultOptions, RecordedRequest
from criteo_audiences.sandbox.server import Listener
from criteo_audiences.sandbox.services import SERVICES, ServiceName

if TYPE_CHECKING:
    from criteo_audiences.session.auth import ClientCredentials
    from criteo_audiences.session.consent import AuthorizationCode, OnRotate, RefreshToken

# Criteo's guide, "Rate limits", for applications that act for a user.
_CALLS_AN_ACCOUNT = 10
_MINUTE = 60.0

__all__ = ["ContactList", "Fault", "RecordedRequest", "Sandbox"]


class Sandbox:
    """A local Criteo that runs in the caller's event loop until the ``async with`` block ends.

    Args:
        latency: Seconds between the handling of a call and its answer.
        rate_limit: How many calls are allowed in how many seconds; ``None`` for no limit and no rate-limit headers.
        host: A loopback address to listen on.
        port: Port to listen on; 0 for any free one.
        client_id: The application's id; random when left out.
        client_secret: The application's secret; random when left out.
        token_lifetime: Seconds until an access token expires.
        max_identifiers: The most identifiers that one call may contain.
        max_body_bytes: Size of a body, in bytes, above which the answer is 413.
        clock: Epoch seconds, for tokens, quota and timestamps.
        match_rate: Share of identifiers that the statistics report as matched.
        window: Whether the quota counts calls within the last seconds (``"sliding"``) or from one multiple of its
            period to the next (``"fixed"``).
        dialect: Whether answers have the shapes of OpenAPI (``"openapi"``) or, where Criteo's guides contradict it,
            those of the guides (``"guides"``). What OpenAPI allows is accepted in both.
        tls: A server's context with its certificate, to listen as ``https://localhost``; plain HTTP when left out.
        rotation: When a refresh replaces the refresh token. The old one becomes invalid with the answer
            (``"at-once"``) or with the first use of the new one (``"when-used"``); ``"never"`` keeps the old one.
        accounts: How many accounts have consented. Calls on behalf of a user have a quota of their own: 10 a minute
            for each account, or none if ``rate_limit`` is ``None``.
        on_call: Called with each call, as in ``requests``, when its answer has ended; to log it, for example.
    """

    def __init__(
        self,
        *,
        latency: float = 0.0,
        rate_limit: tuple[int, float] | None = (250, 60.0),
        host: str = "127.0.0.1",
        port: int = 0,
        client_id: str | None = None,
        client_secret: str | None = None,
        token_lifetime: float = 900,
        max_identifiers: int = 50_000,
        max_body_bytes: int = 10_000_000,
        clock: Callable[[], float] = time.time,
        match_rate: float = 0.6,
        window: Window = "sliding",
        dialect: DialectName = "openapi",
        tls: ssl.SSLContext | None = None,
        rotation: Rotation = "at-once",
        accounts: int = 1,
        on_call: Callable[[RecordedRequest], None] | None = None,
    ) -> None:
        self._state = ServerState(
            tokens=TokenIssuer(
                client_id=secrets.token_hex(8) if client_id is None else client_id,
                client_secret=secrets.token_hex(16) if client_secret is None else client_secret,
                lifetime=token_lifetime,
                clock=clock,
            ),
            consents=Consents(clock, rotation, accounts),
            quota=None if rate_limit is None else CallQuota.of(*rate_limit, window),
            consented_quota=None if rate_limit is None else CallQuota.of(_CALLS_AN_ACCOUNT * accounts, _MINUTE, window),
            latency=latency,
            max_identifiers=max_identifiers,
            max_body_bytes=max_body_bytes,
            match_rate=match_rate,
            clock=clock,
            dialect=dialect_of(dialect),
            recording=CallLog(on_call),
        )
        self._listener = Listener(self._state, host, port, tls)

    async def __aenter__(self) -> Self:
        await self._listener.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._listener.stop()

    def __repr__(self) -> str:
        return f"<Sandbox {self.url if self._listener.is_running else 'not running'}>"

    @property
    def url(self) -> str:
        """The address of the server: the base URL for a client.

        Raises:
            RuntimeError: The sandbox is not running.
        """
        return self._listener.url

    @property
    def credentials(self) -> "ClientCredentials":
        """The credentials that the server accepts."""
        # Imported here, because nothing else in this package may import the client.
        from criteo_audiences.session.auth import ClientCredentials  # noqa: PLC0415

        tokens = self._state.tokens
        return ClientCredentials(client_id=tokens.client_id, client_secret=tokens.client_secret)

    def refresh_token(self, *, on_rotate: "OnRotate | None" = None) -> "RefreshToken":
        """Returns the login of a user who has consented before, with a refresh token that the server accepts.

        Args:
            on_rotate: An async function that stores a new refresh token.
        """
        from criteo_audiences.session.consent import RefreshToken  # noqa: PLC0415

        return RefreshToken(
            client_id=self.client_id,
            client_secret=self.client_secret,
            refresh_token=self._state.consents.new_refresh_token(),
            on_rotate=on_rotate,
            accounts=self._state.consents.accounts,
        )

    def authorization_code(
        self,
        *,
        redirect_uri: str = "https://app.example/callback",
        pkce: bool = True,
        on_rotate: "OnRotate | None" = None,
    ) -> "AuthorizationCode":
        """Returns the login of a user who has just consented, with a code that the server accepts once.

        Args:
            redirect_uri: The redirect URI that the consent URL would have named.
            pkce: Whether the consent URL had a challenge, so that the code needs its verifier.
            on_rotate: An async function that stores the refresh token.
        """
        from criteo_audiences.session.consent import AuthorizationCode  # noqa: PLC0415

        verifier, challenge = AuthorizationCode.pkce() if pkce else (None, None)
        return AuthorizationCode(
            client_id=self.client_id,
            client_secret=self.client_secret,
            code=self._state.consents.new_code(redirect_uri, challenge),
            redirect_uri=redirect_uri,
            code_verifier=verifier,
            on_rotate=on_rotate,
            accounts=self._state.consents.accounts,
        )

    def revoke_consent(self) -> None:
        """Withdraw every user's consent: codes and refresh tokens become invalid, and their access tokens get 403."""
        self._state.consents.revoke()
        self._state.tokens.withdraw_consent()

    def change_role(self) -> None:
        """Change every user's role: codes and refresh tokens become invalid; access tokens stay valid."""
        self._state.consents.revoke()

    @property
    def client_id(self) -> str:
        """The id of the one application that the server knows."""
        return self._state.tokens.client_id

    @property
    def client_secret(self) -> str:
        """The secret of that application."""
        return self._state.tokens.client_secret

    @property
    def requests(self) -> list[RecordedRequest]:
        """The calls so far, token calls included, in order of arrival."""
        return self._state.recording.requests

    @property
    def max_in_flight(self) -> int:
        """The most API calls that the server has handled at the same time so far."""
        return self._state.recording.max_in_flight

    def add_contact_list(
        self,
        name: str | None = None,
        *,
        service: ServiceName = "marketing-solutions",
        owner_id: str | None = None,
        advertiser_id: str | None = None,
        account_id: str | None = None,
        data_provider_id: str | None = None,
        retailer_id: str | None = None,
        identifier_type: str | None = None,
        read_only: bool = False,
        segment_id: str | None = None,
    ) -> str:
        """Create an empty contact list without a call. Its owner and retailer may have any id; the default is "1".

        Args:
            name: Unique per owner; made up when left out.
            service: The service that the list belongs to.
            owner_id: Its owner: an advertiser, an account or a data provider, depending on the service.
            advertiser_id: Another name of ``owner_id``, for Marketing Solutions.
            account_id: Another name of ``owner_id``, for Retail Media.
            data_provider_id: Another name of ``owner_id``, for Commerce Grid.
            retailer_id: The retailer of a list of Retail Media.
            identifier_type: The only type that a list of Retail Media takes, such as ``"Email"``; any when left out.
            read_only: Whether it counts as made outside the API, so that calls cannot change it.
            segment_id: The id of its segment, unique within each service; made up when left out.

        Returns:
            The id of its segment.

        Raises:
            ValueError: The service has no such option, or already has the id; or its owner already has the name.
        """
        owners = {
            "owner_id": owner_id,
            "advertiser_id": advertiser_id,
            "account_id": account_id,
            "data_provider_id": data_provider_id,
        }
        return segment_endpoints.add_contact_list(
            self._state,
            service,
            name=name,
            owners=owners,
            retailer_id=retailer_id,
            identifier_type=identifier_type,
            read_only=read_only,
            segment_id=segment_id,
        ).id

    def contact_list(self, segment_id: str, *, service: ServiceName | None = None) -> ContactList:
        """Returns a contact list as it really is in the server, even after the sandbox has stopped.

        Args:
            segment_id: The id of its segment.
            service: The service of the segment, needed when several services have a segment of that id.

        Raises:
            LookupError: There is no contact list of that id, or there are several of them.
        """
        segments = self._state.segments
        segment = segments[segment_id] if service is None else segments.find(segment_id, service=SERVICES[service])
        contact_list = None if segment is None else segment.contact_list
        if contact_list is None:
            raise LookupError(f"segment {segment_id} is not a contact list")
        return contact_list

    def deny(self, segment_id: str) -> None:
        """Answer 403 to every further call on a segment, as if its advertiser had withdrawn consent."""
        self._state.segments[segment_id].denied = True

    def use_in_audience(self, segment_id: str) -> None:
        """Treat a segment as used in an audience, so that calls cannot delete it."""
        self._state.segments[segment_id].in_audience = True

    def deprecate_version(self, version: str, *, sunset: datetime | None = None) -> None:
        """Announce the end of an API version in every further answer under it, even if the answer refuses the call.

        Args:
            version: The version as in a path: ``"2026-07"``.
            sunset: When it ends, with a time zone; the header is left out without it.
        """
        self._state.versions.deprecate(version, sunset)

    def retire_version(self, version: str) -> None:
        """Answer 410 to every further call under an API version."""
        self._state.versions.retire(version)

    def expire_tokens(self) -> None:
        """Expire every access token issued so far."""
        self._state.tokens.expire_all()

    def revoke_tokens(self) -> None:
        """Make every access token issued so far unknown, including the tokens of calls in progress."""
        self._state.tokens.revoke_all()

    def fail_next(self, *, times: int = 1, on: str = "", **fault: Unpack[FaultOptions]) -> None:
        """Make the next calls go wrong. Faults form a queue; each call gets the first one that applies to it.

        Args:
            times: How many calls go wrong.
            on: Part of the path of the calls that go wrong. Token calls go wrong only when this names them,
                as in ``on="oauth2"``.
            **fault: What goes wrong: the keywords of `Fault`, such as ``status=503``.

        Raises:
            ValueError: No call would notice, or two of the keywords contradict each other.
        """
        self._state.faults.add(Fault(**fault), times=times, on=on)

    def fail_with(self, choose: Callable[[RecordedRequest], Fault | None] | None) -> None:
        """Choose the fault of every further call by a function, unless a fault of ``fail_next`` applies.

        The function may change the sandbox as well: with ``expire_tokens()``, a token expires while its call is in
        progress.

        Args:
            choose: Called with each call as it arrives, token calls too: its method, path and number. Returns ``None``
                if nothing is to go wrong. If it raises an exception, that is logged and the call is answered 500. Pass
                ``None`` instead of a function to stop.
        """
        self._state.faults.choose = choose
