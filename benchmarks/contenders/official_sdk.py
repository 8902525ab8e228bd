"""Criteo's own SDK in a loop over csv and hashlib; it blocks, and so does whoever calls it from a coroutine."""

import hashlib
from itertools import islice

from criteo_api_marketingsolutions_v2026_07.api.audience_api import AudienceApi
from criteo_api_marketingsolutions_v2026_07.api_client_builder import ApiClientBuilder
from criteo_api_marketingsolutions_v2026_07.models import (
    ContactlistAmendment,
    ContactlistAmendmentAttributes,
    ContactlistAmendmentRequest,
)

from exports import Source
from null_server import Server

BATCH = 50_000


async def upload(server: Server, source: Source) -> int:
    """Uploads what the source yields, one call after the other; returns the calls made."""
    calls = 0
    builder = ApiClientBuilder.WithClientCredentials
    with builder(server.client_id, server.client_secret, host=server.url) as client:
        api = AudienceApi(client)
        digests = (hashlib.sha256(email.strip().lower().encode()).hexdigest() for email in source.emails())
        while batch := list(islice(digests, BATCH)):
            attributes = ContactlistAmendmentAttributes(batch, "add", identifier_type="email")
            request = ContactlistAmendmentRequest(ContactlistAmendment(attributes, "ContactlistAmendment"))
            api.update_contact_list_by_audience_segment(server.segment_id, request)
            calls += 1
    return calls
