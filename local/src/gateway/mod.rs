//! The one address that everything calls: passes on to the emulator what that one does, answers what it only pretends.

mod answers;
mod buckets;
mod calls;
pub mod deliveries;
pub mod events;
mod faults;
pub mod invoke;
pub mod pattern;
pub mod policy;
pub mod queue;
mod rates;
mod request;
mod stacks;

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Instant};

use axum::{
    Router,
    body::Body,
    extract::{DefaultBodyLimit, Request, State},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::{HeaderValue, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::Value;
use tokio::net::TcpListener;
use tracing::warn;

pub use calls::{Call, Calls};
pub use deliveries::{Deliveries, Twice};
pub use faults::{Fault, Faults, How};
pub use rates::Rates;
use request::Parsed;
pub use stacks::LeftOut;

use crate::{
    ecs::{Ecs, api},
    elb::Elb,
    emulator::Emulator,
    form::{decode_form, encode_form},
};

/// The largest request: a part of an upload, or a function's zip, base64 in JSON.
const MAX_REQUEST: usize = 256 << 20;

/// Set by `launcher.py`.
const OF_THE_EMULATOR: &str = "x-local-caller";

/// What requests are answered from. Clones are the same gateway.
#[derive(Clone)]
pub struct Gateway {
    /// The emulator behind it.
    pub emulator: Emulator,
    /// The tasks.
    pub ecs: Ecs,
    /// The balancers.
    pub elb: Elb,
    /// What was called, and how often.
    pub calls: Calls,
    /// Calls that are to fail.
    pub faults: Faults,
    /// Actions that are throttled.
    pub rates: Rates,
    /// What Lambda's queue delivers, and what of it twice.
    pub deliveries: Deliveries,
    /// What was left out of the deployed stacks.
    pub left_out: LeftOut,
    /// Tells the owner of the cloud that its end was requested.
    pub ending: Arc<tokio::sync::Notify>,
    client: Client<HttpConnector, Full<Bytes>>,
}

impl Gateway {
    /// A gateway over these parts.
    pub fn new(emulator: Emulator, ecs: Ecs, elb: Elb) -> Self {
        let client = Client::builder(TokioExecutor::new()).build_http();
        let (calls, faults, left_out, ending) =
            (Calls::default(), Faults::default(), LeftOut::default(), Arc::default());
        let deliveries = Deliveries::new(emulator);
        Self {
            emulator,
            ecs,
            elb,
            calls,
            faults,
            rates: Rates::default(),
            deliveries,
            left_out,
            ending,
            client,
        }
    }

    /// Serves AWS's API, and `control` below `/_local`, until the process ends.
    pub async fn serve(self, listener: TcpListener, control: Router<Self>) -> std::io::Result<()> {
        let app = Router::new()
            .nest("/_local", control)
            .fallback(handle)
            .layer(DefaultBodyLimit::disable())
            .with_state(self);
        axum::serve(listener, app).await
    }

    /// Answers a call, or has the emulator do it. The `fault` is one that shows in the answer's contents.
    async fn perform(&self, parsed: Parsed, fault: Option<&Fault>) -> Response {
        if let Some(response) = self.answer(&parsed, fault).await {
            return response;
        }
        self.pass_on(parsed).await.unwrap_or_else(|reason| {
            warn!(reason, "a call failed in the gateway");
            let body = format!(
                "<ErrorResponse><Error><Code>ValidationError</Code><Message>{}</Message></Error></ErrorResponse>",
                reason.replace('&', "&amp;").replace('<', "&lt;")
            );
            (StatusCode::BAD_REQUEST, [(header::CONTENT_TYPE, "text/xml")], body).into_response()
        })
    }

    async fn answer(&self, parsed: &Parsed, fault: Option<&Fault>) -> Option<Response> {
        match parsed.service.as_str() {
            "ecs" if parsed.action == "RunTask" => {
                let request = serde_json::from_slice(&parsed.body).unwrap_or_default();
                Some(answered(self.ecs.run_task(&request, fault.and_then(Fault::failure)).await))
            }
            "ecs" => self.answer_ecs(parsed),
            "s3" => buckets::refuse(self.emulator, parsed).await,
            "events" if parsed.action == "PutEvents" => {
                let request = serde_json::from_slice(&parsed.body).unwrap_or_default();
                Some(answered(events::put(&self.deliveries, &request).await))
            }
            "lambda" => invoke::answer(&self.deliveries, parsed).await,
            // An answer's URL is presigned, so nothing in the request names a service.
            "" => answers::refuse(parsed),
            "elasticloadbalancing" => {
                let reply = self.elb.answer(&decode_form(&parsed.body)).await?;
                let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                Some((status, [(header::CONTENT_TYPE, "text/xml")], reply.body_xml).into_response())
            }
            _ => None,
        }
    }

    fn answer_ecs(&self, parsed: &Parsed) -> Option<Response> {
        let tasks = self.ecs.tasks();
        let request: Value = serde_json::from_slice(&parsed.body).unwrap_or_default();
        let answer = match parsed.action.as_str() {
            "ListTasks" => api::list_tasks(&tasks, &request),
            "DescribeTasks" => api::describe_tasks(&tasks, &request),
            "StopTask" => api::stop_task(&tasks, &request).map(|(task, reason)| {
                self.ecs.stop(&task.arn, &reason, "UserInitiated");
                let now = self.ecs.tasks().into_iter().find(|now| now.arn == task.arn);
                serde_json::json!({"task": now.as_ref().unwrap_or(task).describe()})
            }),
            "DescribeServices" => {
                return api::check_services(&request).err().map(|refusal| answered(Err(refusal)));
            }
            "StartTask" => Err(api::Refusal::new(
                "UnsupportedFeatureException",
                "The local cloud runs the tasks of services, and those of RunTask on Fargate.",
            )),
            _ => return None,
        };
        Some(answered(answer))
    }

    async fn pass_on(&self, mut parsed: Parsed) -> Result<Response, String> {
        if parsed.service == "cloudformation" {
            let form = stacks::localise(&self.emulator, &self.left_out, decode_form(&parsed.body)).await?;
            parsed.body = encode_form(&form).into();
        }
        answers::mark(&self.deliveries, &mut parsed);
        let (service, action) = (parsed.service.clone(), parsed.action.clone());
        // The answer to HEAD has no body, and its length is the object's.
        let is_head = parsed.method == http::Method::HEAD;
        let (status, headers, body) = self.send(parsed).await?;
        let body = match (service.as_str(), action.as_str()) {
            ("ecs", "DescribeServices") if status.is_success() => {
                let mut answer: Value = serde_json::from_slice(&body).map_err(|error| error.to_string())?;
                self.ecs.complete(&mut answer);
                answer.to_string().into()
            }
            ("cloudformation" | "elasticloadbalancing", _) => self.resolve_names(&body),
            _ => body,
        };
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        response.headers_mut().remove(header::TRANSFER_ENCODING);
        if !is_head {
            response.headers_mut().remove(header::CONTENT_LENGTH);
        }
        Ok(response)
    }

    async fn send(&self, parsed: Parsed) -> Result<(StatusCode, http::HeaderMap, Bytes), String> {
        let mut request = http::Request::new(Full::new(parsed.body));
        *request.method_mut() = parsed.method;
        *request.headers_mut() = parsed.headers;
        request.headers_mut().remove(header::CONTENT_LENGTH);
        request.headers_mut().remove(header::TRANSFER_ENCODING);
        let host = self.emulator.at.to_string();
        request
            .headers_mut()
            .insert(header::HOST, HeaderValue::from_str(&host).map_err(|error| error.to_string())?);
        let uri = format!("http://{host}{}", parsed.path_and_query);
        *request.uri_mut() = uri.parse::<Uri>().map_err(|error| error.to_string())?;
        let answer =
            self.client.request(request).await.map_err(|error| format!("the emulator is gone: {error}"))?;
        let (head, body) = answer.into_parts();
        let body =
            body.collect().await.map_err(|error| format!("the emulator's answer broke off: {error}"))?;
        Ok((head.status, head.headers, body.to_bytes()))
    }

    /// There is no DNS here: a balancer's name is replaced by its address.
    fn resolve_names(&self, body: &Bytes) -> Bytes {
        let Ok(text) = std::str::from_utf8(body) else { return body.clone() };
        let names = self.elb.names();
        names.iter().fold(text.to_owned(), |text, (name, ip)| text.replace(name, &ip.to_string())).into()
    }
}

async fn handle(State(gateway): State<Gateway>, request: Request) -> Result<Response, Infallible> {
    let (head, body) = request.into_parts();
    let body = match Limited::new(body, MAX_REQUEST).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) => return Ok((StatusCode::PAYLOAD_TOO_LARGE, error.to_string()).into_response()),
    };
    let parsed = request::parse(head, body);
    if parsed.headers.contains_key(OF_THE_EMULATOR) {
        // AWS's own services invoke functions too; that is no call of the product's.
        return Ok(gateway.perform(parsed, None).await);
    }
    let call = gateway.calls.begin(&parsed.service, parsed.counted_as());
    // A throttled call uses up no fault: it never gets as far.
    let fault = gateway.rates.refuse(&parsed.service, &parsed.action, Instant::now());
    let fault =
        fault.or_else(|| gateway.faults.next(&parsed.service, &parsed.action, &parsed.path_and_query));
    let response = match &fault {
        Some(fault) if fault.how == How::Refused => fault.response(parsed.is_json()),
        _ => gateway.perform(parsed, fault.as_ref()).await,
    };
    if fault.is_some_and(|fault| fault.how == How::AnswerLost) {
        // In the list of calls it stays one that was never answered.
        return Ok(faults::lost_answer());
    }
    gateway.calls.end(call, response.status().as_u16());
    Ok(response)
}

/// An answer of a JSON service, or its refusal.
fn answered(answer: Result<Value, api::Refusal>) -> Response {
    match answer {
        Ok(answer) => json_response(StatusCode::OK, &answer),
        Err(refusal) => {
            let mut body = serde_json::json!({"__type": refusal.kind, "message": refusal.message});
            if !refusal.resource_ids.is_empty() {
                body["resourceIds"] = refusal.resource_ids.into();
            }
            json_response(StatusCode::BAD_REQUEST, &body)
        }
    }
}

fn json_response(status: StatusCode, body: &Value) -> Response {
    (status, [(header::CONTENT_TYPE, "application/x-amz-json-1.1")], body.to_string()).into_response()
}

/// Where a gateway listens on its own address: the port people know from other emulators.
pub fn address(ip: std::net::Ipv4Addr) -> SocketAddr {
    SocketAddr::from((ip, 4566))
}
