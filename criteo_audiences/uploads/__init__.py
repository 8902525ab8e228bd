"""Bulk upload: from a source to batches, sent concurrently; knows no endpoint and no HTTP."""

from criteo_audiences.uploads.options import UploadOptions
from criteo_audiences.uploads.progress import Progress
from criteo_audiences.uploads.report import BatchResult, Outcome, UploadReport
from criteo_audiences.uploads.sources import Source
from criteo_audiences.uploads.uploader import Amend, Amendment, UploadStream, upload

__all__ = [
    "Amend",
    "Amendment",
    "BatchResult",
    "Outcome",
    "Progress",
    "Source",
    "UploadOptions",
    "UploadReport",
    "UploadStream",
    "upload",
]
