"""What a client is built from when it is not written in Python: variables, secret files, profiles."""

from criteo_audiences.settings.environment import Login, SharedQuota, read_login, read_shared_quota

__all__ = ["Login", "SharedQuota", "read_login", "read_shared_quota"]
