"""Inspects files before the engine reads them, and describes each with a `Layout`."""

__all__: list[str] = []
