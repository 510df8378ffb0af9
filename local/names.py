"""Names of resources as CloudFormation and the services on AWS treat them: what is taken is refused, what has no name gets a new one.

Pages: `cfn/...` of CloudFormation's template reference, `API/...` of the service's API reference.
"""

import re

from ministack.core.responses import new_uuid
from ministack.services import cloudwatch_logs, eventbridge, lambda_svc, s3, scheduler, secretsmanager
from ministack.services.cloudformation import _stacks, handlers, provisioners, stacks

BUCKET = "AWS::S3::Bucket"
SCHEDULE = "AWS::Scheduler::Schedule"
SECRET = "AWS::SecretsManager::Secret"
NESTED = "AWS::CloudFormation::Stack"
# The properties that make a name; of two, the first one says where it is unique, and has a default.
NAMES = {
    "AWS::CloudWatch::Alarm": ("AlarmName",),
    "AWS::ECS::Cluster": ("ClusterName",),
    "AWS::ECS::Service": ("Cluster", "ServiceName"),
    "AWS::ElasticLoadBalancingV2::LoadBalancer": ("Name",),
    "AWS::ElasticLoadBalancingV2::TargetGroup": ("Name",),
    "AWS::Events::Rule": ("EventBusName", "Name"),
    "AWS::IAM::ManagedPolicy": ("ManagedPolicyName",),
    "AWS::IAM::Role": ("RoleName",),
    "AWS::Lambda::Function": ("FunctionName",),
    "AWS::Logs::LogGroup": ("LogGroupName",),
    "AWS::SSM::Parameter": ("Name",),
    SCHEDULE: ("GroupName", "Name"),
    SECRET: ("Name",),
}
# Whether the service has one of that name although no stack has: kept by a stack that is gone, or made by hand.
EXISTS = {
    "AWS::Events::Rule": lambda bus, name: eventbridge._rule_key(name, bus) in eventbridge._rules,
    "AWS::Logs::LogGroup": lambda name: name in cloudwatch_logs._log_groups,
    SCHEDULE: lambda group, name: f"{group}/{name}" in scheduler._schedules,
    SECRET: lambda name: name in secretsmanager._secrets,
}
handlers_of = provisioners._RESOURCE_HANDLERS


def identity(resource_type, properties):
    """The name that the template gives, with what it is unique in; nothing if CloudFormation makes one."""
    if not properties.get(NAMES[resource_type][-1]):
        return None
    return tuple(str(properties.get(name) or "default") for name in NAMES[resource_type])


def owner(resource_type, name):
    """The stack and the logical id that have a resource of that name."""
    for stack in _stacks.values():
        for logical_id, resource in stack.get("_resources", {}).items():
            if resource["ResourceType"] == resource_type and identity(resource_type, resource["Properties"]) == name:
                return stack, logical_id
    return None


def refused_if_taken(resource_type, create):
    """cfn/aws-properties-name: "Resource names must be unique across all your active stacks." The words are CloudFormation's."""

    def create_if_free(logical_id, properties, stack_name):
        name = identity(resource_type, properties)
        found = owner(resource_type, name) if name else None
        # An update of a type that the emulator cannot update comes here too, for the resource that has the name.
        if found and (found[0]["StackName"], found[1]) != (stack_name, logical_id):
            raise ValueError(f"{name[-1]} already exists in stack {found[0]['StackId']}")
        if name and not found and EXISTS.get(resource_type, lambda *_name: False)(*name):
            raise ValueError(f"Resource of type '{resource_type}' with identifier '{name[-1]}' already exists.")
        return create(logical_id, properties, stack_name)

    return create_if_free


def provision(resource_type, *arguments):
    """cfn/aws-properties-name: without a name "CloudFormation generates a unique physical ID", which no resource had before."""
    # What a nested stack makes has the random part in the name of that stack.
    token = provisioners._NAME_SEED.set("" if resource_type == NESTED else new_uuid()[:8])
    try:
        return provisioners._provision_resource(resource_type, *arguments), provisioners._NAME_SEED.get()
    finally:
        provisioners._NAME_SEED.reset(token)


def known_by_its_arn(handler):
    """cfn/aws-resource-secretsmanager-secret: Ref returns the ARN. The emulator's own handlers know a secret by its name."""
    create, update, delete = handler["create"], handler["update"], handler["delete"]

    def arn(result):
        return result[1]["Id"], result[1]

    def name(physical_id):
        found = (name for name, secret in secretsmanager._secrets.items() if secret["ARN"] == physical_id)
        return next(found, physical_id)

    handler["create"] = lambda *arguments: arn(create(*arguments))
    handler["update"] = lambda physical_id, *arguments: arn(update(name(physical_id), *arguments))
    handler["delete"] = lambda physical_id, *arguments: delete(name(physical_id), *arguments)


def only_if_empty(delete):
    """cfn/aws-resource-s3-bucket: "You can only delete empty buckets. Deletion fails for buckets that have contents." Versions count."""

    def delete_if_empty(name, properties):
        if name in s3._buckets and (s3._buckets[name]["objects"] or s3._bucket_has_versions(name)):
            reason = "The bucket you tried to delete is not empty. You must delete all versions in the bucket."
            raise ValueError(f"{reason} (Service: S3, Status Code: 409)")
        delete(name, properties)

    return delete_if_empty


def into_groups_that_exist(log):
    """lambda/monitoring-cloudwatchlogs-loggroups: a function makes its log group if its role may, and no role of the templates may. So
    what it says while its stack goes makes none again."""

    def log_if_there_is_a_group(function, *arguments, **named):
        config = function.get("config") or function
        group = (config.get("LoggingConfig") or {}).get("LogGroup")
        if group is None or group in cloudwatch_logs._log_groups:
            log(function, *arguments, **named)

    return log_if_there_is_a_group


def let_go(stack, policies):
    """Takes the resources with these deletion policies out of a nested stack, so that they stay when it goes."""
    template, name = stack.get("_template") or {}, stack["StackName"]
    for logical_id, resource in list(stack["_resources"].items()):
        policy = stacks._resource_policy(
            template.get("Resources", {}).get(logical_id),
            "DeletionPolicy",
            stack["_resources"],
            stack.get("_resolved_params", {}),
            stack.get("_conditions", {}),
            template.get("Mappings", {}),
            name,
            stack["StackId"],
        )
        if policy in policies:
            kind, physical_id = resource["ResourceType"], resource["PhysicalResourceId"]
            stacks._add_event(stack["StackId"], name, logical_id, kind, "DELETE_SKIPPED", physical_id=physical_id)
            del stack["_resources"][logical_id]


def keeping_what_is_retained(delete):
    """cfn/aws-attribute-deletionpolicy: Retain and RetainExceptOnCreate hold in a nested stack too, where the emulator looks at none."""

    def delete_the_rest(physical_id, *arguments):
        stack = _stacks.get(provisioners._nested_stack_lookup_name(physical_id))
        if stack:
            let_go(stack, ("Retain", "RetainExceptOnCreate"))
        delete(physical_id, *arguments)

    return delete_the_rest


def undone_if_it_fails(create):
    """cfn/using-cfn-nested-stacks: a nested stack whose Create fails is rolled back. The emulator would leave what it had made."""

    def create_or_undo(logical_id, properties, stack_name):
        try:
            return create(logical_id, properties, stack_name)
        except Exception:
            parent, nested = _stacks[stack_name]["StackId"], re.compile(f"{re.escape(stack_name)}-{logical_id}-[^/]+")
            for name, stack in list(_stacks.items()):
                if stack.get("ParentId") == parent and nested.fullmatch(name) and stack["StackStatus"] == "CREATE_FAILED":
                    let_go(stack, ("Retain",))
                    provisioners._cfn_nested_stack_delete(name, properties)
            raise

    return create_or_undo


def keeping_attributes(update):
    """cfn/using-cfn-nested-stacks: a resource of a nested stack that an update leaves alone has the attributes that it had. The emulator
    knows them of a root stack's resources only."""

    def update_or_keep(resource_type, physical_id, old, new, stack_name, logical_id=None, attributes=None):
        if attributes is None:
            attributes = _stacks.get(stack_name, {}).get("_resources", {}).get(logical_id, {}).get("Attributes")
        return update(resource_type, physical_id, old, new, stack_name, logical_id, attributes)

    return update_or_keep


def with_parents(describe):
    """API/API_Stack: a nested stack is described with its ParentId and its RootId, which the emulator keeps to itself."""

    def described(params):
        status, headers, body = describe(params)
        parents = {stack["StackId"]: stack["ParentId"] for stack in _stacks.values() if stack.get("ParentId")}
        for stack_id, parent in parents.items():
            root = parent
            while root in parents:
                root = parents[root]
            own = f"<StackId>{stack_id}</StackId>"
            ids = f"<ParentId>{parent}</ParentId><RootId>{root}</RootId>"
            body = body.replace(own.encode(), (own + ids).encode())
        return status, headers, body

    return described


def install():
    """Replaces the emulator's own functions."""
    known_by_its_arn(handlers_of[SECRET])
    for resource_type in NAMES:
        handlers_of[resource_type]["create"] = refused_if_taken(resource_type, handlers_of[resource_type]["create"])
    lambda_svc._emit_lambda_logs = into_groups_that_exist(lambda_svc._emit_lambda_logs)
    handlers_of[BUCKET]["delete"] = only_if_empty(handlers_of[BUCKET]["delete"])
    nested = handlers_of[NESTED]
    nested |= {"create": undone_if_it_fails(nested["create"]), "delete": keeping_what_is_retained(nested["delete"])}
    provisioners._update_resource = keeping_attributes(provisioners._update_resource)
    stacks._provision_keeping_seed = provision
    handlers._ACTION_HANDLERS["DescribeStacks"] = with_parents(handlers._describe_stacks)
