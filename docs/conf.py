"""Sphinx configuration: `make docs`."""

import re

import pmemobj

project = "pmemobj"
author = "pmemobj developers"
release = pmemobj.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc"]
myst_heading_anchors = 3
suppress_warnings = ["myst.xref_missing"]  # README.md and CONTRIBUTING.md are no pages
html_theme = "alabaster"
html_theme_options = {"description": "Python objects that survive the program", "fixed_sidebar": True}
html_sidebars = {"**": ["about.html", "navigation.html", "searchbox.html"]}
html_show_copyright = False


def as_fields(app, what, name, obj, options, lines):
    """Lines "name: what it is" of a docstring, behind an empty line, become a list of fields."""
    given, lines[:] = [line.replace("|", r"\|") for line in lines], []
    fields = False
    for line in given:
        field = re.sub(r"^([a-z_]\w*(?:, [a-z_]\w*)*): ", r":\1: ", line)
        if field != line and (fields or lines[-1:] == [""]):
            fields = True
            line = field
        elif fields and line and not line.startswith(" "):
            fields = False
            lines.append("")
        lines.append(line)


def setup(app):
    app.connect("autodoc-process-docstring", as_fields)
