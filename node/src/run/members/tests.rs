//! A Neo4j on a real socket that counts logins and has a password that changes.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::sleep,
};

use super::*;
use crate::run::role::RoleCheck;

const AT_ONCE: Duration = Duration::ZERO;
const BEAN: &str = r#"[{"attributes":[{"name":"LastCommittedTxId","value":42},{"name":"InstancesInCluster","value":[
    {"value":[{"name":"instanceId","value":"1"},{"name":"alive","value":true}]}]}]}]"#;

/// `neo4j:secret` and so on, as the header has it.
const SECRET: &str = "Basic bmVvNGo6c2VjcmV0";
const OLD: &str = "Basic bmVvNGo6b2xk";
const NEW: &str = "Basic bmVvNGo6bmV3";

/// The server's end.
struct Neo4j {
    password: Mutex<&'static str>,
    /// What each answer takes.
    time: Mutex<Duration>,
    logins: AtomicUsize,
    wrong: AtomicUsize,
    open: AtomicUsize,
    most_open: AtomicUsize,
}

impl Neo4j {
    async fn with(password: &'static str) -> (Arc<Self>, SocketAddr) {
        let neo4j = Arc::new(Self {
            password: Mutex::new(password),
            time: Mutex::new(AT_ONCE),
            logins: AtomicUsize::default(),
            wrong: AtomicUsize::default(),
            open: AtomicUsize::default(),
            most_open: AtomicUsize::default(),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let serving = Arc::clone(&neo4j);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let neo4j = Arc::clone(&serving);
                tokio::spawn(async move { neo4j.answer(stream).await });
            }
        });
        (neo4j, at)
    }

    /// Of one request: 401, or the bean.
    async fn answer(&self, mut stream: TcpStream) {
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            if stream.read_buf(&mut request).await.unwrap_or(0) == 0 {
                return;
            }
        }
        self.logins.fetch_add(1, SeqCst);
        self.most_open.fetch_max(self.open.fetch_add(1, SeqCst) + 1, SeqCst);
        let time = *self.time.lock().unwrap();
        sleep(time).await;
        let right = *self.password.lock().unwrap();
        let (status, body) = if String::from_utf8(request).unwrap().contains(right) {
            ("200 OK", BEAN)
        } else {
            self.wrong.fetch_add(1, SeqCst);
            ("401 Unauthorized", "")
        };
        self.open.fetch_sub(1, SeqCst);
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        let _gone = stream.write_all(answer.as_bytes()).await;
    }
}

async fn views(look: &MemberLook, clients: usize) -> Vec<Option<Members>> {
    let asking = |_| {
        tokio::spawn({
            let look = look.clone();
            async move { look.view().await }
        })
    };
    let all: Vec<_> = (0..clients).map(asking).collect();
    let mut views = Vec::new();
    for one in all {
        views.push(one.await.unwrap());
    }
    views
}

#[tokio::test]
async fn clients_at_the_same_time_and_a_moment_later_share_one_login() {
    let (neo4j, at) = Neo4j::with(SECRET).await;
    *neo4j.time.lock().unwrap() = Duration::from_millis(50);
    let look = MemberLook::new(at, Administrator::of_a_test("secret", "secret", AT_ONCE));
    let begun = Instant::now();
    for _ in 0..3 {
        let views = views(&look, 30).await;
        // A machine that is busy may have taken longer than a view is shared.
        if begun.elapsed() < SHARED {
            assert!(views.iter().all(|view| view.as_ref().is_some_and(|members| members.alive == 1)));
            assert_eq!(neo4j.logins.load(SeqCst), 1);
        }
    }
    tokio::time::sleep_until(begun + SHARED * 2).await;
    assert!(look.view().await.is_some());
    assert_eq!(neo4j.logins.load(SeqCst), 2, "a view is not kept");
    assert_eq!(neo4j.most_open.load(SeqCst), 1);
}

#[tokio::test]
async fn a_view_is_never_older_than_it_is_shared() {
    let (neo4j, at) = Neo4j::with(SECRET).await;
    // Later than any client waits, and than a view is shared.
    *neo4j.time.lock().unwrap() = SHARED + Duration::from_millis(300);
    let look = MemberLook::new(at, Administrator::of_a_test("secret", "secret", AT_ONCE));
    let begun = Instant::now();
    while neo4j.logins.load(SeqCst) < 2 {
        let asked = Instant::now();
        assert_eq!(look.view().await, None, "what comes so late is no evidence");
        assert!(asked.elapsed() < STATUS_BUDGET + Duration::from_secs(2));
        assert!(begun.elapsed() < LOCK_OUT * 4, "no second look");
        sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(neo4j.most_open.load(SeqCst), 1, "the second look waits for the end of the first");
    assert!(begun.elapsed() >= SHARED);
}

#[tokio::test]
async fn an_outdated_password_is_tried_once_by_all_clients_of_both_paths() {
    let (neo4j, at) = Neo4j::with(NEW).await;
    *neo4j.time.lock().unwrap() = Duration::from_millis(100);
    let administrator = Administrator::of_a_test("outdated", "outdated", AT_ONCE);
    let look = MemberLook::new(at, administrator.clone());
    // Its HTTP is always late, so that it asks Bolt, which counts as the same server.
    let (bolt, bolt_logins) = crate::run::role::tests::refusing_bolt().await;
    let role =
        RoleCheck::new(neo4j::Dialect::Ha, crate::run::role::tests::silent_http().await, bolt, administrator);
    assert_eq!(look.view().await, None);
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(3) {
        let (views, _role) = tokio::join!(views(&look, 20), role.ask());
        assert!(views.iter().all(Option::is_none));
    }
    assert_eq!(neo4j.wrong.load(SeqCst) + bolt_logins(), 1, "three of them lock the administrator out");
}

#[tokio::test]
async fn a_look_that_waits_for_a_worker_does_not_keep_the_role_check_from_bolt() {
    let (neo4j, at) = Neo4j::with(SECRET).await;
    *neo4j.time.lock().unwrap() = LOCK_OUT * 2;
    let administrator = Administrator::of_a_test("secret", "secret", AT_ONCE);
    let look = MemberLook::new(at, administrator.clone());
    let (bolt, _) = crate::run::role::tests::master_bolt().await;
    let role = RoleCheck::new(neo4j::Dialect::Ha, at, bolt, administrator);
    for _ in 0..3 {
        let (view, role) = tokio::join!(look.view(), role.ask());
        assert_eq!((view, role), (None, topology::Answer::Master));
    }
}

#[tokio::test]
async fn a_password_that_was_changed_is_found() {
    let (neo4j, at) = Neo4j::with(OLD).await;
    let look = MemberLook::new(at, Administrator::of_a_test("old", "new", AT_ONCE));
    assert!(look.view().await.is_some());
    *neo4j.password.lock().unwrap() = NEW;
    let deadline = Instant::now() + LOCK_OUT;
    sleep(SHARED).await;
    while look.view().await.is_none() {
        assert!(Instant::now() < deadline, "the rotated password was not found");
        sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(neo4j.wrong.load(SeqCst), 1);
}

#[tokio::test]
async fn a_client_that_hangs_up_does_not_hide_a_refusal() {
    let (neo4j, at) = Neo4j::with(NEW).await;
    *neo4j.time.lock().unwrap() = Duration::from_millis(200);
    let look = MemberLook::new(at, Administrator::of_a_test("outdated", "outdated", AT_ONCE));
    for _ in 0..10 {
        let client = tokio::spawn({
            let look = look.clone();
            async move { look.view().await }
        });
        sleep(Duration::from_millis(100)).await;
        client.abort();
    }
    assert_eq!(neo4j.wrong.load(SeqCst), 1);
}

#[tokio::test]
async fn without_authentication_no_password_is_sent() {
    let (neo4j, at) = Neo4j::with(SECRET).await;
    let look = MemberLook::new(at, Administrator::off());
    assert_eq!(look.view().await, None, "this server wants one");
    assert_eq!(neo4j.logins.load(SeqCst), 1);
}
