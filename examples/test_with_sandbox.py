"""How to test your own code against a local Criteo: `pytest examples/test_with_sandbox.py`."""

import asyncio

from criteo_audiences import CriteoClient
from criteo_audiences.sandbox import Sandbox


def test_customers_arrive() -> None:
    """The server contains what was uploaded, although its first answer was an error."""

    async def scenario() -> None:
        async with Sandbox() as sandbox:
            segment_id = sandbox.add_contact_list(name="crm")
            sandbox.fail_next(status=503)
            async with CriteoClient(sandbox.credentials, base_url=sandbox.url) as criteo:
                report = await criteo.marketing_solutions.upload_contact_list(
                    segment_id, ["Li.Wei@example.org"], hash=None
                )
            assert report.ok
            assert report.retries == 1
            assert sandbox.contact_list(segment_id).identifiers == {"li.wei@example.org"}

    asyncio.run(scenario())
