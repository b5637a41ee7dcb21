# SPDX-License-Identifier: GPL-3.0-or-later
"""The become plugin collabsu: its command line, its options, and its reactions to output."""

from __future__ import annotations

import ast
import base64
import json
import re
import shlex
import sys
import zlib
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.errors import AnsibleError
from ansible.plugins.shell.sh import ShellModule

from ansible_collections.jgi.jaws.plugins.become import collabsu
from ansible_collections.jgi.jaws.plugins.plugin_utils import collabsu_relay

OPTIONS: dict[str, Any] = yaml.safe_load(collabsu.DOCUMENTATION)["options"]
RELAY = Path(collabsu_relay.__file__)
PASSWORD = "open sesame"


def shell() -> Any:
    """Return the target's shell, as a connection plugin sets it up."""
    make: Any = ShellModule
    found = make()
    found.executable = "/bin/sh"
    return found


def plugin(**options: Any) -> Any:
    """Return the plugin with its documented defaults and these options."""
    values = {name: option.get("default") for name, option in OPTIONS.items()}
    values.update({"become_user": "jaws", **options})
    make: Any = collabsu.BecomeModule
    become = make()
    become.get_option = lambda name, *_args, **_kwargs: values[name]
    return become


def words(**options: Any) -> list[str]:
    """Return the words of the command line for C(id)."""
    return shlex.split(plugin(**options).build_become_command("id", shell()))


def collabsu_words(**options: Any) -> list[str]:
    """Return the end of the command line, that is, collabsu's own command line."""
    return words(**options)[10:]


def settings(**options: Any) -> dict[str, Any]:
    """Return the settings of the relay on the target."""
    found: dict[str, Any] = json.loads(words(**options)[9])
    return found


def test_collabsu_gets_the_account() -> None:
    assert collabsu_words() == ["collabsu", "jaws"]


def test_executable_and_flags_are_options() -> None:
    options = {"become_exe": "/usr/common/bin/usgrsu", "become_flags": "-v --log 'a file'"}
    assert collabsu_words(**options) == ["/usr/common/bin/usgrsu", "-v", "--log", "a file", "jaws"]


def relay(form: str) -> collabsu_relay.Relay:
    """Return a relay that has not started anything."""
    command = words(form=form)[5]
    return collabsu_relay.Relay("jaws", command, settings(form=form), ["collabsu", "jaws"])


def test_form_c_gives_the_command_as_one_word() -> None:
    option, command = relay("-c").command_words()
    assert option == "-c"
    assert command.startswith("/bin/sh -c 'echo BECOME-SUCCESS-")
    assert command.endswith(" ; id'")


def test_form_trailing_gives_the_command_as_words() -> None:
    shell, option, script = relay("trailing").command_words()
    assert (shell, option) == ("/bin/sh", "-c")
    assert script.startswith("echo BECOME-SUCCESS-")
    assert script.endswith(" ; id")


def test_form_stdin_gives_no_command_on_the_command_line() -> None:
    assert relay("stdin").command_words() == []


def test_quotes_in_a_command_survive() -> None:
    cmd = """printf '%s' "it's" '$HOME'"""
    command = shlex.split(plugin().build_become_command(cmd, shell()))[5]
    assert shlex.split(shlex.split(command)[2])[-3:] == ["%s", "it's", "$HOME"]


def test_the_account_that_one_is_already_is_looked_for_before_anything_else() -> None:
    launch, account = words()[2], words()[4]
    assert launch.startswith('if [ "$(id -un)" = "$1" ]; then eval "exec $2"; fi;')
    assert account == "jaws"


def test_a_module_in_the_current_directory_is_not_imported() -> None:
    assert '"$p" -I -c' in words()[2]


def test_no_command_needs_no_escalation() -> None:
    assert plugin().build_become_command("", shell()) == ""


def test_a_login_shell_of_any_kind_can_take_the_command_line() -> None:
    line = plugin(become_pass=PASSWORD).build_become_command("id", shell())
    assert "\n" not in line
    assert "!" not in line


def test_the_password_is_nowhere_in_the_command_line() -> None:
    become = plugin(become_pass=PASSWORD)
    line = become.build_become_command("id", shell())
    assert PASSWORD not in line
    assert "sesame" not in line
    assert become.prompt in line


def test_the_relay_knows_whether_a_password_will_come() -> None:
    assert settings(become_pass=PASSWORD)["password"] is True
    assert settings()["password"] is False


def test_texts_reach_the_relay() -> None:
    given = {"prompts": ["Mot de passe de"], "wrong_password_texts": ["Désolé"], "timeout": 3}
    assert given.items() <= settings(**given).items()


def test_without_a_password_no_prompt_is_awaited() -> None:
    become = plugin()
    become.build_become_command("id", shell())
    assert not become.expect_prompt()


@pytest.mark.parametrize("account", [None, "", "-v", "jaws;id", "ja ws", "$(id)", "jaws\n"])
def test_an_invalid_account_name_is_refused(account: str | None) -> None:
    with pytest.raises(AnsibleError, match=r"not the name of an account\. Set become_user"):
        words(become_user=account)


def test_a_password_of_two_lines_is_refused_and_not_shown() -> None:
    with pytest.raises(AnsibleError, match="more than one line") as caught:
        words(become_pass="open\nsesame")
    assert "sesame" not in str(caught.value)


def begun() -> Any:
    """Return the plugin after it has built a command."""
    become = plugin(become_pass=PASSWORD)
    become.build_become_command("id", shell())
    return become


def failure(become: Any, message: str) -> bytes:
    """Return how the relay reports a failure."""
    line = f"\n{become.success.replace('BECOME-SUCCESS', 'COLLABSU-FAILURE')} {json.dumps(message)}"
    return line.encode() + b"\r\n"


def test_the_open_shell_is_a_success() -> None:
    become = begun()
    assert become.check_success(become.success.encode() + b"\n")
    assert not become.check_success(b"BECOME-SUCCESS-of-another-command\n")


def test_a_reported_failure_is_the_tasks_error() -> None:
    become = begun()
    with pytest.raises(AnsibleError, match='refuses "jaws"'):
        become.check_success(failure(become, 'collabsu refuses "jaws"'))


def test_half_a_report_is_not_read() -> None:
    become = begun()
    assert not become.check_success(failure(become, "collabsu refuses")[:-9])


def test_before_a_command_no_output_is_a_report() -> None:
    assert plugin().check_success(b' "text"\n')


def test_the_prompt_is_the_relays_own() -> None:
    become = begun()
    assert become.check_password_prompt(become.prompt.encode())
    assert not become.check_password_prompt(b"[sudo] password for operator: ")


def test_a_password_is_not_sent_again_after_a_failure() -> None:
    become = begun()
    with pytest.raises(AnsibleError):
        become.check_success(failure(become, "wrong password"))
    with pytest.raises(AnsibleError, match="wrong password"):
        become.check_password_prompt(become.prompt.encode())


def test_a_new_command_forgets_the_failure() -> None:
    become = begun()
    with pytest.raises(AnsibleError):
        become.check_success(failure(become, "wrong password"))
    become.build_become_command("id", shell())
    assert become.check_password_prompt(become.prompt.encode())


def test_the_relay_is_sent_as_it_is() -> None:
    (packed,) = re.findall(r'"(.*)"', collabsu.relay_code())
    assert zlib.decompress(base64.b64decode(packed)).decode() == RELAY.read_text()


def test_the_relay_is_a_program_that_an_old_python_can_read() -> None:
    tree = ast.parse(RELAY.read_text(), feature_version=(3, 6))
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.AnnAssign)]
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.arg) and node.annotation]


def test_the_relay_needs_nothing_but_the_standard_library() -> None:
    tree = ast.parse(RELAY.read_text())
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    names = {alias.name for node in imports for alias in node.names}
    assert names <= sys.stdlib_module_names
    assert all(isinstance(node, ast.Import) for node in imports)


def test_every_option_can_be_set_in_all_three_ways() -> None:
    for name, option in OPTIONS.items():
        short = name.removeprefix("become_")
        variables = [var["name"] for var in option["vars"]]
        assert f"ansible_collabsu_{short}" in variables
        assert f"ANSIBLE_COLLABSU_{short.upper()}" in [env["name"] for env in option["env"]]
        assert "collabsu_become_plugin" in [ini["section"] for ini in option["ini"]]


def test_a_refusal_is_not_taken_for_the_open_shell() -> None:
    found = relay("-c")
    found.shell_out = 1
    marker = found.settings["success"].encode()
    found.said = {1: b"Sorry, you may not execute 'echo " + marker + b" ; id' as jaws\n"}
    assert not found.has_opened()


def test_what_is_quoted_has_neither_password_nor_marker() -> None:
    found = relay("-c")
    found.password = PASSWORD.encode()
    found.said = {1: PASSWORD.encode() + b"\r\n" + found.settings["success"].encode() + b" no\n"}
    assert found.quote() == "*** no"
