# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The part of the become plugin collabsu that runs on the target, between collabsu and Ansible.

The plugin sends this file as it is. It uses only the standard library, and has no annotations,
because it must run on Python 3.6, which cannot read those of the rest of the collection.
"""

import fcntl
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
import sys
import termios
import threading
import time


class Relay:
    """Runs collabsu in a terminal of its own, and relays between it and Ansible."""

    QUIET = 0.5  # seconds of silence after which a program is assumed to wait for something
    stdin, stdout, stderr = 0, 1, 2  # Ansible's
    MESSAGES = {
        "missing": "There is no executable {exe} on this host (PATH is {path}). Name the right one "
        "in ansible_collabsu_exe; some systems have usgrsu instead of collabsu.",
        "no_password": "{exe} asks for the password of {caller} and none was given. Run again with "
        "-K, or set ansible_become_password from a vault.",
        "unanswered": "{exe} asks for the password of {caller}, but Ansible's connection did not "
        "send it. Use the ssh or local connection, which answer the prompt of a become plugin.",
        "wrong": "{exe} rejected the password of {caller}: wrong password. It was sent only once. "
        "Run again with -K and the password of {caller}, not of {account}.",
        "refused": "{exe} does not let {caller} use the account {account}. Ask those who manage "
        "{account} to give {caller} access, or set another become_user.",
        "strange": "{exe} asks {caller} an unknown question. If it wants the password, add the "
        "beginning of the question to ansible_collabsu_prompts.",
        "ended": "{exe} ended with exit status {status} without opening a shell as {account}. Does "
        "it accept a command in the form {form} (ansible_collabsu_form)?",
        "silent": "{exe} neither opened a shell as {account} nor asked a known question within "
        "{timeout} s. See ansible_collabsu_prompts, ansible_collabsu_form and "
        "ansible_collabsu_timeout.",
    }

    def __init__(self, account, command, settings, argv):
        self.account = account
        self.command = command
        self.settings = settings
        self.argv = argv
        self.form = settings["form"]
        self.password = b""
        self.said = {}
        self.asked = self.sent = self.opened = False
        self.deadline = time.monotonic() + settings["timeout"]

    def run(self):
        """Return the exit status of the command; fail if collabsu does not open a shell."""
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

    def start(self):
        """Start collabsu with pipes for standard streams and a new controlling terminal."""
        self.wake, self.awaken = os.pipe()
        os.set_blocking(self.awaken, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self.awaken)
        # This end stays open here too: reading a terminal whose other end is closed is an error.
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

    def command_words(self):
        """Return what follows the account on collabsu's command line."""
        if self.form == "-c":
            return ["-c", self.command]
        return shlex.split(self.command) if self.form == "trailing" else []

    def listen(self, seconds):
        """Return what arrived on each stream; nothing if all are silent for that many seconds."""
        heard = []
        for stream in select.select(self.streams, [], [], seconds)[0]:
            data = self.read(stream)
            if not data:
                self.streams.remove(stream)
            heard.append((stream, data))
        return heard

    def read(self, stream, most=65536):
        """Return what can be read; nothing at the end, which a terminal reports as an error."""
        try:
            return os.read(stream, most)
        except OSError:
            return b""

    def escalate(self):
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

    def hear(self, stream, data):
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

    def has_opened(self):
        """Return whether the account's shell runs the command, and pass on its first output."""
        # A refusal may quote the command with the marker; only the shell ends a line with it.
        found = re.search(self.settings["success"].encode() + rb"\r?\n", self.said[self.shell_out])
        self.opened = bool(found)
        if found:
            self.write(self.stdout, self.said[self.shell_out][found.start() :])
        return self.opened

    def has_said(self, texts):
        """Return whether collabsu has printed one of these texts, in upper or lower case."""
        said = self.quote().lower()
        return any(text.lower() in said for text in self.settings[texts])

    def quote(self):
        """Return what collabsu has printed, without the password and the marker."""
        said = b" ".join(self.said.values()).replace(self.settings["success"].encode(), b"")
        if self.password:
            said = said.replace(self.password, b"***")
        return " ".join(said.decode("utf-8", "replace").split())

    def answer(self, stream):
        """Send the password to where it was asked for: the terminal or a pipe."""
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

    def ask(self):
        """Return the password, which Ansible sends when it sees the prompt."""
        if os.isatty(self.stdin):
            self.hush()
        self.write(self.stdout, self.settings["prompt"].encode())
        line = b""
        while not line.endswith(b"\n"):
            ready = select.select([self.stdin], [], [], self.settings["timeout"])[0]
            # Byte by byte, because what follows the line belongs to the module.
            byte = self.read(self.stdin, 1) if ready else b""
            if not byte:
                self.fail("unanswered")
            line += byte
        return line[:-1]

    def hush(self):
        """Stop the terminal that Ansible's connection allocated from echoing the password."""
        mode = termios.tcgetattr(self.stdin)
        mode[3] &= ~termios.ECHO
        termios.tcsetattr(self.stdin, termios.TCSANOW, mode)

    def wait(self):
        """React to silence: send the command, or report an unknown question."""
        mode = termios.tcgetattr(self.terminal)[3]
        hidden = mode & termios.ICANON and not mode & termios.ECHO
        if hidden and self.said[self.terminal].rpartition(b"\n")[2].strip():
            self.fail("strange")
        # A collabsu that starts slowly would take a command that comes too early for the password.
        half = self.deadline - self.settings["timeout"] / 2
        if self.asked or not self.settings["password"] or time.monotonic() > half:
            self.send_command()

    def send_command(self):
        """Send the command to a shell that reads it from its standard input."""
        if self.form == "stdin" and not self.sent:
            self.sent = True
            self.deadline = time.monotonic() + self.settings["timeout"]
            self.write(self.shell_in, os.fsencode(f"exec {self.command}\n"))

    def feed(self):
        """Pass on to the command what Ansible sends."""
        data = self.read(self.stdin)
        while data and self.write(self.shell_in, data):
            data = self.read(self.stdin)
        if self.child.stdin:
            self.child.stdin.close()

    def carry(self, seconds):
        """Pass on what the command prints; return whether it printed anything."""
        heard = self.listen(seconds)
        for stream, data in heard:
            self.pass_on(stream, data)
        return bool(heard)

    def pass_on(self, stream, data):
        """Send Ansible what the command prints, except on the terminal."""
        if stream in (self.shell_out, self.shell_err):
            self.write(self.stdout if stream == self.shell_out else self.stderr, data)

    def write(self, stream, data):
        """Write everything; return false if the reader is gone, which does not end the command."""
        try:
            while data:
                data = data[os.write(stream, data) :]
        except OSError:
            return False
        return True

    def caller(self):
        """Return the name of the user whose password collabsu asks for."""
        try:
            return pwd.getpwuid(os.getuid()).pw_name
        except KeyError:
            return f"user {os.getuid()}"

    def fail(self, message, **facts):
        """Report the reason, and end together with collabsu, which may still wait for an answer."""
        text = self.MESSAGES[message].format(
            exe=self.argv[0],
            account=self.account,
            caller=self.caller(),
            form=self.form,
            timeout=self.settings["timeout"],
            **facts,
        )
        said = self.quote()[-400:]
        text += f" It said: {said}" if said else ""
        report = f"\n{self.settings['failure']} {json.dumps(text)}\n"
        self.write(self.stdout, report.encode())
        # Before ansible-core 2.19, the local connection loses a report that comes with the end.
        select.select([self.stdin], [], [], self.QUIET)
        # We may not signal a privileged program, but its terminal and pipes close when we end.
        raise SystemExit(1)


if __name__ == "__main__":
    account, command, settings, argv = sys.argv[1], sys.argv[2], sys.argv[6], sys.argv[7:]
    raise SystemExit(Relay(account, command, json.loads(settings), argv).run())
