//! A service of AWS on a real socket, which answers as a test says and keeps what it was asked.

use std::sync::{Arc, Mutex};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_ecs::config::Credentials;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// Status and body; `None` drops the connection without an answer.
type Answer = Option<(u16, String)>;

#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// Request line and headers, in lower case.
    pub head: String,
    pub body: String,
}

/// The service, as a test reaches it.
pub(crate) struct Fake {
    /// Leads to it, with this product's deadlines and retries.
    pub config: SdkConfig,
    asked: Arc<Mutex<Vec<Request>>>,
}

impl Fake {
    /// Every request is passed to `answer`, with the number of those before it.
    pub(crate) async fn start(answer: impl Fn(usize, &Request) -> Answer + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let asked: Arc<Mutex<Vec<Request>>> = Arc::default();
        let kept = Arc::clone(&asked);
        tokio::spawn(async move {
            // One request a connection: an answer ends it.
            while let Ok((mut client, _)) = listener.accept().await {
                let Some(request) = read(&mut client).await else { continue };
                let number = kept.lock().unwrap().len();
                kept.lock().unwrap().push(request.clone());
                let Some((status, body)) = answer(number, &request) else { continue };
                let length = body.len();
                let answer = format!(
                    "HTTP/1.1 {status} x\r\nconnection: close\r\netag: \"v{number}\"\r\ncontent-length: {length}\r\n\r\n{body}"
                );
                let _gone = client.write_all(answer.as_bytes()).await;
            }
        });
        let loader = aws_config::defaults(BehaviorVersion::latest())
            .endpoint_url(endpoint)
            .region(Region::from_static("us-east-1"))
            .credentials_provider(Credentials::new("test", "test", None, None, "test"));
        Self { config: crate::client::with_deadlines(loader).load().await, asked }
    }

    pub(crate) fn asked(&self) -> Vec<Request> {
        self.asked.lock().unwrap().clone()
    }
}

async fn read(client: &mut TcpStream) -> Option<Request> {
    let (mut bytes, mut part) = (Vec::new(), [0; 4096]);
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let head = head.to_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                return Some(Request { head, body: body.to_owned() });
            }
        }
        match client.read(&mut part).await {
            Ok(0) | Err(_) => return None,
            Ok(read) => bytes.extend_from_slice(&part[..read]),
        }
    }
}
