"""All that an upload knows of Criteo: a call that its service makes."""

from collections.abc import Awaitable, Callable
from typing import Any

from attrs import field, frozen

from criteo_audiences.batches import Batch
from criteo_audiences.meter import CallMeter
from criteo_audiences.models import ContactListOperation, IdentifierType, Operation


@frozen(kw_only=True)
class Destination:
    """Where an upload goes.

    Attributes:
        service: its name, as a word.
        host: of the API.
        application: the id of the application that makes the calls, where it is known.
        segment_id: the contact list.
    """

    service: str
    host: str
    application: str = field(default="", repr=False)
    segment_id: str


@frozen(kw_only=True)
class Amendment:
    """One amend call to make.

    Attributes:
        segment_id: the contact list.
        operation: add or remove.
        identifier_type: the kind of identifier.
        batch: what to send.
        gum_caller_id: who asks, where GUM ids need it.
        upload_id: names the upload in events, `None` for a call on its own.
        meter: counts the call's requests and its wait for the quota.
    """

    segment_id: str
    operation: Operation
    identifier_type: IdentifierType
    batch: Batch
    gum_caller_id: int | None = None
    upload_id: str | None = None
    meter: CallMeter | None = field(default=None, repr=False)

    def is_confirmed_by(self, receipt: ContactListOperation) -> bool:
        """Whether a receipt can be this call's: it names no other operation and no other list.

        Of identifier types Criteo's documents echo several spellings, some of them another type's.
        """
        named = receipt.contact_list_id
        is_same_list = named is None or named.lstrip("0") == self.segment_id.lstrip("0")
        return is_same_list and receipt.operation in {None, self.operation}

    def labels(self) -> dict[str, Any]:
        """Returns what identifies an upload's batch in events; nothing for a call on its own."""
        if self.upload_id is None:
            return {}
        return {"upload_id": self.upload_id, "segment_id": self.segment_id, "batch": self.batch.number}


Amend = Callable[[Amendment], Awaitable[ContactListOperation]]
"""Makes an amend call with its retries; all an upload knows of Criteo."""
