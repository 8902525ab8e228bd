from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import attrs
import pytest

from criteo_audiences import CriteoClient, RetryPolicy, UploadReport
from criteo_audiences.sandbox import Sandbox


@attrs.define
class Stage:
    """A sandbox with a contact list, and a client of it that repeats failed calls at once."""

    sandbox: Sandbox
    criteo: CriteoClient
    segment_id: str

    @property
    def held(self) -> frozenset[str]:
        """What the server really holds."""
        return self.sandbox.contact_list(self.segment_id).identifiers

    @property
    def calls(self) -> list[Any]:
        """The calls of the API so far."""
        return [each for each in self.sandbox.requests if "oauth2" not in each.path]

    @property
    def amendments(self) -> list[Any]:
        """The calls that change a list so far."""
        return [each for each in self.calls if not each.path.endswith("/search")]

    @property
    def token_calls(self) -> list[Any]:
        """The calls for a token so far."""
        return [each for each in self.sandbox.requests if "oauth2" in each.path]

    async def upload(self, source: object, **options: Any) -> UploadReport:
        """Uploads to the contact list, in clear unless told otherwise, and checks that the report adds up."""
        options = {"hash": None, **options}
        report = await self.criteo.marketing_solutions.upload_contact_list(self.segment_id, source, **options)
        assert_adds_up(report)
        return report


def assert_adds_up(report: UploadReport) -> None:
    """Asserts that every row and every identifier of a report is accounted for."""
    assert report.read == (
        report.sent + report.rejected_total + (report.duplicates or 0) + report.suppressed + report.pending
    )
    assert report.sent == report.valid + report.invalid + report.unreported + report.failed + report.unknown
    assert min(report.pending, report.valid, report.invalid, report.unreported, report.failed, report.unknown) >= 0


@pytest.fixture
def set_stage() -> Callable[..., Any]:
    """Sets up a sandbox and a client of it; keywords of `Sandbox` and, as `client=`, of `CriteoClient`."""

    @asynccontextmanager
    async def stage(client: dict[str, Any] | None = None, **options: Any) -> AsyncIterator[Stage]:
        chosen = {"retry": RetryPolicy(first_delay=0.001, max_delay=0.01), **(client or {})}
        async with Sandbox(**options) as sandbox:
            credentials = chosen.pop("credentials", sandbox.credentials)
            async with CriteoClient(credentials, base_url=sandbox.url, **chosen) as criteo:
                yield Stage(sandbox, criteo, sandbox.add_contact_list(name="crm"))

    return stage


@pytest.fixture
async def stage(set_stage: Callable[..., Any]) -> AsyncIterator[Stage]:
    """The usual sandbox and client."""
    async with set_stage() as ready:
        yield ready
