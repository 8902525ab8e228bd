"""Criteo's Retail Media: audience segments and contact lists."""

from criteo_audiences.retail_media.api import RetailMedia
from criteo_audiences.retail_media.models import (
    AudienceSegment,
    AudienceSegmentCreate,
    AudienceSegmentUpdate,
    Channel,
    ContactList,
    ContactListCreate,
    Events,
    EventsCreate,
    EventsUpdate,
    LookbackDays,
    SegmentType,
    SharingStatus,
    ShopperActivity,
)

__all__ = [
    "AudienceSegment",
    "AudienceSegmentCreate",
    "AudienceSegmentUpdate",
    "Channel",
    "ContactList",
    "ContactListCreate",
    "Events",
    "EventsCreate",
    "EventsUpdate",
    "LookbackDays",
    "RetailMedia",
    "SegmentType",
    "SharingStatus",
    "ShopperActivity",
]
