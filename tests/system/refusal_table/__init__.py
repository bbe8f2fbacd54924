"""One row per refusal of the far end: what it sent, what the harvester did, what the operator saw."""
