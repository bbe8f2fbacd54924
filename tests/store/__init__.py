"""Tests of the store, the limiter and the worker, on real SQLite files."""
