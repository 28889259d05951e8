"""Deployments into an environment that is ready, which a timer starts."""

import json
import time

from machine import DIGESTS, NODE_DOCKER, Test, database, in_parallel, machine, pod, rfc3339

FIRST, SECOND = "2026-01-02T03:04:05Z", "2026-01-02T03:09:00Z"
OTHER_HOST = "hatchery-dev-13.abc.eu-central-1.rds.amazonaws.com"
NEW = "sha256:" + "c3" * 32

# A command of each step, and the reason of its failure.
STEPS = [
    ("aws ecr", "images: cannot log in to 123456789012"),
    (f"{NODE_DOCKER} version", "images: minikube's Docker does not answer"),
    (f"{NODE_DOCKER} login", "images: cannot log in to 123456789012"),
    (f"{NODE_DOCKER} pull", "images: cannot pull (payments|web-shop):"),
    (f"{NODE_DOCKER} image inspect", "services: cannot inspect (payments|web-shop):"),
    ("aws rds", "database: hatchery-dev-13 cannot be described"),
    ("aws secretsmanager", "services: cannot create the database's secret"),
    ("kubectl apply", "services: cannot create the database's secret"),
    ("kubectl delete", "services: cannot clear an interrupted release"),
    ("helm upgrade", "services: helm cannot deploy the chart"),
    ("kubectl get pods", "services: cannot list the pods"),
    ("kubectl get deployments", "services: cannot list the workloads"),
    ("kubectl rollout restart", "services: cannot restart deployment/(payments|web-shop)"),
    ("kubectl rollout status deployment.apps/payments", "services: deployment.apps/payments is not healthy"),
]


def ready(case, **options):
    """A machine whose bootstrap has succeeded, and whose calls are forgotten."""
    m = machine(case, **options)
    case.assertEqual(m.run(), 0, m.log())
    forget(m)
    return m


def forget(m):
    for directory in ("calls", "stdin"):
        for file in (m.stubs / directory).iterdir():
            file.unlink()


def request(m, at=FIRST, payments="f-2", digest=NEW):
    """Asks for another version of payments, whose pods run once they are deployed."""
    registry = m.settings["HATCHERY_REGISTRY"]
    image = f"{registry}/payments:{payments}"
    m.tags["hatchery:deployment"] = f"{at} amy"
    m.tags["hatchery:service.payments"] = payments
    m.pods = [other for other in m.pods if "/payments:" not in other["spec"]["containers"][0]["image"]]
    m.pods[:0] = [pod("app", image, f"docker-pullable://{registry}/payments@{digest}")]
    m.workloads[0]["spec"]["template"]["spec"]["containers"][0]["image"] = image
    m.images[image] = [f"{registry}/payments@{digest}"]


def exchange_database(m):
    m.tags["hatchery:database"] = "hatchery-dev-13"
    m.databases = [database("available", host=OTHER_HOST)]


def rollouts(m):
    return [tags["hatchery:rollout"] for tags in m.published() if "hatchery:rollout" in tags]


def restarted(m):
    return [call[3] for call in m.calls("kubectl", "rollout", "restart")]


class Deployment(Test):
    def assert_answer(self, m, pattern):
        self.assertRegex(rollouts(m)[-1], pattern, m.log())
        # The environment stays ready, whatever becomes of its deployment.
        self.assertEqual([tags for tags in m.published() if "hatchery:phase" in tags or "hatchery:detail" in tags], [])

    def test_the_first_readiness_tells_that_the_instance_can_deploy(self):
        m = machine(self)
        self.assertEqual(m.run(), 0, m.log())
        self.assertEqual(rollouts(m), [f"{rfc3339(m.launched)} done"])
        self.assert_ready(m)

    def test_a_role_that_forbids_the_answer_does_not_prevent_readiness(self):
        m = machine(self)
        stub = (m.bin / "aws").read_text()
        (m.bin / "aws").write_text(stub.replace("name=${0##*/}", 'case $* in *"hatchery:rollout"*) exit 254 ;; esac\nname=${0##*/}', 1))
        self.assertEqual(m.run(), 0, m.log())
        self.assert_ready(m)

    def test_a_lost_first_readiness_is_written_again(self):
        m = machine(self)
        stub = (m.bin / "aws").read_text()
        lost = m.bin / "lost"
        fail_once = f'case $* in *"hatchery:rollout"*) [[ -e {lost} ]] || {{ : >{lost}; exit 254; }} ;; esac\nname=${{0##*/}}'
        (m.bin / "aws").write_text(stub.replace("name=${0##*/}", fail_once, 1))
        self.assertEqual(m.run(), 0, m.log())
        self.assertTrue(lost.exists())
        self.assertEqual(rollouts(m), [f"{rfc3339(m.launched)} done"])

    def test_without_a_request_nothing_is_deployed(self):
        m = ready(self)
        self.assertEqual(m.run("deploy"), 0)
        # Tags without a request order nothing.
        m.tags["hatchery:service.payments"] = "f-9"
        self.assertEqual(m.run("deploy"), 0)
        m.tags["hatchery:deployment"] = "soon $(touch owned)"
        self.assertEqual(m.run("deploy"), 0)
        self.assertEqual((m.calls(), list(m.root.rglob("owned"))), ([], []))

    def test_before_readiness_nothing_is_deployed(self):
        m = machine(self)
        request(m)
        self.assertEqual(m.run("deploy"), 0)
        self.assertEqual(m.calls(), [])
        m.faults = {"minikube start": "fail"}
        self.assertEqual(m.run(), 1)
        forget(m)
        self.assertEqual(m.run("deploy"), 0)
        self.assertEqual(m.calls(), [])

    def test_the_requested_version_is_deployed_once(self):
        m = ready(self)
        request(m)
        self.assertEqual(m.run("deploy"), 0, m.log())
        self.assert_answer(m, f"^{FIRST} done$")
        self.assertTrue(all(rollout.startswith(f"{FIRST} running ") for rollout in rollouts(m)[:-1]))
        self.assertEqual(m.published()[-1]["hatchery:digest.payments"], NEW)
        self.assertEqual(m.published()[-1]["hatchery:digest.web-shop"], DIGESTS["web-shop"])
        [helm] = m.calls("helm")
        self.assertIn("services.payments.tag=f-2", helm)
        # The database is the same, and so are the images of its running pods.
        self.assertEqual((m.calls("aws", "rds"), m.calls("aws", "secretsmanager"), restarted(m)), ([], [], []))
        self.assertEqual(m.survivors(), [])
        forget(m)
        self.assertEqual(m.run("deploy"), 0)
        self.assertEqual(m.calls(), [])

    def test_a_service_that_is_not_under_test_any_more_loses_its_override(self):
        m = ready(self)
        request(m)
        del m.tags["hatchery:service.web-shop"]
        self.assertEqual(m.run("deploy"), 0, m.log())
        self.assert_answer(m, f"^{FIRST} done$")
        self.assertNotIn("services.web-shop", " ".join(m.calls("helm")[0]))
        self.assertNotIn("hatchery:digest.web-shop", m.published()[-1])
        request(m, SECOND)
        del m.tags["hatchery:service.payments"]
        self.assertEqual(m.run("deploy"), 0, m.log())
        self.assertEqual(m.published()[-1], {"hatchery:rollout": f"{SECOND} done"})

    def test_a_request_of_the_same_time_with_other_tags_is_deployed(self):
        m = ready(self)
        request(m)
        self.assertEqual(m.run("deploy"), 0, m.log())
        request(m, payments="f-3")
        self.assertEqual(m.run("deploy"), 0, m.log())
        self.assertEqual(len(m.calls("helm")), 2)

    def test_manifests_are_applied_anew(self):
        m = machine(self)
        m.settings["HATCHERY_CHART"] = "s3://bucket/manifests/shop.yaml"
        self.assertEqual(m.run(), 0, m.log())
        forget(m)
        request(m)
        self.assertEqual(m.run("deploy"), 0, m.log())
        self.assertEqual(rollouts(m)[-1], f"{FIRST} done")
        [kustomization] = map(json.loads, m.stdin_of("kubectl", "apply", "--kustomize"))
        self.assertIn("f-2", [image["newTag"] for image in kustomization["images"]])

    def test_other_contents_of_the_same_tag_restart_their_workloads_only(self):
        m = ready(self)
        m.tags["hatchery:deployment"] = f"{FIRST} amy"
        registry = m.settings["HATCHERY_REGISTRY"]
        m.images[f"{registry}/payments:f-123"] = [f"{registry}/payments@{NEW}"]
        self.assertEqual(m.run("deploy"), 0, m.log())
        self.assertEqual(restarted(m), ["deployment/payments"])
        calls = [" ".join(call) for call in m.calls()]
        order = [next(index for index, call in enumerate(calls) if word in call) for word in (" pull ", "helm ", "restart", "rollout status")]
        self.assertEqual(order, sorted(order))
        self.assertEqual(len(m.calls(*NODE_DOCKER.split(), "pull")), 2)

    def test_another_database_gets_its_secret_and_restarts_its_workloads(self):
        m = ready(self)
        m.tags["hatchery:deployment"] = f"{FIRST} amy"
        exchange_database(m)
        self.assertEqual(m.run("deploy"), 0, m.log())
        self.assert_answer(m, f"^{FIRST} done$")
        [secret] = m.stdin_of("kubectl", "apply", "-f", "-")
        self.assertEqual(json.loads(secret)["stringData"]["host"], OTHER_HOST)
        self.assertIn(f"database.host={OTHER_HOST}", m.calls("helm")[0])
        self.assertEqual(restarted(m), ["deployment/web-shop"])
        # A reboot uses it too, and deploys nothing.
        m.boot = 2
        forget(m)
        self.assertEqual(m.run(), 0, m.log())
        self.assertEqual((m.calls("helm"), m.calls("aws", "rds")), ([], []))
        self.assertEqual(rollouts(m), [f"{FIRST} done"])

    def test_another_database_is_awaited(self):
        m = ready(self)
        request(m)
        exchange_database(m)
        m.databases.insert(0, database("creating", host=None))
        self.assertEqual(m.run("deploy"), 0, m.log())
        self.assertIn(f"{FIRST} running hatchery-dev-13 is creating", rollouts(m))
        self.assert_answer(m, f"^{FIRST} done$")

    def test_a_password_is_set_for_another_database_only(self):
        def passwords(m):
            return [json.loads(text) for text in m.stdin_of("aws", "rds", "modify-db-instance")]

        m = machine(self)
        m.settings["HATCHERY_DATABASE_AUTH"] = "password"
        self.assertEqual(m.run(), 0, m.log())
        [first] = passwords(m)
        request(m)
        self.assertEqual(m.run("deploy"), 0, m.log())
        self.assertEqual((passwords(m), len(m.stdin_of("kubectl", "apply"))), ([first], 1))
        request(m, SECOND)
        exchange_database(m)
        m.faults = {"helm": "fail"}
        self.assertEqual(m.run("deploy"), 1, m.log())
        self.assertRegex(rollouts(m)[-1], f"^{SECOND} failed services: helm")
        # What a failure leaves is not for the next database.
        m.tags["hatchery:deployment"], m.tags["hatchery:database"], m.faults = "2026-01-02T03:10:00Z amy", "hatchery-dev-14", {}
        self.assertEqual(m.run("deploy"), 0, m.log())
        self.assertCountEqual([each["DBInstanceIdentifier"] for each in passwords(m)], ["hatchery-dev-12", "hatchery-dev-13", "hatchery-dev-14"])
        secrets = [json.loads(text)["stringData"]["password"] for text in m.stdin_of("kubectl", "apply")]
        self.assertCountEqual(secrets, [each["MasterUserPassword"] for each in passwords(m)])
        self.assertEqual(rollouts(m)[-1], "2026-01-02T03:10:00Z done")

    def test_each_failing_command_fails_the_deployment_and_not_the_environment(self):
        def check(command, reason):
            m = ready(self)
            request(m)
            exchange_database(m)
            # Both kinds of restarts.
            m.pods[0]["status"]["containerStatuses"][0]["imageID"] = f"docker-pullable://x@{DIGESTS['payments']}"
            m.faults = {command: "fail"}
            self.assertEqual(m.run("deploy"), 1, m.log())
            self.assert_answer(m, f"^{FIRST} failed {reason}")
            self.assertLessEqual(len(rollouts(m)[-1]), 256)
            # The digests are those of what ran before.
            self.assertEqual(m.published()[-1]["hatchery:digest.payments"], DIGESTS["payments"])
            self.assertEqual(m.survivors(), [])
            # The failure is no reason to try again; a reboot keeps it, and a later request succeeds.
            forget(m)
            m.faults, m.boot = {}, 2
            self.assertEqual(m.run("deploy"), 0)
            self.assertEqual(m.run(), 0, m.log())
            self.assert_ready(m)
            self.assertRegex(rollouts(m)[-1], f"^{FIRST} failed {reason}")
            self.assertEqual(m.run("deploy"), 0)
            self.assertEqual(m.calls("helm"), [])
            request(m, SECOND)
            self.assertEqual(m.run("deploy"), 0, m.log())
            self.assertEqual(rollouts(m)[-1], f"{SECOND} done")

        in_parallel(check, STEPS)

    def test_a_command_that_hangs_is_cut(self):
        m = ready(self, scale="1")
        request(m)
        m.faults = {"helm": "hang"}
        self.assertEqual(m.run("deploy"), 1, m.log())
        self.assert_answer(m, rf"^{FIRST} failed services: helm cannot deploy the chart \(timeout after")
        self.assertEqual(m.survivors(), [])

    def test_a_loss_of_power_in_any_step_is_repaired(self):
        def check(command):
            m = ready(self)
            request(m)
            exchange_database(m)
            m.faults, m.scale = {command: "hang"}, "1000"
            m.start("deploy")
            m.wait_for_call(*command.split())
            m.kill()
            m.faults, m.boot, m.scale = {}, 2, "10"
            self.assertEqual(m.run(), 0, m.log())
            self.assert_ready(m)
            self.assertNotIn("failed", m.phases())
            self.assertEqual(m.run("deploy"), 0, m.log())
            self.assertEqual(rollouts(m)[-1], f"{FIRST} done")
            self.assertIn(f"database.host={OTHER_HOST}", m.calls("helm")[-1])
            self.assertIn("deployment/web-shop", restarted(m))

        commands = [f"{NODE_DOCKER} pull", "aws rds", "aws secretsmanager", "helm upgrade", "kubectl rollout restart", "kubectl rollout status"]
        in_parallel(check, [(command,) for command in commands])

    def test_a_termination_is_no_failure(self):
        m = ready(self, scale="1000")
        request(m)
        m.faults = {"helm": "hang"}
        m.start("deploy")
        m.wait_for_call("helm")
        m.terminate()
        m.process.communicate(timeout=10)
        self.assertTrue(rollouts(m)[-1].startswith(f"{FIRST} running"))
        time.sleep(0.3)
        self.assertEqual(m.survivors(), [])

    def test_a_later_request_replaces_the_running_one(self):
        m = ready(self, scale="1000")
        request(m)
        m.faults = {"helm": "hang"}
        m.start("deploy")
        m.wait_for_call("helm")
        request(m, SECOND, payments="f-3")
        m.serve_metadata()
        m.process.communicate(timeout=20)
        self.assertEqual(m.process.returncode, 0, m.log())
        self.assertTrue(rollouts(m)[-1].startswith(f"{FIRST} running"))
        self.assertEqual(m.survivors(), [])
        m.faults, m.scale = {}, "10"
        self.assertEqual(m.run("deploy"), 0, m.log())
        self.assertEqual(rollouts(m)[-1], f"{SECOND} done")
        self.assertIn("services.payments.tag=f-3", m.calls("helm")[-1])

    def test_the_bootstrap_and_deployments_exclude_each_other(self):
        m = ready(self, scale="1000")
        request(m)
        m.faults = {"helm": "hang"}
        first = m.start("deploy").process
        m.wait_for_call("helm")
        self.assertEqual((m.run("deploy"), m.run()), (0, 0))
        self.assertEqual(len(m.calls("helm")), 1)
        m.process = first
        m.kill()

    def test_an_answer_that_is_refused_is_repeated(self):
        m = ready(self)
        request(m)
        m.faults = {"aws ec2 create-tags": "fail"}
        m.start("deploy")
        m.wait_for_call("kubectl", "rollout", "status", "statefulset.apps/queue")
        time.sleep(1)
        (m.stubs / "faults").write_text("")
        m.process.communicate(timeout=20)
        self.assertEqual(rollouts(m)[-1], f"{FIRST} done")

    def test_without_metadata_nothing_is_called(self):
        m = ready(self, scale="1")
        request(m)
        m.endpoint = "http://127.0.0.1:9"
        self.assertEqual((m.run("deploy"), m.calls()), (0, []))

    def test_hostile_tags_are_refused_and_never_executed(self):
        def check(key, value):
            m = ready(self)
            request(m)
            m.tags[key] = value
            self.assertEqual(m.run("deploy"), 1, m.log())
            self.assert_answer(m, f"^{FIRST} failed deployment: (the tag {key} is missing or invalid|a tag hatchery:service.* has an invalid name)$")
            self.assertEqual(list(m.root.rglob("owned")), [])
            for tool in ("docker", "kubectl", "helm"):
                self.assertEqual(m.calls(tool), [], value)
            forget(m)
            self.assertEqual((m.run("deploy"), m.calls()), (0, []))

        values = ("$(touch owned)", "a;touch owned", 'a"b', "good\n$(touch owned)", "../../etc", "--kubeconfig=x", "", "ä", "x" * 256)
        cases = [("hatchery:service.payments", value) for value in values]
        cases += [("hatchery:database", value) for value in ("$(touch owned)", "../x", "", "x\ny")]
        in_parallel(check, [*cases, ("hatchery:service.a[$(touch owned)]", "v1"), ("hatchery:service.-x", "v1")])

    def test_damaged_settings_fail_the_deployment(self):
        m = ready(self)
        request(m)
        m.settings["HATCHERY_CHART"] = "$(touch owned)"
        self.assertEqual(m.run("deploy"), 1, m.log())
        self.assert_answer(m, f"^{FIRST} failed deployment: missing or invalid in fleet.env: HATCHERY_CHART")

    def test_the_log_is_shipped(self):
        m = machine(self)
        m.settings["HATCHERY_LOG_GROUP"] = "/hatchery/dev/environments"
        self.assertEqual(m.run(), 0, m.log())
        request(m)
        self.assertEqual(m.run("deploy"), 0, m.log())
        events = [event["message"] for event in json.loads((m.state / "run/events").read_text())]
        self.assertIn("deployment: done", events)
        self.assertNotIn("ready: all services are healthy", events)

    def test_the_timer_is_installed(self):
        m = ready(self)
        timer = (m.units / "hatchery-deploy.timer").read_text().splitlines()
        for line in ("OnBootSec=15s", "OnUnitInactiveSec=15s", "AccuracySec=1s", "Unit=hatchery@deploy.service", "WantedBy=timers.target"):
            self.assertIn(line, timer)

    def test_markers_of_another_instance_are_discarded(self):
        m = ready(self)
        request(m)
        self.assertEqual(m.run("deploy"), 0, m.log())
        (m.state / "instance").write_text("i-0000000000000000f")
        del m.tags["hatchery:deployment"]
        m.boot = 2
        forget(m)
        self.assertEqual(m.run(), 0, m.log())
        self.assertEqual(rollouts(m), [f"{rfc3339(m.launched)} done"])
