"""Check the pages of a built site, without a network: links, anchors, pictures, downloads, search, size.

python docs/check_site.py docs/_build/html
"""

from __future__ import annotations

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

MOST = 60 * 2**20  # bytes
ASKED = {"a": "href", "link": "href", "img": "src", "script": "src", "iframe": "src"}


class Page(HTMLParser):
    """What a page can be linked to by, and what it asks for."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.ids, self.links = {""}, list[tuple[str, str]]()
        self.feed(file.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note its id and where it points."""
        found = dict(attrs)
        self.ids |= {value for name in ("id", "name") if (value := found.get(name))}
        if target := found.get(ASKED.get(tag, "")):
            self.links.append((tag, target))
        if target := found.get("data-page"):  # of the explorer, whose script makes it a link
            self.links.append((tag, f"../{target}"))


def problems(root: Path) -> list[str]:
    """What is wrong with the site in this folder, a line each."""
    pages = {file.resolve(): Page(file) for file in sorted(root.rglob("*.html"))}
    wrong = [] if pages else [f"no pages in {root}"]
    for file, page in pages.items():
        here = file.relative_to(root.resolve())
        for tag, target in page.links:
            parts = urlsplit(target)
            if parts.scheme or parts.netloc:
                if tag != "a" and parts.scheme != "data":
                    wrong.append(f"{here}: {tag} needs a network: {target}")
                continue
            to = (file.parent / unquote(parts.path)).resolve() if parts.path else file
            if not to.is_file():
                wrong.append(f"{here}: {target} is not there")
            elif "=" in parts.fragment:
                continue  # the state of a page with scripts, not an anchor
            elif parts.fragment and to in pages and unquote(parts.fragment) not in pages[to].ids:
                wrong.append(f"{here}: {target} has no such anchor")
    if not (root / "searchindex.js").is_file():
        wrong.append("there is no search index")
    size = sum(file.stat().st_size for file in root.rglob("*") if file.is_file())
    if size > MOST:
        wrong.append(f"the site has {size / 2**20:.0f} MB, more than {MOST / 2**20:.0f}")
    return wrong


if __name__ == "__main__":
    found = problems(Path(sys.argv[1]))
    print("\n".join(found) or "links, anchors, pictures and search: nothing missing")
    sys.exit(bool(found))
