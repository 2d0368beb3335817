"""`azlan`, and `python -m azlan`."""

from __future__ import annotations

from azlan.commands.cli import main

if __name__ == "__main__":
    main()
