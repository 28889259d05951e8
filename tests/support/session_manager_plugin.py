"""A stub of AWS's Session Manager plugin.

It records its calls next to itself. For a port forward, it answers HTTP requests on the session's local port, and ends on SIGINT as the
plugin does. For a shell and a database console, it has a prompt on the terminal, without echo; SIGINT is a key for the remote program. For a
kubeconfig, it prints one between its own lines, and fails at the end of its input, as the plugin does.
STUB_VERSION is its version, and with STUB_ERROR it ends at once with that text. STUB_KUBECONFIG replaces the kubeconfig.
"""

import json
import os
import select
import signal
import sys
import termios
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

SESSION = "Starting session with SessionId: amy-0123\n"
END = "\n\nExiting session with sessionId: amy-0123.\n"


def record(event):
    with Path(__file__).with_name("calls").open("a") as calls:
        calls.write(json.dumps(event) + "\n")


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(f"forwarded {self.path}".encode())

    def log_message(self, *_):
        pass


def end(*_):
    record({"interrupted": os.getpid()})
    os._exit(0)


def console(banner):
    modes = termios.tcgetattr(0)
    silent = [*modes[:3], modes[3] & ~termios.ECHO, *modes[4:]]
    termios.tcsetattr(0, termios.TCSANOW, silent)

    def interrupt(*_):
        record({"key": "SIGINT"})
        print("remote program interrupted", flush=True)

    signal.signal(signal.SIGINT, interrupt)
    print(f"{SESSION}{banner}", flush=True)
    for line in iter(sys.stdin.readline, ""):
        word = line.strip()
        if word == "exit" or word.startswith("fail "):
            print(END, flush=True)
            termios.tcsetattr(0, termios.TCSANOW, modes)
            if word != "exit":
                print(f"\033[31m{word[5:]}\033[0m", file=sys.stderr, flush=True)
                sys.exit(7)
            sys.exit()
        print(f"ran {word}", flush=True)


def kubeconfig():
    readable, _, _ = select.select([0], [], [], 0.2)
    if readable and not os.read(0, 1):
        print("Cannot perform start session: EOF")
        sys.exit()
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": "hatchery",
                "cluster": {"server": "https://hatchery.internal:8443", "certificate-authority-data": "Y2VydGlmaWNhdGU="},
            }
        ],
        "users": [{"name": "developer", "user": {"token": "header.payload.c1ustertoken"}}],
    }
    print(SESSION + os.environ.get("STUB_KUBECONFIG", json.dumps(config, indent=2)).replace("\n", "\r\n") + END)


if sys.argv[1:] == ["--version"]:
    print(os.environ.get("STUB_VERSION", "1.2.707.0"))
    sys.exit()
response = os.environ.get("AWS_SSM_START_SESSION_RESPONSE")
host = os.environ.get("SSM_PLUGIN_LOCAL_HOST")
record({"arguments": sys.argv[1:], "response": response, "host": host, "pid": os.getpid()})
if error := os.environ.get("STUB_ERROR"):
    print(f"Starting session\n{error}\n")
    sys.exit(1)
request = json.loads(sys.argv[5])
document = request["DocumentName"]
if document.endswith("-shell"):
    console("remote shell")
elif document.endswith("-database"):
    console("remote database")
elif document.endswith("-kubeconfig"):
    kubeconfig()
else:
    signal.signal(signal.SIGINT, end)
    port = int(request["Parameters"]["localPortNumber"][0])
    HTTPServer((host, port), Handler).serve_forever()
