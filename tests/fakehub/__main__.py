"""`python -m tests.fakehub`."""

from __future__ import annotations

import sys

from tests.fakehub.command_line import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
