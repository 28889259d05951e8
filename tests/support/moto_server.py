"""moto, one request at a time, with templates from its own buckets and with the rules of moto_rules.py, whose options it takes.

Requests to AWS are atomic: of two that create the same launch template, one succeeds. moto checks a name and writes it in two
steps and serves requests in threads, so both could succeed.
"""

import json
import threading

import moto_rules
from moto.cloudformation import responses
from moto.cloudformation.models import ChangeSet
from moto.core.responses import ActionResult
from moto.ec2.models.instances import Instance
from moto.logs.exceptions import InvalidParameterException, ResourceNotFoundException
from moto.logs.responses import LogsResponse
from moto.moto_api._internal import mock_random
from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from moto.rds.models import DBParameterGroup
from moto.rds.responses import RDSResponse
from moto.servicequotas.models import ServiceQuotasBackend
from werkzeug.serving import make_server
from werkzeug.test import Client

read_template = responses.get_stack_from_s3_url
# moto looks for the bucket in the path if this is the host.
responses.get_stack_from_s3_url = lambda url, **where: read_template(url.replace("//127.0.0.1:", "//localhost:"), **where)


def apply(change_set, apply=ChangeSet.apply):
    """Computes the stack's outputs too, which moto takes from the empty template that the stack had before."""
    apply(change_set)
    change_set.stack.template_dict = change_set.template_dict
    change_set.stack.output_map = change_set.stack._create_output_map()


ChangeSet.apply = apply
# The value of Ref, which moto lacks for this type.
# https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-rds-dbparametergroup.html
DBParameterGroup.physical_resource_id = property(lambda group: group.name)
# The vCPUs of the tests' instances, which EC2 always returns and moto does not.
Instance.cpu_options = {"CoreCount": 4, "ThreadsPerCore": 2}


def describe_orderable_db_instance_options(responses):
    """Offers the classes of db.t4g and db.m6g, the latter in one zone only; moto knows the options of clusters only.

    https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_DescribeOrderableDBInstanceOptions.html
    """
    wanted = responses.params["DBInstanceClass"]
    sold = {"db.t4g": "abc", "db.m6g": "a"}.get(wanted.rpartition(".")[0])
    option = {
        "Engine": responses.params["Engine"],
        "EngineVersion": responses.params["EngineVersion"],
        "DBInstanceClass": wanted,
        "AvailabilityZones": [{"Name": responses.region + zone} for zone in sold or ""],
    }
    return ActionResult({"OrderableDBInstanceOptions": [option] if sold else []})


RDSResponse.describe_orderable_db_instance_options = describe_orderable_db_instance_options

QUOTAS = {
    "L-1216C47A": ("Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances", 64.0),
    "L-7B6409FD": ("DB instances", 3.0),
}


def get_service_quota(backend, service_code, quota_code):
    """Returns the quotas of a small account; moto has those of VPC only."""
    name, value = QUOTAS[quota_code]
    return {"ServiceCode": service_code, "QuotaCode": quota_code, "QuotaName": name, "Value": value}


ServiceQuotasBackend.get_service_quota = get_service_quota


def filter_log_events(logs):
    """Returns events of all streams in one order, newest first if asked to, up to 1 MB a page, and selects by the prefix of the stream's name.

    https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_FilterLogEvents.html
    """
    asked = logs._get_param
    group = logs.logs_backend.groups.get(asked("logGroupName"))
    if group is None:
        raise ResourceNotFoundException()
    names, prefix = asked("logStreamNames"), asked("logStreamNamePrefix") or ""
    if names and any(name not in group.streams for name in names):
        raise ResourceNotFoundException("The specified log stream does not exist.")
    start, end = asked("startTime"), asked("endTime")
    newest_first = asked("startFromHead") is False
    if newest_first and (start or 0) < 1704067200000:
        raise InvalidParameterException("startTime must be on or after Jan 1, 2024 00:00:00 UTC.")
    chosen = [stream for name, stream in group.streams.items() if name.startswith(prefix) and (not names or name in names)]
    events = [event for stream in chosen for event in stream.filter_log_events(start, end, asked("filterPattern"))]
    events.sort(key=lambda event: event["timestamp"])
    token = asked("nextToken")
    newest_first, begin = token.split("@") if token else (str(newest_first), 0)
    if newest_first == "True":
        events.reverse()
    page, size = events[int(begin) : int(begin) + (asked("limit") or 10000)], 0
    for index, event in enumerate(page):
        size += len(event["message"])
        if size > 1_000_000:
            page = page[:index]
            break
    until = int(begin) + len(page)
    more = f"{newest_first}@{until}" if until < len(events) else None
    return json.dumps({"events": page, "nextToken": more, "searchedLogStreams": []})


LogsResponse.filter_log_events = filter_log_events
moto = DomainDispatcherApplication(create_backend_app)
one_at_a_time = threading.Lock()


def answer(environ, start_response):
    with one_at_a_time:
        moto_rules.finish_deletions()
        return moto(environ, start_response)


def serve(listener, options):
    moto_rules.OPTIONS.update(options)
    # Otherwise all forks create the same ids.
    mock_random.seed(None)
    host, port = listener.getsockname()
    make_server(host, port, answer, threaded=True, request_handler=MotoRequestHandler, fd=listener.fileno()).serve_forever()


# The first request of a service takes seconds.
for service, action, version in [("ec2", "DescribeInstances", "2016-11-15"), ("rds", "DescribeDBInstances", "2014-10-31")]:
    scope = f"AWS4-HMAC-SHA256 Credential=testing/20260101/eu-west-1/{service}/aws4_request"
    Client(answer).post("/", headers={"Authorization": scope}, data={"Action": action, "Version": version})
