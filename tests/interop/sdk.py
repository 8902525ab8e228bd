"""Criteo's generated SDKs: where they are, which methods they have, and a caller that keeps account of them."""

import importlib
import inspect
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import attrs
import pytest

from criteo_audiences.sandbox import Sandbox

# Classes that are about audiences, or about who is calling, as a whole; of the others, what speaks of audiences.
_WHOLE: Final = frozenset({"AudienceApi", "SegmentApi", "GatewayApi", "AdvertiserApi"})
_WORD: Final = "audience"
_BESIDES: Final = frozenset({"get_accounts"})
_PREVIEW_DIR: Final = "CRITEO_PREVIEW_SDK_DIR"


@attrs.frozen
class Release:
    """One SDK: its import package, and how to get it."""

    title: str
    package: str
    install: str

    def load(self) -> ModuleType:
        """Imports the package with its API classes and its models.

        Raises:
            pytest.skip.Exception: It is not installed.
        """
        try:
            with _sdk_warnings_ignored():
                for part in "apis", "models":
                    importlib.import_module(f"{self.package}.{part}")
                return importlib.import_module(self.package)
        except ModuleNotFoundError as error:
            if error.name is None or error.name.partition(".")[0] != self.package:
                raise
            pytest.skip(f"{self.package} is not installed: {self.install}")

    def methods(self) -> dict[str, type]:
        """Returns the class of every method about audiences, by the name of the method; found by introspection."""
        self.load()
        apis = importlib.import_module(f"{self.package}.apis")
        classes = [each for name, each in inspect.getmembers(apis, inspect.isclass) if name.endswith("Api")]
        return {name: each for each in classes for name in _public(each) if _is_asked_for(each, name)}


MARKETING_SOLUTIONS: Final = Release(
    "Marketing Solutions 2026-07",
    "criteo_api_marketingsolutions_v2026_07",
    "pip install 'criteo-api-marketingsolutions-sdk==2026.7.*'",
)
RETAIL_MEDIA: Final = Release(
    "Retail Media 2026-07",
    "criteo_api_retailmedia_v2026_07",
    "pip install 'criteo-api-retailmedia-sdk==2026.7.*'",
)
# The only SDK that has the experimental endpoints. It goes by the old name of that version, and its distribution by that
# of the SDK above, so that pip cannot hold both in one place.
RETAIL_MEDIA_PREVIEW: Final = Release(
    "Retail Media preview",
    "criteo_api_retailmedia_preview",
    f"pip install --no-deps --target DIR 'criteo-api-retailmedia-sdk==0.0.*', with DIR {sys.prefix}/criteo-preview "
    f"or what {_PREVIEW_DIR} names",
)
COMMERCE_GRID: Final = Release(
    "Commerce Grid 2026-07",
    "criteo_api_commercegrid_v2026_07",
    "pip install 'criteo-api-commercegrid-sdk==2026.7.*'",
)
RELEASES: Final = (MARKETING_SOLUTIONS, RETAIL_MEDIA, RETAIL_MEDIA_PREVIEW, COMMERCE_GRID)

# The methods that were called and answered well in this run, by package.
Called = dict[str, set[str]]


class Sdk:
    """A connected SDK. Each method of its API classes is one of its own and returns the model that was read."""

    def __init__(self, release: Release, client: Any, called: set[str]) -> None:
        self.models: Any = importlib.import_module(f"{release.package}.models")
        self._client = client
        self._called = called
        self._apis = {name: each(client) for name, each in release.methods().items()}

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("_") or name not in self._apis:
            raise AttributeError(name)
        return partial(self._call, name)

    def wire(self, model: object) -> Any:
        """Returns the JSON that a model stands for."""
        return self._client.sanitize_for_serialization(model)

    def _call(self, name: str, *arguments: object, **options: object) -> Any:
        with _sdk_warnings_ignored():
            model, status, _ = getattr(self._apis[name], name)(*arguments, _return_http_data_only=False, **options)
        assert 200 <= status < 300
        # A bulk call answers 200 when its items were refused.
        assert not (model and model.get("errors")), f"{name} answered {model.errors}"
        assert not (model and model.get("warnings")), f"{name} answered {model.warnings}"
        self._called.add(name)
        return model


@contextmanager
def connected(release: Release, sandbox: Sandbox, called: set[str]) -> Iterator[Sdk]:
    """Connects an SDK with a sandbox."""
    package = release.load()
    builder = importlib.import_module(f"{package.__name__}.api_client_builder").ApiClientBuilder
    with builder.WithClientCredentials(sandbox.client_id, sandbox.client_secret, host=sandbox.url) as client:
        try:
            yield Sdk(release, client, called)
        finally:
            # The SDK leaves its sockets to the garbage collector, which warns of each.
            client.rest_client.pool_manager.clear()


def find_preview() -> None:
    """Lets the preview SDK be imported from the folder of its own, if there is one."""
    folder = Path(os.environ.get(_PREVIEW_DIR) or Path(sys.prefix) / "criteo-preview")
    if folder.is_dir() and str(folder) not in sys.path:
        sys.path.append(str(folder))


def _public(api: type) -> list[str]:
    return [name for name, _ in inspect.getmembers(api, inspect.isfunction) if not name.startswith("_")]


def _is_asked_for(api: type, name: str) -> bool:
    if name.endswith("_with_http_info"):
        return False
    return api.__name__ in _WHOLE or _WORD in name or name in _BESIDES


@contextmanager
def _sdk_warnings_ignored() -> Iterator[None]:
    with warnings.catch_warnings():
        # Every SDK counts the life of its token with utcnow(), which is deprecated from Python 3.12 on.
        warnings.filterwarnings("ignore", r"datetime\.datetime\.utcnow\(\)", DeprecationWarning, r"criteo_api_")
        yield
