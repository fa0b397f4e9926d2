"""Makes flowsolve/explorer/sprites.json, the images of the explorer."""

from __future__ import annotations

import json
from pathlib import Path

from flowsolve.explorer.sprites import sprites


def main() -> None:
    out = Path(__file__).parents[1] / "flowsolve" / "explorer" / "sprites.json"
    out.write_text(json.dumps(sprites(), indent=1) + "\n")
    print(f"{out}: {out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
