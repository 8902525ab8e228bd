"""An upload with a ledger sends only the batches that it does not know as acknowledged."""

from collections.abc import Callable
from typing import Any

import pytest
from attrs import define, evolve, field

from criteo_audiences import ConfigurationError, ServerError
from criteo_audiences.journals.rows import Acknowledged
from criteo_audiences.models import ContactListOperation
from criteo_audiences.uploads import Amendment, Destination, upload
from tests.kit import LIST, checked, emails, options_of


@define
class Memory:
    """A ledger of one process."""

    known: dict[bytes, Acknowledged] = field(factory=dict)

    async def find(self, digest: bytes) -> Acknowledged | None:
        """Returns what is known of a batch."""
        return self.known.get(digest)

    async def note(self, digest: bytes, acknowledged: Acknowledged) -> None:
        """Remembers a batch."""
        self.known[digest] = acknowledged


Fake = Callable[..., Any]


def answer(amendment: Amendment) -> ContactListOperation:
    """One identifier of each batch is invalid."""
    return ContactListOperation(valid=amendment.batch.count - 1, invalid=1)


def test_only_what_was_not_acknowledged_is_sent_again(fake_amend: Fake) -> None:
    """A second run sends the batches that failed in the first; the counts of the others come from the ledger."""
    ledger, options = Memory(), options_of(batch_size=10, max_invalid=1.0)
    error = ServerError(503)
    first = fake_amend(reply=lambda each: error if each.batch.number in (2, 5) else answer(each))
    checked(upload(first, LIST, emails(60), evolve(options, ledger=ledger)))
    second = fake_amend(reply=answer)
    report = checked(upload(second, LIST, emails(60), evolve(options, ledger=ledger)))
    assert [each.batch.number for each in second.received] == [2, 5]
    assert (report.valid, report.invalid, report.batches, report.resumed) == (54, 6, 6, 4)
    assert report.ok


@pytest.mark.parametrize(
    ("other", "changed"),
    [
        (evolve(LIST, segment_id="2"), {}),
        (evolve(LIST, service="retail-media"), {}),
        (LIST, {"operation": "remove"}),
        (LIST, {"hash": "sha256"}),
        (LIST, {"identifier_type": "customer_id"}),
    ],
)
def test_batch_of_something_else_is_another_batch(
    fake_amend: Fake, other: Destination, changed: dict[str, str]
) -> None:
    """Another list, operation, kind or form of the same values is sent."""
    ledger, amend = Memory(), fake_amend()
    checked(upload(amend, LIST, emails(5), options_of(ledger=ledger)))
    checked(upload(amend, other, emails(5), options_of(ledger=ledger, **changed)))
    assert len(amend.received) == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [({"ledger": object()}, "must have find"), ({"ledger": Memory(), "journal": "a.journal"}, "not both")],
)
def test_mistakes_are_refused(options: dict[str, object], message: str) -> None:
    """What is no ledger, and a journal besides, are refused."""
    with pytest.raises(ConfigurationError, match=message):
        options_of(**options)
