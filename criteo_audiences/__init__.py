"""Push customer lists into Criteo audiences, asynchronously. Unofficial, not affiliated with Criteo."""

__version__ = "0.1.0"
