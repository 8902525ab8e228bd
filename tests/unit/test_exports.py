import ast
import importlib.util
import inspect
import pkgutil
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any, get_args, get_origin, get_type_hints

import pytest

import criteo_audiences
from criteo_audiences import CriteoError, errors


def packages() -> list[str]:
    """Returns the names of the package and of the packages below it."""
    below = pkgutil.walk_packages(criteo_audiences.__path__, "criteo_audiences.")
    return ["criteo_audiences", *(found.name for found in below if found.ispkg)]


def promised() -> Iterator[tuple[str, Any]]:
    """Yields every promised name with its object."""
    for name in packages():
        module = importlib.import_module(name)
        yield from ((f"{name}.{each}", getattr(module, each, None)) for each in getattr(module, "__all__", ()))


PROMISED = dict(promised())


@pytest.mark.parametrize("package", packages())
def test_promised_names_exist(package: str) -> None:
    """Every package lists its public names, once each, and every one of them exists."""
    module = importlib.import_module(package)
    assert len(set(module.__all__)) == len(module.__all__)
    assert [name for name in module.__all__ if not hasattr(module, name)] == []


def public_names(module: ModuleType) -> set[str]:
    """Returns the public names of a module, other modules left out."""
    return {name for name, value in vars(module).items() if not name.startswith("_") and not inspect.ismodule(value)}


def test_root_promises_all_that_it_defines() -> None:
    """What the package's root has in public is promised, and nothing else but the version and what checks types."""
    assert set(criteo_audiences.__all__) <= {name.removeprefix("criteo_audiences.") for name in PROMISED}
    assert public_names(criteo_audiences) - {"TYPE_CHECKING"} == set(criteo_audiences.__all__) - {"__version__"}


def returned(annotation: Any) -> Iterator[type]:
    """Yields the classes of ours in what a method returns."""
    for found in (annotation, get_origin(annotation)):
        if isinstance(found, type) and found.__module__.startswith("criteo_audiences"):
            yield found
    for part in get_args(annotation):
        yield from returned(part)


@pytest.mark.parametrize("service", ["marketing_solutions", "retail_media", "commerce_grid"])
def test_what_the_methods_of_a_service_return_can_be_named(service: str) -> None:
    """Each class of it is promised by the root or by the service's package."""
    package = importlib.import_module(f"criteo_audiences.{service}")
    nameable = [getattr(module, name) for module in (criteo_audiences, package) for name in module.__all__]
    (methods,) = (
        value for value in vars(package).values() if getattr(value, "__name__", "").lower() == service.replace("_", "")
    )
    found = {
        each
        for name, method in inspect.getmembers(methods, inspect.isfunction)
        if not name.startswith("_")
        for each in returned(get_type_hints(method)["return"])
    }
    assert len(found) >= 9
    assert found - set(filter(inspect.isclass, nameable)) == set()


@pytest.mark.parametrize(
    "holder", ["Progress", "UploadReport", "BatchResult", "MirrorReport", "ErasureReceipt", "Segment"]
)
def test_what_the_attributes_of_a_result_hold_can_be_named(holder: str) -> None:
    """So are the classes of its properties."""
    kind = getattr(criteo_audiences, holder)
    members = [value.fget for _, value in inspect.getmembers(kind, lambda value: isinstance(value, property))]
    hints = [*get_type_hints(kind).values(), *(get_type_hints(each)["return"] for each in members)]
    found = {each.__name__ for hint in hints for each in returned(hint)}
    assert found <= set(criteo_audiences.__all__)


def test_root_has_no_logic() -> None:
    """The package's root is a docstring, imports, `__all__`, and the names that are imported on first use."""
    docstring, *rest = ast.parse(Path(criteo_audiences.__file__).read_text("utf-8")).body
    others = [node for node in rest if not isinstance(node, (ast.Import, ast.ImportFrom))]
    assert isinstance(docstring, ast.Expr)
    assert [type(node) for node in others] == [ast.If, ast.Assign]
    assert ast.unparse(others[0].test) == "TYPE_CHECKING"
    assert all(isinstance(node, ast.ImportFrom) for node in others[0].body)
    assert [getattr(node, "name", "table") for node in others[0].orelse] == ["table", "__getattr__", "__dir__"]
    assert ast.unparse(others[1].targets[0]) == "__all__"


def test_names_on_first_use_are_what_type_checkers_see() -> None:
    """A name that is imported on first use is the one that its import for type checkers names."""
    (checking,) = (
        node for node in ast.parse(Path(criteo_audiences.__file__).read_text("utf-8")).body if isinstance(node, ast.If)
    )
    seen = [(node.module, alias.name) for node in checking.body for alias in node.names]
    assert len(seen) >= 7
    for module, name in seen:
        assert getattr(criteo_audiences, name) is getattr(importlib.import_module(module), name)


def test_misspelled_names_are_refused() -> None:
    """A name that the package does not have is an `AttributeError`, and an `ImportError` where it is imported."""
    with pytest.raises(AttributeError, match="module 'criteo_audiences' has no attribute 'CriteoClinet'"):
        criteo_audiences.CriteoClinet  # noqa: B018 - asking is the test
    with pytest.raises(ImportError, match="cannot import name 'Tabel'"):
        exec("from criteo_audiences import Tabel")  # noqa: S102 - asking is the test


def test_whole_exception_tree_is_promised() -> None:
    """Every exception of the tree can be imported from the root."""
    tree = {name for name, kind in vars(errors).items() if inspect.isclass(kind) and issubclass(kind, CriteoError)}
    assert tree <= set(criteo_audiences.__all__)


def exceptions() -> dict[str, type[BaseException]]:
    """Returns every public exception class that any module of the client's side defines."""
    names = [found.name for found in pkgutil.walk_packages(criteo_audiences.__path__, "criteo_audiences.")]
    left_out = {"sandbox", "cli", "__main__"}
    sparks = () if importlib.util.find_spec("pyspark") else ("criteo_audiences.integrations.spark",)
    modules = [
        importlib.import_module(name)
        for name in names
        if name.split(".")[1] not in left_out and not name.startswith(sparks)
    ]
    values = [pair for module in modules for pair in vars(module).items()]
    kinds = {name: kind for name, kind in values if inspect.isclass(kind) and issubclass(kind, BaseException)}
    ours = {name: kind for name, kind in kinds.items() if kind.__module__.startswith("criteo_audiences")}
    return {name: kind for name, kind in ours.items() if not name.startswith("_")}  # those leave no module


def test_every_exception_hangs_under_the_root() -> None:
    """Whatever this library raises on purpose is a `CriteoError`."""
    found = exceptions()
    assert {name for name, kind in found.items() if not issubclass(kind, CriteoError)} == set()
    assert len(found) > 15


def described(name: str, value: Any) -> Iterator[tuple[str, str | None]]:
    """Yields a public class or function, and a class's own public methods and properties, with their docstrings."""
    if inspect.isfunction(value):
        yield name, value.__doc__
    if not inspect.isclass(value) or not value.__module__.startswith("criteo_audiences"):
        return
    yield name, vars(value).get("__doc__")
    for member, inner in vars(value).items():
        function = inner.__func__ if isinstance(inner, (classmethod, staticmethod)) else inner
        if isinstance(function, cached_property):
            function = function.func
        if not member.startswith("_") and (inspect.isfunction(function) or isinstance(function, property)):
            yield f"{name}.{member}", function.__doc__


@pytest.mark.parametrize("name", PROMISED)
def test_promised_names_are_documented(name: str) -> None:
    """Every promised class and function, and every public method and property, has a docstring of its own."""
    missing = [each for each, docstring in described(name, PROMISED[name]) if not (docstring or "").strip()]
    assert missing == []


def test_documentation_was_looked_for() -> None:
    """The test above finds what lacks a docstring."""

    class Sample:
        """Documented."""

        def documented(self) -> None:
            """Documented."""

        def bare(self) -> None: ...

        @property
        def bare_property(self) -> None: ...

        @classmethod
        def bare_class_method(cls) -> None: ...

        @cached_property
        def bare_cached_property(self) -> None: ...

    Sample.__module__ = "criteo_audiences.sample"
    bare = [name for name, docstring in described("S", Sample) if not docstring]
    assert bare == ["S.bare", "S.bare_property", "S.bare_class_method", "S.bare_cached_property"]
    assert sum(1 for name, value in PROMISED.items() for _ in described(name, value)) > 150
