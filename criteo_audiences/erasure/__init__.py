"""Erasure: removes people from every contact list that could hold them, and from what this library has stored.

`CriteoClient.erase` is the way in.
"""

from criteo_audiences.erasure.receipt import (
    ErasureReceipt,
    ErasureState,
    FileErasure,
    ListErasure,
    ServiceErasure,
)
from criteo_audiences.erasure.request import ErasedIdentifier

__all__ = [
    "ErasedIdentifier",
    "ErasureReceipt",
    "ErasureState",
    "FileErasure",
    "ListErasure",
    "ServiceErasure",
]
