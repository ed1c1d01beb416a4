"""The report opens in a browser as a person would open it, offline, without a complaint of its policy."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from strongroom.hunt import render_html

from . import verdicts

OPTIONS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"),
    *("--disable-sync", "--no-first-run", "--enable-logging=stderr", "--hide-scrollbars", "--window-size=1280,2400"),
)


@pytest.mark.parametrize("made", [verdicts.one_campaign, verdicts.hostile])
def test_the_report_is_drawn(made: Callable[[], verdicts.Pair], browser: str, tmp_path: Path) -> None:
    page, picture = tmp_path / "report.html", tmp_path / "report.png"
    page.write_text(render_html(*made()), encoding="utf-8")
    common = [browser, *OPTIONS, f"--user-data-dir={tmp_path / 'profile'}"]
    shot = subprocess.run(
        [*common, f"--screenshot={picture}", page.as_uri()], capture_output=True, timeout=90, check=False
    )
    assert picture.exists(), shot.stderr.decode()[-800:]
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert picture.stat().st_size > 30_000, "more than an empty page"
    assert b"Content Security Policy" not in shot.stderr
    dom = subprocess.run([*common, "--dump-dom", page.as_uri()], capture_output=True, timeout=90, check=False).stdout
    assert b"<svg" in dom
    assert b"<h1" in dom
