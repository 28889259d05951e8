"""The console of the environment's database."""

import base64
import json

from machine import PASSWORD, Test, in_parallel, machine

HOST = "hatchery-dev-12.abc.eu-central-1.rds.amazonaws.com"
TOKEN = f"{HOST}:5432/?Action=connect&X-Amz-Signature=t0ken"
# What the bootstrap writes in each mode; see test_database.py.
SECRETS = {
    "secret": {"username": "app", "password": PASSWORD, "host": HOST, "port": "5432"},
    "password": {"username": "app", "password": "gener4ted", "host": HOST, "port": "5432"},
    "iam": {"username": "app", "auth": "iam", "region": "eu-central-1", "host": HOST, "port": "5432"},
}


def with_console(case, secret, engine="postgres", missing=(), **instance):
    m = machine(case)
    found = {"Engine": engine, "MasterUsername": "master", **instance}
    m.databases = [json.dumps({"DBInstances": [found]})]
    data = {key: base64.b64encode(value.encode()).decode() for key, value in secret.items()}
    (m.stubs / "database-secret").write_text(json.dumps({"data": data}))
    (m.stubs / "token").write_text(TOKEN + "\n")
    for program in missing:
        (m.bin / program).unlink()
    return m


class DatabaseConsole(Test):
    def check_client(self, m, arguments, password):
        """The client runs with these arguments and this password, which other processes do not see."""
        self.assertEqual(m.run("database-console"), 0, m.output)
        program = arguments[0]
        self.assertEqual(m.calls(program), [arguments])
        [environment] = m.stdin_of(program)
        self.assertEqual(environment.splitlines(), [password, password, "require"])
        processes = (m.stubs / "processes").read_text()
        self.assertIn(program, processes)
        for seen in (m.output, processes, *(" ".join(call) for call in m.calls())):
            self.assertNotIn(password, seen)
        for file in m.state.rglob("*"):
            if file.is_file():
                self.assertNotIn(password, file.read_text(), file)
        self.assertEqual(m.published(), [])

    def test_all_modes_of_authentication_have_a_console(self):
        def check(mode, password):
            arguments = ["psql", "--no-password", f"--host={HOST}", "--port=5432", "--username=app", "--dbname=postgres"]
            self.check_client(with_console(self, SECRETS[mode]), arguments, password)

        in_parallel(check, [("secret", PASSWORD), ("password", "gener4ted"), ("iam", TOKEN)])

    def test_a_token_is_made_for_the_user(self):
        m = with_console(self, SECRETS["iam"])
        self.assertEqual(m.run("database-console"), 0, m.output)
        [call] = m.calls("aws", "rds", "generate-db-auth-token")
        self.assertEqual(call[3:], ["--hostname", HOST, "--port", "5432", "--username", "app"])

    def test_the_engine_decides_the_client(self):
        def check(engine, missing, expected):
            m = with_console(self, SECRETS["secret"], engine, missing, DBName="shop")
            self.check_client(m, [*expected, f"--host={HOST}", "--port=5432", "--user=app", "--database=shop"], PASSWORD)

        mariadb = ["mariadb", "--ssl", "--skip-ssl-verify-server-cert"]
        mysql = ["mysql", "--enable-cleartext-plugin"]
        in_parallel(check, [("mysql", (), mariadb), ("mariadb", (), mariadb), ("mysql", ("mariadb",), mysql)])

    def test_the_secret_names_user_and_database_first(self):
        def check(secret, user, name):
            m = with_console(self, {"password": PASSWORD, "host": HOST, "port": "5432", **secret}, DBName="shop")
            self.check_client(
                m, ["psql", "--no-password", f"--host={HOST}", "--port=5432", f"--username={user}", f"--dbname={name}"], PASSWORD
            )

        in_parallel(check, [({"username": "app", "dbname": "orders"}, "app", "orders"), ({}, "master", "shop")])

    def test_a_missing_client_is_named(self):
        def check(engine, missing, name):
            m = with_console(self, SECRETS["secret"], engine, missing)
            self.assertEqual(m.run("database-console"), 1, m.output)
            self.assertIn(f"{name} is not installed; build the base image and the service image anew", m.output)

        in_parallel(check, [("postgres", ("psql",), "psql"), ("mysql", ("mariadb", "mysql"), "mysql")])

    def test_a_failure_says_why(self):
        def check(change, words):
            m = with_console(self, SECRETS["iam"])
            change(m)
            self.assertEqual(m.run("database-console"), 1, m.output)
            self.assertIn(words, m.output)
            self.assertEqual(m.calls("psql"), [])

        def faulty(prefix):
            return lambda m: m.faults.update({prefix: "fail"})

        def hostile(m):
            data = {"host": "a;touch owned", "port": "5432"}
            text = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
            (m.stubs / "database-secret").write_text(json.dumps({"data": text}))

        def unknown(m):
            m.databases = [json.dumps({"DBInstances": [{"Engine": "oracle-se2", "MasterUsername": "app"}]})]

        in_parallel(
            check,
            [
                (faulty("kubectl get secret"), "cannot read the database's secret; is the environment ready?"),
                (faulty("aws rds describe-db-instances"), "cannot describe hatchery-dev-12"),
                (faulty("aws rds generate-db-auth-token"), "cannot create a token for app"),
                (hostile, "no valid host and port"),
                (unknown, "there is no console for the engine oracle-se2"),
            ],
        )
