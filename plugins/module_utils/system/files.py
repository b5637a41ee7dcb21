# Copyright: (c) 2026, The jgi.jaws engineers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files: who owns them, how to write them in one step, and how to read the end of a log."""

from __future__ import annotations

import errno
import fcntl
import grp
import hashlib
import json
import os
import pwd
import re
import stat
import tempfile
from contextlib import contextmanager, suppress
from typing import Any, BinaryIO, Container, Iterable, Iterator, Sequence, Union

from ..errors import JawsError, keep_secret, quoted, withhold

Content = Union[str, Iterable[bytes]]

LINK_TRIES = 100
PART = 1 << 20  # bytes of a large file that are in memory
TAIL_BYTES = 4096
TAIL_LINES = 20
ACL = "system.posix_acl_access"  # who else may use a file, besides what its mode says
# What the reader of a refusal can do; {owner} is the account, which may run a live service.
ADVICE = "Run this as {owner}, or choose another path."
LINK_ADVICE = (
    "Another user's link may lead anywhere, and your own would be replaced by a file. Give the "
    "path that it leads to, or choose another one."
)
MOST_LINKS = 40  # as many as the kernel follows

# --- owners -------------------------------------------------------------------------------------


def user_name(uid: int) -> str:
    """Return the user's name, or C(uid N) if it has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def user_id(name: str | None) -> set[int]:
    """Return the user's uid as a set, empty if no name is given or there is no such user."""
    if not name:
        return set()
    if name.isdigit():
        return {int(name)}
    try:
        return {pwd.getpwnam(name).pw_uid}
    except KeyError:
        return set()


def ours(*trusted: int) -> set[int]:
    """Return the uids whose files we use: root's, our own, and those of trusted accounts."""
    return {0, os.geteuid(), *trusted}


def refuse_foreign(
    path: str, owners: Container[int], follow: bool = False, advice: str = ADVICE
) -> None:
    """Refuse a path unless one of C(owners) owns it; a path that does not exist is accepted.

    :param follow: whether they must also own the target of a symbolic link.
    :param advice: what the reader of the message should do, where {owner} is the owner's name.
    :raises JawsError: names both accounts (foreign_owner).
    """
    found = []
    with suppress(OSError):  # it does not exist, or we may not look: using it will report that
        found.append(os.lstat(path).st_uid)
        if follow:
            found.append(os.stat(path).st_uid)
    for uid in found:
        _refuse_owner(path, uid, owners, advice)


def _refuse_owner(
    path: str, uid: int, owners: Container[int], advice: str = ADVICE, what: str = "belongs to"
) -> None:
    if uid not in owners:
        owner = user_name(uid)
        raise JawsError(
            f"{path} {what} {owner}, and you are {user_name(os.geteuid())}. Nothing was read, run "
            f"or written there. {advice.format(owner=owner, place='path')}",
            reason="foreign_owner",
        )


def refuse_unsafe(
    path: str,
    owners: Container[int] | None = None,
    advice: str = ADVICE,
    follow: bool = False,
) -> None:
    """Refuse a path that others may have created before us, and symbolic links.

    Its directory must belong to one of C(owners); if everybody may write to that directory, so must
    the path itself. Devices belong to the system, and those with usual names are links.

    :param owners: uids whose files we use; None: root's and our own.
    :param advice: what the reader of the message should do, where {owner} is the owner's name.
    :param follow: whether a link of C(owners) will do, if what it leads to does. Not for a file
        that we replace: the link would be replaced, and what it leads to would stay as it is.
    :raises JawsError: names both accounts (foreign_owner).
    """
    owners = ours() if owners is None else owners
    for _step in range(MOST_LINKS):  # using what has more of them will report it
        found = None if is_of_the_system(path) else _owned(path, owners, advice)
        if not found or not stat.S_ISLNK(found.st_mode):
            return
        allowed = owners if follow else ()
        _refuse_owner(path, found.st_uid, allowed, LINK_ADVICE, "is a symbolic link of")
        path = os.path.join(os.path.dirname(path), os.readlink(path))


def _owned(path: str, owners: Container[int], advice: str) -> os.stat_result | None:
    """Refuse a path for its owner or its directory's; return what is there, a link as such."""
    folder = os.path.dirname(path)
    try:
        around = os.stat(folder)
        _refuse_owner(folder, around.st_uid, owners, advice)
        found = os.lstat(path)
    except (FileNotFoundError, PermissionError):
        return None  # using it will report what is wrong
    if around.st_mode & stat.S_IWOTH and not stat.S_ISLNK(found.st_mode):
        _refuse_owner(path, found.st_uid, owners, advice)
    return found


def is_of_the_system(path: str) -> bool:
    """Whether a path is a device or an open file, such as /dev/stdout: another for each process."""
    return os.path.dirname(path) in ("/dev", "/dev/fd") or path.startswith("/proc/")


def _link(path: str) -> tuple[int, str] | None:
    """Return whose symbolic link a path is, and where it leads, at one moment; None if it is none.

    Others may replace it between two looks.
    """
    try:
        handle = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:  # using it will report that
        return None
    try:
        found = os.fstat(handle)
        if not stat.S_ISLNK(found.st_mode):
            return None
        target = os.readlink("", dir_fd=handle)
        return found.st_uid, os.path.join(os.path.dirname(path), target)
    finally:
        os.close(handle)


def behind_links(path: str) -> tuple[str, set[int]]:
    """Return what a path leads to through symbolic links, and whose links these are.

    A path of the system is not followed, because it would lead to a file of this process.
    """
    owners: set[int] = set()
    for _step in range(MOST_LINKS):
        link = None if is_of_the_system(path) else _link(path)
        if not link:
            break
        owners.add(link[0])
        path = link[1]
    return path, owners


@contextmanager
def acting_as(uid: int, gid: int, groups: Sequence[int]) -> Iterator[None]:
    """Act as another account for a moment, if we are root: root may read and write anywhere."""
    if os.geteuid() or not uid:
        yield
        return
    before = os.getgroups()
    os.setgroups(groups)
    os.setegid(gid)
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(os.getgid())
        os.setgroups(before)


def file_mode(text: str) -> int:
    """Return an octal mode as a number.

    :raises JawsError: it is not octal (bad_option).
    """
    if not re.match(r"[0-7]{3,5}\Z", text):
        raise JawsError(f"mode {text}: write an octal number in quotes, as '0640'.", "bad_option")
    return int(text, 8)


def mask_of(text: str | None) -> int | None:
    """Return an octal umask as a number, or None for none.

    :raises JawsError: it is not a umask (bad_option).
    """
    # Without quotes, YAML makes the text 23 of 027.
    if text is not None and not re.match(r"(0|0?[0-7]{3})\Z", text):
        raise JawsError(f"umask {text}: write an octal number in quotes, as '027'.", "bad_option")
    return None if text is None else int(text, 8)


def find_group(name: str) -> int:
    """Return a group's id.

    :raises JawsError: there is no such group (bad_option).
    """
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        raise JawsError(
            f"there is no unix group {name} on this host: correct the inventory.", "bad_option"
        ) from None


def group_id(name: str | None) -> int | None:
    """Return a group's id, or None for no name.

    :raises JawsError: no such group, or this user's process is not a member of it.
    """
    if name is None:
        return None
    gid = find_group(name)
    if os.geteuid() != 0 and gid not in (*os.getgroups(), os.getegid()):
        raise JawsError(
            f"this process of {user_name(os.geteuid())} is not a member of the unix group "
            f"{name}. Add the user to it; if it was added recently, close its old sessions "
            "(including ssh ControlMaster connections) and log in again.",
            reason="not_a_member",
        )
    return gid


# --- directories --------------------------------------------------------------------------------


def refuse_foreign_place(path: str, is_link: bool = False) -> None:
    """Refuse a path of a foreign owner, and a path below a directory that others can replace.

    A directory may be our own link to a directory of our own.

    :param is_link: whether the path itself is to be a link, wherever that leads.
    :raises JawsError: names the owner (foreign_owner).
    """
    paths = [path] if is_link or not os.path.islink(path) else [path, os.path.realpath(path)]
    while path != "/":
        path = os.path.dirname(path)
        if os.path.lexists(path) and os.stat(os.path.dirname(path)).st_mode & stat.S_IWOTH:
            paths.append(path)
    for path in paths:
        refuse_foreign(path, ours())


def make_directory(path: str, mode: int, gid: int | None = None) -> None:
    """Make a directory, with those above it that are missing, or give it its mode and its group.

    :raises JawsError: it has a foreign owner (foreign_owner).
    :raises OSError: it cannot be made.
    """
    for folder in reversed(missing(path)):
        # Closed until its group is right. The missing directories above it get their final mode at
        # once, because the run after a killed one would not look at them again.
        with suppress(FileExistsError), umask(0):
            os.mkdir(folder, 0o700 if folder == path else 0o711)
    # Another instance on the same machine, or another user, may have been faster.
    refuse_foreign_place(path)
    if not os.path.isdir(path):
        raise NotADirectoryError(0, "something that is not a directory is in its place", path)
    if gid not in (None, os.stat(path).st_gid):
        os.chown(path, -1, gid)
    os.chmod(path, mode)


def missing(path: str) -> list[str]:
    """Return the path, if it does not exist, and the directories above it that do not."""
    found = []
    while not os.path.lexists(path):
        found.append(path)
        path = os.path.dirname(path)
    return found


# --- reading and writing ------------------------------------------------------------------------


def read_text(path: str) -> str | None:
    """Return a file's text unchanged, or None if there is no such file.

    :raises JawsError: it exists but cannot be read (unreadable_conf).
    """
    try:
        with open(path, encoding="utf-8", newline="") as stream:
            return stream.read()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not UTF-8"
        raise JawsError(
            f"cannot read {path}: {why}. Correct that, or move it away.", "unreadable_conf"
        ) from error


def keep_secrets_of(path: str) -> None:
    """Note the secrets in a file of the release, a list in JSON; without them nothing is quoted."""
    try:
        with open(path, encoding="utf-8") as stream:
            keep_secret(*json.load(stream))
    except (OSError, ValueError, TypeError):
        withhold(f"{path}, which lists what is secret, cannot be read")


def has_acl(file: int | str) -> bool:
    """Whether an access control list lets other accounts use a file than its mode says."""
    try:
        return bool(os.getxattr(file, ACL))
    except OSError:  # it has none, or its filesystem knows none
        return False


def remove_acl(file: int) -> None:
    """Remove the access control list that a new file inherits from its directory.

    :raises OSError: it has one that cannot be removed.
    """
    try:
        os.removexattr(file, ACL)
    except OSError:
        if has_acl(file):
            raise


class Candidate:
    """A new file with a temporary name, which others can never read; C(commit) puts it in place.

    An access control list that its directory prescribes is removed while it is still empty. As a
    context manager it leaves nothing behind if it is not committed. The next run removes what
    a killed run has left; the file of a running writer is locked.

    :raises JawsError: it cannot be written (cannot_write).
    """

    def __init__(self, path: str, text: Content, mode: int = 0o600, gid: int | None = None) -> None:
        self.target = path
        self.path = ""
        self._handle = -1
        folder, name = os.path.split(path)
        try:
            sweep(path)
            self._handle, self.path = _create(folder, name)
            self._write(text, mode, gid)
        except JawsError:
            self.discard()
            raise
        except (OSError, UnicodeEncodeError) as error:
            self.discard()
            how = f"with mode {mode:04o}" + ("" if gid is None else f" and the group gid {gid}")
            raise self._failure(how, error) from error

    def _write(self, text: Content, mode: int, gid: int | None) -> None:
        remove_acl(self._handle)
        with open(self._handle, "wb", closefd=False) as stream:
            stream.writelines([text.encode()] if isinstance(text, str) else text)
        if gid is not None and os.fstat(self._handle).st_gid != gid:
            os.fchown(self._handle, -1, gid)
        os.fchmod(self._handle, mode)
        os.fsync(self._handle)

    def _failure(self, how: str, error: Exception) -> JawsError:
        why = getattr(error, "strerror", None) or "the text is not UTF-8"
        return JawsError(
            f"cannot write {self.target} {how}: {why}. The old content is unchanged.",
            reason="cannot_write",
        )

    def __enter__(self) -> Candidate:
        return self

    def __exit__(self, *_details: Any) -> None:
        self.discard()

    def commit(self) -> None:
        """Replace the target in one step that survives a crash of the machine.

        :raises JawsError: it cannot be replaced or made durable (cannot_write).
        """
        try:
            os.replace(self.path, self.target)
        except OSError as error:
            raise self._failure("by replacing the old one", error) from error
        self.path = ""
        sync_folder(os.path.dirname(self.target))

    def discard(self) -> None:
        """Remove the file, unless it was committed."""
        with suppress(FileNotFoundError):
            os.unlink(self.path)
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1


def write(path: str, text: Content, mode: int = 0o600, gid: int | None = None) -> None:
    """Write a whole file in one step, so that others can never read more than its mode allows.

    :raises JawsError: it cannot be written (cannot_write).
    """
    with Candidate(path, text, mode, gid) as candidate:
        candidate.commit()


def parts(stream: BinaryIO) -> Iterator[bytes]:
    """Yield what a stream has, of any size, without keeping it."""
    return iter(lambda: stream.read(PART), b"")


def sha256(path: str) -> str:
    """Return the SHA-256 of a file, of any size.

    :raises OSError: it cannot be read.
    """
    total = hashlib.sha256()
    with open(path, "rb") as stream:
        for part in parts(stream):
            total.update(part)
    return total.hexdigest()


def _create(folder: str, name: str) -> tuple[int, str]:
    """Return a new file, open and locked, and its path."""
    while True:
        handle, path = tempfile.mkstemp(".new", f".{name}.", folder)
        with suppress(OSError):  # without locks, nothing is ever swept
            fcntl.flock(handle, fcntl.LOCK_EX)
        if os.fstat(handle).st_nlink:
            return handle, path
        os.close(handle)  # another run swept it before it was locked


def sweep(path: str) -> None:
    """Remove the candidates for C(path) that nobody writes any more."""
    folder, target = os.path.split(path)
    _sweep(folder, re.escape(target))


def sweep_folder(path: str) -> None:
    """Remove all candidates in a directory of our own that nobody writes any more."""
    _sweep(path, ".+")


def _sweep(folder: str, target: str) -> None:
    ours = re.compile(rf"\.{target}\.\w{{8}}\.new\Z")  # as tempfile names them
    names: list[str] = []
    with suppress(OSError):  # writing there will report it
        names = os.listdir(folder)
    for name in names:
        if ours.match(name):
            path = os.path.join(folder, name)
            # It is still being written, or belongs to another user, or there are no locks here.
            with suppress(OSError), open(path, "r+b") as stream:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.unlink(path)


def place_link(path: str, target: str) -> None:
    """Make a path a symbolic link in one step, replacing what was there.

    The temporary name is always the same, so that the next run removes what a killed run has left.
    If two runs do this at once, the last one wins.

    :raises OSError: it cannot be made.
    """
    aside = path + ".new"
    for left in reversed(range(LINK_TRIES)):
        sweep_link(path)
        try:
            os.symlink(target, aside)
            os.replace(aside, path)
            return
        except (FileExistsError, FileNotFoundError):  # another run is doing the same
            if not left:
                raise
        except OSError:
            sweep_link(path)
            raise


def sweep_link(path: str) -> None:
    """Remove what a killed C(place_link) has left."""
    with suppress(FileNotFoundError):
        os.unlink(path + ".new")


@contextmanager
def umask(mask: int) -> Iterator[None]:
    """Create files with this umask inside the with block."""
    old = os.umask(mask)
    try:
        yield
    finally:
        os.umask(old)


def sync_folder(path: str) -> None:
    """Make renames in a directory durable, if its filesystem can.

    :raises JawsError: the storage fails (cannot_write).
    """
    try:
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EACCES):
            raise JawsError(
                f"what was written in {path} may not survive a crash of the machine: "
                f"{error.strerror}. Check the disk below it, then run this again.",
                reason="cannot_write",
            ) from error


def tail(
    path: str,
    since: int = 0,
    max_lines: int = TAIL_LINES,
    max_bytes: int = TAIL_BYTES,
    until: int | None = None,
) -> list[str] | None:
    """Return the last lines of a log, as they may be shown, at most 4 KiB by default.

    The file itself is read, because supervisord answers nobody else while it sends a large log. It
    is None if it is not a readable regular file, or if it is only reached through a link of an
    account that is neither root, nor ours, nor the file's owner: it may not be able to read it.

    :param since: the offset in bytes before which nothing is read.
    :param until: the offset at which reading ends; by default at the end of the file.
    """
    try:
        with open(path, "rb", opener=_open_at_once) as stream:
            status = os.fstat(stream.fileno())
            end = status.st_size if until is None else until
            # More than is shown, because a secret must be found as a whole.
            start = stream.seek(max(0, min(since, end), end - max_bytes - TAIL_BYTES))
            read = stream.read(-1 if until is None else max(0, end - start))
            shown = quoted(read.decode("utf-8", "replace")).encode()[-max_bytes:]
            return shown.decode("utf-8", "replace").splitlines()[-max_lines:]
    except OSError:
        return None


def end_of(path: str, max_bytes: int) -> tuple[int, int] | None:
    """Return which file a log is, by its inode, and where its last whole line ends.

    :param max_bytes: how much of the end to read; a longer line counts as whole.
    """
    try:
        with open(path, "rb", opener=_open_at_once) as stream:
            status = os.fstat(stream.fileno())
            start = stream.seek(max(0, status.st_size - max_bytes))
            return status.st_ino, start + stream.read(max_bytes).rfind(b"\n") + 1
    except OSError:
        return None


def _open_at_once(path: str, flags: int) -> int:
    """Open a log without waiting, as opening a named pipe would.

    :raises OSError: it cannot be opened, is not a regular file, or a link to it is not trusted.
    """
    target, owners = behind_links(path)
    if is_of_the_system(target):
        raise FileNotFoundError(errno.ENOENT, "not a file", target)
    handle = os.open(target, flags | os.O_NONBLOCK | os.O_NOFOLLOW)
    found = os.fstat(handle)
    if not stat.S_ISREG(found.st_mode) or not owners <= ours(found.st_uid):
        os.close(handle)
        raise PermissionError(errno.EPERM, "not a file, or a link of another user", path)
    return handle
