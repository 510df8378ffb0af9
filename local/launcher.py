"""Starts the emulator, with CloudFormation's custom resources and names and AWS's own invocations as AWS documents them.

The emulator runs the function of a custom resource inside the stack operation, and drops an event whose function is throttled.
Here each request is an asynchronous Invoke at the gateway, whose queue delivers it. What is replaced is named below; the rest is
the emulator's own, and so is its command line.

Pages: `cfn/...` of CloudFormation's user guide (template reference), `lambda/...` of Lambda's developer guide.
"""

import json
import os
import secrets
import string
import sys
import threading
import urllib.error
import urllib.request

import ministack.app
from ministack.core import lambda_runtime
from ministack.core.responses import new_uuid
from ministack.services import eventbridge, lambda_svc
from ministack.services.cloudformation import _stacks, custom_resource, handlers, provisioners, stacks

# The modules beside this one are read once a run; the checkout stays clean.
sys.dont_write_bytecode = True
import conditions  # noqa: E402
import names  # noqa: E402
import placement  # noqa: E402

GATEWAY = os.environ["AWS_ENDPOINT_URL"]
# cfn/crpg-ref-responses and the property reference of AWS::CloudFormation::CustomResource.
LONGEST_TIMEOUT = 3600
LONGEST_PHYSICAL_ID = 1024
ECHOED = ("StackId", "RequestId", "LogicalResourceId")
# The gateway takes the PUT of an answer first; this end of its path asks for the death of the function that sent it.
AND_KILL = "/kill"


class Failed(RuntimeError):
    """A request that ended in a failure: the reason, and the physical id of the answer if one came."""

    def __init__(self, reason, physical_id=""):
        super().__init__(reason)
        self.physical_id = physical_id


def invoke_later(function, event):
    """lambda/invocation-async: the event is put into the queue of the function, which answers 202 and nothing else."""
    request = urllib.request.Request(
        f"{GATEWAY}/2015-03-31/functions/{function}/invocations",
        data=json.dumps(event).encode(),
        headers={
            "X-Amz-Invocation-Type": "Event",
            # Not a call of the product's: the gateway neither counts nor limits it.
            "X-Local-Caller": "emulator",
            "Authorization": "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/lambda/aws4_request, "
            "SignedHeaders=host, Signature=0",
        },
    )
    with urllib.request.urlopen(request, timeout=30):
        pass


def checked(answer, event):
    """The answer of the provider, when it is one that CloudFormation takes (cfn/crpg-ref-responses)."""
    physical_id = answer.get("PhysicalResourceId")
    if not isinstance(physical_id, str) or not physical_id:
        raise Failed("Vendor response doesn't contain PhysicalResourceId attribute")
    if len(physical_id.encode()) > LONGEST_PHYSICAL_ID:
        raise Failed("Invalid PhysicalResourceId")
    for name in ECHOED:
        if answer.get(name) != event[name]:
            raise Failed(f"Vendor response doesn't contain {name} attribute", physical_id)
    if answer.get("Status") == "FAILED":
        reason = answer.get("Reason")
        if not reason:
            raise Failed("Vendor response doesn't contain Reason attribute", physical_id)
        message = f"Received response status [FAILED] from custom resource. Message returned: {reason}"
        raise Failed(f"{message} (RequestId: {event['RequestId']})", physical_id)
    if answer.get("Status") != "SUCCESS":
        raise Failed("Invalid response status", physical_id)
    return physical_id, answer.get("Data") or {}


def ask(event, properties):
    """Sends a request and waits for its answer, at most ServiceTimeout."""
    try:
        timeout = min(int(properties.get("ServiceTimeout", LONGEST_TIMEOUT)), LONGEST_TIMEOUT)
    except (TypeError, ValueError):
        timeout = LONGEST_TIMEOUT
    token = new_uuid()
    event["ResponseURL"] = f"{GATEWAY}/_ministack/cfn-response/{token}"
    answered = custom_resource.register_token(token)
    try:
        invoke_later(properties.get("ServiceToken", ""), event)
        answered.wait(timeout)
    except urllib.error.HTTPError as error:
        raise Failed(f"Function not found or not to be invoked: {error.read().decode(errors='replace')}") from error
    finally:
        with custom_resource._lock:
            entry = custom_resource._pending.pop(token)
    if entry["result"] is None:
        raise Failed(
            "CloudFormation did not receive a response from your Custom Resource. "
            f"Please check your logs for requestId [{event['RequestId']}]."
        )
    return checked(entry["result"], event)


def invoke_custom_resource(
    request_type, logical_id, props, stack_name, stack_id, resource_type, physical_id=None, old_props=None
):
    """cfn/crpg-ref-requests: Create, Update and Delete. Runs in a worker thread of the emulator."""
    event = {
        "RequestType": request_type,
        "RequestId": new_uuid(),
        "StackId": stack_id,
        "ResourceType": resource_type,
        "LogicalResourceId": logical_id,
        "ResourceProperties": custom_resource._normalise_resource_properties(props),
    }
    if physical_id is not None:
        event["PhysicalResourceId"] = physical_id
    if old_props is not None:
        event["OldResourceProperties"] = custom_resource._normalise_resource_properties(old_props)
    try:
        return ask(event, props)
    except Failed as failure:
        if request_type == "Create":
            keep(stack_name, logical_id, resource_type, props, failure.physical_id or invented(stack_name, logical_id))
        raise


def invented(stack_name, logical_id):
    """The physical id of a resource whose Create was not answered: CloudFormation makes one up."""
    alphabet = string.ascii_uppercase + string.digits
    return f"{stack_name}-{logical_id}-" + "".join(secrets.choice(alphabet) for _ in range(12))


def keep(stack_name, logical_id, resource_type, props, physical_id):
    """A resource whose Create failed is one of its stack, so that the roll-back and a deletion of the stack find it."""
    if stack_name in _stacks:
        _stacks[stack_name].setdefault("_resources", {})[logical_id] = {
            "PhysicalResourceId": physical_id,
            "ResourceType": resource_type,
            "ResourceStatus": "CREATE_FAILED",
            "LogicalResourceId": logical_id,
            "Properties": props,
            "Attributes": {},
            "Timestamp": stacks.now_iso(),
        }


roll_back = stacks._roll_back_operation


async def roll_back_operation(stack_name, stack_id, stack, operation, *rest):
    """cfn/crpg-ref-requesttypes-delete: a Create that failed is followed by a Delete, the first one of the roll-back."""
    logical_id = operation.get("failed_logical_id")
    failed = stack.get("_resources", {}).get(logical_id, {})
    if failed.get("ResourceStatus") == "CREATE_FAILED" and logical_id not in operation["created"]:
        operation["created"].append(logical_id)
    await roll_back(stack_name, stack_id, stack, operation, *rest)


# By token of the answer: the workers that run its event now.
serving = {}


def noting_what_it_serves(invoke):
    def invoke_noted(worker, event, *arguments, **named):
        url = event.get("ResponseURL", "") if isinstance(event, dict) else ""
        token = str(url).rsplit("/", 1)[-1]
        serving.setdefault(token, []).append(worker)
        try:
            return invoke(worker, event, *arguments, **named)
        finally:
            serving[token].remove(worker)
            if not serving[token]:
                serving.pop(token, None)

    return invoke_noted


def deliver_response(token, response):
    """The first answer counts. A presigned URL takes any number of them: the later ones have no effect."""
    token, kill = token.removesuffix(AND_KILL), token.endswith(AND_KILL)
    with custom_resource._lock:
        entry = custom_resource._pending.get(token)
        waiting = entry is not None and entry["result"] is None
        if waiting:
            entry["result"] = response if isinstance(response, dict) else {}
            entry["event"].set()
    if kill:
        for worker in list(serving.get(token, [])):
            worker._proc.kill()
    return waiting


def dispatch_to_lambda(arn, payload):
    """eb/eb-targets, lambda/invocation-async: schedules and rules invoke a function asynchronously."""

    def dispatch():
        try:
            invoke_later(arn, json.loads(payload))
        except (urllib.error.URLError, ValueError) as error:
            eventbridge.logger.warning("%s cannot be invoked: %s", arn, error)

    # Not in the emulator's event loop: the gateway asks the emulator before it answers.
    threading.Thread(target=dispatch, daemon=True).start()


def with_its_concurrency(provision, properties_at):
    """cfn/aws-resource-lambda-function: ReservedConcurrentExecutions, which the emulator drops."""

    def provision_function(*arguments):
        name, attributes = provision(*arguments)
        reserved = arguments[properties_at].get("ReservedConcurrentExecutions")
        lambda_svc._functions[name]["concurrency"] = None if reserved is None else int(reserved)
        return name, attributes

    return provision_function


function = provisioners._RESOURCE_HANDLERS["AWS::Lambda::Function"]
function["create"] = with_its_concurrency(function["create"], 1)
function["update"] = with_its_concurrency(function["update"], 2)
custom_resource.invoke_custom_resource = invoke_custom_resource
custom_resource.deliver_response = deliver_response
eventbridge._dispatch_to_lambda = dispatch_to_lambda
stacks._roll_back_operation = handlers._roll_back_operation = roll_back_operation
lambda_runtime.ProvidedWorker.invoke = noting_what_it_serves(lambda_runtime.ProvidedWorker.invoke)
conditions.install()
names.install()
placement.install()

if __name__ == "__main__":
    ministack.app.main()
