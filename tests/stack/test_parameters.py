"""Patterns of the template's parameters."""

import re
import unittest

from machine import STACK

TEMPLATE = (STACK / "template.yaml").read_text()


class CompanyTags(unittest.TestCase):
    def test_pattern_accepts_what_hatchery_accepts(self):
        [pattern] = re.findall(r"\n  CompanyTags:\n(?:    .*\n)*?    AllowedPattern: >-\n      (.*)\n", TEMPLATE)
        numbered = [f"k{n}=v" for n in range(9)]
        for text in ("", "team=payments", "team=payments, cost-center=42", "query=a=b==", "team=", "x-aws:y=/ @", ",".join(numbered[:8])):
            self.assertTrue(re.search(pattern, text), text)
        for text in (
            ("team", "team=a,", ",", "=a", "Cost Center=a", "example.org/team=a", "team=ü", "aws:a=b", "AwS:a=b", "rds:a=b", "a=aws:b", "a=RDS:b")
            + ("hatchery:fleet=qa", "a=b,hatchery:fleet=qa", "k" * 128 + "=v", ",".join(numbered))
        ):
            self.assertFalse(re.search(pattern, text), text)
