//! Servers in Neo4j's place that misbehave: every call ends in time, and reports what it met.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use neo4j::{Administration, Change, Credentials, Denied, Instance};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

const DEADLINE: Duration = Duration::from_millis(400);
/// What a busy machine may add before the test calls it broken.
const SLACK: Duration = Duration::from_secs(2);
const PASSWORD: &str = "hunter2";

/// Answers every connection with `bytes` again and again, or with silence; then keeps it open.
async fn peer(greeting: &'static [u8], again: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut asked = [0; 20];
                let _asked = stream.read(&mut asked).await;
                let _greeted = stream.write_all(greeting).await;
                while !again.is_empty() && stream.write_all(again).await.is_ok() {
                    tokio::task::yield_now().await;
                }
                tokio::time::sleep(Duration::from_secs(60)).await;
            });
        }
    });
    at
}

fn instance(at: SocketAddr) -> Instance {
    Instance { http: at, bolt: at, administration: Administration::Http, deadline: DEADLINE }
}

async fn all_calls(at: SocketAddr) -> [Result<(), Denied>; 4] {
    let (instance, who) = (instance(at), Credentials::new("neo4j", PASSWORD.to_owned().into()));
    let user = "app".parse().unwrap();
    let start = Instant::now();
    let told = [
        instance.login(&who).await,
        instance.write_and_roll_back(&who).await,
        instance.accounts(&who).await.map(drop),
        instance.change(&who, &user, &Change::Create, &who.password).await,
    ];
    assert!(start.elapsed() < DEADLINE * 4 + SLACK, "{:?}", start.elapsed());
    for denied in told.iter().filter_map(|told| told.as_ref().err()) {
        let sentence = format!("{denied} {denied:?}");
        assert!(!sentence.contains(PASSWORD) && !sentence.contains('\n'), "{sentence}");
    }
    told
}

#[tokio::test]
async fn silence_is_unreachable_when_the_deadline_ends() {
    for told in all_calls(peer(b"", b"").await).await {
        assert!(matches!(&told, Err(Denied::Unreachable(why)) if why.contains("silent")), "{told:?}");
    }
}

#[tokio::test]
async fn nobody_there_is_unreachable_at_once() {
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let start = Instant::now();
    for told in all_calls(gone).await {
        assert!(matches!(told, Err(Denied::Unreachable(_))), "{told:?}");
    }
    assert!(start.elapsed() < SLACK, "{:?}", start.elapsed());
}

#[tokio::test]
async fn what_is_no_neo4j_is_never_taken_for_one() {
    let peers: [(&[u8], &[u8]); 6] = [
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}", b""),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", b"5\r\n[[[[[\r\n"),
        (b"SSH-2.0-OpenSSH\r\n", b""),
        // Bolt that never ends: with empty chunks, with one message, with rows.
        (b"\0\0\0\x01", b"\0\0"),
        (b"\0\0\0\x01", b"\xff\xffxxxxxxxxxxxxxxxx"),
        (b"\0\0\0\x01", b"\0\x03\xb1\x71\x90\0\0"),
    ];
    for (greeting, again) in peers {
        for told in all_calls(peer(greeting, again).await).await {
            assert!(matches!(told, Err(Denied::Unreachable(_) | Denied::Other { .. })), "{told:?}");
        }
    }
}

#[tokio::test]
async fn another_version_of_bolt_is_named() {
    let told = instance(peer(&[0; 4], b"").await).login(&Credentials::new("a", "b".to_owned().into())).await;
    assert!(told.unwrap_err().to_string().contains("does not speak version 1 of Bolt"));
}
