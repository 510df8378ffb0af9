"""cfn/intrinsic-function-reference-conditions: Fn::Split in a condition, which the emulator does not resolve (Fn::Select of it is a KeyError)."""
import copy

from ministack.services.cloudformation import changesets, engine, handlers, stacks

evaluate = engine._evaluate_conditions


def split(node, params):
    if isinstance(node, list):
        return [split(item, params) for item in node]
    if not isinstance(node, dict):
        return node
    if "Fn::Split" in node:
        separator, text = node["Fn::Split"]
        if isinstance(text, dict) and "Ref" in text:
            text = params[text["Ref"]]["Value"]
        return str(text).split(separator)
    return {key: split(value, params) for key, value in node.items()}


def evaluate_conditions(template, params):
    return evaluate({**template, "Conditions": split(template.get("Conditions", {}), params)}, params)


for module in (changesets, engine, handlers, stacks):
    if hasattr(module, "_evaluate_conditions"):
        module._evaluate_conditions = evaluate_conditions
