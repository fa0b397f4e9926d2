"""Sphinx configuration: `sphinx-build -W -b html docs docs/_build/html`."""

project = "flowsolve"
author = "The flowsolve developers"
copyright = "2026, the flowsolve developers"

extensions = ["myst_parser", "sphinx.ext.autodoc"]
myst_enable_extensions = ["dollarmath", "deflist"]
myst_heading_anchors = 3
exclude_patterns = ["_build", "certificate.md"]

html_theme = "furo"
html_title = "flowsolve"

autodoc_member_order = "bysource"
autodoc_typehints = "none"
autodoc_class_signature = "mixed"


def as_written(app, what, name, obj, options, lines) -> None:  # type: ignore[no-untyped-def]
    """Docstrings are plain text with aligned columns, not reStructuredText: show them as they are."""
    if lines:
        lines[:] = [".. code-block:: text", "", *("   " + line for line in lines), ""]


def setup(app) -> None:  # type: ignore[no-untyped-def]
    """Connect the hook above."""
    app.connect("autodoc-process-docstring", as_written)
