# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether one of JAWS's services does its work: health.py CONFIG CHECK…

Runs in the service's own environment and reads the service's own configuration, so no password is
an argument. Ends with 0 if every check succeeds, otherwise with 1 and one line that says what does
not work, or with 75 if a restart of the service would not help, because what it needs is away. The
variable PROGRAM_PID has the pid of the service.

  broker=SECTION           RabbitMQ accepts the section's user, if there is such a section
  consumers=SECTION        the section's queue has num_threads consumers or more
  consumers=SECTION:QUEUE  the same for a queue; {PART[key]} in its name is a value of the file
  consumer=SECTION:QUEUE   the queue has exactly one consumer
  database=SECTION         the section's database accepts the section's user
  login=URL                the url refuses an unknown token, which needs a look into the database
  status=SITE:URL          central's url of the status does not fail, and reports its broker
  threads=N                the service has N threads or more, with those of its connection
"""

import configparser
import json
import os
import signal
import socket
import sys
import urllib.error
import urllib.parse
import urllib.request

SECONDS = 3
ALL_SECONDS = 9
CONSUMERS = 5
TOKEN = "health-check"


class Failure(Exception):
    """Says what does not work."""

    status = 1


class Away(Failure):
    """Says what the service needs and does not get."""

    status = 75


class Expanding(configparser.BasicInterpolation):
    """Replaces variables of the environment too, as the site does at series 3."""

    def before_get(self, *arguments):
        return os.path.expandvars(super().before_get(*arguments))


def read(path):
    """Return the parsed configuration; those of JTM and of series 3 have other interpolations."""
    sections = parsed(path, None).sections()
    if "JTM" in sections:
        return parsed(path, configparser.ExtendedInterpolation())
    return parsed(path, Expanding() if "RMQ" in sections else configparser.BasicInterpolation())


def parsed(path, interpolation):
    parser = configparser.ConfigParser(interpolation=interpolation)
    if not parser.read(path, encoding="utf-8"):
        raise Failure(f"{path} cannot be read")
    return parser


def connect(section):
    """Return a connection to RabbitMQ, with the names and the defaults that JAWS has."""
    import amqpstorm

    prefix = "amqp_" if "amqp_host" in section else ""
    host, port = section.get(f"{prefix}host", "localhost"), section.getint(f"{prefix}port", 5672)
    # JTM reads this section without interpolation.
    raw = section.name == "JTM_RPC_SERVER"
    user, password = (section.get(prefix + key, "guest", raw=raw) for key in ("user", "password"))
    vhost = section.get(f"{prefix}vhost", "/")
    try:
        return amqpstorm.Connection(
            host, user, password, port=port, virtual_host=vhost, timeout=SECONDS
        )
    except amqpstorm.AMQPError as error:
        raise Away(f"RabbitMQ at {host}:{port}, virtual host {vhost}: {error}") from None


def consumers_on(section, queue):
    """Return how many consumers the queue has; 0 if it does not exist."""
    import amqpstorm

    connection = connect(section)
    try:
        return connection.channel().queue.declare(queue, passive=True)["consumer_count"]
    except amqpstorm.AMQPError as error:
        if getattr(error, "error_code", 0) == 404:
            return 0
        raise Failure(f"queue {queue}: {error}") from None
    finally:
        connection.close()


def check_broker(config, name):
    if name in config:
        connect(config[name]).close()


def check_consumers(config, words):
    name, _colon, queue = words.partition(":")
    section = config[name]
    queue = queue.format_map(config) or section["queue"]
    # Series 1 has it in a section of its own.
    wanted = dict(config).get("RPC", section).getint("num_threads", CONSUMERS)
    found = consumers_on(section, queue)
    if found < wanted:
        raise Failure(f"queue {queue} has {found} consumers instead of {wanted}")


def check_consumer(config, words):
    name, _colon, queue = words.partition(":")
    queue = queue.format_map(config)
    found = consumers_on(config[name], queue)
    if found != 1:
        raise Failure(f"queue {queue} has {found} consumers instead of 1")


def check_database(config, name):
    import mysql.connector

    section = config[name]
    host, port = section.get("host", "localhost"), section.getint("port", 3306)
    # At series 3, options of the connector may follow, such as ?charset=utf8mb4.
    database, _mark, options = section["db"].partition("?")
    try:
        mysql.connector.connect(
            host=host,
            port=port,
            user=section["user"],
            password=section["password"],
            database=database,
            connection_timeout=SECONDS,
            **dict(urllib.parse.parse_qsl(options)),
        ).close()
    except mysql.connector.Error as error:
        raise Away(f"database {database} at {host}:{port}: {error}") from None


def check_login(_config, url):
    status, _body = get(url, {"Authorization": f"Bearer {TOKEN}"})
    if status != 401:
        raise Failure(f"{url} answers {status} to an unknown token, instead of 401")


def check_status(config, words):
    site, _colon, url = words.partition(":")
    try:
        status, body = get(url, {})
    except TimeoutError:
        # It waits for a site that is away. If its own connection had ended, it would fail at once.
        status, body = get(f"{url}/{TOKEN}", {})[0] and 200, b""
    if status != 200:
        raise Failure(f"{url} answers {status} instead of 200")
    if body and f"SITE:{site}" in config and json.loads(body).get(f"{site}-RMQ") != "UP":
        raise Failure(f"{url} does not report that RabbitMQ of site {site} is UP")


def get(url, headers):
    """Return the status and the body; no proxy is between us and this machine."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(urllib.request.Request(url, headers=headers), timeout=SECONDS) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, b""
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        if isinstance(reason, socket.timeout):
            raise TimeoutError from None
        raise Failure(f"{url}: {reason}") from None


def check_threads(_config, number):
    pid = os.environ["PROGRAM_PID"]
    with open(f"/proc/{pid}/status", encoding="utf-8") as stream:
        (found,) = [int(line.split()[1]) for line in stream if line.startswith("Threads:")]
    if found < int(number):
        raise Failure(
            f"process {pid} has {found} threads instead of {number} or more: "
            "those of its connection to RabbitMQ have ended"
        )


CHECKS = {
    "broker": check_broker,
    "consumers": check_consumers,
    "consumer": check_consumer,
    "database": check_database,
    "login": check_login,
    "status": check_status,
    "threads": check_threads,
}


def late(*_signal):
    raise Failure(f"no answer within {ALL_SECONDS} s")


def main(path, *checks):
    """Try the checks one after the other, and return the exit status."""
    signal.signal(signal.SIGALRM, late)
    signal.alarm(ALL_SECONDS)
    try:
        config = read(path)
        for check in checks:
            kind, _sign, argument = check.partition("=")
            CHECKS[kind](config, argument)
    except Failure as failure:
        print(failure, file=sys.stderr)
        return failure.status
    except TimeoutError:
        print(f"no answer within {SECONDS} s", file=sys.stderr)
        return 1
    except KeyError as error:
        print(f"{path} has no {error}", file=sys.stderr)
        return 1
    except (ValueError, configparser.Error) as error:
        # Without its text, which may show a password.
        print(f"{path} or an answer cannot be read: {type(error).__name__}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    # The interpreter's own end would wait for threads of a connection that does not answer.
    status = main(*sys.argv[1:])
    sys.stderr.flush()
    os._exit(status)
