# SPDX-License-Identifier: GPL-3.0-or-later
"""Environment modules, whose commands are checked by their effects: run by bash."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from module_system import add_module, write_profile

from ansible_collections.jgi.jaws.plugins.module_utils.environments.module_commands import script


class Site:
    """An account with its own login profile, at a site with a release of Environment Modules."""

    def __init__(self, home: Path, release: int) -> None:
        self.home = home
        self.release = release
        self.folder = self.log_in()
        for name in ("python/2.7", "python/3.8", "java/11"):
            add_module(self.folder, name)
        (self.folder / "py").symlink_to("python/3.8")
        other = home / "other"
        other.mkdir()
        add_module(other, "tools/1")

    def log_in(self, *commands: str) -> Path:
        """Let the login profile run these commands."""
        return write_profile(self.home, *commands, release=self.release)

    def __call__(self, *items: str) -> tuple[int, str, str]:
        """Run the items in a login shell; return its status, what is loaded, what it printed."""
        text = script(items) + 'echo "loaded:$LOADEDMODULES"\n'
        done = subprocess.run(
            ["bash", "-lc", "set -e\n" + text],
            env={"HOME": str(self.home), "PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout.partition("loaded:")[2].strip(), done.stderr


# What the system itself defines is still there, with another name.
RENAMED = 'eval "real_$(declare -f module)"; '
DEAF = 'module() { [ "$1" = unload ] || real_module "$@"; }'
FAILING = 'module() { real_module "$@"; return 3; }'


@pytest.fixture(params=[3, 4])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Site:
    return Site(tmp_path, request.param)


@pytest.mark.parametrize(
    ("profile", "items", "loaded"),
    [
        ([], ["python/3.8", "java"], "python/3.8:java/11"),
        ([], ["python/3.8 java"], "python/3.8:java/11"),
        ([], ["load python"], "python/3.8"),
        ([], ["py"], "python/3.8"),
        (["module load python/3.8"], ["py"], "python/3.8"),
        (["module load python/3.8"], ["python"], "python/3.8"),
        (["module load python/2.7"], ["unload python", "python/3.8"], "python/3.8"),
        (["module load python/2.7"], ["swap python/2.7 python/3.8"], "python/3.8"),
        (["module load python/2.7", "module load java"], ["purge", "python/3.8"], "python/3.8"),
        ([], ["use {home}/other", "tools"], "tools/1"),
        ([], ["use {home}/other/", "tools/1"], "tools/1"),
        ([], ["unload python"], ""),
        ([], ["use {home}/other", "tools", "unuse {home}/other"], "tools/1"),
    ],
)
def test_modules_are_loaded_by_name_and_by_the_commands_of_module_in_their_order(
    site: Site, profile: list[str], items: list[str], loaded: str
) -> None:
    site.log_in(*profile)
    code, found, errors = site(*(item.format(home=site.home) for item in items))
    assert (code, found) == (0, loaded), errors


@pytest.mark.parametrize(
    ("profile", "items", "printed", "told"),
    [
        ("", ["python/9"], "Unable to locate", "after `module load python/9`: python/9 is not"),
        ("", ["java", "no"], "Unable to locate", "no is not loaded; loaded are: java/11."),
        ("", ["java no"], "Unable to locate", "after `module load no`: no is not loaded"),
        (
            "module load python/2.7",
            ["python/3.8"],
            "conflicts with the currently loaded",
            "python/3.8 is not loaded; loaded are: python/2.7.",
        ),
        ("", ["swap python/2.7 python/9"], "Unable to locate", "python/9 is not loaded"),
        ("", ["use /no/such", "python"], "Directory '/no/such' not found", "is not in MODULEPATH"),
        (f"{RENAMED}{DEAF}; module load java", ["unload java"], "", "java is still loaded"),
        ("unset -f module", ["python"], "module: command not found", "python is not loaded"),
        ("unset -f module", ["unload java"], "not found", "after `module unload java`: it failed"),
        ("module() { return 3; }", ["purge"], "", "after `module purge`: it failed"),
        (f"{RENAMED}{FAILING}", ["java"], "", "after `module load java`: it failed"),
        ("", ["restore mine"], "Unable to locate", "restore is not loaded"),
        ("module() { :; }; MODULEPATH=/tmp", ["unuse /tmp"], "", "/tmp is still in MODULEPATH"),
        # A system that keeps no list of what is loaded.
        ("module() { echo sorry >&2; }; unset LOADEDMODULES", ["java"], "sorry", "java is not"),
    ],
)
def test_a_command_that_did_not_take_effect_ends_the_shell_whatever_it_returns(
    site: Site, profile: str, items: list[str], printed: str, told: str
) -> None:
    site.log_in(profile)
    code, found, errors = site(*items)
    assert (code, found) == (1, ""), errors
    assert printed in errors
    assert told in errors


def test_only_since_modules_4_the_status_says_what_failed(site: Site) -> None:
    site.log_in("module load no", 'echo "status:$?" >&2')
    assert f"status:{int(site.release == 4)}" in site()[2]


def test_a_system_that_keeps_no_list_is_believed_when_it_has_changed_something(site: Site) -> None:
    site.log_in("unset LOADEDMODULES; module() { PATH=/opt/$2:$PATH; }")
    assert site("java")[0] == 0


def test_variables_that_a_module_sets_are_not_lost(site: Site) -> None:
    add_module(site.folder, "odd/1", "export check=two exported=yes JAVA_HOME=/opt/java")
    done = subprocess.run(
        ["bash", "-lc", script(["odd"]) + "exec env"],
        env={"HOME": str(site.home), "PATH": "/usr/bin:/bin"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    assert {"check=two", "exported=yes", "JAVA_HOME=/opt/java"} <= set(done.stdout.splitlines())


def test_names_are_words_to_bash_and_nothing_else(site: Site) -> None:
    code, _, errors = site("$(touch${IFS}bad);x")
    assert (code, (site.home / "bad").exists()) == (1, False)
    assert "$(touch${IFS}bad);x is not loaded" in errors


def test_without_modules_there_is_nothing_to_run() -> None:
    assert script([]) == script([""]) == ""
    assert "java" in script(["java"])
