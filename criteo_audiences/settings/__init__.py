"""What a client is to be built from, where nobody writes it down in Python: variables, secret files, profiles."""

from criteo_audiences.settings.environment import Settings, read_settings

__all__ = ["Settings", "read_settings"]
