"""docs/check_site.py, which `make docs` runs on the built pages: it names what is broken and nothing else."""

from __future__ import annotations

import runpy
from collections.abc import Callable
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "docs" / "check_site.py"
PAGE = (
    '<h1 id="top">One</h1><a href="two.html#here">two</a><a href="#top">up</a><a href="#n=1">1</a>'
)
OTHER = '<p id="here">Two</p><img src="a.png"><a href="https://example.org">out</a>'


@pytest.fixture(scope="module")
def problems() -> Callable[[Path], list[str]]:
    found: Callable[[Path], list[str]] = runpy.run_path(str(SCRIPT))["problems"]
    return found


def site(root: Path, page: str = PAGE, other: str = OTHER) -> Path:
    (root / "one.html").write_text(page, encoding="utf-8")
    (root / "two.html").write_text(other, encoding="utf-8")
    (root / "a.png").write_bytes(b"png")
    (root / "searchindex.js").write_text("", encoding="utf-8")
    return root


def test_a_whole_site_passes(problems: Callable[[Path], list[str]], tmp_path: Path) -> None:
    assert problems(site(tmp_path)) == []


@pytest.mark.parametrize(
    ("page", "said"),
    [
        ('<a href="three.html">x</a>', "one.html: three.html is not there"),
        ('<a href="two.html#gone">x</a>', "one.html: two.html#gone has no such anchor"),
        ('<a href="#gone">x</a>', "one.html: #gone has no such anchor"),
        ('<img src="b.png">', "one.html: b.png is not there"),
        ('<a data-page="gone.html">x</a>', "one.html: ../gone.html is not there"),
        (
            '<script src="https://cdn.example/x.js"></script>',
            "one.html: script needs a network: https://cdn.example/x.js",
        ),
    ],
)
def test_what_is_broken_is_named(
    page: str, said: str, problems: Callable[[Path], list[str]], tmp_path: Path
) -> None:
    assert problems(site(tmp_path, page)) == [said]


def test_search_and_pages_must_be_there(
    problems: Callable[[Path], list[str]], tmp_path: Path
) -> None:
    assert problems(tmp_path) == [f"no pages in {tmp_path}", "there is no search index"]
