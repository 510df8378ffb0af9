//! Stack operations through the cloud's own CloudFormation, and how they ended, in its own words.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use serde_json::Value;

use crate::{
    emulator::{KEY, REGION},
    form::encode,
    http as wire,
};

const CALL: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(200);
const STACK: &str = "AWS::CloudFormation::Stack";

/// A resource of a stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// Its id in the template.
    pub logical_id: String,
    /// Its type.
    pub kind: String,
    /// What the service knows it by: a name, an id or an ARN.
    pub physical_id: String,
}

/// How an operation on a stack ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// `StackStatus`.
    pub status: String,
    /// The events of that operation and of no earlier one, the oldest first.
    pub events: Vec<Event>,
}

/// One event of a stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// `EventId`.
    pub id: String,
    /// `LogicalResourceId`; the stack's name for the stack itself.
    pub logical_id: String,
    /// `ResourceType`.
    pub kind: String,
    /// `PhysicalResourceId`; empty while there is none.
    pub physical_id: String,
    /// `ResourceStatus`.
    pub status: String,
    /// `ResourceStatusReason`.
    pub reason: String,
}

impl Ended {
    /// # Errors
    /// Unless it ended as `wanted`.
    pub fn must_be(self, wanted: &str) -> Result<Self, String> {
        if self.status == wanted { Ok(self) } else { Err(format!("{wanted} expected: {self:?}")) }
    }

    /// The reasons of all that failed, the oldest first: the first one is usually the cause.
    pub fn reasons(&self) -> String {
        let failed = self.events.iter().filter(|event| event.status.ends_with("_FAILED"));
        let failed = failed.filter(|event| !event.reason.is_empty());
        failed.map(|event| format!("{}: {}", event.logical_id, event.reason)).collect::<Vec<_>>().join(" | ")
    }
}

/// Creates a stack and waits for the end.
///
/// # Errors
/// When CloudFormation refuses it, or does not end within `patience`.
pub async fn create(
    cloud: SocketAddr,
    name: &str,
    template: &Value,
    patience: Duration,
) -> Result<Ended, String> {
    call(cloud, "CreateStack", name, &with(template)).await?;
    ended(cloud, name, patience).await
}

/// Updates a stack and waits for the end.
///
/// # Errors
/// As above.
pub async fn update(
    cloud: SocketAddr,
    name: &str,
    template: &Value,
    patience: Duration,
) -> Result<Ended, String> {
    call(cloud, "UpdateStack", name, &with(template)).await?;
    ended(cloud, name, patience).await
}

/// The names of all stacks that were not deleted and are not nested in others.
///
/// # Errors
/// When CloudFormation does not answer.
pub async fn roots(cloud: SocketAddr) -> Result<Vec<String>, String> {
    let mut names = Vec::new();
    for page in pages(cloud, "DescribeStacks", "").await? {
        let roots = members(&page).filter(|member| element(member, "ParentId").is_none());
        names.extend(roots.filter_map(|member| element(member, "StackName")));
    }
    Ok(names)
}

/// The physical id of a resource of a stack.
///
/// # Errors
/// When there is no such stack, or no such resource in it.
pub async fn resource(cloud: SocketAddr, stack: &str, logical_id: &str) -> Result<String, String> {
    let more = format!("&LogicalResourceId={}", encode(logical_id));
    let answer = call(cloud, "DescribeStackResource", stack, &more).await?;
    element(&answer, "PhysicalResourceId")
        .filter(|id| !id.is_empty())
        .ok_or_else(|| format!("{logical_id} of {stack} has no physical id: {answer}"))
}

/// Everything in a stack, and in the stacks below it.
///
/// # Errors
/// When there is no such stack.
pub async fn resources(cloud: SocketAddr, stack: &str) -> Result<Vec<Resource>, String> {
    let (mut all, mut stacks) = (Vec::new(), vec![stack.to_owned()]);
    while let Some(stack) = stacks.pop() {
        for page in pages(cloud, "ListStackResources", &stack).await? {
            for member in members(&page) {
                let text = |field: &str| element(member, field).unwrap_or_default();
                let resource = Resource {
                    logical_id: text("LogicalResourceId"),
                    kind: text("ResourceType"),
                    physical_id: text("PhysicalResourceId"),
                };
                if resource.kind == STACK {
                    stacks.push(resource.physical_id.clone());
                }
                all.push(resource);
            }
        }
    }
    Ok(all)
}

/// Deletes a stack and waits until it is gone.
///
/// # Errors
/// When there is none, or it ends in DELETE_FAILED, or not at all.
pub async fn delete(cloud: SocketAddr, name: &str, patience: Duration) -> Result<(), String> {
    // A stack that is gone is not found by its name any more, only by its id.
    let stack = call(cloud, "DescribeStacks", name, "").await?;
    let id = element(&stack, "StackId").ok_or_else(|| format!("no id in {stack}"))?;
    call(cloud, "DeleteStack", &id, "").await?;
    ended(cloud, &id, patience).await?.must_be("DELETE_COMPLETE").map(drop)
}

/// Waits for the end of the operation that runs on a stack, if one does.
///
/// # Errors
/// When there is no such stack, or the operation does not end within `patience`.
pub async fn ended(cloud: SocketAddr, name: &str, patience: Duration) -> Result<Ended, String> {
    let deadline = Instant::now() + patience;
    loop {
        let last = last_operation(cloud, name).await?;
        if !last.status.ends_with("_IN_PROGRESS") {
            return Ok(last);
        }
        if Instant::now() > deadline {
            return Err(format!("{name} is {} for {patience:?}", last.status));
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// The status of a stack now, and the events of the last operation on it.
///
/// # Errors
/// When there is no such stack.
pub async fn last_operation(cloud: SocketAddr, name: &str) -> Result<Ended, String> {
    let stack = call(cloud, "DescribeStacks", name, "").await?;
    let status = element(&stack, "StackStatus").ok_or_else(|| format!("no status in {stack}"))?;
    let mut events = Vec::new();
    let mut page = call(cloud, "DescribeStackEvents", name, "").await?;
    while !of_last_operation(name, &page, &mut events)
        && let Some(token) = element(&page, "NextToken")
    {
        page = call(cloud, "DescribeStackEvents", name, &format!("&NextToken={}", encode(&token))).await?;
    }
    events.reverse();
    Ok(Ended { status, events })
}

/// Adds the events of a page, which has the newest one first, up to the one that began the operation; returns whether it was there.
fn of_last_operation(name: &str, page: &str, events: &mut Vec<Event>) -> bool {
    for member in members(page) {
        let text = |field: &str| element(member, field).unwrap_or_default();
        let event = Event {
            id: text("EventId"),
            logical_id: text("LogicalResourceId"),
            kind: text("ResourceType"),
            physical_id: text("PhysicalResourceId"),
            status: text("ResourceStatus"),
            reason: text("ResourceStatusReason"),
        };
        let begins = ["CREATE_IN_PROGRESS", "UPDATE_IN_PROGRESS", "DELETE_IN_PROGRESS"];
        let of_the_stack =
            event.kind == STACK && [&event.logical_id, &event.physical_id].contains(&&name.to_owned());
        let first = of_the_stack && begins.contains(&&*event.status);
        events.push(event);
        if first {
            return true;
        }
    }
    false
}

/// The members of a list, which has no lists in its members that matter here.
fn members(xml: &str) -> impl Iterator<Item = &str> {
    xml.split("<member>").skip(1)
}

/// All pages of an answer. Without a name it is about every stack.
async fn pages(cloud: SocketAddr, action: &str, name: &str) -> Result<Vec<String>, String> {
    let mut pages = vec![call(cloud, action, name, "").await?];
    while let Some(token) = element(&pages[pages.len() - 1], "NextToken").filter(|token| !token.is_empty()) {
        pages.push(call(cloud, action, name, &format!("&NextToken={}", encode(&token))).await?);
    }
    Ok(pages)
}

/// The text of the first element of that name; this XML has no attributes that matter here.
fn element(xml: &str, name: &str) -> Option<String> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    let (text, _) = rest.split_once(&format!("</{name}>"))?;
    let plain = text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"");
    Some(plain.replace("&#x27;", "'").replace("&apos;", "'").replace("&amp;", "&"))
}

fn with(template: &Value) -> String {
    let capabilities = "&Capabilities.member.1=CAPABILITY_IAM&Capabilities.member.2=CAPABILITY_AUTO_EXPAND";
    format!("{capabilities}&TemplateBody={}", encode(&template.to_string()))
}

async fn call(cloud: SocketAddr, action: &str, name: &str, more: &str) -> Result<String, String> {
    let about = if name.is_empty() { String::new() } else { format!("&StackName={}", encode(name)) };
    let body = format!("Action={action}&Version=2010-05-15{about}{more}");
    let scope = format!("AWS4-HMAC-SHA256 Credential={KEY}/20260101/{REGION}/cloudformation/aws4_request");
    let request = Request::post("/")
        .header("host", cloud.to_string())
        .header("content-type", "application/x-www-form-urlencoded")
        .header("authorization", format!("{scope}, SignedHeaders=host, Signature=0"))
        .body(Full::new(Bytes::from(body)))
        .map_err(|error| error.to_string())?;
    let (status, body) =
        wire::send(cloud, request, CALL).await.map_err(|error| format!("{action} {name}: {error}"))?;
    let body = String::from_utf8_lossy(&body).into_owned();
    if status == 200 { Ok(body) } else { Err(format!("{action} {name}: {status}: {body}")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(logical: &str, kind: &str, status: &str, reason: &str) -> String {
        format!(
            "<member><LogicalResourceId>{logical}</LogicalResourceId><ResourceType>{kind}</ResourceType>\
             <ResourceStatus>{status}</ResourceStatus><ResourceStatusReason>{reason}</ResourceStatusReason></member>"
        )
    }

    #[test]
    fn the_reasons_are_those_of_the_last_operation_and_of_no_earlier_one() {
        let page = [
            member("neo4j", STACK, "UPDATE_ROLLBACK_COMPLETE", ""),
            member("User", "Custom::Neo4jUser", "UPDATE_FAILED", "no &lt;node&gt; answers"),
            member("Slot", STACK, "UPDATE_IN_PROGRESS", ""),
            member("neo4j", STACK, "UPDATE_IN_PROGRESS", "User Initiated"),
            member("User", "Custom::Neo4jUser", "UPDATE_FAILED", "an earlier one"),
        ];
        let mut events = Vec::new();
        assert!(!of_last_operation("neo4j", &page[..2].concat(), &mut events), "it goes on on the next page");
        assert!(of_last_operation("neo4j", &page[2..].concat(), &mut events));
        events.reverse();
        let ended = Ended { status: String::new(), events };
        assert_eq!(ended.reasons(), "User: no <node> answers");
        let order: Vec<&str> = ended.events.iter().map(|event| event.logical_id.as_str()).collect();
        assert_eq!(order, ["neo4j", "Slot", "User", "neo4j"]);
    }
}
