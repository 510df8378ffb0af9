//! `Custom::Neo4jUser`.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use custom_resource::{Call, Data, Failure, Outcome, Resource};
use neo4j::UserName;
use serde_json::{Value, json};

use crate::{
    Config, Desired, Node, Record, Trouble, World,
    desired::name,
    events::tell,
    everywhere::{Told, done_on, everywhere, problems},
    node::{Problem, Target},
    properties::Properties,
    secrets::Passwords,
};

/// Between two looks at nodes that are not there yet.
const BETWEEN_LOOKS: Duration = Duration::from_secs(5);

/// One Neo4j user, the same on every node.
pub struct Neo4jUser<W> {
    world: Arc<W>,
    config: Config,
}

impl<W: World> Neo4jUser<W> {
    /// Users of the cluster that `config` describes.
    pub fn new(world: Arc<W>, config: Config) -> Self {
        Self { world, config }
    }

    /// Records what is wanted, applies it everywhere, and looks whether it is wanted still.
    async fn apply(&self, call: &Call, properties: &Properties) -> Result<Outcome, Failure> {
        let desired = properties.desired()?;
        let mut record = Record {
            user: desired.user.clone(),
            desired: Some(desired.clone()),
            owner: owner(call),
            request: call.request_id.clone(),
            before: None,
        };
        call.step("read the secrets");
        let nothing_made = |failure: Failure| match call.progress {
            None => failure.nothing_made(),
            Some(_) => failure,
        };
        let passwords = Passwords::read(&*self.world, &desired.secret_arn).await;
        let passwords = passwords.map_err(|trouble| nothing_made(refused(trouble)))?;
        let admin = self.admin().await.map_err(nothing_made)?;
        // A continuation records nothing: a Delete may have come meanwhile.
        let since = if let Some(since) = call.progress.as_ref().and_then(since) {
            since
        } else {
            call.step("record the user");
            record = record.after(self.found(&desired.user).await?);
            self.world.write(&record).await.map_err(refused)?;
            now()
        };
        call.step(format!("look for the nodes of user {}", desired.user));
        let nodes = self.world.nodes().await.map_err(refused)?;
        call.step(format!("make user {} on {} nodes", desired.user, nodes.len()));
        let target = Target { user: desired.user.clone(), wanted: Some((desired.clone(), passwords)) };
        let told = everywhere(&self.config, &nodes, &admin, &target, true).await;
        tell(&desired.user, &told);
        self.still_wanted(call, &record, &nodes, &admin).await?;
        self.conclude(&desired, &told, since)
    }

    fn conclude(&self, desired: &Desired, told: &[Told], since: u64) -> Result<Outcome, Failure> {
        let problems_left: Vec<&Problem> =
            told.iter().filter_map(|told| told.outcome.as_ref().err()).collect();
        if problems_left.is_empty() {
            return Ok(Outcome::Done(
                Data::new()
                    .with("Username", &desired.user)
                    .with("Role", desired.role)
                    .with("Nodes", told.len()),
            ));
        }
        let waited = Duration::from_secs(now().saturating_sub(since));
        if problems_left.iter().all(|problem| problem.passes()) && waited < self.config.node_wait {
            return Ok(Outcome::Unfinished {
                progress: json!({ "since": since }),
                after: BETWEEN_LOOKS,
                waiting_for: problems(told),
            });
        }
        Err(Failure::new(format_args!(
            "user {} is not what it should be on {} of {} nodes: {}; {}. When they are in order, deploy again: what is done \
             already is left as it is",
            desired.user,
            problems_left.len(),
            told.len(),
            problems(told),
            done_on(told)
        )))
    }

    /// A Delete or another Update may have come meanwhile: the record says. What was made of a user that is not wanted any
    /// more is removed again.
    async fn still_wanted(
        &self,
        call: &Call,
        record: &Record,
        nodes: &[Node],
        admin: &Passwords,
    ) -> Result<(), Failure> {
        call.step("look whether it is wanted still");
        let user = &record.user;
        match self.world.record(user).await.map_err(refused)? {
            Some(found) if found.is(record) => Ok(()),
            Some(Record { desired: Some(_), .. }) => Err(Failure::new(format_args!(
                "user {user} was changed by a later request while this one ran: that one goes on, and this one gave up"
            ))),
            _ => {
                let absent = Target { user: user.clone(), wanted: None };
                let told = everywhere(&self.config, nodes, admin, &absent, false).await;
                tell(user, &told);
                Err(Failure::new(format_args!(
                    "user {user} was deleted while it was being made: what was made is removed again{}",
                    match problems(&told) {
                        none if none.is_empty() => String::new(),
                        left => format!(", but not everywhere: {left}"),
                    }
                )))
            }
        }
    }

    /// The record that is there; one that cannot be read is replaced by what this request says.
    async fn found(&self, user: &UserName) -> Result<Option<Record>, Failure> {
        match self.world.record(user).await {
            Err(Trouble::Record(_)) => Ok(None),
            found => found.map_err(refused),
        }
    }

    async fn admin(&self) -> Result<Passwords, Failure> {
        Passwords::read(&*self.world, &self.config.admin_secret).await.map_err(refused)
    }

    fn user_of(&self, physical_id: &str) -> Option<UserName> {
        name(physical_id.strip_prefix(&self.config.stack)?.strip_prefix('/')?).ok()
    }

    /// What another resource has to do with the user that `call` wants to delete.
    async fn let_go(&self, call: &Call, found: Record) -> Result<(), Failure> {
        let user = found.user.clone();
        let taken_over = found.owner != owner(call);
        let left = match found.before {
            Some(before) if !taken_over => *before,
            _ => Record { before: None, ..found },
        };
        tracing::info!(
            event = "user-taken-over", user = %user, owner = left.owner,
            "user {user} belongs to another resource, so it was not removed; that one's record is what counts"
        );
        self.world.write(&left).await.map_err(refused)
    }

    /// Removes `user` from every node that answers; the record keeps it in mind for those that do not.
    async fn remove(&self, call: &Call, user: &UserName) -> Result<Outcome, Failure> {
        call.step("record that the user is to be absent");
        let found = self.found(user).await?;
        if let Some(found) = found
            && (found.owner != owner(call) || found.before.is_some())
        {
            self.let_go(call, found).await?;
            return Ok(Outcome::Done(Data::new()));
        }
        let record = Record {
            user: user.clone(),
            desired: None,
            owner: owner(call),
            request: call.request_id.clone(),
            before: None,
        };
        self.world.write(&record).await.map_err(refused)?;
        call.step("look for the nodes");
        let nodes = self.world.nodes().await.map_err(refused)?;
        if nodes.iter().all(|node| node.address.is_none()) {
            // The cluster is gone, and its users with it.
            self.world.forget(user).await.map_err(refused)?;
            return Ok(Outcome::Done(Data::new()));
        }
        let admin = self.admin().await?;
        call.step(format!("remove user {user} from {} nodes", nodes.len()));
        let absent = Target { user: user.clone(), wanted: None };
        let told = everywhere(&self.config, &nodes, &admin, &absent, false).await;
        tell(user, &told);
        let left: Vec<&Problem> = told.iter().filter_map(|told| told.outcome.as_ref().err()).collect();
        if left.is_empty() {
            self.world.forget(user).await.map_err(refused)?;
        } else if left.iter().all(|problem| problem.is_unreachable()) {
            tracing::warn!(
                event = "user-removed-in-part", user = %user,
                "user {user} could not be removed everywhere, and is removed from a node as soon as it answers: {}",
                problems(&told)
            );
        } else {
            return Err(Failure::new(format_args!(
                "user {user} is not removed: {}; {}. Put that in order and delete again, or delete the stack and retain this \
                 resource",
                problems(&told),
                done_on(&told)
            )));
        }
        Ok(Outcome::Done(Data::new()))
    }
}

impl<W: World> Resource for Neo4jUser<W> {
    type Properties = Properties;

    const TYPE: &'static str = "Custom::Neo4jUser";

    fn validate(&self, properties: &Properties) -> Result<(), Failure> {
        properties.desired().map(drop)
    }

    fn physical_id(&self, _call: &Call, properties: &Properties) -> String {
        format!("{}/{}", self.config.stack, properties.username)
    }

    async fn create(&self, call: &Call, properties: &Properties) -> Result<Outcome, Failure> {
        self.apply(call, properties).await
    }

    async fn update(
        &self,
        call: &Call,
        properties: &Properties,
        _old: Option<&Properties>,
    ) -> Result<Outcome, Failure> {
        self.apply(call, properties).await
    }

    async fn delete(
        &self,
        call: &Call,
        physical_id: &str,
        _properties: Option<&Properties>,
    ) -> Result<Outcome, Failure> {
        match self.user_of(physical_id) {
            Some(user) => self.remove(call, &user).await,
            None => Ok(Outcome::Done(Data::new())),
        }
    }

    fn owns(&self, _call: &Call, physical_id: &str) -> bool {
        self.user_of(physical_id).is_some()
    }

    /// Without the function's own parameters the stack in the id is not known (the resource may be in a template of another stack),
    /// so every `something/user` may be a user of this cluster's. An id that CloudFormation invents has no slash.
    fn needs_delete(_call: &Call, physical_id: &str) -> bool {
        physical_id.rsplit_once('/').is_some_and(|(_, user)| name(user).is_ok())
    }
}

/// Who a record belongs to.
fn owner(call: &Call) -> String {
    format!("{}/{}", call.stack_id, call.logical_id)
}

fn since(progress: &Value) -> Option<u64> {
    progress["since"].as_u64()
}

/// Seconds since 1970: a continuation runs in another process.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[allow(clippy::needless_pass_by_value)] // as map_err hands it over
fn refused(trouble: Trouble) -> Failure {
    Failure::new(trouble)
}
