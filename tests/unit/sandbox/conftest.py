import io
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import attrs
import orjson
import pytest

from criteo_audiences.sandbox import Sandbox

# The paths of OpenAPI for segments and for what can be done with a contact list; account 1 where one is named.
SEGMENTS = {
    "marketing-solutions": "/marketing-solutions/audience-segments",
    "retail-media": "/retail-media/accounts/1/audience-segments",
    "commerce-grid": "/commerce-grid/audience-segments",
}
STATISTICS = {
    "marketing-solutions": "/marketing-solutions/audience-segments/{}/contact-list/statistics",
    "retail-media": "/retail-media/accounts/1/audience-segments/{}/contact-list",
    "commerce-grid": "/commerce-grid/audience-segments/{}/contact-list/statistics",
}
AMENDMENT = {
    "marketing-solutions": ("PATCH", "/marketing-solutions/audience-segments/{}/contact-list"),
    "retail-media": ("POST", "/retail-media/audience-segments/{}/contact-list/add-remove"),
    "commerce-grid": ("POST", "/commerce-grid/audience-segments/{}/contact-list/add-remove"),
}
CLEARING = {
    "marketing-solutions": ("DELETE", "/marketing-solutions/audience-segments/{}/contact-list"),
    "retail-media": ("POST", "/retail-media/audience-segments/{}/contact-list/clear"),
    "commerce-grid": ("POST", "/commerce-grid/audience-segments/{}/contact-list/clear"),
}


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

    async def bulk(self, service: str, endpoint: str, *items: Any, body: Any = None, version: str = "2026-07") -> Reply:
        """Returns the answer to a bulk call: "create", "update" or "delete" of items as they are, or another body."""
        method, end = ("PATCH", "") if endpoint == "update" else ("POST", f"/{endpoint}")
        body = {"data": list(items)} if body is None else body
        return await self(method, f"/{version}{SEGMENTS[service]}{end}", json=body)

    async def new(self, service: str, name: str = "new", **attributes: Any) -> Reply:
        """Returns the answer to the creation of one segment of owner and retailer 1, a contact list by default."""
        owner = {"marketing-solutions": "advertiserId", "retail-media": "retailerId", "commerce-grid": "dataProviderId"}
        kinds = {"contactList", "inMarket", "location", "lookalike", "prospecting", "retargeting", "events"}
        settings = {} if kinds & attributes.keys() else {"contactList": {}}
        return await self.bulk(
            service, "create", {"attributes": {owner[service]: "1", "name": name, **settings, **attributes}}
        )

    async def update(self, service: str, segment_id: str, **attributes: Any) -> Reply:
        """Returns the answer to an update of one segment."""
        return await self.bulk(service, "update", {"id": segment_id, "attributes": attributes})

    async def search(self, service: str, filters: Any = None, query: str = "") -> Reply:
        """Returns the answer to a search."""
        body = {} if filters is None else {"data": {"type": "AudienceSegment", "attributes": filters}}
        return await self("POST", f"/2026-07{SEGMENTS[service]}/search{query}", json=body)

    async def change(self, service: str, segment_id: str, **attributes: Any) -> Reply:
        """Returns the answer to an amendment of a contact list."""
        method, path = AMENDMENT[service]
        body = {"data": {"type": "AddRemoveContactlist", "attributes": attributes}}
        return await self(method, f"/2026-07{path.format(segment_id)}", json=body)

    async def clear(self, service: str, segment_id: str) -> Reply:
        """Returns the answer to the clearing of a contact list."""
        method, path = CLEARING[service]
        return await self(method, f"/2026-07{path.format(segment_id)}")

    async def statistics(self, service: str, segment_id: str) -> Reply:
        """Returns the answer to a call for statistics."""
        return await self("GET", f"/2026-07{STATISTICS[service].format(segment_id)}")


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
