"""Conditions of a template as CloudFormation evaluates them: Fn::Equals takes Fn::Select of Fn::Split, which the emulator does not.

Page: cfn/intrinsic-function-reference-select and -split; what Fn::Equals takes is in the schema that cfn-lint checks templates with.
"""

import re

from ministack.services.cloudformation import changesets, engine, handlers, stacks

evaluate = engine._evaluate_conditions


def split(node, parameters):
    """The same condition, in which each Fn::Split of a parameter, or of a Fn::Sub of one, is the list that it makes."""
    if isinstance(node, list):
        return [split(item, parameters) for item in node]
    if not isinstance(node, dict):
        return node
    if "Fn::Split" in node:
        separator, text = node["Fn::Split"]
        if isinstance(text, dict) and "Ref" in text:
            text = parameters[text["Ref"]]["Value"]
        if isinstance(text, dict) and "Fn::Sub" in text:
            text = re.sub(r"\$\{(\w+)\}", lambda found: str(parameters[found[1]]["Value"]), text["Fn::Sub"])
        return str(text).split(separator)
    return {key: split(value, parameters) for key, value in node.items()}


def evaluate_conditions(template, parameters):
    conditions = split(template.get("Conditions", {}), parameters)
    return evaluate({**template, "Conditions": conditions}, parameters)


def install():
    """Puts this in the place of what the emulator does."""
    for module in (changesets, engine, handlers, stacks):
        if hasattr(module, "_evaluate_conditions"):
            module._evaluate_conditions = evaluate_conditions
