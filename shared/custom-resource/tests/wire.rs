//! The PUT on real sockets, against servers that misbehave.

mod shelf;

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use custom_resource::{Answers, Handled, Https, Invocation, OneInvocation, Protocol, ResponseUrl};
use serde_json::{Value, json};
use shelf::{Room, create, shelf};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// What a busy machine may add to a deadline before the test calls it broken.
const SLACK: Duration = Duration::from_secs(2);

#[derive(Clone, Copy)]
enum Says {
    Status(u16),
    /// Reads the request, and stays silent.
    Nothing,
    /// Closes the connection without an answer.
    Hangup,
    /// A body that never ends.
    ForEver,
    Redirect(SocketAddr),
}

/// A server that follows its script, one line for each connection (the last line for all others),
/// and keeps what was sent.
struct Server {
    at: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    async fn saying(script: &[Says]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (kept, mut script) = (Arc::clone(&requests), VecDeque::from(script.to_vec()));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let says = if script.len() > 1 { script.pop_front() } else { script.front().copied() };
                tokio::spawn(serve(stream, says.unwrap(), Arc::clone(&kept)));
            }
        });
        Self { at, requests }
    }

    fn url(&self) -> String {
        format!("http://{}/arn%3Aaws%3Astack%7CShelf%7Cr-1?X-Amz-Signature=a%2Bb%3D", self.at)
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

async fn serve(mut stream: TcpStream, says: Says, kept: Arc<Mutex<Vec<String>>>) {
    let Some(request) = read(&mut stream).await else { return };
    kept.lock().unwrap().push(request);
    let head = match says {
        Says::Status(status) => format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\n\r\n"),
        Says::Redirect(to) => {
            format!("HTTP/1.1 307 X\r\nlocation: http://{to}/\r\ncontent-length: 0\r\n\r\n")
        }
        Says::ForEver => "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_owned(),
        Says::Nothing => return tokio::time::sleep(Duration::from_secs(600)).await,
        Says::Hangup => return,
    };
    let _gone = stream.write_all(head.as_bytes()).await;
    let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
    while matches!(says, Says::ForEver) && stream.write_all(chunk.as_bytes()).await.is_ok() {}
}

/// Head and body of one request, or nothing of a connection that was closed.
async fn read(stream: &mut TcpStream) -> Option<String> {
    let mut request = String::new();
    let mut buffer = [0; 4096];
    loop {
        let read = stream.read(&mut buffer).await.ok().filter(|read| *read > 0)?;
        request.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
        let Some((head, body)) = request.split_once("\r\n\r\n") else { continue };
        let length =
            head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap().parse::<usize>();
        if body.len() >= length.unwrap() {
            return Some(request);
        }
    }
}

async fn handled(url: &str, remaining: Duration) -> Handled {
    let protocol = Protocol::new(Https::new().unwrap(), OneInvocation).with(Room::default());
    let mut event = create(&shelf("ß"));
    event["ResponseURL"] = json!(url);
    let begun = Instant::now();
    let handled = protocol.handle(&event, Invocation::at(shelf::NOW, remaining)).await;
    assert!(begun.elapsed() < remaining + SLACK, "it outlived its deadline");
    handled
}

const MINUTE: Duration = Duration::from_secs(60);

fn answered() -> Handled {
    Handled::Answered { success: true, physical_id: "library/ß".into() }
}

#[tokio::test]
async fn a_put_is_as_the_presigned_url_wants_it() {
    let server = Server::saying(&[Says::Status(200)]).await;
    assert_eq!(handled(&server.url(), MINUTE).await, answered());
    let requests = server.requests();
    assert_eq!(requests.len(), 1);
    let (head, body) = requests[0].split_once("\r\n\r\n").unwrap();
    let mut lines = head.lines();
    let first = "PUT /arn%3Aaws%3Astack%7CShelf%7Cr-1?X-Amz-Signature=a%2Bb%3D HTTP/1.1";
    assert_eq!(lines.next(), Some(first), "the path and the query are signed as they are");
    let headers: Vec<&str> = lines.collect();
    assert!(headers.contains(&"content-type: "), "{headers:?}");
    assert!(headers.contains(&format!("content-length: {}", body.len()).as_str()), "{headers:?}");
    assert!(!head.to_ascii_lowercase().contains("transfer-encoding"));
    let body: Value = serde_json::from_str(body).unwrap();
    assert_eq!(body["PhysicalResourceId"], "library/ß");
}

#[tokio::test]
async fn trouble_that_passes_is_waited_for_with_the_same_body() {
    for trouble in [Says::Status(500), Says::Status(503), Says::Hangup] {
        let server = Server::saying(&[trouble, Says::Status(200)]).await;
        assert_eq!(handled(&server.url(), MINUTE).await, answered());
        let bodies: Vec<String> = server
            .requests()
            .iter()
            .map(|request| request.split_once("\r\n\r\n").unwrap().1.to_owned())
            .collect();
        assert_eq!(bodies.len(), 2);
        assert_eq!(bodies[0], bodies[1]);
    }
}

#[tokio::test]
async fn silence_costs_one_try() {
    let server = Server::saying(&[Says::Nothing, Says::Status(200)]).await;
    let begun = Instant::now();
    assert_eq!(handled(&server.url(), MINUTE).await, answered());
    assert_eq!(server.requests().len(), 2);
    assert!(begun.elapsed() < Duration::from_secs(3) + SLACK, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn silence_for_ever_ends_before_the_function_is_ended() {
    let server = Server::saying(&[Says::Nothing]).await;
    assert_eq!(handled(&server.url(), Duration::from_secs(3)).await, Handled::Undelivered);
    assert!(server.requests().len() >= 2);
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    assert_eq!(handled(&format!("http://{closed}/x"), Duration::from_secs(2)).await, Handled::Undelivered);
}

#[tokio::test]
async fn refusals_stop_and_redirects_are_not_followed() {
    let other = Server::saying(&[Says::Status(200)]).await;
    for (says, status) in
        [(Says::Status(403), 403), (Says::Status(400), 400), (Says::Redirect(other.at), 307)]
    {
        let server = Server::saying(&[says]).await;
        assert_eq!(handled(&server.url(), MINUTE).await, Handled::Refused(status));
        assert_eq!(server.requests().len(), 1);
    }
    assert!(other.requests().is_empty());
}

#[tokio::test]
async fn a_body_without_end_is_not_read() {
    let server = Server::saying(&[Says::ForEver]).await;
    let begun = Instant::now();
    assert_eq!(handled(&server.url(), MINUTE).await, answered());
    assert!(begun.elapsed() < SLACK);
}

#[tokio::test]
async fn https_is_spoken_to_https_urls() {
    // The first byte of a TLS handshake: a client that sends it does not speak plain HTTP.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let seen = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut first = [0];
        stream.read_exact(&mut first).await.unwrap();
        first[0]
    });
    let url = ResponseUrl::read(&format!("https://{at}/x?secret=hunter2")).unwrap();
    let broken = Https::new().unwrap().put(&url, vec![], Duration::from_secs(2)).await.unwrap_err();
    assert_eq!(seen.await.unwrap(), 0x16);
    assert!(!format!("{broken} {broken:?}").contains("hunter2"));
}
