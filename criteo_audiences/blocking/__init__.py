"""The same client for code without an event loop: every name of `criteo_audiences.CriteoClient`, without `await`.

See docs/how-to/blocking.md.
"""

from criteo_audiences.blocking.client import CriteoClient
from criteo_audiences.blocking.twins import Search, UploadStream

__all__ = ["CriteoClient", "Search", "UploadStream"]
