"""How the services authenticate to the database."""

import json
import re

from machine import PASSWORD, Test, database, in_parallel, machine

MODIFY = ("aws", "rds", "modify-db-instance")
HOST = {"host": "hatchery-dev-12.abc.eu-central-1.rds.amazonaws.com", "port": "5432"}


def with_password(case):
    m = machine(case)
    m.settings["HATCHERY_DATABASE_AUTH"] = "password"
    pending = {"MasterUserPassword": "****"}
    m.databases = [
        database("available"),
        database("available", **pending),
        database("resetting-master-credentials", **pending),
        database("available"),
    ]
    return m


def kubernetes_secrets(m):
    return [json.loads(text)["stringData"] for text in m.stdin_of("kubectl", "apply", "-f", "-")]


class Password(Test):
    def test_a_random_password_is_set_and_awaited(self):
        m = with_password(self)
        self.assertEqual(m.run(), 0, m.log())
        self.assertEqual([call[2] for call in m.calls("aws", "rds")], ["describe-db-instances", "modify-db-instance"] + ["describe-db-instances"] * 3)
        [modify], [request] = m.calls(*MODIFY), map(json.loads, m.stdin_of(*MODIFY))
        self.assertIn("--apply-immediately", modify)
        password = request.pop("MasterUserPassword")
        self.assertEqual(request, {"DBInstanceIdentifier": "hatchery-dev-12"})
        # Oracle allows 30 characters.
        self.assertRegex(password, "^[A-Za-z0-9_-]{28}$")
        self.assertEqual(kubernetes_secrets(m), [{"username": "app", "password": password, **HOST}])
        for call in m.calls():
            self.assertNotIn(password, " ".join(call))
        for file in m.state.rglob("*"):
            if file.is_file():
                self.assertNotIn(password, file.read_text(), file)

    def test_each_environment_has_its_own_password(self):
        machines = [with_password(self), with_password(self)]
        in_parallel(lambda m: m.run(), [(m,) for m in machines])
        self.assertEqual(len({secret["password"] for m in machines for secret in kubernetes_secrets(m)}), 2)

    def test_the_password_is_set_once_per_environment(self):
        m = with_password(self)
        m.faults = {"helm": "fail"}
        self.assertEqual(m.run(), 1)
        m.faults = {}
        self.assertEqual(m.run(), 0, m.log())
        first, second = kubernetes_secrets(m)
        self.assertEqual(first, second)
        m.boot = 2
        self.assertEqual(m.run(), 0, m.log())
        self.assertEqual(len(m.calls(*MODIFY)), 1)

    def test_an_interrupted_change_is_repeated_with_the_same_password(self):
        m = with_password(self)
        m.faults = {"aws rds modify-db-instance": "hang"}
        m.scale = "1000"
        m.start()
        m.wait_for_call(*MODIFY)
        m.kill()
        m.faults, m.boot, m.scale = {}, 2, "10"
        self.assertEqual(m.run(), 0, m.log())
        first, second = m.stdin_of(*MODIFY)
        self.assertEqual(first, second)

    def test_a_refused_change_is_repeated_and_fails(self):
        m = with_password(self)
        m.faults = {"aws rds modify-db-instance": "once"}
        self.assertEqual(m.run(), 0, m.log())
        m = with_password(self)
        m.faults = {"aws rds modify-db-instance": "fail"}
        self.assertEqual(m.run(), 1, m.log())
        self.assert_failed(m, "^database: cannot set the password of hatchery-dev-12; boom from aws$")

    def test_a_password_that_stays_pending_is_given_up(self):
        m = with_password(self)
        m.scale = "1"
        del m.databases[2:]
        self.assertEqual(m.run(), 1, m.log())
        self.assert_failed(m, "^database: hatchery-dev-12 is resetting-master-credentials after 40 minutes")
        self.assertEqual(m.calls("helm"), [])

    def test_the_user_of_the_secret_must_be_the_master_user(self):
        def check(secret):
            m = with_password(self)
            m.secret = json.dumps({"SecretString": json.dumps(secret)})
            self.assertEqual(m.run(), 1, m.log())
            self.assert_failed(m, "^database: the secret's username is not the master user of hatchery-dev-12")
            self.assertEqual(m.calls(*MODIFY), [])

        in_parallel(check, [({"username": "other", "password": "x"},), ({"password": "x"},), ("text",)])


class Iam(Test):
    def test_the_secret_of_iam_has_no_password(self):
        m = machine(self)
        m.settings["HATCHERY_DATABASE_AUTH"] = "iam"
        self.assertEqual(m.run(), 0, m.log())
        self.assertEqual(kubernetes_secrets(m), [{"username": "app", "auth": "iam", "region": "eu-central-1", **HOST}])
        self.assertEqual(m.calls(*MODIFY), [])

    def test_iam_needs_a_username(self):
        m = machine(self)
        m.settings["HATCHERY_DATABASE_AUTH"] = "iam"
        m.secret = json.dumps({"SecretString": PASSWORD})
        self.assertEqual(m.run(), 1, m.log())
        self.assert_failed(m, re.escape("services: cannot create the database's secret (iam needs a username)"))
