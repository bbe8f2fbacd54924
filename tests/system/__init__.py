"""Tests against a real loopback server."""
