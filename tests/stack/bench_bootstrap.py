"""How long the bootstrap takes from the launch, and what its overlapping jobs save.

    python3 tests/stack/bench_bootstrap.py [--scale THOUSANDTHS] [--database SECONDS] [--services N] [--pull SECONDS]

Runs the real script with stub commands that take the modelled time, shortened by the scale. The sequential time is what the same
commands take one after the other.
"""

import argparse
import sys
import time

# No __pycache__ in the source tree.
sys.dont_write_bytecode = True

from machine import DIGESTS, NODE_DOCKER, PHASES, Machine, database, pod

# From the launch to the first line of user data. Published: 18 s until the instance runs, 26 s until SSH answers.
BOOT = 26
# Seconds that a command takes. The first prefix that fits counts.
LATENCIES = {
    # Published for a cluster that has been started before.
    "minikube start": 25,
    "kubectl --namespace ingress-nginx": 21,
    # Assumptions.
    f"{NODE_DOCKER} version": 8,
    f"{NODE_DOCKER} login": 0.5,
    f"{NODE_DOCKER} pull": 30,
    "systemctl start": 3,
    "minikube addons": 2,
    "docker login": 0.5,
    "helm": 5,
    # Kubernetes rolls the workloads out at the same time, so the first is waited for.
    "kubectl rollout status deployment.apps/payments": 20,
    "kubectl rollout": 1,
    "kubectl apply": 1,
    "kubectl": 0.3,
    "aws s3": 2,
    "aws": 1,
}
# Waits for a command that runs at the same time. One after the other, there is nothing to wait for.
WAITS = f"{NODE_DOCKER} version"
DESCRIBE = "aws rds describe-db-instances"


def build(options):
    machine = Machine(scale=str(options.scale))
    machine.launched = time.time()
    machine.faults = {prefix: str(seconds * options.scale / 1000) for prefix, seconds in LATENCIES.items()}
    machine.faults[f"{NODE_DOCKER} pull"] = str(options.pull * options.scale / 1000)
    machine.tags = {key: value for key, value in machine.tags.items() if "service." not in key}
    registry = machine.settings["HATCHERY_REGISTRY"]
    machine.pods = []
    for number in range(options.services):
        machine.tags[f"hatchery:service.service-{number}"] = "v1"
        image = f"{registry}/service-{number}"
        machine.pods.append(pod("app", f"{image}:v1", f"docker-pullable://{image}@{DIGESTS['payments']}"))
    # The bootstrap asks every 15 s.
    machine.databases = [database("creating", host=None)] * -(-options.database // 15) + [database("available")]
    (machine.stubs / "ends").mkdir()
    return machine


def recorded(machine, scale):
    """The commands in order: begin and end in modelled seconds, and the command."""
    calls = []
    for file in (machine.stubs / "calls").iterdir():
        at, _, rest = file.read_bytes().partition(b"\n")
        # A command that the bootstrap stopped has no end.
        if not (machine.stubs / "ends" / file.name).exists():
            continue
        end = int((machine.stubs / "ends" / file.name).read_text())
        calls.append((int(at), end, " ".join(rest.decode().split("\0")[:-1])))
    calls.sort()
    first = calls[0][0]
    return [((begin - first) / 1000 / scale, (end - first) / 1000 / scale, command) for begin, end, command in calls]


def critical_path(calls):
    """From the last end backwards: of the commands that had ended when a command began, the last."""
    path = [max(calls, key=lambda call: call[1])]
    while before := [call for call in calls if call[1] <= path[0][0]]:
        path.insert(0, max(before, key=lambda call: call[1]))
    return path


def short(command):
    """Enough of a command to recognise it; of a publication its phase."""
    if "hatchery:phase" in command:
        return "aws ec2 create-tags " + command.split('"hatchery:phase","Value":"')[1].split('"')[0]
    return command if len(command) <= 70 else command[:67] + "..."


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scale", type=int, default=100, help="real milliseconds of a modelled second (default: 100)")
    parser.add_argument("--database", type=int, default=0, help="seconds until the database is available (default: 0, from the pool)")
    parser.add_argument("--services", type=int, default=2, help="services under test (default: 2)")
    parser.add_argument("--pull", type=float, default=30, help="seconds that the pull of an image takes (default: 30)")
    options = parser.parse_args()
    machine = build(options)
    try:
        status = machine.run(timeout=None)
        log, calls, tags = machine.log(), recorded(machine, options.scale), machine.published()[-1]
    finally:
        machine.close()
    if status != 0 or tags["hatchery:phase"] != "ready":
        sys.exit(f"the bootstrap failed:\n{log}")
    print(f"in modelled seconds; boot until user data: {BOOT} s\n\nphase      from the launch")
    assert [entry.split("=")[0] for entry in tags["hatchery:timeline"].split()] == PHASES
    for phase in PHASES:
        begin = next(begin for begin, _, command in calls if f'"hatchery:phase","Value":"{phase}"' in command)
        print(f"{phase:10} {BOOT + begin:6.1f}")
    print("\ncritical path\n begin  takes  command")
    for begin, end, command in critical_path(calls):
        print(f"{BOOT + begin:6.1f} {end - begin:6.1f}  {short(command)}")
    overlapped = BOOT + max(end for _, end, _ in calls)
    asked = [call for call in calls if call[2].startswith(DESCRIBE)]
    others = [call for call in calls if not call[2].startswith((WAITS, DESCRIBE))]
    # The pauses between the questions count too.
    sequential = BOOT + asked[-1][1] - asked[0][0] + sum(end - begin for begin, end, _ in others)
    print(f"\nsequential {sequential:6.1f} s\noverlapped {overlapped:6.1f} s")


if __name__ == "__main__":
    main()
