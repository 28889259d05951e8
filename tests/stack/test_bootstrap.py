"""Runs the bootstrap under bash against stub commands and a stub of the instance metadata service.

    python3 tests/stack/test_bootstrap.py

The bootstrap's PATH is one directory with the stubs and links to harmless tools, so a command without a stub is not found.
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

SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "src/stack/bootstrap.sh"
PHASES = ["booting", "database", "images", "cluster", "services", "ready"]
TOOLS = (
    "awk bash cat cp curl cut date flock grep head jq mkdir mv pgrep rm sed sleep tail timeout tr wc".split()
)
STUBS = "aws docker minikube kubectl helm shutdown systemctl".split()
INSTANCE = "i-0123456789abcdef0"
UNREACHABLE = "http://127.0.0.1:9"
PASSWORD = "s3cret,'\"$(touch x)"

# Each stub records its arguments and standard input as one file, then does what `faults` says for the command: a line is
# `<prefix of the command>\t<fail or hang>`. The rename makes a record visible only when it is complete.
STUB = r"""#!/bin/bash
name=${0##*/}
call="$name $*"
record=$STUB_DIR/calls/.${EPOCHREALTIME/[.,]/}-$$
{ echo "${EPOCHREALTIME/[.,]/}"; printf '%s\0' "$name" "$@"; } >"$record"
case $call in
"docker login"* | "kubectl apply"*) cat >"$STUB_DIR/stdin/${record##*/.}" ;;
esac
mv "$record" "$STUB_DIR/calls/${record##*/.}"
while IFS=$'\t' read -r prefix fault; do
    [[ $call == "$prefix"* ]] || continue
    case $fault in
    fail) printf 'first line\n\033[31mboom from %s\033[0m\r\n\n' "$name" >&2; exit 1 ;;
    hang) sleep 120 ;;
    esac
done <"$STUB_DIR/faults"
case $call in
"aws rds describe-db-instances"*)
    # The last line of the script of states repeats.
    mapfile -t states <"$STUB_DIR/database"
    echo "${states[0]}"
    ((${#states[@]} == 1)) || printf '%s\n' "${states[@]:1}" >"$STUB_DIR/database"
    ;;
"aws ecr get-login-password"*) echo registry-password ;;
"aws secretsmanager"*) cat "$STUB_DIR/secret" ;;
"kubectl get deployments"*) printf 'deployment.apps/payments\nstatefulset.apps/queue\n' ;;
esac
exit 0
"""


def database(status, host="hatchery-dev-12.abc.eu-central-1.rds.amazonaws.com", port=5432):
    instance = {"DBInstanceStatus": status}
    if host:
        instance["Endpoint"] = {"Address": host, "Port": port}
    return json.dumps({"DBInstances": [instance]})


def rfc3339(seconds):
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


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
        for directory in (self.bin, self.units, self.stubs / "calls", self.stubs / "stdin"):
            directory.mkdir(parents=True)
        for tool in TOOLS:
            (self.bin / tool).symlink_to(shutil.which(tool, path="/usr/bin:/bin:/usr/local/bin"))
        for stub in STUBS:
            (self.bin / stub).write_text(STUB)
            (self.bin / stub).chmod(0o755)
        # A copy, as in user data, so that the script copies itself.
        self.script = self.root / "part-001"
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
        self.faults = {}
        self.metadata = Metadata()
        self.endpoint = self.metadata.url
        self.process = None

    def close(self):
        if self.process and self.process.poll() is None:
            self.kill()
        self.metadata.shutdown()
        self.metadata.server_close()
        shutil.rmtree(self.root)

    def start(self, *arguments):
        tags = self.tags
        self.metadata.pages = {
            "/latest/meta-data/instance-id": INSTANCE,
            "/latest/meta-data/placement/region": "eu-central-1",
            "/latest/dynamic/instance-identity/document": json.dumps({"pendingTime": rfc3339(self.launched)}),
            "/latest/meta-data/tags/instance/": "\n".join(tags),
            **{f"/latest/meta-data/tags/instance/{key}": value for key, value in tags.items()},
        }
        (self.root / "fleet.env").write_text("# comment\n" + "".join(f"{k}={v}\n" for k, v in self.settings.items()))
        (self.stubs / "faults").write_text("".join(f"{k}\t{v}\n" for k, v in self.faults.items()))
        (self.stubs / "database").write_text("".join(line + "\n" for line in self.databases))
        (self.stubs / "secret").write_text(self.secret)
        environment = {
            "PATH": str(self.bin),
            "STUB_DIR": str(self.stubs),
            "AWS_EC2_METADATA_SERVICE_ENDPOINT": self.endpoint,
            "HATCHERY_STATE_DIR": str(self.state),
            "HATCHERY_FLEET_ENV": str(self.root / "fleet.env"),
            "HATCHERY_MINIKUBE_FLAGS_FILE": str(self.root / "minikube.flags"),
            "HATCHERY_UNIT_DIR": str(self.units),
            "HATCHERY_BOOT_ID": f"boot-{self.boot}",
            "HATCHERY_TIMEOUT_SCALE": self.scale,
        }
        self.process = subprocess.Popen(
            [str(self.bin / "bash"), str(self.script), *arguments],
            env=environment, cwd=self.root, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        return self

    def run(self, *arguments):
        self.start(*arguments)
        self.output, _ = self.process.communicate(timeout=50)
        return self.process.returncode

    def kill(self):
        """A loss of power: ends every process of the machine. Repeats, because a process can start another meanwhile."""
        while found := self.survivors():
            for process in found:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
            self.process.poll()
        self.process.communicate()

    def survivors(self):
        """The machine's processes, recognised by their environment."""
        marker = f"HATCHERY_STATE_DIR={self.state}\0".encode()
        found = []
        for process in pathlib.Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if marker in (process / "environ").read_bytes():
                    found.append(int(process.name))
        return found

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


class Success(Test):
    def test_the_phases_are_published_in_order(self):
        m = machine(self)
        m.databases = [database("creating", host=None), database("backing-up"), database("available", host=None), database("available")]
        self.assertEqual(m.run(), 0, m.log())
        self.assertEqual(m.phases(), PHASES)
        self.assert_ready(m)
        details = [tags["hatchery:detail"] for tags in m.published()]
        self.assertIn("hatchery-dev-12 is creating", details)
        self.assertIn("waiting for statefulset.apps/queue", details)
        self.assertEqual(m.metadata.unauthorised, 0)
        self.assertEqual(m.survivors(), [])

    def test_helm_gets_one_override_per_service(self):
        m = machine(self)
        self.assertEqual(m.run(), 0, m.log())
        [helm] = m.calls("helm", "upgrade", "--install")
        values = sorted(value for option, value in zip(helm, helm[1:]) if option == "--set-string")
        self.assertEqual(
            values,
            [
                "database.host=hatchery-dev-12.abc.eu-central-1.rds.amazonaws.com",
                "database.port=5432",
                "database.secret=hatchery-database",
                "environment=dev-12",
                "fleet=dev",
                "registry=123456789012.dkr.ecr.eu-central-1.amazonaws.com/team",
                "services.payments.tag=f-123",
                "services.web-shop.tag=v1.2.3_rc",
            ],
        )
        self.assertIn("oci://123456789012.dkr.ecr.eu-central-1.amazonaws.com/charts/shop", helm)
        self.assertEqual(helm[helm.index("--version") + 1], "1.4.0")
        images = {call[-1] for call in m.calls("docker", "pull")}
        registry = m.settings["HATCHERY_REGISTRY"]
        self.assertEqual(images, {f"{registry}/payments:f-123", f"{registry}/web-shop:v1.2.3_rc"})
        self.assertEqual({call[-1] for call in m.calls("minikube", "image", "load")}, images)

    def test_secrets_are_in_no_argument_and_no_log(self):
        m = machine(self)
        self.assertEqual(m.run(), 0, m.log())
        [manifest] = m.stdin_of("kubectl", "apply", "-f", "-")
        manifest = json.loads(manifest)
        self.assertEqual(manifest["metadata"]["name"], "hatchery-database")
        self.assertEqual(
            manifest["stringData"],
            {"username": "app", "password": PASSWORD, "host": "hatchery-dev-12.abc.eu-central-1.rds.amazonaws.com", "port": "5432"},
        )
        self.assertEqual(set(m.stdin_of("docker", "login")), {"registry-password\n"})
        for call in m.calls():
            for argument in call:
                self.assertNotIn("s3cret", argument)
                self.assertNotIn("registry-password", argument)
        for file in m.state.rglob("*"):
            if file.is_file():
                self.assertNotIn("s3cret", file.read_text(), file)

    def test_a_plain_text_secret_is_the_password(self):
        def check(text):
            m = machine(self)
            m.secret = json.dumps({"SecretString": text})
            self.assertEqual(m.run(), 0, m.log())
            self.assertEqual(json.loads(m.stdin_of("kubectl", "apply")[0])["stringData"]["password"], text)

        in_parallel(check, [("pa ss",), ("1e5",)])

    def test_pulls_and_minikube_run_while_the_database_is_restored(self):
        m = machine(self)
        m.databases = [database("creating", host=None)]
        m.start()
        m.wait_for_call("docker", "pull")
        m.wait_for_call("minikube", "start")
        self.assertEqual(m.calls("helm"), [])
        (m.stubs / "database").write_text(database("available") + "\n")
        m.process.communicate(timeout=20)
        self.assertEqual(m.process.returncode, 0, m.log())
        self.assertEqual(m.phases(), PHASES)

    def test_minikube_starts_with_the_flags_of_the_image(self):
        m = machine(self)
        self.assertEqual(m.run(), 0, m.log())
        self.assertIn("--driver=docker", m.calls("minikube", "start")[0])
        m = machine(self)
        # Image Builder writes the file without a line break at its end.
        (m.root / "minikube.flags").write_text("--driver=docker --static-ip=192.168.7.7")
        self.assertEqual(m.run(), 0, m.log())
        self.assertEqual(m.calls("minikube", "start"), [["minikube", "start", "--driver=docker", "--static-ip=192.168.7.7"]])

    def test_an_environment_without_services_needs_no_registry(self):
        m = machine(self)
        m.tags = {key: value for key, value in m.tags.items() if ".service" not in key and "service." not in key}
        m.settings["HATCHERY_CHART"] = "s3://bucket/charts/shop.tgz"
        self.assertEqual(m.run(), 0, m.log())
        self.assertEqual(m.calls("docker"), [])
        self.assertEqual(m.calls("aws", "s3", "cp")[0][3], "s3://bucket/charts/shop.tgz")
        self.assert_ready(m)

    def test_the_log_is_shipped(self):
        m = machine(self)
        m.settings["HATCHERY_LOG_GROUP"] = "/hatchery/dev/environments"
        self.assertEqual(m.run(), 0, m.log())
        shipped = m.calls("aws", "logs", "put-log-events")
        self.assertTrue(shipped)
        self.assertEqual(shipped[0][shipped[0].index("--log-stream-name") + 1], "lt-0abc/bootstrap")
        self.assertEqual(shipped[0][shipped[0].index("--log-group-name") + 1], "/hatchery/dev/environments")
        events = json.loads((m.state / "run/events").read_text())
        self.assertIn("ready: all services are healthy", [event["message"] for event in events])

    def test_a_failure_to_ship_the_log_is_ignored(self):
        m = machine(self)
        m.settings["HATCHERY_LOG_GROUP"] = "/hatchery/dev/environments"
        m.faults = {"aws logs": "fail"}
        self.assertEqual(m.run(), 0, m.log())
        self.assert_ready(m)

    def test_the_units_are_installed(self):
        m = machine(self)
        self.assertEqual(m.run(), 0, m.log())
        self.assertEqual((m.state / "bootstrap.sh").read_text(), SCRIPT.read_text())
        self.assertIn(f"ExecStart=/bin/bash {m.state}/bootstrap.sh %i", (m.units / "hatchery@.service").read_text())
        self.assertIn("Unit=hatchery@dead-man.service", (m.units / "hatchery-dead-man.timer").read_text())
        self.assertIn(["systemctl", "enable", "--now", "hatchery-dead-man.timer"], m.calls("systemctl"))

    def test_the_script_is_recognised_by_cloud_init(self):
        self.assertTrue(SCRIPT.read_text().startswith("#!/bin/bash\n"))


# A command of each step, the phase that it fails, and the reason.
STEPS = [
    ("systemctl daemon-reload", "booting", "cannot install the units"),
    ("aws rds", "database", "hatchery-dev-12 cannot be described"),
    ("aws ecr", "images", "cannot log in to 123456789012"),
    ("docker login", "images", "cannot log in to 123456789012"),
    ("docker pull", "images", "cannot pull (payments|web-shop):"),
    ("minikube start", "cluster", "minikube does not start"),
    ("kubectl --namespace ingress-nginx", "cluster", "the ingress is not healthy"),
    ("minikube image load", "services", "cannot load (payments|web-shop) into minikube"),
    ("aws secretsmanager", "services", "cannot create the database's secret"),
    ("kubectl apply", "services", "cannot create the database's secret"),
    ("kubectl delete", "services", "cannot clear an interrupted release"),
    ("helm upgrade", "services", "helm cannot deploy the chart"),
    ("kubectl get", "services", "cannot list the workloads"),
    ("kubectl rollout status deployment.apps/payments", "services", "deployment.apps/payments is not healthy"),
]


class Failure(Test):
    def test_each_failing_command_fails_its_phase(self):
        def check(command, phase, reason):
            m = machine(self)
            m.faults = {command: "fail"}
            self.assertEqual(m.run(), 1, m.log())
            # The errors of these are hidden, because they can quote the secret; systemctl's are in the log only.
            last = "" if command in ("kubectl apply", "systemctl daemon-reload") else f"; boom from {command.split()[0]}"
            self.assert_failed(m, f"^{phase}: {reason}[^;]*{last}$")
            self.assertEqual(m.survivors(), [])

        in_parallel(check, STEPS)

    def test_after_a_repair_the_next_run_succeeds(self):
        def check(command):
            m = machine(self)
            m.faults = {command: "fail"}
            self.assertEqual(m.run(), 1, m.log())
            m.faults = {}
            self.assertEqual(m.run(), 0, m.log())
            self.assert_ready(m)

        in_parallel(check, [("aws rds",), ("minikube start",), ("helm upgrade",)])

    def test_a_command_that_hangs_is_cut(self):
        def check(command, phase, reason):
            m = machine(self, scale="1")
            m.faults = {command: "hang"}
            begin = time.monotonic()
            self.assertEqual(m.run(), 1, m.log())
            self.assertLess(time.monotonic() - begin, 25)
            self.assert_failed(m, f"^{phase}: {reason}")
            if command.split()[0] in ("minikube", "helm") or "rollout" in command or command == "docker pull":
                self.assertIn("(timeout after", m.published()[-1]["hatchery:detail"])
            self.assertEqual(m.survivors(), [])

        in_parallel(check, [step for step in STEPS if step[0] != "aws rds"])

    def test_a_hanging_publication_does_not_stop_the_bootstrap(self):
        m = machine(self, scale="1")
        m.faults = {"aws ec2 create-tags": "hang"}
        m.start()
        m.wait_for_call("aws", "ec2", "create-tags")
        (m.stubs / "faults").write_text("")
        m.process.communicate(timeout=40)
        self.assertEqual(m.process.returncode, 0, m.log())

    def test_a_failed_pull_stops_the_other_pulls(self):
        m = machine(self, scale="1")
        pull = f"docker pull -q {m.settings['HATCHERY_REGISTRY']}"
        m.faults = {f"{pull}/web-shop": "fail", f"{pull}/payments": "hang"}
        self.assertEqual(m.run(), 1, m.log())
        self.assert_failed(m, "^images: cannot pull (payments|web-shop):")
        self.assertEqual(m.survivors(), [])

    def test_the_database_is_given_up(self):
        def check(databases, reason):
            m = machine(self, scale="1" if "after" in reason else "10")
            m.databases = databases
            self.assertEqual(m.run(), 1, m.log())
            self.assert_failed(m, f"^database: {reason}")

        in_parallel(
            check,
            [
                ([database("creating", host=None)], "hatchery-dev-12 is creating after 40 minutes"),
                ([database("available", host=None)], "hatchery-dev-12 is available after 40 minutes"),
                ([database("restore-error", host=None)], "hatchery-dev-12 is restore-error"),
                ([database("available", host="$(touch x).y")], "hatchery-dev-12 cannot be described"),
                (["not json"], "hatchery-dev-12 cannot be described"),
            ],
        )

    def test_missing_or_invalid_settings(self):
        def check(key, value):
            m = machine(self)
            m.settings[key] = value
            self.assertEqual(m.run(), 1, m.log())
            self.assert_failed(m, f"^booting: missing or invalid in fleet.env: {key}")
            self.assertEqual([file for file in m.root.rglob("owned")], [])

        in_parallel(
            check,
            [
                ("HATCHERY_REGISTRY", ""),
                ("HATCHERY_REGISTRY", "$(touch owned)"),
                ("HATCHERY_CHART", "--post-renderer=/bin/sh"),
                ("HATCHERY_DATABASE_SECRET", "`touch owned`"),
                ("HATCHERY_GRACE", "a[$(touch owned)]"),
                ("HATCHERY_HARD_CAP", "-1"),
            ],
        )

    def test_long_and_unprintable_output_is_cut(self):
        m = machine(self)
        stub = (m.bin / "helm").read_text()
        (m.bin / "helm").write_text(stub.replace("name=${0##*/}", "printf 'ü\\007\\033[1m\"a\\\\b\" & %0400d\\n' 7 >&2; exit 1\nname=${0##*/}", 1))
        self.assertEqual(m.run(), 1, m.log())
        self.assert_failed(m, r'^services: helm cannot deploy the chart; +"a\\b" & 000')
        self.assertEqual(len(m.published()[-1]["hatchery:detail"]), 256)

    def test_without_metadata_nothing_is_called(self):
        m = machine(self, scale="1")
        m.endpoint = UNREACHABLE
        self.assertEqual((m.run(), m.calls()), (1, []), m.log())


HOSTILE = [
    "$(touch owned)",
    "`touch owned`",
    "a;touch owned",
    'a"b',
    "a'b",
    "good\n$(touch owned)",
    "good\nevil",
    "../../../etc",
    "--kubeconfig=x",
    "a,b=c",
    "",
    "a b",
    "ä",
    "x" * 256,
]


class HostileTags(Test):
    def test_hostile_values_are_refused_and_never_executed(self):
        def check(key, value):
            m = machine(self)
            m.tags[key] = value
            self.assertEqual(m.run(), 1, m.log())
            self.assert_failed(m, f"^booting: the tag {key} is (missing or )?invalid$")
            self.assertEqual([file for file in m.root.rglob("owned")], [], value)
            for tool in ("docker", "minikube", "kubectl", "helm"):
                self.assertEqual(m.calls(tool), [], value)

        cases = [("hatchery:service.payments", value) for value in HOSTILE]
        others = ("hatchery:fleet", "hatchery:environment", "hatchery:database")
        cases += [(key, value) for key in others for value in ("$(touch owned)", "dev-1\n$(touch owned)", "../dev-1", 'dev-1"')]
        in_parallel(check, cases)

    def test_hostile_service_names_are_refused(self):
        def check(name):
            m = machine(self)
            m.tags[f"hatchery:service.{name}"] = "v1"
            self.assertEqual(m.run(), 1, m.log())
            self.assert_failed(m, r"^booting: a tag hatchery:service.\* has an invalid name$")
            self.assertEqual([file for file in m.root.rglob("owned")], [], name)

        in_parallel(check, [(name,) for name in ["../fleet", "a[$(touch owned)]", "a.b", "A", "-x", "", "a=b,c", "x" * 41]])

    def test_missing_tags(self):
        def check(key):
            m = machine(self)
            del m.tags[key]
            self.assertEqual(m.run(), 1, m.log())
            self.assert_failed(m, f"^booting: the tag {key} is missing")

        in_parallel(check, [("hatchery:fleet",), ("hatchery:environment",), ("hatchery:database",)])


class Repetition(Test):
    def test_a_loss_of_power_in_any_step_is_repaired(self):
        def check(command):
            m = machine(self, scale="1000")
            m.faults = {command: "hang"}
            m.start()
            m.wait_for_call(*command.split())
            m.kill()
            m.faults, m.boot, m.scale = {}, 2, "10"
            self.assertEqual(m.run(), 0, m.log())
            self.assert_ready(m)
            self.assertNotIn("failed", m.phases())

        commands = ["aws ec2 create-tags", "systemctl daemon-reload", "aws rds", "docker pull", "minikube start", "minikube image load"]
        commands += ["helm upgrade", "kubectl rollout"]
        in_parallel(check, [(command,) for command in commands])

    def test_a_termination_is_no_failure_and_leaves_no_process(self):
        m = machine(self, scale="1000")
        m.faults = {"minikube start": "hang", "docker pull": "hang"}
        m.start()
        m.wait_for_call("minikube", "start")
        m.wait_for_call("docker", "pull")
        m.process.terminate()
        m.process.communicate(timeout=10)
        self.assertNotIn("failed", m.phases())
        time.sleep(0.3)
        self.assertEqual(m.survivors(), [])

    def test_a_broken_cluster_is_deleted_only_after_an_interruption(self):
        m = machine(self)
        m.faults = {"minikube start": "fail"}
        self.assertEqual(m.run(), 1)
        self.assertEqual(m.calls("minikube", "delete"), [])
        self.assertEqual(m.run(), 1)
        self.assertEqual(len(m.calls("minikube", "delete")), 1)

    def test_the_second_run_of_a_boot_does_nothing(self):
        m = machine(self)
        self.assertEqual(m.run(), 0, m.log())
        calls = len(m.calls())
        self.assertEqual(m.run(), 0)
        self.assertEqual(len(m.calls()), calls)

    def test_a_reboot_starts_the_cluster_and_deploys_nothing(self):
        m = machine(self)
        self.assertEqual(m.run(), 0, m.log())
        first = m.published()[-1]
        m.boot = 2
        self.assertEqual(m.run(), 0, m.log())
        self.assertEqual(m.published()[-1], first)
        self.assertEqual(len(m.calls("minikube", "start")), 2)
        for once in (("helm",), ("aws", "rds"), ("kubectl", "apply")):
            self.assertEqual(len(m.calls(*once)), 1, once)
        self.assertEqual(len(m.calls("docker", "pull")), 2)

    def test_two_runs_at_once_are_one(self):
        m = machine(self)
        m.databases = [database("creating", host=None)]
        first = m.start().process
        m.wait_for_call("aws", "rds")
        self.assertEqual(m.run(), 0)
        (m.stubs / "database").write_text(database("available") + "\n")
        first.communicate(timeout=20)
        self.assertEqual(len(m.calls("helm")), 1)

    def test_markers_of_another_instance_are_discarded(self):
        m = machine(self)
        self.assertEqual(m.run(), 0, m.log())
        (m.state / "instance").write_text("i-0000000000000000f")
        (m.state / "launched").write_text("1")
        m.boot = 2
        self.assertEqual(m.run(), 0, m.log())
        self.assert_ready(m)
        self.assertEqual(len(m.calls("helm")), 2)


class DeadMan(Test):
    LIMIT = 900 + 6 * 3600

    def dead_man(self, expired=None, value=None, age=30, **settings):
        m = machine(self, scale="10")
        if expired is not None:
            value = rfc3339(time.time() - expired)
        m.tags["hatchery:expires-at"] = value
        if value is None:
            del m.tags["hatchery:expires-at"]
        m.launched = time.time() - age
        m.settings.update(settings)
        self.assertEqual(m.run("dead-man"), 0, m.output)
        return m

    def test_before_and_after_the_expiry(self):
        for expired, down in ((-3600, False), (60, False), (self.LIMIT - 60, False), (self.LIMIT + 60, True)):
            with self.subTest(expired=expired):
                m = self.dead_man(expired)
                self.assertEqual(m.calls("shutdown"), [["shutdown", "-h", "now"]] if down else [], m.output)
                if down:
                    calls = [call[:3] for call in m.calls()]
                    self.assertEqual(calls, [["aws", "ec2", "create-tags"], ["shutdown", "-h", "now"]])
                    self.assertRegex(m.published()[0]["hatchery:detail"], "^shutting down: expired at 20.*, and no engine")

    def test_the_hard_cap(self):
        m = self.dead_man(-3600, age=604800 + 60)
        self.assertEqual(m.published()[0], {"hatchery:detail": "shutting down: older than 604800 s"})
        self.assertEqual(len(m.calls("shutdown")), 1)

    def test_an_unreadable_expiry_leaves_the_hard_cap(self):
        hostile = [None, "", "soon", "$(touch owned)", "2020-01-01", "2020-13-45T99:00:00Z", "a[$(touch owned)]", "2020-01-01T00:00:00Z\nx"]

        def check(value, age, down):
            m = self.dead_man(value=value, age=age)
            self.assertEqual(len(m.calls("shutdown")), down, (value, m.output))
            self.assertEqual([file for file in m.root.rglob("owned")], [])

        in_parallel(check, [(value, age, down) for value in hostile for age, down in ((3600, 0), (604800 + 60, 1))])

    def test_damaged_settings_leave_the_defaults(self):
        damaged = {"HATCHERY_HARD_CAP": "x[$(touch owned)]", "HATCHERY_GRACE": "", "HATCHERY_CHART": "", "HATCHERY_REGISTRY": ""}
        self.assertEqual(self.dead_man(self.LIMIT - 60, **damaged).calls("shutdown"), [])
        self.assertEqual(len(self.dead_man(self.LIMIT + 60, **damaged).calls("shutdown")), 1)
        self.assertEqual(len(self.dead_man(-3600, age=691200 + 60, **damaged).calls("shutdown")), 1)

    def test_leading_zeros_are_decimal(self):
        self.assertEqual(len(self.dead_man(-3600, age=100, HATCHERY_HARD_CAP="0000099").calls("shutdown")), 1)

    def test_durations_have_units(self):
        self.assertEqual(len(self.dead_man(-3600, age=7 * 86400 + 60, HATCHERY_HARD_CAP="7d").calls("shutdown")), 1)
        self.assertEqual(self.dead_man(-3600, age=7 * 86400 - 60, HATCHERY_HARD_CAP="7d").calls("shutdown"), [])
        self.assertEqual(len(self.dead_man(7 * 3600 + 60, HATCHERY_GRACE="1h").calls("shutdown")), 1)
        self.assertEqual(self.dead_man(7 * 3600 - 60, HATCHERY_GRACE="60m").calls("shutdown"), [])

    def test_a_failing_publication_does_not_prevent_the_shutdown(self):
        for fault in ("fail", "hang"):
            m = machine(self, scale="10")
            m.tags["hatchery:expires-at"] = rfc3339(time.time() - self.LIMIT - 60)
            m.faults = {"aws": fault}
            m.run("dead-man")
            self.assertEqual(len(m.calls("shutdown")), 1, m.output)

    def test_without_metadata_the_first_launch_counts(self):
        for age, down in ((3600, 0), (604800 + 60, 1)):
            m = machine(self, scale="1")
            m.state.mkdir()
            (m.state / "launched").write_text(str(int(time.time() - age)))
            (m.state / "instance").write_text(INSTANCE)
            m.endpoint = UNREACHABLE
            m.run("dead-man")
            self.assertEqual(len(m.calls("shutdown")), down, m.output)

    def test_a_restart_does_not_move_the_hard_cap(self):
        m = machine(self)
        m.state.mkdir()
        (m.state / "launched").write_text(str(int(time.time() - 604800 - 60)))
        (m.state / "instance").write_text(INSTANCE)
        m.run("dead-man")
        self.assertEqual(len(m.calls("shutdown")), 1, m.output)

    def test_an_unknown_subcommand_is_refused(self):
        m = machine(self)
        self.assertEqual(m.run("dead-mn"), 2)
        self.assertEqual(m.calls(), [])


class Parallel(unittest.TestSuite):
    """Runs its tests in threads, because much of their time is spent waiting for timeouts."""

    def run(self, result, debug=False):
        def run_one(test):
            own = unittest.TestResult()
            test.run(own)
            return own

        with ThreadPoolExecutor(max_workers=3) as pool:
            for own in pool.map(run_one, self):
                result.testsRun += own.testsRun
                result.failures += own.failures
                result.errors += own.errors
        return result


def load_tests(loader, _tests, _pattern):
    # The longest first.
    cases = (Failure, Repetition, HostileTags, DeadMan, Success)
    return Parallel(test for case in cases for test in loader.loadTestsFromTestCase(case))


if __name__ == "__main__":
    if sys.platform != "linux":
        sys.exit("the bootstrap and this test need Linux")
    unittest.main()
