"""Sphinx configuration: `make docs`. Executes the lessons and the examples."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "flowsolve"
author = "The flowsolve developers"
copyright = "2026, the flowsolve developers"

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx_gallery.gen_gallery",
    "sphinx-mathjax-offline",
    "flowsolve_docs",
]
myst_enable_extensions = ["dollarmath", "deflist"]
myst_heading_anchors = 3
exclude_patterns = [
    "_build",
    "certificate.md",
    "lessons",
    "sg_execution_times.rst",
    "*/sg_execution_times.rst",
]

html_theme = "furo"
html_title = "flowsolve"
html_static_path = ["_static"]
html_css_files = ["flowsolve.css"]
html_show_sourcelink = False
html_copy_source = False

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_class_signature = "mixed"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
maximum_signature_line_length = 88

suppress_warnings = ["ref.python"]  # two classes are called Report: a type may name either

sphinx_gallery_conf = {
    "examples_dirs": ["lessons", "../examples"],
    "gallery_dirs": ["learn", "gallery"],
    "filename_pattern": r"/(?!train_)\w+\.py",  # those that train what ships are shown, not run
    "within_subsection_order": "flowsolve_docs.in_order",
    "image_scrapers": ("matplotlib", "flowsolve_docs.saved_pictures"),
    "capture_repr": ("_repr_html_",),
    "abort_on_example_error": True,
    "download_all_examples": True,
    "show_signature": False,
    "write_computation_times": False,
    "inspect_global_variables": False,
    "thumbnail_size": (480, 320),
    "remove_config_comments": True,
    "parallel": 2,
}
