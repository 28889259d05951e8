"""Runs the tests of the stack: its script under bash, with stubs for the commands and for the instance metadata service.

    python3 tests/stack                     all tests
    python3 tests/stack -k hostile          the tests whose names contain the word
    python3 tests/stack -k test_failures    the tests of one file
"""

import pathlib
import sys
import unittest
from concurrent.futures import ThreadPoolExecutor

# No __pycache__ in the source tree.
sys.dont_write_bytecode = True

# They take the longest, so they start first.
FIRST = ("test_aws_cli", "test_failures", "test_repetition")


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
                result.skipped += own.skipped
                for test, reason in own.skipped:
                    print(f"skipped: {test.id()}: {reason}", file=sys.stderr)
        return result


def flatten(suite):
    for item in suite:
        if isinstance(item, unittest.TestSuite):
            yield from flatten(item)
        else:
            yield item


def load_tests(loader, _tests, _pattern):
    tests = flatten(loader.discover(str(pathlib.Path(__file__).parent), "test_*.py"))
    return Parallel(sorted(tests, key=lambda test: not test.id().startswith(FIRST)))


if __name__ == "__main__":
    if sys.platform != "linux":
        sys.exit("the bootstrap and its tests need Linux")
    unittest.main()
