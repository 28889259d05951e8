"""ministack, with corrections where it deviates from AWS."""

import asyncio
import os
import sys

port = sys.argv[1]
os.environ.update(
    GATEWAY_PORT=port,
    MINISTACK_ACCOUNT_ID="123456789012",
    # Listeners on fixed ports, of services that no test uses.
    IOT_MTLS_ENABLED="0",
    SFTP_ENABLED="0",
)

from hypercorn.asyncio import serve
from hypercorn.config import Config
from ministack.app import app
from ministack.services.cloudformation import changesets, engine, handlers, stacks


def split(node, parameters):
    """Resolves Fn::Split, which ministack evaluates in resources but not in conditions.

    AWS evaluates it there too; cfn-lint has it among the functions of Fn::Equals.
    """
    if isinstance(node, list):
        return [split(item, parameters) for item in node]
    if not isinstance(node, dict):
        return node
    if "Fn::Split" not in node:
        return {key: split(value, parameters) for key, value in node.items()}
    delimiter, text = node["Fn::Split"]
    if isinstance(text, dict):
        text = parameters[text["Ref"]]["Value"]
    return text.split(delimiter)


evaluate = engine._evaluate_conditions


def evaluate_conditions(template, parameters):
    conditions = split(template.get("Conditions", {}), parameters)
    return evaluate({**template, "Conditions": conditions}, parameters)


for module in changesets, engine, handlers, stacks:
    module._evaluate_conditions = evaluate_conditions

config = Config()
config.bind = [f"127.0.0.1:{port}"]
asyncio.run(serve(app, config))
