#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Remove what JAWS's runs left behind long ago: ROOT/*/* in inputs and in cromwell-executions.

A tree goes as a whole, when nothing in it was changed within the age, no process of this user has
its working directory or an open file in it, and Cromwell does not run it. No symbolic link is
followed and no filesystem crossed: every step is relative to a directory that is held open. Reads
on Python 3.8.
"""

import argparse
import errno
import fcntl
import json
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


class Refused(Exception):
    """Why a root or a tree is left alone, in words for an operator."""


def main():
    options = arguments().parse_args()
    try:
        with open(options.lock, "a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return run(options, time.time())
    except BlockingIOError:
        print("another purge holds %s: nothing was done" % options.lock, file=sys.stderr)
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
    parser.add_argument("--dry-run", action="store_true")
    return parser


def run(options, now):
    """Purge every root; return the exit status, 1 where anything could not be done."""
    failed = options.days < 1
    if failed:
        print("--days %g: at least 1" % options.days, file=sys.stderr)
        return 1
    roots = [(root, frozenset) for root in options.inputs]
    roots += [(root, lambda: running(options.cromwell)) for root in options.executions]
    for root, kept in roots:
        try:
            purge(root, now - options.days * DAY, kept(), options.dry_run)
        except (OSError, ValueError, Refused) as error:
            print("%s: left alone: %s" % (root, error), file=sys.stderr)
            failed = True
    return int(failed)


def running(url):
    """Return the ids of the workflows that Cromwell runs; Refused where it does not say."""
    if urllib.parse.urlsplit(url or "").hostname not in LOOPBACK:
        raise Refused("Cromwell has to be asked on this machine, and --cromwell is %s" % url)
    query = urllib.parse.urlencode([("status", state) for state in STATES])
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        address = "%s/api/workflows/v1/query?%s" % (url.rstrip("/"), query)
        with opener.open(address, timeout=60) as response:
            answer = json.load(response)
        found = frozenset(result["id"] for result in answer["results"])
        total = answer["totalResultsCount"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Refused("Cromwell at %s does not say what it runs: %r" % (url, error)) from error
    if total != len(found):
        raise Refused("Cromwell names %d of the %d workflows that it runs" % (len(found), total))
    return found


def purge(root, before, kept, dry_run):
    """Remove the trees of a root that are older than before (seconds since 1970); say each."""
    handle = open_root(root)
    device = os.fstat(handle).st_dev
    trees, total = 0, 0
    for folder in sorted(os.listdir(handle)):
        try:
            parent = open_directory(handle, folder, device)
        except (OSError, Refused):  # a file, a link, gone, or not ours to read
            continue
        for name in sorted(os.listdir(parent)):
            size = consider(parent, name, device, before, kept, dry_run, os.path.join(root, folder))
            trees, total = trees + (size is not None), total + (size or 0)
        os.close(parent)
    os.close(handle)
    words = "would remove" if dry_run else "removed"
    print("%s: %s %d trees, %.1f MB" % (root, words, trees, total / 1e6))


def consider(parent, name, device, before, kept, dry_run, where):
    """Remove one tree if it may go; return its bytes, None where it stays."""
    path = os.path.join(where, name)
    if name in kept:
        print("%s: kept: Cromwell runs it" % path)
        return None
    try:
        newest, size, inodes = survey(parent, name, device)
        if newest >= before:
            return None
        # Asked last, when the tree is known to be old.
        if inodes & in_use():
            raise Refused("a process uses it")
        if not dry_run:
            remove(parent, name, device)
    except FileNotFoundError:
        return None
    except (OSError, Refused) as error:
        print("%s: kept: %s" % (path, error), file=sys.stderr)
        return None
    print("%s: %s, %.1f MB" % (path, "old" if dry_run else "removed", size / 1e6))
    return size


def open_root(root):
    """Return a descriptor of a root that is fit to be purged; Refused otherwise."""
    parts = [part for part in root.split("/") if part]
    if not os.path.isabs(root) or os.path.realpath(root) != "/" + "/".join(parts):
        raise Refused("it is no absolute path without symbolic links")
    if len(parts) < SHALLOWEST:
        raise Refused("it is too near to /: at least %d directories deep" % SHALLOWEST)
    homes = [os.path.realpath(entry.pw_dir) for entry in pwd.getpwall() if entry.pw_dir != "/"]
    if any((home + "/").startswith(root.rstrip("/") + "/") for home in homes):
        raise Refused("it is a home directory, or has one in it")
    handle = os.open(root, DIRECTORY)
    if os.fstat(handle).st_uid != os.geteuid():
        os.close(handle)
        raise Refused("it does not belong to the user of the purge")
    return handle


def open_directory(parent, name, device):
    """Return a descriptor of a directory that is no link and on the same filesystem."""
    handle = os.open(name, DIRECTORY, dir_fd=parent)
    if os.fstat(handle).st_dev != device:
        os.close(handle)
        raise Refused("%s is another filesystem" % name)
    return handle


def survey(parent, name, device):
    """Return the newest change in a tree, its bytes, and its inodes.

    A copy keeps the time of a change (mtime), but not of its arrival (ctime): the later counts.
    """
    info = os.stat(name, dir_fd=parent, follow_symlinks=False)
    newest, size = max(info.st_mtime, info.st_ctime), info.st_blocks * 512
    inodes = {(info.st_dev, info.st_ino)}
    if info.st_nlink > 1 and not stat.S_ISDIR(info.st_mode):
        size = 0  # another name keeps it
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
    """Return the files and directories that processes have open or work in, as (device, inode)."""
    found = set()
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            links = ["cwd", "root", "exe"] + [
                "fd/" + name for name in os.listdir("/proc/%s/fd" % pid)
            ]
        except OSError:
            continue  # another user's, or it has ended
        for link in links:
            try:
                info = os.stat("/proc/%s/%s" % (pid, link))
            except OSError:
                continue
            found.add((info.st_dev, info.st_ino))
    return found


def remove(parent, name, device):
    """Remove a tree; what vanishes meanwhile is gone already."""
    try:
        handle = open_directory(parent, name, device)
    except OSError as error:
        if error.errno not in (errno.ENOTDIR, errno.ELOOP):
            raise
        # A file or a symbolic link: its name goes, whatever it leads to.
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
    # One level of a tree is one call and one descriptor.
    sys.setrecursionlimit(10000)
    sys.exit(main())
