"""Which base URLs are accepted, and where they lead."""

from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from criteo_audiences.errors import ConfigurationError
from criteo_audiences.session.transport import check_base_url


@pytest.mark.parametrize(
    ("base_url", "kept"),
    [
        ("https://api.criteo.com", "https://api.criteo.com"),
        ("https://api.criteo.com/", "https://api.criteo.com"),
        ("HTTPS://api.criteo.com:8443/gateway/", "https://api.criteo.com:8443/gateway"),
        ("http://localhost", "http://localhost"),
        ("http://LOCALHOST:8080/", "http://localhost:8080"),
        ("http://127.0.0.1:5000", "http://127.0.0.1:5000"),
        (" HTTP://127.0.0.1\t", "http://127.0.0.1"),
        ("http://localhost:", "http://localhost"),
        ("http://127.0.0.1:80", "http://127.0.0.1"),
        ("https://b\u00fccher.example", "https://xn--bcher-kva.example"),
        ("https://api.criteo.com./", "https://api.criteo.com."),
        ("https://api.criteo.com:443/a/../b", "https://api.criteo.com/b"),
        ("http://127.9.9.9", "http://127.9.9.9"),
        ("http://[::1]:5000", "http://[::1]:5000"),
    ],
)
def test_base_url_is_accepted(base_url: str, kept: str) -> None:
    """HTTPS is accepted anywhere, plain HTTP to this machine; a last slash is dropped."""
    assert check_base_url(base_url) == kept


@pytest.mark.parametrize(
    ("base_url", "reason"),
    [
        ("http://example.com", "must use HTTPS"),
        ("http://127.0.0.1.example.com", "must use HTTPS"),
        ("http://localhost.example.com", "must use HTTPS"),
        ("http://127.0.0.1@example.com", "without credentials"),
        ("http:\\\\127.0.0.1", "must be an HTTPS URL"),
        ("http://127.0.0.1\\@example.com", "must be an HTTPS URL"),
        ("http://127.0.0\n.1", "must be an HTTPS URL"),
        ("http://127.0\t.0.1", "must be an HTTPS URL"),
        ("http://127.0.0.1%00.example.com", "must be an HTTPS URL"),
        ("https:/api.criteo.com", "must be an HTTPS URL"),
        ("http://@127.0.0.1", "without credentials"),
        ("http://127.1", "must use HTTPS"),
        ("http://0x7f.1", "must use HTTPS"),
        ("http://localhost.", "must use HTTPS"),
        ("https://api.criteo.com?", "must not have a query"),
        ("https://api.criteo.com#", "must not have a query"),
        ("http://10.0.0.1", "must use HTTPS"),
        ("http://0.0.0.0", "must use HTTPS"),
        ("http://[::2]", "must use HTTPS"),
        ("http://2130706433", "must use HTTPS"),
        ("https://user:planted-secret@api.criteo.com", "without credentials"),
        ("https://:planted-secret@api.criteo.com", "without credentials"),
        ("ftp://api.criteo.com", "must be an HTTPS URL"),
        ("file:///etc/passwd", "must be an HTTPS URL"),
        ("api.criteo.com", "must be an HTTPS URL"),
        ("//api.criteo.com", "must be an HTTPS URL"),
        ("https://", "must be an HTTPS URL"),
        ("https:///path", "must be an HTTPS URL"),
        ("garbage", "must be an HTTPS URL"),
        ("", "must be an HTTPS URL"),
        (None, "must be an HTTPS URL"),
        (5, "must be an HTTPS URL"),
        ("https://[::1", "must be an HTTPS URL"),
        ("https://[::1]user:planted-secret@", "must be an HTTPS URL"),
        ("https://api.criteo.com:port", "must be an HTTPS URL"),
        ("https://api.criteo.com:99999", "must be an HTTPS URL"),
        ("https://api.criteo.com?x=planted-secret", "must not have a query"),
        ("https://api.criteo.com#x", "must not have a query"),
    ],
)
def test_base_url_is_refused(base_url: Any, reason: str) -> None:
    """Any other base URL is refused in one sentence with an example, without showing what was given."""
    with pytest.raises(ConfigurationError, match=reason) as caught:
        check_base_url(base_url)
    assert str(caught.value).startswith("The base URL ")
    assert "https://api.criteo.com" in str(caught.value)
    assert "planted" not in str(caught.value)


HOSTS = [
    "127.0.0.1",
    "LOCALHOST",
    "[::1]",
    "127.1",
    "0x7f.1",
    "evil.example",
    "localhost.evil.example",
    "\uff11\uff12\uff17.0.0.1",
    "",
    "b\u00fc.example",
]


PARTS = [" ", "\t", "\n", "\\", "@", ":", ":80", ".", "/", "//", "?", "#", "%2e", "%00", "user:pw@", "\u3002", "x"]


@given(
    scheme=st.sampled_from(["http", "HTTP", "https", "HtTpS", "ftp", ""]),
    colon=st.sampled_from(["://", ":/", ":", "//", ":\\\\", "://@"]),
    rest=st.lists(st.sampled_from(HOSTS + PARTS), max_size=5),
    before=st.sampled_from(["", " ", "\t", "\x00", "\ufeff"]),
)
def test_what_is_accepted_leads_where_the_check_looked(scheme: str, colon: str, rest: list[str], before: str) -> None:
    """It is in its normal form, and HTTPS or to this machine for each program that reads URLs."""
    try:
        kept = check_base_url(before + scheme + colon + "".join(rest))
    except ConfigurationError:
        return
    assert check_base_url(kept) == kept
    standard, sent = urlsplit(kept), URL(kept + "/x", encoded=True)
    assert standard.scheme == sent.scheme
    assert standard.hostname == sent.host_subcomponent.strip("[]") if sent.host_subcomponent else False
    assert (standard.username, standard.password, standard.query, standard.fragment) == (None, None, "", "")
    assert standard.scheme == "https" or standard.hostname in {"localhost", "127.0.0.1", "::1"}
