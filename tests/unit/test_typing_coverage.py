"""The types of the whole public API are checked: `tests/typing` says what each method gives."""

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path

import pytest

from criteo_audiences import CriteoClient
from criteo_audiences.commerce_grid import CommerceGrid
from criteo_audiences.marketing_solutions import MarketingSolutions
from criteo_audiences.retail_media import RetailMedia

TYPING = Path(__file__).parents[1] / "typing"

Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions() -> Iterator[Function]:
    """Yields the functions that only type checkers read."""
    for path in TYPING.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, Function):
                yield node


def owners(function: Function, kind: type) -> set[str]:
    """Returns the names that mean an object of the class: the class's own, and parameters annotated with it."""
    annotated = [each for each in function.args.args if isinstance(each.annotation, ast.Name)]
    return {kind.__name__, *(each.arg for each in annotated if each.annotation.id == kind.__name__)}


def asserted(function: Function) -> Iterator[ast.Attribute]:
    """Yields what is taken from a name within the first argument of an `assert_type`."""
    for node in ast.walk(function):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "assert_type":
            for part in ast.walk(node.args[0]):
                if isinstance(part, ast.Attribute) and isinstance(part.value, ast.Name):
                    yield part


def checked(kind: type) -> set[str]:
    """Returns the members of a class whose type is asserted somewhere."""
    return {
        part.attr for function in functions() for part in asserted(function) if part.value.id in owners(function, kind)
    }


def public(kind: type) -> set[str]:
    """Returns the public methods and properties of a class, inherited ones included."""
    return {name for name, _ in inspect.getmembers_static(kind) if not name.startswith("_")}


@pytest.mark.parametrize("kind", [CriteoClient, MarketingSolutions, RetailMedia, CommerceGrid])
def test_every_method_is_checked(kind: type) -> None:
    """What the client and a service offer is asserted to have its exact type."""
    assert public(kind) - checked(kind) == set()


def test_there_is_something_to_check() -> None:
    """The classes are really read: a rule over nothing would always hold."""
    assert {"create_audience_segments", "list_advertisers", "stream_contact_list"} <= public(MarketingSolutions)
    assert {"authenticate", "from_env", "rate_limit", "retail_media"} <= public(CriteoClient)
