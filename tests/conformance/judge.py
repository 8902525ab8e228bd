"""Criteo's OpenAPI documents as judges of requests and answers; the judging itself is openapi-core's."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import parse_qsl, urlsplit

from attrs import define, frozen
from openapi_core import Config, OpenAPI
from openapi_core.datatypes import RequestParameters
from openapi_core.exceptions import OpenAPIError
from openapi_core.security.exceptions import SecurityProviderError
from openapi_core.security.factories import SecurityProviderFactory
from openapi_core.security.providers import BaseProvider
from openapi_core.templating.paths.finders import APICallPathFinder
from openapi_core.validation.schemas.exceptions import InvalidSchemaValue
from werkzeug.datastructures import Headers, ImmutableMultiDict

from criteo_audiences.session import Exchange, Response

TITLE: Final = "Criteo API"
WANTED: Final = frozenset(
    {
        ("marketing-solutions", "2026-07"),
        ("retail-media", "2026-07"),
        ("retail-media", "experimental"),
        ("commerce-grid", "2026-07"),
    }
)
"""Services and versions, as both stand in a path."""

_HOST: Final = "https://api.criteo.com"
# A path also holds parameters that its methods share.
_METHODS: Final = frozenset({"get", "put", "post", "delete", "options", "head", "patch", "trace"})


class NonconformingError(AssertionError):
    """A request or an answer is not what its document declares."""


class _BearerProvider(BaseProvider):
    """Judges the documents' `oauth2` scheme, for which openapi-core has no provider."""

    def __call__(self, parameters: RequestParameters) -> str:
        kind, _, token = parameters.header.get("Authorization", "").partition(" ")
        if kind != "Bearer" or not token:
            raise SecurityProviderError("There is no bearer token.")
        return token


class _SecurityProviders(SecurityProviderFactory):
    PROVIDERS: Final[dict[str, type[BaseProvider]]] = {"oauth2": _BearerProvider}


@define
class _Asked:
    """An exchange's request, as openapi-core wants to see it; it writes the path's parameters into `parameters`."""

    host_url: str
    path: str
    method: str
    content_type: str
    body: bytes
    parameters: RequestParameters
    query: Mapping[str, str]

    @classmethod
    def of(cls, exchange: Exchange, base_url: str) -> Self:
        """Returns the request of an exchange with a server at `base_url`, as if that were Criteo's."""
        parts = urlsplit(exchange.url.removeprefix(base_url))
        query = parse_qsl(parts.query, keep_blank_values=True)
        headers = Headers(exchange.headers)
        return cls(
            host_url=_HOST,
            path=parts.path,
            method=exchange.method.lower(),
            content_type=headers.get("Content-Type", ""),
            body=b"".join(exchange.body),
            parameters=RequestParameters(query=ImmutableMultiDict(query), header=headers),
            query=dict(query),
        )


@frozen
class _Answered:
    """A response, as openapi-core wants to see it."""

    status_code: int
    content_type: str
    headers: Headers
    data: bytes

    @classmethod
    def of(cls, response: Response) -> Self:
        headers = Headers(response.headers)
        return cls(response.status, headers.get("Content-Type", ""), headers, response.body)


class Document:
    """One OpenAPI document, read strictly: what a schema does not declare is not allowed.

    The document is itself checked against the OpenAPI specification.
    """

    def __init__(self, content: Mapping[str, Any]) -> None:
        config = Config(security_provider_factory=_SecurityProviders())
        self._openapi = OpenAPI.from_dict(_strict(content), config=config)
        self.operations = frozenset(
            f"{method.upper()} {path}"
            for path, item in content["paths"].items()
            for method in item
            if method in _METHODS
        )
        """Such as `GET /2026-07/retail-media/me`."""

    def check_request(self, exchange: Exchange, base_url: str = _HOST) -> str:
        """Returns the operation that an exchange's request is.

        Raises:
            NonconformingError: when there is none, or it declares another request.
        """
        asked = _Asked.of(exchange, base_url)
        try:
            path, operation = APICallPathFinder(self._openapi.spec).find(asked.method, _HOST + asked.path)[:2]
            self._openapi.validate_request(asked)
        except OpenAPIError as error:
            raise _nonconforming(asked, asked.body, error) from error
        declared = {each["name"] for each in operation.get("parameters", []) if each["in"] == "query"}
        if undeclared := asked.query.keys() - declared:
            raise NonconformingError(f"{asked.method} {asked.path}: undeclared in the query: {sorted(undeclared)}")
        if asked.body and "requestBody" not in operation:
            raise NonconformingError(f"{asked.method} {asked.path}: no body is declared, there is {asked.body!r}")
        return f"{exchange.method} {path.parts[-1]}"

    def check_answer(self, exchange: Exchange, response: Response, base_url: str = _HOST) -> None:
        """Checks an answer, whose status must be a declared one.

        Raises:
            NonconformingError: when the operation declares another answer.
        """
        asked, answered = _Asked.of(exchange, base_url), _Answered.of(response)
        try:
            operation = APICallPathFinder(self._openapi.spec).find(asked.method, _HOST + asked.path)[1]
            self._openapi.validate_response(asked, answered)
        except OpenAPIError as error:
            raise _nonconforming(asked, answered.data, error) from error
        if answered.data and "content" not in operation / "responses" / str(answered.status_code):
            raise NonconformingError(f"{asked.method} {asked.path}: no body is declared, there is {answered.data!r}")


def documents_in(folder: Path) -> dict[tuple[str, str], Document]:
    """Returns the documents of a folder by service and version, found by what they say, not by their names.

    Raises:
        LookupError: when one of `WANTED` is missing, or there twice.
    """
    found: dict[tuple[str, str], Document] = {}
    for path in sorted(folder.glob("*.json")):
        content = json.loads(path.read_bytes())
        for key in WANTED & _keys(content):
            if key in found:
                raise LookupError(f"{folder} holds two documents of {key}; the second is {path.name}.")
            found[key] = Document(content)
    if missing := WANTED - found.keys():
        raise LookupError(f"{folder} holds no document of {sorted(missing)}.")
    return found


def _keys(content: Any) -> set[tuple[str, str]]:
    """Returns what a file is the document of: nothing unless it is one of Criteo's."""
    if not isinstance(content, dict) or "openapi" not in content or content["info"]["title"] != TITLE:
        return set()
    version = content["info"]["version"].lower()
    heads = {tuple(path.split("/")[1:3]) for path in content["paths"]}
    return {(service, prefix) for prefix, service in heads if prefix == version}


def _strict(schema: Any) -> Any:
    """Returns a document whose objects hold nothing undeclared, read as it is meant in two places.

    Objects: openapi-core's own switch for that builds a class for every check, which takes most of the time.
    Enumerations: OpenAPI 3.0.3 says that they must list null to allow it, the 3.0.1 of these documents did not yet,
    and Criteo's text allows it ("If missing or null the value is set to null" of a `NillableGenderV1`).
    204: some have a media type, without a schema; HTTP allows no body.
    """
    if isinstance(schema, list):
        return [_strict(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    read = {name: _strict(value) for name, value in schema.items()}
    if read.get("type") == "object":
        read.setdefault("additionalProperties", False)
    if read.get("nullable") is True and isinstance(read.get("enum"), list):
        read["enum"] = [*read["enum"], None]
    if isinstance(read.get("204"), dict):
        read["204"].pop("content", None)
    return read


def _nonconforming(asked: _Asked, body: bytes, error: OpenAPIError) -> NonconformingError:
    cause = error.__cause__
    reasons = [str(error)]
    if isinstance(cause, InvalidSchemaValue):
        reasons = [f"{each.json_path}: {each.message}" for each in cause.schema_errors]
    elif cause is not None:
        reasons.append(str(cause))
    return NonconformingError(f"{asked.method} {asked.path}: {'; '.join(reasons)}\n{body.decode(errors='replace')}")
