use std::sync::{Arc, Mutex};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::*;
use crate::fake::Fake;

const BEGUN: &str = "<InitiateMultipartUploadResult><UploadId>u-1</UploadId></InitiateMultipartUploadResult>";
const COMPLETED: &str = "<CompleteMultipartUploadResult><ETag>\"v3\"</ETag></CompleteMultipartUploadResult>";

fn refusal(code: &str) -> String {
    format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>m</Message></Error>")
}

fn upload() -> Upload {
    Upload { bucket: "b".into(), key: "k".into(), id: "u-1".into() }
}

fn part(number: i32) -> Part {
    Part { number, etag: format!("\"v{number}\""), crc32: Some("AAAAAA==".into()) }
}

#[test]
fn an_attempt_has_a_second_for_each_mebibyte() {
    assert_eq!(attempt(0), Duration::from_secs(30));
    assert_eq!(attempt(8 * MIB), Duration::from_secs(38));
    assert_eq!(attempt(70 * 1024 * MIB + 1), Duration::from_secs(30 + 70 * 1024 + 1));
}

#[tokio::test]
async fn parts_have_a_checksum_and_the_object_is_made_only_if_it_is_absent() {
    let fake = Fake::start(|number, _| Some((200, [BEGUN, "", "", COMPLETED][number].to_owned()))).await;
    let uploads = Uploads::new(&fake.config);
    let begun = uploads.begin("b", "k", "application/zstd").await.unwrap();
    assert_eq!(begun, upload());
    // Whatever order they were done in, S3 takes them in the order of their numbers only.
    let parts = [
        uploads.part(&begun, 2, Bytes::from_static(b"two")).await.unwrap(),
        uploads.part(&begun, 1, Bytes::from_static(b"one")).await.unwrap(),
    ];
    assert_eq!(uploads.complete(&begun, &parts).await, Ok(Put::Written("\"v3\"".into())));
    let asked = fake.asked();
    let has = |index: usize, words: &[&str]| {
        let asked = format!("{}\n{}", asked[index].head, asked[index].body);
        words.iter().for_each(|word| assert!(asked.contains(word), "{word} is not in {asked}"));
    };
    has(0, &["post /b/k?uploads", "x-amz-checksum-algorithm: crc32", "content-type: application/zstd"]);
    has(
        1,
        &["put /b/k", "partnumber=2", "uploadid=u-1", "x-amz-checksum-crc32: ", "unsigned-payload", "two"],
    );
    has(3, &["post /b/k", "uploadid=u-1", "if-none-match: *"]);
    let (one, two) = (asked[3].body.find("<PartNumber>1<"), asked[3].body.find("<PartNumber>2<"));
    assert!(one.is_some() && one < two, "{}", asked[3].body);
}

#[tokio::test]
async fn a_part_is_sent_again_and_a_completion_never() {
    let fake =
        Fake::start(|number, _| Some(if number == 0 { (500, String::new()) } else { (200, String::new()) }))
            .await;
    let sent = Uploads::new(&fake.config).part(&upload(), 1, Bytes::from_static(b"one")).await.unwrap();
    assert_eq!((sent.etag.as_str(), fake.asked().len()), ("\"v1\"", 2));
    assert!(fake.asked().iter().all(|asked| asked.body == "one"), "{:?}", fake.asked());
    for answer in [Some((500, refusal("InternalError"))), Some((200, refusal("InternalError"))), None] {
        let first = answer.clone();
        let fake = Fake::start(move |_, _| first.clone()).await;
        let done = Uploads::new(&fake.config).complete(&upload(), &[part(1)]).await;
        assert!(done.is_err_and(|error| error.kind.passes()), "{answer:?}");
        assert_eq!(fake.asked().len(), 1, "{answer:?}");
    }
}

#[tokio::test]
async fn an_object_that_is_there_is_told_apart_from_a_busy_one() {
    for (status, code, expected) in [
        (412, "PreconditionFailed", Put::Lost),
        (200, "PreconditionFailed", Put::Lost),
        (409, "ConditionalRequestConflict", Put::Busy),
    ] {
        let fake = Fake::start(move |_, _| Some((status, refusal(code)))).await;
        let uploads = Uploads::new(&fake.config);
        assert_eq!(uploads.complete(&upload(), &[part(1)]).await, Ok(expected.clone()), "{status} {code}");
        if status != 200 {
            assert_eq!(uploads.text("b", "k", Bytes::from_static(b"text")).await, Ok(expected), "{code}");
        }
    }
}

#[tokio::test]
async fn an_upload_that_is_not_known_is_aborted() {
    let fake = Fake::start(|_, _| Some((404, refusal("NoSuchUpload")))).await;
    assert_eq!(Uploads::new(&fake.config).abort(&upload()).await, Ok(()));
    assert!(fake.asked()[0].head.starts_with("delete /b/k"), "{:?}", fake.asked());
    let fake = Fake::start(|_, _| Some((403, refusal("AccessDenied")))).await;
    let denied = Uploads::new(&fake.config).abort(&upload()).await.unwrap_err();
    assert_eq!((denied.kind, denied.call), (Kind::Denied, "s3:AbortMultipartUpload"));
}

/// Answers the first request with the head of ten bytes and `first` of them, and each further one with the rest that it asks for.
async fn cut(first: &'static str, rests: &'static [&'static str]) -> (Fake, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut fake = Fake::start(|_, _| None).await;
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    fake.config = fake.config.into_builder().endpoint_url(endpoint).build();
    let asked: Arc<Mutex<Vec<String>>> = Arc::default();
    let kept = Arc::clone(&asked);
    tokio::spawn(async move {
        let mut answers = std::iter::once(&first).chain(rests);
        while let Ok((mut client, _)) = listener.accept().await {
            let mut head = vec![0; 8192];
            let length = client.read(&mut head).await.unwrap();
            let head = String::from_utf8_lossy(&head[..length]).to_lowercase();
            let from =
                head.split_once("range: bytes=").map_or("0", |(_, rest)| rest.split('-').next().unwrap());
            let length = 10 - from.parse::<usize>().unwrap();
            kept.lock().unwrap().push(head);
            let body = answers.next().copied().unwrap_or_default();
            let answer = format!(
                "HTTP/1.1 200 x\r\nconnection: close\r\netag: \"e\"\r\ncontent-length: {length}\r\n\r\n{body}"
            );
            client.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    (fake, asked)
}

async fn read(fake: &Fake) -> Result<String, Error> {
    let mut download = Uploads::new(&fake.config).read("b", "k").await?;
    assert_eq!(download.bytes(), 10);
    let mut read = Vec::new();
    while let Some(bytes) = download.next().await {
        read.extend_from_slice(&bytes?);
    }
    Ok(String::from_utf8(read).unwrap())
}

#[tokio::test]
async fn a_read_that_is_cut_goes_on_in_the_same_version() {
    let (fake, asked) = cut("01234", &["567", "89"]).await;
    assert_eq!(read(&fake).await, Ok("0123456789".into()));
    let asked = asked.lock().unwrap();
    for (index, range) in [(1, "range: bytes=5-"), (2, "range: bytes=8-")] {
        assert!(asked[index].contains(range) && asked[index].contains("if-match: \"e\""), "{}", asked[index]);
    }
    assert_eq!(asked.len(), 3);
}

#[tokio::test]
async fn a_read_that_is_cut_without_end_fails() {
    let (fake, asked) = cut("0", &[]).await;
    let error = read(&fake).await.unwrap_err();
    assert!(error.kind.passes() && error.what == "s3://b/k", "{error}");
    assert_eq!(asked.lock().unwrap().len(), 4);
}

#[tokio::test]
async fn an_absent_object_is_not_read() {
    let fake = Fake::start(|_, _| Some((404, refusal("NoSuchKey")))).await;
    let error = Uploads::new(&fake.config).read("b", "k").await.unwrap_err();
    assert!(error.reason.starts_with("NoSuchKey"), "{error}");
}
