"""The fake Hub keeps to the wire reference: each test talks to it over HTTP."""
