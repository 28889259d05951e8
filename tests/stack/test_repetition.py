"""Runs after a loss of power, a termination, a reboot or a failure."""

import time

from machine import NODE_DOCKER, Test, database, in_parallel, machine


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

        commands = ["aws ec2 create-tags", "systemctl daemon-reload", "aws rds", f"{NODE_DOCKER} pull", "minikube start"]
        commands += ["helm upgrade", "kubectl rollout"]
        in_parallel(check, [(command,) for command in commands])

    def test_a_termination_is_no_failure_and_leaves_no_process(self):
        m = machine(self, scale="1000")
        m.faults = {"minikube start": "hang", f"{NODE_DOCKER} pull": "hang"}
        m.start()
        m.wait_for_call("minikube", "start")
        m.wait_for_call(*NODE_DOCKER.split(), "pull")
        m.terminate()
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

    def test_images_of_a_deleted_cluster_are_pulled_again(self):
        m = machine(self)
        m.faults = {"minikube start": "fail"}
        self.assertEqual(m.run(), 1)
        m.faults = {"minikube start": "once"}
        self.assertEqual(m.run(), 0, m.log())
        calls = [" ".join(call) for call in m.calls()]
        deleted = calls.index("minikube delete")
        rollout = next(index for index, call in enumerate(calls) if index > deleted and "rollout" in call)
        self.assertEqual(len([call for call in calls[rollout:] if call.startswith(f"{NODE_DOCKER} pull")]), 2, calls)

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
        self.assertEqual(len(m.calls(*NODE_DOCKER.split(), "pull")), 2)

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
