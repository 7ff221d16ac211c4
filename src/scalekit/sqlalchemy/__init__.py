"""What stores on SQLite and PostgreSQL have in common: engines, deadlines, failures. Nothing is public."""

__all__: list[str] = []
