"""Retail Media: audiences, sizes, line-item targeting, accounts (OpenAPI 2026-07; some of it experimental)."""

from collections.abc import AsyncIterator, Iterable
from typing import Final

from criteo_audiences.errors import ConfigurationError
from criteo_audiences.models import Application
from criteo_audiences.results import BulkResult
from criteo_audiences.retail_media.audience_models import (
    Account,
    Audience,
    AudienceCreate,
    AudienceEstimate,
    AudienceSegmentEstimate,
    AudienceTarget,
    AudienceUpdate,
    Size,
)
from criteo_audiences.retail_media.models import Channel
from criteo_audiences.session.codec import unstructure
from criteo_audiences.session.endpoints import (
    Search,
    entities,
    id_list,
    identities,
    search,
    send_bulk,
    send_deletion,
    send_for_one,
    send_for_page,
)
from criteo_audiences.session.protocol import Request, json_request
from criteo_audiences.session.session import Session
from criteo_audiences.validation import (
    choose,
    require_ids,
    require_kind,
    require_long_ids,
    require_models,
    require_text,
)

_EXPERIMENTAL: Final = "experimental"
_ACCOUNT: Final = "/retail-media/accounts/{account_id}"
_AUDIENCES: Final = f"{_ACCOUNT}/audiences"
_SEGMENTS: Final = f"{_ACCOUNT}/audience-segments"
_TARGETING: Final = "/retail-media/preferred-line-items/{line_item_id}/targeting/audiences"
_AUDIENCE: Final = "Audience"
_SEGMENT: Final = "AudienceSegment"
_PAGE_MAXIMUM: Final = 500
_ACCOUNTS_PAGE: Final = 100


class Audiences:
    """The part of Retail Media around audiences. Experimental methods need `api_version="experimental"`."""

    _session: Session

    async def compute_audience_segment_sizes(
        self, account_id: str, ids: Iterable[str], *, channel: Channel | str
    ) -> BulkResult[Size]:
        """Computes how many people segments contain on a channel. Experimental.

        Args:
            account_id: the account.
            ids: the segments.
            channel: `"Onsite"` or `"Offsite"`.

        Raises:
            ConfigurationError: under another version, or when there is no id.
            CriteoError: when the call as a whole failed.
        """
        return await self._sizes(f"{_SEGMENTS}/compute-sizes", account_id, ids, channel)

    async def estimate_audience_segment_size(self, account_id: str, definition: AudienceSegmentEstimate) -> Size:
        """Estimates how many people an events segment would contain. Experimental.

        Args:
            account_id: the account.
            definition: its settings.

        Raises:
            ConfigurationError: under another version.
            CriteoError: when the call failed.
        """
        return await self._estimate(
            f"{_SEGMENTS}/estimate-size",
            account_id,
            require_kind(definition, AudienceSegmentEstimate, "definition"),
            _SEGMENT,
        )

    async def create_audiences(self, account_id: str, audiences: Iterable[AudienceCreate]) -> BulkResult[Audience]:
        """Creates audiences; never repeated after a lost answer, because names are unique. Experimental.

        Args:
            account_id: the account.
            audiences: what to create.

        Raises:
            ConfigurationError: under another version, or when there is nothing to create.
            CriteoError: when the call as a whole failed.
        """
        self._require_experimental()
        wanted = require_models(audiences, AudienceCreate, "audiences")
        body = entities(wanted, _AUDIENCE, "audiences")
        path = _in_account(account_id)
        request = json_request("POST", f"{_AUDIENCES}/create", body, path_parameters=path, repeatable=False)
        return await send_bulk(self._session, request, Audience, wanted)

    async def update_audiences(self, account_id: str, audiences: Iterable[AudienceUpdate]) -> BulkResult[Audience]:
        """Changes audiences: fields that an update leaves out stay, fields set to `None` are removed. Experimental.

        Args:
            account_id: the account.
            audiences: the changes.

        Raises:
            ConfigurationError: under another version, or when there is nothing to change.
            CriteoError: when the call as a whole failed.
        """
        self._require_experimental()
        wanted = require_models(audiences, AudienceUpdate, "audiences")
        body = entities(wanted, _AUDIENCE, "audiences")
        request = json_request("PATCH", _AUDIENCES, body, path_parameters=_in_account(account_id))
        return await send_bulk(self._session, request, Audience, wanted)

    async def delete_audiences(self, account_id: str, ids: Iterable[str]) -> BulkResult[str]:
        """Deletes audiences. Experimental.

        Args:
            account_id: the account.
            ids: the audiences.

        Returns:
            The ids deleted; all of them when Criteo answers 204, which it also may (OpenAPI declares both).

        Raises:
            ConfigurationError: under another version, or when there is no id.
            CriteoError: when the call as a whole failed.
        """
        self._require_experimental()
        wanted = require_ids(ids, "ids")
        body = identities(wanted, _AUDIENCE)
        request = json_request("POST", f"{_AUDIENCES}/delete", body, path_parameters=_in_account(account_id))
        return await send_deletion(self._session, request, wanted)

    def search_audiences(
        self,
        account_id: str,
        *,
        audience_ids: Iterable[str] | None = None,
        retailer_ids: Iterable[str] | None = None,
        audience_segment_ids: Iterable[str] | None = None,
    ) -> Search[Audience]:
        """Searches an account's audiences that match all given filters.

        Args:
            account_id: the account.
            audience_ids: only these.
            retailer_ids: only audiences of these retailers.
            audience_segment_ids: only audiences made of these segments.

        Raises:
            ConfigurationError: when a filter is not a list of ids.
        """
        filters = {
            "audienceIds": id_list(audience_ids, "audience_ids"),
            "retailerIds": id_list(retailer_ids, "retailer_ids"),
            "audienceSegmentIds": id_list(audience_segment_ids, "audience_segment_ids"),
        }
        path = Request(method="POST", path=f"{_AUDIENCES}/search", path_parameters=_in_account(account_id))
        return search(self._session, path, filters, Audience, page_maximum=_PAGE_MAXIMUM)

    async def compute_audience_sizes(
        self, account_id: str, ids: Iterable[str], *, channel: Channel | str
    ) -> BulkResult[Size]:
        """Computes how many people audiences contain on a channel. Experimental.

        Args:
            account_id: the account.
            ids: the audiences.
            channel: `"Onsite"` or `"Offsite"`.

        Raises:
            ConfigurationError: under another version, or when there is no id.
            CriteoError: when the call as a whole failed.
        """
        return await self._sizes(f"{_AUDIENCES}/compute-sizes", account_id, ids, channel)

    async def estimate_audience_size(self, account_id: str, definition: AudienceEstimate) -> Size:
        """Estimates how many people an audience would contain. Experimental.

        Args:
            account_id: the account.
            definition: the algebra, the retailer and the channel.

        Raises:
            ConfigurationError: under another version.
            CriteoError: when the call failed.
        """
        return await self._estimate(
            f"{_AUDIENCES}/estimate-size",
            account_id,
            require_kind(definition, AudienceEstimate, "definition"),
            _AUDIENCE,
        )

    async def get_line_item_audiences(self, line_item_id: str) -> AudienceTarget:
        """Returns the audiences a preferred line item reaches or leaves out; needs the Campaign permission.

        Args:
            line_item_id: the line item.

        Raises:
            ConfigurationError: under `experimental`, which has no targeting.
            CriteoError: when the call failed.
        """
        request = Request(method="GET", path=_TARGETING, path_parameters=self._line_item(line_item_id))
        return await send_for_one(self._session, request, AudienceTarget)

    async def set_line_item_audiences(self, line_item_id: str, target: AudienceTarget) -> AudienceTarget:
        """Replaces a preferred line item's audiences; needs the Campaign permission.

        Args:
            line_item_id: the line item.
            target: the new audiences, included or excluded.

        Raises:
            ConfigurationError: under `experimental`, which has no targeting.
            CriteoError: when the call failed.
        """
        require_long_ids(require_kind(target, AudienceTarget, "target").audience_ids, "audience_ids")
        body = {"data": {"type": "AudienceTarget", "attributes": unstructure(target)}}
        request = json_request("PUT", _TARGETING, body, path_parameters=self._line_item(line_item_id))
        return await send_for_one(self._session, request, AudienceTarget)

    async def append_line_item_audiences(self, line_item_id: str, audience_ids: Iterable[str]) -> AudienceTarget:
        """Adds audiences to a preferred line item; needs the Campaign permission.

        Args:
            line_item_id: the line item.
            audience_ids: the audiences to add.

        Raises:
            ConfigurationError: under `experimental`, or when there is no id.
            CriteoError: when the call failed.
        """
        return await self._change_line_item("append", line_item_id, audience_ids)

    async def delete_line_item_audiences(self, line_item_id: str, audience_ids: Iterable[str]) -> AudienceTarget:
        """Removes audiences from a preferred line item; needs the Campaign permission.

        Args:
            line_item_id: the line item.
            audience_ids: the audiences to remove.

        Raises:
            ConfigurationError: under `experimental`, or when there is no id.
            CriteoError: when the call failed.
        """
        return await self._change_line_item("delete", line_item_id, audience_ids)

    async def get_application(self) -> Application:
        """Returns the application that the credentials belong to.

        Raises:
            CriteoError: when the call failed.
        """
        return await send_for_one(self._session, Request(method="GET", path="/retail-media/me"), Application)

    async def list_accounts(self, *, account_ids: Iterable[str] | None = None) -> AsyncIterator[Account]:
        """Yields the accounts that the application may work for, from all pages.

        Args:
            account_ids: only these.

        Raises:
            ConfigurationError: under `experimental`, which has no list of accounts, or when the filter is not a list of
                ids.
            CriteoError: when a call failed.
        """
        self._require_stable("list_accounts")
        wanted = id_list(account_ids, "account_ids")
        only = {} if wanted is None else {"limitToId": wanted}
        page = 0
        while True:
            query = {"pageIndex": str(page), "pageSize": str(_ACCOUNTS_PAGE), **only}
            request = Request(method="GET", path="/retail-media/accounts", query=query)
            accounts, has_next = await send_for_page(self._session, request, Account)
            for account in accounts:
                yield account
            if not accounts or not has_next:
                return
            page += 1

    async def _sizes(self, path: str, account_id: str, ids: Iterable[str], channel: Channel | str) -> BulkResult[Size]:
        self._require_experimental()
        wanted = require_ids(ids, "ids")
        attributes = {"channel": choose(Channel, channel, "channel").value, "ids": wanted}
        body = {"data": {"type": "ComputeSizes", "attributes": attributes}}
        request = json_request("POST", path, body, path_parameters=_in_account(account_id))
        return await send_bulk(self._session, request, Size, wanted)

    async def _estimate(self, path: str, account_id: str, definition: object, entity_type: str) -> Size:
        self._require_experimental()
        body = {"data": {"type": entity_type, "attributes": unstructure(definition)}}
        request = json_request("POST", path, body, path_parameters=_in_account(account_id))
        return await send_for_one(self._session, request, Size)

    async def _change_line_item(self, verb: str, line_item_id: str, audience_ids: Iterable[str]) -> AudienceTarget:
        wanted = require_long_ids(require_ids(audience_ids, "audience_ids"), "audience_ids")
        body = {"data": {"type": "AudienceIds", "attributes": {"audienceIds": wanted}}}
        path = self._line_item(line_item_id)
        request = json_request("POST", f"{_TARGETING}/{verb}", body, path_parameters=path)
        return await send_for_one(self._session, request, AudienceTarget)

    def _line_item(self, line_item_id: str) -> dict[str, str]:
        self._require_stable("targeting")
        return {"line_item_id": require_text(line_item_id, "line_item_id")}

    def _require_experimental(self) -> None:
        """Refuses an experimental call under any other version, before anything is sent."""
        if self._session.api_version != _EXPERIMENTAL:
            raise ConfigurationError(
                f'Retail Media has this only under api_version="{_EXPERIMENTAL}", not {self._session.api_version}.'
            )

    def _require_stable(self, what: str) -> None:
        if self._session.api_version == _EXPERIMENTAL:
            raise ConfigurationError(f'Retail Media has no {what} under "{_EXPERIMENTAL}"; use api_version="2026-07".')


def _in_account(account_id: str) -> dict[str, str]:
    return {"account_id": require_text(account_id, "account_id")}
