//! One bounded exchange over one new connection.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, time::timeout};
use topology::NotKnown;

use crate::Credentials;

/// Status and body of `GET path`. The `deadline` covers connecting, headers and body together; at most
/// `longest` bytes are read, and redirects are not followed.
///
/// # Errors
/// `Refused` without a connection, `Silent` without a whole answer in time, `Unexpected` for an answer that
/// is not HTTP or too long.
pub async fn get(
    at: SocketAddr,
    path: &str,
    longest: usize,
    deadline: Duration,
) -> Result<(u16, Bytes), NotKnown> {
    get_as(None, at, path, longest, deadline).await
}

/// The same with a login, if HTTP can carry the password.
pub(crate) async fn get_as(
    who: Option<&Credentials>,
    at: SocketAddr,
    path: &str,
    longest: usize,
    deadline: Duration,
) -> Result<(u16, Bytes), NotKnown> {
    let mut request = Request::get(path)
        .header("host", at.to_string())
        // At its root 3.4.6 redirects every client that does not prefer JSON to its
        // browser. Roles are plain text.
        .header("accept", "application/json, text/plain")
        .header("connection", "close");
    if let Some(login) = who.and_then(Credentials::basic) {
        request = request.header("authorization", login);
    }
    let request = request.body(Full::default()).map_err(|_| NotKnown::Unexpected)?;
    ask(at, request, longest, deadline).await
}

/// The same for any request.
pub(crate) async fn ask(
    at: SocketAddr,
    request: Request<Full<Bytes>>,
    longest: usize,
    deadline: Duration,
) -> Result<(u16, Bytes), NotKnown> {
    timeout(deadline, exchange(at, request, longest)).await.unwrap_or(Err(NotKnown::Silent))
}

async fn exchange(
    at: SocketAddr,
    request: Request<Full<Bytes>>,
    longest: usize,
) -> Result<(u16, Bytes), NotKnown> {
    let stream = TcpStream::connect(at).await.map_err(|_| NotKnown::Refused)?;
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| kind(&error))?;
    let exchange = async move {
        let answer = sender.send_request(request).await.map_err(|error| kind(&error))?;
        let status = answer.status().as_u16();
        let body = Limited::new(answer.into_body(), longest).collect().await;
        let body = body.map_err(|error| match error.downcast_ref::<hyper::Error>() {
            Some(error) => kind(error),
            None => NotKnown::Unexpected, // longer than any body that has a meaning
        })?;
        Ok((status, body.to_bytes()))
    };
    // The connection is driven here, not in a task of its own, so that it ends with the deadline.
    let driving = async {
        let _told_to_the_exchange = connection.await;
        std::future::pending::<()>().await;
    };
    tokio::select! {
        answer = exchange => answer,
        () = driving => unreachable!("the connection's future never ends by itself"),
    }
}

fn kind(error: &hyper::Error) -> NotKnown {
    if error.is_parse() { NotKnown::Unexpected } else { NotKnown::Refused }
}
