//! The answer over HTTPS, and over HTTP, which a cloud on a developer's machine speaks.

use std::{error::Error, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Request, header::CONTENT_TYPE};
use http_body_util::Full;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use tokio::time::timeout;

use crate::{Answers, Broken, ResponseUrl};

/// Within a region a connection takes a few milliseconds.
const CONNECT: Duration = Duration::from_secs(1);

/// A client with rustls, ring and the system's roots. One is enough for a function's lifetime.
#[derive(Clone, Debug)]
pub struct Https(Client<HttpsConnector<HttpConnector>, Full<Bytes>>);

/// The system has no root certificates, so no answer could be sent.
#[derive(Debug, thiserror::Error)]
#[error("no root certificates were found, so no answer can be sent over HTTPS: {0}")]
pub struct NoRoots(#[from] std::io::Error);

impl Https {
    /// Reads the system's root certificates (a few milliseconds): once, at the start of the function.
    ///
    /// # Errors
    /// Without root certificates.
    pub fn new() -> Result<Self, NoRoots> {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_connect_timeout(Some(CONNECT));
        tcp.set_nodelay(true);
        let connector = HttpsConnectorBuilder::new()
            .with_provider_and_native_roots(rustls::crypto::ring::default_provider())?
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        // A connection that was kept is dead after the function was frozen between two invocations.
        Ok(Self(Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector)))
    }
}

impl Answers for Https {
    async fn put(&self, url: &ResponseUrl, body: Vec<u8>, within: Duration) -> Result<u16, Broken> {
        let request = Request::put(url.secret())
            .header(CONTENT_TYPE, HeaderValue::from_static(""))
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| Broken::Connection(error.to_string()))?;
        match timeout(within, self.0.request(request)).await {
            // The body is dropped unread, and the connection with it: the status says it all.
            Ok(Ok(answer)) => Ok(answer.status().as_u16()),
            Ok(Err(error)) => Err(Broken::Connection(chain(&error))),
            Err(_elapsed) => Err(Broken::TimedOut),
        }
    }
}

/// hyper's own message is general; the errors behind it say why.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(behind) = cause {
        text.push_str(&format!(": {behind}"));
        cause = behind.source();
    }
    text
}
