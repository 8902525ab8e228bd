"""Derives blocking methods from the methods of the async classes: same arguments, same docstring, no `await`."""

import inspect
import os
import threading
from collections.abc import AsyncIterable, AsyncIterator, Callable, Collection, Coroutine, Iterable, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager, closing, contextmanager
from functools import partial, wraps
from pathlib import Path
from typing import Any, Concatenate, Final, Generic, ParamSpec, Protocol, TypeVar, get_args, get_origin, overload

from criteo_audiences import uploads
from criteo_audiences.blocking.portal import Caller, Portal
from criteo_audiences.mirrors import MirrorReport
from criteo_audiences.models import IdentifierType
from criteo_audiences.results import Page
from criteo_audiences.session import endpoints
from criteo_audiences.uploads import BatchResult, Lookalike, NotASource, Source, UploadReport
from criteo_audiences.uploads.lane import refuse_lookalikes
from criteo_audiences.uploads.options import opt_outs_of
from criteo_audiences.validation import require_plain_function

P = ParamSpec("P")
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
F = TypeVar("F", bound=Callable[..., Any])


class Twin:
    """The blocking twin of an object of an async class.

    Args:
        portal: runs its coroutines.
        twin: the async object.
    """

    def __init__(self, portal: Portal, twin: Any) -> None:
        self._portal = portal
        self._twin = twin


class Service(Twin):
    """The base of the services' blocking twins."""

    @property
    def identifier_types(self) -> frozenset[IdentifierType]:
        """The kinds of identifier that its contact lists take."""
        return frozenset(self._twin.identifier_types)


class Search(Twin, Generic[T]):
    """A search: iterate over it with `for` to get every item, page by page, or get a single page with `page`.

    Nothing is sent before the first item is requested; iterating again searches again.
    """

    def page(self, limit: int | None = None, offset: int = 0) -> Page[T]:
        """Returns one page.

        Args:
            limit: items on it, at most the service's page maximum, which is also the default.
            offset: position of the first item, from 0.

        Raises:
            ConfigurationError: when a bound is exceeded; nothing was sent.
            CriteoError: when the call failed.
        """
        page: Page[T] = self._portal.call(partial(self._twin.page, limit, offset))
        return page

    def __iter__(self) -> Iterator[T]:
        """Yields every item once, though pages shift when segments come and go between two calls.

        Items without an identity cannot be compared, so each of them is yielded.
        """
        return self._portal.iterate(self._twin)


class UploadStream(Twin):
    """A running upload: iterate over it for a `BatchResult` as each batch comes back.

    Attributes:
        upload_id: names the upload in events and logs.
    """

    def __init__(self, portal: Portal, twin: uploads.UploadStream, caller: Caller, over: threading.Event) -> None:
        super().__init__(portal, twin)
        self._caller = caller
        self._over = over
        self.upload_id = twin.upload_id

    @property
    def report(self) -> UploadReport:
        """The report so far; complete once the `with` block is left."""
        report: UploadReport = self._read("report")
        return report

    @property
    def journal(self) -> Path | None:
        """The journal's file; `None` for an upload without a journal."""
        path: Path | None = self._read("journal")
        return path

    @property
    def resumes(self) -> bool:
        """Whether this run continues an unfinished upload."""
        return bool(self._read("resumes"))

    @property
    def set_aside(self) -> str | None:
        """Why this run does not continue the unfinished upload in the journal; `None` if it does or there is none."""
        reason: str | None = self._read("set_aside")
        return reason

    @property
    def resumable(self) -> bool:
        """Whether the same upload, started again now, would send only the missing batches."""
        return bool(self._read("resumable"))

    def __iter__(self) -> Iterator[BatchResult]:
        return self

    def __next__(self) -> BatchResult:
        result: BatchResult | None = self._portal.call(partial(anext, self._twin, None), self._caller)
        if result is None:
            raise StopIteration
        return result

    def _read(self, name: str) -> Any:
        """Reads a property: in the event loop while the upload runs, so that nothing changes meanwhile."""
        read = partial(getattr, self._twin, name)
        return read() if self._over.is_set() else self._portal.call(read, self._caller)


class Method(Protocol[P, T_co]):
    """A method, for type checkers: bound to an object, it has one parameter less."""

    @overload
    def __get__(self, instance: None, owner: type, /) -> Callable[Concatenate[Any, P], T_co]: ...
    @overload
    def __get__(self, instance: object, owner: type, /) -> Callable[P, T_co]: ...


@overload
def blocking(method: Callable[Concatenate[Any, P], Coroutine[Any, Any, T]], /) -> Method[P, T]: ...
@overload
def blocking(method: Callable[Concatenate[Any, P], endpoints.Search[T]], /) -> Method[P, Search[T]]: ...
@overload
def blocking(
    method: Callable[Concatenate[Any, P], AbstractAsyncContextManager[uploads.UploadStream]], /
) -> Method[P, AbstractContextManager[UploadStream]]: ...
@overload
def blocking(method: Callable[Concatenate[Any, P], AsyncIterator[T]], /) -> Method[P, Iterator[T]]: ...
def blocking(method: Callable[..., Any], /) -> Any:
    """Returns the blocking twin of an async class's method.

    The twin is generated, so that the two cannot differ. It returns the result of a coroutine; an async search, async
    iterator or `async with` becomes a blocking search, iterator or `with`.
    """
    signature = inspect.signature(method)

    @wraps(method)
    def twin(self: Twin, *args: Any, **options: Any) -> Any:
        caller = Caller()
        if "source" in signature.parameters:
            signature.bind(self, *args, **options)  # raises for arguments that do not fit, as the method would
            args, options = _for_thread(caller, args, options)
        else:
            args, options = tuple(map(_settled, args)), {name: _settled(value) for name, value in options.items()}
        made = partial(method, self._twin, *args, **options)
        if inspect.iscoroutinefunction(method):
            with closing(caller):
                return self._portal.call(made, caller)
        return _wrapped(self._portal, made(), caller)

    twin.__doc__ = inspect.cleandoc(method.__doc__ or "").replace("`async ", "`")
    twin.__signature__ = signature.replace(return_annotation=_of_this_side(signature.return_annotation))  # type: ignore[attr-defined]
    return twin


class SourceMethod(Protocol[P, T_co]):
    """A method that takes a source, typed so that type checkers refuse anything that is not a source."""

    @overload
    def __call__(self, segment_id: str, source: Lookalike, *args: P.args, **options: P.kwargs) -> NotASource: ...
    @overload
    def __call__(self, segment_id: str, source: Source, *args: P.args, **options: P.kwargs) -> T_co: ...


@overload
def blocking_source(
    method: Callable[Concatenate[Any, str, Source, P], Coroutine[Any, Any, UploadReport]], /
) -> SourceMethod[P, UploadReport]: ...
@overload
def blocking_source(
    method: Callable[Concatenate[Any, str, Source, P], Coroutine[Any, Any, MirrorReport]], /
) -> SourceMethod[P, MirrorReport]: ...
@overload
def blocking_source(
    method: Callable[Concatenate[Any, str, Source, P], AbstractAsyncContextManager[uploads.UploadStream]], /
) -> SourceMethod[P, AbstractContextManager[UploadStream]]: ...
def blocking_source(method: Callable[..., Any], /) -> Any:
    """Works like `blocking`, for a method with overloads: with `blocking`, mypy would see the first overload only."""
    return blocking(method)


def like(method: object) -> Callable[[F], F]:
    """Gives a method the docstring of its async twin."""

    def documented(twin: F) -> F:
        twin.__doc__ = inspect.getdoc(method)
        return twin

    return documented


def _wrapped(portal: Portal, value: Any, caller: Caller) -> Any:
    if isinstance(value, endpoints.Search):
        return Search(portal, value)
    if isinstance(value, AbstractAsyncContextManager):
        return _streamed(portal, value, caller)
    return portal.iterate(value)


@contextmanager
def _streamed(
    portal: Portal, upload: AbstractAsyncContextManager[uploads.UploadStream], caller: Caller
) -> Iterator[UploadStream]:
    with closing(caller):
        over = threading.Event()
        try:
            yield UploadStream(portal, portal.enter(upload, caller), caller, over)
        except BaseException as error:
            try:
                is_handled = portal.leave(upload, error, caller, interrupts=_interrupts(error))
            except BaseException as another:
                # Ctrl-C may have come before it was left.
                portal.leave(upload, another, caller, interrupts=_interrupts(another))
                raise
            if not is_handled:
                raise
        else:
            portal.leave(upload, None, caller)
        finally:
            over.set()


def _interrupts(error: BaseException | None) -> int:
    """Counts the interrupts in an error: one that came while another was handled has that one as its context."""
    return 0 if error is None or isinstance(error, Exception) else 1 + _interrupts(error.__context__)


def _for_thread(
    caller: Caller, args: tuple[Any, ...], options: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Replaces arguments so that the caller's thread reads the source and the opt-outs, and runs `on_progress`."""
    options = dict(options)
    if "source" in options:
        options["source"] = _source_for(caller, options["source"])
    else:
        args = (args[0], _source_for(caller, args[1]), *args[2:])
    if "suppress" in options:
        options["suppress"] = opt_outs_of(options["suppress"])
    if (on_progress := options.get("on_progress")) is not None:
        require_plain_function(on_progress, "on_progress", "a Progress, as show does of `with bar() as show:`")
        options["on_progress"] = caller.calls_back(on_progress)
    return args, options


def _settled(value: Any) -> Any:
    """Returns a lazy iterable (a generator, a query set) as a tuple, read in the caller's thread."""
    is_lazy = isinstance(value, Iterable) and not isinstance(value, Collection) and not hasattr(value, "read")
    return tuple(value) if is_lazy else value


def _source_for(caller: Caller, source: Any) -> Any:
    """Returns the source in a form that the event loop may read; data in memory, files and tables stay unchanged."""
    is_known = isinstance(source, list | tuple | os.PathLike | AsyncIterable) or hasattr(source, "__arrow_c_stream__")
    if is_known or not isinstance(source, Iterable):
        return source
    refuse_lookalikes(source, "a source")
    return caller.values(source)


_SIDES: Final[dict[Any, Any]] = {endpoints.Search: Search, AsyncIterator: Iterator}


def _of_this_side(annotation: Any) -> Any:
    """Returns the blocking counterpart of a method's return type, for its signature at run time."""
    if get_origin(annotation) is AbstractAsyncContextManager:
        return AbstractContextManager[UploadStream]
    side = _SIDES.get(get_origin(annotation))
    return annotation if side is None else side[get_args(annotation)]


__all__ = ["Method", "Search", "Service", "Twin", "UploadStream", "blocking", "blocking_source", "like"]
