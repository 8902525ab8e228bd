"""A refresh token that lives in a file, which other processes may use as well."""

import asyncio
from pathlib import Path

from criteo_audiences.session import AccessToken, Quota
from criteo_audiences.session.auth import Grant
from criteo_audiences.session.consent import RefreshToken
from criteo_audiences.session.loops import LoopLock
from criteo_audiences.settings.files import read_secret, write_secret
from criteo_audiences.settings.turns import turn


class StoredRefreshToken:
    """A `RefreshToken` whose file is read before each renewal and written after each rotation; a `TokenSource`.

    Reading it again picks up what another process has stored there since: its token may have replaced ours. Processes
    of one machine renew in turn.

    Args:
        login: what was read from the file.
        path: the file.
        source: the variable or the key that names it, for messages.
    """

    def __init__(self, login: RefreshToken, path: Path, *, source: str) -> None:
        self._login = login
        self._path = path
        self._source = source
        self._is_stored = True
        self._lock = LoopLock()
        login.on_rotate = self._store

    @property
    def quota(self) -> Quota:
        """What the grant allows."""
        return self._login.quota

    async def token(self, grant: Grant) -> AccessToken:
        """See `TokenSource.token`."""
        async with self._lock.held(), turn(self._folder()):  # no renewal may read what another one is about to replace
            if self._is_stored:
                # Not in a thread: the future that brings it back can show it in a debug log of asyncio's.
                self._login.refresh_token = read_secret(self._path, source=self._source)
            return await self._login.token(grant)

    def _folder(self) -> Path:
        return self._path.resolve().parent

    async def _store(self, token: str) -> None:
        self._is_stored = False
        await asyncio.to_thread(write_secret, self._path, token, source=self._source)
        self._is_stored = True
