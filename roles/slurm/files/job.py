# SPDX-License-Identifier: GPL-3.0-or-later
"""Keep one job in Slurm's queue, and be that job: COMMAND FILE, where FILE describes the job.

    submit [--wait SECONDS]   submit it, unless a job of its name runs or waits already
    state                     print as JSON what Slurm says about it
          [--room SECONDS]    when it has that much time left, or --wait SECONDS are over
    stop                      end it in order, whatever time its programs may take
    run                       be the job: only sbatch calls this

Each prints what it did. Runs on Python 3.8, and needs nothing but Slurm's commands and nsupdate.
"""

import argparse
import contextlib
import fcntl
import json
import operator
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import NamedTuple

ASK = 60  # seconds that a command of Slurm may take
PATIENCE = 60  # seconds to wait for another submit
PAUSE = 1
LOOK = 5  # seconds between two looks at who holds the claim
LEASE = 3 * LOOK  # after that, a copy that lost its claim has ended
SLOWEST = 60  # seconds before a program that keeps ending is started again
NSUPDATE = 15
PROOF_FAILED = 15  # seconds until it is tried again
NAME_LASTS, NAME_FAILED = 300, 10  # seconds until the name is set again
USEFUL = 600  # seconds that a job has to run, besides stopping
MARGIN = 60  # seconds that the end of a job takes besides its programs
STOPWAITSECS = 10  # Supervisor's default
UNKNOWN = 300  # what an instance may need that is not deployed yet
FOREIGN = re.compile(r"^(?:S(?:BATCH|CANCEL|INFO|QUEUE)|SLURM_(?:JOB|RESTART|ARRAY))_.*$", re.M)
SETTLES = 30  # seconds that a job may be COMPLETING, after which it may wait again
PATH = "/usr/local/bin:/usr/bin:/bin"  # of a command; what it starts sets more
UNITS = {1: (60,), 2: (60, 1), 3: (3600, 60, 1)}  # of 5, 5:00 and 1:05:00


class Refused(Exception):
    """Why something was not done, in one sentence."""

    status = 1  # with which this program exits


class Waits(Refused):
    """The job waits for Slurm."""

    status = 4


class Job(NamedTuple):
    """A job as squeue shows it."""

    id: str
    state: str
    node: str
    left: str
    reason: str

    @property
    def said(self):
        if self.state == "PENDING":
            return "job %s waits: %s" % (self.id, self.reason)
        return "job %s is %s on %s, %s left" % (self.id, self.state, self.node, self.left)


class Reservation(NamedTuple):
    """Nodes that are kept free for something else, such as a maintenance."""

    name: str
    start: int
    nodes: frozenset


def say(sentence):
    print("%s %s" % (time.strftime("%Y-%m-%dT%H:%M:%S"), sentence), flush=True)


def ask(*command):
    """Return what a command prints; its own words are the reason if it fails."""
    environment = dict(os.environ, SLURM_TIME_FORMAT="%s", LC_ALL="C")
    # What Slurm has told this job, or a person has set as a default, is not meant for the next one.
    for name in FOREIGN.findall("\n".join(os.environ)):
        del environment[name]
    try:
        done = subprocess.run(
            command, env=environment, check=False, capture_output=True, text=True, timeout=ASK
        )
    except OSError as error:
        raise Refused("%s: %s" % (command[0], error)) from error
    except subprocess.TimeoutExpired as error:
        raise Refused("%s: no answer within %d s" % (command[0], ASK)) from error
    if done.returncode:
        words = " ".join(done.stderr.split()) or "exit status %d" % done.returncode
        raise Refused("%s: %s" % (command[0], words))
    return done.stdout


# What Slurm knows


def jobs(name):
    """Return this user's jobs of that name: the one that runs, what follows it, and what ends."""
    user = pwd.getpwuid(os.geteuid()).pw_name
    shown = "--format=%i|%T|%N|%L|%r"
    return parse_jobs(ask("squeue", "--noheader", "--user", user, "--name", name, shown))


def parse_jobs(text):
    found = [Job(*line.strip().split("|", 4)) for line in text.splitlines() if line.strip()]
    return sorted(found, key=lambda job: (job.state == "COMPLETING", job.state == "PENDING"))


def present(name):
    """Return the jobs of that name that run or wait."""
    return [job for job in jobs(name) if job.state != "COMPLETING"]


def settled(name, besides):
    """Return the jobs that run or wait, when none ends any more, which may wait again then."""
    deadline = time.monotonic() + SETTLES
    while True:
        found = [job for job in jobs(name) if job.id != besides]
        alive = [job for job in found if job.state != "COMPLETING"]
        if alive or not found or time.monotonic() > deadline:
            return alive
        time.sleep(PAUSE)


def seconds(text):
    """Return a duration in Slurm's notation as seconds; None if it has no limit."""
    if not re.match(r"(\d+-)?\d+(:\d+)*\Z", text):
        return None
    days, _dash, rest = text.rpartition("-")
    parts = [int(part) for part in rest.split(":")]
    # After a number of days, hours come first.
    units = (3600, 60, 1) if days else UNITS[len(parts)]
    return int(days or 0) * 86400 + sum(map(operator.mul, parts, units))


def reservations():
    """Return the reservations that Slurm knows, with the names of their nodes."""
    lines = ask("scontrol", "--oneliner", "show", "reservation").splitlines()
    return [parse_reservation(line, hostnames) for line in lines if "ReservationName=" in line]


def parse_reservation(line, expand):
    facts = dict(word.split("=", 1) for word in line.split() if "=" in word)
    nodes = facts.get("Nodes", "(null)")
    names = expand(nodes) if nodes != "(null)" else ()
    return Reservation(facts["ReservationName"], int(facts["StartTime"]), frozenset(names))


def hostnames(nodes):
    return ask("scontrol", "show", "hostnames", nodes).split()


def partition_nodes(partition):
    chosen = ["--partition", partition] if partition else []
    return frozenset(ask("sinfo", "--noheader", "--Node", "--format=%N", *chosen).split())


# Submitting


def lead(spec):
    """Return how many seconds before its time limit the job must begin to stop its programs."""
    return sum(one.stop_seconds for one in programs(spec)) + MARGIN


def submit(spec, wait=0, besides=""):
    """Submit the job unless one of its name runs or waits; wait until its programs are started."""
    with lock(spec):
        found = settled(spec["name"], besides)
        if found:
            say("%s: nothing submitted, %s" % (spec["name"], found[0].said))
        else:
            least = minimum(spec, reservations(), partition_nodes(spec["options"].get("partition")))
            number = ask(*sbatch(spec, least)).split(";")[0].strip()
            say("%s: submitted job %s" % (spec["name"], number))
    if wait:
        wait_for_start(spec, wait)


@contextlib.contextmanager
def lock(spec):
    """Let one submit at a time look and act, on whatever node."""
    path = os.path.join(spec["directory"], "submit.lock")
    with open(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), "w") as handle:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise Refused("another submit holds %s" % path) from None
                time.sleep(PAUSE)
        yield


def minimum(spec, known, nodes, now=None):
    """Return the least seconds that the job may get: it ends before the next reservation.

    None if no reservation touches the partition, or if too little time is left before it to do
    anything useful: then the job waits until it is over.
    """
    now = now or time.time()
    ahead = [one for one in known if one.nodes & nodes and one.start > now]
    if not ahead:
        return None
    first = min(ahead, key=lambda one: one.start)
    left = int(first.start - now) // 60 * 60 - 60
    if left < lead(spec) + USEFUL:
        say("reservation %s begins in %d s: the job waits until it is over" % (first.name, left))
        return None
    return left


def sbatch(spec, least=None):
    """Return the command that submits the job."""
    options = dict(spec["options"])
    wanted = seconds(str(options.get("time-min", options.get("time", "UNLIMITED"))))
    if least is not None and (wanted is None or least < wanted):
        options["time-min"] = str(least // 60)
    return [
        "sbatch",
        "--parsable",
        "--job-name=%s" % spec["name"],
        "--dependency=singleton",
        "--requeue",
        "--open-mode=append",
        "--chdir=%s" % spec["directory"],
        "--output=%s/job.log" % spec["directory"],
        "--signal=B:USR1@%d" % lead(spec),
        *("--%s=%s" % item for item in sorted(options.items())),
        "%s/job.sh" % spec["directory"],
    ]


def wait_for_start(spec, wait):
    """Wait until the job has started its programs.

    :raises Waits: it still waits, for Slurm's reason.
    :raises Refused: it has ended.
    """
    deadline = time.monotonic() + wait
    while True:
        found = present(spec["name"])
        if not found:
            raise Refused(
                "%s: its job has ended; see %s/job.log" % (spec["name"], spec["directory"])
            )
        if found[0].state == "RUNNING" and Claim(spec).holder().startswith(found[0].id + "."):
            return say("%s: %s" % (spec["name"], found[0].said))
        if time.monotonic() > deadline:
            raise Waits("%s: not running after %d s, %s" % (spec["name"], wait, found[0].said))
        time.sleep(PAUSE)


def state(spec, room=0, wait=0):
    """Print what Slurm says about the job, as JSON; first wait until it has time enough left."""
    deadline = time.monotonic() + wait
    while True:
        found = [
            dict(job._asdict(), said=job.said, seconds_left=seconds(job.left))
            for job in present(spec["name"])
        ]
        left = found[0]["seconds_left"] if found else None
        # A job without a limit, and no job, have time enough.
        if left is None or left >= room or time.monotonic() > deadline:
            break
        time.sleep(LOOK)
    print(json.dumps({"name": spec["name"], "job": found[0] if found else None}))


def stop(spec):
    """End the job in order.

    Only its first process gets the signal. A plain scancel signals all processes at once.

    :raises Refused: it has not ended in time.
    """
    deadline = time.monotonic() + lead(spec) + ASK
    for job in reversed(present(spec["name"])):  # first what would follow
        in_order = ["--batch", "--signal=TERM"] if job.state == "RUNNING" else []
        ask("scancel", *in_order, job.id)
        say("%s: ending job %s" % (spec["name"], job.id))
    while jobs(spec["name"]):
        if time.monotonic() > deadline:
            raise Refused("%s: still there, %s" % (spec["name"], jobs(spec["name"])[0].said))
        time.sleep(PAUSE)
    say("%s: no job" % spec["name"])


# Being the job


class Claim:
    """Which copy of the job may run: a file that all nodes see, with the last one that began.

    A node that Slurm has given up may still run its copy. That one looks here every few seconds,
    and ends at once when another copy has begun, which waits for that before it starts anything.
    """

    def __init__(self, spec, me=""):
        self.path = os.path.join(spec["directory"], "claim")
        self.me = me

    def holder(self):
        try:
            return Path(self.path).read_text()
        except FileNotFoundError:
            return ""

    def take(self):
        """Return whether this copy may run, when no other one runs any more."""
        before = self.holder()
        temporary = "%s.%s" % (self.path, self.me.replace("/", "_"))
        Path(temporary).write_text(self.me)
        os.replace(temporary, self.path)
        if before not in ("", self.me) and node_of(before) != node_of(self.me):
            say("waiting %d s, in which %s ends if it still runs" % (LEASE, before))
            time.sleep(LEASE)
        return self.holder() == self.me

    def is_lost(self):
        try:
            return self.holder() != self.me
        except OSError as error:
            say("cannot read who may run: %s" % error)
            return False

    def release(self):
        if not self.is_lost():
            os.unlink(self.path)


def node_of(holder):
    return holder.rpartition(" ")[2]


class Name:
    """The name in the DNS that leads to the node of the job."""

    def __init__(self, dns):
        self.dns = dns
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.keep, daemon=True)
        if dns:
            self.thread.start()

    def keep(self):
        """Set it, again and again: a server that was away may have lost it."""
        while not self.ended.wait(NAME_LASTS if self.set() else NAME_FAILED):
            pass

    def set(self):
        add = "update add {name} {ttl} A {address}"
        return self.update("update delete {name} A", add)

    def withdraw(self):
        """Remove it, unless it leads to another node already."""
        if self.dns:
            self.ended.set()
            self.thread.join(NSUPDATE + PAUSE)
            self.update("prereq yxrrset {name} A {address}", "update delete {name} A")

    def update(self, *lines):
        """Return whether the server accepted an update; a failure is only reported."""
        try:
            values = dict(self.dns, address=address(self.dns["server"]))
            text = "\n".join(["server {server}", "zone {zone}", *lines, "send", ""])
            command = ["nsupdate", "-t", "10", "-k", self.dns["key_file"]]
            done = subprocess.run(
                command,
                input=text.format(**values),
                check=False,
                capture_output=True,
                text=True,
                timeout=NSUPDATE,
            )
            failure = done.returncode and (done.stderr + done.stdout).strip()
        except (OSError, subprocess.TimeoutExpired) as error:
            failure = str(error)
        if failure:
            say("the name %s was not changed: %s" % (self.dns["name"], failure))
        return not failure


def address(server):
    """Return the address of this node, as the DNS server sees it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect((server, 53))
        return sock.getsockname()[0]


def programs(spec):
    """Return the programs of the job, in the order in which they are started."""
    supervisords = [Supervisord(spec, one) for one in spec["instances"]]
    return supervisords + [Command(spec, one) for one in spec["commands"]]


class Program:
    """A program in the foreground of the job, which is started again if it ends.

    :param file: that it cannot run without: it may be deployed later, or have been removed.
    """

    stop_signal = signal.SIGTERM
    environment = None
    stop_seconds = 0

    def __init__(self, name, command, file):
        self.name, self.command, self.file = name, command, file
        self.process = None
        self.due = self.pause = self.began = 0

    def prepare(self):
        """Make what it needs on this node."""

    def leave_nothing(self):
        """Remove from this node what it may have left."""

    def keep(self):
        """Start it if it does not run, later each time if it ends at once."""
        if self.process and self.process.poll() is not None:
            self.note_end()
        is_there = os.path.exists(self.file)
        if not self.process and is_there and time.monotonic() >= self.due:
            self.start()

    def note_end(self):
        lived = time.monotonic() - self.began
        self.pause = PAUSE if lived > SLOWEST else min(SLOWEST, 2 * self.pause or PAUSE)
        self.due = time.monotonic() + self.pause
        say("%s ended with %d; starting it again" % (self.name, self.process.returncode))
        self.process = None

    def start(self):
        self.began = time.monotonic()
        try:
            self.prepare()
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, env=self.environment
            )
        except (OSError, Refused) as error:
            self.due = time.monotonic() + SLOWEST
            say("%s was not started: %s" % (self.name, error))

    def stop(self):
        """Stop it, and wait as long as it may take."""
        if not self.process or self.process.poll() is not None:
            return
        say("stopping %s" % self.name)
        wait = self.stop_seconds
        self.process.send_signal(self.stop_signal)
        try:
            self.process.wait(wait)
        except subprocess.TimeoutExpired:
            say("%s did not end within %d s" % (self.name, wait))
            self.kill()

    def kill(self):
        if self.process:
            self.process.kill()
            self.process.wait()


class Supervisord(Program):
    """One instance's supervisord, with its socket in a directory of this node."""

    def __init__(self, spec, instance):
        root = spec["supervisord_root"]
        conf = "%s/supervisord-%s.conf" % (root, instance["name"])
        command = [root + "/bin/supervisord", "--nodaemon", "--silent", "-c", conf]
        super().__init__(instance["name"], command, conf)
        self.directory, self.mode = instance["run_dir"], spec["run_mode"]

    @property
    def stop_seconds(self):
        """How many seconds it may take to stop its own programs, one after the other."""
        return stop_seconds(self.file)

    def prepare(self):
        make_directory(self.directory, self.mode)

    def leave_nothing(self):
        """Remove the directory of the socket, which a killed supervisord leaves."""
        shutil.rmtree(self.directory, ignore_errors=True)
        with contextlib.suppress(OSError):  # another deployment may use it
            os.rmdir(os.path.dirname(self.directory))


class Command(Program):
    """Another program: a signal of its own ends it, and its environment has nothing of Slurm."""

    def __init__(self, spec, given):
        super().__init__(given["name"], given["argv"], given["argv"][0])
        self.stop_signal = signal.Signals["SIG" + given["stop_signal"]]
        self.stop_seconds = int(given["stop_seconds"])
        user = pwd.getpwuid(os.geteuid())
        own = {"HOME": user.pw_dir, "LOGNAME": user.pw_name, "USER": user.pw_name}
        # By the last one, it knows that it runs in the job.
        more = {"SHELL": user.pw_shell or "/bin/sh", "PATH": PATH, "JGI_JAWS_JOB": spec["name"]}
        self.environment = {**own, **more}


class Proof:
    """Proves what a deploy has made current while no job ran, by the program that it has left.

    If it is killed, the next job goes on with it.
    """

    def __init__(self, spec):
        self.paths = ["%s/prove.pyz" % one["directory"] for one in spec["instances"]]
        self.process = None
        self.due = 0

    def keep(self):
        """Start it if there is anything to prove, and again later if it could not begin."""
        if self.process and self.process.poll() is not None:
            self.due = time.monotonic() + (PROOF_FAILED if self.process.returncode else 0)
            self.process = None
        found = [path for path in self.paths if os.path.exists(path)]
        if found and not self.process and time.monotonic() >= self.due:
            say("proving the release that was deployed while no job ran")
            command = [sys.executable, found[0], *found]
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL)

    def kill(self):
        if self.process:
            self.process.kill()
            self.process.wait()


def stop_seconds(conf):
    """Return how many seconds the programs of a configuration may take to stop."""
    try:
        sections = re.split(r"^(?=\[)", Path(conf).read_text(), flags=re.MULTILINE)
    except FileNotFoundError:
        return UNKNOWN
    kept = [section for section in sections if section.startswith("[program:")]
    found = [re.search(r"^stopwaitsecs *= *(\d+)", one, re.MULTILINE) for one in kept]
    return sum((int(one.group(1)) if one else STOPWAITSECS) + 1 for one in found) or UNKNOWN


def make_directory(path, mode):
    """Make the directory of a socket on this node; another user may have made it first."""
    for one, wanted in ((os.path.dirname(path), "0711"), (path, mode)):
        if not os.path.isdir(one):
            os.makedirs(os.path.dirname(one), exist_ok=True)
            os.mkdir(one)
            os.chmod(one, int(wanted, 8))
        if os.stat(one).st_uid not in (0, os.geteuid()):
            raise Refused("%s belongs to another user" % one)


def alone(spec):
    """Return a socket that only one copy on this node can have; it ends with the process."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.bind("\0jgi.jaws %d %s" % (os.geteuid(), spec["directory"]))
    except OSError as error:
        sock.close()
        raise Refused("another copy of the job runs on this node") from error
    return sock


def refuse_another(spec, number, node):
    """Refuse to run if Slurm says that the job runs elsewhere, or not at all."""
    try:
        found = jobs(spec["name"])
    except Refused as error:
        say("Slurm does not answer, and the job starts all the same: %s" % error)
        return
    if not any(job.id == number and job.node == node for job in found):
        seen = "; ".join(job.said for job in found) or "no job"
        raise Refused("this is job %s on %s, but Slurm says: %s" % (number, node, seen))


def run(spec):
    """Be the job.

    :raises Refused: another copy of it runs, or Slurm says that this is not the job.
    """
    signals = []
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
        signal.signal(number, lambda number, _frame: signals.append(number))
    number, node = os.environ["SLURM_JOB_ID"], os.environ["SLURMD_NODENAME"]
    claim = Claim(spec, "%s.%s %s" % (number, os.environ.get("SLURM_RESTART_COUNT", "0"), node))
    with alone(spec):
        refuse_another(spec, number, node)
        if not claim.take():
            raise Refused("another copy of the job has begun: %s" % claim.holder())
        say("%s: job %s runs on %s" % (spec["name"], number, node))
        kept = programs(spec)
        serve(spec, claim, signals, kept)
        for program in kept:
            program.leave_nothing()


def serve(spec, claim, signals, kept):
    """Keep the programs running until a signal or another copy ends that."""
    name, proof = Name(spec["dns"]), Proof(spec)
    looked = time.monotonic()
    while not signals:
        for program in kept:
            program.keep()
        time.sleep(PAUSE)
        if time.monotonic() - looked >= LOOK:
            looked = time.monotonic()
            if claim.is_lost():
                proof.kill()
                give_up(claim, kept)
                return
            proof.keep()
    proof.kill()
    for program in reversed(kept):
        program.stop()
    name.withdraw()
    claim.release()
    if signals[0] == signal.SIGUSR1:
        follow(spec)
    say("%s: ended by signal %d" % (spec["name"], signals[0]))


def give_up(claim, kept):
    """End at once: another copy starts the same programs within seconds."""
    say("%s runs now, so this copy ends" % claim.holder())
    for program in kept:
        program.kill()


def follow(spec):
    """Submit the job that follows when this one has reached its time limit."""
    try:
        submit(spec, besides=os.environ["SLURM_JOB_ID"])
    except Refused as error:
        say("no job follows yet; scrontab tries it again: %s" % error)


COMMANDS = {"submit": submit, "state": state, "stop": stop, "run": run}
OPTIONS = {"submit": ["wait"], "state": ["room", "wait"]}


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("command", choices=COMMANDS)
    parser.add_argument("file", help="the description of the job, as JSON")
    parser.add_argument("--wait", type=int, default=0, help="seconds, for submit and state")
    parser.add_argument(
        "--room", type=int, default=0, help="seconds that it must have left, for state"
    )
    args = parser.parse_args(arguments)
    given = {name: getattr(args, name) for name in OPTIONS.get(args.command, ())}
    try:
        COMMANDS[args.command](json.loads(Path(args.file).read_text()), **given)
    except (OSError, Refused) as error:
        print("%s: %s" % (args.command, error), file=sys.stderr, flush=True)
        return getattr(error, "status", 1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
