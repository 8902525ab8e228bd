"""All that speaks to the columnar engine, DuckDB."""

__all__: list[str] = []
