//! The probe against nodes that misbehave on real sockets (faults 21 and 22).

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use neo4j::{Dialect, Question, probe, probe_all, role};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use topology::{Answer, NotKnown, PATIENCE};

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
            // Until the probe closes the connection: if it read on, this would not end before its deadline.
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

/// Without Bolt: nothing listens on the named port.
fn of(roles: &[SocketAddr]) -> Vec<Question> {
    let bolt = SocketAddr::from(([127, 0, 0, 1], 1));
    roles.iter().map(|role| Question { role: *role, bolt, ask_bolt: false }).collect()
}

#[tokio::test]
async fn the_role_is_read_from_the_node_program_in_the_same_words_for_every_dialect() {
    let table: [(&[u8], Answer); 8] = [
        (TRUE, Answer::Master),
        (FALSE, Answer::Slave),
        (UNKNOWN, not(NotKnown::Unsettled)),
        (NO_ANSWER, not(NotKnown::Silent)),
        (b"HTTP/1.1 503 x\r\ncontent-length: 7\r\n\r\nREFUSED", not(NotKnown::Refused)),
        (b"HTTP/1.1 503 x\r\ncontent-length: 9\r\n\r\nNOT-KNOWN", not(NotKnown::Unexpected)),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 21\r\n\r\ntruetruetruetruetrue!", not(NotKnown::Unexpected)),
        (b"HTTP/1.1 404 Not Found\r\ncontent-length: 11\r\n\r\nGET /status", not(NotKnown::Unexpected)),
    ];
    for (bytes, expected) in table {
        let answer = role(says(bytes).await, DEADLINE).await;
        assert_eq!(answer, expected, "{}", String::from_utf8_lossy(bytes));
    }
    assert_eq!(role(never().await, DEADLINE).await, not(NotKnown::Silent));
}

#[tokio::test]
async fn all_nodes_are_asked_at_once_and_answers_keep_their_order() {
    let silent = never().await;
    let mut nodes = vec![silent; 10];
    nodes.insert(3, says(TRUE).await);
    let begun = Instant::now();
    let answers = probe_all(&of(&nodes), |_| false).await;
    assert!(begun.elapsed() < PATIENCE + SLACK, "ten silent nodes cost more than one patience");
    for (index, answer) in answers.iter().enumerate() {
        let expected = if index == 3 { Answer::Master } else { not(NotKnown::Late) };
        assert_eq!(*answer, expected, "node {index}");
    }
    assert!(probe_all(&[], |_| false).await.is_empty());
}

/// A node that takes `time` to say `bytes`.
async fn after(time: Duration, bytes: &'static [u8]) -> SocketAddr {
    node(move |mut stream| async move {
        tokio::time::sleep(time).await;
        let _gone = stream.write_all(bytes).await;
    })
    .await
}

async fn closed() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

#[tokio::test]
async fn silence_is_silence_on_bolt_too_with_the_whole_patience() {
    let chosen: &[u8] = &[0, 0, 0, 1];
    let no_answer = says(NO_ANSWER).await;
    let bolt_late = after(Duration::from_millis(1500), chosen).await;
    let table = [
        (never().await, Some(never().await), NotKnown::Silent, "both were silent"),
        (never().await, Some(says(chosen).await), NotKnown::Late, "Bolt answers"),
        (never().await, Some(bolt_late), NotKnown::Late, "Bolt answers late, and within the patience"),
        (never().await, Some(closed().await), NotKnown::Late, "a Bolt that refuses is not silence"),
        (never().await, Some(node(|_| async {}).await), NotKnown::Late, "nor is one that hangs up"),
        (never().await, None, NotKnown::Late, "Bolt was not asked"),
        (no_answer, Some(never().await), NotKnown::Silent, "its Neo4j was silent, and so was Bolt"),
        (no_answer, Some(says(chosen).await), NotKnown::Late, "its Neo4j was silent over HTTP only"),
        (no_answer, None, NotKnown::Late, "its Neo4j was silent, and Bolt was not asked"),
        (
            closed().await,
            Some(never().await),
            NotKnown::Refused,
            "a refusal is a refusal, whatever Bolt does",
        ),
    ];
    let question = |(role, bolt, ..): &(SocketAddr, Option<SocketAddr>, NotKnown, &str)| Question {
        role: *role,
        bolt: bolt.unwrap_or(*role),
        ask_bolt: bolt.is_some(),
    };
    let questions: Vec<Question> = table.iter().map(question).collect();
    let begun = Instant::now();
    let answers = probe_all(&questions, |_| false).await;
    assert!(begun.elapsed() >= PATIENCE, "a node was given up early");
    assert!(begun.elapsed() < PATIENCE + SLACK, "Bolt was asked after HTTP, not beside it");
    for ((.., expected, why), answer) in table.iter().zip(answers) {
        assert_eq!(answer, not(*expected), "{why}");
    }
}

#[tokio::test]
async fn a_slow_master_is_the_master_whether_or_not_bolt_is_asked() {
    for ask_bolt in [false, true] {
        let slow = after(Duration::from_millis(1700), TRUE).await;
        let question = Question { role: slow, bolt: never().await, ask_bolt };
        assert_eq!(probe_all(&[question], |_| false).await, [Answer::Master]);
    }
}

#[tokio::test]
async fn what_the_node_program_knows_at_once_costs_no_patience() {
    for (said, expected) in [(NO_ANSWER, not(NotKnown::Late)), (TRUE, Answer::Master)] {
        let begun = Instant::now();
        assert_eq!(probe_all(&of(&[says(said).await]), |_| false).await, [expected]);
        assert!(begun.elapsed() < PATIENCE, "{expected:?} was waited for");
    }
}

/// A node that answers with `first` this many times, and then with `then`.
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
const NO_ANSWER: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 6\r\n\r\nSILENT";

fn a_master(so_far: &[Option<Answer>]) -> bool {
    so_far.contains(&Some(Answer::Master))
}

#[tokio::test]
async fn what_is_enough_is_not_kept_waiting_by_a_silent_node() {
    let nodes = [never().await, says(TRUE).await, says(FALSE).await];
    let begun = Instant::now();
    let answers = probe_all(&of(&nodes), a_master).await;
    assert!(begun.elapsed() < PATIENCE, "it waited for the silent one: {:?}", begun.elapsed());
    assert!(begun.elapsed() >= topology::GRACE, "every node has a moment: {:?}", begun.elapsed());
    assert_eq!(answers[..2], [not(NotKnown::NotAwaited), Answer::Master]);
}

#[tokio::test]
async fn an_election_is_seen_while_the_old_master_is_waited_for() {
    let nodes = [never().await, changes(2, UNKNOWN, TRUE).await, says(UNKNOWN).await];
    let begun = Instant::now();
    let answers = probe_all(&of(&nodes), a_master).await;
    assert!(begun.elapsed() < PATIENCE, "it was seen in a later round only: {:?}", begun.elapsed());
    assert_eq!(answers, [not(NotKnown::NotAwaited), Answer::Master, not(NotKnown::Unsettled)]);
}

#[tokio::test]
async fn while_there_is_not_enough_a_silent_node_is_waited_for_and_the_others_are_asked_again() {
    let nodes = [never().await, changes(2, UNKNOWN, FALSE).await, says(TRUE).await];
    let begun = Instant::now();
    let answers = probe_all(&of(&nodes[..2]), a_master).await;
    assert!(begun.elapsed() >= PATIENCE);
    assert_eq!(answers, [not(NotKnown::Late), Answer::Slave], "the last answer counts");
    let answers = probe_all(&of(&nodes), |_| false).await;
    assert_eq!(answers[0], not(NotKnown::Late));
}

#[tokio::test]
async fn a_node_that_falls_silent_within_the_round_keeps_what_it_said() {
    let nodes = [never().await, changes(2, UNKNOWN, NO_ANSWER).await];
    let answers = probe_all(&of(&nodes), a_master).await;
    assert_eq!(answers[1], not(NotKnown::Unsettled));
}

/// As 3.4.6 does it (tried): its root redirects a client to the browser unless the client prefers JSON.
#[tokio::test]
async fn a_single_node_is_asked_for_json_first() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 1024];
            let length = stream.read(&mut request).await.unwrap_or(0);
            let request = String::from_utf8_lossy(&request[..length]).to_lowercase();
            let prefers_json = request.contains("\r\naccept: application/json");
            let answer: &[u8] = if prefers_json {
                b"HTTP/1.1 200 OK\r\ncontent-length: 36\r\n\r\n{\n  \"bolt\" : \"bolt://10.0.0.1:7687\"}"
            } else {
                b"HTTP/1.1 303 See Other\r\nlocation: /browser/\r\ncontent-length: 0\r\n\r\n"
            };
            let _gone = stream.write_all(answer).await;
        }
    });
    assert_eq!(probe(Dialect::Single, at, DEADLINE).await, Answer::Master);
}
