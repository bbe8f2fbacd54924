"""Trials: what whole harvests cost in requests, against the least that any could cost. Commands that print figures."""
