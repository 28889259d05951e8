"""A machine for the tests of the bootstrap: its tools are stubs, and a server stands in for the instance metadata service.

The bootstrap's PATH is one directory with the stubs and links to harmless tools, so a command without a stub is not found. Where it is
possible, the bootstrap runs in a mount and a PID namespace of its own, so that its processes end with it.
"""

import contextlib
import datetime
import http.server
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from concurrent.futures import ThreadPoolExecutor

STACK = pathlib.Path(__file__).resolve().parents[2] / "src/stack"
SCRIPT = STACK / "bootstrap.sh"
TOOLS_FILE = STACK / "tools.yaml"
PHASES = ["booting", "database", "images", "cluster", "services", "ready"]
TOOLS = (
    "awk base64 bash cat curl cut date flock grep head jq mkdir mv pgrep rm sed sleep sort tail timeout tr wc".split()
)
STUBS = "aws docker minikube kubectl helm shutdown systemctl psql mariadb mysql".split()
INSTANCE = "i-0123456789abcdef0"
UNREACHABLE = "http://127.0.0.1:9"
# Docker inside Minikube's node.
NODE_DOCKER = "docker exec --interactive minikube docker --config /var/lib/kubelet"
DIGESTS = {"payments": "sha256:" + "a1" * 32, "web-shop": "sha256:" + "b2" * 32}
PASSWORD = "s3cret,'\"$(touch x)"

# Each stub records its arguments and standard input as one file, then does what `faults` says for the command: a line is
# `<prefix of the command>\t<fail, once (fails the first time), hang or the seconds that it takes>`. The rename makes a record visible only
# when it is complete. The times of the ends are for the benchmark.
STUB = r"""#!/bin/bash
name=${0##*/}
call="$name $*"
record=$STUB_DIR/calls/.${EPOCHREALTIME/[.,]/}-$$
{ echo "${EPOCHREALTIME/[.,]/}"; printf '%s\0' "$name" "$@"; } >"$record"
case $call in
"kubectl apply --kustomize "*) cat "${call##* }/kustomization.yaml" >"$STUB_DIR/stdin/${record##*/.}" ;;
"docker "*"login "* | "kubectl apply"*) cat >"$STUB_DIR/stdin/${record##*/.}" ;;
"psql "* | "mariadb "* | "mysql "*)
    printf '%s\n' "$PGPASSWORD" "$MYSQL_PWD" "$PGSSLMODE" >"$STUB_DIR/stdin/${record##*/.}"
    # What `ps` shows of all processes.
    for process in /proc/[0-9]*; do tr '\0' ' ' <"$process/cmdline"; echo; done >"$STUB_DIR/processes" 2>/dev/null
    ;;
"aws rds modify-db-instance"*) cat "${call##*file://}" >"$STUB_DIR/stdin/${record##*/.}" ;;
esac
mv "$record" "$STUB_DIR/calls/${record##*/.}"
[[ ! -d $STUB_DIR/ends ]] || trap 'echo "${EPOCHREALTIME/[.,]/}" >"$STUB_DIR/ends/${record##*/.}"' EXIT
while IFS=$'\t' read -r prefix fault; do
    [[ $call == "$prefix"* ]] || continue
    # Of calls at the same time, only one makes the directory.
    if [[ $fault == once ]]; then mkdir "$STUB_DIR/once ${prefix//\//_}" 2>/dev/null || continue; fi
    case $fault in
    fail | once) printf 'first line\n\033[31mboom from %s\033[0m\r\n\n' "$name" >&2; exit 1 ;;
    hang) sleep 120 ;;
    [0-9]*) sleep "$fault" && break ;;
    esac
done <"$STUB_DIR/faults"
case $call in
"aws rds describe-db-instances"*)
    # The last line of the script of states repeats.
    mapfile -t states <"$STUB_DIR/database"
    echo "${states[0]}"
    ((${#states[@]} == 1)) || printf '%s\n' "${states[@]:1}" >"$STUB_DIR/database"
    ;;
"aws s3 cp "*) echo "$MANIFESTS" >"${call##* }" ;;
"aws rds generate-db-auth-token "*) cat "$STUB_DIR/token" ;;
"aws ecr get-login-password"*) echo registry-password ;;
"aws secretsmanager"*) cat "$STUB_DIR/secret" ;;
"kubectl get configmap kube-root-ca.crt "*) echo '{"data": {"ca.crt": "certificate\n"}}' ;;
"kubectl create token "*) echo '{"status": {"token": "header.payload.signature"}}' ;;
"kubectl get secret hatchery-database "*) cat "$STUB_DIR/database-secret" ;;
"kubectl get pods"*) cat "$STUB_DIR/pods" ;;
"kubectl get deployments"*json) cat "$STUB_DIR/workloads" ;;
"docker exec "*" image inspect "*) jq -c --arg image "${call##* }" '.[$image]' "$STUB_DIR/images" ;;
"kubectl get deployments"*) printf 'deployment.apps/payments\nstatefulset.apps/queue\n' ;;
esac
exit 0
"""


def database(status, host="hatchery-dev-12.abc.eu-central-1.rds.amazonaws.com", port=5432, **pending):
    instance = {"DBInstanceStatus": status, "MasterUsername": "app", "PendingModifiedValues": pending}
    if host:
        instance["Endpoint"] = {"Address": host, "Port": port}
    return json.dumps({"DBInstances": [instance]})


def pod(container, image, image_id, phase="Running", **metadata):
    """A pod as `kubectl get pods` prints it. Docker's status.image is any of the image's tags, so the bootstrap must not read it."""
    return {
        "metadata": metadata,
        "spec": {"containers": [{"name": container, "image": image}]},
        "status": {"phase": phase, "containerStatuses": [{"name": container, "image": "other:tag", "imageID": image_id}]},
    }


def workload(kind, name, *images, **environment):
    """A workload as `kubectl get deployments` prints it."""
    containers = [{"name": "app", "image": image, **environment} for image in images]
    return {"kind": kind, "metadata": {"name": name}, "spec": {"template": {"spec": {"containers": containers}}}}


def rfc3339(seconds):
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


# The first process of a PID namespace. It lists what the script leaves running after a second, which the kernel ends with this process.
INIT = r"""
"$@"
status=$?
for ((attempt = 0; attempt < 20; attempt++)); do
    left=()
    for process in /proc/[0-9]*; do ((${process##*/} == 1)) || left+=("$(tr '\0' ' ' <"$process/cmdline")"); done
    ((${#left[@]})) || exit "$status"
    sleep 0.05
done
printf '%s\n' "${left[@]}" >"$LEFT"
exit "$status"
"""


def find_namespace():
    """The command that runs another one in namespaces of its own, or nothing if this machine does not allow it."""
    # On a machine without root, the user namespace gives the rights for the others. Ubuntu 24.04 forbids that by default.
    command = [shutil.which("unshare") or "unshare", *([] if os.geteuid() == 0 else ["--user", "--map-root-user"])]
    command += ["--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    try:
        done = subprocess.run([*command, "true"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
    except OSError as error:
        reason = str(error)
    else:
        if done.returncode == 0:
            return command
        reason = done.stderr.strip()
    print(f"the bootstrap runs without namespaces of its own: {reason}", file=sys.stderr)
    return []


NAMESPACE = find_namespace()


class Metadata(http.server.ThreadingHTTPServer):
    """IMDSv2: answers only requests with a token that it has issued."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), MetadataHandler)
        self.pages = {}
        self.unauthorised = 0
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}"


class MetadataHandler(http.server.BaseHTTPRequestHandler):
    def reply(self, status, body=""):
        body = body.encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_PUT(self):
        if self.path != "/latest/api/token" or not self.headers.get("X-aws-ec2-metadata-token-ttl-seconds", "").isdigit():
            return self.reply(400)
        return self.reply(200, "token==")

    def do_GET(self):
        if self.headers.get("X-aws-ec2-metadata-token") != "token==":
            self.server.unauthorised += 1
            return self.reply(401)
        page = self.server.pages.get(self.path)
        return self.reply(404) if page is None else self.reply(200, page)

    def log_message(self, *_):
        pass


class Machine:
    """An instance: its metadata, its tools and its disk."""

    def __init__(self, scale="10"):
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="bootstrap-"))
        self.state = self.root / "state"
        self.stubs = self.root / "stubs"
        self.units = self.root / "units"
        self.bin = self.root / "bin"
        self.left = self.root / "left"
        for directory in (self.bin, self.units, self.stubs / "calls", self.stubs / "stdin"):
            directory.mkdir(parents=True)
        for tool in TOOLS:
            (self.bin / tool).symlink_to(shutil.which(tool, path="/usr/bin:/bin:/usr/local/bin"))
        for stub in STUBS:
            (self.bin / stub).write_text(STUB)
            (self.bin / stub).chmod(0o755)
        self.state.mkdir()
        self.script = self.state / "bootstrap.sh"
        shutil.copy(SCRIPT, self.script)
        self.settings = {
            "HATCHERY_REGISTRY": "123456789012.dkr.ecr.eu-central-1.amazonaws.com/team",
            "HATCHERY_CHART": "oci://123456789012.dkr.ecr.eu-central-1.amazonaws.com/charts/shop:1.4.0",
            "HATCHERY_DATABASE_SECRET": "rds!db-1234/admin",
            "HATCHERY_HARD_CAP": "604800",
            "HATCHERY_GRACE": "900",
        }
        self.tags = {
            "hatchery:fleet": "dev",
            "hatchery:environment": "dev-12",
            "hatchery:database": "hatchery-dev-12",
            "hatchery:expires-at": rfc3339(time.time() + 3600),
            "hatchery:service.payments": "f-123",
            "hatchery:service.web-shop": "v1.2.3_rc",
            "aws:ec2launchtemplate:id": "lt-0abc",
        }
        self.launched = time.time() - 30
        self.boot = 1
        self.scale = scale
        self.databases = [database("available")]
        self.secret = json.dumps({"SecretString": json.dumps({"username": "app", "password": PASSWORD, "host": "source", "port": 1})})
        registry = self.settings["HATCHERY_REGISTRY"]
        self.pods = [
            pod("app", f"{registry}/payments:f-123", f"docker-pullable://{registry}/payments@{DIGESTS['payments']}"),
            pod("app", f"{registry}/payments:f-123", f"docker-pullable://{registry}/payments@{DIGESTS['payments']}"),
            pod("app", f"{registry}/web-shop:v1.2.3_rc", f"docker-pullable://{registry}/web-shop@{DIGESTS['web-shop']}"),
            pod("queue", "docker.io/library/rabbitmq:4", "docker://sha256:" + "0" * 64),
        ]
        self.workloads = [
            workload("Deployment", "payments", f"{registry}/payments:f-123"),
            workload("Deployment", "web-shop", f"{registry}/web-shop:v1.2.3_rc", envFrom=[{"secretRef": {"name": "hatchery-database"}}]),
            workload("StatefulSet", "queue", "docker.io/library/rabbitmq:4"),
        ]
        # The digests of the images in the node, by name and tag.
        self.images = {
            f"{registry}/payments:f-123": [f"{registry}/payments@{DIGESTS['payments']}"],
            f"{registry}/web-shop:v1.2.3_rc": [f"{registry}/web-shop@{DIGESTS['web-shop']}"],
        }
        self.manifests = ""
        self.faults = {}
        self.instance = INSTANCE
        # Further pages of the metadata, and further environment variables.
        self.pages = {}
        self.environment = {}
        # A command that runs the script.
        self.wrapper = []
        self.metadata = Metadata()
        self.endpoint = self.metadata.url
        self.process = None

    def close(self):
        if self.process and self.process.poll() is None:
            self.kill()
        self.metadata.shutdown()
        self.metadata.server_close()
        shutil.rmtree(self.root)

    def serve_metadata(self):
        tags = self.tags
        self.metadata.pages = {
            "/latest/meta-data/instance-id": self.instance,
            "/latest/meta-data/placement/region": "eu-central-1",
            "/latest/dynamic/instance-identity/document": json.dumps({"pendingTime": rfc3339(self.launched)}),
            "/latest/meta-data/tags/instance/": "\n".join(tags),
            **{f"/latest/meta-data/tags/instance/{key}": value for key, value in tags.items()},
            **self.pages,
        }

    def start(self, *arguments):
        self.serve_metadata()
        (self.root / "fleet.env").write_text("# comment\n" + "".join(f"{k}={v}\n" for k, v in self.settings.items()))
        (self.stubs / "faults").write_text("".join(f"{k}\t{v}\n" for k, v in self.faults.items()))
        (self.stubs / "database").write_text("".join(line + "\n" for line in self.databases))
        (self.stubs / "pods").write_text(json.dumps({"items": self.pods}))
        (self.stubs / "workloads").write_text(json.dumps({"items": self.workloads}))
        (self.stubs / "images").write_text(json.dumps(self.images))
        (self.stubs / "secret").write_text(self.secret)
        environment = {
            "PATH": str(self.bin),
            "STUB_DIR": str(self.stubs),
            "MANIFESTS": self.manifests,
            "AWS_EC2_METADATA_SERVICE_ENDPOINT": self.endpoint,
            "HATCHERY_STATE_DIR": str(self.state),
            "HATCHERY_FLEET_ENV": str(self.root / "fleet.env"),
            "HATCHERY_MINIKUBE_FLAGS_FILE": str(self.root / "minikube.flags"),
            "HATCHERY_TOOLS_FILE": str(self.root / "tools.yaml"),
            "HATCHERY_UNIT_DIR": str(self.units),
            "HATCHERY_BOOT_ID": f"boot-{self.boot}",
            "HATCHERY_TIMEOUT_SCALE": self.scale,
            **self.environment,
        }
        command = [*self.wrapper, str(self.bin / "bash"), str(self.script), *arguments]
        if NAMESPACE:
            self.left.unlink(missing_ok=True)
            environment["LEFT"] = str(self.left)
            command = [*NAMESPACE, str(self.bin / "bash"), "-c", INIT, "init", *command]
        self.process = subprocess.Popen(
            command, env=environment, cwd=self.root, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        return self

    def run(self, *arguments, timeout=50):
        self.start(*arguments)
        self.output, _ = self.process.communicate(timeout=timeout)
        return self.process.returncode

    def terminate(self):
        """What systemd does at a shutdown. In a namespace, the script is the child of its first process."""
        script = self.child_of(self.child_of(self.process.pid)) if NAMESPACE else self.process.pid
        os.kill(script, signal.SIGTERM)

    def kill(self):
        """A loss of power: ends every process of the machine. No process holds a lock after it."""
        if NAMESPACE:
            # The kernel ends the others before the first process is gone, which `unshare` waits for.
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.child_of(self.process.pid), signal.SIGKILL)
        else:
            # Repeats, because a process can start another meanwhile.
            while found := self.processes():
                for process in found:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(process, signal.SIGKILL)
                self.process.poll()
        self.process.communicate()

    def child_of(self, parent):
        """The only child of a process, which may not have started it yet."""
        while self.process.poll() is None:
            found = subprocess.run(["pgrep", "-P", str(parent)], stdout=subprocess.PIPE, text=True, check=False).stdout.split()
            if found:
                return int(found[0])
            time.sleep(0.01)
        raise ProcessLookupError(f"the process {parent} has no child")

    def processes(self):
        """The machine's processes, recognised by their environment."""
        marker = f"HATCHERY_STATE_DIR={self.state}\0".encode()
        found = []
        for process in pathlib.Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if marker in (process / "environ").read_bytes():
                    found.append(int(process.name))
        return found

    def survivors(self):
        """What the script has left running."""
        if NAMESPACE:
            return self.left.read_text().splitlines() if self.left.exists() else []
        return self.processes()

    def calls(self, *prefix):
        """All calls of stubs in order, each a list of arguments."""
        found = []
        for file in (self.stubs / "calls").iterdir():
            if not file.name.startswith("."):
                at, _, rest = file.read_bytes().partition(b"\n")
                found.append((int(at), file.name, rest.decode().split("\0")[:-1]))
        return [call for _, _, call in sorted(found) if call[: len(prefix)] == list(prefix)]

    def stdin_of(self, *prefix):
        found = []
        for file in (self.stubs / "calls").iterdir():
            if not file.name.startswith("."):
                call = file.read_bytes().partition(b"\n")[2].decode().split("\0")[:-1]
                if call[: len(prefix)] == list(prefix):
                    found.append((self.stubs / "stdin" / file.name).read_text())
        return found

    def published(self):
        """The tags of each publication, in order."""
        result = []
        for call in self.calls("aws", "ec2", "create-tags"):
            assert call[call.index("--resources") + 1] == INSTANCE, call
            result.append({tag["Key"]: tag["Value"] for tag in json.loads(call[call.index("--tags") + 1])})
        return result

    def phases(self):
        result = []
        for tags in self.published():
            phase = tags.get("hatchery:phase")
            if phase and result[-1:] != [phase]:
                result.append(phase)
        return result

    def log(self):
        path = self.state / "bootstrap.log"
        return path.read_text() if path.exists() else self.output

    def wait_for_call(self, *prefix):
        deadline = time.monotonic() + 20
        while not self.calls(*prefix):
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise AssertionError(f"no call of {prefix}:\n{self.log()}")
            time.sleep(0.02)


def machine(case, **options):
    made = Machine(**options)
    case.addCleanup(made.close)
    return made


def in_parallel(function, cases):
    with ThreadPoolExecutor(max_workers=6) as pool:
        list(pool.map(lambda arguments: function(*arguments), cases))


class Test(unittest.TestCase):
    maxDiff = None

    def assert_failed(self, m, pattern):
        tags = m.published()[-1]
        self.assertEqual(tags["hatchery:phase"], "failed", m.log())
        self.assertRegex(tags["hatchery:detail"], pattern)
        self.assertLessEqual(len(tags["hatchery:detail"]), 256)
        self.assertTrue(tags["hatchery:detail"].isprintable())
        self.assertNotIn("hatchery:ready-at", tags)
        self.assertEqual(m.calls("shutdown"), [])

    def assert_ready(self, m):
        tags = m.published()[-1]
        self.assertEqual(tags["hatchery:phase"], "ready", m.log())
        timeline = [entry.split("=") for entry in tags["hatchery:timeline"].split(" ")]
        self.assertEqual([phase for phase, _ in timeline], PHASES)
        seconds = [int(at) for _, at in timeline]
        self.assertEqual(seconds, sorted(seconds))
        self.assertTrue(all(25 <= at <= 300 for at in seconds), seconds)
        at = datetime.datetime.fromisoformat(tags["hatchery:ready-at"].replace("Z", "+00:00")).timestamp()
        self.assertLess(abs(at - time.time()), 60)
