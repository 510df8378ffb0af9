"""A function for tests: writes each event into a journal, and does what the event asks of it."""

import json
import os
import time
import urllib.error
import urllib.request

RUNTIME = f"http://{os.environ['AWS_LAMBDA_RUNTIME_API']}/2018-06-01/runtime/invocation"


def journal(**entry):
    with open(os.environ["JOURNAL"], "a") as file:
        file.write(json.dumps({"at": time.time(), "pid": os.getpid(), **entry}) + "\n")


def send(method, url, body):
    # CloudFormation's URLs take no content type.
    headers = {"Content-Type": os.environ.get("CONTENT_TYPE", "")}
    request = urllib.request.Request(url, json.dumps(body).encode(), headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def answer(event):
    properties, kind = event["ResourceProperties"], event["RequestType"]
    time.sleep(float(properties.get("Wait", 0)))
    if kind in properties.get("Silent", []):
        return
    body = {name: event[name] for name in ("StackId", "RequestId", "LogicalResourceId")}
    body["PhysicalResourceId"] = properties.get("PhysicalId", "one")
    body["Status"] = "FAILED" if kind in properties.get("Fails", []) else "SUCCESS"
    body["Reason"] = f"{kind} shall fail"
    status = send("PUT", event["ResponseURL"], body)
    journal(answered=event["RequestId"], status=status)


while True:
    with urllib.request.urlopen(f"{RUNTIME}/next") as request:
        event, id = json.load(request), request.headers["Lambda-Runtime-Aws-Request-Id"]
    journal(event=event)
    if "ResponseURL" in event:
        answer(event)
    time.sleep(float(event.get("Sleep", 0)))
    if event.get("Raises"):
        send("POST", f"{RUNTIME}/{id}/error", {"errorMessage": "as asked", "errorType": "Asked"})
    else:
        send("POST", f"{RUNTIME}/{id}/response", {"done": True})
