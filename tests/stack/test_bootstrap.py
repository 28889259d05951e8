"""The successful bootstraps."""

import json
import shutil
import time

from machine import NODE_DOCKER, PASSWORD, PHASES, SCRIPT, Test, database, in_parallel, machine


class Success(Test):
    def test_the_phases_are_published_in_order(self):
        m = machine(self)
        m.databases = [database("creating", host=None), database("backing-up"), database("available", host=None), database("available")]
        self.assertEqual(m.run(), 0, m.log())
        self.assertEqual(m.phases(), PHASES)
        self.assert_ready(m)
        details = [tags.get("hatchery:detail") for tags in m.published()]
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
        self.assertEqual(m.stdin_of(*NODE_DOCKER.split(), "login"), ["registry-password\n"])
        self.assertEqual(m.stdin_of("docker", "login"), ["registry-password\n"])
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
        m.wait_for_call(*NODE_DOCKER.split(), "pull")
        m.wait_for_call("minikube", "start")
        self.assertEqual(m.calls("helm"), [])
        (m.stubs / "database").write_text(database("available") + "\n")
        m.process.communicate(timeout=20)
        self.assertEqual(m.process.returncode, 0, m.log())
        self.assertEqual(m.phases(), PHASES)

    def test_images_are_pulled_inside_the_node(self):
        m = machine(self)
        self.assertEqual(m.run(), 0, m.log())
        images = {call[-1] for call in m.calls(*NODE_DOCKER.split(), "pull", "--quiet")}
        registry = m.settings["HATCHERY_REGISTRY"]
        self.assertEqual(images, {f"{registry}/payments:f-123", f"{registry}/web-shop:v1.2.3_rc"})
        self.assertEqual(m.calls("docker", "pull"), [])
        self.assertEqual(m.calls("minikube", "image"), [])

    def test_pulls_wait_for_the_docker_of_the_node(self):
        m = machine(self)
        m.faults = {f"{NODE_DOCKER} version": "fail", "minikube start": "hang"}
        m.start()
        m.wait_for_call(*NODE_DOCKER.split(), "version")
        time.sleep(0.5)
        self.assertEqual([call for call in m.calls("docker") if "version" not in call], [])
        (m.stubs / "faults").write_text("minikube start\thang\n")
        m.wait_for_call(*NODE_DOCKER.split(), "pull")

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
        self.assertIn(f"ExecStart=/bin/bash {m.state}/bootstrap.sh %i", (m.units / "hatchery@.service").read_text())
        self.assertIn("Unit=hatchery@dead-man.service", (m.units / "hatchery-dead-man.timer").read_text())
        self.assertIn(["systemctl", "enable", "--now", "hatchery-dead-man.timer", "hatchery-deploy.timer"], m.calls("systemctl"))

    def test_the_script_of_user_data_is_not_replaced(self):
        m = machine(self)
        installed = m.script
        m.script = m.root / "copy.sh"
        shutil.copy(SCRIPT, m.script)
        installed.write_text("# of user data\n")
        self.assertEqual(m.run(), 0, m.log())
        self.assertEqual(installed.read_text(), "# of user data\n")

    def test_the_script_is_recognised_by_cloud_init(self):
        self.assertTrue(SCRIPT.read_text().startswith("#!/bin/bash\n"))
