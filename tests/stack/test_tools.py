"""The tools for developers: their manifests, and how the bootstrap applies them."""

import json
import re
import shutil
import unittest

from machine import TOOLS_FILE, Test, in_parallel, machine

try:
    import yaml
except ImportError:
    yaml = None

CLUSTER_SCOPED = {"Namespace", "ClusterRole", "ClusterRoleBinding"}
APPLY = ("kubectl", "apply", "-f", "-")


def with_tools(case):
    m = machine(case)
    m.settings["HATCHERY_LOG_GROUP"] = "/hatchery/dev/environments"
    shutil.copy(TOOLS_FILE, m.root / "tools.yaml")
    return m


def applied_tools(m):
    """What was applied beside the database's secret."""
    return [text for text in m.stdin_of(*APPLY) if "hatchery-database" not in text]


class Applied(Test):
    def test_the_tools_are_applied_before_the_services(self):
        m = with_tools(self)
        self.assertEqual(m.run(), 0, m.log())
        [applied] = applied_tools(m)
        manifests, _, settings = applied.rpartition("---\n")
        self.assertEqual(manifests, TOOLS_FILE.read_text())
        settings = json.loads(settings)
        self.assertEqual(settings["kind"], "ConfigMap")
        self.assertEqual(settings["metadata"], {"name": "fluent-bit-environment", "namespace": "hatchery"})
        self.assertEqual(
            settings["data"],
            {"AWS_REGION": "eu-central-1", "LOG_GROUP": "/hatchery/dev/environments", "LOG_STREAM_PREFIX": "lt-0abc"},
        )
        commands = [" ".join(call) for call in m.calls()]
        self.assertLess(commands.index(" ".join(APPLY)), next(i for i, command in enumerate(commands) if command.startswith("helm")))
        self.assertIn(["minikube", "addons", "enable", "metrics-server"], m.calls("minikube"))

    def test_the_tools_do_not_delay_the_environment(self):
        m = with_tools(self)
        self.assertEqual(m.run(), 0, m.log())
        waited = [" ".join(call) for call in m.calls("kubectl") if "rollout" in call or "wait" in call]
        self.assertEqual([command for command in waited if "hatchery" in command], [])
        self.assertEqual(len(waited), 3)

    def test_without_a_log_group_no_settings_are_applied(self):
        m = with_tools(self)
        del m.settings["HATCHERY_LOG_GROUP"]
        self.assertEqual(m.run(), 0, m.log())
        self.assertEqual(applied_tools(m), [TOOLS_FILE.read_text()])

    def test_missing_tools_are_skipped(self):
        m = machine(self)
        self.assertEqual(m.run(), 0, m.log())
        self.assertEqual(applied_tools(m), [])
        self.assertEqual(m.calls("minikube", "addons"), [])

    def test_a_reboot_applies_nothing(self):
        m = with_tools(self)
        self.assertEqual(m.run(), 0, m.log())
        m.boot = 2
        self.assertEqual(m.run(), 0, m.log())
        self.assertEqual(len(applied_tools(m)), 1)

    def test_a_failure_fails_the_services(self):
        def check(command, reason):
            m = with_tools(self)
            m.faults = {command: "fail"}
            self.assertEqual(m.run(), 1, m.log())
            self.assert_failed(m, f"^services: {reason}; boom from")

        in_parallel(
            check,
            [("minikube addons", "cannot enable the metrics server"), (" ".join(APPLY), "cannot apply the tools")],
        )


class Text(unittest.TestCase):
    def test_image_builder_finds_no_parameter(self):
        self.assertNotIn("{{", TOOLS_FILE.read_text())


@unittest.skipUnless(yaml, "PyYAML is not installed")
class Manifests(unittest.TestCase):
    def setUp(self):
        self.objects = list(yaml.safe_load_all(TOOLS_FILE.read_text()))

    def of_kind(self, *kinds):
        return [item for item in self.objects if item["kind"] in kinds]

    def find(self, kind, name):
        [item] = [item for item in self.of_kind(kind) if item["metadata"]["name"] == name]
        return item

    def workloads(self):
        return self.of_kind("Deployment", "DaemonSet")

    def containers(self):
        return [container for workload in self.workloads() for container in workload["spec"]["template"]["spec"]["containers"]]

    def test_each_namespaced_object_has_a_namespace(self):
        for item in self.objects:
            namespace = item["metadata"].get("namespace")
            self.assertEqual(namespace is None, item["kind"] in CLUSTER_SCOPED, item["metadata"])
            self.assertIn(namespace, (None, "hatchery", "default"))

    def test_the_namespace_is_created_first(self):
        self.assertEqual((self.objects[0]["kind"], self.objects[0]["metadata"]["name"]), ("Namespace", "hatchery"))

    def test_rules_are_read_only(self):
        for role in self.of_kind("Role", "ClusterRole"):
            for rule in role["rules"]:
                named = role["kind"] == "Role" and rule.get("resourceNames")
                allowed = {"get", "update"} if named else {"get", "list", "watch"}
                self.assertLessEqual(set(rule["verbs"]), allowed, role["metadata"])
                self.assertNotIn("*", rule["resources"] + rule["apiGroups"])

    def test_only_the_dashboard_updates_its_own_secrets(self):
        [role] = [role for role in self.of_kind("Role") if any("update" in rule["verbs"] for rule in role["rules"])]
        [rule] = role["rules"]
        secrets = [item["metadata"]["name"] for item in self.of_kind("Secret")]
        self.assertEqual((rule["resources"], rule["resourceNames"], role["metadata"]["namespace"]), (["secrets"], secrets, "hatchery"))

    def test_each_account_has_its_rights_only(self):
        rights = {}
        for binding in self.of_kind("RoleBinding", "ClusterRoleBinding"):
            for subject in binding["subjects"]:
                self.find("ServiceAccount", subject["name"])
                scope = binding["metadata"].get("namespace", "cluster")
                rights.setdefault(f"{subject['namespace']}/{subject['name']}", set()).add((scope, binding["roleRef"]["name"]))
        self.assertEqual(
            rights,
            {
                "default/developer": {("default", "edit")},
                "hatchery/dashboard": {("cluster", "view"), ("hatchery", "dashboard-keys")},
                "hatchery/dozzle": {("cluster", "hatchery-dozzle")},
            },
        )

    def test_the_log_viewer_reads_pods_and_their_logs(self):
        rules = self.find("ClusterRole", "hatchery-dozzle")["rules"]
        readable = {(group, resource) for rule in rules for group in rule["apiGroups"] for resource in rule["resources"]}
        self.assertEqual(readable, {("", "pods"), ("", "pods/log"), ("", "nodes"), ("metrics.k8s.io", "pods")})

    def test_each_image_has_a_registry_and_a_tag(self):
        self.assertEqual(len(self.containers()), 4)
        for container in self.containers():
            self.assertRegex(container["image"], r"^(docker\.io|public\.ecr\.aws)/[a-z0-9./-]+:v?[0-9][A-Za-z0-9.-]*$")

    def test_each_container_has_requests_and_limits(self):
        for container in self.containers():
            for bound in ("requests", "limits"):
                self.assertEqual(set(container["resources"][bound]), {"cpu", "memory"}, container["name"])
            self.assertNotIn("privileged", container.get("securityContext", {}))

    def test_the_ingress_leads_to_the_services(self):
        found = {}
        [ingress] = self.of_kind("Ingress")
        # rewrite-target and use-regex would change how the paths of the services are matched.
        self.assertNotIn("annotations", ingress["metadata"])
        for path in ingress["spec"]["rules"][0]["http"]["paths"]:
            service = self.find("Service", path["backend"]["service"]["name"])
            [workload] = [w for w in self.workloads() if w["spec"]["template"]["metadata"]["labels"] == service["spec"]["selector"]]
            ports = [port["containerPort"] for c in workload["spec"]["template"]["spec"]["containers"] for port in c.get("ports", [])]
            self.assertIn(service["spec"]["ports"][0]["targetPort"], ports)
            self.assertEqual(path["backend"]["service"]["port"]["number"], service["spec"]["ports"][0]["port"])
            found[path["path"]] = workload["metadata"]["name"]
        self.assertEqual(found, {"/dashboard/": "dashboard", "/logs/": "dozzle"})

    def test_selectors_match_their_pods(self):
        for workload in self.workloads():
            spec = workload["spec"]
            self.assertEqual(spec["selector"]["matchLabels"], spec["template"]["metadata"]["labels"])

    def test_mounts_and_references_exist(self):
        for workload in self.workloads():
            pod = workload["spec"]["template"]["spec"]
            volumes = {volume["name"]: volume for volume in pod["volumes"]} if "volumes" in pod else {}
            mounts = {mount["name"] for container in pod["containers"] for mount in container.get("volumeMounts", [])}
            self.assertEqual(mounts, set(volumes))
            for volume in volumes.values():
                if "configMap" in volume:
                    self.find("ConfigMap", volume["configMap"]["name"])
            if "serviceAccountName" in pod:
                self.find("ServiceAccount", pod["serviceAccountName"])
            else:
                self.assertFalse(pod["automountServiceAccountToken"])

    def test_fluent_bit_ships_the_services_by_container(self):
        configuration = self.find("ConfigMap", "fluent-bit")["data"]["fluent-bit.conf"]
        lines = dict(line.split(maxsplit=1) for line in configuration.splitlines() if not line.startswith("["))
        self.assertEqual(lines["Path"], "/var/log/containers/*_default_*.log")
        self.assertEqual(lines["Tag"], "<container_name>")
        self.assertEqual(lines["log_stream_prefix"], "${LOG_STREAM_PREFIX}/")
        pattern = lines["Tag_Regex"].replace("(?<", "(?P<")
        name = "payments-5d9f-x2x7_default_web-app-" + "0a" * 32 + ".log"
        self.assertEqual(re.search(pattern, name)["container_name"], "web-app")
        [environment] = self.find("DaemonSet", "fluent-bit")["spec"]["template"]["spec"]["containers"][0]["envFrom"]
        self.assertEqual(environment, {"configMapRef": {"name": "fluent-bit-environment"}})
