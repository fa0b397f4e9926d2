"""The one HTML file: everything inlined, nothing fetched, the data whole, and of a size to send around."""

from __future__ import annotations

import base64
import gzip
import io
import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from flowsolve.errors import ResultsError, StateError
from flowsolve.explorer import export, own, page, write
from flowsolve.explorer.sprites import NFES, SOLVERS, png, run, shipped
from flowsolve_solvers import Heun
from tests.helpers import says


@cache
def data() -> dict[str, Any]:
    return export(steps=(2,))


def test_the_page_is_whole_and_fetches_nothing() -> None:
    text = page.page(data() | {"sprites": shipped()}, docs='https://a.b/"c"/')
    scripts = [f for f in page.PAGE.iterdir() if f.name.endswith(".js")]
    assert len(scripts) >= 6
    assert not [f.name for f in scripts if f.read_text("utf-8") not in text]
    assert 'data-docs="https://a.b/&quot;c&quot;/"' in text
    assert not re.search(r"<link|<script[^>]* src=|<img[^>]* src=.http|@import|url\(.?http", text)
    (packed,) = re.findall(
        r'<script type="application/octet-stream" id="data">([\w+/=]+)</script>', text
    )
    found = json.loads(gzip.decompress(base64.b64decode(packed)))
    assert found == json.loads(json.dumps(data() | {"sprites": shipped()}))
    assert page.packed_text(data()) == page.packed_text(data())


def test_write(tmp_path: Path) -> None:
    out = write(tmp_path / "mine.html", [own(Heun())], steps=(2,))
    assert out.read_text("utf-8").lower().startswith("<!doctype html>")
    missing = tmp_path / "no" / "mine.html"
    says(ResultsError, f"cannot write {missing}: No such file", lambda: write(missing, steps=(2,)))
    says(StateError, "a path is a text or a Path", lambda: write(3))  # type: ignore[arg-type]


def grey(address: str) -> torch.Tensor:
    picture = Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2])))
    return torch.from_numpy(np.array(picture, dtype=np.int64))


def test_the_shipped_digits_are_what_the_network_makes() -> None:
    """A few of them, made again; grey levels may differ by rounding on another machine."""
    made = shipped()
    assert [*made["solvers"]] == [*SOLVERS]
    assert {*made["png"]} == {*made["error"]} == {f"{key}|{nfe}" for key in SOLVERS for nfe in NFES}
    for name in ("default|5", "heun|5", "unipc|8"):
        x, seen = run(name.split("|")[0], int(name.split("|")[1]))
        assert x.shape == (made["count"], 1, made["size"], made["size"])
        assert (grey(png([x])) - grey(made["png"][name])).abs().max() <= 1
        if name in made["way"]:
            way = made["way"][name]
            assert way["sigmas"] == pytest.approx([sigma for sigma, _ in seen])
            assert (grey(png([x0 for _, x0 in seen])) - grey(way["png"])).abs().max() <= 1


def test_errors_of_the_shipped_digits_fall() -> None:
    made = shipped()
    for key in SOLVERS:
        errors = [made["error"][f"{key}|{nfe}"] for nfe in (10, 20, 64)]
        assert errors == sorted(errors, reverse=True)
        assert errors[-1] < 0.03
