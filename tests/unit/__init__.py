"""Tests without I/O beyond a temporary folder: names, policies, keys, settings, log lines, the daily view."""
