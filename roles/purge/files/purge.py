# SPDX-License-Identifier: GPL-3.0-or-later
"""Remove what JAWS's runs left behind long ago: ROOT/*/* in inputs and in cromwell-executions.

A tree is removed as a whole, if nothing in it was changed within the age, no process of this user
has its working directory or an open file in it, and Cromwell does not run it. Symbolic links are
not followed, and filesystems are not crossed: every step is relative to a directory that is held
open. A tree is renamed first and checked again before it is removed, so that nothing can start to
use it in between. Runs on Python 3.8.

The exit status is 0 if everything old was removed or is in use, and 1 if an operator must look.
"""

import argparse
import errno
import fcntl
import json
import logging
import logging.handlers
import os
import pwd
import stat
import sys
import time
import urllib.parse
import urllib.request

DAY = 86400
DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
SHALLOWEST = 3
STATES = ("Submitted", "Running", "Aborting", "On Hold")
LOOPBACK = ("127.0.0.1", "localhost", "::1")
# The prefix of a tree that is being removed. The next purge continues with what a killed one left.
ASIDE = ".purge."
LOG = logging.getLogger("purge")
LOG_BYTES = 5000000


class Refused(Exception):
    """The reason why a root or a tree is left alone, which an operator must look at."""


class InUse(Exception):
    """The reason why an old tree stays, about which nobody needs to do anything."""


def main():
    options = arguments().parse_args()
    try:
        report(options)
        with open(options.lock, "a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return run(options, time.time())
    except BlockingIOError:
        print("another purge has locked %s: nothing was done" % options.lock, file=sys.stderr)
    except OSError as error:
        print("purge: %s: nothing more was done" % error, file=sys.stderr)
    return 1


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--inputs", action="append", default=[], metavar="ROOT")
    parser.add_argument("--executions", action="append", default=[], metavar="ROOT")
    parser.add_argument("--cromwell", metavar="URL", help="needed with --executions; on loopback")
    parser.add_argument("--days", type=float, default=14, help="the age, %(default)s by default")
    parser.add_argument("--lock", required=True, metavar="FILE")
    parser.add_argument(
        "--log", metavar="FILE", help="where to log; stderr then gets only problems"
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="only print what would be removed, without a log"
    )
    return parser


def report(options):
    """Report everything in the log, and problems on stderr; without a log, all on stdout."""
    for handler in LOG.handlers:
        handler.close()
    shown = logging.StreamHandler(sys.stdout)
    LOG.setLevel(logging.INFO)
    LOG.handlers = [shown]
    if options.log and not options.dry_run:
        kept = logging.handlers.RotatingFileHandler(options.log, "a", LOG_BYTES, 1)
        kept.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
        shown.setStream(sys.stderr)
        shown.setLevel(logging.WARNING)
        LOG.handlers = [shown, kept]


def run(options, now):
    """Purge every root; return the exit status, 1 if anything could not be done."""
    if options.days < 1:
        LOG.warning("--days is %g, but must be at least 1", options.days)
        return 1
    roots = [(root, frozenset) for root in options.inputs]
    roots += [(root, lambda: running(options.cromwell)) for root in options.executions]
    failed = False
    for root, kept in roots:
        try:
            sweep = Sweep(root, now - options.days * DAY, kept(), options.dry_run)
            sweep.run()
            failed |= sweep.failed
        except (OSError, ValueError, Refused) as error:
            LOG.warning("%s: left alone: %s", root, error)
            failed = True
    return int(failed)


def running(url):
    """Return the ids of the workflows that Cromwell runs; Refused if it does not answer."""
    if urllib.parse.urlsplit(url or "").hostname not in LOOPBACK:
        raise Refused("Cromwell must be on this machine, but --cromwell is %s" % url)
    query = urllib.parse.urlencode([("status", state) for state in STATES])
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        address = "%s/api/workflows/v1/query?%s" % (url.rstrip("/"), query)
        with opener.open(address, timeout=60) as response:
            answer = json.load(response)
        found = frozenset(result["id"] for result in answer["results"])
        total = answer["totalResultsCount"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Refused("cannot ask Cromwell at %s what it runs: %r" % (url, error)) from error
    if total != len(found):
        raise Refused("Cromwell named %d of the %d workflows that it runs" % (len(found), total))
    return found


class Sweep:
    """The purge of one root.

    :param before: older trees are removed; in seconds since 1970.
    :param kept: the names of trees that stay.
    """

    def __init__(self, root, before, kept, dry_run):
        self.root = root
        self.before = before
        self.kept = kept
        self.dry_run = dry_run
        self.trees = self.bytes = 0
        self.failed = False

    def run(self):
        """Remove the trees of the root that may be removed, and report each."""
        handle = open_root(self.root)
        try:
            self.device = os.fstat(handle).st_dev
            for folder in sorted(os.listdir(handle)):
                self.sweep_folder(handle, folder)
        finally:
            os.close(handle)
        words = "would remove" if self.dry_run else "removed"
        LOG.info("%s: %s %d trees, %.1f MB", self.root, words, self.trees, self.bytes / 1e6)

    def sweep_folder(self, handle, folder):
        where = os.path.join(self.root, folder)
        try:
            parent = open_directory(handle, folder, self.device)
        except (OSError, Refused) as error:
            # A file, a link, or gone: not something that runs have left.
            if getattr(error, "errno", 0) not in (errno.ENOTDIR, errno.ELOOP, errno.ENOENT):
                self.complain(where, error)
            return
        try:
            for name in sorted(os.listdir(parent)):
                self.sweep_tree(parent, name, os.path.join(where, name))
        except OSError as error:
            self.complain(where, error)
        finally:
            os.close(parent)

    def sweep_tree(self, parent, name, path):
        try:
            size = self.consider(parent, name)
        except FileNotFoundError:
            return
        except InUse as reason:
            LOG.info("%s: kept: %s", path, reason)
        except (OSError, Refused) as error:
            self.complain(path, error)
        else:
            if size is not None:
                self.trees, self.bytes = self.trees + 1, self.bytes + size
                word = "old" if self.dry_run else "removed"
                LOG.info("%s: %s, %.1f MB", path, word, size / 1e6)

    def complain(self, path, error):
        self.failed = True
        LOG.warning("%s: kept: %s", path, error)

    def consider(self, parent, name):
        """Remove one tree if it may be removed; return its size in bytes, None if it is not old."""
        size = 0
        left = name.startswith(ASIDE)
        if not left:
            newest, size, inodes = survey(parent, name, self.device)
            if newest >= self.before:
                return None
            self.refuse_used(name, inodes)
        if self.dry_run:
            return size
        aside = name if left else ASIDE + name
        if not left:
            os.rename(name, aside, src_dir_fd=parent, dst_dir_fd=parent)
        # Nothing can find it by its old path now; what was using it before is seen here.
        try:
            newest, size, inodes = survey(parent, aside, self.device, arrival=False)
            if newest >= self.before:
                raise InUse("it was changed just now")
            self.refuse_used(aside[len(ASIDE) :], inodes)
        except BaseException:
            put_back(parent, aside)
            raise
        try:
            remove(parent, aside, self.device)
        except OSError as error:
            raise Refused("%s; the rest of it is in %s" % (error, aside)) from error
        return size

    def refuse_used(self, name, inodes):
        if name in self.kept:
            raise InUse("Cromwell runs it")
        if inodes & in_use():
            raise InUse("a process uses it")


def put_back(parent, aside):
    """Give a tree its name back; Refused if something else has that name now."""
    name = aside[len(ASIDE) :]
    try:
        os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        os.rename(aside, name, src_dir_fd=parent, dst_dir_fd=parent)
    else:
        raise Refused("%s was made again meanwhile, so the old one stays in %s" % (name, aside))


def open_root(root):
    """Return a descriptor of a root that may be purged; Refused otherwise."""
    parts = [part for part in root.split("/") if part]
    if not os.path.isabs(root) or os.path.realpath(root) != "/" + "/".join(parts):
        raise Refused("it is not an absolute path without symbolic links")
    if len(parts) < SHALLOWEST:
        raise Refused("it is too close to /: it must be at least %d levels deep" % SHALLOWEST)
    homes = [os.path.realpath(entry.pw_dir) for entry in pwd.getpwall() if entry.pw_dir != "/"]
    if any((home + "/").startswith(root.rstrip("/") + "/") for home in homes):
        raise Refused("it is a home directory or contains one")
    handle = os.open(root, DIRECTORY)
    if os.fstat(handle).st_uid != os.geteuid():
        os.close(handle)
        raise Refused("it does not belong to the user of the purge")
    return handle


def open_directory(parent, name, device):
    """Return a descriptor of a directory that is not a link and is on the same filesystem."""
    handle = os.open(name, DIRECTORY, dir_fd=parent)
    if os.fstat(handle).st_dev != device:
        os.close(handle)
        raise Refused("%s is on another filesystem" % name)
    return handle


def survey(parent, name, device, arrival=True):
    """Return the newest change in a tree, its bytes, and its inodes.

    A copy may have an old mtime, but its ctime shows when it arrived; the later of the two counts.
    Renaming a tree changes its own ctime too: without arrival, ctime counts only below it.
    """
    info = os.stat(name, dir_fd=parent, follow_symlinks=False)
    newest = max(info.st_mtime, info.st_ctime if arrival else 0)
    size = info.st_blocks * 512
    inodes = {(info.st_dev, info.st_ino)}
    if info.st_nlink > 1 and not stat.S_ISDIR(info.st_mode):
        size = 0  # another hard link keeps it
    if stat.S_ISDIR(info.st_mode):
        handle = open_directory(parent, name, device)
        try:
            for child in os.listdir(handle):
                try:
                    found = survey(handle, child, device)
                except FileNotFoundError:
                    continue
                newest, size = max(newest, found[0]), size + found[1]
                inodes |= found[2]
        finally:
            os.close(handle)
    return newest, size, inodes


def in_use():
    """Return (device, inode) of the files and directories that processes have open or work in."""
    found = set()
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            links = ["cwd", "root", "exe"] + [
                "fd/" + name for name in os.listdir("/proc/%s/fd" % pid)
            ]
        except OSError:
            continue  # it belongs to another user, or has ended
        for link in links:
            try:
                info = os.stat("/proc/%s/%s" % (pid, link))
            except OSError:
                continue
            found.add((info.st_dev, info.st_ino))
    return found


def remove(parent, name, device):
    """Remove a tree; ignore what vanishes meanwhile."""
    try:
        handle = open_directory(parent, name, device)
    except OSError as error:
        if error.errno not in (errno.ENOTDIR, errno.ELOOP):
            raise
        # A file or a symbolic link: only the name is removed, not what it leads to.
        return os.unlink(name, dir_fd=parent)
    try:
        for child in os.listdir(handle):
            try:
                remove(handle, child, device)
            except FileNotFoundError:
                continue
    finally:
        os.close(handle)
    return os.rmdir(name, dir_fd=parent)


if __name__ == "__main__":
    # Each level of a tree takes one call and one descriptor.
    sys.setrecursionlimit(10000)
    sys.exit(main())
