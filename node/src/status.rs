//! The status port: `GET /status` tells role, silence, and what the node sees of its cluster.

use std::{convert::Infallible, net::IpAddr, time::Duration};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tracing::warn;

use crate::guard::Guard;

/// Beside Neo4j's own ports.
const PORT: u16 = 7475;
/// A client that sends no request is not kept.
const PATIENCE: Duration = Duration::from_secs(5);

/// Serves until the process ends. Without it only the evidence for two masters is missing.
pub async fn serve(address: IpAddr, guard: Guard) {
    let listener = match TcpListener::bind((address, PORT)).await {
        Ok(listener) => listener,
        Err(error) => {
            return warn!(event = "status-port", "the status port {PORT} cannot be served: {error}");
        }
    };
    loop {
        let Ok((client, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let guard = guard.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| answer(request, guard.clone()));
            let mut serving = http1::Builder::new();
            serving.timer(TokioTimer::new()).header_read_timeout(PATIENCE).keep_alive(false);
            let _gone = serving.serve_connection(TokioIo::new(client), service).await;
        });
    }
}

async fn answer(request: Request<Incoming>, guard: Guard) -> Result<Response<Full<Bytes>>, Infallible> {
    let (status, body) = match (request.method(), request.uri().path()) {
        (&Method::GET, "/status") => {
            (StatusCode::OK, serde_json::to_vec(&guard.status().await).unwrap_or_default())
        }
        _ => (StatusCode::NOT_FOUND, b"GET /status".to_vec()),
    };
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert("content-type", http::HeaderValue::from_static("application/json"));
    Ok(response)
}
