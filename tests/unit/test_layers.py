"""Who may import whom (the design's table of layers), held against the imports that the package really makes."""

import ast
import functools
import re
from collections.abc import Iterator, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest
from attrs import frozen

import criteo_audiences

ROOT = "criteo_audiences"
PUBLIC_ROOT = "the public root"
PACKAGE = Path(criteo_audiences.__file__).parent

PAGE = PACKAGE.parent / "docs" / "architecture.md"


def table_of(page: str) -> dict[str, frozenset[str]]:
    """Returns what each layer may import: the rows of the page's table, with "and what they may" written out."""
    section = page.partition("## Who may import whom")[2].partition("## ")[0]
    table: dict[str, frozenset[str]] = {}
    for names, may in re.findall(r"^\| (`.*?) \| (.*?) \|$", section, re.MULTILINE):
        reached = set(re.findall("`(.*?)`", may))
        if "and what they may" in may:
            reached |= {each for other in reached for each in table[other]}
        table.update(dict.fromkeys(re.findall("`(.*?)`", names), frozenset(reached)))
    return table


MAY_IMPORT = table_of(PAGE.read_text("utf-8"))
ENGINE_BY_NAME = {"tables/reader.py"}
"""Modules that name the engine's type in a signature."""


def layer_of(parts: Sequence[str]) -> str:
    """Returns the layer of a module, given by its path below the package."""
    module = "/".join(parts[:2])
    return module if module in MAY_IMPORT else parts[0]


# The sandbox's handle gives out the credentials that its server accepts; the server itself knows nothing of ours.
EXCEPTIONS = {
    ("sandbox/__init__.py", "criteo_audiences.session.auth", "ClientCredentials"),
    ("sandbox/__init__.py", "criteo_audiences.session.consent", "AuthorizationCode"),
    ("sandbox/__init__.py", "criteo_audiences.session.consent", "OnRotate"),
    ("sandbox/__init__.py", "criteo_audiences.session.consent", "RefreshToken"),
}
HTTP_CLIENT = {"session/transport.py", "session/network.py", "client.py"}


@frozen
class Import:
    """One name that a module imports from another."""

    path: str
    module: str
    name: str | None

    @property
    def importer(self) -> str:
        """The layer that imports: a module of a package where the table has a row for it."""
        parts = Path(self.path).with_suffix("").parts
        return PUBLIC_ROOT if parts[0] == "__init__" else layer_of(parts)

    @property
    def imported(self) -> str:
        """The layer that is imported: a module or package below the root, or the root for one of its names."""
        below = self.module.split(".")[1:] or ([self.name] if self.name in MAY_IMPORT else [PUBLIC_ROOT])
        return layer_of([*below, self.name or ""])

    def __str__(self) -> str:
        return f"{self.path} imports {self.name or 'all'} from {self.module}"


@functools.cache
def modules() -> dict[str, str]:
    """Returns the source of every module by its path below the package."""
    return {path.relative_to(PACKAGE).as_posix(): path.read_text("utf-8") for path in sorted(PACKAGE.rglob("*.py"))}


@functools.cache
def imports(path: str, source: str) -> tuple[Import, ...]:
    """Returns what a module imports anywhere in it, relative imports resolved; parses it once for all tests."""
    package, found = [ROOT, *Path(path).parts[:-1]], []
    for node in ast.walk(ast.parse(source, path)):
        if isinstance(node, ast.Import):
            found += [Import(path, alias.name, None) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*above, *([node.module] if node.module else [])])
            found += [Import(path, module, alias.name) for alias in node.names]
    return tuple(found)


def own_imports(sources: Mapping[str, str]) -> Iterator[Import]:
    """Yields the imports of our own modules, those that are excepted left out."""
    for path, source in sources.items():
        for each in imports(path, source):
            if each.module.split(".")[0] == ROOT and (path, each.module, each.name) not in EXCEPTIONS:
                yield each


def crossing(sources: Mapping[str, str]) -> list[str]:
    """Returns every import that the table does not allow, and every module that it does not list."""
    unlisted = [f"{path} is in no layer" for path in sources if Import(path, "", None).importer not in MAY_IMPORT]
    return unlisted + [
        str(each)
        for each in own_imports(sources)
        if each.importer != each.imported and each.imported not in MAY_IMPORT.get(each.importer, frozenset())
    ]


def circles(sources: Mapping[str, str]) -> list[str]:
    """Returns every group of modules that import each other, the package's own `__init__` left out."""
    names = {".".join([ROOT, *Path(path).with_suffix("").parts]).removesuffix(".__init__"): path for path in sources}
    needs: dict[str, set[str]] = {path: set() for path in sources}
    for each in own_imports(sources):
        submodule = f"{each.module}.{each.name}"
        needs[each.path].add(names.get(submodule) or names.get(each.module) or "")
    graph = {
        path: {other for other in needed if other not in {"", "__init__.py", path}} for path, needed in needs.items()
    }
    try:
        tuple(TopologicalSorter(graph).static_order())
    except CycleError as error:
        return [" -> ".join(reversed(error.args[1]))]
    return []


def private(sources: Mapping[str, str]) -> list[str]:
    """Returns every private name, or private module, that is imported from another package."""
    return [
        str(each)
        for each in own_imports(sources)
        if each.importer != each.imported
        and any(part.startswith("_") and not part.endswith("__") for part in [*each.module.split("."), each.name or ""])
    ]


def http_clients(sources: Mapping[str, str]) -> set[str]:
    """Returns the modules on the client's side that import aiohttp."""
    everything = (each for path, source in sources.items() for each in imports(path, source))
    return {each.path for each in everything if each.module.split(".")[0] == "aiohttp" and each.importer != "sandbox"}


def test_imports_run_downwards_only() -> None:
    """No module imports what its layer may not know."""
    assert crossing(modules()) == []


def test_no_module_needs_itself() -> None:
    """No import leads back to where it began, inside a package or between packages, for types alone included."""
    assert circles(modules()) == []


def test_private_names_stay_at_home() -> None:
    """No package imports a private name of another."""
    assert private(modules()) == []


def test_only_the_transport_speaks_http() -> None:
    """On the client's side aiohttp is imported by the transport, and by the client for the type of `http` alone."""
    assert http_clients(modules()) == HTTP_CLIENT


def test_only_the_engines_room_speaks_to_duckdb() -> None:
    """DuckDB is imported in `tables/engine`; elsewhere its type may be named."""
    speaking = {
        each.path
        for path, source in modules().items()
        for each in imports(path, source)
        if each.module.split(".")[0] == "duckdb"
    }
    assert {path for path in speaking if not path.startswith("tables/engine/")} == ENGINE_BY_NAME
    for path in ENGINE_BY_NAME:
        outside = [node for node in ast.parse(modules()[path]).body if not isinstance(node, ast.If)]
        assert "duckdb" not in {each.module for node in outside for each in imports(path, ast.unparse(node))}


def test_table_of_layers_is_read() -> None:
    """Every row of the page counts, and a short form is written out."""
    assert MAY_IMPORT["models"] == frozenset()
    assert MAY_IMPORT["batches"] == {"errors", "models"}
    assert {"journals", "tables", "meter"} <= MAY_IMPORT["contact_lists"]
    assert len(MAY_IMPORT) >= 28


def test_client_uses_http_for_a_type_only() -> None:
    """The client names `aiohttp.ClientSession` and nothing else of aiohttp."""
    tree = ast.parse(modules()["client.py"])
    used = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "aiohttp"
    }
    assert used == {"ClientSession"}


def test_sandbox_server_knows_nothing_of_ours() -> None:
    """The sandbox imports itself only, so that a mistake of the client cannot cancel itself out in it."""
    reached = {each.imported for each in own_imports(modules()) if each.importer == "sandbox"}
    assert reached == {"sandbox"}


def test_package_was_parsed() -> None:
    """The tests above look at the whole package."""
    parsed = modules()
    assert {"__init__.py", "client.py", "session/transport.py", "sandbox/server.py"} <= parsed.keys()
    assert len(list(own_imports(parsed))) > 100


@pytest.mark.parametrize(
    ("path", "source", "verdicts"),
    [
        ("models.py", "from criteo_audiences.errors import CriteoError", ["models.py imports CriteoError from criteo_audiences.errors"]),
        ("models.py", "import criteo_audiences.errors", ["models.py imports all from criteo_audiences.errors"]),
        ("models.py", "from criteo_audiences import errors", ["models.py imports errors from criteo_audiences"]),
        ("models.py", "from . import errors", ["models.py imports errors from criteo_audiences"]),
        ("models.py", "from .errors import CriteoError", ["models.py imports CriteoError from criteo_audiences.errors"]),
        ("session/auth.py", "from ..uploads import x", ["session/auth.py imports x from criteo_audiences.uploads"]),
        ("session/auth.py", "def f():\n    from criteo_audiences.client import x", ["session/auth.py imports x from criteo_audiences.client"]),
        ("session/auth.py", "from .codec import x\nfrom ..errors import y\nimport errors", []),
        ("uploads/x.py", "from criteo_audiences import CriteoClient", ["uploads/x.py imports CriteoClient from criteo_audiences"]),
        ("retail_media/api.py", "from criteo_audiences.marketing_solutions import x", ["retail_media/api.py imports x from criteo_audiences.marketing_solutions"]),
        ("cli/app.py", "from criteo_audiences import CriteoClient\nfrom criteo_audiences.sandbox import Sandbox", []),
        ("cli/app.py", "from criteo_audiences.client import CriteoClient", ["cli/app.py imports CriteoClient from criteo_audiences.client"]),
        ("sandbox/server.py", "from criteo_audiences.session.auth import ClientCredentials", ["sandbox/server.py imports ClientCredentials from criteo_audiences.session.auth"]),
        ("sandbox/__init__.py", "from criteo_audiences.session.auth import ClientCredentials", []),
        ("sandbox/__init__.py", "from criteo_audiences.session.auth import TokenCache", ["sandbox/__init__.py imports TokenCache from criteo_audiences.session.auth"]),
        ("integrations/partitions.py", "from criteo_audiences.client import CriteoClient", []),
        ("integrations/redis.py", "from criteo_audiences.client import x", ["integrations/redis.py imports x from criteo_audiences.client"]),
        ("client.py", "from criteo_audiences.integrations.partitions import x", ["client.py imports x from criteo_audiences.integrations.partitions"]),
        ("client.py", "from criteo_audiences.integrations import partitions", ["client.py imports partitions from criteo_audiences.integrations"]),
        ("newcomer/x.py", "", ["newcomer/x.py is in no layer"]),
        ("newcomer.py", "from criteo_audiences.models import x", ["newcomer.py is in no layer", "newcomer.py imports x from criteo_audiences.models"]),
        ("session/auth.py", "from criteo_audiences.newcomer import x", ["session/auth.py imports x from criteo_audiences.newcomer"]),
    ],
)  # fmt: skip
def test_table_is_enforced(path: str, source: str, verdicts: list[str]) -> None:
    """An import that the table does not allow is found however it is spelled, and so is a package it does not list."""
    assert crossing({path: source}) == verdicts


def test_private_imports_are_found() -> None:
    """A private name, or a private module, is found where it crosses packages and not at home."""
    sources = {
        "uploads/x.py": "from criteo_audiences.session.auth import _secret\nfrom criteo_audiences.session._inner import y",
        "session/x.py": "from criteo_audiences.session.auth import _secret",
        "client.py": "from criteo_audiences.version import __version__",
    }
    assert private(sources) == [
        "uploads/x.py imports _secret from criteo_audiences.session.auth",
        "uploads/x.py imports y from criteo_audiences.session._inner",
    ]


@pytest.mark.parametrize(
    ("sources", "found"),
    [
        ({"uploads/a.py": "from criteo_audiences.uploads.b import x", "uploads/b.py": "from criteo_audiences.uploads import a"}, 1),
        ({"a/__init__.py": "from criteo_audiences.a.b import x", "a/b.py": "def f():\n    from criteo_audiences.a import y"}, 1),
        ({"a.py": "if TYPE_CHECKING:\n    from criteo_audiences.b import x", "b.py": "from criteo_audiences.a import y"}, 1),
        ({"a/__init__.py": "from criteo_audiences.a.b import x", "a/b.py": "from criteo_audiences.a.c import y", "a/c.py": ""}, 0),
    ],
)  # fmt: skip
def test_circles_are_found(sources: dict[str, str], found: int) -> None:
    """A circle of imports is found inside and between packages, whether it is for types or runs later."""
    assert len(circles(sources)) == found


def test_http_imports_are_found() -> None:
    """An import of aiohttp is found in any spelling, also in a function."""
    sources = {
        "a.py": "import aiohttp.web",
        "b.py": "def f():\n    from aiohttp import x",
        "c.py": "import aiohttp_extra",
        "sandbox/d.py": "import aiohttp",
    }
    assert http_clients(sources) == {"a.py", "b.py"}
