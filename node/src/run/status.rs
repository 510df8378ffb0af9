//! The node program's own port: the role that balancer and function ask for, and what the node sees of its cluster.

use std::{convert::Infallible, net::SocketAddr, time::Duration};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use neo4j::{READ_PATH, ROLE_PATH, read_response, role_response};
use tokio::net::TcpListener;
use topology::{Answer, NotKnown};
use tracing::error;

use super::{guard::Guard, role::RoleCheck};

/// A client that sends no request is not kept.
const PATIENCE: Duration = Duration::from_secs(5);
/// From one try to listen to the next.
const AGAIN: Duration = Duration::from_secs(1);

/// Serves until the process ends. Without it the balancer calls this node unhealthy, so it is tried until it can be had.
pub async fn serve(at: SocketAddr, guard: Guard, role: RoleCheck) {
    let listener = listen(at).await;
    loop {
        let Ok((client, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let (guard, role) = (guard.clone(), role.clone());
        tokio::spawn(async move {
            let service = service_fn(move |request| answer(request, guard.clone(), role.clone()));
            let mut serving = http1::Builder::new();
            serving.timer(TokioTimer::new()).header_read_timeout(PATIENCE).keep_alive(false);
            let _gone = serving.serve_connection(TokioIo::new(client), service).await;
        });
    }
}

async fn listen(at: SocketAddr) -> TcpListener {
    let mut said = false;
    loop {
        match TcpListener::bind(at).await {
            Ok(listener) => return listener,
            Err(reason) if !said => {
                said = true;
                error!(
                    event = "status-port",
                    "port {} cannot be served, so this node stays unhealthy: {reason}",
                    at.port()
                );
            }
            Err(_) => {}
        }
        tokio::time::sleep(AGAIN).await;
    }
}

async fn answer(
    request: Request<Incoming>,
    guard: Guard,
    role: RoleCheck,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let word = |(status, word): (u16, &'static str)| {
        (StatusCode::from_u16(status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE), "text/plain", word.into())
    };
    // A slave that is about to be started once more has not joined: no client is sent to it, and none is cut off when it stops.
    let ask = async || match role.ask().await {
        Answer::Slave if guard.is_blank() => Answer::NotKnown(NotKnown::Unexpected),
        answer => answer,
    };
    let (status, kind, body): (_, _, Bytes) = match (request.method(), request.uri().path()) {
        (&Method::GET, ROLE_PATH) => word(role_response(ask().await)),
        (&Method::GET, READ_PATH) => word(read_response(ask().await)),
        (&Method::GET, "/status") => {
            let status = serde_json::to_vec(&guard.status().await).unwrap_or_default();
            (StatusCode::OK, "application/json", status.into())
        }
        _ => (StatusCode::NOT_FOUND, "text/plain", "GET /role, /read or /status".into()),
    };
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    response.headers_mut().insert("content-type", http::HeaderValue::from_static(kind));
    Ok(response)
}
