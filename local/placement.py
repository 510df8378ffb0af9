"""Placement constraints of services, which the emulator's CloudFormation drops.

Pages: `cfn/...` of CloudFormation's template reference, `dev/...` of ECS's developer guide, `API/...` of its API reference.
"""

import re

from ministack.services import ecs
from ministack.services.cloudformation import provisioners

# dev/cluster-query-language: subject, operator, argument. AWS knows more of them; what is placed here knows this one.
KNOWN = re.compile(r"attribute:[A-Za-z0-9_./\\-]{1,128}\s*==\s*[A-Za-z0-9_./\\:@-]{1,128}")


def constraints(properties):
    """API/API_CreateService, placementConstraints: at most ten; an expression that cannot be read is refused."""
    wanted = []
    for constraint in properties.get("PlacementConstraints") or []:
        kind, expression = constraint.get("Type"), constraint.get("Expression", "")
        if kind != "memberOf" or not KNOWN.fullmatch(expression.strip()):
            raise ValueError(
                "Invalid request provided: CreateService error: the local cloud cannot place by the constraint "
                f"{kind} {expression!r}: it knows memberOf with attribute:NAME == VALUE. "
                "(Service: AmazonECS; Status Code: 400; Error Code: InvalidParameterException)"
            )
        wanted.append({"type": kind, "expression": expression.strip()})
    return wanted


def with_its_constraints(provision, properties_at):
    """cfn/aws-resource-ecs-service: PlacementConstraints, changed without interruption."""

    def provision_service(*arguments):
        properties = arguments[properties_at]
        wanted = constraints(properties)
        arn, attributes = provision(*arguments)
        # The key of a service is what follows in its ARN.
        ecs._services[arn.split(":service/", 1)[1]]["placementConstraints"] = wanted
        return arn, attributes

    return provision_service


def install():
    """Puts this in the place of what the emulator does."""
    service = provisioners._RESOURCE_HANDLERS["AWS::ECS::Service"]
    service["create"] = with_its_constraints(service["create"], 1)
    service["update"] = with_its_constraints(service["update"], 2)
