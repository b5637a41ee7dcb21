# SPDX-License-Identifier: GPL-3.0-or-later
"""How Sphinx makes the web site of the documentation (make docs); it needs no network."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from docutils import nodes

project = "jgi.jaws"
extensions = ["myst_parser", "sphinx_antsibull_ext"]
# reference/ is what antsibull-docs makes of the documentation of modules, plugins and roles.
include_patterns = [
    "index.md", "roles.md", "README.md", "CHANGELOG.md", "CONTRIBUTING.md", "docs/**",
    "roles/*/README.md", "bench/README.md", "examples/README.md",
]  # fmt: skip
html_theme = "furo"
# Colours of the tables of options, which are made for a light page.
TABLES = {
    "antsibull-table-background-header": "var(--color-background-hover)",
    "antsibull-table-background-even": "var(--color-background-secondary)",
    "antsibull-table-background-odd": "var(--color-background-primary)",
    "antsibull-narrowtable-background": "var(--color-background-hover)",
    "antsibull-table-border": "var(--color-background-border)",
}
html_theme_options = {
    "light_css_variables": TABLES,
    "dark_css_variables": {
        **TABLES,
        "antsibull-option-type": "#cf9fff",
        "antsibull-option-elements": "#cf9fff",
        "antsibull-option-required": "#ff8a80",
        "antsibull-option-version-added": "#8fd18f",
        "antsibull-option-aliases": "#8fd18f",
        "antsibull-option-default": "#8ab4f8",
        "antsibull-option-sample": "#8ab4f8",
        "antsibull-option-sample-header": "#8ab4f8",
        "antsibull-attribute-support-full": "#8fd18f",
        "antsibull-attribute-support-partial": "#8ab4f8",
        "antsibull-attribute-support-none": "#ff8a80",
        "antsibull-attribute-support-na": "#b0b0b0",
    },
}
html_title = project
html_static_path = ["static"]
html_css_files = ["tables.css"]
html_copy_source = False
html_show_copyright = False
html_show_sphinx = False
# Headings that a link may lead to.
myst_heading_anchors = 4

# Ansible's own documentation, which pages of plugins refer to by labels.
ANSIBLE = "https://docs.ansible.com/ansible/latest"
APPENDIX = f"{ANSIBLE}/reference_appendices"
PAGES = {
    "action_plugins": f"{ANSIBLE}/plugins/action.html",
    "ansible_configuration_settings": f"{APPENDIX}/config.html",
    "callback_plugins": f"{ANSIBLE}/plugins/callback.html",
    "common_return_values": f"{APPENDIX}/common_return_values.html",
}
LINK = re.compile(r"\[([^\]]*)\]\(([^)#:]+)\)")
PLUGIN = re.compile(r"ansible_collections\.(\w+)\.(\w+)\.(\w+)\Z")


def to_ansible(_app: Any, _environment: Any, node: Any, text: Any) -> Any:
    """Return the link for a reference to Ansible's own documentation; None if it is a mistake."""
    target = node["reftarget"]
    plugin = PLUGIN.match(target)
    url = f"{ANSIBLE}/collections/{'/'.join(plugin.groups())}.html" if plugin else PAGES.get(target)
    return nodes.reference("", "", text, internal=False, refuri=url) if url else None


def prepared(app: Any, name: str, source: list[str]) -> None:
    """Remove a page's own table of contents, which the theme has, and links to directories."""
    page = Path(app.env.doc2path(name))
    text = re.sub(r"^\.\. contents::\n(   .*\n)*", "", source[0], flags=re.MULTILINE)
    if page.suffix == ".md":
        text = LINK.sub(lambda link: _linked(page.parent, *link.groups()), text)
    source[0] = text


def _linked(folder: Path, text: str, target: str) -> str:
    """Return a link; one to a directory leads to its README, or is only its text."""
    if not (folder / target).is_dir():
        return f"[{text}]({target})"
    readme = f"{target.rstrip('/')}/README.md"
    return f"[{text}]({readme})" if (folder / readme).exists() else text


def setup(app: Any) -> None:
    """Connect the functions above with what Sphinx does."""
    app.connect("missing-reference", to_ansible)
    app.connect("source-read", prepared)
