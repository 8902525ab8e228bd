"""`CRITEO_QUOTA_URL`: what it needs, and what is refused before any call."""

from pathlib import Path

import pytest

from criteo_audiences import ConfigurationError, CriteoClient, Quota
from criteo_audiences.integrations.redis import RedisQuota

URL = "redis://:hunter2@127.0.0.1:1/0"


@pytest.fixture(autouse=True)
def _application(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRITEO_CLIENT_ID", "app")
    monkeypatch.setenv("CRITEO_CLIENT_SECRET", "s3cret")
    monkeypatch.delenv("CRITEO_PROFILE", raising=False)


def limiter_of(**options: object) -> RedisQuota:
    """Returns the limiter of a client that the environment describes."""
    limiter = CriteoClient.from_env(**options)._session.limiter
    assert isinstance(limiter, RedisQuota)
    return limiter


def test_application_names_its_quota(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients of one application and host share a key, from which no client id can be read; a variable overrides it."""
    monkeypatch.setenv("CRITEO_QUOTA_URL", URL)
    keys = limiter_of()._keys
    assert limiter_of()._keys == keys
    assert "app" not in "".join(keys)
    assert limiter_of(base_url="https://other.example")._keys != keys
    monkeypatch.setenv("CRITEO_QUOTA_KEY", "agency")
    assert limiter_of()._keys[0] == "criteo:quota:{agency}:state"


def test_quota_of_the_caller_is_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A quota that is given in Python is the window that is shared, and the client says so."""
    file = tmp_path / "url"
    file.write_text(URL)
    monkeypatch.setenv("CRITEO_QUOTA_URL_FILE", str(file))
    client = CriteoClient.from_env(quota=Quota(100, period=30.0, share=0.5))
    assert client.quota == Quota(100, period=30.0, share=0.5)
    assert client._session.limiter.window == (50, 30.0)
    assert CriteoClient.from_env().quota == Quota(250)


def test_limiter_of_the_caller_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who brings a limiter gets it, whatever the variable says."""
    monkeypatch.setenv("CRITEO_QUOTA_URL", "nonsense")
    mine = RedisQuota(URL, key="mine")
    assert CriteoClient.from_env(rate_limiter=mine)._session.limiter is mine


def test_login_with_consent_must_name_its_account(monkeypatch: pytest.MonkeyPatch) -> None:
    """Criteo counts such calls by account, which no setting but the key names."""
    monkeypatch.setenv("CRITEO_QUOTA_URL", URL)
    monkeypatch.setenv("CRITEO_REFRESH_TOKEN", "token")
    with pytest.raises(ConfigurationError, match="CRITEO_QUOTA_KEY is not set"):
        CriteoClient.from_env()
    monkeypatch.setenv("CRITEO_QUOTA_KEY", "account-7")
    assert limiter_of().window == (10, 60.0)


@pytest.mark.parametrize(
    "url",
    [
        "http://:hunter2@h",
        "redis://:hunter2@h:port/0",
        "redis+sentinel://:hunter2@h:26379",
        "hunter2",
        "redis://h?socket_timeout=x",
        "redis://h?color=hunter2",
    ],
)
def test_url_that_cannot_be_read_is_refused(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """A wrong URL is named by its variable, and never shown."""
    monkeypatch.setenv("CRITEO_QUOTA_URL", url)
    with pytest.raises(ConfigurationError, match=r"^CRITEO_QUOTA_URL ") as raised:
        CriteoClient.from_env()
    assert "hunter2" not in str(raised.value)
    assert raised.value.__cause__ is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"key": ""}, "key must be a text"),
        ({"key": "a{b}"}, "has no braces"),
        ({"key": "a", "slack": -1}, "slack must be"),
        ({"key": "a", "calls": 0}, "Quota calls must be"),
        ({"key": "a", "share": 2}, "Quota share must be"),
    ],
)
def test_wrong_argument_is_refused(options: dict[str, object], message: str) -> None:
    """An argument that cannot be used is named when the limiter is made."""
    with pytest.raises(ConfigurationError, match=message):
        RedisQuota(URL, **options)  # type: ignore[arg-type]
