"""Uploads to a contact list: written once, over the one primitive a service gives, its amend call."""

from contextlib import AbstractAsyncContextManager
from typing import Unpack

from criteo_audiences.uploads import Amend, Source, UploadOptions, UploadReport, UploadStream
from criteo_audiences.uploads.options import Settings
from criteo_audiences.uploads.uploader import stream, upload
from criteo_audiences.validation import require_text


async def upload_contact_list(
    amend: Amend, segment_id: str, source: Source, **options: Unpack[UploadOptions]
) -> UploadReport:
    """See a service's `upload_contact_list`."""
    return await upload(amend, require_text(segment_id, "segment_id"), source, Settings(**options))


def stream_contact_list(
    amend: Amend, segment_id: str, source: Source, **options: Unpack[UploadOptions]
) -> AbstractAsyncContextManager[UploadStream]:
    """See a service's `stream_contact_list`."""
    return stream(amend, require_text(segment_id, "segment_id"), source, Settings(**options))
