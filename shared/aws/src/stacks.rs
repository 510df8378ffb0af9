//! What CloudFormation is doing with a stack now.

use aws_config::SdkConfig;
use aws_sdk_cloudformation::Client;

use crate::{Error, Kind};

/// What happens to a stack now, as far as a custom resource needs to know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// It returns to what it was before an operation that failed.
    RollBack,
    /// It is updated.
    Update,
    /// Anything else: it is created, deleted, or at rest.
    Other,
}

/// The stacks of this account and region. Clones share their connections.
#[derive(Clone, Debug)]
pub struct Stacks {
    client: Client,
}

impl Stacks {
    pub fn new(config: &SdkConfig) -> Self {
        Self { client: Client::new(config) }
    }

    /// What happens to the stack `id` (its ARN) now. Statuses: `StackStatus` of the data type Stack in
    /// CloudFormation's API reference.
    ///
    /// # Errors
    /// When the call failed, or no stack is described.
    pub async fn operation(&self, id: &str) -> Result<Operation, Error> {
        const CALL: &str = "cloudformation:DescribeStacks";
        let described = self.client.describe_stacks().stack_name(id).send().await;
        let described = described.map_err(|error| Error::of(CALL, id, &error))?;
        let status = described.stacks().first().and_then(|stack| stack.stack_status());
        let status = status.ok_or_else(|| Error {
            call: CALL,
            what: id.to_owned(),
            reason: "the answer has no such stack".to_owned(),
            kind: Kind::Other,
        })?;
        Ok(operation(status.as_str()))
    }
}

/// `UPDATE_ROLLBACK_IN_PROGRESS`, `ROLLBACK_IN_PROGRESS` and their clean-up, also after
/// `continue-update-rollback`.
fn operation(status: &str) -> Operation {
    if status.contains("ROLLBACK") && status.ends_with("IN_PROGRESS") {
        Operation::RollBack
    } else if status == "UPDATE_IN_PROGRESS" {
        Operation::Update
    } else {
        Operation::Other
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::Fake;

    #[test]
    fn what_is_under_way_is_in_the_status() {
        let table = [
            ("UPDATE_ROLLBACK_IN_PROGRESS", Operation::RollBack),
            ("UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS", Operation::RollBack),
            ("ROLLBACK_IN_PROGRESS", Operation::RollBack),
            ("UPDATE_IN_PROGRESS", Operation::Update),
            ("CREATE_IN_PROGRESS", Operation::Other),
            ("DELETE_IN_PROGRESS", Operation::Other),
            ("UPDATE_ROLLBACK_COMPLETE", Operation::Other),
            ("UPDATE_ROLLBACK_FAILED", Operation::Other),
            ("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", Operation::Other),
        ];
        for (status, expected) in table {
            assert_eq!(operation(status), expected, "{status}");
        }
    }

    #[tokio::test]
    async fn the_stack_is_asked_for_by_its_arn() {
        let body = "<DescribeStacksResponse><DescribeStacksResult><Stacks><member><StackName>s</StackName>\
            <CreationTime>2026-01-01T00:00:00Z</CreationTime><StackStatus>UPDATE_ROLLBACK_IN_PROGRESS</StackStatus>\
            </member></Stacks></DescribeStacksResult></DescribeStacksResponse>";
        let fake = Fake::start(move |_, _| Some((200, body.to_owned()))).await;
        let stacks = Stacks::new(&fake.config);
        assert_eq!(stacks.operation("arn:stack/s/1").await, Ok(Operation::RollBack));
        assert!(fake.asked()[0].body.contains("StackName=arn%3Astack%2Fs%2F1"), "{:?}", fake.asked());
        let gone = "<DescribeStacksResponse><DescribeStacksResult><Stacks/></DescribeStacksResult></DescribeStacksResponse>";
        let fake = Fake::start(move |_, _| Some((200, gone.to_owned()))).await;
        let error = Stacks::new(&fake.config).operation("arn:stack/s/1").await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "cloudformation:DescribeStacks on arn:stack/s/1 failed: the answer has no such stack"
        );
    }
}
