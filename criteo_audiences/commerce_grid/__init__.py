"""Criteo's Commerce Grid: audience segments and contact lists."""

from criteo_audiences.commerce_grid.api import CommerceGrid
from criteo_audiences.commerce_grid.segment_api import (
    AudienceSegment,
    AudienceSegmentCreate,
    AudienceSegmentUpdate,
    ContactList,
    ContactListCreate,
    SegmentType,
)

__all__ = [
    "AudienceSegment",
    "AudienceSegmentCreate",
    "AudienceSegmentUpdate",
    "CommerceGrid",
    "ContactList",
    "ContactListCreate",
    "SegmentType",
]
