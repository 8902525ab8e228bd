"""What a client is built from when it is not written in Python: variables, secret files, profiles."""

from criteo_audiences.settings.environment import Login, read_login

__all__ = ["Login", "read_login"]
