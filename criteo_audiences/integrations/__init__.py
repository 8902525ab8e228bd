"""Connects uploads with other programs; each module needs an extra and is imported only where it is used."""

__all__: list[str] = []
