# SPDX-License-Identifier: GPL-3.0-or-later
"""Fetch the pip that a requirements file pins, for a Python without pip.

Debian's python3 comes without ensurepip. The wheel is looked for where pip itself would look: its
configuration files and PIP_* name the index, the proxy and the certificates. The wheel must match
one of the pinned hashes.
"""

from __future__ import annotations

import base64
import configparser
import hashlib
import netrc
import os
import re
import ssl
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from html.parser import HTMLParser
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import unquote, urljoin, urlsplit, urlunsplit

DEFAULT_INDEX = "https://pypi.org/simple"
BUNDLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")
LOCAL = ("", "file")


# ---- Pip's configuration


def configuration_files() -> list[Path]:
    """Return the paths of pip's configuration files, in pip's order: a later one wins."""
    home = Path.home()
    xdg_dirs = os.environ.get("XDG_CONFIG_DIRS", "/etc/xdg").split(":")
    xdg_home = Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config")
    return [
        *(Path(folder) / "pip/pip.conf" for folder in xdg_dirs),
        Path("/etc/pip.conf"),
        home / ".pip/pip.conf",
        xdg_home / "pip/pip.conf",
        Path(sys.prefix) / "pip.conf",
        Path(os.environ.get("PIP_CONFIG_FILE", os.devnull)),
    ]


def settings() -> dict[str, str]:
    """Return pip's options for an installation; PIP_* in the environment wins over the files."""
    parser = configparser.RawConfigParser()
    parser.read(configuration_files())
    found: dict[str, str] = {}
    for section in ("global", "install"):
        found.update(parser[section] if parser.has_section(section) else {})
    for name, value in os.environ.items():
        if name.startswith("PIP_"):
            found[name[4:].lower().replace("_", "-")] = value
    found.setdefault("timeout", found.pop("default-timeout", "60"))
    return found


def certificates(found: Mapping[str, str]) -> str:
    """Return the file of certificates that pip is configured to trust; empty if there is none."""
    for path in (found.get("cert"), *map(os.environ.get, BUNDLES)):
        if path and Path(path).is_file():
            return path
    return ""


# ---- Where the wheel may be


def pages(found: Mapping[str, str]) -> list[str]:
    """Return the pages and directories that may name the wheel."""
    indexes = [found.get("index-url", DEFAULT_INDEX), *found.get("extra-index-url", "").split()]
    if found.get("no-index", "").lower() in ("1", "true", "yes", "on"):
        indexes = []
    places = found.get("find-links", "").split()
    return [*places, *(index.rstrip("/") + "/pip/" for index in indexes)]


class Links(HTMLParser):
    """Collects the targets of a page's links."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value for name, value in attrs if (tag, name) == ("a", "href") and value]


class Reader:
    """Reads local paths and URLs as pip does: with its certificates, proxy and credentials."""

    def __init__(self, found: Mapping[str, str]) -> None:
        bundle = certificates(found)
        context = ssl.create_default_context(cafile=bundle or None)
        handlers = [urllib.request.HTTPSHandler(context=context)]
        proxy = found.get("proxy")
        proxies = urllib.request.ProxyHandler({"http": proxy, "https": proxy} if proxy else None)
        self.opener = urllib.request.build_opener(*handlers, proxies)
        self.timeout = float(found["timeout"])

    def read(self, url: str) -> bytes:
        """Return the content of a file or of a page.

        :raises OSError: it cannot be read.
        """
        if urlsplit(url).scheme in LOCAL:
            return local_path(url).read_bytes()
        try:
            with self.opener.open(request(url), timeout=self.timeout) as answer:
                content: bytes = answer.read()
        except HTTPError as error:
            error.close()
            raise OSError(str(error)) from None
        return content

    def links(self, page: str) -> list[str]:
        """Return the links on a page, or the files in a directory, as absolute URLs or paths."""
        path = local_path(page) if urlsplit(page).scheme in LOCAL else None
        if path and path.is_dir() and not (path / "index.html").exists():
            return [str(entry) for entry in path.iterdir()]
        page = str(path / "index.html") if path and path.is_dir() else page
        base = path.as_uri() + "/" if path and path.is_dir() else page
        return [urljoin(base, link) for link in Links(self.read(page).decode()).found]


def local_path(url: str) -> Path:
    return Path(unquote(urlsplit(url).path))


def request(url: str) -> urllib.request.Request:
    """Return a request with the credentials that the URL or ~/.netrc has for this host."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    made = urllib.request.Request(urlunsplit(parts._replace(netloc=host)))
    user, password = parts.username, parts.password
    if user is None:
        user, password = from_netrc(parts.hostname or "")
    if user is not None:
        pair = f"{unquote(user)}:{unquote(password or '')}"
        token = base64.b64encode(pair.encode()).decode()
        made.add_unredirected_header("Authorization", f"Basic {token}")
    return made


def from_netrc(host: str) -> tuple[str | None, str | None]:
    try:
        entry = netrc.netrc().authenticators(host)
    except (OSError, netrc.NetrcParseError):
        return None, None
    return (entry[0], entry[2]) if entry else (None, None)


# ---- Fetching


def pinned(requirements: Path) -> tuple[str, set[str]]:
    """Return the name of the wheel, and the hashes that it may have."""
    text = requirements.read_text()
    version = re.search(r"^pip==(\S+)", text, re.MULTILINE)
    if not version:
        raise ValueError(f"{requirements} does not pin pip")
    return f"pip-{version.group(1)}-py3-none-any.whl", set(re.findall(r"sha256:(\w+)", text))


def wheels(
    reader: Reader, found: Mapping[str, str], name: str, problems: list[str]
) -> Iterator[bytes]:
    """Yield the content of every wheel of this name, and add what goes wrong to C(problems)."""
    for page in pages(found):
        try:
            paths = {link: urlsplit(link).path for link in reader.links(page)}
            links = [link for link, path in paths.items() if path.endswith(f"/{name}")]
            yield from (reader.read(link) for link in links)
            problems += [] if links else [f"{without_credentials(page)} does not have it"]
        except (OSError, ValueError) as error:
            problems.append(f"{without_credentials(page)}: {getattr(error, 'reason', error)}")


def without_credentials(url: str) -> str:
    return re.sub(r"//[^/@]*@", "//***@", url)


def fetch(requirements: Path, directory: Path) -> Path:
    """Write the wheel into the directory, and return its path.

    :raises OSError: no index has it, with the reason for each.
    """
    name, hashes = pinned(requirements)
    found = settings()
    problems: list[str] = []
    for content in wheels(Reader(found), found, name, problems):
        if hashlib.sha256(content).hexdigest() in hashes:
            path = directory / name
            path.write_bytes(content)
            return path
        problems.append(f"a {name} does not have the pinned hash")
    raise OSError(f"cannot fetch {name}: " + "; ".join(problems))
