//! The contract between the templates and the programs: every variable that is set is read, every one that is read is set, and under
//! every condition of the template each program starts with what it is given.

mod compare;
mod evaluate;
mod programs;
mod sizes;

use std::collections::{BTreeMap, BTreeSet};

use compare::{Case, compare};
use end_to_end::repository::template;
use evaluate::{Parameters, Stack, Templates};
use local::templates;
use programs::{COMMON, PROGRAMS, Program, Runs};
use runtime::Environment;
use serde_json::{Map, Value, json};

const FUNCTION: &str = "AWS::Serverless::Function";
const TASK: &str = "AWS::ECS::TaskDefinition";
const NESTED: &str = "AWS::CloudFormation::Stack";

/// Parameters that decide what is made: every combination of their values is tried.
const CHOSEN: [&str; 3] = ["Dialect", "CoreSize", "AuthEnabled"];
/// Texts that conditions or programs depend on, and another value than the default; with the first combination each.
const VARIED: [(&str, &str); 13] = [
    ("AdminSecretArn", "arn:aws:secretsmanager:us-east-1:000000000000:secret:kept-AbCdEf"),
    ("AlarmTopicArn", "arn:aws:sns:us-east-1:000000000000:alarms"),
    ("BackupBucket", "backups-of-another-stack"),
    ("BackupKmsKeyArn", "arn:aws:kms:us-east-1:000000000000:key/0"),
    ("BackupTimeZone", "Europe/Berlin"),
    ("DailyBackupAt", "off"),
    ("Neo4jSettings", "dbms.logs.query.enabled=true"),
    ("Neo4jVersion", "4.4.40"),
    ("ReadOnlyUser", ""),
    ("ReadWriteUser", ""),
    ("Snapshot", "latest"),
    ("Snapshot", "s3://backups-of-another-stack/latest"),
    ("SnapshotKmsKeyArn", "arn:aws:kms:us-east-1:000000000000:key/1"),
];
/// Numbers whose bounds do not go with the defaults of others, which the programs check in one sentence each.
const RELATED: [&str; 5] = [
    "FenceHoldOffSeconds",
    "FenceVerifySeconds",
    "HeartbeatIntervalMs",
    "HeartbeatTimeoutMs",
    "StopTimeoutSeconds",
];
fn templates() -> Templates {
    let root = template("template.yml");
    let nested: Vec<String> = templates::nested(&root).into_iter().map(|(_, url)| url).collect();
    let mut all: Templates = nested.into_iter().map(|url| (url.clone(), template(&url))).collect();
    all.insert(String::new(), root);
    all
}

/// Every set of parameters that the template admits.
fn deployments(templates: &Templates) -> Vec<Parameters> {
    let declared = templates[""]["Parameters"].as_object().unwrap();
    // What has no default is given with every deployment.
    let needed = declared.iter().filter(|(_, of)| of["Default"].is_null()).map(|(name, of)| {
        let is_list = of["Type"].as_str().unwrap_or_default().starts_with("List");
        (name.clone(), if is_list { json!(["one", "two"]) } else { json!("some") })
    });
    // Without it the Rules admit nothing, whatever else is set.
    let accepted = ("AcceptLicense".to_owned(), json!("yes"));
    let mut sets = vec![needed.chain([accepted]).collect::<Parameters>()];
    let with = |set: &Parameters, name: &str, value: &Value| {
        set.clone().into_iter().chain([(name.to_owned(), value.clone())]).collect::<Parameters>()
    };
    for name in CHOSEN {
        let values = declared[name]["AllowedValues"].as_array().unwrap();
        sets = sets.iter().flat_map(|set| values.iter().map(move |value| with(set, name, value))).collect();
    }
    let is_admitted = |set: &&Parameters| Stack::root(templates, set).is_allowed().unwrap();
    let first = sets.iter().find(is_admitted).expect("a set that the Rules admit").clone();
    for (name, of) in declared.iter().filter(|(name, _)| !CHOSEN.contains(&name.as_str())) {
        sets.extend(alternatives(name, of).iter().map(|value| with(&first, name, value)));
    }
    sets.retain(|set| Stack::root(templates, set).is_allowed().unwrap());
    sets
}

/// Other values of one parameter: all that are allowed, the ends of a range, or what is listed above.
fn alternatives(name: &str, declared: &Value) -> Vec<Value> {
    if let Some(allowed) = declared["AllowedValues"].as_array() {
        return allowed.clone();
    }
    let ends = [&declared["MinValue"], &declared["MaxValue"]].into_iter().filter(|end| end.is_number());
    let ends = ends.filter(|_| !RELATED.contains(&name)).cloned();
    ends.chain(VARIED.iter().filter(|(varied, _)| *varied == name).map(|(_, value)| json!(value))).collect()
}

/// What `program` is given in one deployment: once for each container, or one function; nothing where a condition leaves it out.
fn given(program: &Program, root: &Stack) -> Result<Vec<BTreeMap<String, String>>, String> {
    let mut all = Vec::new();
    match program.runs {
        Runs::Function(logical_id) => {
            if root.made(FUNCTION)?.contains(&logical_id) {
                let function = root.resource(logical_id)?;
                all.push(root.variables(&function["Properties"]["Environment"]["Variables"])?);
            }
        }
        Runs::Container(name) => {
            for logical in root.made(NESTED)? {
                let stack = root.nested(logical)?;
                for task in stack.made(TASK)? {
                    let containers = &stack.resource(task)?["Properties"]["ContainerDefinitions"];
                    for container in containers.as_array().into_iter().flatten() {
                        if container["Name"] == name {
                            all.push(stack.variables(&container["Environment"])?);
                        }
                    }
                }
            }
        }
    }
    Ok(all)
}

fn cases(program: &Program, templates: &Templates) -> Vec<Case> {
    let mut cases = Vec::new();
    for parameters in deployments(templates) {
        let others = parameters.keys().map(String::as_str).filter(|name| !CHOSEN.contains(name));
        let has_default = |name: &&str| !templates[""]["Parameters"][*name]["Default"].is_null();
        let shown = CHOSEN.into_iter().chain(others.filter(has_default));
        let shown = shown.map(|name| format!("{name}={}", parameters[name]).replace('"', ""));
        let of = shown.collect::<Vec<_>>().join(" ");
        let case = |set, asked, refused| Case { of: of.clone(), set, asked, refused };
        match given(program, &Stack::root(templates, &parameters)) {
            Err(why) => cases.push(case(BTreeMap::default(), [].into(), Some(why))),
            Ok(all) => cases.extend(all.into_iter().map(|set| {
                let platform =
                    program.platform.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
                let environment: Environment = set.clone().into_iter().chain(platform).collect();
                let refused = (program.read)(&environment).err();
                case(set, environment.asked(), refused)
            })),
        }
    }
    assert!(!cases.is_empty(), "the template does not run {}", program.name);
    cases
}

fn complaints(templates: &Templates) -> Vec<String> {
    let of = |program: &Program| {
        let exceptions = [COMMON.as_slice(), program.exceptions].concat();
        compare(program.name, &cases(program, templates), &exceptions)
    };
    PROGRAMS.iter().flat_map(of).collect()
}

#[test]
fn every_program_is_given_what_it_reads_and_reads_what_it_is_given() {
    let complaints = complaints(&templates());
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

#[test]
fn every_function_of_the_template_is_compared() {
    let templates = templates();
    let resources = templates[""]["Resources"].as_object().unwrap();
    let functions = resources.iter().filter(|(_, resource)| resource["Type"] == FUNCTION);
    let functions: Vec<&str> = functions.map(|(logical, _)| logical.as_str()).collect();
    let by = |program: &Program| match program.runs {
        Runs::Function(logical_id) => Some(logical_id),
        Runs::Container(_) => None,
    };
    let mut compared: Vec<&str> = PROGRAMS.iter().filter_map(by).collect();
    compared.sort_unstable();
    assert_eq!(functions, compared);
    let globals = &templates[""]["Globals"]["Function"]["Environment"];
    assert!(globals.is_null(), "variables of all functions at once are not read here: {globals}");
}

/// What a task runs and what is beside it: the second ones follow a log and are given nothing.
#[test]
fn every_container_that_is_given_variables_is_compared() {
    let mut compared = BTreeSet::new();
    for template in templates().values() {
        for resource in template["Resources"].as_object().unwrap().values().filter(|one| one["Type"] == TASK)
        {
            for container in resource["Properties"]["ContainerDefinitions"].as_array().unwrap() {
                let name = container["Name"].as_str().unwrap();
                let is_compared =
                    PROGRAMS.iter().any(|program| matches!(program.runs, Runs::Container(of) if of == name));
                assert_eq!(is_compared, container["Environment"].is_array(), "{name}");
                assert!(compared.insert(name.to_owned()), "{name} is the name of two containers");
            }
        }
    }
    assert!(compared.len() >= 4, "{compared:?}");
}

/// Both branches of every condition, in every template, or this test shows nothing of one of them.
#[test]
fn the_deployments_have_every_condition_both_ways() {
    let templates = templates();
    let mut seen: BTreeMap<String, BTreeSet<bool>> = BTreeMap::new();
    for parameters in deployments(&templates) {
        let root = Stack::root(&templates, &parameters);
        let mut note = |stack: &Stack| {
            for condition in stack.conditions() {
                seen.entry(condition.to_owned()).or_default().insert(stack.holds(condition).unwrap());
            }
        };
        note(&root);
        for logical in root.made(NESTED).unwrap() {
            note(&root.nested(logical).unwrap());
        }
    }
    assert!(seen.len() >= 8, "the conditions are not found: {seen:?}");
    for (condition, ways) in seen {
        assert_eq!(ways.len(), 2, "{condition} is {ways:?} in all deployments");
    }
}

#[test]
fn the_deployments_have_every_dialect_and_size() {
    let deployments = deployments(&templates());
    let has = |name: &str, value: &str| deployments.iter().any(|set| set.get(name) == Some(&json!(value)));
    for (name, value) in [
        ("Dialect", "HA"),
        ("Dialect", "CLUSTER"),
        ("Dialect", "CLUSTER-3.5"),
        ("Dialect", "SINGLE"),
        ("CoreSize", "1"),
        ("CoreSize", "3"),
        ("CoreSize", "5"),
        ("AuthEnabled", "true"),
        ("AuthEnabled", "false"),
    ] {
        assert!(has(name, value), "{name}={value} is never tried");
    }
    let single = |set: &&Parameters| set["Dialect"] == "SINGLE";
    assert!(deployments.iter().filter(single).all(|set| set["CoreSize"] == "1"), "the Rules are obeyed");
}

/// The variables of a function of the real template, to be changed.
fn variables<'a>(templates: &'a mut Templates, logical_id: &str) -> &'a mut Map<String, Value> {
    let function = &mut templates.get_mut("").unwrap()["Resources"][logical_id];
    function["Properties"]["Environment"]["Variables"].as_object_mut().unwrap()
}

fn complains(templates: &Templates, says: &str) {
    let before = complaints(&self::templates());
    let new: Vec<String> = complaints(templates).into_iter().filter(|one| !before.contains(one)).collect();
    assert!(new.iter().any(|one| one.contains(says)), "nothing says {says:?}: {new:?}");
}

#[test]
fn a_variable_that_is_not_set_is_found() {
    let mut templates = templates();
    variables(&mut templates, "MasterElection").remove("PAUSE_MS").unwrap();
    complains(&templates, "PAUSE_MS is read by master-election, and never set");
    variables(&mut templates, "UserCreation").remove("CLUSTER").unwrap();
    complains(&templates, "user-creation does not start with Dialect=HA CoreSize=3");
}

#[test]
fn a_variable_that_is_not_read_is_found() {
    let mut templates = templates();
    variables(&mut templates, "SnapshotBootstrap").insert("BACKUP_BUCKET".to_owned(), json!("b"));
    complains(&templates, "BACKUP_BUCKET is set for snapshot-bootstrap, which does not read it");
}

/// As it was once: with authentication off there was no secret, and the function that needs it did not start.
#[test]
fn a_variable_that_is_needed_where_a_condition_leaves_it_out_is_found() {
    let mut templates = templates();
    let set = variables(&mut templates, "UserCreation").remove("ADMIN_SECRET_ARN").unwrap();
    let only_with = json!({"Fn::If": ["Authenticated", set, {"Ref": "AWS::NoValue"}]});
    variables(&mut templates, "UserCreation").insert("ADMIN_SECRET_ARN".to_owned(), only_with);
    complains(&templates, "user-creation does not start with Dialect=HA CoreSize=3 AuthEnabled=false");
}

/// A reference to what a condition leaves out fails the deployment.
#[test]
fn a_variable_that_refers_to_what_is_not_made_is_found() {
    let mut templates = templates();
    let condition = json!({"Fn::Equals": [{"Ref": "AuthEnabled"}, "true"]});
    templates.get_mut("").unwrap()["Conditions"]["Here"] = condition;
    templates.get_mut("").unwrap()["Resources"]["Sometimes"] = json!({"Type": "T", "Condition": "Here"});
    let refers = json!({"Fn::Sub": "${Sometimes}"});
    variables(&mut templates, "MasterElection").insert("STATE_BUCKET".to_owned(), refers);
    complains(&templates, "AuthEnabled=false");
}

mod data {
    use std::collections::BTreeMap;

    use super::{Case, compare};

    fn case(set: &[&str], asked: &[&str], refused: Option<&str>) -> Case {
        let set = set.iter().map(|name| ((*name).to_owned(), "x".to_owned())).collect::<BTreeMap<_, _>>();
        let asked = asked.iter().map(|name| (*name).to_owned()).collect();
        Case { of: "A=1".to_owned(), set, asked, refused: refused.map(str::to_owned) }
    }

    #[test]
    fn what_fits_is_not_complained_of() {
        let cases = [
            case(&["A", "NEO4J_dbms_x", "REGION"], &["A", "B", "NEO4J_*", "PORT"], None),
            case(&["A", "B"], &["A"], None),
        ];
        let exceptions = [("REGION", "the SDK reads it"), ("PORT", "tests set it")];
        assert!(compare("p", &cases, &exceptions).is_empty());
    }

    #[test]
    fn each_kind_of_misfit_is_one_sentence() {
        let one = |case: Case| compare("p", &[case], &[]);
        assert_eq!(one(case(&["A"], &["A", "B"], None)), ["B is read by p, and never set"]);
        assert_eq!(one(case(&["A", "B"], &["A"], None)), ["B is set for p, which does not read it"]);
        assert_eq!(one(case(&[], &[], Some("A is not set"))), ["p does not start with A=1: A is not set"]);
        let capitals = case(&["NEO4J_VERSION"], &["NEO4J_*"], None);
        assert_eq!(one(capitals), ["NEO4J_VERSION is set for p, which does not read it"]);
        let stale = compare("p", &[case(&["A"], &["A"], None)], &[("A", "no reason"), ("B", "neither")]);
        assert_eq!(stale, ["A is no exception of p (any more)", "B is no exception of p (any more)"]);
    }
}
