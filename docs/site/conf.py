"""Sphinx's configuration of the site: nothing is fetched, pages are whole without JavaScript."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import labkit

if TYPE_CHECKING:
    from sphinx.application import Sphinx

project = "labkit"
author = "the labkit authors"
version = release = labkit.__version__
extensions = ["myst_nb", "sphinx.ext.autodoc"]
default_role = "code"  # docstrings write `code` between single backticks

html_theme = "furo"
html_title = "labkit"
html_static_path = ["site.css"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False

myst_heading_anchors = 4

# The lessons were run before, in the lab: tools/website/lessons.py.
nb_execution_mode = "off"
nb_output_stderr = "error"
nb_ipywidgets_js = {}  # a page has no controls
nb_code_prompt_show = "Show a solution"
nb_code_prompt_hide = "Hide the solution"
autodoc_member_order = "bysource"
autodoc_class_signature = "mixed"

_CODE = re.compile(r"(`[^`]*`)")
_DOTTED = re.compile(r"~[\w.]+\.(\w+)")
_SPECIAL = re.compile(r"([*|]|_(?=\W|$))")


def escape_markup(*event: Any) -> None:
    """Make plain text of a docstring but for what stands between backticks: it is written for terminals."""
    lines: list[str] = event[-1]
    for number, line in enumerate(lines):
        parts = _CODE.split(line)
        parts[::2] = [_SPECIAL.sub(r"\\\1", part) for part in parts[::2]]
        lines[number] = "".join(parts)


def shorten_signature(*event: Any) -> tuple[str | None, str | None]:
    """Write a signature as its source does: short names, dots for a default that is made each time."""
    return tuple(part and _DOTTED.sub(r"\1", part.replace("<factory>", "...")) for part in event[-2:])


def setup(app: Sphinx) -> None:
    """Let Sphinx know."""
    app.connect("autodoc-process-docstring", escape_markup)
    app.connect("autodoc-process-signature", shorten_signature)
