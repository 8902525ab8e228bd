"""Phone numbers are planted, and everything that others can see is searched for their digits."""

import asyncio
import json
import logging
import re
import traceback
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from criteo_audiences import CriteoError, hash_phone

pytestmark = pytest.mark.usefixtures("short_stacks")

# The same eight digits are in every number, and in nothing else.
PLANTED = "64204209"
GOOD = ["+33 6 64 20 42 09", "+336-64-20-42-09", "0033 (0)6.64.20.42.09", "06 64 20 42 09", "tel:+33-664-204-209;ext=1"]
BAD = [
    "66420420933.0",
    "+33 664204209 or +33 664204208",
    "+999664204209",
    "664204209x",
    "6,64204209E+08",
    "++33664204209",
]
BAD += ["+33 0664204209/08", "66420420966420420966420420", "6642 0420 9"]
ECHOES = ["+33664204209", "33664204209", "33-6-64-20-42-09", "a.33.664.204.209", "tel-33-664-204-209", "0664204209/1"]

Open = Callable[..., AbstractAsyncContextManager[Any]]


def digits_shown(said: list[str]) -> list[str]:
    """Returns what shows the planted digits, however separated, or a digest of a planted number."""
    digests = {hash_phone(row, region="FR") for row in GOOD}
    separated = re.compile(r"[ ().\-/_]*".join(PLANTED))
    return [text for text in said if separated.search(text) or any(digest in text for digest in digests)]


def chain(error: BaseException) -> list[str]:
    """Returns all that an error and those it came from show."""
    said = [str(error), repr(error), repr(error.args), *traceback.format_exception(error)]
    for inner in (error.__cause__, error.__context__, *getattr(error, "exceptions", ())):
        said += chain(inner) if inner is not None else []
    return said


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What was said, to which every logger at DEBUG adds; a planted number in it fails the test."""
    caplog.set_level(logging.DEBUG)
    for name in ("criteo_audiences", "criteo_audiences.session", "aiohttp", "asyncio"):
        caplog.set_level(logging.DEBUG, logger=name)
    return []


def assert_silent(said: list[str], caplog: pytest.LogCaptureFixture) -> None:
    """Searches everything said and logged."""
    records = caplog.get_records("call")
    assert records
    logged = [logging.Formatter().format(record) + repr(record.args) for record in records]
    assert digits_shown(said + logged) == []


async def each(rows: list[str]) -> AsyncIterator[str]:
    """Yields rows as a database driver would."""
    for row in rows:
        yield row


def faults() -> list[dict[str, Any]]:
    """Returns what a server can do, echoing a number wherever an answer has room for one."""
    echoed: list[dict[str, Any]] = [{}, {"status": 400}, {"status": 403}, {"status": 500, "times": 9}]
    for echo in ECHOES:
        problem = {"code": echo, "instance": f"@data/1/{echo}", "traceId": echo, "title": echo, "detail": echo}
        echoed.append({"status": 400, "body": json.dumps({"errors": [problem | {"type": echo}]}).encode()})
        data = {"attributes": {"operation": echo, "contactListId": echo, "requestDate": echo}}
        echoed.append({"body": json.dumps({"data": data, "warnings": [problem]}).encode(), "times": 9})
    return echoed


@pytest.mark.parametrize("fault", faults(), ids=range(len(faults())))
@pytest.mark.parametrize("hashed", [None, "sha256"])
async def test_no_phone_number_is_shown_whatever_the_answer(
    fault: dict[str, Any], hashed: str | None, set_stage: Open, said: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    """No log, event, progress, report, exception or traceback holds one, in whatever spelling."""
    asyncio.get_running_loop().set_debug(True)
    async with set_stage({"on_event": lambda event: said.append(repr(event))}) as stage:
        if fault:
            stage.sandbox.fail_next(**fault, on="contact-list")
        report = await stage.upload(
            each([*GOOD, *BAD]),
            identifier_type="phone_number",
            hash=hashed,
            region="FR",
            batch_size=3,
            on_progress=lambda progress: said.append(repr(progress)),
        )
        assert report.rejected_total or not report.ok
        said += [repr(report), report.explain(), json.dumps(report.to_dict()), *map(str, stage.sandbox.requests)]
        for failure in report.failures:
            said += [repr(failure), *chain(failure.error)]
        try:
            report.raise_for_failures()
        except CriteoError as error:
            said += chain(error)
    assert_silent(said, caplog)


@pytest.mark.parametrize("column", ["phone", "mobile", None])
@pytest.mark.parametrize("header", ["name,phone", "+33 6 64 20 42 09,+33 6 64 20 42 09", "phone,phone"])
async def test_a_file_shows_no_phone_number(
    header: str, column: str | None, stage: Any, said: list[str], caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    """Whatever is wrong with its header, and also while nothing is."""
    path = tmp_path / "crm.csv"
    path.write_text("\n".join([header, *(f"Anna,{row}" for row in GOOD)]), "utf-8")
    await stage.upload(["a@b.co"])
    try:
        said.append(repr(await stage.upload(path, identifier_type="phone_number", column=column)))
    except CriteoError as error:
        said += chain(error)
    assert_silent(said, caplog)


@pytest.mark.parametrize("option", ["region", "gum_caller_id", "identifier_type", "hash", "operation", "column"])
async def test_a_misplaced_phone_number_is_not_shown(option: str, stage: Any) -> None:
    """In the place of an option it is refused in silence."""
    options = {"identifier_type": "gum" if option == "gum_caller_id" else "phone_number", option: GOOD[0]}
    with pytest.raises(CriteoError) as caught:
        await stage.upload([], **options)
    assert digits_shown(chain(caught.value)) == []


def test_the_search_would_find_a_number() -> None:
    """However it is separated, or hashed."""
    for shown in [*GOOD, *ECHOES, hash_phone(GOOD[0])]:
        assert digits_shown([f"x {shown} y"])
