"""Uploads as jobs of a queue: a description that travels, and what runs it in any worker."""

import asyncio
import hashlib
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Self
from weakref import WeakKeyDictionary

from attrs import define, field, fields, frozen

from criteo_audiences.client import CriteoClient
from criteo_audiences.errors import ConfigurationError
from criteo_audiences.loops import run_apart
from criteo_audiences.models import Operation
from criteo_audiences.settings import read_shared_quota
from criteo_audiences.uploads import Progress, UploadOptions, UploadReport

if TYPE_CHECKING:
    from criteo_audiences.integrations.ledger import ListLease

_VERSION: Final = 1
_DRAIN: Final = 10.0
_OWNERS: Final = {
    "marketing-solutions": "advertiser_id",
    "retail-media": "account_id",
    "commerce-grid": "data_provider_id",
}
_OWN_FIELDS: Final = frozenset({"operation", "on_progress", "before_call", "ledger"})


def _sources(value: object) -> tuple[str, ...]:
    paths = (value,) if isinstance(value, str) else value
    if not isinstance(paths, (list, tuple)) or not paths or not all(isinstance(path, str) and path for path in paths):
        raise ConfigurationError("source of a job must be a path or a list of paths, as text; never identifiers.")
    return tuple(paths)


def _operation(value: object) -> str:
    if value not in {Operation.ADD, Operation.REMOVE}:
        raise ConfigurationError("operation of a job must be 'add' or 'remove'.")
    return str(value)


def _options(value: object) -> dict[str, Any]:
    """Returns a copy of the options, once it is certain that they can travel."""
    if not isinstance(value, Mapping):
        raise ConfigurationError(f"options of a job must be a mapping, not {type(value).__name__}.")
    known = UploadOptions.__annotations__.keys() - _OWN_FIELDS
    for name in value:
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
    """What a worker of a queue has to upload: paths and names, never identifiers or secrets. JSON- and pickle-safe.

    Attributes:
        service: `marketing-solutions`, `retail-media` or `commerce-grid`.
        segment_id: the contact list.
        source: a file, a pattern or a list of them, which every worker can read.
        operation: `add` or `remove`.
        options: further keywords of `upload_contact_list` that JSON can hold, such as `{"hash": "sha256"}`; `suppress`
            is the path of a file.
        owner_id: the advertiser, account or data provider, to check first that the list is its own.
        profile: the profile whose login the workers use; `None`: their environment's.

    Raises:
        ConfigurationError: naming what is wrong, before any call.
    """

    service: str = field()
    segment_id: str = field()
    source: tuple[str, ...] = field(converter=_sources)
    operation: str = field(default="add", converter=_operation)
    options: Mapping[str, Any] = field(factory=dict, converter=_options, repr=False)
    owner_id: str | None = None
    profile: str | None = None

    def __attrs_post_init__(self) -> None:
        if self.service not in _OWNERS:
            raise ConfigurationError(f"service of a job must be one of {', '.join(_OWNERS)}.")
        for name in ("segment_id", "owner_id", "profile"):
            value = getattr(self, name)
            if not (isinstance(value, str) and value) and not (value is None and name != "segment_id"):
                raise ConfigurationError(f"{name} of a job must be a text that is not empty.")

    def __hash__(self) -> int:
        return hash(self.key)

    @property
    def key(self) -> str:
        """The same for equal jobs, in every process and on every machine: an id for queues that refuse a second one."""
        return hashlib.sha256(json.dumps(self.to_dict(), sort_keys=True).encode()).hexdigest()[:32]

    def to_dict(self) -> dict[str, Any]:
        """Returns the job as JSON values, for the message of a queue."""
        named = {each.name: getattr(self, each.name) for each in fields(type(self))}
        return {"version": _VERSION, **named, "source": list(self.source), "options": _options(self.options)}

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Self:
        """Reads what `to_dict` returned, in this release or an older one.

        Raises:
            ConfigurationError: when it is no job, or one of a newer release.
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
        missing = {"service", "segment_id", "source"} - named.keys()
        if unknown or missing:
            raise ConfigurationError(
                f"The job has no {min(missing)}." if missing else f"A job has no {min(unknown)!r}."
            )
        return cls(**named)


async def run_upload_job(job: UploadJob, *, on_progress: Callable[[Progress], object] | None = None) -> UploadReport:
    """Runs a job with the login and the quota of the environment, and returns the upload's report.

    Jobs that run at the same time in one event loop share a client. With `CRITEO_QUOTA_URL` one operation at a time
    works on a contact list, whatever worker runs it. When it is cancelled, batches in flight get `drain_timeout`
    (default: 10 s), then it raises. It installs no signal handlers.

    Args:
        job: what to upload.
        on_progress: plain function that is called with a `Progress` after every batch, such as a heartbeat.

    Raises:
        ConfigurationError: when a setting is missing or wrong; nothing was sent.
        ConnectError: when Redis cannot be asked for the list, or was gone too long while the upload ran.
        CriteoError: as `upload_contact_list`.
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
        options[_OWNERS[job.service]] = job.owner_id
    service: Any = getattr(criteo, job.service.replace("-", "_"))
    report: UploadReport = await service.upload_contact_list(job.segment_id, Table.from_file(job.source), **options)
    return report


def _lease(job: UploadJob, host: str) -> "ListLease | None":
    """Returns what keeps others from the list, where there is a Redis server through which workers can agree."""
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
    """Gives the jobs that run in an event loop one client, which is closed when the last of them has ended."""
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
    """Runs a job like `run_upload_job`, for code without an event loop of its own: Celery, Airflow, scripts, notebooks.

    It runs in a thread with an event loop of its own. An exception that reaches the caller meanwhile, such as
    `KeyboardInterrupt` or a queue's time limit, cancels the job and is raised once batches in flight have ended.

    Args:
        job: what to upload.
        on_progress: as for `run_upload_job`; it is called in that thread.
    """
    return run_apart(partial(run_upload_job, job, on_progress=on_progress), "criteo-audiences-job")
