//! The probe against nodes that misbehave on real sockets (faults 21 and 22).

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use neo4j::{Dialect, probe, probe_all};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use topology::{Answer, NotKnown};

const DEADLINE: Duration = Duration::from_millis(500);
/// What a busy machine may add to a deadline before the test calls it broken.
const SLACK: Duration = Duration::from_secs(2);

/// A node whose every connection is handled by `behave` after the request was read.
async fn node<F, Fut>(behave: F) -> SocketAddr
where
    F: Fn(TcpStream) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _request = stream.read(&mut [0; 1024]).await;
            tokio::spawn(behave(stream));
        }
    });
    at
}

async fn says(bytes: &'static [u8]) -> SocketAddr {
    node(move |mut stream| async move {
        let _gone = stream.write_all(bytes).await;
    })
    .await
}

async fn asked(at: SocketAddr) -> Answer {
    let begun = Instant::now();
    let answer = probe(Dialect::Ha, at, DEADLINE).await;
    assert!(begun.elapsed() < DEADLINE + SLACK, "the probe outlived its deadline");
    answer
}

const fn not(kind: NotKnown) -> Answer {
    Answer::NotKnown(kind)
}

#[tokio::test]
async fn complete_answers_are_classified() {
    let table: [(&[u8], Answer); 8] = [
        (b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ntrue", Answer::Master),
        (b"HTTP/1.1 404 Not Found\r\ncontent-length: 5\r\n\r\nfalse", Answer::Slave),
        (b"HTTP/1.1 404 Not Found\r\ncontent-length: 7\r\n\r\nUNKNOWN", not(NotKnown::Unsettled)),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nfalse", not(NotKnown::Unexpected)),
        (
            b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 22\r\n\r\n<html>It works!</html>",
            not(NotKnown::Unexpected),
        ),
        (
            b"HTTP/1.1 302 Found\r\nlocation: /elsewhere\r\ncontent-length: 4\r\n\r\ntrue",
            not(NotKnown::Unexpected),
        ),
        (b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n", not(NotKnown::Forbidden)),
        (b"SSH-2.0-OpenSSH_9.2p1\r\n", not(NotKnown::Unexpected)),
    ];
    for (bytes, expected) in table {
        assert_eq!(asked(says(bytes).await).await, expected, "{}", String::from_utf8_lossy(bytes));
    }
}

#[tokio::test]
async fn ten_megabytes_and_endless_chunks_are_not_read() {
    for head in ["content-length: 10485760", "transfer-encoding: chunked"] {
        let at = node(move |mut stream| async move {
            let _gone = stream.write_all(format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n").as_bytes()).await;
            let piece = if head.starts_with("transfer") { "4\r\ntrue\r\n" } else { "true" };
            // Until the probe hangs up: if it read on, this would not end before its deadline.
            while stream.write_all(piece.as_bytes()).await.is_ok() {}
        })
        .await;
        let begun = Instant::now();
        assert_eq!(
            probe(Dialect::Ha, at, Duration::from_secs(60)).await,
            not(NotKnown::Unexpected),
            "{head}"
        );
        assert!(begun.elapsed() < Duration::from_secs(30), "{head} was read on");
    }
}

#[tokio::test]
async fn silence_costs_one_deadline_whatever_its_kind() {
    let half = node(|mut stream| async move {
        let _gone = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ntr").await;
        tokio::time::sleep(Duration::from_secs(60)).await;
    });
    let trickle = node(|mut stream| async move {
        for byte in b"HTTP/1.1 200 OK\r\nx: ".iter().chain(std::iter::repeat_n(&b'x', 1000)) {
            tokio::time::sleep(Duration::from_millis(50)).await;
            if stream.write_all(&[*byte]).await.is_err() {
                break;
            }
        }
    });
    for at in [never().await, half.await, trickle.await] {
        assert_eq!(asked(at).await, not(NotKnown::Silent));
    }
}

#[tokio::test]
async fn refused_and_cut_connections_are_refused() {
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = closed.local_addr().unwrap();
    drop(closed);
    assert_eq!(asked(at).await, not(NotKnown::Refused));
    assert_eq!(asked(node(|stream| async move { drop(stream) }).await).await, not(NotKnown::Refused));
    assert_eq!(
        asked(says(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ntr").await).await,
        not(NotKnown::Refused)
    );
}

#[tokio::test]
async fn all_nodes_are_asked_at_once_and_answers_keep_their_order() {
    let silent = never().await;
    let master = says(TRUE).await;
    let mut nodes = vec![silent; 10];
    nodes.insert(3, master);
    let begun = Instant::now();
    let answers = probe_all(Dialect::Ha, &nodes, DEADLINE, |_| false).await;
    assert!(begun.elapsed() < DEADLINE + SLACK, "ten silent nodes cost more than one deadline");
    for (index, answer) in answers.iter().enumerate() {
        let expected = if index == 3 { Answer::Master } else { not(NotKnown::Silent) };
        assert_eq!(*answer, expected, "node {index}");
    }
    assert!(probe_all(Dialect::Ha, &[], DEADLINE, |_| false).await.is_empty());
}

/// A node that answers with `first` for so many times, and then with `then`.
async fn changes(times: usize, first: &'static [u8], then: &'static [u8]) -> SocketAddr {
    let asked = std::sync::atomic::AtomicUsize::new(0);
    let asked = std::sync::Arc::new(asked);
    node(move |mut stream| {
        let before = asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        async move {
            let _gone = stream.write_all(if before < times { first } else { then }).await;
        }
    })
    .await
}

async fn never() -> SocketAddr {
    node(|stream| async move {
        tokio::time::sleep(Duration::from_secs(60)).await;
        drop(stream);
    })
    .await
}

const TRUE: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ntrue";
const FALSE: &[u8] = b"HTTP/1.1 404 Not Found\r\ncontent-length: 5\r\n\r\nfalse";
const UNKNOWN: &[u8] = b"HTTP/1.1 404 Not Found\r\ncontent-length: 7\r\n\r\nUNKNOWN";
/// Far longer than a round that ends early may take.
const PATIENT: Duration = Duration::from_secs(30);

fn a_master(so_far: &[Option<Answer>]) -> bool {
    so_far.contains(&Some(Answer::Master))
}

#[tokio::test]
async fn what_is_enough_is_not_kept_waiting_by_a_silent_node() {
    let nodes = [never().await, says(TRUE).await, says(FALSE).await];
    let begun = Instant::now();
    let answers = probe_all(Dialect::Ha, &nodes, PATIENT, a_master).await;
    assert!(begun.elapsed() < SLACK, "it waited for the silent one: {:?}", begun.elapsed());
    assert!(begun.elapsed() >= topology::GRACE, "everybody has a moment: {:?}", begun.elapsed());
    assert_eq!(answers[..2], [not(NotKnown::NotAwaited), Answer::Master]);
}

#[tokio::test]
async fn an_election_is_seen_while_the_old_master_is_waited_for() {
    let nodes = [never().await, changes(2, UNKNOWN, TRUE).await, says(UNKNOWN).await];
    let begun = Instant::now();
    let answers = probe_all(Dialect::Ha, &nodes, PATIENT, a_master).await;
    assert!(begun.elapsed() < SLACK, "it was seen in a later round only: {:?}", begun.elapsed());
    assert_eq!(answers, [not(NotKnown::NotAwaited), Answer::Master, not(NotKnown::Unsettled)]);
}

#[tokio::test]
async fn whoever_is_not_enough_is_waited_for_and_asked_again() {
    let nodes = [never().await, changes(2, UNKNOWN, FALSE).await, says(TRUE).await];
    let begun = Instant::now();
    let answers = probe_all(Dialect::Ha, &nodes[..2], DEADLINE, a_master).await;
    assert!(begun.elapsed() >= DEADLINE);
    assert_eq!(answers, [not(NotKnown::Silent), Answer::Slave], "the last answer counts");
    let answers = probe_all(Dialect::Ha, &nodes, DEADLINE, |_| false).await;
    assert_eq!(answers[0], not(NotKnown::Silent));
}
