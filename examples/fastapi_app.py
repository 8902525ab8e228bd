"""A service that uploads the files that it receives: `uvicorn fastapi_app:app --timeout-graceful-shutdown 30`.

One client serves all requests. A small file is uploaded while its request waits; a large file in the background, where
its progress can be followed. A service that is asked to stop gives uploads some time to finish. Export
CRITEO_CLIENT_ID, CRITEO_CLIENT_SECRET and SPOOL, a directory for the files that are uploaded in the background.
"""

import asyncio
import json
import os
import shutil
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI, HTTPException, UploadFile
from fastapi.responses import StreamingResponse

from criteo_audiences import CriteoClient, CriteoError, Progress, Table

SPOOL = Path(os.environ["SPOOL"])
DRAIN = float(os.environ.get("DRAIN_SECONDS", "20"))
KEPT = 3_600.0  # seconds for which the report of an upload can be requested
uploads: dict[str, "Upload"] = {}
criteo: CriteoClient


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """Keeps a client while the service runs; at its end, uploads get some time to finish, and are then canceled."""
    global criteo
    async with CriteoClient.from_env() as criteo:
        yield
        tasks = [upload.task for upload in uploads.values()]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=DRAIN)
            for task in late:
                task.cancel()  # batches in flight get their `drain_timeout`
            await asyncio.gather(*tasks, return_exceptions=True)


app = FastAPI(lifespan=lifespan)


@app.get("/ready")
async def ready() -> dict[str, bool]:
    """Says whether Criteo accepts this service's login."""
    try:
        await criteo.authenticate()
    except CriteoError as error:
        raise HTTPException(503, str(error)) from None
    return {"ready": True}


@app.post("/lists/{segment_id}")
async def upload_now(segment_id: str, file: UploadFile) -> dict[str, Any]:
    """Uploads a file, and answers with the report."""
    try:
        upload = criteo.marketing_solutions.upload_contact_list
        return (await upload(segment_id, Table.from_stream(file), hash="sha256")).to_dict()
    except (CriteoError, OSError) as error:  # one line, without an identifier
        raise HTTPException(422, str(error)) from None


@app.post("/lists/{segment_id}/uploads", status_code=202)
async def upload_in_the_background(segment_id: str, file: UploadFile) -> dict[str, str]:
    """Copies a file, which otherwise ends with its request, and begins to upload the copy."""
    key = uuid.uuid4().hex
    try:
        with os.fdopen(os.open(SPOOL / key, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as copy:  # owner only
            await asyncio.to_thread(shutil.copyfileobj, file.file, copy)
    except BaseException:
        (SPOOL / key).unlink(missing_ok=True)
        raise
    uploads[key] = upload = Upload(segment_id, SPOOL / key)
    upload.task.add_done_callback(lambda _: asyncio.get_running_loop().call_later(KEPT, uploads.pop, key))
    return {"progress": f"/uploads/{key}"}


@app.get("/uploads/{key}")
async def follow(key: str) -> StreamingResponse:
    """Sends the progress of an upload, and finally its report, as server-sent events."""
    if key not in uploads:
        raise HTTPException(404, "There is no such upload.")
    return StreamingResponse(uploads[key].told(), media_type="text/event-stream")


class Upload:
    """An upload in the background, and its latest event."""

    def __init__(self, segment_id: str, path: Path) -> None:
        self._segment_id, self._path = segment_id, path
        self._last = ("progress", dict[str, Any]())
        self._moved = asyncio.Event()
        self.task = asyncio.create_task(self._run())
        self.task.add_done_callback(self._end)  # also for a task that is canceled before its first step

    async def told(self) -> AsyncIterator[str]:
        """Yields the latest event, and each new one until the upload has ended."""
        while True:
            name, document = self._last
            yield f"event: {name}\ndata: {json.dumps(document)}\n\n"
            if name != "progress":
                return
            await self._moved.wait()

    def _tell(self, name: str, document: dict[str, Any]) -> None:
        self._last, moved, self._moved = (name, document), self._moved, asyncio.Event()
        moved.set()

    def _show(self, progress: Progress) -> None:
        self._tell("progress", progress.to_dict())

    async def _run(self) -> tuple[str, dict[str, Any]]:
        try:
            upload = criteo.marketing_solutions.upload_contact_list
            report = await upload(
                self._segment_id, self._path, hash="sha256", drain_timeout=8.0, on_progress=self._show
            )
        except (CriteoError, OSError) as error:
            return "failed", {"error": str(error)}
        except asyncio.CancelledError as canceled:  # nothing is left to be canceled
            return "failed", {"error": " ".join(getattr(canceled, "__notes__", ["Cut short."]))}
        return "report", report.to_dict()

    def _end(self, task: "asyncio.Task[tuple[str, dict[str, Any]]]") -> None:
        self._path.unlink()
        ended = not task.cancelled() and task.exception() is None
        self._tell(*(task.result() if ended else ("failed", {"error": "Cut short."})))
