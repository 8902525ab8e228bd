from typing import Any

import pytest

from criteo_audiences.sandbox import Sandbox


@pytest.mark.parametrize(
    ("service", "keyword", "field"),
    [
        ("marketing-solutions", "advertiser_id", "advertiserId"),
        ("retail-media", "account_id", "accountId"),
        ("commerce-grid", "data_provider_id", "dataProviderId"),
    ],
)
async def test_a_list_is_prepared_in_any_service(
    sandbox: Sandbox, call: Any, service: str, keyword: str, field: str
) -> None:
    """The owner has a keyword of its own in each service, and a common one; it is 1 when nothing is said."""
    ids = [
        sandbox.add_contact_list("a", service=service),
        sandbox.add_contact_list("a", service=service, **{keyword: "2"}),
        sandbox.add_contact_list("b", service=service, owner_id="1"),
    ]
    found = (await call.search(service)).body["data"]
    owners = [(each["id"], each["attributes"][field]) for each in found]
    # The path of Retail Media names account 1.
    assert owners == [
        (segment_id, owner)
        for segment_id, owner in zip(ids, "121", strict=True)
        if service != "retail-media" or owner == "1"
    ]


async def test_a_list_of_retail_media_has_a_retailer_and_a_type(sandbox: Sandbox, call: Any) -> None:
    """Both are shown as if a call had said them; without a type the list takes any."""
    sandbox.add_contact_list("a", service="retail-media", retailer_id="7", identifier_type="CustomerId")
    sandbox.add_contact_list("b", service="retail-media", read_only=True)
    typed, untyped = (each["attributes"] for each in (await call.search("retail-media")).body["data"])
    assert (typed["retailerId"], untyped["retailerId"]) == ("7", "1")
    assert typed["contactList"] == {"identifierType": "CustomerId", "isReadOnly": False, "sharingStatus": "NotShared"}
    assert untyped["contactList"] == {"identifierType": None, "isReadOnly": True, "sharingStatus": "NotShared"}


async def test_a_read_only_list_of_commerce_grid_does_not_show_it(sandbox: Sandbox, call: Any) -> None:
    """OpenAPI has no field for it there."""
    sandbox.add_contact_list(service="commerce-grid", read_only=True)
    assert (await call.search("commerce-grid")).body["data"][0]["attributes"]["contactList"] == {}


async def test_every_service_can_have_a_list_of_one_id(sandbox: Sandbox, call: Any) -> None:
    """Each is a list of its own, and ids that are made up pass over one that is taken."""
    for service in ("marketing-solutions", "retail-media", "commerce-grid"):
        assert sandbox.add_contact_list(service=service, segment_id="300001") == "300001"
    assert sandbox.add_contact_list() == "300002"
    await call.amend("300001", ["a@b.co"])
    assert len(sandbox.contact_list("300001", service="marketing-solutions")) == 1
    assert len(sandbox.contact_list("300001", service="retail-media")) == 0
    with pytest.raises(LookupError, match="several services have a segment '300001'"):
        sandbox.contact_list("300001")
    with pytest.raises(ValueError, match="of that id already"):
        sandbox.add_contact_list(segment_id="300001")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"segment_id": "crm"}, "a number"),
        ({"service": "retail"}, "service"),
        ({"account_id": "1"}, "account_id"),
        ({"service": "retail-media", "advertiser_id": "1"}, "advertiser_id"),
        ({"service": "retail-media", "account_id": "1", "owner_id": "1"}, "one of them"),
        ({"service": "retail-media", "identifier_type": "email"}, "identifierType"),
        ({"service": "commerce-grid", "identifier_type": "Email"}, "identifier type"),
        ({"identifier_type": "email"}, "identifier type"),
        ({"retailer_id": "1"}, "retailers"),
    ],
)
def test_a_list_that_no_service_has_is_refused(options: dict[str, Any], message: str) -> None:
    """A mistake in a test is told before the server is asked anything."""
    with pytest.raises(ValueError, match=message):
        Sandbox().add_contact_list(**options)
