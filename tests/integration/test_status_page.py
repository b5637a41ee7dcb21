# SPDX-License-Identifier: GPL-3.0-or-later
"""The status page, as a browser shows it: on a phone, enlarged, in the dark and in the light."""

from __future__ import annotations

import html
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.jgi.jaws.plugins.plugin_utils.status_file import content
from tests.integration.commands import require
from tests.integration.conftest import PATIENCE

WIDTHS = (360, 640, 1280)  # a phone, a window of 1280 pixels at 200 %, and that window
# Measures each frame: its width, its scripts, and the lowest contrast of a text that is shown.
MEASURE = """
<script>
const numbers = (colour) => colour.match(/[\\d.]+/g).map(Number);
const channel = (part) => (part /= 255) <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
const light = (colour) => [0.2126, 0.7152, 0.0722].reduce(
  (sum, share, index) => sum + share * channel(numbers(colour)[index]), 0);
function behind(element) {
  const colour = getComputedStyle(element).backgroundColor;
  return numbers(colour)[3] === 0 ? behind(element.parentElement) : colour;
}
function contrast(element) {
  const [high, low] = [light(getComputedStyle(element).color), light(behind(element))]
    .sort((one, other) => other - one);
  return (high + 0.05) / (low + 0.05);
}
function measured(frame) {
  const page = frame.contentDocument, root = page.documentElement;
  const texts = [...page.body.querySelectorAll("*")].filter(
    (one) => [...one.childNodes].some((node) => node.nodeType === 3 && node.data.trim()));
  return {
    width: root.clientWidth, wanted: root.scrollWidth, scripts: page.scripts.length,
    pictures: page.images.length, contrast: Math.min(...texts.map(contrast)),
    background: getComputedStyle(page.body).backgroundColor, shown: page.body.innerText,
  };
}
addEventListener("load", () => {
  const found = [...document.querySelectorAll("iframe")].map(measured);
  document.body.textContent = JSON.stringify(found);
});
</script>
"""
HOSTILE = '"><img src=x onerror=alert(1)><script>alert(2)</script>' + "x" * 300
LONG = "what it needs is away: RabbitMQ at rmq.example:5672, virtual host jaws: Connection refused"


def row(program: str, mark: str, state: str, **more: Any) -> dict[str, Any]:
    place = {"site": "CORI", "deployment": "dev", "instance": "cori_dev_jaws"}
    deployed = {"release": "20261122T130250Z-ea814ff6", "activated": 1, "author": "jane"}
    shown = {"program": program, "mark": mark, "state": state}
    return {**place, **deployed, **shown, "uptime": "3h02m", "pid": 1234567, "restarts": 0, **more}


ROWS = [
    row("jaws-site-central-rpc", "well", "RUNNING", health="ok"),
    row("jaws-central-rest", "wrong", "RUNNING", health="unhealthy", note=LONG),
    row("jaws-jtm", "stopped", "STOPPED", note="stopped on purpose"),
    row(HOSTILE, "wrong", "FATAL", instance=HOSTILE, deployment=HOSTILE, note=HOSTILE),
]


def seen(folder: Path, scheme: int) -> list[dict[str, Any]]:
    """Return what Chromium measures of the page in each width; a scheme of 0 is dark, 1 light."""
    page = html.escape(content("status.html", ROWS, 20000))
    frames = [f'<iframe style="width:{width}px" srcdoc="{page}"></iframe>' for width in WIDTHS]
    (folder / "frames.html").write_text(f"<body>{''.join(frames)}{MEASURE}")
    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
    command += [
        f"--user-data-dir={folder}/profile",
        f"--blink-settings=preferredColorScheme={scheme}",
    ]
    done = subprocess.run(
        [*command, "--dump-dom", f"file://{folder}/frames.html"],
        capture_output=True, text=True, check=True, timeout=PATIENCE,
    )  # fmt: skip
    found: list[dict[str, Any]] = json.loads(
        html.unescape(re.findall(r"<body>(.*)</body>", done.stdout, re.DOTALL)[0])
    )
    return found


@pytest.mark.parametrize(
    ("scheme", "background"), [(0, "rgb(20, 24, 29)"), (1, "rgb(255, 255, 255)")]
)
def test_the_page_is_readable_in_every_width_and_scheme(
    tmp_path: Path, scheme: int, background: str
) -> None:
    require("chromium")
    found = seen(tmp_path, scheme)
    assert [one["width"] for one in found] == [*WIDTHS]
    for one in found:
        assert one["wanted"] <= one["width"]
        assert one["contrast"] >= 4.5
        assert one["background"] == background
        assert (one["scripts"], one["pictures"]) == (0, 0)
        for text in (HOSTILE, LONG, "✓", "✗", "■", "RUNNING", "unhealthy", "FATAL", "STOPPED"):
            assert text in one["shown"]
