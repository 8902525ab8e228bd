"""Lets an error leave a task group as it is."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def first_error() -> Iterator[None]:
    """Raises the first error of the task group inside instead of its exception group: the others are its echoes.

    One group is taken off and no more, so that a group that the caller's own code raised comes out whole.
    """
    try:
        yield
    except BaseExceptionGroup as failures:
        error = failures.exceptions[0]
        context = error.__context__
        try:
            raise error
        finally:
            error.__context__ = context  # the caller's own, where `raise` has put the group
