"""The one HTML file: the page's own files and the data, inlined."""

from __future__ import annotations

import base64
import gzip
import html
import json
import re
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from flowsolve._arguments import file_path
from flowsolve.explorer.plans import STEPS, Method, export, methods
from flowsolve.explorer.sprites import shipped
from flowsolve.study.results import write_whole

PAGE = files("flowsolve.explorer") / "page"


def write(
    path: str | Path, own: Sequence[Method] = (), docs: str = "", steps: Sequence[int] = STEPS
) -> Path:
    """The explorer in a file, with the methods `own` beside the library's; some ten seconds of one core.

    own    methods to add, each by `flowsolve.explorer.own(solver)`
    docs   as in `page`
    steps  the numbers of steps to choose among, 1 to 64; fewer make a smaller file, in less time

    Raises ResultsError where the file cannot be written.
    """
    out = file_path(path)
    text = page(export([*methods(), *own], steps) | {"sprites": shipped()}, docs)
    write_whole(out, lambda temporary: temporary.write_text(text, encoding="utf-8"))
    return out


def page(data: dict[str, Any], docs: str = "") -> str:
    """page/index.html with each style sheet and script that it names put in its place, and the data.

    docs  the address of the documentation that links lead to; "" where there is none
    """
    text = (PAGE / "index.html").read_text(encoding="utf-8")

    def style(found: re.Match[str]) -> str:
        return f"<style>\n{_file(found[1])}</style>"

    def script(found: re.Match[str]) -> str:
        return f"<script>\n{_file(found[1])}</script>"

    text = re.sub(r'<link rel="stylesheet" href="([\w.-]+)">', style, text)
    text = re.sub(r'<script src="([\w.-]+)"></script>', script, text)
    packed = packed_text(data)
    text = re.sub(r'(<script type="application/octet-stream" id="data">)', rf"\g<1>{packed}", text)
    return text.replace('data-docs=""', f'data-docs="{html.escape(docs)}"', 1)


def packed_text(data: dict[str, Any]) -> str:
    """JSON, gzip, base64; the same text whenever it is made."""
    plain = json.dumps(data, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return base64.b64encode(gzip.compress(plain.encode(), 9, mtime=0)).decode()


def _file(name: str) -> str:
    return (PAGE / name).read_text(encoding="utf-8")
