"""The page of endpoints, held against the package: its services, its command line, and the sandbox that serves them."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
import typer.main
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from criteo_audiences.cli import app
from criteo_audiences.commerce_grid import CommerceGrid
from criteo_audiences.marketing_solutions import MarketingSolutions
from criteo_audiences.retail_media import RetailMedia
from criteo_audiences.sandbox import Sandbox
from criteo_audiences.sandbox.server import application
from tests.endpoints_page import PAGE, rows

SERVICES = {"marketing-solutions": MarketingSolutions, "retail-media": RetailMedia, "commerce-grid": CommerceGrid}
VERSIONS = ("2026-07", "experimental")


def commands(command: Any, *names: str) -> Iterator[str]:
    """Yields every command of the command line."""
    below = getattr(command, "commands", None)
    if below is None:
        yield " ".join(names)
    for name, each in (below or {}).items():
        yield from commands(each, *names, name)


def test_every_coroutine_is_on_the_page() -> None:
    """Each with its service; and none that is not there."""
    offered = {
        (name, each)
        for name, kind in SERVICES.items()
        for each in dir(kind)
        if not each.startswith("_") and callable(getattr(kind, each))
    }
    assert {(row.service, each) for row in rows() for each in row.coroutines} == offered


def test_every_command_is_on_the_page() -> None:
    """With an endpoint, or among those that call none."""
    calling = {each for row in rows() for each in row.commands}
    silent = set(re.findall("`(.*?)`", PAGE.partition("## Commands that call no endpoint")[2]))
    assert calling | silent == set(commands(typer.main.get_command(app)))
    assert not calling & silent


async def served(server: web.Application, method: str, path: str) -> bool:
    """Returns whether a server has an endpoint."""
    request = make_mocked_request(method, re.sub(r"\{.*?\}", "1", path))
    return (await server.router.resolve(request)).http_exception is None


async def test_the_sandbox_serves_what_is_on_the_page() -> None:
    """Each endpoint under the versions that have it and, in Retail Media, under no other."""
    server = application(Sandbox()._state)
    for row in rows():
        for version in VERSIONS:
            if row.service == "retail-media" or version in row.versions:
                found = await served(server, row.method, f"/{version}{row.path}")
                assert found == (version in row.versions), (row, version)


def test_the_page_has_all_that_the_sandbox_serves() -> None:
    """As many endpoints as there are routes, but for that of tokens."""
    routes = {
        (route.method, re.sub(r"\{\w+?\}", "{}", route.resource.canonical.partition("}")[2]))
        for route in application(Sandbox()._state).router.routes()
        if route.resource is not None and route.resource.canonical != "/oauth2/token" and route.method != "HEAD"
    }
    assert {(row.method, re.sub(r"\{.+?\}", "{}", row.path)) for row in rows()} == routes


@pytest.mark.parametrize("service", SERVICES)
def test_each_endpoint_stands_once(service: str) -> None:
    """Its first coroutine is its own."""
    own = [row.coroutines[0] for row in rows() if row.service == service]
    assert len(own) == len(set(own)) > 0
