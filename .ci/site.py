"""What the documentation site has besides the pages in `docs`: made anew whenever it is built, and kept nowhere.

- The README is its first page; the changes, the security page and the page for contributors are pages, too.
- A link that leads out of `docs` leads to such a page, or to the file in the repository.
- The reference of Python is written from the docstrings, that of the command line from its own help.
"""

import inspect
import os
import posixpath
import re
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import griffe
import typer.main
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from criteo_audiences.cli import app

ROOT: Final = Path(__file__).parents[1]
OF_THE_ROOT: Final = {
    "README.md": "index.md",
    "CHANGELOG.md": "changes.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "explanation/security.md",
}

# What users import, in the order in which they meet it, a page each. A public name that is on none ends the build.
API: Final[dict[str, tuple[str, tuple[str, ...]]]] = {
    "client": ("Client and logins", (
        """criteo_audiences:CriteoClient ClientCredentials AuthorizationCode RefreshToken StaticToken TokenSource
        AccessToken Quota RateLimiter RateLimit RetryPolicy Event Application __version__""",
    )),
    "uploads": ("Uploads and reports", (
        """criteo_audiences:Table UploadOptions UploadReport UploadStream BatchResult Outcome Verdict Progress Phase
        LimitedBy Policy SourceRow HashAlgorithm IdentifierType Operation UploadJob run_upload_job
        run_upload_job_blocking""",
        "criteo_audiences.progress",
        "criteo_audiences.journals",
    )),
    "mirrors": ("Mirrors and erasure", (
        """criteo_audiences:MirrorOptions MirrorReport Baseline ErasureReceipt ErasureState ErasedIdentifier
        ListErasure FileErasure ServiceErasure next_window live_from""",
        """criteo_audiences.mirrors:MirrorSettings SnapshotState SnapshotSummary describe_snapshot forget
        list_snapshots remove_snapshot snapshot_directory""",
    )),
    "results": ("Results and values", (
        """criteo_audiences:BulkResult ItemFailure Search Page Segment Expression ContactListOperation
        ContactListStatistics Problem ProblemType UNSET normalize_email hash_email normalize_phone hash_phone""",
    )),
    "errors": ("Errors", (
        """criteo_audiences:CriteoError TransportError ConnectError RequestTimeout ResponseError AuthenticationError
        PermissionDeniedError NotFoundError InvalidRequestError ApiVersionGoneError PayloadTooLargeError
        RateLimitExceeded ServerError InvalidResponseError PartialFailureError UploadFailedError ErasureFailedError
        QuotaWaitError WindowMissedError JournalError SnapshotError MirrorRefusedError SourceChangedError
        SegmentMismatchError ConfigurationError InvalidIdentifierError""",
    )),
    "marketing-solutions": ("Marketing Solutions", ("criteo_audiences.marketing_solutions",)),
    "retail-media": ("Retail Media", ("criteo_audiences.retail_media",)),
    "commerce-grid": ("Commerce Grid", ("criteo_audiences.commerce_grid",)),
    "blocking": ("Without async", ("criteo_audiences.blocking",)),
    "sandbox": ("Sandbox", ("criteo_audiences.sandbox",)),
    "integrations": ("Integrations", (
        "criteo_audiences.integrations.redis",
        "criteo_audiences.integrations.opentelemetry",
        "criteo_audiences.integrations.partitions",
        "criteo_audiences.integrations.spark",
        "criteo_audiences.integrations.ledger",
        "criteo_audiences.journals.rows:BatchLedger Acknowledged",
    )),
}  # fmt: skip


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages that are made."""
    for name, page in OF_THE_ROOT.items():
        _add(files, config, page, (ROOT / name).read_text(encoding="utf-8"))
    for page, (title, parts) in API.items():
        _add(files, config, f"reference/python/{page}.md", "\n".join(_python_page(title, parts)))
    _add(files, config, "reference/commands.md", "\n".join(_commands_page()))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Makes links that lead out of `docs` lead to where the site, or the repository, has it."""
    source = next(
        (name for name, made in OF_THE_ROOT.items() if made == page.file.src_uri), f"docs/{page.file.src_uri}"
    )

    def lead(link: re.Match[str]) -> str:
        target, anchor = link["target"], link["anchor"] or ""
        path = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
        where = OF_THE_ROOT.get(path) or (path.removeprefix("docs/") if path.startswith("docs/") else None)
        if where is None or files.get_file_from_path(where) is None:
            is_there = (ROOT / path).exists()  # or the link stays as it is, for the builder to complain of
            return f"]({config.extra['repository']}/blob/main/{path}{anchor})" if is_there else link[0]
        return f"]({posixpath.relpath(where, posixpath.dirname(page.file.src_uri) or '.')}{anchor})"

    return re.sub(r"\]\((?![a-z]+:|#)(?P<target>[^)#\s]+)(?P<anchor>#[^)\s]*)?\)", lead, markdown)


def on_env(env: Any, config: MkDocsConfig, files: Files) -> None:  # noqa: ARG001 - MkDocs passes all by name
    """Refuses to build a site that lacks a public name, or shows one that nothing explains."""
    shown = config.plugins["autorefs"]._primary_url_map  # noqa: SLF001 - what a link to a name is looked up in
    modules = {part.partition(":")[0] for _, parts in API.values() for part in parts}
    public = {
        f"{module}.{name}": _module(module)[name].canonical_path for module in modules for name in _exports(module)
    }
    found = {home for name, home in public.items() if name in shown}
    missing = sorted(name for name, home in public.items() if home not in found)
    if missing:
        raise PluginError(f"not in the reference: {', '.join(missing)}: name them in .ci/site.py.")
    bare = sorted(name for name, home in public.items() if not _package()[home.partition(".")[2]].has_docstring)
    if bare:
        raise PluginError(f"without a docstring: {', '.join(bare)}.")


def _add(files: Files, config: MkDocsConfig, page: str, content: str) -> None:
    files.append(File.generated(config, page, content=content))


@cache
def _package() -> Any:
    """Returns the package as its text says, so that what it needs need not be installed."""
    return griffe.load("criteo_audiences", search_paths=[str(ROOT)], resolve_aliases=True)


def _module(name: str) -> Any:
    return _package()[path] if (path := name.removeprefix("criteo_audiences").removeprefix(".")) else _package()


def _exports(module: str) -> list[str]:
    return [str(name) for name in _module(module).exports or ()]


class Twins(griffe.Extension):
    """Shows the methods of the blocking client that are made at run time, and the values of defaults."""

    def on_class(self, *, cls: griffe.Class, **_: Any) -> None:
        """Is called for each class, once its members are known."""
        if cls.path != "criteo_audiences.blocking.CriteoClient":
            return
        kind = getattr(import_module(cls.module.path), cls.name)
        for name, member in cls.members.items():
            made = getattr(kind, name, None)
            if not name.startswith("_") and member.docstring is None and callable(made):
                cls.set_member(name, _function(name, made))

    def on_function(self, *, func: griffe.Function, **_: Any) -> None:
        """Shows the value of a default that has a private name."""
        for parameter in func.parameters:
            constant = func.module.members.get(str(parameter.default))
            if str(parameter.default).startswith("_") and isinstance(constant, griffe.Attribute):
                parameter.default = constant.value


def _function(name: str, made: Any) -> griffe.Function:
    signature = inspect.signature(made)
    parameters = (
        griffe.Parameter(
            each.name,
            annotation=None if each.annotation is each.empty else inspect.formatannotation(each.annotation),
            kind=getattr(griffe.ParameterKind, each.kind.name.lower()),
            default=None if each.default is each.empty else repr(each.default),
        )
        for each in signature.parameters.values()
    )
    returns = inspect.formatannotation(signature.return_annotation)
    function = griffe.Function(name, parameters=griffe.Parameters(*parameters), returns=returns)
    function.docstring = griffe.Docstring(inspect.getdoc(made) or "", parent=function)
    return function


def _python_page(title: str, parts: tuple[str, ...]) -> Iterator[str]:
    yield f"# {title}\n"
    for part in parts:
        module, _, names = part.partition(":")
        if module != "criteo_audiences":
            yield f"Imported from `{module}`.\n"
        for name in names.split() or _exports(module):
            yield f"::: {module}.{name}\n"


def _commands_page() -> Iterator[str]:
    yield "# Every command\n"
    yield "What `--help` prints. [The command line](command-line.md) says what all of them have in common.\n"
    os.environ["COLUMNS"] = "80"
    for path, command in _commands(typer.main.get_command(app), ()):
        words = " ".join(("criteo-audiences", *path))
        context = command.make_context(words, [], resilient_parsing=True)
        context.info_name = words
        yield f"{'###' if path[1:] else '##'} {words}\n"
        yield f"```text\n{command.get_help(context).rstrip()}\n```\n"


def _commands(command: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    if path or not hasattr(command, "commands"):
        yield path, command
    else:
        yield (), command
    for name, each in getattr(command, "commands", {}).items():
        yield from _commands(each, (*path, name))
