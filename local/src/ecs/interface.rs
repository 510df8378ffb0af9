//! Where the network interface of a task is: its subnet, and the availability zone of that. Pure.

use serde_json::Value;

use super::api::{Refusal, invalid};
use crate::emulator::REGION;

/// `API/API_AwsVpcConfiguration`: "There's a limit of 16 subnets", "of 5 security groups".
const MOST_SUBNETS: usize = 16;
const MOST_GROUPS: usize = 5;
/// Zones have letters, and no Region has more of them.
const ZONES: [char; 6] = ['a', 'b', 'c', 'd', 'e', 'f'];

/// Where a task's network interface is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// A subnet of its service's configuration, or of `RunTask`'s; `None` if its service has none.
    pub subnet: Option<String>,
    /// The availability zone of that subnet.
    pub zone: String,
}

/// The subnets of a service's `networkConfiguration`.
pub fn subnets(configuration: &Value) -> Vec<String> {
    list(&configuration["awsvpcConfiguration"]["subnets"])
}

/// The subnets of a `RunTask`'s `networkConfiguration`.
///
/// # Errors
/// Without a subnet, in ECS's words. Without a security group AWS takes the default one of the VPC, which no task of this project
/// may have: here it is refused.
pub fn subnets_of_task(configuration: &Value) -> Result<Vec<String>, Refusal> {
    let awsvpc = &configuration["awsvpcConfiguration"];
    if !awsvpc.is_object() {
        return Err(invalid(
            "Network Configuration must be provided when networkMode 'awsvpc' is specified.",
        ));
    }
    let (subnets, groups) = (list(&awsvpc["subnets"]), list(&awsvpc["securityGroups"]));
    if subnets.is_empty() {
        return Err(invalid("subnets can not be empty."));
    }
    if groups.is_empty() {
        return Err(invalid(
            "securityGroups can not be empty: the local cloud gives no task the default group of its VPC.",
        ));
    }
    if subnets.len() > MOST_SUBNETS || groups.len() > MOST_GROUPS {
        return Err(invalid(format!("At most {MOST_SUBNETS} subnets and {MOST_GROUPS} security groups.")));
    }
    Ok(subnets)
}

/// CloudFormation hands a parameter that is a list on as one string.
fn list(value: &Value) -> Vec<String> {
    match value {
        Value::String(joined) => joined.split(',').map(|one| one.trim().to_owned()).collect(),
        listed => listed
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|one| one.as_str().map(str::to_owned))
            .collect(),
    }
}

/// The subnets that were seen, in that order. Each is in a zone of its own as long as there are zones: nothing else is known of
/// subnets that only parameters name.
#[derive(Clone, Debug, Default)]
pub(super) struct Zones(Vec<String>);

impl Zones {
    /// The interface of a task: in the subnet of its host, which is another one for each `number`.
    pub(super) fn interface(&mut self, subnets: &[String], number: usize) -> Interface {
        let new: Vec<String> = subnets.iter().filter(|subnet| !self.0.contains(subnet)).cloned().collect();
        self.0.extend(new);
        let subnet = subnets.get(number % subnets.len().max(1)).cloned();
        let seen = subnet.as_ref().and_then(|subnet| self.0.iter().position(|seen| seen == subnet));
        Interface { subnet, zone: format!("{REGION}{}", ZONES[seen.unwrap_or(0) % ZONES.len()]) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn subnets_are_a_list_or_what_cloudformation_makes_of_one() {
        let of = |subnets: Value| super::subnets(&json!({"awsvpcConfiguration": {"subnets": subnets}}));
        assert_eq!(of(json!(["a", "b"])), ["a", "b"]);
        assert_eq!(of(json!("a,b")), ["a", "b"]);
        assert!(subnets(&Value::Null).is_empty());
    }

    #[test]
    fn a_subnet_stays_in_its_zone_whoever_names_it() {
        let mut zones = Zones::default();
        let subnets = ["s1", "s2", "s3"].map(str::to_owned);
        let all: Vec<Interface> = (0..4).map(|number| zones.interface(&subnets, number)).collect();
        let at = |subnet: &str, zone: &str| Interface { subnet: Some(subnet.into()), zone: zone.into() };
        let expected =
            [at("s1", "us-east-1a"), at("s2", "us-east-1b"), at("s3", "us-east-1c"), at("s1", "us-east-1a")];
        assert_eq!(all, expected);
        assert_eq!(
            zones.interface(&subnets[2..], 0),
            at("s3", "us-east-1c"),
            "a task that may be in this one only"
        );
        assert_eq!(zones.interface(&[], 5), Interface { subnet: None, zone: "us-east-1a".into() });
    }
}
