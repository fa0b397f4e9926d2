"""What the site does that Sphinx does not: plain docstrings, links of types, solutions that open, pictures."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform
from sphinx_gallery.scrapers import figure_rst

ORDER = (
    "ddim_is_euler", "trajectories", "coefficient_table", "convergence", "error_vs_nfe",
    "your_own_network", "own_network_study", "flow_matching", "guidance", "adaptive_or_fixed", "sde_or_ode",
    "interpolation", "editing", "brightness", "train_digits", "train_classifier", "train_networks",
)  # fmt: skip
MATHJAX = (
    "tex-chtml.js",
    "output/chtml/fonts/woff-v2",
)  # what pages load, of the 24 MB that come with it


def in_order(name: str) -> tuple[int, str]:
    """Where an example or a lesson stands in its gallery."""
    stem = Path(name).stem
    return (ORDER.index(stem) if stem in ORDER else len(ORDER), stem)


def saved_pictures(block: Any, block_vars: dict[str, Any], gallery_conf: dict[str, Any]) -> str:
    """The pictures that a cell of an example wrote beside it, moved to where its page shows them."""
    source = Path(block_vars["src_file"])
    taken = []
    for picture in sorted(source.parent.glob(f"{source.stem}*.png")):
        place = next(block_vars["image_path_iterator"])
        shutil.move(picture, place)
        taken.append(place)
    return figure_rst(taken, gallery_conf["src_dir"], source.stem.replace("_", " "))


def as_written(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Docstrings are plain text with aligned columns, not reStructuredText: show them as they are."""
    if lines:
        body = ["   " + line for line in lines]
        lines[:] = [".. code-block:: text", "   :class: docstring", "", *body, ""]


def by_last_part(app: Sphinx, env: Any, node: Any, content: Any) -> Any:
    """A type that a signature names without its module: its entry, where one only has that name."""
    if node.get("refdomain") != "py":
        return None
    last = node["reftarget"].rpartition(".")[2]
    objects = env.domaindata["py"]["objects"]
    places = {o.node_id: o for name, o in objects.items() if name.rpartition(".")[2] == last}
    names = {o.docname for o in places.values()}
    kept = [o for o in places.values() if o.objtype in ("class", "data", "exception")]
    if len(names) != 1 or len(kept) != 1:
        return None
    uri = app.builder.get_relative_uri(node["refdoc"], kept[0].docname)
    return nodes.reference("", "", content, internal=True, refuri=f"{uri}#{kept[0].node_id}")


class Solutions(SphinxTransform):
    """Sections with the title "Solution" are closed until a reader opens them."""

    default_priority = 300

    def apply(self, **kwargs: Any) -> None:
        """Replace each by its contents between <details> and </details>."""
        for section in list(self.document.findall(nodes.section)):
            title = section.next_node(nodes.title)
            if title is not None and title.astext() == "Solution":
                start = '<details class="solution"><summary>Solution</summary>'
                section.parent.replace(
                    section,
                    [
                        nodes.raw("", start, format="html"),
                        *(child for child in section.children if child is not title),
                        nodes.raw("", "</details>", format="html"),
                    ],
                )


def closed(app: Sphinx) -> None:
    """In notebooks and their archives too, the code of a solution is hidden until it is opened."""
    learn, written = Path(app.srcdir) / "learn", dict[str, str]()
    for file in sorted(learn.glob("*.ipynb")):
        notebook, solution = json.loads(file.read_text(encoding="utf-8")), False
        for cell in notebook["cells"]:
            first = "".join(cell["source"]).strip().partition("\n")[0]
            if cell["cell_type"] == "markdown":
                solution = first == "### Solution"
            elif solution:
                cell["metadata"] = {"jupyter": {"source_hidden": True}, "collapsed": False}
        written[file.name] = json.dumps(notebook, indent=1)
        file.write_text(written[file.name], encoding="utf-8")
    for archive in sorted(learn.glob("*.zip")):
        with ZipFile(archive) as old:
            parts = {name: old.read(name) for name in old.namelist()}
        with ZipFile(archive, "w", ZIP_DEFLATED) as new:
            for name, data in parts.items():
                new.writestr(name, written.get(Path(name).name, data))


def explorer(app: Sphinx, error: Exception | None) -> None:
    """Write the explorer's page into the site."""
    if error is None and app.builder.format == "html":
        from flowsolve.explorer import write

        write(Path(app.outdir) / "_static" / "explorer.html", docs="../")


def smaller(app: Sphinx, error: Exception | None) -> None:
    """Leave of MathJax what pages load."""
    root = Path(app.outdir) / "_static" / "mathjax"
    if error is None and root.exists():
        kept = [root / part for part in MATHJAX]
        for file in [f for f in root.rglob("*") if f.is_file()]:
            if not any(file == part or part in file.parents for part in kept):
                file.unlink()
        for folder in sorted((f for f in root.rglob("*") if f.is_dir()), reverse=True):
            if not any(folder.iterdir()):
                folder.rmdir()


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect all of it."""
    app.connect("autodoc-process-docstring", as_written)
    app.connect("missing-reference", by_last_part)
    app.connect("builder-inited", closed, priority=900)  # after the gallery
    app.connect("build-finished", explorer)
    app.connect("build-finished", smaller, priority=900)  # after the copy
    app.add_transform(Solutions)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
