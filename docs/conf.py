"""Sphinx configuration: `make docs`."""

import tomllib
from pathlib import Path

with (Path(__file__).resolve().parents[1] / "pyproject.toml").open("rb") as file:
    release = tomllib.load(file)["project"]["version"]

project = "pmemobj"
author = "pmemobj developers"
extensions = ["myst_parser"]
myst_heading_anchors = 3
suppress_warnings = ["myst.xref_missing"]  # README.md and CONTRIBUTING.md are no pages
html_theme = "alabaster"
html_theme_options = {"description": "Python objects that survive the program", "fixed_sidebar": True}
html_sidebars = {"**": ["about.html", "navigation.html", "searchbox.html"]}
html_show_copyright = False
