"""The release."""

__version__ = "0.1.0"
"""The installed release, such as `0.1.0`."""
