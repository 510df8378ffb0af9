use std::sync::{Arc, Mutex};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::*;
use crate::fake::Fake;

fn version() -> ObjectVersion {
    ObjectVersion { bucket: "b".into(), key: "k".into(), etag: "\"e\"".into(), bytes: 10 }
}

fn refusal(code: &str) -> String {
    format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>m</Message></Error>")
}

/// Status, a header and the body of each answer in turn; a body that is shorter than three bytes is cut.
async fn answering(
    answers: &'static [(u16, &'static str, &'static str)],
) -> (Uploads, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let fake = Fake::start(|_, _| None).await;
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let config = fake.config.into_builder().endpoint_url(endpoint).build();
    let asked: Arc<Mutex<Vec<String>>> = Arc::default();
    let kept = Arc::clone(&asked);
    tokio::spawn(async move {
        for (status, header, body) in answers {
            let (mut client, _) = listener.accept().await.unwrap();
            let mut head = vec![0; 8192];
            let length = client.read(&mut head).await.unwrap();
            kept.lock().unwrap().push(String::from_utf8_lossy(&head[..length]).to_lowercase());
            let length = body.len().max(3);
            let answer = format!(
                "HTTP/1.1 {status} x\r\nconnection: close\r\n{header}content-length: {length}\r\n\r\n{body}"
            );
            client.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    (Uploads::new(&config), asked)
}

const RANGE: &str = "content-range: bytes 4-6/10\r\n";

#[tokio::test]
async fn a_range_is_of_one_version() {
    let (uploads, asked) = answering(&[(206, RANGE, "456")]).await;
    assert_eq!(uploads.range(&version(), 4..7).await, Ok("456".into()));
    let asked = asked.lock().unwrap();
    assert!(asked[0].starts_with("get /b/k"), "{asked:?}");
    for part in ["range: bytes=4-6\r\n", "if-match: \"e\"\r\n"] {
        assert!(asked[0].contains(part), "{asked:?}");
    }
}

#[tokio::test]
async fn a_range_that_is_cut_or_refused_for_a_moment_is_asked_for_again() {
    let (uploads, asked) = answering(&[(206, RANGE, "4"), (503, "", "..."), (206, RANGE, "456")]).await;
    assert_eq!(uploads.range(&version(), 4..7).await, Ok("456".into()));
    assert_eq!(asked.lock().unwrap().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn tries_have_an_end() {
    let (began, tries) = (tokio::time::Instant::now(), std::cell::Cell::new(0));
    let read: Result<(), _> = tried(|| {
        tries.set(tries.get() + 1);
        let failed = failed(GET, "b", "k", "InternalError".into());
        std::future::ready(Err(Unread::Failed(Error { kind: Kind::Passing, ..failed })))
    })
    .await;
    assert!(matches!(read, Err(Unread::Failed(error)) if error.kind.passes()));
    assert_eq!((tries.get(), began.elapsed().as_millis()), (6, 15_500));
}

#[tokio::test]
async fn what_no_retry_changes_is_told_apart() {
    let table = [
        (412, "PreconditionFailed", Unread::Changed),
        (404, "NoSuchKey", Unread::Absent),
        (416, "InvalidRange", Unread::Length(None)),
    ];
    for (status, code, expected) in table {
        let fake = Fake::start(move |_, _| Some((status, refusal(code)))).await;
        assert_eq!(Uploads::new(&fake.config).range(&version(), 4..7).await, Err(expected), "{code}");
        assert_eq!(fake.asked().len(), 1, "{code}");
    }
    for (status, code, kind) in [(403, "AccessDenied", Kind::Denied), (404, "NoSuchBucket", Kind::Other)] {
        let fake = Fake::start(move |_, _| Some((status, refusal(code)))).await;
        let read = Uploads::new(&fake.config).range(&version(), 4..7).await;
        assert!(matches!(read, Err(Unread::Failed(error)) if error.kind == kind), "{code}");
        assert_eq!(fake.asked().len(), 1, "{code}");
    }
}

/// By the first answer, and not after all of it was read.
#[tokio::test]
async fn an_object_of_another_length_and_an_answer_without_a_range_are_refused() {
    let (uploads, _) = answering(&[(206, "content-range: bytes 4-6/9\r\n", "456")]).await;
    assert_eq!(uploads.range(&version(), 4..7).await, Err(Unread::Length(Some(9))));
    let (uploads, _) = answering(&[(200, "", "012")]).await;
    let read = uploads.range(&version(), 4..7).await;
    assert!(matches!(read, Err(Unread::Failed(error)) if error.reason == "the answer says no range"));
}
