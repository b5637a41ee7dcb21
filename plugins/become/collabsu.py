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
  - On the target, the plugin gives collabsu a terminal of its own and stays between it and Ansible.
    So a collabsu that reads the password from its terminal works with pipelining, and so does one
    that reads it from standard input; which of them it is need not be configured.
  - A wrong password, a refused account, a missing executable, an unknown question and silence each
    end the task with a message of their own. Each command sends the password at most once.
  - If the connection's user is the account already, nothing is asked and the command runs directly,
    without collabsu.
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
    description: The executable, a name or a path. Some systems have C(usgrsu) instead.
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
    description: Options that go before the account.
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
        and a script, which collabsu has to pass on unchanged.
      - V(stdin) is C(collabsu ACCOUNT). The opened shell reads the command from its standard input,
        and the command then reads its own input from there, so that pipelining works.
        The command is sent right after a password that was asked for on the terminal. Otherwise it
        is sent once collabsu has been silent for half a second, or for half of O(timeout) if a
        password was given and not asked for; each command then costs that time. A collabsu that
        reads a wrong password from standard input may take the command for a second one.
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
      - These are texts, not patterns. In an ini file and in the environment a comma separates them.
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
      - What collabsu says, anywhere in a line and in any case, when the password was wrong.
      - Being asked a second time means the same, whatever the text.
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
      - What collabsu says, anywhere in a line and in any case, when it ends because the caller may
        not have the account.
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
      - Seconds for collabsu to ask or to open the shell, and again after the password.
      - Ansible itself waits 10 seconds on the local connection and 12 on ssh. With a larger value,
        raise C(ansible_local_become_success_timeout) or C(ansible_ssh_timeout) too.
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
      - Python interpreters. The first that the connecting user has on the target runs the plugin's
        part there; Python 3.6 will do.
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
  - Enable pipelining. A module then arrives on standard input, no file changes hands and no setfacl
    is needed. Without pipelining, and always for C(async) and for actions that transfer a file
    (M(ansible.builtin.copy), M(ansible.builtin.template), M(ansible.builtin.script)), Ansible first
    writes files as the connecting user, and needs setfacl on the target to hand them over.
  - The ssh connection allocates a terminal only for commands that get no input, so never for a
    pipelined module, whatever a become plugin requires. That is why the terminal is made on the
    target, and why this plugin requires none of the connection.
  - That terminal hangs up when the command ends. A process that is to stay needs a session of its
    own or C(nohup), as at any terminal.
  - Before ansible-core 2.19, the local connection (not ssh) does not look at what comes after the
    password, or without one. A failure is then told in the C(module_stdout) of the failed task.
"""

EXAMPLES = r"""
# inventories/cori/group_vars/all/site.yml; the operator adds -K on the command line.
ansible_become_method: jgi.jaws.collabsu
ansible_pipelining: true

# A system whose program is called usgrsu and takes the command as words.
ansible_collabsu_exe: usgrsu
ansible_collabsu_form: trailing
"""

import ast
import base64
import fcntl
import functools
import json
import os
import pty
import pwd
import re
import select
import shlex
import shutil
import signal
import subprocess
import termios
import threading
import time
import zlib
from pathlib import Path
from typing import Any, ClassVar, NoReturn

from ansible.errors import AnsibleError
from ansible.plugins.become import BecomeBase

ACCOUNT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*\$?")
NO_PYTHON = (
    "No Python to run collabsu with: the connecting user finds none of {python} on this host. "
    "Name one in ansible_collabsu_python."
)
# For the target's /bin/sh, with: account, command, interpreters, what to print if there is none of
# them, then the relay's code, its settings and collabsu's words. No single quote, no newline and no
# exclamation mark in it, because the login shell around it may be csh.
LAUNCH = (
    'if [ "$(id -un)" = "$1" ]; then eval "exec $2"; fi; '
    'for p in $3; do if command -v "$p" >/dev/null 2>&1; then exec "$p" -I -c "$5" "$@"; fi; done; '
    'printf "\\n%s\\n" "$4"; exit 1'
)


class Relay:
    """Run collabsu in a terminal of its own, and relay between it and Ansible.

    This class is the part that runs on the target (see relay_source): Python 3.6, its standard
    library, and nothing else from this file.
    """

    QUIET = 0.5  # seconds without a word, after which a program is taken to wait for something
    stdin, stdout, stderr = 0, 1, 2  # Ansible's
    MESSAGES: ClassVar[dict[str, str]] = {
        "missing": "There is no executable {exe} on this host (PATH is {path}). Name the right one "
        "in ansible_collabsu_exe; some systems have usgrsu instead of collabsu.",
        "no_password": "{exe} asks for the password of {caller} and none was given. Run again with "
        "-K, or set ansible_become_password from a vault.",
        "unanswered": "{exe} asks for the password of {caller}, and Ansible's connection sends "
        "none. Use the ssh or the local connection: they answer a become plugin's prompt.",
        "wrong": "{exe} did not accept the password of {caller}: wrong password. It was sent once, "
        "not again. Run again with -K and the password of {caller}, not of {account}.",
        "refused": "{exe} refuses the account {account} to {caller}. Ask those who manage "
        "{account} to let {caller} in, or set another become_user.",
        "strange": "{exe} asks {caller} an unknown question. If it wants the password, add the "
        "question's beginning to ansible_collabsu_prompts.",
        "ended": "{exe} ended with exit status {status} and opened no shell as {account}. Does it "
        "take a command in the form {form} (ansible_collabsu_form)?",
        "silent": "{exe} neither opened a shell as {account} nor asked a known question within "
        "{timeout} s. See ansible_collabsu_prompts, ansible_collabsu_form and "
        "ansible_collabsu_timeout.",
    }

    def __init__(
        self, account: str, command: str, settings: dict[str, Any], argv: list[str]
    ) -> None:
        self.account = account
        self.command = command
        self.settings = settings
        self.argv = argv
        self.form = settings["form"]
        self.password = b""
        self.said: dict[int, bytes] = {}
        self.asked = self.sent = self.opened = False
        self.deadline = time.monotonic() + settings["timeout"]

    def run(self) -> int:
        """Return the command's exit status; end with a message if collabsu opens no shell."""
        if not shutil.which(self.argv[0]):
            self.fail("missing", path=os.environ.get("PATH", ""))
        self.start()
        while not self.opened:
            self.escalate()
        self.feeder = threading.Thread(target=self.feed, daemon=True)
        self.feeder.start()
        while self.child.poll() is None:
            self.carry(None)
        while self.carry(0):
            pass
        status = self.child.returncode
        return status if status >= 0 else 128 - status

    def start(self) -> None:
        """Start collabsu with pipes for standard streams and a new controlling terminal."""
        self.wake, self.awaken = os.pipe()
        os.set_blocking(self.awaken, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self.awaken)
        # The other end stays open here too: without any, reading a terminal is an error.
        self.terminal, self.tty = pty.openpty()
        self.child = subprocess.Popen(
            self.argv + self.command_words(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(self.tty, termios.TIOCSCTTY, 0),
        )
        pipes = (self.child.stdin, self.child.stdout, self.child.stderr)
        self.shell_in, self.shell_out, self.shell_err = (pipe.fileno() for pipe in pipes if pipe)
        self.streams = [self.wake, self.shell_out, self.shell_err, self.terminal]
        self.said = {self.shell_err: b"", self.shell_out: b"", self.terminal: b""}

    def command_words(self) -> list[str]:
        """Return what follows the account on collabsu's command line."""
        if self.form == "-c":
            return ["-c", self.command]
        return shlex.split(self.command) if self.form == "trailing" else []

    def listen(self, seconds: float | None) -> list[tuple[int, bytes]]:
        """Return what happened, by stream; nothing when nothing did for so many seconds."""
        heard = []
        for stream in select.select(self.streams, [], [], seconds)[0]:
            data = self.read(stream)
            if not data:
                self.streams.remove(stream)
            heard.append((stream, data))
        return heard

    def read(self, stream: int, most: int = 65536) -> bytes:
        """Return what there is; nothing at the end, which for a terminal is an error."""
        try:
            return os.read(stream, most)
        except OSError:
            return b""

    def escalate(self) -> None:
        """Go one step towards the open shell."""
        ended = self.child.poll() is not None
        heard = self.listen(0 if ended else self.QUIET)
        for stream, data in heard:
            self.hear(stream, data)
        if ended and not heard:
            refused = self.has_said("refused_account_texts")
            self.fail("refused" if refused else "ended", status=self.child.returncode)
        if not heard:
            self.wait()
        if not self.opened and time.monotonic() > self.deadline:
            self.fail("silent")

    def hear(self, stream: int, data: bytes) -> None:
        """Look for the open shell, a question, or a wrong password."""
        if self.opened or stream not in self.said:
            return self.pass_on(stream, data)
        self.said[stream] += data
        if self.has_opened():
            return None
        question = self.said[stream].rpartition(b"\n")[2].strip()
        if question.startswith(tuple(prompt.encode() for prompt in self.settings["prompts"])):
            self.answer(stream)
        elif self.asked and self.has_said("wrong_password_texts"):
            self.fail("wrong")
        return None

    def has_opened(self) -> bool:
        """Tell whether the account's shell runs the command, and pass its first words on."""
        # A refusal may quote the command, with the marker; only the shell ends a line with it.
        found = re.search(self.settings["success"].encode() + rb"\r?\n", self.said[self.shell_out])
        self.opened = bool(found)
        if found:
            self.write(self.stdout, self.said[self.shell_out][found.start() :])
        return self.opened

    def has_said(self, texts: str) -> bool:
        """Tell whether one of these texts was said, in any case."""
        said = self.quote().lower()
        return any(text.lower() in said for text in self.settings[texts])

    def quote(self) -> str:
        """Return what collabsu said last, fit to be shown."""
        said = b" ".join(self.said.values()).replace(self.settings["success"].encode(), b"")
        if self.password:
            said = said.replace(self.password, b"***")
        return " ".join(said.decode("utf-8", "replace").split())

    def answer(self, stream: int) -> None:
        """Answer a question for the password where it was asked: on the terminal or on a pipe."""
        if self.asked:
            self.fail("wrong")
        if not self.settings["password"]:
            self.fail("no_password")
        self.asked = True
        self.password = self.ask()
        self.said = dict.fromkeys(self.said, b"")
        self.deadline = time.monotonic() + self.settings["timeout"]
        asker = self.terminal if stream == self.terminal else self.shell_in
        self.write(asker, self.password + b"\n")
        if stream == self.terminal:
            self.send_command()

    def ask(self) -> bytes:
        """Return the password, which Ansible sends when it sees the prompt."""
        if os.isatty(self.stdin):
            self.hush()
        self.write(self.stdout, self.settings["prompt"].encode())
        line = b""
        while not line.endswith(b"\n"):
            ready = select.select([self.stdin], [], [], self.settings["timeout"])[0]
            # By the byte, since what follows the line is the module's.
            byte = self.read(self.stdin, 1) if ready else b""
            if not byte:
                self.fail("unanswered")
            line += byte
        return line[:-1]

    def hush(self) -> None:
        """Keep the terminal that Ansible's connection allocated from echoing the password."""
        mode = termios.tcgetattr(self.stdin)
        mode[3] &= ~termios.ECHO
        termios.tcsetattr(self.stdin, termios.TCSANOW, mode)

    def wait(self) -> None:
        """Do what silence calls for: send the command, or report a question nobody knows."""
        mode = termios.tcgetattr(self.terminal)[3]
        hidden = mode & termios.ICANON and not mode & termios.ECHO
        if hidden and self.said[self.terminal].rpartition(b"\n")[2].strip():
            self.fail("strange")
        # Too early a command would be taken for the password, by a collabsu that starts slowly.
        half = self.deadline - self.settings["timeout"] / 2
        if self.asked or not self.settings["password"] or time.monotonic() > half:
            self.send_command()

    def send_command(self) -> None:
        """Send the command to a shell that reads it from its standard input."""
        if self.form == "stdin" and not self.sent:
            self.sent = True
            self.deadline = time.monotonic() + self.settings["timeout"]
            self.write(self.shell_in, os.fsencode(f"exec {self.command}\n"))

    def feed(self) -> None:
        """Send the command what Ansible sends it."""
        data = self.read(self.stdin)
        while data and self.write(self.shell_in, data):
            data = self.read(self.stdin)
        if self.child.stdin:
            self.child.stdin.close()

    def carry(self, seconds: float | None) -> bool:
        """Pass on what the command says; return whether it said something."""
        heard = self.listen(seconds)
        for stream, data in heard:
            self.pass_on(stream, data)
        return bool(heard)

    def pass_on(self, stream: int, data: bytes) -> None:
        """Send what the command says to Ansible, except for what goes to the terminal."""
        if stream in (self.shell_out, self.shell_err):
            self.write(self.stdout if stream == self.shell_out else self.stderr, data)

    def write(self, stream: int, data: bytes) -> bool:
        """Write everything; return false if nobody reads it any more, which ends no command."""
        try:
            while data:
                data = data[os.write(stream, data) :]
        except OSError:
            return False
        return True

    def caller(self) -> str:
        """Return the name of the user whose password collabsu asks for."""
        try:
            return pwd.getpwuid(os.getuid()).pw_name
        except KeyError:
            return f"user {os.getuid()}"

    def fail(self, reason: str, **facts: object) -> NoReturn:
        """End collabsu, which may still wait for an answer, and say why."""
        message = self.MESSAGES[reason].format(
            exe=self.argv[0],
            account=self.account,
            caller=self.caller(),
            form=self.form,
            timeout=self.settings["timeout"],
            **facts,
        )
        said = self.quote()[-400:]
        message += f" It said: {said}" if said else ""
        report = f"\n{self.settings['failure']} {json.dumps(message)}\n"
        self.write(self.stdout, report.encode())
        # Before 2.19, the local connection loses a report that comes together with the end.
        select.select([self.stdin], [], [], self.QUIET)
        # A privileged program cannot be signalled, but its terminal and pipes end with this one.
        raise SystemExit(1)


RELAY_MODULES = (
    "fcntl json os pty pwd re select shlex shutil signal subprocess sys termios threading time"
)
RELAY_MAIN = (
    "raise SystemExit(Relay(sys.argv[1], sys.argv[2], json.loads(sys.argv[6]), sys.argv[7:]).run())"
)


class _Bare(ast.NodeTransformer):
    """Take away what the target need not see or an old Python cannot read."""

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        return ast.copy_location(ast.Assign([node.target], node.value or ast.Constant(None)), node)

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        node.body = node.body[1:]
        return self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        node.body = node.body[1:] if ast.get_docstring(node) else node.body
        return self.generic_visit(node)

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.annotation = None
        return node


@functools.lru_cache(maxsize=1)
def relay_source() -> str:
    """Return the program for the target: the relay, without annotations and docstrings."""
    module = ast.parse(Path(__file__).read_text(encoding="utf-8"))
    relay = next(
        node for node in module.body if isinstance(node, ast.ClassDef) and node.name == "Relay"
    )
    imports = "import " + ", ".join(RELAY_MODULES.split())
    return "\n".join((imports, ast.unparse(_Bare().visit(relay)), RELAY_MAIN))


@functools.lru_cache(maxsize=1)
def relay_code() -> str:
    """Return the program as one line without a quote that a shell minds."""
    packed = base64.b64encode(zlib.compress(relay_source().encode(), 9)).decode()
    return f'import base64,zlib;exec(zlib.decompress(base64.b64decode("{packed}")))'


class BecomeModule(BecomeBase):
    """Become an account with collabsu; the work is done on the target, by the relay."""

    name = "jgi.jaws.collabsu"
    _failure = ""  # how the relay's report on the current command begins
    _reported = ""  # what it said

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
        """Return the account; collabsu must not take it for an option."""
        account = str(self._option("become_user") or "")
        if not ACCOUNT.fullmatch(account):
            raise AnsibleError(
                f"collabsu cannot become {account!r}: that is no account's name. Set become_user."
            )
        return account

    def _password(self) -> str:
        """Return the password; what comes after a line's end would reach the command."""
        password = str(self._option("become_pass") or "")
        if "\n" in password:
            raise AnsibleError(
                "The become password has more than one line, and collabsu takes one. "
                "Look for a line's end in the vault or file that ansible_become_password is from."
            )
        return password

    def _collabsu(self) -> list[str]:
        """Return collabsu's own words up to the account."""
        executable = str(self._option("become_exe") or "collabsu")
        return [
            executable,
            *shlex.split(str(self._option("become_flags") or "")),
            self._account(),
        ]

    def _settings(self) -> str:
        """Return what the relay has to know, without the password."""
        names = ("form", "prompts", "wrong_password_texts", "refused_account_texts", "timeout")
        settings = {name: self._option(name) for name in names}
        settings.update(success=self.success, failure=self._failure)
        settings.update(prompt=self.prompt, password=bool(self.prompt))
        return json.dumps(settings)

    def check_success(self, b_output: bytes) -> bool:
        """Tell whether the account's shell is open; raise AnsibleError with the relay's message.

        Both ssh and local ask this for every piece of output, so a failure shows at once.
        """
        found = re.search(re.escape(self._failure).encode() + rb' (".*")\r?\n', b_output)
        if self._failure and found:
            self._reported = json.loads(found[1])
            raise AnsibleError(self._reported)
        base: Any = super()
        return bool(base.check_success(b_output))

    def check_password_prompt(self, b_output: bytes) -> bool:
        """Tell whether the password is wanted; raise AnsibleError rather than have it sent again.

        With reconnection_retries, ssh repeats a command that failed, and wrong passwords lock
        people out.
        """
        asked = bool(super().check_password_prompt(b_output))
        if asked and self._reported:
            raise AnsibleError(self._reported)
        return asked
