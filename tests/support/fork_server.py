"""Starts emulators as forks of a process that has imported one already, because the import takes most of the time of a start.

The argument is a module of this folder with a function `serve(listener, options)`. Each line of the input is the options of a server to
start, as JSON, and is answered by its process id and its port; or `stop` and a process id, which is answered once the process has ended.
The end of the input ends all.
"""

import gc
import importlib
import json
import os
import signal
import socket
import sys

module = importlib.import_module(sys.argv[1])
# What exists now is never freed, so that a collection in a fork does not copy its memory.
gc.collect()
gc.freeze()
running = set()


def start(options):
    # The listener exists before the fork: whoever connects at once waits for the server.
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    process = os.fork()
    if process == 0:
        nothing = os.open(os.devnull, os.O_RDWR)
        for standard in range(3):
            os.dup2(nothing, standard)
        module.serve(listener, options)
        os._exit(0)
    running.add(process)
    with listener:
        return f"{process} {listener.getsockname()[1]}"


def stop(process):
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    running.discard(process)
    return "stopped"


try:
    for line in sys.stdin:
        print(stop(int(line.split()[1])) if line.startswith("stop ") else start(json.loads(line)), flush=True)
finally:
    for process in list(running):
        stop(process)
