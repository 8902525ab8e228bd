"""The code that talks to the columnar engine, DuckDB."""

__all__: list[str] = []
