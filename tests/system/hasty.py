"""`harvester` that looks at the log beside the database every second, and warns as often. Run as a module, with its arguments."""

from __future__ import annotations

import sys

from harvester import gate
from harvester.cli import main

gate.LOOK_S = 1.0
gate.WARN_S = 1.0

if __name__ == "__main__":
    sys.argv[0] = "harvester"
    main()
