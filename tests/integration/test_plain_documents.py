"""What `to_dict()` returns is made of plain JSON values, which any serializer takes (Airflow's XComs, msgpack, a web framework)."""

from pathlib import Path
from typing import Any

import pytest

from criteo_audiences import CriteoClient, Progress
from criteo_audiences.sandbox import Sandbox

PLAIN = (str, int, float, bool, type(None))


def others(document: object) -> list[object]:
    """Returns the values that are of another type, also of a subclass such as an enumeration."""
    if type(document) is dict:
        return [found for key, value in document.items() for found in (*others(key), *others(value))]
    if type(document) is list:
        return [found for value in document for found in others(value)]
    return [] if type(document) in PLAIN else [document]


@pytest.fixture
async def seen() -> dict[str, Any]:
    """Documents of every kind that an upload, a mirror and an erasure make."""
    found: dict[str, Any] = {}

    def show(progress: Progress) -> None:
        found[f"progress {progress.phase}"] = progress.to_dict()

    async with Sandbox() as sandbox, CriteoClient(sandbox.credentials, base_url=sandbox.url) as criteo:
        segment = sandbox.add_contact_list()
        service = criteo.marketing_solutions
        people = ["anna@example.com", "no address", "li@example.org"]
        sandbox.fail_next(status=400, on="contact-list")
        failed = await service.upload_contact_list(segment, people, hash="sha256", fail_on="rejected>1%")
        report = await service.upload_contact_list(segment, people, hash="sha256", on_progress=show)
        async with service.stream_contact_list(segment, people, hash="sha256") as results:
            batches = [batch async for batch in results]
        found |= {"failed upload": failed.to_dict(), "upload": report.to_dict(), "batch": batches[0].to_dict()}
        found["erasure"] = (await criteo.erase(["anna@example.com"])).to_dict()
    return found


async def test_documents_are_plain(seen: dict[str, Any]) -> None:
    """Of reports, batches, progress and receipts."""
    assert {name: others(document) for name, document in seen.items() if others(document)} == {}


async def test_the_document_of_a_mirror_is_plain(tmp_path: Path) -> None:
    """Its upload reports included."""
    async with Sandbox() as sandbox, CriteoClient(sandbox.credentials, base_url=sandbox.url) as criteo:
        mirror = criteo.marketing_solutions.mirror_contact_list
        report = await mirror(
            sandbox.add_contact_list(), ["anna@example.com"], hash=None, snapshot=tmp_path / "s", baseline="empty"
        )
    assert others(report.to_dict()) == []
