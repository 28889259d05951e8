"""A stub of AWS's Session Manager plugin.

It records its calls next to itself, answers HTTP requests on the session's local port, and ends on SIGINT as the plugin does.
STUB_VERSION is its version, and with STUB_ERROR it ends at once with that text.
"""

import json
import os
import signal
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path


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


if sys.argv[1:] == ["--version"]:
    print(os.environ.get("STUB_VERSION", "1.2.707.0"))
    sys.exit()
response = os.environ.get("AWS_SSM_START_SESSION_RESPONSE")
host = os.environ.get("SSM_PLUGIN_LOCAL_HOST")
record({"arguments": sys.argv[1:], "response": response, "host": host, "pid": os.getpid()})
if error := os.environ.get("STUB_ERROR"):
    print(f"Starting session\n{error}\n")
    sys.exit(1)
signal.signal(signal.SIGINT, end)
port = int(json.loads(sys.argv[5])["Parameters"]["localPortNumber"][0])
HTTPServer((host, port), Handler).serve_forever()
