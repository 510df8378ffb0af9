//! What CloudFormation makes of a template's values for one set of parameters: as far as the templates of this project go. What it
//! would refuse is an error here, and what it would only know after a deployment (an id, an ARN) is a plausible text.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// The parameters of one deployment, by name.
pub type Parameters = BTreeMap<String, Value>;

/// The templates by their `TemplateURL`, the root by an empty one.
pub type Templates = BTreeMap<String, Value>;

pub const STACK: &str = "neo4j";

/// One stack: the root, or one that a resource of another makes.
#[derive(Clone, Copy)]
pub struct Stack<'a> {
    templates: &'a Templates,
    template: &'a Value,
    given: Given<'a>,
}

#[derive(Clone, Copy)]
enum Given<'a> {
    ByHand(&'a Parameters),
    /// The stack above, and what its resource hands over.
    By(&'a Stack<'a>, &'a Value),
}

type Evaluated = Result<Option<Value>, String>;

impl<'a> Stack<'a> {
    pub fn root(templates: &'a Templates, parameters: &'a Parameters) -> Self {
        Self { templates, template: &templates[""], given: Given::ByHand(parameters) }
    }

    /// The stack that the resource `logical` of this one makes.
    pub fn nested(&'a self, logical: &str) -> Result<Self, String> {
        let properties = &self.resource(logical)?["Properties"];
        let url = properties["TemplateURL"].as_str().unwrap_or_default();
        let template = self.templates.get(url).ok_or_else(|| format!("{logical} has no template {url:?}"))?;
        Ok(Self { templates: self.templates, template, given: Given::By(self, &properties["Parameters"]) })
    }

    /// The logical ids of all resources of type `kind` that are made with these parameters.
    pub fn made(&self, kind: &str) -> Result<Vec<&'a str>, String> {
        let mut made = Vec::new();
        for (logical, resource) in self.template["Resources"].as_object().into_iter().flatten() {
            if resource["Type"] == kind && self.is_made(resource)? {
                made.push(logical.as_str());
            }
        }
        Ok(made)
    }

    /// A resource, which has to be made with these parameters.
    pub fn resource(&self, logical: &str) -> Result<&'a Value, String> {
        let resource = &self.template["Resources"][logical];
        match self.is_made(resource)? {
            _ if resource.is_null() => Err(format!("there is no resource {logical}")),
            true => Ok(resource),
            false => Err(format!("{logical} is not made under its Condition {}", resource["Condition"])),
        }
    }

    /// The names of all conditions of this stack.
    pub fn conditions(&self) -> Vec<&'a str> {
        self.template["Conditions"].as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect()
    }

    /// Whether CloudFormation's Rules let these parameters in.
    pub fn is_allowed(&self) -> Result<bool, String> {
        let is_true = |value: &Value| Ok::<_, String>(self.text(value)?.as_deref() == Some("true"));
        for rule in self.template["Rules"].as_object().into_iter().flat_map(Map::values) {
            let condition = &rule["RuleCondition"];
            if !condition.is_null() && !is_true(condition)? {
                continue;
            }
            for assertion in rule["Assertions"].as_array().into_iter().flatten() {
                if !is_true(&assertion["Assert"])? {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// `(name, text)` of each variable that is set, of a map as functions have it or a list of `Name` and `Value` as tasks have it.
    pub fn variables(&self, declared: &Value) -> Result<BTreeMap<String, String>, String> {
        let pairs: Vec<(&str, &Value)> = match declared {
            Value::Array(list) => {
                list.iter().map(|pair| (pair["Name"].as_str().unwrap_or_default(), &pair["Value"])).collect()
            }
            declared => declared
                .as_object()
                .into_iter()
                .flatten()
                .map(|(name, value)| (name.as_str(), value))
                .collect(),
        };
        let mut set = BTreeMap::new();
        for (name, value) in pairs {
            let text = self.text(value).map_err(|error| format!("{name}: {error}"))?;
            set.extend(text.map(|text| (name.to_owned(), text)));
        }
        Ok(set)
    }

    fn is_made(&self, resource: &Value) -> Result<bool, String> {
        resource["Condition"].as_str().map_or(Ok(true), |condition| self.holds(condition))
    }

    /// Whether a condition of this stack is true.
    pub fn holds(&self, condition: &str) -> Result<bool, String> {
        match &self.template["Conditions"][condition] {
            Value::Null => Err(format!("there is no condition {condition}")),
            test => Ok(self.text(test)?.as_deref() == Some("true")),
        }
    }

    /// The text of a value; `None` for `AWS::NoValue`.
    fn text(&self, value: &Value) -> Result<Option<String>, String> {
        Ok(match self.value(value)? {
            None => None,
            Some(Value::String(text)) => Some(text),
            Some(Value::Array(items)) => Some(joined(&items, ",")),
            Some(other) => Some(other.to_string()),
        })
    }

    fn needed(&self, value: &Value) -> Result<String, String> {
        self.text(value)?.ok_or_else(|| format!("{value} has no value here"))
    }

    fn value(&self, value: &Value) -> Evaluated {
        let Some((name, argument)) = intrinsic(value) else {
            return match value {
                Value::Array(items) => {
                    let items: Result<Vec<_>, _> = items.iter().map(|item| self.value(item)).collect();
                    Ok(Some(items?.into_iter().flatten().collect()))
                }
                plain => Ok(Some(plain.clone())),
            };
        };
        let all = || argument.as_array().into_iter().flatten();
        let truth = |value: &Value| Ok::<_, String>(self.needed(value)? == "true");
        let boolean = |truth: bool| Ok(Some(Value::String(truth.to_string())));
        match name {
            "Ref" => self.reference(argument.as_str().unwrap_or_default()),
            "Condition" => boolean(self.holds(argument.as_str().unwrap_or_default())?),
            "Fn::Equals" => boolean(self.needed(&argument[0])? == self.needed(&argument[1])?),
            "Fn::Not" => boolean(!truth(&argument[0])?),
            "Fn::And" => boolean(all().map(truth).collect::<Result<Vec<_>, _>>()?.into_iter().all(|is| is)),
            "Fn::Or" => boolean(all().map(truth).collect::<Result<Vec<_>, _>>()?.into_iter().any(|is| is)),
            "Fn::If" => {
                let taken = if self.holds(argument[0].as_str().unwrap_or_default())? { 1 } else { 2 };
                self.value(&argument[taken])
            }
            "Fn::GetAtt" => {
                let path: Vec<&str> = all().filter_map(Value::as_str).collect();
                self.attribute(&path.join("."))
            }
            "Fn::Join" => match self.value(&argument[1])? {
                Some(Value::Array(items)) => {
                    Ok(Some(joined(&items, argument[0].as_str().unwrap_or_default()).into()))
                }
                other => Err(format!("{other:?} is not a list to join")),
            },
            "Fn::Split" => {
                let (separator, text) =
                    (argument[0].as_str().unwrap_or_default(), self.needed(&argument[1])?);
                Ok(Some(text.split(separator).map(Value::from).collect()))
            }
            "Fn::Select" => {
                let index = self.needed(&argument[0])?;
                let list = self.value(&argument[1])?.unwrap_or_default();
                let at = index.parse().ok().and_then(|index: usize| list.get(index));
                at.cloned().map(Some).ok_or_else(|| format!("{list} has no element {index}"))
            }
            // Of the Rules.
            "Fn::Contains" => {
                let (list, text) =
                    (self.value(&argument[0])?.unwrap_or_default(), self.needed(&argument[1])?);
                boolean(list.as_array().is_some_and(|list| list.iter().any(|one| *one == text.as_str())))
            }
            "Fn::Sub" => match argument {
                Value::Array(parts) => self.substitute(parts[0].as_str().unwrap_or_default(), &parts[1]),
                text => self.substitute(text.as_str().unwrap_or_default(), &Value::Null),
            },
            other => Err(format!("{other} is not known to this test")),
        }
    }

    fn reference(&self, name: &str) -> Evaluated {
        match name {
            "AWS::NoValue" => return Ok(None),
            "AWS::StackName" => return Ok(Some(STACK.into())),
            _ if name.starts_with("AWS::") => return Ok(Some(plausible(name).into())),
            _ => {}
        }
        let declared = &self.template["Parameters"][name];
        if declared.is_null() {
            self.resource(name)?;
            return Ok(Some(plausible(name).into()));
        }
        let given = match self.given {
            Given::ByHand(parameters) => parameters.get(name).cloned(),
            Given::By(above, handed) if !handed[name].is_null() => above.value(&handed[name])?,
            Given::By(..) => None,
        };
        match given.unwrap_or_else(|| declared["Default"].clone()) {
            Value::Null => Err(format!("the parameter {name} is not given")),
            value => Ok(Some(value)),
        }
    }

    /// `Logical.Attribute`; of a nested stack what its template says of the output.
    fn attribute(&self, path: &str) -> Evaluated {
        let (logical, attribute) = path.split_once('.').unwrap_or((path, ""));
        let is_stack = self.resource(logical)?["Type"] == "AWS::CloudFormation::Stack";
        let Some(name) = attribute.strip_prefix("Outputs.").filter(|_| is_stack) else {
            return Ok(Some(plausible(path).into()));
        };
        let nested = self.nested(logical)?;
        let output = &nested.template["Outputs"][name];
        if output.is_null() || !nested.is_made(output)? {
            return Err(format!("{logical} has no output {name} here"));
        }
        nested.value(&output["Value"])
    }

    fn substitute(&self, text: &str, named: &Value) -> Evaluated {
        let mut parts = text.split("${");
        let mut done = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let (name, rest) = part.split_once('}').ok_or_else(|| format!("{text:?} lacks a brace"))?;
            let value = match &named[name] {
                Value::Null if name.contains('.') => self.attribute(name)?,
                Value::Null => self.reference(name)?,
                own => self.value(own)?,
            };
            let value = value.ok_or_else(|| format!("{name} has no value in {text:?}"))?;
            done += &joined(&[value], "");
            done += rest;
        }
        Ok(Some(done.into()))
    }
}

/// Name and argument, when it is a function of CloudFormation.
fn intrinsic(value: &Value) -> Option<(&str, &Value)> {
    let object = value.as_object().filter(|object| object.len() == 1)?;
    let (name, argument) = object.iter().next()?;
    (name == "Ref" || name == "Condition" || name.starts_with("Fn::")).then_some((name.as_str(), argument))
}

/// Whatever only a deployment would know.
fn plausible(name: &str) -> String {
    format!("arn:aws:plausible:us-east-1:000000000000:{}", name.replace("::", "-").to_lowercase())
}

fn joined(items: &[Value], separator: &str) -> String {
    let text = |item: &Value| item.as_str().map_or_else(|| item.to_string(), str::to_owned);
    items.iter().map(text).collect::<Vec<_>>().join(separator)
}
