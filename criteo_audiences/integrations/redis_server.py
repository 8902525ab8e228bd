"""A Redis server: its URL, the one connection to it, and what goes wrong there in words that hold no secret."""

import asyncio
import hashlib
import re
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import orjson

from criteo_audiences.errors import ConfigurationError, CriteoError
from criteo_audiences.loops import completed

_PATIENCE: Final = 1.0
"""Seconds for a connection and for an answer, unless the URL says otherwise (`?socket_timeout=5`)."""
_MOMENT: Final = 1.0
"""Seconds that an exchange under way gets to end when its caller is cancelled."""
_OLDEST: Final = (5, 0)
"""A script may write after it has asked for the time since Redis 5 (https://redis.io/docs/latest/commands/time/)."""
_SENTINEL: Final = "+sentinel"
_SCHEMES: Final = ("redis", "rediss", "unix", f"redis{_SENTINEL}", f"rediss{_SENTINEL}")


class RedisGoneError(CriteoError):
    """Redis does not answer, or refuses; the message is the kind of the client library's error and no more."""


class RedisServer:
    """Runs scripts on a server, through one connection that is opened when it is needed.

    Args:
        url: `redis://`, `rediss://` (TLS) or `unix://` as redis-py reads them, password and options included; or
            `redis+sentinel://host:26379,host:26379/service/0` with the options `sentinel_username` and
            `sentinel_password`.
        source: the argument or the variable that holds the URL, for messages.

    Raises:
        ConfigurationError: when the extra is not installed, or the URL cannot be read; it never shows the URL.
    """

    def __init__(self, url: str, *, source: str = "url") -> None:
        self._url = url
        self._source = source
        self._redis: Any = None  # its types differ from release to release
        self._was_reached = False
        self._opened()

    async def run(self, script: str, keys: list[str], report: Mapping[str, Any]) -> Any:
        """Runs a script with one JSON argument, and returns the JSON value that it answers.

        Raises:
            RedisGoneError: when no answer came; whether the script ran is then not known.
            ConfigurationError: when the first contact shows a wrong password, or a server that is too old.
        """
        return orjson.loads(
            await self._answered(lambda redis: self._evaluate(redis, script, keys, orjson.dumps(report)))
        )

    async def reach(self) -> None:
        """Opens a connection.

        Raises:
            RedisGoneError: when there is none.
            ConfigurationError: as `run`.
        """
        await self._answered(lambda redis: redis.ping())

    async def _answered(self, command: Callable[[Any], Awaitable[Any]]) -> Any:
        from redis.exceptions import RedisError  # noqa: PLC0415 - needs the extra

        async def exchange() -> Any:
            return await command(await self._connected())

        try:
            # In a task of its own: before Python 3.12, the library's `asyncio.wait_for` can swallow a cancellation.
            return await completed(exchange(), patience=_MOMENT)
        except (RedisError, OSError, TimeoutError) as error:
            failure = self._in_words(error)
        await self.close()
        raise failure  # out of reach of the library's exception, whose text may hold the URL

    async def _evaluate(self, redis: Any, script: str, keys: list[str], argument: bytes) -> Any:
        from redis.exceptions import NoScriptError  # noqa: PLC0415 - needs the extra

        digest = hashlib.sha1(script.encode(), usedforsecurity=False).hexdigest()
        try:
            return await redis.evalsha(digest, len(keys), *keys, argument)
        except NoScriptError:
            return await redis.eval(script, len(keys), *keys, argument)

    async def close(self) -> None:
        """Closes the connection; `run` opens another one."""
        redis, self._redis = self._redis, None
        if redis is not None:
            sentinel = getattr(redis.connection_pool, "sentinel_manager", None)
            try:
                async with asyncio.timeout(_MOMENT):
                    await redis.aclose()
                    for each in sentinel.sentinels if sentinel is not None else ():
                        await each.aclose()
            except (Exception, TimeoutError):  # noqa: BLE001, S110 - it is of no use any more
                pass

    def forget(self) -> None:
        """Drops a connection that belongs to another event loop or process, which alone could close it."""
        self._redis = None

    async def _connected(self) -> Any:
        if self._redis is None:
            self._redis = self._opened()
            info = await self._redis.info("server")
            version = str(info.get("redis_version", ""))
            numbers = tuple(int(part) for part in re.findall(r"[0-9]+", version)[:2])
            if numbers < _OLDEST:
                await self.close()
                wanted = ".".join(map(str, _OLDEST))
                raise ConfigurationError(
                    f"The Redis server of {self._source} has version {version}; use {wanted} or newer."
                )
            self._was_reached = True
        return self._redis

    def _in_words(self, error: Exception) -> Exception:
        from redis.exceptions import AuthenticationError, AuthorizationError, NoPermissionError  # noqa: PLC0415

        refusals = (AuthenticationError, AuthorizationError, NoPermissionError)
        says_no = isinstance(error, refusals) or str(error).startswith(("NOAUTH", "WRONGPASS", "NOPERM"))
        if says_no and not self._was_reached:
            return ConfigurationError(
                f"Redis refuses the login of {self._source} ({type(error).__name__}); check user, password and rights."
            )
        return RedisGoneError(type(error).__name__)

    def _opened(self) -> Any:
        try:
            from redis.asyncio import Redis  # noqa: PLC0415 - needs the extra
            from redis.asyncio.retry import Retry  # noqa: PLC0415
            from redis.backoff import NoBackoff  # noqa: PLC0415
        except ImportError:
            raise ConfigurationError(
                "Redis needs a package that is not installed; run: pip install 'criteo-audiences[redis]'."
            ) from None
        options: dict[str, Any] = {
            "socket_timeout": _PATIENCE,
            "socket_connect_timeout": _PATIENCE,
            "retry": Retry(NoBackoff(), 1),  # a connection that broke while it was idle
        }
        scheme = self._url.partition("://")[0] if isinstance(self._url, str) else ""
        if scheme not in _SCHEMES:
            raise ConfigurationError(
                f"{self._source} must be the URL of a Redis server: {', '.join(f'{each}://' for each in _SCHEMES)}."
            )
        try:
            from_url: Any = self._of_sentinel if scheme.endswith(_SENTINEL) else Redis.from_url
            redis = from_url(self._url, **options)
            redis.connection_pool.make_connection()  # it is not opened: an unknown option shows here
        except (ValueError, TypeError):
            pass
        else:
            return redis
        raise ConfigurationError(f"{self._source} cannot be read as the URL of a Redis server; check port and options.")

    @staticmethod
    def _of_sentinel(url: str, **options: Any) -> Any:
        """Reads `redis+sentinel://user:password@host:port,host:port/service/0?option=...`."""
        from redis.asyncio.connection import parse_url  # noqa: PLC0415
        from redis.asyncio.sentinel import Sentinel  # noqa: PLC0415

        parts = urlsplit(url)
        login, _, hosts = parts.netloc.rpartition("@")
        service, _, database = parts.path.strip("/").partition("/")
        query = dict(parse_qsl(parts.query))
        of_sentinels = {
            name: query.pop(f"sentinel_{name}") for name in ("username", "password") if f"sentinel_{name}" in query
        }
        scheme = parts.scheme.removesuffix(_SENTINEL)
        plain = urlunsplit(
            (scheme, f"{login}@localhost" if login else "localhost", f"/{database}", urlencode(query), "")
        )
        known: dict[str, Any] = {**options, **parse_url(plain)}
        for name in ("host", "port", "connection_class"):
            known.pop(name, None)
        if scheme == "rediss":
            known["ssl"] = True
        sentinels = [
            (host.rpartition(":")[0] or host, int(host.rpartition(":")[2] or 26379)) for host in hosts.split(",")
        ]
        if not service or not all(name for name, _ in sentinels):
            raise ValueError
        timeouts = {name: known[name] for name in ("socket_timeout", "socket_connect_timeout")}
        finder: Any = Sentinel
        return finder(sentinels, sentinel_kwargs={**timeouts, **of_sentinels}, **known).master_for(service)


def script_text(name: str) -> str:
    """Returns a script of this package."""
    return (Path(__file__).parent / name).read_text("utf-8")
