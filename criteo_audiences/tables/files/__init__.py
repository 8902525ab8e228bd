"""From bytes to a `Layout`: what a file is, settled before the engine reads it."""

__all__: list[str] = []
