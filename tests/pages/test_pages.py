"""The code and the commands of the tutorial and of how-to pages, run as they stand, with a local Criteo."""

import ast
import asyncio
import inspect
import os
import re
import sys
import textwrap
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trustme

from criteo_audiences import AuthorizationCode, CriteoClient, Segment
from criteo_audiences.marketing_solutions import AudienceCreate
from criteo_audiences.sandbox import Sandbox

ROOT = Path(__file__).parents[2]
HOW_TO = ROOT / "docs" / "how-to"
ELSEWHERE = {
    "library.md": "tests/integration/test_readme.py",
    "share-a-quota.md": "tests/servers/test_pages.py",
    "queue-workers.md": "tests/servers/test_pages.py",
    "clusters.md": "tests/servers/test_pages.py",
    "spark.md": "tests/servers/test_pages.py",
    "test-your-code.md": "a test of its own, below",
}
PAGES = sorted(page.name for page in HOW_TO.glob("*.md") if page.name not in ELSEWHERE)
NEEDS_MORE = ("jq", "pip ", "export ", "criteo-audiences sandbox")  # commands of another program, or that do not end
ASKS = ("erase", "replace", "snapshots remove", "clear", "segments delete")  # on a terminal, which a test is not
LISTS = ("812345", "123")
AN_AUDIENCE = "700001"

CRM = """email,phone,country,consent
anna.kowalska@example.com,+91 98123 45678,IN,yes
Li.Wei@example.org,,FR,yes
not an address,098123 45679,,no
chen@example.org,,DE,yes
"""


def blocks(page: Path, language: str) -> list[str]:
    """Returns the blocks of a page in a language."""
    found = re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    return [textwrap.dedent(block) for block in found]


def commands(page: Path) -> list[str]:
    """Returns the commands that a page shows after a dollar sign, each with the lines that continue it."""
    shown = "".join(blocks(page, "console")).replace("\\\n", " ")
    return [line[2:] for line in shown.splitlines() if line.startswith("$ ")]


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    """A local Criteo with the lists that the pages speak of."""
    async with Sandbox() as running:
        for segment_id in LISTS:
            running.add_contact_list(segment_id, segment_id=segment_id, advertiser_id="123")
        yield running


@pytest.fixture(autouse=True)
def desk(monkeypatch: pytest.MonkeyPatch, sandbox: Sandbox, tmp_path: Path) -> Path:
    """A directory with the files that the pages speak of, and the variables exported."""
    monkeypatch.chdir(tmp_path)
    for name, value in {
        "CRITEO_BASE_URL": sandbox.url,
        "CRITEO_CLIENT_ID": sandbox.client_id,
        "CRITEO_CLIENT_SECRET": sandbox.client_secret,
        "XDG_STATE_HOME": str(tmp_path / "state"),
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "COLUMNS": "100",
    }.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "crm.csv").write_text(CRM, encoding="utf-8")
    (tmp_path / "opt-outs.csv").write_text("email\nchen@example.org\n", encoding="utf-8")
    profiles = tmp_path / "config" / "criteo-audiences" / "profiles.toml"
    profiles.parent.mkdir(parents=True)
    profiles.touch(mode=0o600)
    login = f'client_id = "{sandbox.client_id}"\nclient_secret = "{sandbox.client_secret}"\n'
    profiles.write_text(f'[acme]\n{login}base_url = "{sandbox.url}"\n', encoding="utf-8")
    (tmp_path / "people.txt").write_text("anna.kowalska@example.com\n+91 98123 45678\n", encoding="utf-8")
    return tmp_path


async def shell(command: str) -> tuple[int, str]:
    """Runs a command as a terminal would; returns its exit code and what it printed."""
    process = await asyncio.create_subprocess_exec(
        "bash",
        "-c",
        command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    printed, _ = await asyncio.wait_for(process.communicate(), 50)
    return process.returncode or 0, printed.decode()


async def audience() -> str:
    """Creates an audience, as the pages suppose that there is one; returns its id."""
    async with CriteoClient.from_env() as criteo:
        wanted = AudienceCreate(advertiser_id="123", name="People", algebra=Segment(LISTS[0]))
        return (await criteo.marketing_solutions.create_audiences([wanted])).one().id


async def run(code: str, names: dict[str, Any]) -> None:
    """Runs a block as `python -m asyncio` would."""
    compiled = compile(code, "<page>", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    if compiled.co_flags & inspect.CO_COROUTINE:
        await eval(compiled, names)  # noqa: S307 - it is this project's own page
    else:
        await asyncio.to_thread(eval, compiled, names)


@pytest.mark.parametrize("name", PAGES)
async def test_the_code_of_a_page_runs(name: str, sandbox: Sandbox, desk: Path) -> None:
    """One block after the other, with the names that the page's text introduces."""
    async with CriteoClient.from_env() as criteo:
        names: dict[str, Any] = {
            "criteo": criteo,
            "ms": criteo.marketing_solutions,
            "CriteoClient": CriteoClient,
            "Path": Path,
            "segment_id": "812345",
            "source": ["anna@example.com"],
        }
        if name in INTRODUCED:
            names |= await INTRODUCED[name](sandbox, desk)
        for block in blocks(HOW_TO / name, "python"):
            await run(block.replace("/etc/ssl/", f"{desk}/"), names)


async def blocking(_sandbox: Sandbox, _desk: Path) -> dict[str, Any]:
    """A model of Django's."""
    values = SimpleNamespace(iterator=lambda: iter(["anna@example.com", "li@example.org"]))
    return {"Customer": SimpleNamespace(objects=SimpleNamespace(values_list=lambda *_, **__: values))}


async def logins(sandbox: Sandbox, _desk: Path) -> dict[str, Any]:
    """A user who has consented, and somewhere to store a token."""

    async def store(token: str) -> None:
        assert token

    class Consented(AuthorizationCode):
        """The login of the page, with the application and the code of the local Criteo."""

        def __new__(cls, **_: object) -> Any:
            return sandbox.authorization_code(on_rotate=store)

    return {
        "AuthorizationCode": Consented,
        "CriteoClient": partial(CriteoClient, base_url=sandbox.url),
        "code": "…",
        "state": "opaque",
        "Sandbox": Sandbox,
        "store": store,
    }


async def mirror(_sandbox: Sandbox, desk: Path) -> dict[str, Any]:
    """The first mirror has been."""
    async with CriteoClient.from_env() as criteo:
        await criteo.marketing_solutions.mirror_contact_list(
            "812345", desk / "crm.csv", hash="sha256", snapshot=desk / "state" / "crm.snapshot", baseline="empty"
        )
    return {}


async def networks(sandbox: Sandbox, desk: Path) -> dict[str, Any]:
    """A company's authority, and a certificate of it."""
    authority = trustme.CA()
    own = authority.issue_cert("crm.example.com")
    authority.cert_pem.write_to_path(desk / "company.pem")
    own.cert_chain_pems[0].write_to_path(desk / "crm.pem")
    own.private_key_pem.write_to_path(desk / "crm.key")
    return {"credentials": sandbox.credentials}


async def observing(_sandbox: Sandbox, _desk: Path) -> dict[str, Any]:
    """A report that went wrong, somebody to tell, and a web framework."""
    return {
        "report": SimpleNamespace(ok=False, explain=lambda: "what is wrong"),
        "alert": print,
        "app": SimpleNamespace(post=lambda _path: lambda function: function),
        "rows": lambda: ["anna@example.com"],
    }


INTRODUCED: Mapping[str, Callable[[Sandbox, Path], Awaitable[dict[str, Any]]]] = {
    "blocking.md": blocking,
    "logins.md": logins,
    "mirror.md": mirror,
    "networks.md": networks,
    "observing.md": observing,
}


@pytest.mark.parametrize("name", PAGES)
async def test_the_commands_of_a_page_work(name: str) -> None:
    """Each, in order, ends with 0; a block of JSON is the file that they read."""
    for block in blocks(HOW_TO / name, "json"):
        Path("segments.json").write_text(block, encoding="utf-8")
    for shown in commands(HOW_TO / name):
        command = shown.replace(AN_AUDIENCE, await audience()) if AN_AUDIENCE in shown else shown
        if not any(word in command for word in NEEDS_MORE):
            asks = re.match(rf"criteo-audiences ({'|'.join(ASKS)})\b", command)
            code, printed = await shell(f"{command} --yes" if asks else command)
            assert code == 0, f"{command}\n{printed}"


async def test_the_tutorial_prints_what_it_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every command, in a checkout, with a fresh local Criteo; an ellipsis in the page stands for anything."""
    page = ROOT / "docs" / "tutorial.md"
    monkeypatch.chdir(ROOT)
    async with Sandbox() as fresh:
        for name, value in {"URL": fresh.url, "ID": fresh.client_id, "SECRET": fresh.client_secret}.items():
            monkeypatch.setenv(f"CRITEO_{'BASE' if name == 'URL' else 'CLIENT'}_{name}", value)
        monkeypatch.setenv("LIST", "300001")
        for block in blocks(page, "console"):
            command, _, shown = block.removeprefix("$ ").partition("\n")
            code, printed = await shell(command)
            assert code == 0, printed
            pattern = re.sub(r"(\\ )?…(\\\n)?", r"[\\s\\S]*?", re.escape(shown.rstrip("\n")))
            assert re.search(rf"^{pattern}", printed, flags=re.MULTILINE), f"{command}\n{printed}\nis not\n{shown}"


async def test_your_code_is_tested_as_the_page_says(tmp_path: Path) -> None:
    """Its two files, and what it says of options, are a project whose tests pass."""
    project, options = blocks(HOW_TO / "test-your-code.md", "python")
    app, tests = project.split("# test_my_app.py\n")
    (tmp_path / "my_app.py").write_text(app, "utf-8")
    (tmp_path / "test_my_app.py").write_text(tests, "utf-8")
    (tmp_path / "test_options.py").write_text(f"import pytest\n\n{options}", "utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\nasyncio_mode = auto\n", "utf-8")
    code, printed = await shell(f"{sys.executable} -m pytest -q -p no:cacheprovider")
    assert code == 0, printed
    assert "passed" in printed


def test_a_page_that_is_left_out_here_is_run_elsewhere() -> None:
    """By a test that names it."""
    for page, where in ELSEWHERE.items():
        path = Path(__file__) if where.startswith("a test") else ROOT / where
        assert page.removesuffix(".md") in path.read_text("utf-8")
    assert set(ELSEWHERE) <= {page.name for page in HOW_TO.glob("*.md")}
