//! A node on real sockets: HTTP that answers in its own time, and a Bolt server of version 1 that counts.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};

use super::*;

const LATE: Duration = Duration::from_secs(60);
const AT_ONCE: Duration = Duration::ZERO;
const MASTER: &[u8] = b"\xb1\x71\x93\x86master\xc3\xc3";
const SLAVE: &[u8] = b"\xb1\x71\x93\x85slave\xc3\xc3";
const BETWEEN: &[u8] = b"\xb1\x71\x93\x87UNKNOWN\xc3\xc2";
const UNAUTHORIZED: &[u8] =
    b"\xb1\x7f\xa2\x84code\xd0%Neo.ClientError.Security.Unauthorized\x87message\x84nope";
const UNAVAILABLE: &[u8] =
    b"\xb1\x7f\xa2\x84code\xd0\x2eNeo.TransientError.General.DatabaseUnavailable\x87message\x84gone";
const TRUE: &str = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ntrue";
const FALSE: &str = "HTTP/1.1 404 x\r\ncontent-length: 5\r\n\r\nfalse";
const HTML: &str = "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\n<html>";

const fn not(kind: NotKnown) -> Answer {
    Answer::NotKnown(kind)
}

/// What the Bolt server was asked.
#[derive(Default)]
struct Seen {
    connections: AtomicUsize,
    logins: AtomicUsize,
    open: AtomicUsize,
    most_open: AtomicUsize,
}

/// Says `answer` after `time` to every request.
async fn http(time: Duration, answer: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let _request = stream.read(&mut [0; 1024]).await;
                sleep(time).await;
                stream.write_all(answer.as_bytes()).await
            });
        }
    });
    at
}

/// Refuses connections. The port stays taken: a test beside this one must not get it.
fn closed() -> SocketAddr {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let at = socket.local_addr().unwrap();
    std::mem::forget(socket);
    at
}

/// Answers each statement after `time` with a row, or the login with a failure.
async fn bolt(time: Duration, answer: &'static [u8]) -> (SocketAddr, Arc<Seen>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (at, seen) = (listener.local_addr().unwrap(), Arc::new(Seen::default()));
    let counts = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let seen = Arc::clone(&counts);
            tokio::spawn(async move {
                seen.connections.fetch_add(1, SeqCst);
                seen.most_open.fetch_max(seen.open.fetch_add(1, SeqCst) + 1, SeqCst);
                serve(stream, time, answer, &seen).await;
                seen.open.fetch_sub(1, SeqCst);
            });
        }
    });
    (at, seen)
}

async fn serve(mut stream: TcpStream, time: Duration, answer: &[u8], seen: &Seen) -> Option<()> {
    let framed = |message: &[u8]| {
        let length = u16::try_from(message.len()).unwrap().to_be_bytes();
        [&length, message, &[0, 0]].concat()
    };
    let success = framed(b"\xb1\x70\xa0");
    stream.read_exact(&mut [0; 20]).await.ok()?;
    stream.write_all(&[0, 0, 0, 1]).await.ok()?;
    message(&mut stream).await?;
    seen.logins.fetch_add(1, SeqCst);
    if answer == UNAUTHORIZED {
        sleep(time).await;
        return stream.write_all(&framed(answer)).await.ok();
    }
    stream.write_all(&success).await.ok()?;
    message(&mut stream).await?;
    message(&mut stream).await?;
    sleep(time).await;
    if answer == UNAVAILABLE {
        return stream.write_all(&framed(answer)).await.ok();
    }
    stream.write_all(&[success.clone(), framed(answer), success].concat()).await.ok()?;
    // Until the client has closed its session.
    while stream.read(&mut [0; 64]).await.ok()? > 0 {}
    Some(())
}

async fn message(stream: &mut TcpStream) -> Option<()> {
    loop {
        let mut length = [0; 2];
        stream.read_exact(&mut length).await.ok()?;
        let length = usize::from(u16::from_be_bytes(length));
        if length == 0 {
            return Some(());
        }
        stream.read_exact(&mut vec![0; length]).await.ok()?;
    }
}

/// For tests of the other path: HTTP that is always late.
pub async fn silent_http() -> SocketAddr {
    http(LATE, TRUE).await
}

/// Bolt that refuses every password, and how many it has.
pub async fn refusing_bolt() -> (SocketAddr, impl Fn() -> usize) {
    let (at, seen) = bolt(AT_ONCE, UNAUTHORIZED).await;
    (at, move || seen.logins.load(SeqCst))
}

/// Bolt of a master.
pub async fn master_bolt() -> (SocketAddr, impl Fn() -> usize) {
    let (at, seen) = bolt(AT_ONCE, MASTER).await;
    (at, move || seen.logins.load(SeqCst))
}

fn check(http: SocketAddr, bolt: SocketAddr) -> RoleCheck {
    RoleCheck::new(Dialect::Ha, http, bolt, Administrator::of_a_test("secret", "secret", AT_ONCE))
}

/// The answer, and what it took; never longer than the budget and what a busy machine adds.
async fn asked(check: &RoleCheck) -> (Answer, Duration) {
    let begun = Instant::now();
    let answer = timeout(ROLE_BUDGET + Duration::from_secs(2), check.ask()).await.expect("over its budget");
    (answer, begun.elapsed())
}

#[tokio::test]
async fn http_that_answers_soon_is_the_answer_and_bolt_is_left_alone() {
    for (answer, expected) in
        [(TRUE, Answer::Master), (FALSE, Answer::Slave), (HTML, not(NotKnown::Unexpected))]
    {
        let (bolt, seen) = bolt(AT_ONCE, MASTER).await;
        assert_eq!(check(http(AT_ONCE, answer).await, bolt).ask().await, expected);
        assert_eq!(seen.connections.load(SeqCst), 0, "{expected:?}");
    }
    let (bolt, seen) = bolt(AT_ONCE, MASTER).await;
    assert_eq!(check(closed(), bolt).ask().await, not(NotKnown::Refused), "it starts or stops");
    assert_eq!(seen.connections.load(SeqCst), 0);
}

#[tokio::test]
async fn when_http_is_late_bolt_gives_the_same_three_answers() {
    for (row, expected) in
        [(MASTER, Answer::Master), (SLAVE, Answer::Slave), (BETWEEN, not(NotKnown::Unsettled))]
    {
        let (bolt, seen) = bolt(AT_ONCE, row).await;
        let (answer, took) = asked(&check(http(LATE, TRUE).await, bolt)).await;
        assert_eq!(answer, expected);
        assert!(took >= BESIDE && took < ROLE_BUDGET, "{took:?}");
        assert_eq!(seen.connections.load(SeqCst), 1);
    }
}

#[tokio::test]
async fn when_bolt_does_not_know_a_slow_http_is_waited_for() {
    let slow = Duration::from_millis(900);
    for (delay, answer) in [(AT_ONCE, UNAVAILABLE), (LATE, MASTER), (AT_ONCE, UNAUTHORIZED)] {
        let (bolt, _) = bolt(delay, answer).await;
        assert_eq!(asked(&check(http(slow, TRUE).await, bolt)).await.0, Answer::Master);
    }
    assert_eq!(asked(&check(http(slow, FALSE).await, closed())).await.0, Answer::Slave);
}

#[tokio::test]
async fn silence_is_silence_on_both_and_anything_else_is_not_known() {
    let (frozen, _) = bolt(LATE, MASTER).await;
    let (answer, took) = asked(&check(http(LATE, TRUE).await, frozen)).await;
    assert_eq!(answer, not(NotKnown::Silent));
    assert!(took >= ROLE_BUDGET && took < topology::PATIENCE, "{took:?}");
    for refusal in [UNAVAILABLE, UNAUTHORIZED] {
        let (bolt, _) = bolt(AT_ONCE, refusal).await;
        assert_eq!(asked(&check(http(LATE, TRUE).await, bolt)).await.0, not(NotKnown::Unexpected));
    }
    assert_eq!(asked(&check(http(LATE, TRUE).await, closed())).await.0, not(NotKnown::Unexpected));
}

#[tokio::test]
async fn requests_at_the_same_time_share_one_ask_and_the_next_one_asks_again() {
    let (bolt, seen) = bolt(Duration::from_millis(100), MASTER).await;
    let check = check(http(LATE, TRUE).await, bolt);
    for asks in 1..=2 {
        let all: Vec<_> = (0..20)
            .map(|_| {
                tokio::spawn({
                    let check = check.clone();
                    async move { check.ask().await }
                })
            })
            .collect();
        for one in all {
            assert_eq!(one.await.unwrap(), Answer::Master);
        }
        assert_eq!(seen.connections.load(SeqCst), asks, "a fresh ask each time, and one for all");
    }
    assert_eq!(seen.most_open.load(SeqCst), 1);
}

#[tokio::test]
async fn a_client_that_hangs_up_does_not_end_the_ask_of_the_others() {
    let (bolt, seen) = bolt(AT_ONCE, SLAVE).await;
    let check = check(http(LATE, TRUE).await, bolt);
    let first = tokio::spawn({
        let check = check.clone();
        async move { check.ask().await }
    });
    sleep(Duration::from_millis(50)).await;
    let second = tokio::spawn({
        let check = check.clone();
        async move { check.ask().await }
    });
    first.abort();
    assert_eq!(second.await.unwrap(), Answer::Slave);
    assert_eq!(seen.connections.load(SeqCst), 1);
}

#[tokio::test]
async fn a_refused_password_is_tried_once_a_minute_also_when_http_answers_meanwhile() {
    // HTTP is late, and there before Bolt: the login is refused after its answer.
    let (bolt, seen) = bolt(Duration::from_millis(400), UNAUTHORIZED).await;
    let check = check(http(Duration::from_millis(350), TRUE).await, bolt);
    for _ in 0..6 {
        assert_eq!(asked(&check).await.0, Answer::Master);
    }
    assert_eq!(seen.logins.load(SeqCst), 1, "three of them lock the administrator out");
    assert_eq!(seen.most_open.load(SeqCst), 1, "one session at a time");
}

#[tokio::test]
async fn while_no_login_is_tried_http_alone_is_asked() {
    let (bolt, seen) = bolt(AT_ONCE, UNAUTHORIZED).await;
    let check = check(http(LATE, TRUE).await, bolt);
    assert_eq!(asked(&check).await.0, not(NotKnown::Unexpected));
    assert_eq!(asked(&check).await.0, not(NotKnown::Silent), "HTTP is, and Bolt was not asked");
    assert_eq!(seen.connections.load(SeqCst), 1);
}

#[tokio::test]
async fn without_authentication_the_session_has_no_password() {
    let (bolt, _) = bolt(AT_ONCE, SLAVE).await;
    let check = RoleCheck::new(Dialect::Ha, http(LATE, TRUE).await, bolt, Administrator::off());
    assert_eq!(asked(&check).await.0, Answer::Slave);
}
