"""moto, one request at a time, with templates from its own buckets.

Requests to AWS are atomic: of two that create the same launch template, one succeeds. moto checks a name and writes it in two
steps and serves requests in threads, so both could succeed.
"""

import sys
import threading

from moto.cloudformation import responses
from moto.cloudformation.models import ChangeSet
from moto.core.responses import ActionResult
from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from moto.ec2.models.instances import Instance
from moto.rds.models import DBParameterGroup
from moto.rds.responses import RDSResponse
from moto.servicequotas.models import ServiceQuotasBackend
from werkzeug.serving import run_simple

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
moto = DomainDispatcherApplication(create_backend_app)
one_at_a_time = threading.Lock()


def serve(environ, start_response):
    with one_at_a_time:
        return moto(environ, start_response)


run_simple("127.0.0.1", int(sys.argv[1]), serve, threaded=True, request_handler=MotoRequestHandler)
