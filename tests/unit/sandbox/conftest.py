import io
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import attrs
import orjson
import pytest

from criteo_audiences.sandbox import Sandbox


@attrs.define
class FakeClock:
    """Epoch seconds that pass when a test says so."""

    now: float = 1_700_000_000.25

    def __call__(self) -> float:
        """Returns the current time."""
        return self.now


@attrs.frozen
class Reply:
    """An answer, read to its end."""

    status: int
    headers: dict[str, str]
    raw: bytes

    @property
    def body(self) -> Any:
        """The JSON in the answer."""
        return orjson.loads(self.raw)

    @property
    def problem(self) -> dict[str, str]:
        """The only problem in the answer."""
        (problem,) = self.body["errors"]
        return problem

    @property
    def codes(self) -> list[str]:
        """The codes of all problems."""
        return [problem["code"] for problem in self.body["errors"]]


class Caller:
    """Calls one sandbox over a real socket, with a token unless told otherwise."""

    def __init__(self, http: aiohttp.ClientSession, sandbox: Sandbox) -> None:
        self._http = http
        self._sandbox = sandbox
        self._token: str | None = None

    async def __call__(
        self, method: str, path: str, *, token: str | None = None, authorization: str | None = None, **options: Any
    ) -> Reply:
        """Returns the answer to a call; ``authorization=""`` leaves the header out."""
        if token is None and authorization is None:
            token = self._token = self._token or await self.token()
        header = f"Bearer {token}" if authorization is None else authorization
        headers = {**options.pop("headers", {}), **({"Authorization": header} if header else {})}
        if "json" in options:
            headers["Content-Type"] = "application/json"
            options["data"] = orjson.dumps(options.pop("json"))
        if isinstance(options.get("data"), bytes):
            # aiohttp warns of large bodies in plain bytes, and a warning is an error here.
            options["data"] = io.BytesIO(options["data"])
        async with self._http.request(method, self._sandbox.url + path, headers=headers, **options) as response:
            return Reply(response.status, {k.lower(): v for k, v in response.headers.items()}, await response.read())

    async def grant(self, **fields: str) -> Reply:
        """Returns the answer of the token endpoint; fields replace those of a good request."""
        good = {
            "client_id": self._sandbox.client_id,
            "client_secret": self._sandbox.client_secret,
            "grant_type": "client_credentials",
        }
        return await self("POST", "/oauth2/token", authorization="", data=good | fields)

    async def token(self) -> str:
        """Returns a new token."""
        return str((await self.grant()).body["access_token"])

    async def amend(self, segment_id: str, identifiers: list[str], operation: str = "add", **attributes: Any) -> Reply:
        """Returns the answer to an amendment of e-mails."""
        attributes = {"operation": operation, "identifierType": "email", "identifiers": identifiers, **attributes}
        body = {"data": {"type": "ContactlistAmendment", "attributes": attributes}}
        return await self("PATCH", self.contact_list_path(segment_id), json=body)

    @staticmethod
    def contact_list_path(segment_id: str) -> str:
        """Returns the path of a segment's contact list."""
        return f"/2026-07/marketing-solutions/audience-segments/{segment_id}/contact-list"

    async def create(self, *attributes: dict[str, Any]) -> Reply:
        """Returns the answer to a bulk creation."""
        items = [{"type": "AudienceSegment", "attributes": each} for each in attributes]
        return await self("POST", "/2026-07/marketing-solutions/audience-segments/create", json={"data": items})


@pytest.fixture
def clock() -> FakeClock:
    """A clock that stands still."""
    return FakeClock()


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    """A plain HTTP client."""
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
def connect(http: aiohttp.ClientSession) -> Callable[[Sandbox], Caller]:
    """Makes a caller for a sandbox."""
    return lambda sandbox: Caller(http, sandbox)


@pytest.fixture
async def sandbox(clock: FakeClock) -> AsyncIterator[Sandbox]:
    """A sandbox whose time stands still."""
    async with Sandbox(clock=clock) as running:
        yield running


@pytest.fixture
def call(connect: Callable[[Sandbox], Caller], sandbox: Sandbox) -> Callable[..., Awaitable[Reply]]:
    """A caller of that sandbox."""
    return connect(sandbox)
