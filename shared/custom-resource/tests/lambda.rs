//! `serve` in a process of its own under a Runtime API on a loopback address, which receives the answers too.

mod shelf;

use std::{
    collections::VecDeque,
    process::Stdio,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use custom_resource::{Https, OneInvocation, Protocol, serve};
use serde_json::{Value, json};
use shelf::{Room, create, shelf};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    process::Command,
    time::timeout,
};

const API: &str = "AWS_LAMBDA_RUNTIME_API";
const PATIENCE: Duration = Duration::from_secs(20);

/// Events to hand out, and what came back: `(path, body)`.
#[derive(Default)]
struct Lambda {
    events: Mutex<VecDeque<String>>,
    back: Mutex<Vec<(String, String)>>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    if std::env::var_os(API).is_some() {
        let protocol = Protocol::new(Https::new().unwrap(), OneInvocation).with(Room::default());
        return serve(protocol).await.unwrap();
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let lambda = Arc::new(Lambda::default());
    let shared = Arc::clone(&lambda);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let lambda = Arc::clone(&shared);
            tokio::spawn(async move { connection(stream, &lambda).await });
        }
    });
    let mut function = Command::new(std::env::current_exe().unwrap())
        .env_clear()
        .env(API, at.to_string())
        .env("AWS_LAMBDA_FUNCTION_NAME", "shelves")
        .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128")
        .env("AWS_LAMBDA_FUNCTION_VERSION", "1")
        .env("AWS_LAMBDA_LOG_GROUP_NAME", "group")
        .env("AWS_LAMBDA_LOG_STREAM_NAME", "stream")
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();

    let good = create(&shelf("A"));
    let panics = json!({"Label": "A", "Width": "1", "Manner": "Panics", "Password": "hunter2"});
    let deep = format!("{}{}", "[".repeat(1000), "]".repeat(1000));
    let unreadable = create(&json!("deep")).to_string().replace("\"deep\"", &format!("{{\"Label\":{deep}}}"));
    let scenarios = [
        (good.to_string(), "SUCCESS", ""),
        (create(&panics).to_string(), "FAILED", "an internal fault at step"),
        // More than the parser allows: a function with typed events would never answer this.
        (unreadable, "FAILED", "ResourceProperties: null"),
        (good.to_string(), "SUCCESS", ""),
    ];
    for (event, status, reason) in scenarios {
        let event = event.replace(shelf::URL, &format!("http://{at}/answer?X-Amz-Signature=c0ffee"));
        let answer = sent(&lambda, event).await;
        assert_eq!(answer["Status"], status, "{answer}");
        assert!(answer["Reason"].as_str().unwrap_or_default().starts_with(reason), "{answer}");
    }
    function.kill().await.unwrap();
    let mut printed = String::new();
    function.stderr.take().unwrap().read_to_string(&mut printed).await.unwrap();
    assert!(!printed.contains("hunter2") && !printed.contains("c0ffee"), "{printed}");
    println!("test serve_answers_under_a_runtime_api ... ok");
}

/// Hands out `event`, waits for its answer and for the end of its invocation.
async fn sent(lambda: &Lambda, event: String) -> Value {
    lambda.back.lock().unwrap().clear();
    lambda.events.lock().unwrap().push_back(event);
    let wait = async {
        loop {
            tokio::time::sleep(Duration::from_millis(5)).await;
            let back = lambda.back.lock().unwrap();
            if back.iter().any(|(path, _)| path.ends_with("/response")) {
                let answers: Vec<&String> = back
                    .iter()
                    .filter(|(path, _)| path.starts_with("/answer"))
                    .map(|(_, body)| body)
                    .collect();
                assert_eq!(answers.len(), 1, "{back:?}");
                return serde_json::from_str(answers[0]).unwrap();
            }
        }
    };
    timeout(PATIENCE, wait).await.expect("no end of the invocation")
}

/// Requests on one connection, which Lambda's client keeps.
async fn connection(stream: TcpStream, lambda: &Lambda) {
    let mut stream = BufReader::new(stream);
    loop {
        let mut head = Vec::new();
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
                return;
            }
            match line.trim_end() {
                "" => break,
                line => head.push(line.to_owned()),
            }
        }
        let length = head.iter().find_map(|line| line.strip_prefix("content-length: "));
        let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
        stream.read_exact(&mut body).await.unwrap();
        let path = head[0].split(' ').nth(1).unwrap().to_owned();
        let answer = if path.ends_with("/next") {
            next(lambda).await
        } else {
            lambda.back.lock().unwrap().push((path, String::from_utf8(body).unwrap()));
            "HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n".to_owned()
        };
        if stream.get_mut().write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

async fn next(lambda: &Lambda) -> String {
    let event = loop {
        if let Some(event) = lambda.events.lock().unwrap().pop_front() {
            break event;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    };
    let deadline =
        (SystemTime::now() + Duration::from_secs(30)).duration_since(UNIX_EPOCH).unwrap().as_millis();
    format!(
        "HTTP/1.1 200 OK\r\nlambda-runtime-aws-request-id: i-1\r\nlambda-runtime-deadline-ms: {deadline}\r\n\
         lambda-runtime-invoked-function-arn: arn:aws:lambda:x\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{event}",
        event.len()
    )
}
