# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The daemon's own sections and the key of one supervisord.conf, and how they come into force.

While a new file is not in force yet, the old one is kept as C(FILE.previous), because only its
key and address work with the running daemon. A run that is killed leaves it for the next one.
"""

from __future__ import annotations

import configparser
import os
import re
import secrets
from contextlib import suppress
from dataclasses import replace
from typing import Any, Container

from .errors import JawsError
from .supervisor import conf
from .supervisor.conf import ConfText
from .supervisor.controller import Controller
from .supervisor.daemon import LOCKED_OUT, Daemon, Living, environment_of, with_daemons
from .supervisor.endpoint import SupervisordConf, is_taken, new_parser
from .supervisor.instance_lock import locked_instance
from .supervisor.observation import observe
from .supervisor.planning import plan_updated
from .supervisor.presence import ask, warnings
from .supervisor.programs import NOTIFIER
from .supervisor.running import (
    Instance,
    listeners,
    refuse_deaf,
    refuse_hidden_orphans,
    refuse_other_config,
)
from .supervisor.trust import refuse_unreadable
from .system.files import (
    Candidate,
    file_mode,
    group_id,
    has_acl,
    read_text,
    refuse_unsafe,
    sweep,
    user_name,
    write,
)

# 128 bits and more, in characters that Supervisor reads unescaped.
KEY = re.compile(r"^password=([A-Za-z0-9_-]{22,})$", re.MULTILINE)
KEY_BYTES = 32  # 256 bits


class ConfigFile:
    """One supervisord.conf and how it is put into force.

    :param params: the supervisord_config module's options.
    :raises JawsError: an option is wrong, or the file cannot be read or has a foreign owner.
    """

    def __init__(self, params: dict[str, Any]) -> None:
        self.params = params
        self.path = os.path.abspath(params["config"])
        self.previous = self.path + ".previous"
        self.mode = secret_mode(params["mode"])
        self.gid = group_id(params["group"])
        for path in (self.path, self.previous):
            refuse_unsafe(path)
        self.text = read_text(self.path)
        self.old = conf.split(self.text or "")
        key = known_key(self.old)
        self.new_key = key is None or bool(params["rotate_key"])
        fresh = secrets.token_urlsafe(KEY_BYTES) if self.new_key else str(key)
        self.new = wanted(self.old, params["sections"], params["username"], fresh)
        self.warnings: list[str] = []

    @property
    def interrupted(self) -> bool:
        """Whether an earlier run was killed before its file was in force."""
        return os.path.exists(self.previous)

    @property
    def differs(self) -> bool:
        """Whether the file's text or its access differs from what is wanted."""
        if self.new.text != self.text or self._access() != (self.mode, self.gid):
            return True
        return has_acl(self.path)

    def _access(self) -> tuple[int, int | None]:
        found = os.stat(self.path)
        return found.st_mode & 0o7777, None if self.gid is None else found.st_gid

    @property
    def changed(self) -> bool:
        """Whether there is anything to do."""
        return self.differs or self.interrupted

    def sweep(self) -> None:
        """Remove the temporary files of either file that a killed run has left."""
        for path in (self.path, self.previous):
            sweep(path)

    def apply(self) -> bool:
        """Write the file if it differs; return whether a running daemon was reloaded for it."""
        must_reload = self.interrupted or in_force(self.old) != in_force(self.new)
        running = self._written(must_reload) if self.differs else self._running(self.path)
        if running:
            self._reload(running)
        with suppress(FileNotFoundError):
            os.unlink(self.previous)
        return running is not None

    def _reload(self, running: Living) -> None:
        """Have the daemon take up the file, and its programs do what they did before."""
        daemon = self._daemon(self.path)
        before = daemon.take_up(running)
        try:
            self.warnings += daemon.restore(before)
        except JawsError:
            os.unlink(self.previous)  # the file is in force
            raise

    def notify(self) -> bool:
        """Make a running daemon run the notifier as the file says; return whether that was due.

        Its programs are left alone.

        :raises JawsError: the notifier does not start (program_failed, timed_out).
        """
        texts = (self.old.daemon, self.new.daemon)
        if not any(NOTIFIER in conf.definitions(text) for text in texts):
            return False
        daemon = self._daemon(self.path)
        if not daemon.status():
            return False
        with daemon.client as client:
            programs, change = observe(client, reread=True)
            plan = plan_updated(change.only([NOTIFIER]), programs)
            if plan.changes:
                Controller(client, self.params["timeout"]).execute(plan)
        return plan.changes

    def _written(self, must_reload: bool) -> Living | None:
        """Write the file; return the daemon that has to take it up."""
        with Candidate(self.path, self.new.text, self.mode, self.gid) as candidate:
            running = self._running(candidate.path) if must_reload else None
            if not must_reload:
                refuse_other_keys(self._daemon(candidate.path))
            if running and not self.interrupted:
                write(self.previous, self.text or "")
            candidate.commit()
        return running

    def _running(self, path: str) -> Living | None:
        """Return the daemon that runs, and how it is reached: by a request, or else by a signal.

        :param path: of the file that it is to take up.
        :raises JawsError: the file is none for it: it would be lost in its reload, or run something
            twice; nothing has been changed yet.
        """
        asked, shut = self._asked()
        new = self._daemon(path)
        process = Instance(self.path, (asked or new).instance.server_url).only()
        if process:
            refuse_other_config(self.path, process)
        if asked:  # it reads the file again in the surroundings that it was started in
            new.environment = asked.running_environment() or new.environment
        elif process:
            new.environment = environment_of(process.pid) or new.environment
        refuse_other_keys(new)
        if asked:
            return self._reachable(asked, new)
        if shut and (process is None or shut.reason not in LOCKED_OUT):
            raise shut
        if process is None:
            refuse_hidden_orphans(self.path, self._old_url(), new.instance.server_url)
            return None
        refuse_deaf(self.path, process)
        moved = process not in listeners(new.instance.server_url)
        refuse_deadly_reload(self.path, new, user_name(process.uid), moved)
        return Living(new.client, process, new.resolved.programs)

    def _reachable(self, asked: Daemon, new: Daemon) -> Living:
        with asked.client as client:
            asked.inspect(client)
        moved = asked.endpoint.url != new.endpoint.url
        refuse_deadly_reload(asked.config, new, asked.user_now(), moved)
        return Living(asked.client)

    def _old_url(self) -> str | None:
        with suppress(JawsError):
            return SupervisordConf(self.path).server_url
        return None

    def _asked(self) -> tuple[Daemon | None, JawsError | None]:
        """Return the daemon that answers by this file or the previous one, or why it does not."""
        shut: JawsError | None = None
        for path in (self.path, self.previous):
            if not os.path.exists(path):
                continue
            try:
                daemon = self._daemon(path)
                if daemon.status():
                    return daemon, None
            except JawsError as error:
                shut = error if shut is None or shut.reason in LOCKED_OUT else shut
        return None, shut

    def _daemon(self, path: str) -> Daemon:
        return daemon_of(path, self.params)


def daemon_of(path: str, params: dict[str, Any]) -> Daemon:
    """Return the daemon that a file describes."""
    options = ("python", "timeout", "trusted_users")
    return Daemon(path, **{option: params[option] for option in options})


def refuse_other_keys(daemon: Daemon) -> None:
    """Refuse included files with a different user name or key for a server.

    :raises JawsError: names the section (broken_conf), or as Supervisor's parser says.
    """
    ours = daemon.endpoint.username, daemon.endpoint.password
    for server in daemon.resolved.servers:
        if (server.username, server.password) != ours:
            raise JawsError(
                f"a file that [include] names has a section [{server.section}] with a different "
                "user name or key, which would be used. Nothing was changed: remove that section "
                "there.",
                reason="broken_conf",
            )


def refuse_deadly_reload(old: str, new: Daemon, user: str | None, moved: bool) -> None:
    """Refuse a change that would make the running daemon end during its reload.

    :param old: path of the file that it runs with.
    :param user: the user that it runs as, where the system shows it.
    :param moved: whether it will listen at another address.
    :raises JawsError: says why; nothing has been changed yet.
    """
    new.conf.trusted = replace(new.conf.trusted, config=old)
    new.refuse_unusable_places(socket=moved)
    if moved and is_taken(new.endpoint):
        raise JawsError(
            f"{new.endpoint.address} is taken by another process. Nothing was changed: choose "
            "another address, or end that process.",
            reason="address_taken",
        )
    refuse_unreadable(new.config, user, old)
    if new.user and user not in (None, new.user):
        raise JawsError(
            f"supervisord ({old}) runs as {user} and cannot become {new.user}. "
            "Nothing was changed: stop it, then run this again.",
            reason="foreign_owner",
        )


def known_key(old: ConfText) -> str | None:
    """Return the key to keep: one that was generated here, not one that people have chosen."""
    found = KEY.search(old.daemon) if old.daemon.startswith(conf.BANNER) else None
    return found.group(1) if found else None


def wanted(old: ConfText, sections: conf.Sections, username: str, key: str) -> ConfText:
    """Return the file's text: the given sections, and what others have written.

    Includes are kept, unless the sections say otherwise.

    :raises JawsError: as C(conf.daemon_sections).
    """
    daemon = conf.daemon_sections(sections, username, key)
    if "include" not in sections:
        daemon += conf.only(old.daemon, ["include"])
    programs = conf.without(old.programs, sections)
    if conf.DIVIDER not in programs and any(map(conf.is_program, sections)):
        programs = conf.DIVIDER + programs
    return ConfText(daemon, programs)


def in_force(text: ConfText) -> Any:
    """Return what a daemon reads only in a reload: no comments, programs or client sections."""
    parser = new_parser()
    try:
        parser.read_string(text.daemon)
    except configparser.Error:
        return None
    return {name: dict(parser[name]) for name in parser.sections() if conf.needs_reload(name)}


def secret_mode(text: str) -> int:
    """Return the mode of a file that holds a key.

    :raises JawsError: it is not an octal number, or lets everybody in (bad_option).
    """
    mode = file_mode(text)
    if mode & 0o7137:
        raise JawsError(
            f"mode {text}: the file contains the key, so only its owner and its group may read "
            "it, as with 0640 or 0600.",
            reason="bad_option",
        )
    return mode


def manage(params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    """Update the daemon's sections of one supervisord.conf.

    :raises JawsError: as the module's documentation lists under C(reason).
    """
    try:
        result = _manage(params, check_mode)
        return dict(result, **_asked(params, result["warn"])) if params["ask"] else result
    except JawsError as error:
        raise with_daemons(error, params["config"]) from error


def _asked(params: dict[str, Any], warned: list[str]) -> dict[str, Any]:
    """Return what the daemon answers; in check mode there may be no file yet."""
    if not os.path.exists(params["config"]):
        return dict(daemon=dict(pid=None, outdated=None))
    daemon = daemon_of(params["config"], params)
    found = ask(daemon)
    return dict(daemon=found, warn=[*warned, *warnings(daemon, found)])


def _manage(params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    file = ConfigFile(params)
    if check_mode:
        return _result(file, file.changed, False)
    file.sweep()
    if not file.changed:
        return _result(file, file.notify(), False)
    # The same lock as Daemon.alone, so that a start never sees half a change.
    with locked_instance(*lock_of(file), params["timeout"]):
        # Another run may have changed it while we waited.
        file = ConfigFile(params)
        changed = file.changed
        reloaded = changed and file.apply()
        return _result(file, file.notify() or changed, reloaded)


def lock_of(file: ConfigFile) -> tuple[str, str | None, Container[int]]:
    """Return what the lock of the instance depends on, according to the present file."""
    found = SupervisordConf(file.path, text=file.new.text)
    with suppress(JawsError):
        found = SupervisordConf(file.path, text=file.text)
    return file.path, found.pid_file, found.trusted


def _result(file: ConfigFile, changed: bool, reloaded: bool) -> dict[str, Any]:
    return dict(
        changed=changed,
        reloaded=reloaded,
        new_key=file.new_key,
        warn=file.warnings,
        config=file.path,
        diff=dict(
            before=conf.redact(file.old.daemon),
            after=conf.redact(file.new.daemon),
            before_header=file.path,
            after_header=file.path,
        ),
    )
