from collections.abc import Callable
from typing import Any

import pytest

from criteo_audiences.sandbox import Sandbox

PATH = "/2026-07/marketing-solutions/audience-segments/300001/contact-list/statistics"
URI = "https://app.example/callback"
DAY = 86_400
Connect = Callable[[Sandbox], Any]


def code_form(sandbox: Sandbox, **options: Any) -> dict[str, str]:
    """Returns a good form for a new code."""
    login = sandbox.authorization_code(**options)
    form = {"grant_type": "authorization_code", "code": login.code, "redirect_uri": login.redirect_uri}
    return form | ({"code_verifier": login.code_verifier} if login.code_verifier else {})


def refresh_form(token: str) -> dict[str, str]:
    """Returns the form of a refresh."""
    return {"grant_type": "refresh_token", "refresh_token": token}


@pytest.mark.parametrize("options", [{"pkce": True}, {"pkce": False}])
async def test_a_code_gives_both_tokens_once(sandbox: Sandbox, call: Any, options: dict[str, Any]) -> None:
    """A code is good for an access token and a refresh token, and used up by that."""
    sandbox.add_contact_list()
    form = code_form(sandbox, **options)
    reply = await call.grant(**form)
    assert (reply.status, reply.body["token_type"], reply.body["expires_in"]) == (200, "Bearer", 900)
    assert (await call("GET", PATH, token=reply.body["access_token"])).status == 200
    assert (await call.grant(**refresh_form(reply.body["refresh_token"]))).status == 200
    again = await call.grant(**form)
    assert (again.status, again.body["error"]) == (400, "invalid_grant")


@pytest.mark.parametrize(
    ("options", "changes"),
    [
        ({}, {"code": "wrong"}),
        ({}, {"redirect_uri": URI + "/"}),
        ({}, {"code_verifier": "v" * 43}),
        ({}, {"code_verifier": "ü"}),
        ({}, {"code_verifier": None}),
        ({"pkce": False}, {"code_verifier": "v" * 43}),
    ],
)
async def test_a_wrong_code_is_refused_and_used_up(
    sandbox: Sandbox, call: Any, options: dict[str, Any], changes: dict[str, Any]
) -> None:
    """A code needs its own redirect URI and verifier, and a wrong try is its only one."""
    form = code_form(sandbox, **options)
    wrong = {name: value for name, value in {**form, **changes}.items() if value is not None}
    for fields in (wrong, form if "code" not in changes else wrong):
        reply = await call.grant(**fields)
        assert (reply.status, reply.body["error"]) == (400, "invalid_grant")
        assert reply.body["error_description"]


@pytest.mark.parametrize(
    ("grant", "missing"),
    [("authorization_code", "code"), ("authorization_code", "redirect_uri"), ("refresh_token", "refresh_token")],
)
async def test_a_missing_field_is_an_invalid_request(sandbox: Sandbox, call: Any, grant: str, missing: str) -> None:
    """The refusal names the field that RFC 6749 demands."""
    form = code_form(sandbox) | refresh_form("r") | {"grant_type": grant, missing: ""}
    reply = await call.grant(**form)
    assert (reply.status, reply.body["error"]) == (400, "invalid_request")
    assert missing in reply.body["error_description"]


async def test_the_application_is_checked_before_the_grant(sandbox: Sandbox, call: Any) -> None:
    """A wrong secret is refused as such, and uses no code up."""
    form = code_form(sandbox)
    reply = await call.grant(**form, client_secret="wrong")
    assert (reply.status, reply.body["error"]) == (401, "invalid_client")
    assert (await call.grant(**form)).status == 200


async def test_codes_and_refresh_tokens_end(sandbox: Sandbox, clock: Any, call: Any) -> None:
    """A code lives 10 minutes, a refresh token six months of 182 days, and not a moment longer."""
    start = clock.now
    early, late = code_form(sandbox), code_form(sandbox)
    tokens = [sandbox.refresh_token().refresh_token for _ in range(2)]
    clock.now = start + 599.999
    assert (await call.grant(**early)).status == 200
    clock.now = start + 600
    assert (await call.grant(**late)).body["error"] == "invalid_grant"
    clock.now = start + 182 * DAY - 1
    assert (await call.grant(**refresh_form(tokens[0]))).status == 200
    clock.now = start + 182 * DAY
    assert (await call.grant(**refresh_form(tokens[1]))).body["error"] == "invalid_grant"


@pytest.mark.parametrize(
    ("rotation", "after_rotation", "after_use"), [("at-once", 400, 400), ("when-used", 200, 400), ("never", 200, 200)]
)
async def test_a_replaced_refresh_token_dies(
    connect: Connect, rotation: Any, after_rotation: int, after_use: int
) -> None:
    """The old token is dead with the answer, or with the first use of the new one, or there is no new one."""
    async with Sandbox(rotation=rotation) as sandbox:
        call = connect(sandbox)

        async def refresh(token: str) -> Any:
            return await call.grant(**refresh_form(token))

        old = sandbox.refresh_token().refresh_token
        new = (await refresh(old)).body["refresh_token"]
        assert (new == old) is (rotation == "never")
        assert (await refresh(old)).status == after_rotation
        assert (await refresh(new)).status == 200
        assert (await refresh(old)).status == after_use


async def test_revoked_consent_ends_codes_and_tokens(sandbox: Sandbox, call: Any) -> None:
    """No code or refresh token is good after it, access tokens get 403, and the application's own still works."""
    sandbox.add_contact_list()
    form, token = code_form(sandbox), sandbox.refresh_token().refresh_token
    granted = (await call.grant(**code_form(sandbox))).body
    sandbox.revoke_consent()
    for refused in (form, refresh_form(token), refresh_form(granted["refresh_token"])):
        assert (await call.grant(**refused)).body["error"] == "invalid_grant"
    reply = await call("GET", PATH, token=granted["access_token"])
    assert (reply.status, reply.problem["type"]) == (403, "access-control")
    assert (await call("GET", PATH)).status == 200
    assert (await call("GET", PATH, token=(await call.grant(**code_form(sandbox))).body["access_token"])).status == 200


async def test_changed_role_ends_refresh_tokens(sandbox: Sandbox, call: Any) -> None:
    """A refresh token is dead after it; the access token lives to its end."""
    sandbox.add_contact_list()
    granted = (await call.grant(**code_form(sandbox))).body
    sandbox.change_role()
    assert (await call.grant(**refresh_form(granted["refresh_token"]))).body["error"] == "invalid_grant"
    assert (await call("GET", PATH, token=granted["access_token"])).status == 200


@pytest.mark.parametrize("accounts", [1, 2])
async def test_consented_calls_have_a_quota_of_their_own(connect: Connect, clock: Any, accounts: int) -> None:
    """Calls for users share 10 a minute for each account; the application's own quota is left alone."""
    async with Sandbox(clock=clock, accounts=accounts) as sandbox:
        call = connect(sandbox)
        sandbox.add_contact_list()
        login = sandbox.refresh_token()
        assert login.accounts == sandbox.authorization_code().accounts == accounts
        token = (await call.grant(**refresh_form(login.refresh_token))).body["access_token"]
        replies = [await call("GET", PATH, token=token) for _ in range(10 * accounts + 1)]
        assert [reply.status for reply in replies] == [200] * 10 * accounts + [429]
        assert replies[0].headers["x-ratelimit-limit"] == str(10 * accounts)
        assert replies[0].headers["x-ratelimit-remaining"] == str(10 * accounts - 1)
        assert (await call("GET", PATH)).headers["x-ratelimit-remaining"] == "249"


async def test_without_a_limit_there_is_none_for_users_either(connect: Connect) -> None:
    """``rate_limit=None`` means no limit and no headers about it for anybody."""
    async with Sandbox(rate_limit=None) as sandbox:
        call = connect(sandbox)
        sandbox.add_contact_list()
        token = (await call.grant(**code_form(sandbox))).body["access_token"]
        replies = [await call("GET", PATH, token=token) for _ in range(11)]
        assert {reply.status for reply in replies} == {200}
        assert "x-ratelimit-limit" not in replies[-1].headers


def test_wrong_settings_are_refused() -> None:
    """A rotation that there is not, or no account, is refused when the sandbox is made."""
    with pytest.raises(ValueError, match='rotation must be "at-once", "when-used" or "never"'):
        Sandbox(rotation="sometimes")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="at least one call"):
        Sandbox(accounts=0)


def test_the_handle_shows_no_token() -> None:
    """Neither the sandbox nor its logins show what they hold."""
    sandbox = Sandbox(client_secret="planted")
    logins = [sandbox.refresh_token(), sandbox.authorization_code()]
    shown = f"{sandbox!r} {sandbox._state!r} {logins!r}"
    hidden = ["planted", logins[0].refresh_token, logins[1].code, logins[1].code_verifier]
    assert [each for each in hidden if str(each) in shown] == []
