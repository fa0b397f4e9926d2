"""The table of docs/diffusers.md: differences to diffusers' own schedulers on one random network in float32.

PYTHONPATH=.venv-parity python benchmarks/diffusers_table.py
"""

from __future__ import annotations

import warnings

from tests.parity.pipelines import row_difference
from tests.parity.rows import ROWS


def main() -> None:
    """Print Markdown, a row for each config."""
    warnings.simplefilter("ignore")
    print("| class | network, levels | solver here | 8 steps | 20 steps |")
    print("|---|---|---|---:|---:|")
    for row in ROWS:
        found = " | ".join(f"{row_difference(row, n):.0e}" for n in (8, 20))
        note = ", as shipped" if row.as_shipped else ""
        print(
            f"| `{row.config['_class_name']}` | {row.what}{note} | `{row.solver(20)!r}` | {found} |"
        )


if __name__ == "__main__":
    main()
