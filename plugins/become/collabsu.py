# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: collabsu
short_description: Become a collaboration account with collabsu
version_added: 0.1.0
author: The jgi.jaws engineers (@JGI-Bioinformatics)
description:
  - C(collabsu ACCOUNT) is NERSC's replacement for sudo. It asks for the caller's own password with
    sudo's prompt and opens a shell as the account.
  - On the target, the plugin runs collabsu in a terminal of its own and relays between it and
    Ansible. So pipelining works, whether collabsu reads the password from its terminal or from
    standard input; you need not configure which.
  - A wrong password, a refused account, a missing executable, an unknown question and silence each
    fail the task with a message of their own. Each command sends the password at most once.
  - If the connecting user already is the account, the command runs directly, without collabsu and
    without a password.
options:
  become_user:
    description: The account to become.
    type: str
    default: root
    ini:
      - {section: privilege_escalation, key: become_user}
      - {section: collabsu_become_plugin, key: user}
    vars:
      - name: ansible_become_user
      - name: ansible_collabsu_user
    env:
      - name: ANSIBLE_BECOME_USER
      - name: ANSIBLE_COLLABSU_USER
    keyword:
      - name: become_user
  become_exe:
    description: The name or path of the executable. Some systems have C(usgrsu) instead.
    type: str
    default: collabsu
    ini:
      - {section: privilege_escalation, key: become_exe}
      - {section: collabsu_become_plugin, key: executable}
    vars:
      - name: ansible_become_exe
      - name: ansible_collabsu_exe
    env:
      - name: ANSIBLE_BECOME_EXE
      - name: ANSIBLE_COLLABSU_EXE
    keyword:
      - name: become_exe
  become_flags:
    description: Options of collabsu, before the account.
    type: str
    default: ""
    ini:
      - {section: privilege_escalation, key: become_flags}
      - {section: collabsu_become_plugin, key: flags}
    vars:
      - name: ansible_become_flags
      - name: ansible_collabsu_flags
    env:
      - name: ANSIBLE_BECOME_FLAGS
      - name: ANSIBLE_COLLABSU_FLAGS
    keyword:
      - name: become_flags
  become_pass:
    description: The password of the user who connects, not of the account.
    type: str
    ini:
      - {section: collabsu_become_plugin, key: password}
    vars:
      - name: ansible_become_password
      - name: ansible_become_pass
      - name: ansible_collabsu_pass
    env:
      - name: ANSIBLE_BECOME_PASS
      - name: ANSIBLE_COLLABSU_PASS
  form:
    description:
      - How collabsu takes a command.
      - V(-c) is C(collabsu ACCOUNT -c COMMAND), the command as one word.
      - V(trailing) is C(collabsu ACCOUNT COMMAND...), the command as three words, C(/bin/sh), C(-c)
        and a script, which collabsu must pass on unchanged.
      - V(stdin) is C(collabsu ACCOUNT). The opened shell reads the command from its standard input,
        and the command then reads its own input from there, so that pipelining works.
        If the password was asked for on the terminal, the command is sent right after it. Otherwise
        it is sent once collabsu has been silent for half a second, or for half of O(timeout) if a
        password is set but was not asked for; this delays every command. A collabsu that reads a
        wrong password from standard input may take the command for a second password.
    type: str
    choices: ["-c", trailing, stdin]
    default: "-c"
    ini:
      - {section: collabsu_become_plugin, key: form}
    vars:
      - name: ansible_collabsu_form
    env:
      - name: ANSIBLE_COLLABSU_FORM
  prompts:
    description:
      - Beginnings of the line with which collabsu asks for the password.
      - These are plain texts, not patterns. In an ini file and in the environment, separate them
        with commas.
    type: list
    elements: str
    default: ["[sudo] password for"]
    ini:
      - {section: collabsu_become_plugin, key: prompts}
    vars:
      - name: ansible_collabsu_prompts
    env:
      - name: ANSIBLE_COLLABSU_PROMPTS
  wrong_password_texts:
    description:
      - What collabsu prints when the password was wrong, anywhere in a line, in upper or lower
        case.
      - A second request for the password means the same, whatever its text.
    type: list
    elements: str
    default: [try again, incorrect password, authentication failure, authentication failed]
    ini:
      - {section: collabsu_become_plugin, key: wrong_password_texts}
    vars:
      - name: ansible_collabsu_wrong_password_texts
    env:
      - name: ANSIBLE_COLLABSU_WRONG_PASSWORD_TEXTS
  refused_account_texts:
    description:
      - What collabsu prints when it ends because the caller may not use the account, anywhere in a
        line, in upper or lower case.
    type: list
    elements: str
    default:
      - not allowed
      - not in the sudoers
      - may not
      - not authorized
      - not a member
      - unknown user
      - unknown account
      - no such user
      - no such account
      - does not exist
    ini:
      - {section: collabsu_become_plugin, key: refused_account_texts}
    vars:
      - name: ansible_collabsu_refused_account_texts
    env:
      - name: ANSIBLE_COLLABSU_REFUSED_ACCOUNT_TEXTS
  timeout:
    description:
      - Seconds that collabsu has to ask for the password or open the shell, and again after the
        password.
      - Ansible itself waits 10 seconds with the local connection and 12 with ssh. If you set a
        larger value, also raise C(ansible_local_become_success_timeout) or C(ansible_ssh_timeout).
    type: int
    default: 8
    ini:
      - {section: collabsu_become_plugin, key: timeout}
    vars:
      - name: ansible_collabsu_timeout
    env:
      - name: ANSIBLE_COLLABSU_TIMEOUT
  python:
    description:
      - Python interpreters, 3.6 or newer. The first one that the connecting user has on the target
        runs the part of the plugin that works there.
    type: list
    elements: str
    default: [python3, /usr/bin/python3, /usr/libexec/platform-python]
    ini:
      - {section: collabsu_become_plugin, key: python}
    vars:
      - name: ansible_collabsu_python
    env:
      - name: ANSIBLE_COLLABSU_PYTHON
notes:
  - Enable pipelining. Modules then arrive on standard input, so no files are written and setfacl is
    not needed. Without pipelining, and always for C(async) and for actions that transfer a file
    (M(ansible.builtin.copy), M(ansible.builtin.template), M(ansible.builtin.script)), Ansible first
    writes files as the connecting user, and needs setfacl on the target to make them readable.
  - The ssh connection allocates a terminal only for commands without input, so never for a
    pipelined module, even if a become plugin requires one. That is why the plugin makes the
    terminal on the target, and does not require one of the connection.
  - That terminal hangs up when the command ends. A process that must live on needs a session of its
    own or C(nohup), as on any terminal.
  - Before ansible-core 2.19, the local connection (but not ssh) ignores what comes after the
    password, or without one. A failure is then reported in C(module_stdout) of the failed task.
"""

EXAMPLES = r"""
# inventories/cori/group_vars/all/site.yml; the operator adds -K on the command line.
ansible_become_method: jgi.jaws.collabsu
ansible_pipelining: true

# A system where the program is called usgrsu and takes the command as separate words.
ansible_collabsu_exe: usgrsu
ansible_collabsu_form: trailing
"""

import base64
import functools
import inspect
import json
import re
import shlex
import zlib
from typing import Any

from ansible.errors import AnsibleError
from ansible.plugins.become import BecomeBase

from ..plugin_utils import collabsu_relay

ACCOUNT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*\$?")
NO_PYTHON = (
    "There is no Python to run collabsu with: the connecting user has none of {python} on this "
    "host. Name one in ansible_collabsu_python."
)
# A script for the target's /bin/sh. Its arguments are the account, the command, the interpreters,
# what to print if none of them exists, the relay's code, its settings, and collabsu's command line.
# It must not contain a single quote, a newline or an exclamation mark, because the login shell
# around it may be csh.
LAUNCH = (
    'if [ "$(id -un)" = "$1" ]; then eval "exec $2"; fi; '
    'for p in $3; do if command -v "$p" >/dev/null 2>&1; then exec "$p" -I -c "$5" "$@"; fi; done; '
    'printf "\\n%s\\n" "$4"; exit 1'
)


@functools.lru_cache(maxsize=1)
def relay_code() -> str:
    """Return the relay as one line of Python without single quotes."""
    packed = base64.b64encode(zlib.compress(inspect.getsource(collabsu_relay).encode(), 9)).decode()
    return f'import base64,zlib;exec(zlib.decompress(base64.b64decode("{packed}")))'


class BecomeModule(BecomeBase):
    """Becomes an account with collabsu; the relay does the work on the target."""

    name = "jgi.jaws.collabsu"
    _failure = ""  # the beginning of the relay's report on a failure of the current command
    _reported = ""  # the text of that report

    def build_become_command(self, cmd: str, shell: Any) -> str:
        """Return the command line that runs a command as the account.

        Raises AnsibleError for an account or a password that cannot be passed on safely.
        """
        base: Any = super()
        base.build_become_command(cmd, shell)
        self._failure = f"COLLABSU-FAILURE-{self._id}"
        self._reported = ""
        self.prompt = (
            f"[collabsu via ansible, key={self._id}] password:" if self._password() else ""
        )
        if not cmd:
            return cmd
        executable = getattr(shell, "executable", None) or "/bin/sh"
        quoted = base._build_success_command(cmd, shell, noexe=True)
        command = f"{executable} -c {quoted}"
        python = " ".join(self._option("python"))
        no_python = f"{self._failure} {json.dumps(NO_PYTHON.format(python=python))}"
        words = [self._account(), command, python, no_python, relay_code(), self._settings()]
        return shlex.join(["/bin/sh", "-c", LAUNCH, "collabsu", *words, *self._collabsu()])

    def _option(self, name: str) -> Any:
        """Return an option's value."""
        get: Any = self.get_option
        return get(name)

    def _account(self) -> str:
        """Return the account, unless collabsu could take it for an option."""
        account = str(self._option("become_user") or "")
        if not ACCOUNT.fullmatch(account):
            raise AnsibleError(
                f"collabsu cannot become {account!r}: that is not the name of an account. Set "
                "become_user."
            )
        return account

    def _password(self) -> str:
        """Return the password, unless it has several lines: the command would read the rest."""
        password = str(self._option("become_pass") or "")
        if "\n" in password:
            raise AnsibleError(
                "The become password has more than one line, but collabsu reads one. Remove the "
                "newline from the vault or file that ansible_become_password comes from."
            )
        return password

    def _collabsu(self) -> list[str]:
        """Return collabsu's command line up to the account."""
        executable = str(self._option("become_exe") or "collabsu")
        return [executable, *shlex.split(str(self._option("become_flags") or "")), self._account()]

    def _settings(self) -> str:
        """Return what the relay must know, without the password."""
        names = ("form", "prompts", "wrong_password_texts", "refused_account_texts", "timeout")
        settings = {name: self._option(name) for name in names}
        settings.update(success=self.success, failure=self._failure)
        settings.update(prompt=self.prompt, password=bool(self.prompt))
        return json.dumps(settings)

    def check_success(self, b_output: bytes) -> bool:
        """Return whether the account's shell is open; raise AnsibleError with the relay's report.

        Both ssh and local call this for every piece of output, so a failure is seen at once.
        """
        found = re.search(re.escape(self._failure).encode() + rb' (".*")\r?\n', b_output)
        if self._failure and found:
            self._reported = json.loads(found[1])
            raise AnsibleError(self._reported)
        base: Any = super()
        return bool(base.check_success(b_output))

    def check_password_prompt(self, b_output: bytes) -> bool:
        """Return whether the password is asked for; raise AnsibleError before it is sent again.

        With reconnection_retries, ssh repeats a command that failed, and an account may be locked
        after several wrong passwords.
        """
        asked = bool(super().check_password_prompt(b_output))
        if asked and self._reported:
            raise AnsibleError(self._reported)
        return asked
