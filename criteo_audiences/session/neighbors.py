"""Warns when two clients in this process use the same Criteo application without sharing a limiter."""

import gc
import hashlib
import logging
import secrets
import threading
import warnings
from collections.abc import Collection
from typing import Final
from weakref import WeakKeyDictionary

from yarl import URL

from criteo_audiences.session.auth import TokenSource
from criteo_audiences.session.quota import RateLimiter

_LOG: Final = logging.getLogger("criteo_audiences.quota")
_ROUNDING: Final = 1e-9
_MESSAGE: Final = (
    "Two clients of one Criteo application are in use in this process, each with a limiter of its own: together "
    "they can exceed its quota. Use one client, or give them one rate_limiter, or a Quota(share=...) each whose sum is "
    "at most 1."
)


class Applications:
    """The sessions in use, by application; knows no secret, and keeps no session alive.

    Criteo counts calls by application; a limiter counts only those of its own clients. Two separate limiters would
    each spend the whole window.
    """

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self._lock = threading.Lock()
        self._in_use: dict[bytes, WeakKeyDictionary[object, RateLimiter]] = {}
        self._warned: set[bytes] = set()

    def enter(self, member: object, credentials: TokenSource, base_url: str, limiter: RateLimiter) -> None:
        """Notes a session that is about to make its first call; warns once when its application has others.

        Args:
            member: the session; it leaves by `leave`, or when it is garbage-collected.
            credentials: identify the application.
            base_url: the server, which has a quota of its own: Criteo, or one that stands in for it.
            limiter: the session's.
        """
        digest = self._digest(credentials, base_url)
        with self._lock:
            self._in_use.setdefault(digest, WeakKeyDictionary())[member] = limiter
            crowded = self._is_crowded(digest)
        if not crowded:
            return
        gc.collect()  # an unreachable session may be part of a reference cycle
        with self._lock:
            if not self._is_crowded(digest):
                return
            self._warned.add(digest)
        _LOG.warning("%s", _MESSAGE)
        warnings.warn(_MESSAGE, UserWarning, stacklevel=2)

    def _is_crowded(self, digest: bytes) -> bool:
        return digest not in self._warned and _claim_too_much(list(self._in_use.get(digest, {}).values()))

    def leave(self, member: object) -> None:
        """Forgets a session, which makes no more calls."""
        with self._lock:
            for digest, members in list(self._in_use.items()):
                members.pop(member, None)
                if not members:
                    del self._in_use[digest]

    def _digest(self, credentials: TokenSource, base_url: str) -> bytes:
        """Tells applications apart by a digest whose key this process has made up; nothing can be read from it."""
        where = URL(base_url).authority
        return hashlib.blake2b(repr((where, *_identity(credentials))).encode(), key=self._key).digest()


def _identity(credentials: TokenSource) -> tuple[str | None, int]:
    """Returns what Criteo counts calls by; of a source that does not say, the source itself."""
    key: str | None = getattr(credentials, "quota_key", None)
    return key, 0 if key is not None else id(credentials)


def _claim_too_much(limiters: Collection[RateLimiter]) -> bool:
    """Whether separate limiters together claim more than the one window that they share.

    A limiter that says no share may share its count with others of its kind; it claims what is left.
    """
    distinct = {id(limiter): limiter for limiter in limiters}.values()
    said = [getattr(limiter, "share", None) for limiter in distinct]
    shares: list[float] = [share for share in said if share is not None]
    claimed = sum(shares) + (2 * _ROUNDING if len(shares) < len(distinct) else 0.0)
    return claimed > 1 + _ROUNDING and len(distinct) > 1


APPLICATIONS: Final = Applications()
"""Those of this process."""
