//! Two stacks of the template in one account and region: they share nothing, and one goes without a trace in the other.

use std::{collections::BTreeSet, fs, net::Ipv4Addr, time::Instant};

use local::{
    callers::{self, Caller},
    client::{self, User},
    cloud::Cloud,
    control::{HTTP_PORT, Status},
    observe,
    processes::{Signal, signal_group},
    stack::Stack,
    stacks::{self, Resource},
};
use serde_json::{Value, json};

use end_to_end::stage::{Outcome, PATIENCE, Stage, ask_function, rest, wait};

use crate::rolling::Roll;

/// It begins with the first one's name: nothing may be found by that beginning.
const SECOND: &str = "neo4j-local-two";
/// One small node, without backups that begin by themselves.
const PARAMETERS: [(&str, &str); 6] = [
    ("Dialect", "SINGLE"),
    ("CoreSize", "1"),
    ("HeapSize", "256m"),
    ("PageCacheSize", "32m"),
    ("HourlyBackups", "false"),
    ("DailyBackupAt", "off"),
];
/// What the functions that look at nodes are invoked by: three schedules and four rules.
const CALLERS: usize = 7;
/// So many writes may have waited for longer than their client's second: two seconds' worth, on a machine that ends a JVM meanwhile.
const LATE: usize = 40;
const ELECTION: &str = "master-election";
const USERS: &str = "user-creation";
/// Sources of events.
const NODE: &str = "neo4j.node";
const TASK: &str = "aws.ecs";
const STATE: &str = "master-election/state.json";
const OWNER: &str = "owner.json";
const BACKUPS: &str = "backup-trigger";
const TICK: &[u8] = include_bytes!("../../../events/backup-tick.json");
const FUNCTION: &str = "AWS::Lambda::Function";
const SECRET: &str = "AWS::SecretsManager::Secret";
const BUCKET: &str = "AWS::S3::Bucket";
/// Their ids say something about another resource, and are unique beside that one only.
const PARTS_OF_OTHERS: [&str; 3] =
    ["AWS::Lambda::Permission", "AWS::Lambda::EventInvokeConfig", "AWS::Logs::MetricFilter"];

/// A second stack is made beside the first one, works beside it, and is deleted, while a client writes to the first one. The tests
/// that come after this one kill the first one's master and see that it is followed.
pub fn side_by_side(stage: &Stage) -> Outcome {
    stage.play(async |first| {
        let before = (rest(first).await?.nodes, callers_of(first).await?);
        let roll = Roll::start(first, "Beside").await?;
        let second = first.of(&Stack::new(SECOND));
        let lived = beside(first, &second).await;
        let deleting = Instant::now();
        // Whatever was seen: the next tests have the cloud for themselves.
        let gone = deleted(&second).await;
        lived?;
        gone?;
        let after = (rest(first).await?.nodes, callers_of(first).await?);
        let seen = roll.end(first).await?;
        println!("a second stack came and went: {}", seen.sentence());
        let tasks =
            |nodes: &[local::control::Node]| nodes.iter().map(|node| node.task.clone()).collect::<Vec<_>>();
        if (tasks(&before.0), &before.1) != (tasks(&after.0), &after.1) {
            return Err(format!("the first stack is not what it was: {before:?} became {after:?}"));
        }
        seen.undisturbed()?;
        let late = seen.late_since(deleting);
        if late > LATE {
            return Err(format!(
                "{late} writes to the first stack were late while the second one was deleted"
            ));
        }
        match seen.refused_since(deleting) {
            none if none.is_empty() => Ok(()),
            refused => Err(format!(
                "writes to the first stack were refused while the second one was deleted: {}",
                refused.join("; ")
            )),
        }
    })
}

async fn beside(first: &Cloud, second: &Cloud) -> Outcome {
    let deployed = tokio::time::timeout(PATIENCE, second.deploy(&PARAMETERS)).await;
    let deployed = deployed.map_err(|_| format!("{SECOND} is not deployed within {PATIENCE:?}"))?;
    deployed.map_err(|error| error.to_string())?;
    let status = wait("the second stack's own schedule registers its node", || async {
        let status = second.status().await;
        at_rest(&status).then_some(status)
    })
    .await?;
    if processes() == 0 {
        return Err("no process is known by the second stack's name: its end would show nothing".into());
    }
    apart(first, second).await?;
    each_calls_its_own(first, second).await?;
    for cloud in [first, second] {
        let (own, others) = (addresses(&cloud.status().await), cloud.balancers());
        let targets =
            others.iter().flat_map(|balancer| &balancer.listeners).flat_map(|listener| &listener.targets);
        if let Some(stranger) = targets.map(|target| target.ip).find(|ip| !own.contains(ip)) {
            return Err(format!(
                "{stranger} is in a group of {} and is not of its nodes {own:?}",
                cloud.stack
            ));
        }
    }
    logins(first, second, &status).await?;
    rings(first, second).await
}

/// Its one node is the master, and all its write groups lead to it.
fn at_rest(status: &Status) -> bool {
    let Some((_, master, _)) = observe::master(status) else { return false };
    let groups = observe::registered(&status.balancers);
    let admitted = observe::healthy(&status.balancers, HTTP_PORT) == [master];
    status.nodes.len() == 1
        && !groups.is_empty()
        && groups.iter().all(|group| group[..] == [master])
        && admitted
}

fn addresses(status: &Status) -> BTreeSet<Ipv4Addr> {
    status.nodes.iter().map(|node| node.address).collect()
}

/// No resource is in both, each one's records are of its own slots, and the bucket with its backups is its own.
async fn apart(first: &Cloud, second: &Cloud) -> Outcome {
    let ids = async |cloud: &Cloud| {
        let all = resources(cloud).await?.into_iter();
        let all = all.filter(|resource| !PARTS_OF_OTHERS.contains(&resource.kind.as_str()));
        Ok::<BTreeSet<String>, String>(
            all.map(|resource| format!("{} {}", resource.kind, resource.physical_id)).collect(),
        )
    };
    let (ours, theirs) = (ids(first).await?, ids(second).await?);
    let shared: Vec<&String> = ours.intersection(&theirs).collect();
    if !shared.is_empty() {
        return Err(format!("both stacks have {shared:?}"));
    }
    for (cloud, other) in [(first, second), (second, first)] {
        let buckets = Buckets::of(cloud).await?;
        let state = kept(cloud, &buckets.state, STATE).await?;
        let has = |stack: &Stack| state.contains(&format!("\"{}\"", stack.core(1)));
        if !has(&cloud.stack) || has(&other.stack) {
            return Err(format!("not the state of {}: {state}", cloud.stack));
        }
        ask_function(cloud, BACKUPS, TICK).await?;
        let owner = kept(cloud, &buckets.backups, OWNER).await?;
        if !owner.contains(&format!("stack/{}/", cloud.stack)) {
            return Err(format!("not the owner of the backups of {}: {owner}", cloud.stack));
        }
    }
    Ok(())
}

/// Each schedule and rule invokes a function of its own stack, and listens to its own stack.
async fn each_calls_its_own(first: &Cloud, second: &Cloud) -> Outcome {
    for cloud in [first, second] {
        let callers = callers_of(cloud).await?;
        if callers.len() != CALLERS {
            return Err(format!(
                "{} is not invoked by {CALLERS} schedules and rules: {callers:?}",
                cloud.stack
            ));
        }
        let own = named(&resources(cloud).await?, FUNCTION);
        for caller in callers {
            let pattern = caller.pattern.to_string();
            let listens = [format!("\"{}\"", cloud.stack), format!("cluster/{}\"", cloud.stack.cluster())];
            let listens = caller.pattern.is_null() || listens.iter().any(|one| pattern.contains(one));
            if !own.contains(&caller.function) || !listens {
                return Err(format!("{caller:?} is in {}, and calls or hears another stack", cloud.stack));
            }
        }
    }
    Ok(())
}

/// The second stack's node is killed and comes back: its task and its node ring, and nothing of it is heard in the first stack.
async fn rings(first: &Cloud, second: &Cloud) -> Outcome {
    let (_, old, pid) = observe::master(&second.status().await).ok_or("the second stack has no master")?;
    signal_group(pid, Signal::KILL);
    wait("the functions of the second stack hear its node and its task", || async {
        let heard = |function: &str, source: &str| {
            heard(second, function).iter().any(|event| event["source"] == source)
        };
        (heard(ELECTION, NODE) && heard(ELECTION, TASK) && heard(USERS, NODE)).then_some(())
    })
    .await?;
    wait("the second stack's node is registered again", || async {
        let status = second.status().await;
        (at_rest(&status) && !addresses(&status).contains(&old)).then_some(())
    })
    .await?;
    for (cloud, function) in [first, second].into_iter().flat_map(|cloud| [(cloud, ELECTION), (cloud, USERS)])
    {
        let cluster = format!(":cluster/{}", cloud.stack.cluster());
        let own = |event: &Value| match event["source"].as_str() {
            Some(NODE) => event["detail"]["stack"] == cloud.stack.name(),
            Some(TASK) => event["detail"]["clusterArn"].as_str().is_some_and(|arn| arn.ends_with(&cluster)),
            _ => true,
        };
        if let Some(strange) = heard(cloud, function).into_iter().find(|event| !own(event)) {
            return Err(format!("{function} of {} heard {strange}", cloud.stack));
        }
    }
    Ok(())
}

/// The last events that a function of the stack was sent.
fn heard(cloud: &Cloud, function: &str) -> Vec<Value> {
    cloud.gateway.deliveries.remembered(&cloud.stack.function(function))
}

/// The users of one stack are not those of the other, although they have the same names.
async fn logins(first: &Cloud, second: &Cloud, status: &Status) -> Outcome {
    let at = observe::write_endpoint(status, HTTP_PORT).ok_or("the second stack has no listener for HTTP")?;
    let write = async |cloud: &Cloud| {
        let login = cloud.login(User::Writer).await?;
        Ok::<_, String>(client::cypher(at, &login, "CREATE (:Beside)", json!({}), PATIENCE).await)
    };
    write(second).await??;
    match write(first).await? {
        Err(refused) if refused.says("Unauthorized") => Ok(()),
        other => Err(format!("the first stack's writer on the second one: {other:?}")),
    }
}

/// The stack is deleted; what holds data is there, and nothing else is.
async fn deleted(second: &Cloud) -> Outcome {
    let resources = resources(second).await?;
    let secrets = named(&resources, SECRET);
    let (buckets, before) = (Buckets::of(second).await, listings(second).await);
    stacks::delete(second.endpoint, SECOND, PATIENCE).await?;
    wait("no process, balancer or schedule of the second stack is left", || async {
        let ended = second.tasks().iter().all(|task| task.stopped.is_some()) && processes() == 0;
        let own = named(&resources, FUNCTION);
        let callers = callers::all(second.gateway.emulator).await.ok()?;
        let called = callers.iter().any(|caller| own.contains(&caller.function));
        (ended && !called && second.balancers().is_empty()).then_some(())
    })
    .await?;
    for ((what, before), (_, after)) in before?.iter().zip(listings(second).await?) {
        // What did not name it before shows nothing afterwards.
        if !before.contains(SECOND) || after.contains(SECOND) {
            return Err(format!("{what} of the second stack, there and then gone? {before} became {after}"));
        }
    }
    if (named(&resources, BUCKET).len(), secrets.len()) != (2, 3) {
        return Err(format!("two buckets and three secrets were expected: {resources:?}"));
    }
    let buckets = buckets?;
    kept(second, &buckets.state, STATE).await?;
    kept(second, &buckets.backups, OWNER).await?;
    for secret in secrets {
        listed(second, "secretsmanager", "secretsmanager.GetSecretValue", &json!({"SecretId": secret}))
            .await
            .map_err(|error| format!("{secret} is not kept: {error}"))?;
    }
    Ok(())
}

/// What is listed of the account that a stack names after itself.
async fn listings(cloud: &Cloud) -> Result<Vec<(&'static str, String)>, String> {
    let records = json!({"Path": format!("/{SECOND}"), "Recursive": true});
    let calls = [
        ("services", "ecs", "AmazonEC2ContainerServiceV20141113.ListServices", json!({"cluster": SECOND})),
        ("log groups", "logs", "Logs_20140328.DescribeLogGroups", json!({"logGroupNamePrefix": "/"})),
        ("records of users", "ssm", "AmazonSSM.GetParametersByPath", records),
    ];
    let mut listings = Vec::new();
    for (what, service, target, body) in calls {
        let text = match listed(cloud, service, target, &body).await {
            // A cluster that is gone has no services.
            Err(error) if error.contains("ClusterNotFoundException") => String::new(),
            text => text?,
        };
        listings.push((what, text));
    }
    Ok(listings)
}

async fn listed(cloud: &Cloud, service: &str, target: &str, body: &Value) -> Result<String, String> {
    let answer = cloud.gateway.emulator.json(service, target, body).await;
    answer.map(|answer| answer.to_string()).map_err(|error| error.to_string())
}

/// How many processes of this machine are in a task of the second stack, by the environment that they were started with.
fn processes() -> usize {
    let all = fs::read_dir("/proc").into_iter().flatten().flatten();
    let environments = all.filter_map(|process| fs::read(process.path().join("environ")).ok());
    let of_a_task = environments.filter(|environment| {
        let mut pairs = environment.split(|byte| *byte == 0);
        let stack = format!("STACK={SECOND}").into_bytes();
        environment.split(|byte| *byte == 0).any(|pair| pair == stack)
            && pairs.any(|pair| pair.starts_with(b"ECS_CONTAINER_METADATA_URI_V4="))
    });
    of_a_task.count()
}

async fn resources(cloud: &Cloud) -> Result<Vec<Resource>, String> {
    stacks::resources(cloud.gateway.emulator.at, cloud.stack.name()).await
}

fn named(resources: &[Resource], kind: &str) -> Vec<String> {
    resources.iter().filter(|one| one.kind == kind).map(|one| one.physical_id.clone()).collect()
}

/// The buckets of a stack: with the records of its control plane, and with its backups.
struct Buckets {
    state: String,
    backups: String,
}

impl Buckets {
    async fn of(cloud: &Cloud) -> Result<Self, String> {
        let told = cloud.gateway.emulator.function_environment(&cloud.stack.function(BACKUPS)).await;
        let told = told.map_err(|error| error.to_string())?;
        let named = |name: &str| told[name].as_str().map(str::to_owned).ok_or(format!("no {name} in {told}"));
        Ok(Self { state: named("STATE_BUCKET")?, backups: named("BACKUP_BUCKET")? })
    }
}

/// What an object says.
async fn kept(cloud: &Cloud, bucket: &str, key: &str) -> Result<String, String> {
    let object = cloud.gateway.emulator.get_object(&format!("{bucket}/{key}")).await;
    let object = object.map_err(|error| format!("{key} of the bucket {bucket}: {error}"))?;
    Ok(String::from_utf8_lossy(&object).into_owned())
}

/// The schedules and rules of a stack.
async fn callers_of(cloud: &Cloud) -> Result<Vec<Caller>, String> {
    let all = callers::all(cloud.gateway.emulator).await?.into_iter();
    let own = resources(cloud).await?;
    Ok(all.filter(|caller| own.iter().any(|resource| resource.physical_id == caller.name)).collect())
}
