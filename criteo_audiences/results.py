"""The result of a bulk call, in which some items may have failed though the call answered 200."""

from typing import Generic, TypeVar

from attrs import frozen

from criteo_audiences.errors import PartialFailureError
from criteo_audiences.models import Problem

T = TypeVar("T")


@frozen(kw_only=True)
class BulkResult(Generic[T]):
    """What a bulk call did, item by item: a 200 is not a success.

    Attributes:
        items: the items that succeeded, in Criteo's order.
        errors: problems; `problem.index` is the position of the failed item in the request.
        warnings: the same for warnings.
    """

    items: tuple[T, ...] = ()
    errors: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()

    def one(self) -> T:
        """Returns the only item.

        Raises:
            PartialFailureError: when there is not exactly one item, or a problem stands beside it.
        """
        if len(self.items) == 1 and not self.errors:
            return self.items[0]
        raise PartialFailureError(
            (*self.errors, *self.warnings), what=f"One result was expected, Criteo returned {len(self.items)}"
        )
