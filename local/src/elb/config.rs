//! What the emulator keeps of balancers, listeners and target groups, read through its own API.

use std::{collections::HashMap, fmt::Display, time::Duration};

use aws_sdk_elasticloadbalancingv2::{
    Client, Config,
    config::{BehaviorVersion, Credentials, Region},
    error::{DisplayErrorContext, SdkError},
    types::{LoadBalancerTypeEnum, ProtocolEnum, TargetGroup},
};

use super::rules::{Check, Matcher, Rules};
use crate::emulator::{KEY, REGION};

/// A listener's idle timeout when its attribute is not set.
const DEFAULT_IDLE: Duration = Duration::from_secs(350);
const DELAY: &str = "deregistration_delay.timeout_seconds";
/// A group's deregistration delay when its attribute is not set.
const DEFAULT_DELAY: Duration = Duration::from_secs(300);

/// All network balancers of the account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Configuration {
    /// Each one's DNS name and listeners.
    pub balancers: Vec<Balancer>,
    /// By ARN.
    pub groups: HashMap<String, Rules>,
}

/// A network balancer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Balancer {
    /// Its ARN.
    pub arn: String,
    /// Its name in DNS.
    pub name: String,
    /// What it listens on.
    pub listeners: Vec<Listener>,
}

/// A listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Its port.
    pub port: u16,
    /// The ARN of the group it forwards to.
    pub group: String,
    /// `tcp.idle_timeout.seconds`.
    pub idle: Duration,
}

/// What can not be read, or is not something the local balancer can be.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Unreadable {
    /// A call failed.
    #[error("{call} failed: {reason}")]
    Call {
        /// The API call.
        call: &'static str,
        /// Why.
        reason: String,
    },
    /// A setting of the group.
    #[error("target group {group}: {what} is {value:?}, which the local balancer cannot follow")]
    Setting {
        /// The group's ARN.
        group: String,
        /// The setting or attribute.
        what: &'static str,
        /// Its value.
        value: String,
    },
}

/// A client of the emulator at `endpoint`.
pub fn client(endpoint: &str) -> Client {
    let http = aws_smithy_http_client::Builder::new().build_http();
    let config = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .credentials_provider(Credentials::new(KEY, KEY, None, None, "local"))
        .region(Region::from_static(REGION))
        .endpoint_url(endpoint)
        .http_client(http);
    Client::from_conf(config.build())
}

/// Reads everything.
pub async fn read(client: &Client) -> Result<Configuration, Unreadable> {
    let mut configuration = Configuration::default();
    let found = client.describe_target_groups().send().await.map_err(failed("DescribeTargetGroups"))?;
    for group in found.target_groups() {
        let arn = group.target_group_arn().unwrap_or_default();
        let attributes = client.describe_target_group_attributes().target_group_arn(arn).send().await;
        let attributes = attributes.map_err(failed("DescribeTargetGroupAttributes"))?;
        let attributes = attributes.attributes().iter();
        let attributes =
            attributes.filter_map(|pair| Some((pair.key()?.to_owned(), pair.value()?.to_owned())));
        configuration.groups.insert(arn.to_owned(), rules(group, &attributes.collect())?);
    }
    let found = client.describe_load_balancers().send().await.map_err(failed("DescribeLoadBalancers"))?;
    for balancer in found.load_balancers() {
        if balancer.r#type() != Some(&LoadBalancerTypeEnum::Network) {
            continue;
        }
        let arn = balancer.load_balancer_arn().unwrap_or_default();
        let listeners = client.describe_listeners().load_balancer_arn(arn).send().await;
        let listeners = listeners.map_err(failed("DescribeListeners"))?;
        let mut all = Vec::new();
        for listener in listeners.listeners() {
            let port = listener.port().and_then(|port| u16::try_from(port).ok());
            let group = listener.default_actions().first().and_then(|action| action.target_group_arn());
            if let (Some(port), Some(group)) = (port, group) {
                let idle = idle(client, listener.listener_arn().unwrap_or_default()).await;
                all.push(Listener { port, group: group.to_owned(), idle });
            }
        }
        let name = balancer.dns_name().unwrap_or_default().to_owned();
        configuration.balancers.push(Balancer { arn: arn.to_owned(), name, listeners: all });
    }
    Ok(configuration)
}

/// The emulator may not keep listener attributes; AWS's default then.
async fn idle(client: &Client, listener: &str) -> Duration {
    let Ok(answer) = client.describe_listener_attributes().listener_arn(listener).send().await else {
        return DEFAULT_IDLE;
    };
    let set = answer.attributes().iter().find(|pair| pair.key() == Some("tcp.idle_timeout.seconds"));
    let set = set.and_then(|pair| pair.value()?.parse().ok());
    set.map_or(DEFAULT_IDLE, Duration::from_secs)
}

fn rules(group: &TargetGroup, attributes: &HashMap<String, String>) -> Result<Rules, Unreadable> {
    let arn = group.target_group_arn().unwrap_or_default();
    let refuse = |what, value: String| Unreadable::Setting { group: arn.to_owned(), what, value };
    let port = |text: &str, what| text.parse::<u16>().map_err(|_| refuse(what, text.to_owned()));
    let flag = |key: &'static str, default: bool| match attributes.get(key).map(String::as_str) {
        None => Ok(default),
        Some("true") => Ok(true),
        Some("false") => Ok(false),
        Some(other) => Err(refuse(key, other.to_owned())),
    };
    let delay = match attributes.get(DELAY) {
        None => DEFAULT_DELAY,
        Some(text) => Duration::from_secs(text.parse().map_err(|_| refuse(DELAY, text.clone()))?),
    };
    if flag("preserve_client_ip.enabled", false)? {
        // A client's address cannot be kept through a proxy, and the default of IP groups over TCP is off.
        return Err(refuse("preserve_client_ip.enabled", "true".into()));
    }
    let http = match group.health_check_protocol() {
        Some(ProtocolEnum::Http) => {
            let path = group.health_check_path().unwrap_or("/").to_owned();
            let codes = group.matcher().and_then(|matcher| matcher.http_code()).unwrap_or("200-399");
            let matcher = Matcher::parse(codes).ok_or_else(|| refuse("Matcher", codes.to_owned()))?;
            Some((path, matcher))
        }
        None | Some(ProtocolEnum::Tcp) => None,
        Some(other) => return Err(refuse("HealthCheckProtocol", other.as_str().to_owned())),
    };
    let seconds = |given: Option<i32>, default| {
        Duration::from_secs(given.and_then(|n| n.try_into().ok()).unwrap_or(default))
    };
    let count = |given: Option<i32>, default| given.and_then(|n| n.try_into().ok()).unwrap_or(default);
    Ok(Rules {
        port: group.port().and_then(|port| u16::try_from(port).ok()).unwrap_or_default(),
        check: Check {
            http,
            port: match group.health_check_port() {
                None | Some("traffic-port") => None,
                Some(number) => Some(port(number, "HealthCheckPort")?),
            },
            interval: seconds(group.health_check_interval_seconds(), 30),
            timeout: seconds(group.health_check_timeout_seconds(), 10),
            healthy: count(group.healthy_threshold_count(), 5),
            unhealthy: count(group.unhealthy_threshold_count(), 2),
        },
        deregistration_delay: delay,
        terminate_deregistered: flag("deregistration_delay.connection_termination.enabled", false)?,
        terminate_unhealthy: flag("target_health_state.unhealthy.connection_termination.enabled", true)?,
    })
}

fn failed<E, R>(call: &'static str) -> impl Fn(SdkError<E, R>) -> Unreadable
where
    SdkError<E, R>: std::error::Error,
{
    move |error| Unreadable::Call { call, reason: reason(&error) }
}

fn reason(error: &impl std::error::Error) -> String {
    let text: &dyn Display = &DisplayErrorContext(error);
    text.to_string()
}
