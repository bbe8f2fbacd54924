"""The database on a PostgreSQL server: a real one, started for these tests."""
