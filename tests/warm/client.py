"""`python` for the tests, without its start: hands a command line to server.py, which forks.

Runs as `python -IS client.py SOCKET WORDS`, with the standard library alone. The command has this process's folder,
environment, limits and standard streams, gets the signals that this one gets, and this one ends as it does.
"""

import json
import os
import resource
import signal
import socket
import sys

FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)
LIMITS = ("RLIMIT_AS", "RLIMIT_CPU", "RLIMIT_FSIZE", "RLIMIT_NOFILE")


def is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


def main() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, FORWARDED)  # until there is a process to send them to
    place, *words = sys.argv[1:]
    streams = [fd for fd in range(3) if is_open(fd)]
    umask = os.umask(0o22)
    os.umask(umask)
    request = {
        "words": words,
        "parent": os.getppid(),
        "folder": os.getcwd(),
        "environment": dict(os.environ),
        "streams": streams,
        "limits": {name: resource.getrlimit(getattr(resource, name)) for name in LIMITS},
        "ignored": [int(number) for number in FORWARDED if signal.getsignal(number) == signal.SIG_IGN],
        "umask": umask,
    }
    data = json.dumps(request).encode()
    server = socket.socket(socket.AF_UNIX)
    server.connect(place)
    socket.send_fds(server, [len(data).to_bytes(8, "big")], streams)
    server.sendall(data)
    answers = server.makefile()
    process = int(answers.readline())
    for number in FORWARDED:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, lambda found, _: os.kill(process, found))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, FORWARDED)
    code = int(answers.readline())
    if code < 0:  # a signal ended it
        if -code != signal.SIGKILL:
            signal.signal(-code, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        os.kill(os.getpid(), -code)
    os._exit(code)


main()
