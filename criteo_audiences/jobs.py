"""Uploads as jobs of a queue: a serializable description, and functions that run it in any worker."""

import asyncio
import hashlib
import json
import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import parse_qs, urlsplit
from urllib.request import url2pathname
from weakref import WeakKeyDictionary

from attrs import define, field, fields, frozen

from criteo_audiences.client import CriteoClient
from criteo_audiences.errors import ConfigurationError, ConnectError, CriteoError
from criteo_audiences.loops import run_apart
from criteo_audiences.models import OWNER_FIELDS, Operation
from criteo_audiences.settings import WAY_OF_A_LOGIN, is_of_a_login, read_shared_quota
from criteo_audiences.uploads import Progress, UploadOptions, UploadReport

if TYPE_CHECKING:
    from criteo_audiences.integrations.ledger import ListLease
    from criteo_audiences.tables import Table

_VERSION: Final = 1
_DRAIN: Final = 10.0
_OWN_FIELDS: Final = frozenset({"operation", "on_progress", "before_call", "ledger"})


_OTHER_SCHEMES: Final = ("s3", "gs", "abfs", "abfss", "hdfs")
"""Schemes of URIs that pyarrow opens, in addition to `file`."""
_OF_URIS: Final = frozenset({"region", "endpoint_override", "scheme"})


def _sources(value: object) -> tuple[str, ...]:
    paths = (value,) if isinstance(value, str) else value
    if not isinstance(paths, (list, tuple)) or not paths or not all(isinstance(path, str) and path for path in paths):
        raise ConfigurationError(
            "source of a job must be a path, a URI or a list of paths, as text; never identifiers."
        )
    for path in paths:
        if (scheme := _scheme(path)) is not None:
            _check_uri(path, scheme, alone=len(paths) == 1)
    return tuple(paths)


def _scheme(source: str) -> str | None:
    """Returns the scheme of a URI, `None` for a path."""
    found = re.match(r"([A-Za-z][A-Za-z0-9+.-]+)://", source)
    return None if found is None else found[1].lower()


def _check_uri(uri: str, scheme: str, *, alone: bool) -> None:
    if scheme not in {"file", *_OTHER_SCHEMES}:
        known = ", ".join(f"{each}://" for each in ("file", *_OTHER_SCHEMES))
        raise ConfigurationError(f"source of a job cannot be a URI with {scheme}://; it may be one with {known}.")
    parts = urlsplit(uri)
    if scheme == "file" and (parts.netloc not in {"", "localhost"} or parts.query or parts.fragment):
        raise ConfigurationError("A file:// URI names a file of the worker: file:///exports/crm.parquet.")
    # In abfs URIs, the part before the @ is the container.
    has_login = parts.password is not None if scheme in {"abfs", "abfss"} else "@" in parts.netloc
    if scheme != "file" and (has_login or parse_qs(parts.query, keep_blank_values=True).keys() - _OF_URIS):
        raise ConfigurationError(
            "A URI of a job must hold no login and no options but region, endpoint_override and scheme: a login "
            "does not travel with a job, the workers have their own."
        )
    if scheme != "file" and not alone:
        raise ConfigurationError(f"A job reads one object with {scheme}://: make a job of each.")


def _row_groups(value: object) -> tuple[int, int] | None:
    if value is None:
        return None
    match value:
        case [int(first), int(last)] if 0 <= first <= last and bool not in {type(first), type(last)}:
            return first, last
    raise ConfigurationError("row_groups of a job must be two whole numbers: the first one from 0, and the last one.")


def _operation(value: object) -> str:
    if value not in {Operation.ADD, Operation.REMOVE}:
        raise ConfigurationError("operation of a job must be 'add' or 'remove'.")
    return str(value)


def _refuse_a_login(name: object) -> None:
    if isinstance(name, str) and is_of_a_login(name):
        raise ConfigurationError(
            f"{name!r} is no option of a job: a login does not travel with it. {WAY_OF_A_LOGIN.format('workers')}"
        )


def _options(value: object) -> dict[str, Any]:
    """Returns a copy of the options; refuses options that JSON cannot represent or a job must not contain."""
    if not isinstance(value, Mapping):
        raise ConfigurationError(f"options of a job must be a mapping, not {type(value).__name__}.")
    known = UploadOptions.__annotations__.keys() - _OWN_FIELDS
    for name in value:
        _refuse_a_login(name)
        if name not in known:
            raise ConfigurationError(
                f"{name!r} is not an option that a job can have; known are {', '.join(sorted(known))}."
            )
    suppress = value.get("suppress")
    if suppress is not None and not isinstance(suppress, str):
        raise ConfigurationError("suppress of a job must be the path of a file; identifiers do not travel with a job.")
    try:
        copy: dict[str, Any] = json.loads(json.dumps(dict(value), allow_nan=False))
    except (TypeError, ValueError):
        copy = {}
    if copy != dict(value):
        raise ConfigurationError("options of a job must be texts, numbers, lists and mappings, which JSON can hold.")
    return copy


@frozen(kw_only=True, hash=False)
class UploadJob:
    """An upload for a worker of a queue: places and names, never identifiers or secrets. JSON- and pickle-safe.

    Attributes:
        service: `marketing-solutions`, `retail-media` or `commerce-grid`.
        segment_id: the contact list.
        source: a file, a pattern or a list of them, which every worker can read; or a URI: `file://`, or one object of
            `s3://`, `gs://`, `abfs://` or `hdfs://`, which needs pyarrow and the workers' own login there.
        row_groups: the first and the last row group to read of one Parquet file, so that several jobs can share it;
            needs pyarrow.
        operation: `add` or `remove`.
        options: further keywords of `upload_contact_list` with JSON values, such as `{"hash": "sha256"}`; `suppress` is
            the path of a file.
        owner_id: the advertiser, account or data provider, to check first that it owns the list.
        profile: the profile with the login for the workers; `None` for the login in their environment.

    Raises:
        ConfigurationError: naming the wrong argument, before any call.
    """

    service: str = field()
    segment_id: str = field()
    source: tuple[str, ...] = field(converter=_sources)
    operation: str = field(default="add", converter=_operation)
    options: Mapping[str, Any] = field(factory=dict, converter=_options, repr=False)
    owner_id: str | None = None
    profile: str | None = None
    row_groups: tuple[int, int] | None = field(default=None, converter=_row_groups)

    def __attrs_post_init__(self) -> None:
        if self.service not in OWNER_FIELDS:
            raise ConfigurationError(f"service of a job must be one of {', '.join(OWNER_FIELDS)}.")
        for name in ("segment_id", "owner_id", "profile"):
            value = getattr(self, name)
            if not (isinstance(value, str) and value) and not (value is None and name != "segment_id"):
                raise ConfigurationError(f"{name} of a job must be a text that is not empty.")
        if self.row_groups is not None and len(self.source) > 1:
            raise ConfigurationError("row_groups of a job goes with one Parquet file.")

    def __hash__(self) -> int:
        return hash(self.key)

    @property
    def key(self) -> str:
        """An id that equal jobs share in every process and on every machine, for queues that refuse duplicates."""
        return hashlib.sha256(json.dumps(self.to_dict(), sort_keys=True).encode()).hexdigest()[:32]

    def to_dict(self) -> dict[str, Any]:
        """Returns the job as JSON values, for the message of a queue."""
        named = {each.name: getattr(self, each.name) for each in fields(type(self))}
        groups = named.pop("row_groups")  # left out if there are none, so that older releases can read the job
        named |= {"source": list(self.source), "options": _options(self.options)}
        return {"version": _VERSION, **named, **({} if groups is None else {"row_groups": list(groups)})}

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Self:
        """Reads what `to_dict` returned, in this release or an older one.

        Raises:
            ConfigurationError: when it is not a job, or a job of a newer release.
        """
        version = document.get("version") if isinstance(document, Mapping) else None
        if type(version) is not int:
            raise ConfigurationError("This is no description of a job: UploadJob.to_dict() makes them, with a version.")
        if version > _VERSION:
            raise ConfigurationError(
                f"The job has version {version}, and this worker knows {_VERSION}: update criteo-audiences here."
            )
        named = {name: value for name, value in document.items() if name != "version"}
        unknown = named.keys() - {each.name for each in fields(cls)}
        for name in unknown:
            _refuse_a_login(name)
        missing = {"service", "segment_id", "source"} - named.keys()
        if unknown or missing:
            raise ConfigurationError(
                f"The job has no {min(missing)}." if missing else f"A job has no {min(unknown)!r}."
            )
        return cls(**named)


async def run_upload_job(job: UploadJob, *, on_progress: Callable[[Progress], object] | None = None) -> UploadReport:
    """Runs a job with the login and the quota of the environment, and returns the upload's report.

    Jobs that run at the same time in one event loop share a client. With `CRITEO_QUOTA_URL`, one operation at a time
    works on a contact list, whatever worker runs it. If the job is canceled, batches in flight get `drain_timeout`
    (default: 10 s) to finish, then this raises. It installs no signal handlers.

    Args:
        job: what to upload.
        on_progress: a plain function, called with a `Progress` after every batch and several times a second, for a
            heartbeat, for example.

    Raises:
        ConfigurationError: when a setting is missing or wrong; nothing was sent.
        ConnectError: when Redis cannot be reached for the lease on the list, or was lost too long during the upload.
        CriteoError: as in `upload_contact_list`.
    """
    async with _shared_client(job.profile) as criteo:
        upload, lease = partial(_upload, job, criteo, on_progress), _lease(job, criteo.host)
        return await upload() if lease is None else await lease.run(upload)


async def _upload(
    job: UploadJob,
    criteo: CriteoClient,
    on_progress: Callable[[Progress], object] | None,
    before_call: Callable[[], Awaitable[None]] | None = None,
) -> UploadReport:
    from criteo_audiences.tables import Table  # noqa: PLC0415 - needs an extra

    options: dict[str, Any] = {"drain_timeout": _DRAIN, **job.options, "operation": job.operation}
    options |= {"on_progress": on_progress, "before_call": before_call}
    if "suppress" in options and options["suppress"] is not None:
        options["suppress"] = Table.from_file(options["suppress"])
    if job.owner_id is not None:
        options[OWNER_FIELDS[job.service]] = job.owner_id
    service: Any = getattr(criteo, job.service.replace("-", "_"))
    table = await asyncio.to_thread(_table, job)
    report: UploadReport = await service.upload_contact_list(job.segment_id, table, **options)
    return report


def _table(job: UploadJob) -> "Table":
    """Opens the source of a job; blocks.

    Raises:
        ConfigurationError: when pyarrow is missing, or there is no such object or row group.
        ConnectError: when the store of the object does not let it be opened.
    """
    from criteo_audiences.tables import Table  # noqa: PLC0415 - needs an extra

    paths = [url2pathname(urlsplit(each).path) if _scheme(each) == "file" else each for each in job.source]
    if job.row_groups is None:
        return Table.from_file(paths) if _scheme(paths[0]) is None else Table.from_stream(_opened(paths[0]))
    file, (first, last) = _opened(paths[0], as_parquet=True), job.row_groups
    if last >= file.num_row_groups:
        raise ConfigurationError(
            f"The source has {file.num_row_groups} row groups, and row_groups asks for {first} to {last}, from 0 on."
        )
    return Table.from_arrow(
        import_module("pyarrow").RecordBatchReader.from_batches(
            file.schema_arrow, file.iter_batches(row_groups=range(first, last + 1))
        )
    )


def _opened(source: str, *, as_parquet: bool = False) -> Any:
    """Opens a file or an object with pyarrow: as bytes, or as a Parquet file, of which only the footer is read here."""
    try:
        fs, parquet = import_module("pyarrow.fs"), import_module("pyarrow.parquet")
    except ImportError:
        raise ConfigurationError(
            "URIs other than file://, and row_groups, need a package that is not installed; run: pip install pyarrow."
        ) from None
    where = source.partition("?")[0]
    failure: CriteoError
    try:
        place, path = (fs.LocalFileSystem(), source) if _scheme(source) is None else fs.FileSystem.from_uri(source)
        if as_parquet:
            return parquet.ParquetFile(place.open_input_file(path))
        return place.open_input_stream(path, compression=None)
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        failure = ConfigurationError(f"There is no {where}, or it is no file.")
    except OSError as error:
        kind = type(error).__name__
        failure = ConnectError(f"{where} could not be opened ({kind}); check the worker's login there.", passing=False)
    except ValueError:
        failure = ConfigurationError(f"{where} cannot be read; row_groups goes with Parquet files only.")
    raise failure  # outside the `except` blocks: the text of pyarrow's exception may contain values


def _lease(job: UploadJob, host: str) -> "ListLease | None":
    """Returns a lease that keeps other workers from the list; `None` if the workers share no Redis server."""
    shared = read_shared_quota(os.environ)
    if shared is None:
        return None
    from criteo_audiences.integrations.ledger import ListLease  # noqa: PLC0415 - needs the extra

    return ListLease(
        shared.url,
        source="CRITEO_QUOTA_URL",
        host=host,
        service=job.service,
        segment_id=job.segment_id,
        operation=job.operation,
    )


@define
class _Shared:
    client: CriteoClient
    process: int
    jobs: int = 0


_CLIENTS: Final["WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str | None, _Shared]]"] = WeakKeyDictionary()


@asynccontextmanager
async def _shared_client(profile: str | None) -> AsyncIterator[CriteoClient]:
    """Gives all jobs that run in an event loop one client, and closes it when the last of them has ended."""
    clients = _CLIENTS.setdefault(asyncio.get_running_loop(), {})
    shared = clients.get(profile)
    if shared is None or shared.process != os.getpid():
        shared = clients[profile] = _Shared(CriteoClient.from_env(profile=profile), os.getpid())
    shared.jobs += 1
    try:
        yield shared.client
    finally:
        shared.jobs -= 1
        if not shared.jobs:
            if clients.get(profile) is shared:
                del clients[profile]
            await shared.client.aclose()


def run_upload_job_blocking(job: UploadJob, *, on_progress: Callable[[Progress], object] | None = None) -> UploadReport:
    """Runs a job like `run_upload_job`, for code without its own event loop: Celery, Airflow, scripts, notebooks.

    The job runs in a separate thread with its own event loop. An exception in the calling thread meanwhile, such as
    `KeyboardInterrupt` or a queue's time limit, cancels the job and is raised once batches in flight have ended.

    Args:
        job: what to upload.
        on_progress: as for `run_upload_job`; it is called in that thread.
    """
    return run_apart(partial(run_upload_job, job, on_progress=on_progress), "criteo-audiences-job")
