"""What a client is built from when it is not written in Python: variables, secret files, profiles."""

from criteo_audiences.settings.environment import Settings, read_settings

__all__ = ["Settings", "read_settings"]
