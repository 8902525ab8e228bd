"""Every kind of identifier, uploaded to every service that takes it."""

import hashlib
from collections.abc import AsyncIterator, Iterator
from typing import Any

import attrs
import pytest

from criteo_audiences import ConfigurationError, CriteoClient, HashAlgorithm, IdentifierType
from criteo_audiences.sandbox import Sandbox

IDFA = "6D92078A-8246-4BA4-AE5B-76104861E7DC"
KINDS = {
    "marketing_solutions": {"email", "madid", "identity_link", "gum", "phone_number"},
    "retail_media": {"email", "user_identifier", "identity_link", "gum", "customer_id", "phone_number"},
    "commerce_grid": set(IdentifierType) - {IdentifierType.UNKNOWN, "phone_number", "gum", "customer_id"},
}
# What rows hold, and what the server should hold then.
ROWS = {
    "email": ([" Anna@Example.com ", "nobody"], {"anna@example.com"}),
    "phone_number": (["+33 (0)1 23 45 67 89", "0123456789"], {"+33123456789"}),
    "madid": ([f" {IDFA}", "00000000-0000-0000-0000-000000000000"], {IDFA}),
    "ip_address_v4": (["192.0.2.1 ", "192.0.2.256"], {"192.0.2.1"}),
}
OWNERS = {
    "marketing_solutions": {"advertiser_id": "1"},
    "retail_media": {"account_id": "1"},
    "commerce_grid": {"data_provider_id": "1"},
}
TAKEN = [(service, str(kind)) for service, kinds in KINDS.items() for kind in sorted(kinds)]
OPAQUE = ([" C-1\u200b", "1.2E+10"], {"C-1"})


@attrs.frozen
class Stage:
    """A sandbox and a client of it."""

    sandbox: Sandbox
    criteo: CriteoClient

    async def upload(self, service: str, kind: str, source: object, **options: Any) -> tuple[Any, frozenset[str]]:
        """Uploads to a new list that takes the kind; returns the report and what the server holds."""
        segment_id = self.sandbox.add_contact_list(service=service.replace("_", "-"))
        api = getattr(self.criteo, service)
        report = await api.upload_contact_list(segment_id, source, identifier_type=kind, **options)
        return report, self.sandbox.contact_list(segment_id).identifiers


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    """The usual ones."""
    async with Sandbox(rate_limit=None) as sandbox, CriteoClient(sandbox.credentials, base_url=sandbox.url) as criteo:
        yield Stage(sandbox, criteo)


def options_for(service: str, kind: str) -> dict[str, Any]:
    """Returns what an upload of a kind must be told."""
    options: dict[str, Any] = {"hash": None} if kind in {"email", "phone_number"} else {}
    return options | ({"gum_caller_id": "329739"} if (service, kind) == ("marketing_solutions", "gum") else {})


@pytest.mark.parametrize(("service", "kind"), TAKEN)
async def test_every_kind_is_uploaded(service: str, kind: str, stage: Stage) -> None:
    """Good rows are normalized and arrive, bad ones are rejected by name, and the report tells the kind."""
    rows, held = ROWS.get(kind, OPAQUE)
    report, arrived = await stage.upload(service, kind, rows, **options_for(service, kind))
    assert arrived == held
    assert (report.valid, report.invalid, report.rejected_total) == (1, 0, 1)
    assert list(report.by_type) == [kind]


@pytest.mark.parametrize("service", KINDS)
async def test_a_kind_that_a_service_lacks_is_refused_before_the_source_is_read(service: str, stage: Stage) -> None:
    """Nothing is read, nothing is sent, also in a dry run; the refusal names what the service takes."""

    def source() -> Iterator[str]:
        pytest.fail("the source was read")
        yield ""

    for kind in sorted(set(IdentifierType) - KINDS[service] - {IdentifierType.UNKNOWN}):
        for dry_run in (False, True):
            with pytest.raises(ConfigurationError, match=f"takes no identifier_type='{kind}'; it takes: email"):
                await stage.upload(service, kind, source(), hash=None, dry_run=dry_run, **OWNERS[service])
    assert stage.sandbox.requests == []


async def test_gum_ids_need_the_caller_where_criteo_asks_for_it(stage: Stage) -> None:
    """Marketing Solutions needs a caller id with GUM ids and sends it as a number; Retail Media has none."""
    with pytest.raises(ConfigurationError, match="gum_caller_id goes with identifier_type='gum', and that type needs"):
        await stage.upload("marketing_solutions", "gum", ["g-1"])
    with pytest.raises(ConfigurationError, match="gum_caller_id goes with Marketing Solutions only"):
        await stage.upload("retail_media", "gum", ["g-1"], gum_caller_id=5)
    with pytest.raises(ConfigurationError, match="gum_caller_id goes with identifier_type='gum' only"):
        await stage.upload("marketing_solutions", "madid", [IDFA], gum_caller_id=5)
    assert stage.sandbox.requests == []
    segment_id = stage.sandbox.add_contact_list(name="gum")
    ms = stage.criteo.marketing_solutions
    receipt = await ms.amend_contact_list(
        segment_id, operation="add", identifier_type="gum", identifiers=["g-1"], gum_caller_id="329739"
    )
    assert receipt.valid == 1


@pytest.mark.parametrize("service", ["marketing_solutions", "retail_media"])
async def test_phone_numbers_arrive_hashed_as_criteo_asks(service: str, stage: Stage) -> None:
    """SHA-256 of the digits with the country code, national numbers through the region."""
    rows = ["+33 01 23 45 67 89", "01 23 45 67 89", "+39 06 698 12345"]
    report, arrived = await stage.upload(service, "phone_number", rows, hash="sha256", region="FR", dedupe=True)
    assert arrived == {hashlib.sha256(digits).hexdigest() for digits in (b"33123456789", b"390669812345")}
    assert (report.valid, report.duplicates) == (2, 1)


@pytest.mark.parametrize("algorithm", HashAlgorithm)
async def test_a_hash_of_a_mobile_ad_id_is_refused(algorithm: HashAlgorithm, stage: Stage) -> None:
    """Criteo takes them in clear only."""
    with pytest.raises(ConfigurationError, match="hash of identifier_type='madid' must be left out"):
        await stage.upload("marketing_solutions", "madid", [IDFA], hash=algorithm)
    assert stage.sandbox.requests == []


async def test_a_phone_number_keeps_its_list_clean_when_removed(stage: Stage) -> None:
    """What one spelling added, another takes away."""
    ms = stage.criteo.marketing_solutions
    segment_id = stage.sandbox.add_contact_list(name="phones")
    for operation, row in (("add", "+33 1 23 45 67 89"), ("remove", "0033 (0)1.23.45.67.89")):
        await ms.upload_contact_list(
            segment_id, [row], identifier_type="phone_number", hash="sha256", operation=operation
        )
    assert len(stage.sandbox.contact_list(segment_id)) == 0
