//! One HTTP request over one new connection: what the demo's client, its prober and the commands use, on purpose not
//! the product's own probe, so that a fault of that one shows.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, time::timeout};

use crate::login::Login;

/// Answers larger than this are refused: `local status` is the largest, some kilobytes.
const MAX_BODY: usize = 4 << 20;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Nothing listens there, or the connection was cut.
    #[error("no connection to {0}: {1}")]
    Connection(SocketAddr, String),
    /// No complete answer in time.
    #[error("no answer from {0} within {1:?}")]
    Timeout(SocketAddr, Duration),
}

/// Status and body of the answer.
pub type Answer = (u16, Bytes);

/// `GET path`.
pub async fn get(to: SocketAddr, path: &str, within: Duration) -> Result<Answer, Failure> {
    send(to, request(to, &Method::GET, path, None, Bytes::new()), within).await
}

/// `POST path` with a JSON body.
pub async fn post(to: SocketAddr, path: &str, body: Bytes, within: Duration) -> Result<Answer, Failure> {
    send(to, request(to, &Method::POST, path, None, body), within).await
}

/// `POST path` with a JSON body, with a login.
pub async fn post_as(
    login: &Login,
    to: SocketAddr,
    path: &str,
    body: Bytes,
    within: Duration,
) -> Result<Answer, Failure> {
    send(to, request(to, &Method::POST, path, Some(login), body), within).await
}

fn request(
    to: SocketAddr,
    method: &Method,
    path: &str,
    login: Option<&Login>,
    body: Bytes,
) -> Request<Full<Bytes>> {
    let mut request = Request::builder();
    if let Some(login) = login {
        request = request.header("authorization", login.header());
    }
    request
        .method(method)
        .uri(path)
        .header("host", to.to_string())
        .header("content-type", "application/json")
        .header("accept", "application/json, text/plain")
        .header("connection", "close")
        .body(Full::new(body))
        .expect("a request made of constants")
}

/// Sends a ready request; its URI is the path.
pub async fn send(
    to: SocketAddr,
    request: Request<Full<Bytes>>,
    within: Duration,
) -> Result<Answer, Failure> {
    timeout(within, exchange(to, request)).await.map_err(|_| Failure::Timeout(to, within))?
}

async fn exchange(to: SocketAddr, request: Request<Full<Bytes>>) -> Result<Answer, Failure> {
    let lost = |error: &dyn std::fmt::Display| Failure::Connection(to, error.to_string());
    let stream = TcpStream::connect(to).await.map_err(|error| lost(&error))?;
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| lost(&error))?;
    let driving = tokio::spawn(connection);
    let answer = sender.send_request(request).await.map_err(|error| lost(&error));
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => {
            driving.abort();
            return Err(error);
        }
    };
    let status = answer.status().as_u16();
    let body = Limited::new(answer.into_body(), MAX_BODY).collect().await;
    driving.abort();
    Ok((status, body.map_err(|error| lost(&error))?.to_bytes()))
}
