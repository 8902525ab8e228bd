"""Results of bulk calls and searches, and rules for the segments and audiences to create or update."""

from collections.abc import Mapping
from types import NoneType
from typing import Any, Generic, TypeVar

import attrs
from attrs import field, frozen

from criteo_audiences.errors import ConfigurationError, PartialFailureError
from criteo_audiences.models import Problem, Unset
from criteo_audiences.validation import require_change, require_kind, require_text

T = TypeVar("T")


@frozen(kw_only=True)
class ItemFailure:
    """An item of a bulk call that failed.

    Attributes:
        index: its position in the request, from 0.
        item: the requested item at that position: a model, or an id; `None` when the request had no such position.
        problems: the reasons, in Criteo's words.
    """

    index: int
    item: Any = field(default=None, repr=False)
    problems: tuple[Problem, ...] = ()

    @property
    def codes(self) -> tuple[str, ...]:
        """The codes of its problems, in order."""
        return tuple(problem.code for problem in self.problems if problem.code)


@frozen(kw_only=True)
class BulkResult(Generic[T]):
    """The result of a bulk call, item by item: a 200 is not a success.

    An item failed if an entry of `errors` or `warnings` names it (`@data/N`) and is not a deprecation: Criteo's guides
    for Retail Media and Commerce Grid put failed items into the warnings. An error that names no item concerns the
    whole call.

    Attributes:
        items: the items that succeeded, in Criteo's order.
        errors: the answer's problems, as Criteo listed them.
        warnings: the answer's warnings, as Criteo listed them.
        requested: the requested items, in the order of the request: models, or ids.
    """

    items: tuple[T, ...] = ()
    errors: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()
    requested: tuple[Any, ...] = field(default=(), repr=False)

    @property
    def failures(self) -> tuple[ItemFailure, ...]:
        """The items that failed, each once, in the order of the request."""
        blamed: dict[int, list[Problem]] = {}
        for problem in (*self.errors, *self.warnings):
            if problem.index is None or not problem.is_failure:
                continue
            known = blamed.setdefault(problem.index, [])
            if problem not in known:
                known.append(problem)
        return tuple(
            ItemFailure(index=index, item=self._item(index), problems=tuple(blamed[index])) for index in sorted(blamed)
        )

    @property
    def call_errors(self) -> tuple[Problem, ...]:
        """The errors that name no item: the call failed as a whole."""
        return tuple(problem for problem in self.errors if problem.index is None and problem.is_failure)

    @property
    def asked(self) -> int:
        """How many items were requested."""
        return len(self.requested)

    @property
    def done(self) -> int:
        """How many items are known to be done: those that Criteo returned."""
        return len(self.items)

    @property
    def unaccounted(self) -> int:
        """How many items the answer does not mention: they may or may not be done."""
        return max(0, self.asked - self.done - len(self.failures))

    @property
    def ok(self) -> bool:
        """Whether every item is known to be done and nothing failed."""
        return not (self.failures or self.call_errors or self.unaccounted)

    def raise_for_failures(self) -> None:
        """Raises an error unless every item is done.

        Raises:
            PartialFailureError: when an item failed, the call failed as a whole, or the answer does not mention an
                item; with the problems, and with `outcome_unknown` if the answer does not mention an item.
        """
        if not self.ok:
            raise self._failure(self._shortfall())

    def one(self) -> T:
        """Returns the only item.

        Raises:
            PartialFailureError: when there is not exactly one item, or something failed.
        """
        if len(self.items) == 1 and not self.failures and not self.call_errors:
            return self.items[0]
        raise self._failure(f"One result was expected, Criteo returned {len(self.items)}")

    def _item(self, index: int) -> Any:
        return self.requested[index] if index < len(self.requested) else None

    def _shortfall(self) -> str:
        of = f" of {self.asked:,} items" if self.asked else ""
        said = [f"{len(self.failures):,}{of or ' items'} failed"] if self.failures else []
        if self.call_errors:
            said.append("the call failed as a whole")
        if self.unaccounted:
            said.append(f"{self.unaccounted:,}{of} may or may not be done, since Criteo's answer does not name them")
        sentence = "; ".join(said)
        return sentence[:1].upper() + sentence[1:]

    def _failure(self, what: str) -> PartialFailureError:
        blamed = [problem for failure in self.failures for problem in failure.problems]
        told = [*self.call_errors, *blamed]
        error = PartialFailureError(
            (*told, *(problem for problem in (*self.errors, *self.warnings) if problem not in told)),
            what=what,
            receipt=self.items[0] if len(self.items) == 1 else None,
        )
        error.outcome_unknown = self.unaccounted > 0
        return error


@frozen(kw_only=True)
class Page(Generic[T]):
    """One page of a search.

    Attributes:
        items: the items on the page.
        total_items: how many items match in all, if the server says so.
        limit: the most items on a page.
        offset: position of the first item.
        places: how many positions of the search the page covers, including positions that Criteo left empty (`null`);
            `None` for as many as there are items.
        warnings: Criteo's warnings.
    """

    items: tuple[T, ...] = ()
    total_items: int | None = None
    limit: int | None = None
    offset: int | None = None
    places: int | None = None
    warnings: tuple[Problem, ...] = ()


def require_naming(name: object, description: object) -> None:
    """Refuses an empty name, and a description that is not text; an update may leave out either.

    Raises:
        ConfigurationError: naming the field.
    """
    if not isinstance(name, Unset):
        require_text(name, "name")
    if not isinstance(description, (str, Unset, NoneType)):
        raise ConfigurationError(f"description must be a str, not {type(description).__name__}.")


def require_one_of(model: object, kinds: Mapping[str, type]) -> None:
    """Refuses a model that does not have exactly one of the fields in `kinds`, with a value of the field's class.

    Raises:
        ConfigurationError: naming the fields, and which of them were given.
    """
    given = _given(model, kinds)
    if len(given) != 1:
        found = " and ".join(given) if given else "none"
        raise ConfigurationError(f"Exactly one of {', '.join(kinds)} must be given; found {found}.")


def require_changes_to_one(model: object, kinds: Mapping[str, type[attrs.AttrsInstance]]) -> None:
    """Refuses an update with changes to several settings, or with settings that change nothing.

    Raises:
        ConfigurationError: naming the fields, and which of them were given.
    """
    given = _given(model, kinds)
    if len(given) > 1:
        raise ConfigurationError(f"At most one of {', '.join(kinds)} may be given; found {' and '.join(given)}.")
    for name in given:
        require_change(getattr(model, name), name)


def _given(model: object, kinds: Mapping[str, type]) -> list[str]:
    values = {name: getattr(model, name) for name in kinds}
    given = [name for name, value in values.items() if not isinstance(value, (Unset, NoneType))]
    for name in given:
        require_kind(values[name], kinds[name], name)
    return given
