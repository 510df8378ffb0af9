//! The addresses that are registered in a target group.

use std::{collections::BTreeSet, net::IpAddr};

use aws_config::SdkConfig;
use aws_sdk_elasticloadbalancingv2::{
    Client,
    types::{TargetDescription, TargetHealthStateEnum},
};

use crate::Error;

/// The target groups. Clones share their connections.
#[derive(Clone, Debug)]
pub struct TargetGroups {
    client: Client,
}

impl TargetGroups {
    pub fn new(config: &SdkConfig) -> Self {
        Self { client: Client::new(config) }
    }

    /// The addresses that are registered in the group `arn`; draining ones are not among them.
    pub async fn registered(&self, arn: &str) -> Result<BTreeSet<IpAddr>, Error> {
        let health = self.client.describe_target_health().target_group_arn(arn).send().await;
        let health =
            health.map_err(|error| Error::of("elasticloadbalancing:DescribeTargetHealth", arn, &error))?;
        let drains = |state: Option<&TargetHealthStateEnum>| state == Some(&TargetHealthStateEnum::Draining);
        let registered = health
            .target_health_descriptions()
            .iter()
            .filter(|target| !drains(target.target_health().and_then(|health| health.state())))
            .filter_map(|target| target.target()?.id()?.parse().ok());
        Ok(registered.collect())
    }

    /// Registers `address` at `port`; idempotent.
    pub async fn register(&self, arn: &str, address: IpAddr, port: u16) -> Result<(), Error> {
        let call =
            self.client.register_targets().target_group_arn(arn).targets(target(address, port)).send().await;
        call.map(drop).map_err(|error| Error::of("elasticloadbalancing:RegisterTargets", arn, &error))
    }

    /// Deregisters `address` at `port`; idempotent.
    pub async fn deregister(&self, arn: &str, address: IpAddr, port: u16) -> Result<(), Error> {
        let call = self
            .client
            .deregister_targets()
            .target_group_arn(arn)
            .targets(target(address, port))
            .send()
            .await;
        call.map(drop).map_err(|error| Error::of("elasticloadbalancing:DeregisterTargets", arn, &error))
    }
}

fn target(address: IpAddr, port: u16) -> TargetDescription {
    TargetDescription::builder().id(address.to_string()).port(port.into()).build()
}
