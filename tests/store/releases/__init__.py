"""A small database of each release, as the SQL text that makes it, so that every later program is tried on it.

`python -m tests.store.releases` makes the next one: with the program as it is here it harvests a small Docker Hub twice,
with pushes, a deletion and a new repository in between, and writes `VERSION-REVISION.sql` beside this file. Make one when a
release is cut, and alter none afterwards: what an old program wrote is not to be improved. `--program FOLDER` harvests with
another checkout.
"""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parent
