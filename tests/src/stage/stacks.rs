//! Small stacks beside the deployed one, made and changed through the cloud's CloudFormation.

use std::time::Duration;

use local::{
    cloud::Cloud,
    stacks::{self, Ended},
};
use serde_json::Value;

/// Two nodes of three wait for the third at the longest.
const PATIENCE: Duration = Duration::from_secs(300);

/// Creates a stack and waits for the end.
pub async fn create(cloud: &Cloud, name: &str, template: &Value) -> Result<Ended, String> {
    stacks::create(cloud.endpoint, name, template, PATIENCE).await
}

/// Updates a stack and waits for the end.
pub async fn update(cloud: &Cloud, name: &str, template: &Value) -> Result<Ended, String> {
    stacks::update(cloud.endpoint, name, template, PATIENCE).await
}

/// Deletes a stack and waits until it is gone.
pub async fn delete(cloud: &Cloud, name: &str) -> Result<(), String> {
    stacks::delete(cloud.endpoint, name, PATIENCE).await
}
