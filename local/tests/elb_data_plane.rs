//! The data plane of a network load balancer, with real sockets: one case per sentence of AWS's documentation that the
//! local cloud claims to follow. Every wait is for a condition, with a deadline.

use std::{
    collections::{BTreeMap, HashMap},
    net::{Ipv4Addr, SocketAddrV4},
    sync::{
        Arc,
        atomic::{AtomicU16, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use local::{
    address::AddressPool,
    elb::{
        Elb,
        config::{Balancer, Configuration, Listener},
        rules::{Check, Matcher, Rules},
    },
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

const PATIENCE: Duration = Duration::from_secs(20);
const HOUR: Duration = Duration::from_secs(3600);
const GROUP: &str = "arn:group";
const PORT: u16 = 7687;

/// A node: Bolt greets with its number and echoes, HTTP answers with a status that a test can change.
struct Node {
    ip: Ipv4Addr,
    status: Arc<AtomicU16>,
    checks: Arc<AtomicUsize>,
}

impl Node {
    async fn start(pool: &AddressPool, number: u8, status: u16) -> Self {
        let ip = pool.next();
        let (status, checks) = (Arc::new(AtomicU16::new(status)), Arc::new(AtomicUsize::new(0)));
        let bolt = TcpListener::bind((ip, PORT)).await.unwrap();
        tokio::spawn(async move {
            while let Ok((mut client, _)) = bolt.accept().await {
                tokio::spawn(async move {
                    client.write_all(&[number]).await.ok()?;
                    let mut byte = [0];
                    while client.read_exact(&mut byte).await.is_ok() {
                        client.write_all(&byte).await.ok()?;
                    }
                    // Half-closed by the client: there is one more word to say.
                    client.write_all(b"!").await.ok()
                });
            }
        });
        let http = TcpListener::bind((ip, 7475)).await.unwrap();
        let (told, count) = (Arc::clone(&status), Arc::clone(&checks));
        tokio::spawn(async move {
            while let Ok((mut checker, _)) = http.accept().await {
                let mut head = [0; 1024];
                let _any = checker.read(&mut head).await;
                assert!(head.starts_with(b"GET /role HTTP/1.1"));
                count.fetch_add(1, Ordering::SeqCst);
                let answer =
                    format!("HTTP/1.1 {} -\r\ncontent-length: 0\r\n\r\n", told.load(Ordering::SeqCst));
                let _gone = checker.write_all(answer.as_bytes()).await;
            }
        });
        Self { ip, status, checks }
    }

    fn says(&self, status: u16) {
        self.status.store(status, Ordering::SeqCst);
    }
}

struct Stage {
    elb: Elb,
    nodes: Vec<Node>,
}

fn rules() -> Rules {
    Rules {
        port: PORT,
        check: Check {
            http: Some(("/role".into(), Matcher::parse("200").unwrap())),
            port: Some(7475),
            interval: Duration::from_millis(50),
            timeout: Duration::from_secs(2),
            healthy: 2,
            unhealthy: 2,
        },
        deregistration_delay: Duration::ZERO,
        terminate_deregistered: true,
        terminate_unhealthy: true,
    }
}

impl Stage {
    /// Nodes that answer their checks with `statuses`, all registered.
    async fn set(rules: Rules, idle: Duration, statuses: &[u16]) -> Self {
        let pool = AddressPool::random();
        let mut nodes = Vec::new();
        for (number, status) in (1..).zip(statuses) {
            nodes.push(Node::start(&pool, number, *status).await);
        }
        // Nothing listens there: the groups are given, not read.
        let elb = Elb::new("http://127.0.0.1:1", pool, Duration::ZERO);
        let listener = Listener { port: PORT, group: GROUP.into(), idle };
        let balancer = Balancer { arn: String::new(), name: "nlb".into(), listeners: vec![listener] };
        let groups = HashMap::from([(GROUP.to_owned(), rules)]);
        elb.apply(Configuration { balancers: vec![balancer], groups }).await.unwrap();
        let stage = Self { elb, nodes };
        for node in &stage.nodes {
            stage.call("RegisterTargets", Some(node.ip)).await;
        }
        stage
    }

    async fn call(&self, action: &str, ip: Option<Ipv4Addr>) -> (u16, String) {
        self.call_with(action, ip.map(|ip| ip.to_string()), GROUP).await
    }

    async fn call_with(&self, action: &str, id: Option<String>, group: &str) -> (u16, String) {
        let mut form = BTreeMap::from([
            ("Action".to_owned(), action.to_owned()),
            ("TargetGroupArn".to_owned(), group.to_owned()),
        ]);
        if let Some(id) = id {
            form.insert("Targets.member.1.Id".into(), id);
        }
        let reply = self.elb.answer(&form).await.unwrap();
        (reply.status, reply.body_xml)
    }

    fn states(&self) -> Vec<(Ipv4Addr, String)> {
        let targets = self.elb.status().remove(0).listeners.remove(0).targets;
        targets.into_iter().map(|target| (target.ip, target.state)).collect()
    }

    async fn until_states(&self, wanted: &[&str]) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let states = self.states();
            if states.iter().map(|(_, state)| state.as_str()).eq(wanted.iter().copied()) {
                return;
            }
            assert!(Instant::now() < deadline, "{states:?} instead of {wanted:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// A new connection, and the number of the node at its other end; none when it was closed at once.
    async fn connect(&self) -> Option<(TcpStream, u8)> {
        let at = SocketAddrV4::new(self.elb.names()[0].1, PORT);
        let mut client = TcpStream::connect(at).await.unwrap();
        let mut number = [0];
        let read = tokio::time::timeout(PATIENCE, client.read_exact(&mut number))
            .await
            .expect("neither data nor an end");
        read.ok().map(|_| (client, number[0]))
    }
}

async fn is_cut(client: &mut TcpStream) -> bool {
    let mut byte = [0];
    let read =
        tokio::time::timeout(PATIENCE, client.read(&mut byte)).await.expect("the connection stays open");
    read.is_err()
}

async fn echoes(client: &mut TcpStream) -> bool {
    let mut byte = [0];
    client.write_all(b"x").await.is_ok() && client.read_exact(&mut byte).await.is_ok() && byte == *b"x"
}

/// nlb/introduction: a listener forwards connections to a healthy target of its group.
#[tokio::test]
async fn new_connections_go_to_the_healthy_target_only() {
    let stage = Stage::set(rules(), HOUR, &[200, 404, 404]).await;
    stage.until_states(&["healthy", "unhealthy", "unhealthy"]).await;
    for _ in 0..20 {
        assert_eq!(stage.connect().await.unwrap().1, 1);
    }
}

/// nlb/target-group-health-checks: fail-open.
#[tokio::test]
async fn without_a_healthy_target_connections_go_to_all() {
    let stage = Stage::set(rules(), HOUR, &[404, 404]).await;
    stage.until_states(&["unhealthy", "unhealthy"]).await;
    let mut seen = [false; 2];
    let deadline = Instant::now() + PATIENCE;
    while seen != [true; 2] {
        assert!(Instant::now() < deadline, "one target of the two gets no connection");
        seen[usize::from(stage.connect().await.unwrap().1) - 1] = true;
    }
}

/// nlb/target-group-health-checks: if a target becomes unhealthy, the balancer sends a reset for packets on its connections,
/// *unless the unhealthy target triggers the load balancer to fail open*. nlb/edit-target-group-attributes (connection
/// termination for unhealthy targets, `target_health_state.unhealthy.connection_termination.enabled`) has no other sentence
/// about fail-open.
#[tokio::test]
async fn in_fail_open_connections_that_are_open_stay_and_new_ones_go_to_all() {
    let stage = Stage::set(rules(), HOUR, &[200, 404]).await;
    stage.until_states(&["healthy", "unhealthy"]).await;
    let (mut client, _) = stage.connect().await.unwrap();
    stage.nodes[0].says(503);
    stage.until_states(&["unhealthy", "unhealthy"]).await;
    let mut seen = [false; 2];
    let deadline = Instant::now() + PATIENCE;
    while seen != [true; 2] {
        assert!(Instant::now() < deadline, "one target of the two gets no connection");
        seen[usize::from(stage.connect().await.unwrap().1) - 1] = true;
    }
    assert!(echoes(&mut client).await, "the last healthy target has kept its connections");
    stage.nodes[1].says(200);
    stage.until_states(&["unhealthy", "healthy"]).await;
    assert_eq!(stage.connect().await.unwrap().1, 2, "the balancer has closed again");
}

/// nlb/target-group-health-checks: requests are routed to a new target as soon as it passes the initial health checks.
#[tokio::test]
async fn a_group_whose_targets_are_all_initial_gets_no_connections() {
    let mut rules = rules();
    // The second check, which would make it unhealthy, comes in an hour.
    rules.check.interval = HOUR;
    let stage = Stage::set(rules, HOUR, &[404]).await;
    let deadline = Instant::now() + PATIENCE;
    while stage.nodes[0].checks.load(Ordering::SeqCst) == 0 {
        assert!(Instant::now() < deadline, "it is not checked");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    stage.until_states(&["initial"]).await;
    assert!(stage.connect().await.is_none());
}

/// A group without targets: the connection is reset.
#[tokio::test]
async fn without_any_target_a_connection_is_closed() {
    let stage = Stage::set(rules(), HOUR, &[]).await;
    assert!(stage.connect().await.is_none());
}

/// nlb/edit-target-group-attributes: connection termination for unhealthy targets.
#[tokio::test]
async fn a_target_that_becomes_unhealthy_loses_its_connections() {
    for terminate in [true, false] {
        let stage = Stage::set(Rules { terminate_unhealthy: terminate, ..rules() }, HOUR, &[200, 404]).await;
        stage.until_states(&["healthy", "unhealthy"]).await;
        let (mut client, _) = stage.connect().await.unwrap();
        // One after the other: the last healthy one would keep them.
        stage.nodes[1].says(200);
        stage.until_states(&["healthy", "healthy"]).await;
        stage.nodes[0].says(404);
        stage.until_states(&["unhealthy", "healthy"]).await;
        if terminate {
            assert!(is_cut(&mut client).await);
        } else {
            assert!(echoes(&mut client).await);
        }
        assert_eq!(stage.connect().await.unwrap().1, 2, "new ones go to the other target");
    }
}

/// The same page: deregistration with a delay of zero and connection termination cuts at once.
#[tokio::test]
async fn a_deregistered_target_loses_its_connections_with_the_delay() {
    let stage = Stage::set(rules(), HOUR, &[200, 200]).await;
    stage.until_states(&["healthy", "healthy"]).await;
    let mut to_both = HashMap::new();
    while to_both.len() < 2 {
        let (client, number) = stage.connect().await.unwrap();
        to_both.insert(number, client);
    }
    assert_eq!(stage.call("DeregisterTargets", Some(stage.nodes[0].ip)).await.0, 200);
    assert!(is_cut(to_both.get_mut(&1).unwrap()).await);
    assert!(echoes(to_both.get_mut(&2).unwrap()).await, "connections to the other target stay");
    stage.until_states(&["healthy"]).await;
}

/// The same page: during the delay connections that are open stay open.
#[tokio::test]
async fn a_draining_target_keeps_its_connections() {
    let stage = Stage::set(Rules { deregistration_delay: HOUR, ..rules() }, HOUR, &[200]).await;
    stage.until_states(&["healthy"]).await;
    let (mut client, _) = stage.connect().await.unwrap();
    stage.call("DeregisterTargets", Some(stage.nodes[0].ip)).await;
    stage.until_states(&["draining"]).await;
    assert!(echoes(&mut client).await);
    assert!(stage.connect().await.is_none(), "and gets no new one");
}

/// nlb/target-group-health-checks, HealthCheckIntervalSeconds and HealthCheckPort: checks go to the check's own port, for
/// as long as the target is registered.
#[tokio::test]
async fn checks_go_on_until_the_target_is_deregistered() {
    let stage = Stage::set(rules(), HOUR, &[200]).await;
    stage.until_states(&["healthy"]).await;
    let count = || stage.nodes[0].checks.load(Ordering::SeqCst);
    let (before, deadline) = (count(), Instant::now() + PATIENCE);
    while count() < before + 3 {
        assert!(Instant::now() < deadline, "checks have stopped");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    stage.call("DeregisterTargets", Some(stage.nodes[0].ip)).await;
    stage.until_states(&[]).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    let after = count();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(count(), after, "a target that is gone is not checked");
}

/// nlb/target-group-health-checks, HealthCheckTimeoutSeconds: no response within it is a failed check.
#[tokio::test]
async fn silence_is_a_failed_check() {
    let pool = AddressPool::random();
    let frozen = pool.next();
    // Accepted by the kernel, never answered: what a frozen process looks like.
    let _silent = TcpListener::bind((frozen, 7475)).await.unwrap();
    let mut rules = rules();
    rules.check.timeout = Duration::from_millis(100);
    let stage = Stage::set(rules, HOUR, &[200]).await;
    stage.call("RegisterTargets", Some(frozen)).await;
    stage.until_states(&["healthy", "unhealthy"]).await;
    let (_, body) = stage.call("DescribeTargetHealth", Some(frozen)).await;
    assert!(body.contains("<State>unhealthy</State><Reason>Target.Timeout</Reason>"), "{body}");
}

/// nlb/update-idle-timeout: a connection without data for longer than the idle timeout is closed.
#[tokio::test]
async fn an_idle_connection_ends_and_a_busy_one_stays() {
    let stage = Stage::set(rules(), Duration::from_millis(600), &[200]).await;
    stage.until_states(&["healthy"]).await;
    let (mut busy, _) = stage.connect().await.unwrap();
    let (mut idle, _) = stage.connect().await.unwrap();
    let talking = async {
        for _ in 0..12 {
            tokio::time::sleep(Duration::from_millis(100)).await;
            assert!(echoes(&mut busy).await, "a connection with data was closed");
        }
    };
    let (cut, ()) = tokio::join!(is_cut(&mut idle), talking);
    assert!(cut);
}

/// TCP: an end in one direction leaves the other one open.
#[tokio::test]
async fn a_half_closed_connection_still_carries_the_answer() {
    let stage = Stage::set(rules(), HOUR, &[200]).await;
    stage.until_states(&["healthy"]).await;
    let (mut client, _) = stage.connect().await.unwrap();
    client.shutdown().await.unwrap();
    let mut rest = Vec::new();
    client.read_to_end(&mut rest).await.unwrap();
    assert_eq!(rest, b"!");
}

/// API/DescribeTargetHealth: all targets, or those that are asked for; one that is not registered is `unused` with
/// `Target.NotRegistered`.
#[tokio::test]
async fn health_is_told_for_all_or_for_those_asked_for() {
    let stage = Stage::set(rules(), HOUR, &[200, 404]).await;
    stage.until_states(&["healthy", "unhealthy"]).await;
    let (_, all) = stage.call("DescribeTargetHealth", None).await;
    assert_eq!(all.matches("<member>").count(), 2, "{all}");
    assert!(all.contains("<Reason>Target.ResponseCodeMismatch</Reason>"), "{all}");
    let (_, other) = stage.call("DescribeTargetHealth", Some([10, 9, 9, 9].into())).await;
    assert!(other.contains("<State>unused</State><Reason>Target.NotRegistered</Reason>"), "{other}");
}

/// API/DescribeTargetHealth: a target of a group that no listener forwards to is `unused` with `Target.NotInUse`.
#[tokio::test]
async fn targets_of_a_group_without_a_listener_are_not_in_use() {
    let stage = Stage::set(rules(), HOUR, &[200]).await;
    let groups = HashMap::from([(GROUP.to_owned(), rules())]);
    stage.elb.apply(Configuration { balancers: vec![], groups }).await.unwrap();
    let (_, body) = stage.call("DescribeTargetHealth", None).await;
    assert!(body.contains("<State>unused</State><Reason>Target.NotInUse</Reason>"), "{body}");
}

/// API/RegisterTargets and API/DeregisterTargets: errors, and what is none.
#[tokio::test]
async fn what_is_refused_and_what_is_not() {
    let stage = Stage::set(rules(), HOUR, &[200]).await;
    let (status, body) = stage.call_with("RegisterTargets", Some("10.0.0.1".into()), "arn:other").await;
    assert_eq!(status, 400);
    assert!(body.contains("<Code>TargetGroupNotFound</Code>"), "{body}");
    let (status, body) = stage.call_with("RegisterTargets", Some("i-0123".into()), GROUP).await;
    assert_eq!(status, 400);
    assert!(body.contains("<Code>InvalidTarget</Code>"), "{body}");
    let (status, _) = stage.call("DeregisterTargets", Some([10, 9, 9, 9].into())).await;
    assert_eq!(status, 200, "a target that is not registered is no error");
}

/// A listener that is gone from the configuration does not listen any more.
#[tokio::test]
async fn a_deleted_listener_refuses_connections() {
    let stage = Stage::set(rules(), HOUR, &[200]).await;
    let at = SocketAddrV4::new(stage.elb.names()[0].1, PORT);
    let groups = HashMap::from([(GROUP.to_owned(), rules())]);
    let balancer = Balancer { arn: String::new(), name: "nlb".into(), listeners: vec![] };
    stage.elb.apply(Configuration { balancers: vec![balancer], groups }).await.unwrap();
    let deadline = Instant::now() + PATIENCE;
    while TcpStream::connect(at).await.is_ok() {
        assert!(Instant::now() < deadline, "it still listens");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
