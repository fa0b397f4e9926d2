"""Every row of the table of docs/diffusers.md: `sample` against the loop of diffusers' own scheduler."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import flowsolve as fs
from flowsolve.interop.diffusers import from_diffusers, read_config
from tests.parity.pipelines import NOISE, difference, diffusers, theirs, unet
from tests.parity.rows import ROWS, Row

pytestmark = [
    pytest.mark.parity,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]
found: dict[str, str] = {}


@pytest.fixture(scope="module", autouse=True)
def _print() -> Iterator[None]:
    yield
    print(
        "\n| class | network, levels | solver here | 8 steps | 20 steps |\n|---|---|---|---:|---:|"
    )
    print(*found.values(), sep="\n")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.config['_class_name']}, {row.what}")
def test_a_row(row: Row) -> None:
    name, keys = (
        row.config["_class_name"],
        {k: v for k, v in row.config.items() if k != "_class_name"},
    )
    scheduler = getattr(diffusers, name)(**keys)
    m = from_diffusers(unet(), read_config(row.config, as_shipped=row.as_shipped))
    errors = []
    for n in (8, 20):
        mine = fs.sample(m.ode, NOISE, m.spacing(n), row.solver(n), start=m.start)
        errors.append(difference(mine.x_t, theirs(scheduler, n, unet()), name))
    note = ", as shipped" if row.as_shipped else ""
    cells = " | ".join(f"{error:.0e}" for error in errors)
    solver = row.solver(20)
    found[f"{row.config}"] = f"| `{name}` | {row.what}{note} | `{solver!r}` | {cells} |"
    assert max(errors) < 1e-5
