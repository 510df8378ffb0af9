//! The calls about targets, answered in the query protocol's XML.

use std::{collections::BTreeMap, fmt::Write, net::SocketAddrV4};

use super::group::Described;

/// An answer ready to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiReply {
    /// HTTP status.
    pub status: u16,
    /// Body.
    pub body_xml: String,
}

/// `Targets.member.N` of a request: each IP address with its port, if one is given.
///
/// # Errors
/// The reply that refuses a target which is no IPv4 address, the only ones a loopback balancer can reach.
pub fn targets(form: &BTreeMap<String, String>, default_port: u16) -> Result<Vec<SocketAddrV4>, ApiReply> {
    let mut found = Vec::new();
    for number in 1.. {
        let Some(id) = form.get(&format!("Targets.member.{number}.Id")) else { break };
        let port = match form.get(&format!("Targets.member.{number}.Port")) {
            None => Some(default_port),
            Some(text) => text.parse().ok(),
        };
        match (id.parse(), port) {
            (Ok(ip), Some(port)) => found.push(SocketAddrV4::new(ip, port)),
            _ => {
                return Err(error(
                    "InvalidTarget",
                    &format!("The target '{id}' is not a valid IPv4 address and port"),
                ));
            }
        }
    }
    Ok(found)
}

/// An answer without content.
pub fn done(action: &str) -> ApiReply {
    reply(action, "")
}

/// `DescribeTargetHealth`.
pub fn health(described: &[Described], check_port: Option<u16>) -> ApiReply {
    let mut members = String::new();
    for target in described {
        let port = target.at.port();
        let check_port = check_port.unwrap_or(port);
        let reason = target.reason.map(|reason| format!("<Reason>{reason}</Reason>")).unwrap_or_default();
        let _infallible = write!(
            members,
            "<member><HealthCheckPort>{check_port}</HealthCheckPort><Target><Id>{}</Id><Port>{port}</Port></Target>\
             <TargetHealth><State>{}</State>{reason}</TargetHealth></member>",
            target.at.ip(),
            target.state,
        );
    }
    let content = format!("<TargetHealthDescriptions>{members}</TargetHealthDescriptions>");
    reply("DescribeTargetHealth", &content)
}

/// The group that a call names does not exist.
pub fn no_group(arn: &str) -> ApiReply {
    error("TargetGroupNotFound", &format!("Target groups '{arn}' not found"))
}

fn reply(action: &str, content: &str) -> ApiReply {
    let body_xml = format!(
        "<{action}Response xmlns=\"http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/\">\
         <{action}Result>{content}</{action}Result>\
         <ResponseMetadata><RequestId>local</RequestId></ResponseMetadata></{action}Response>"
    );
    ApiReply { status: 200, body_xml }
}

fn error(code: &str, message: &str) -> ApiReply {
    let message = message.replace('&', "&amp;").replace('<', "&lt;");
    let body_xml = format!(
        "<ErrorResponse xmlns=\"http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/\"><Error>\
         <Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>\
         <RequestId>local</RequestId></ErrorResponse>"
    );
    ApiReply { status: 400, body_xml }
}
