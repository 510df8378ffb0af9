//! `Custom::Neo4jUserRecords`: created before all users of the stack and deleted after them, so that a
//! deleted stack leaves no parameter behind.

use std::sync::Arc;

use custom_resource::{Call, Data, Failure, Outcome, Resource};
use serde::Deserialize;

use crate::{
    Config, NotARecord, Record, Trouble, World,
    once::{Progress, Stop},
    said::Answer,
};

/// The records and remembered requests of one stack.
pub struct UserRecords<W> {
    world: Arc<W>,
    config: Config,
}

/// An empty list: no property is known.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoProperties {}

/// Which records to forget: all of them, unless a user of this very stack is still wanted. Then the stack is
/// not being deleted: the update that added this resource is being rolled back, and without their records the
/// stack's users would not be made on a node that is replaced.
fn forgettable<'a>(
    records: &'a [Result<Record, NotARecord>],
    stack_id: &str,
) -> Result<Vec<&'a str>, Vec<&'a str>> {
    let own = |owner: &str| owner.strip_prefix(stack_id).is_some_and(|rest| rest.starts_with('/'));
    let read = records.iter().filter_map(|record| record.as_ref().ok());
    let wanted: Vec<&str> = read
        .filter(|record| record.desired.is_some() && own(&record.owner))
        .map(|record| record.user.as_str())
        .collect();
    if !wanted.is_empty() {
        return Err(wanted);
    }
    let name = |record: &'a Result<Record, NotARecord>| match record {
        Ok(record) => record.user.as_str(),
        Err(unreadable) => unreadable.user.as_str(),
    };
    Ok(records.iter().map(name).collect())
}

impl<W: World> UserRecords<W> {
    pub fn new(world: Arc<W>, config: Config) -> Self {
        Self { world, config }
    }

    fn id(&self) -> String {
        format!("{}-user-records", self.config.cluster.stack)
    }

    async fn forget_all(&self, call: &Call) -> Result<(), Trouble> {
        call.step("forget the users' records");
        let records = self.world.records().await?;
        match forgettable(&records, &call.stack_id) {
            Ok(names) => {
                for name in names {
                    self.world.forget(name).await?;
                }
            }
            Err(wanted) => {
                tracing::warn!(
                    event = "user-records-kept",
                    "records are kept, because resources of this stack want their users still: {}",
                    wanted.join(", ")
                );
            }
        }
        call.step("forget the remembered requests");
        for (request, _) in self.world.requests().await? {
            self.world.forget_request(&request).await?;
        }
        Ok(())
    }
}

impl<W: World> Resource for UserRecords<W> {
    type Properties = NoProperties;

    const TYPE: &'static str = "Custom::Neo4jUserRecords";

    fn validate(&self, _properties: &NoProperties) -> Result<(), Failure> {
        Ok(())
    }

    fn physical_id(&self, _call: &Call, _properties: &NoProperties) -> String {
        self.id()
    }

    async fn create(&self, _call: &Call, _properties: &NoProperties) -> Result<Outcome, Failure> {
        Ok(Outcome::Done(Data::new()))
    }

    async fn update(
        &self,
        _call: &Call,
        _properties: &NoProperties,
        _old: Option<&NoProperties>,
    ) -> Result<Outcome, Failure> {
        Ok(Outcome::Done(Data::new()))
    }

    async fn delete(
        &self,
        call: &Call,
        _physical_id: &str,
        _properties: Option<&NoProperties>,
    ) -> Result<Outcome, Failure> {
        match self.forget_all(call).await.map_err(Stop::from) {
            Ok(()) => Ok(Outcome::Done(Data::new())),
            // The next listing lacks what was forgotten already.
            Err(Stop::Aws(waiting_for) | Stop::Nodes(waiting_for)) => {
                Ok(Progress::of(call).waits_for_aws(&call.request_id, waiting_for))
            }
            Err(Stop::Concluded(answer)) => Answer::into_outcome(answer),
        }
    }

    fn owns(&self, _call: &Call, physical_id: &str) -> bool {
        physical_id == self.id()
    }

    /// An omitted Delete leaves parameters without a secret; they must not keep a stack from being deleted.
    fn needs_delete(_physical_id: &str) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use neo4j::Role;

    use super::*;
    use crate::Desired;

    #[test]
    fn records_stay_only_while_a_resource_of_the_stack_wants_its_user() {
        let stack = "arn:aws:cloudformation:us-east-1:0:stack/neo4j/1";
        let wanted = |user: &str, stack: &str| {
            let user: neo4j::UserName = user.parse().unwrap();
            let desired = Desired {
                user: user.clone(),
                role: Role::Reader,
                secret_arn: "arn:s".into(),
                suspended: false,
            };
            Record {
                user,
                desired: Some(desired),
                owner: format!("{stack}/App"),
                request: "r".into(),
                before: None,
            }
        };
        let foreign = wanted("foreign", "arn:aws:cloudformation:us-east-1:0:stack/other/2");
        let absent = wanted("gone", stack).absent();
        let unreadable = NotARecord { user: "a b".into(), reason: "x".into() };
        let all = [Ok(foreign), Ok(absent), Err(unreadable)];
        assert_eq!(forgettable(&all, stack), Ok(vec!["foreign", "gone", "a b"]));
        let kept = [Ok(wanted("app", stack)), Ok(wanted("gone", stack).absent())];
        assert_eq!(forgettable(&kept, stack), Err(vec!["app"]));
        assert_eq!(forgettable(&[], stack), Ok(vec![]));
    }
}
