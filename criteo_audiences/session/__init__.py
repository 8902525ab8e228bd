"""The session core: knows HTTP and Criteo's conventions, but no endpoint."""

from criteo_audiences.loops import Clock, SystemClock
from criteo_audiences.meter import Event
from criteo_audiences.session.auth import AccessToken, ClientCredentials, Grant, StaticToken, TokenSource
from criteo_audiences.session.protocol import Request, Response
from criteo_audiences.session.quota import LocalRateLimiter, Quota, RateLimiter
from criteo_audiences.session.retry import RetryPolicy
from criteo_audiences.session.session import Session
from criteo_audiences.session.transport import AiohttpTransport, Exchange, Transport

__all__ = [
    "AccessToken",
    "AiohttpTransport",
    "ClientCredentials",
    "Clock",
    "Event",
    "Exchange",
    "Grant",
    "LocalRateLimiter",
    "Quota",
    "RateLimiter",
    "Request",
    "Response",
    "RetryPolicy",
    "Session",
    "StaticToken",
    "SystemClock",
    "TokenSource",
    "Transport",
]
