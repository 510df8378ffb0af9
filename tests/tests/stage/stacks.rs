//! Small stacks beside the deployed one, made and changed through the cloud's CloudFormation.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use local::{cloud::Cloud, emulator::KEY};
use serde_json::Value;

/// Two nodes of three wait for the third at the longest.
const PATIENCE: Duration = Duration::from_secs(300);

/// How an operation on a stack ended, and the reasons of what failed in it.
#[derive(Debug)]
pub struct Ended {
    pub status: String,
    pub reasons: String,
}

impl Ended {
    /// # Errors
    /// Unless it ended as `wanted`.
    pub fn must_be(self, wanted: &str) -> Result<Self, String> {
        if self.status == wanted { Ok(self) } else { Err(format!("{wanted} expected: {self:?}")) }
    }
}

/// Creates a stack and waits for the end.
pub async fn create(cloud: &Cloud, name: &str, template: &Value) -> Result<Ended, String> {
    call(cloud, "CreateStack", name, Some(template)).await?;
    ended(cloud, name).await
}

/// Updates a stack and waits for the end.
pub async fn update(cloud: &Cloud, name: &str, template: &Value) -> Result<Ended, String> {
    call(cloud, "UpdateStack", name, Some(template)).await?;
    ended(cloud, name).await
}

/// Deletes a stack and waits until it is gone.
pub async fn delete(cloud: &Cloud, name: &str) -> Result<(), String> {
    call(cloud, "DeleteStack", name, None).await?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        // A stack that is gone is not found by its name any more.
        let Ok(ended) = ended(cloud, name).await else { return Ok(()) };
        match ended.status.as_str() {
            "DELETE_COMPLETE" => return Ok(()),
            status if status.ends_with("FAILED") || Instant::now() > deadline => {
                return Err(format!("{name} was not deleted: {ended:?}"));
            }
            _ => tokio::time::sleep(Duration::from_millis(200)).await,
        }
    }
}

async fn ended(cloud: &Cloud, name: &str) -> Result<Ended, String> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let stack = call(cloud, "DescribeStacks", name, None).await?;
        let status = element(&stack, "StackStatus").ok_or_else(|| format!("no status in {stack}"))?;
        if !status.ends_with("_IN_PROGRESS") {
            let events = call(cloud, "DescribeStackEvents", name, None).await?;
            return Ok(Ended { status, reasons: reasons(&events) });
        }
        if Instant::now() > deadline {
            return Err(format!("{name} is {status} for {PATIENCE:?}"));
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// The text of the first element of that name; the emulator's XML has no attributes that matter here.
fn element(xml: &str, name: &str) -> Option<String> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    Some(rest.split_once("</")?.0.to_owned())
}

fn reasons(events: &str) -> String {
    let found = events.split("<ResourceStatusReason>").skip(1).filter_map(|rest| rest.split_once("</"));
    found.map(|(reason, _)| reason).collect::<Vec<_>>().join(" | ")
}

async fn call(cloud: &Cloud, action: &str, name: &str, template: Option<&Value>) -> Result<String, String> {
    let mut body = format!("Action={action}&Version=2010-05-15&StackName={name}");
    if let Some(template) = template {
        body += "&TemplateBody=";
        body = template.to_string().bytes().fold(body, |body, byte| body + &format!("%{byte:02X}"));
    }
    let scope = format!("AWS4-HMAC-SHA256 Credential={KEY}/20260101/us-east-1/cloudformation/aws4_request");
    let request = Request::post("/")
        .header("host", cloud.endpoint.to_string())
        .header("content-type", "application/x-www-form-urlencoded")
        .header("authorization", format!("{scope}, SignedHeaders=host, Signature=0"))
        .body(Full::new(Bytes::from(body)))
        .map_err(|error| error.to_string())?;
    let answer = local::http::send(cloud.endpoint, request, Duration::from_secs(60)).await;
    let (status, body) = answer.map_err(|error| error.to_string())?;
    let body = String::from_utf8_lossy(&body).into_owned();
    if status == 200 { Ok(body) } else { Err(format!("{action} {name}: {status}: {body}")) }
}
