from typing import Any

import pytest

from criteo_audiences.sandbox import Sandbox

PATH = "/2026-07/marketing-solutions/audience-segments/300001/contact-list/statistics"


async def test_good_credentials_get_a_bearer_token(call: Any) -> None:
    """The grant has the four fields of Criteo's answer, and must not be stored on the way."""
    reply = await call.grant()
    token = reply.body.pop("access_token")
    assert reply.status == 200
    assert isinstance(token, str)
    assert reply.body.keys() == {"access_token", "token_type", "expires_in", "refresh_token"}
    assert (reply.body["token_type"], reply.body["expires_in"], reply.body["refresh_token"]) == ("Bearer", 900, None)
    assert reply.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("fields", "status", "error"),
    [
        ({"client_secret": "wrong"}, 401, "invalid_client"),
        ({"client_id": "wrong"}, 401, "invalid_client"),
        ({"client_secret": "ünïcode"}, 401, "invalid_client"),
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
        ({"grant_type": ""}, 400, "invalid_request"),
        ({"padding": "x" * 70_000}, 400, "invalid_request"),
    ],
)
async def test_bad_grants_are_refused_in_the_words_of_oauth(
    call: Any, fields: dict[str, str], status: int, error: str
) -> None:
    """A refusal names the error of RFC 6749 and describes it."""
    reply = await call.grant(**fields)
    assert reply.status == status
    assert reply.body["error"] == error
    assert reply.body["error_description"]


async def test_the_token_endpoint_takes_forms_only(call: Any, sandbox: Sandbox) -> None:
    """The right fields as JSON are refused with 415."""
    fields = {"client_id": sandbox.client_id, "client_secret": sandbox.client_secret}
    body = fields | {"grant_type": "client_credentials"}
    assert (await call("POST", "/oauth2/token", authorization="", json=body)).status == 415


async def test_a_field_given_twice_is_refused(call: Any) -> None:
    """The server does not choose between two grant types."""
    data = [("grant_type", "client_credentials"), ("grant_type", "password")]
    assert (await call("POST", "/oauth2/token", authorization="", data=data)).status == 400


async def test_the_token_endpoint_is_for_post(call: Any) -> None:
    """Another method gets 405 and hears which one is allowed."""
    reply = await call("GET", "/oauth2/token", authorization="")
    assert (reply.status, reply.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize(
    ("authorization", "code"),
    [
        ("", "authorization-token-missing"),
        ("Bearer ", "authorization-token-missing"),
        ("Basic dXNlcjpwYXNz", "authorization-token-missing"),
        ("Bearer nobody-issued-this", "authorization-token-invalid"),
    ],
)
async def test_a_call_without_a_good_token_is_refused(call: Any, authorization: str, code: str) -> None:
    """The problem is of type authorization and says whether the token was missing or unknown."""
    reply = await call("GET", PATH, authorization=authorization)
    assert reply.status == 401
    assert (reply.problem["type"], reply.problem["code"], reply.problem["instance"]) == ("authorization", code, PATH)
    assert reply.problem["traceId"]


async def test_a_token_is_good_for_its_lifetime_and_no_longer(sandbox: Sandbox, clock: Any, call: Any) -> None:
    """A token of 900 seconds works after 899.999 of them and has expired after 900."""
    sandbox.add_contact_list()
    token, start = await call.token(), clock.now
    clock.now = start + 899.999
    assert (await call("GET", PATH, token=token)).status == 200
    clock.now = start + 900
    reply = await call("GET", PATH, token=token)
    assert (reply.status, reply.problem["code"]) == (401, "authorization-token-expired")


async def test_tokens_expire_on_demand(sandbox: Sandbox, call: Any) -> None:
    """After expire_tokens() every earlier token is refused as expired, and a new one works."""
    sandbox.add_contact_list()
    first, second = await call.token(), await call.token()
    sandbox.expire_tokens()
    codes = [(await call("GET", PATH, token=token)).problem["code"] for token in (first, second)]
    assert codes == ["authorization-token-expired"] * 2
    assert (await call("GET", PATH, token=await call.token())).status == 200


async def test_several_tokens_are_good_at_the_same_time(sandbox: Sandbox, call: Any) -> None:
    """A second token does not end the first one's life."""
    sandbox.add_contact_list()
    tokens = [await call.token(), await call.token()]
    assert [(await call("GET", PATH, token=token)).status for token in tokens] == [200, 200]


def test_the_handle_offers_credentials_for_the_client() -> None:
    """The credentials are those that were given, and random ones differ between sandboxes."""
    sandbox = Sandbox(client_id="app", client_secret="planted")
    assert (sandbox.credentials.client_id, sandbox.credentials.client_secret) == ("app", "planted")
    assert "planted" not in repr(sandbox) + repr(sandbox._state)
    assert Sandbox().client_secret != Sandbox().client_secret
