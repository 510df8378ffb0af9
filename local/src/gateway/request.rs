//! What a request asks for: the service from its signature, the action from its protocol.

use bytes::Bytes;
use http::{HeaderMap, Method, request::Parts};

use crate::form::decode_form;

/// A request taken apart.
#[derive(Debug)]
pub struct Parsed {
    /// Such as `ecs`; empty for a request without a signature.
    pub service: String,
    /// Such as `ListTasks`; for S3 `GET`, `PUT` and so on.
    pub action: String,
    /// As sent.
    pub method: Method,
    /// As sent.
    pub path_and_query: String,
    /// As sent.
    pub headers: HeaderMap,
    /// As sent.
    pub body: Bytes,
}

impl Parsed {
    /// Whether errors are told in JSON.
    pub fn is_json(&self) -> bool {
        self.headers.contains_key("x-amz-target")
    }

    /// Its name among the counted calls: a listing of S3 has another price than a read.
    pub fn counted_as(&self) -> &str {
        let lists =
            self.service == "s3" && self.method == Method::GET && self.path_and_query.contains("list-type=2");
        if lists { "LIST" } else { &self.action }
    }
}

/// Takes a request apart.
pub fn parse(head: Parts, body: Bytes) -> Parsed {
    let header = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok());
    let query = head.uri.query().unwrap_or_default();
    let scope = match header("authorization").and_then(|value| value.split_once("Credential=")) {
        Some((_, rest)) => rest.split(',').next().unwrap_or_default().to_owned(),
        None => decode_form(query.as_bytes()).remove("X-Amz-Credential").unwrap_or_default(),
    };
    // KEY/DATE/REGION/SERVICE/aws4_request
    let service = scope.rsplit('/').nth(1).unwrap_or_default().to_owned();
    let action = match header("x-amz-target") {
        Some(target) => target.rsplit('.').next().unwrap_or_default().to_owned(),
        None if header("content-type")
            .is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded")) =>
        {
            decode_form(&body).remove("Action").unwrap_or_default()
        }
        None => head.method.to_string(),
    };
    let path_and_query = head.uri.path_and_query().map_or("/", |whole| whole.as_str()).to_owned();
    Parsed { service, action, method: head.method, path_and_query, headers: head.headers, body }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    fn parsed(request: http::request::Builder, body: &'static str) -> Parsed {
        parse(request.body(()).unwrap().into_parts().0, Bytes::from_static(body.as_bytes()))
    }

    const SIGNED: &str =
        "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/ecs/aws4_request, SignedHeaders=host";

    #[test]
    fn the_service_is_in_the_signature_and_the_action_in_the_protocol() {
        let json = Request::post("/").header("authorization", SIGNED);
        let json = parsed(json.header("x-amz-target", "AmazonEC2ContainerServiceV20141113.ListTasks"), "{}");
        assert_eq!((json.service.as_str(), json.action.as_str(), json.is_json()), ("ecs", "ListTasks", true));

        let signed = SIGNED.replace("/ecs/", "/elasticloadbalancing/");
        let form = Request::post("/").header("authorization", signed);
        let form = form.header("content-type", "application/x-www-form-urlencoded; charset=utf-8");
        let form = parsed(form, "Action=DescribeTargetHealth&Version=1");
        assert_eq!(
            (form.service.as_str(), form.action.as_str()),
            ("elasticloadbalancing", "DescribeTargetHealth")
        );

        let presigned =
            Request::get("/b/k?X-Amz-Credential=test%2F20260101%2Fus-east-1%2Fs3%2Faws4_request&x=1");
        let presigned = parsed(presigned, "");
        assert_eq!((presigned.service.as_str(), presigned.action.as_str()), ("s3", "GET"));
        assert_eq!(presigned.counted_as(), "GET");
        assert!(parsed(Request::get("/health"), "").service.is_empty());
        let listing =
            Request::get("/b?list-type=2&prefix=x").header("authorization", SIGNED.replace("/ecs/", "/s3/"));
        let listing = parsed(listing, "");
        assert_eq!((listing.action.as_str(), listing.counted_as()), ("GET", "LIST"));
    }
}
