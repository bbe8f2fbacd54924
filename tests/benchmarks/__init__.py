"""Benchmarks: run by hand, never by pytest. `README.md` says how."""
