"""Bulk upload: turns a source into batches and sends them concurrently; independent of endpoints and HTTP."""

from criteo_audiences.identifiers import SourceRow
from criteo_audiences.uploads.amendment import Amend, Amendment, BatchResult, Destination, Outcome
from criteo_audiences.uploads.keywords import HashedUpload, PlainUpload, UploadOptions
from criteo_audiences.uploads.lane import Lookalike, NotASource, Source
from criteo_audiences.uploads.policies import Policy, Verdict
from criteo_audiences.uploads.report import UploadReport
from criteo_audiences.uploads.slots import LimitedBy
from criteo_audiences.uploads.summary import Phase, Progress
from criteo_audiences.uploads.uploader import UploadStream, upload

__all__ = [
    "Amend",
    "Amendment",
    "BatchResult",
    "Destination",
    "HashedUpload",
    "LimitedBy",
    "Lookalike",
    "NotASource",
    "Outcome",
    "Phase",
    "PlainUpload",
    "Policy",
    "Progress",
    "Source",
    "SourceRow",
    "UploadOptions",
    "UploadReport",
    "UploadStream",
    "Verdict",
    "upload",
]
