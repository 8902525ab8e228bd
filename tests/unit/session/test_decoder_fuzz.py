"""Whatever a server answers, it is read or refused by an error of ours, soon and without showing what it held."""

import json
import time
import warnings
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any, Final

import attrs
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from criteo_audiences import models
from criteo_audiences.commerce_grid import segment_api as commerce_grid
from criteo_audiences.errors import CriteoError
from criteo_audiences.marketing_solutions import audience_api as marketing_audiences
from criteo_audiences.marketing_solutions import models as marketing_solutions
from criteo_audiences.retail_media import audience_models as retail_audiences
from criteo_audiences.retail_media import models as retail_media
from criteo_audiences.session.auth import read_token
from criteo_audiences.session.codec import read_bulk, read_nothing, read_one, read_page, structure
from criteo_audiences.session.protocol import DeprecationWatch, Request, Response, decipher, notices_of, read_rate_limit
from tests.kit import nothing_else_measured

LEAK: Final = "john.doe@example.com"
MODULES: Final = (
    models,
    marketing_solutions,
    marketing_audiences,
    retail_media,
    retail_audiences,
    commerce_grid,
)


def _answers(module: ModuleType) -> list[type]:
    """Returns the models of a module that Criteo answers with: every field of theirs may be missing."""
    own = [kind for kind in vars(module).values() if getattr(kind, "__module__", None) == module.__name__]
    found = [kind for kind in own if isinstance(kind, type) and attrs.has(kind)]
    return [kind for kind in found if all(field.default in {None, ()} for field in attrs.fields(kind))]


def _wire_name(field: "attrs.Attribute[Any]") -> str:
    first, *others = field.name.split("_")
    return field.metadata.get("wire") or first + "".join(map(str.capitalize, others))


KINDS: Final = sorted({kind for module in MODULES for kind in _answers(module)}, key=lambda kind: kind.__qualname__)
FIELDS: Final = sorted({_wire_name(field) for kind in KINDS for field in attrs.fields(kind)})
ENVELOPE: Final = ("data", "attributes", "id", "errors", "warnings", "meta", "metadata", "totalItems", "error", "code")
NODE: Final = ("and", "or", "not", "audienceSegmentId")

scalars: Any = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([2**63, -(2**64), 10**400, 1e300, "9" * 5_000, "0001-01-01T00:00:00+23:59", "\ud800", LEAK])
    | st.floats()
    | st.text(max_size=4)
    | st.datetimes().map(str)
)
keys: Any = st.sampled_from([*ENVELOPE, *NODE, *FIELDS, *map(str.upper, FIELDS), LEAK])
documents: Any = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=5),
    max_leaves=20,
)
entities: Any = documents | st.fixed_dictionaries(
    {}, optional={"id": scalars, "attributes": st.dictionaries(st.sampled_from(FIELDS), documents, max_size=8)}
)
envelopes: Any = st.fixed_dictionaries(
    {},
    optional={
        "data": entities | st.lists(entities, max_size=3),
        "errors": documents,
        "warnings": documents,
        "meta": documents,
        "access_token": scalars,
        "expires_in": scalars,
    },
)


def as_read(read: Callable[..., Any], *arguments: Any) -> Any:
    """Returns what is read; an error of ours shows nothing of the answer, and any other comes out."""
    try:
        return read(*arguments)
    except CriteoError as error:
        assert LEAK not in f"{error}{error!r}{vars(error).get('paths')}"  # noqa: PT017 - either outcome is right
        assert error.__suppress_context__ or error.__context__ is None  # noqa: PT017
        return None


def read_whole(response: Response) -> None:
    """Reads an answer in every way that an answer is read, as every model there is."""
    watch = DeprecationWatch("2026-07")
    watch.look_at_response(response)
    read_rate_limit(response)
    document = as_read(decipher, response)
    watch.look_at_endings(notices_of(document, Request(method="GET", path="/things")).endings)
    as_read(read_nothing, document)
    as_read(read_token, document)
    for kind in KINDS:
        for read in (read_one, read_bulk, read_page, structure):
            as_read(read, document, kind)


@pytest.fixture(autouse=True)
def _quiet() -> Any:
    """Deprecations that an answer announces are not what is tested here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield


def test_all_services_are_read() -> None:
    """The models that are tried are those of all services."""
    names = {kind.__module__.split(".")[1] for kind in KINDS}
    assert names == {"models", "marketing_solutions", "retail_media", "commerce_grid"}
    assert len(KINDS) > 25


@given(document=envelopes | documents, status=st.sampled_from([200, 200, 200, 201, 400, 429, 500]))
def test_any_document_is_read_or_refused(document: Any, status: int) -> None:
    """Any JSON, with `NaN`, lone surrogates and endless numbers as Python writes them, is read or refused."""
    read_whole(Response(status=status, body=json.dumps(document).encode()))


@given(document=envelopes | documents)
def test_any_value_is_read_or_refused(document: Any) -> None:
    """What another decoder than ours might let through is read or refused as well."""
    for kind in KINDS:
        for read in (read_one, read_bulk, read_page, structure):
            as_read(read, document, kind)


@given(body=st.binary(max_size=300), status=st.integers(100, 599), content_type=st.text(max_size=20))
@example(body=b"", status=200, content_type="text/html")
@example(body=b'{"data": {"id": 1, "id": [2]}, "data": {"id": {}}}', status=200, content_type="")
@example(body='{"data": {"id": "1"}}'.encode("utf-16"), status=200, content_type="application/json; charset=utf-16")
@example(body=b'{"data": [{"id": "\\ud83d"}]}', status=200, content_type="application/json")
@example(body=b'{"data": [{"id": NaN}]}', status=201, content_type="application/xml")
def test_any_bytes_are_read_or_refused(body: bytes, status: int, content_type: str) -> None:
    """Any bytes with any status, whatever they are said to be, are read or refused."""
    read_whole(Response(status=status, headers={"content-type": content_type}, body=body))


NESTS: Final = {
    "lists": (b"[", b"]"),
    "objects": (b'{"data":', b"}"),
    "items": (b'{"data":[', b"]}"),
    "attributes": (b'{"attributes":', b"}"),
    "problems": (b'{"errors":[', b"]}"),
}
ALGEBRA: Final = (b'{"not":', b"}")


@pytest.mark.parametrize("nest", NESTS)
@pytest.mark.parametrize("depth", [300, 1_000, 1_100, 100_000])
@pytest.mark.parametrize("closed", [True, False], ids=["whole", "half"])
@pytest.mark.parametrize("status", [200, 400])
def test_no_depth_is_too_deep(nest: str, depth: int, status: int, *, closed: bool) -> None:
    """However deep an answer is nested, whole or broken off, it is read or refused at once."""
    opening, closing = NESTS[nest]
    body = opening * depth + b"0" + (closing * depth if closed else b"")
    with nothing_else_measured():
        started = time.process_time()
        read_whole(Response(status=status, body=body))
        assert time.process_time() - started < 2.0


@pytest.mark.parametrize("depth", [900, 100_000])
def test_no_algebra_is_too_deep(depth: int) -> None:
    """An audience whose algebra is nested to the decoder's bound is read; beyond it the answer is refused."""
    opening, closing = ALGEBRA
    node = opening * depth + b'{"audienceSegmentId": "1"}' + closing * depth
    body = b'{"data": {"id": "7", "attributes": {"algebra": ' + node + b"}}}"
    document = as_read(decipher, Response(status=200, body=body))
    if depth < 1_000:
        audience = read_one(document, marketing_audiences.Audience)
        assert audience.algebra is not None
        assert audience.algebra.segment_ids == ("1",)
    else:
        assert document is None


HEADERS: Final = (
    "content-type",
    "date",
    "deprecation",
    "retry-after",
    "sunset",
    "x-ratelimit-limit",
    "x-ratelimit-remaining",
    "x-ratelimit-reset",
)
dates: Any = st.lists(
    st.sampled_from(
        ["Mon,", "31", "Feb", "Jan", "00", "0", "9999", "99999999999", "24:60:61", "-0000", "+9999", "GMT"]
    ),
    max_size=8,
).map(" ".join)
numbers: Any = st.from_regex(r"[+-]?[0-9]{0,20}(\.[0-9]{0,12})?([eE][0-9]{1,4})?", fullmatch=True)
header: Any = (
    st.text(max_size=30) | dates | numbers | st.sampled_from(["9" * 5_000, "inf", "nan", "\x00", "\ud800", "?1"])
)


@given(headers=st.dictionaries(st.sampled_from(HEADERS), header), status=st.sampled_from([200, 204, 410, 429, 503]))
def test_any_header_is_read_or_ignored(headers: Mapping[str, str], status: int) -> None:
    """Whatever the headers say, the answer is read; a wait is never negative nor longer than an hour."""
    response = Response(status=status, headers=headers, body=b"{}", received_at=1_800_000_000.0)
    DeprecationWatch("2026-07").look_at_response(response)
    limit = read_rate_limit(response)
    assert limit is None or (limit.limit or 0) >= 0
    try:
        assert decipher(response) == {}
    except CriteoError as error:
        wait = getattr(error, "retry_after", None)
        assert wait is None or 0.0 <= wait <= 3_600.0
