from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from criteo_audiences.sandbox import Sandbox

MS = "marketing-solutions"
SUNSET = datetime(2027, 7, 31, 12, tzinfo=UTC)


async def test_a_deprecated_version_says_so_in_every_answer(sandbox: Sandbox, call: Any) -> None:
    """36: both headers and a warning, in a result as in a refusal."""
    sandbox.deprecate_version("2026-07", sunset=SUNSET)
    replies = [await call.new(MS), await call.search(MS), await call.statistics(MS, "9")]
    assert [reply.status for reply in replies] == [200, 200, 404]
    for reply in replies:
        assert (reply.headers["deprecation"], reply.headers["sunset"]) == ("true", "Sat, 31 Jul 2027 12:00:00 GMT")
        (warning,) = reply.body["warnings"]
        assert (warning["type"], warning["code"]) == ("deprecation", "endpoint-deprecated")
        assert warning["detail"]
        assert warning["instance"].startswith("/2026-07/")


async def test_an_answer_without_a_body_has_the_headers_only(sandbox: Sandbox, call: Any) -> None:
    """A 204 stays empty."""
    sandbox.deprecate_version("2026-07", sunset=SUNSET.astimezone(timezone(timedelta(hours=2))))
    reply = await call.clear("retail-media", sandbox.add_contact_list(service="retail-media"))
    assert (reply.status, reply.raw, reply.headers["sunset"]) == (204, b"", "Sat, 31 Jul 2027 12:00:00 GMT")


async def test_other_versions_and_tokens_say_nothing(sandbox: Sandbox, call: Any) -> None:
    """Only answers under that version are concerned."""
    sandbox.deprecate_version("2026-07")
    replies = [await call.bulk(MS, "delete", version="2026-01"), await call.grant()]
    assert not any("deprecation" in reply.headers for reply in replies)
    assert replies[0].body["warnings"] == []


async def test_the_sunset_can_be_left_out(sandbox: Sandbox, call: Any) -> None:
    """Then the end is announced without a date."""
    sandbox.deprecate_version("2026-07")
    reply = await call.search(MS)
    assert reply.headers["deprecation"] == "true"
    assert "sunset" not in reply.headers


async def test_a_retired_version_is_gone(sandbox: Sandbox, call: Any) -> None:
    """Every call under it gets 410, also one that would not be found; the next version works."""
    segment_id = sandbox.add_contact_list()
    sandbox.deprecate_version("2025-10", sunset=SUNSET)
    sandbox.retire_version("2025-10")
    path = call.contact_list_path(segment_id)
    for gone in (path.replace("2026-07", "2025-10"), "/2025-10/nowhere"):
        reply = await call("DELETE", gone)
        assert (reply.status, reply.problem["type"]) == (410, "deprecation")
        assert "deprecation" not in reply.headers
    assert (await call("DELETE", path)).status == 200


async def test_a_retired_version_is_hidden_behind_the_token(sandbox: Sandbox, call: Any) -> None:
    """Without a token the answer is 401, as for any version."""
    sandbox.retire_version("2025-10")
    assert (await call("GET", "/2025-10/nowhere", authorization="")).status == 401


@pytest.mark.parametrize("version", ["2026-7", "v1", "", "2026-07/x"])
def test_a_version_that_no_path_can_have_is_refused(version: str) -> None:
    """A test that deprecates nothing would prove nothing."""
    with pytest.raises(ValueError, match="YYYY-MM"):
        Sandbox().deprecate_version(version)
    with pytest.raises(ValueError, match="YYYY-MM"):
        Sandbox().retire_version(version)


def test_a_sunset_needs_a_time_zone() -> None:
    """A header cannot say what a naive time means."""
    with pytest.raises(ValueError, match="time zone"):
        Sandbox().deprecate_version("experimental", sunset=SUNSET.replace(tzinfo=None))


async def test_the_notice_is_put_in_the_words_of_the_guides(connect: Any) -> None:
    """25, 36: the warning has the old name of the trace, and stands beside failed items."""
    async with Sandbox(dialect="guides") as sandbox:
        sandbox.deprecate_version("2026-07", sunset=SUNSET)
        reply = await connect(sandbox).bulk("commerce-grid", "delete", {"id": "9"})
        failure, notice = reply.body["warnings"]
        assert (failure["instance"], notice["type"]) == ("@data/0", "deprecation")
        assert "traceIdentifier" in notice
