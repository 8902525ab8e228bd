"""What connects uploads with other programs; each part needs an extra and is imported where it is used."""

__all__: list[str] = []
