//! A blank slave is started once more right after its first store copy, before it has joined; the stand-in for Neo4j is a slave as soon
//! as it listens.

use std::{
    fs,
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use rustix::process::Signal;

use crate::task::{Node, OBEYS, PATIENCE, THREE, Task, fetch};

const SLAVE: &str = "false";
const STORE: &str = "databases/graph.db/neostore";

/// Answers every request at `at` with what is in the cell.
fn serve(at: (Ipv4Addr, u16), answer: &Arc<Mutex<(u16, String)>>) {
    let listener = TcpListener::bind(SocketAddr::from(at)).unwrap();
    let answer = Arc::clone(answer);
    std::thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            let _request = client.read(&mut [0; 4096]);
            let (status, body) = answer.lock().unwrap().clone();
            let length = body.len();
            let _gone = write!(client, "HTTP/1.1 {status} x\r\ncontent-length: {length}\r\n\r\n{body}");
        }
    });
}

fn status(phase: &str, role: &str) -> (u16, String) {
    (200, format!(r#"{{"phase":"{phase}","role":"{role}","silent_ms":0}}"#))
}

/// The other two core slots, of which the second says what the test lets it say.
struct Others {
    second: Arc<Mutex<(u16, String)>>,
}

/// A blank slave in `core-1`, which has copied its store while `core-2` has not joined.
fn blank(test: u8) -> (Task, Node, Others) {
    let task = Task::new(test, OBEYS);
    let [a, b, c, d] = task.address.octets();
    let others = [Ipv4Addr::new(a, b, c, d + 100), Ipv4Addr::new(a, b, c, d + 150)];
    *task.cloud.peers.lock().unwrap() = vec![Some(task.address), Some(others[0]), Some(others[1])];
    let second = Arc::new(Mutex::new(status("starting", "not asked yet")));
    serve((others[0], 7475), &second);
    serve((others[1], 7475), &Arc::new(Mutex::new(status("running", "slave"))));
    serve((task.address, 7474), &Arc::new(Mutex::new((404, SLAVE.to_owned()))));
    let node = task.start(&[THREE[0], THREE[1], ("EVENT_BUS", "default")]);
    node.until_log("waiting-for-turn");
    (task, node, Others { second })
}

fn bells(task: &Task) -> Vec<String> {
    task.cloud.bells.lock().unwrap().iter().map(|(name, _)| name.clone()).collect()
}

fn starts(node: &Node) -> usize {
    node.log().matches("\"event\":\"neo4j-started\"").count()
}

#[test]
fn it_has_not_joined_before_it_was_started_once_more_with_its_backup_server() {
    let (task, mut node, others) = blank(61);
    assert!(node.log().contains("the node 2 has not joined"), "{}", node.log());
    assert_eq!(fetch(&task, "/role"), (503, "NOT-KNOWN".into()));
    assert_eq!(fetch(&task, "/read"), (503, "NOT-KNOWN".into()));
    assert!(fetch(&task, "/status").1.contains(r#""phase":"copied""#));
    assert_eq!((bells(&task), starts(&node)), (Vec::new(), 1));
    let conf = task.dir.join("conf/neo4j.conf");
    assert!(fs::read_to_string(&conf).unwrap().contains("dbms.backup.enabled=false\n"));

    fs::create_dir_all(task.volume.join("databases/graph.db")).unwrap();
    fs::write(task.volume.join(STORE), "").unwrap();
    *others.second.lock().unwrap() = status("running", "master");
    node.until_log("\"event\":\"joined\"");
    assert_eq!(starts(&node), 2, "{}", node.log());
    let log = node.log();
    let at = |event: &str| log.rfind(&format!("\"event\":\"{event}\"")).unwrap();
    // The one that was being stopped has said that it is a slave all the time.
    assert!(at("restarting") < at("neo4j-started") && at("neo4j-started") < at("joined"), "{log}");
    assert!(fs::read_to_string(&conf).unwrap().contains("dbms.backup.enabled=true\n"));
    assert_eq!(fetch(&task, "/role"), (404, SLAVE.into()));
    // They are put one after another.
    let deadline = Instant::now() + PATIENCE;
    while bells(&task).len() < 2 {
        assert!(Instant::now() < deadline, "{:?}", bells(&task));
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(bells(&task), ["joined", "became-slave"]);
    node.signal(Signal::TERM);
    assert_eq!(node.until_ended().code(), Some(0));
}

#[test]
fn one_that_waits_for_its_turn_stops_when_it_is_asked_to() {
    let (task, mut node, _others) = blank(62);
    node.signal(Signal::TERM);
    assert_eq!(node.until_ended().code(), Some(0), "{}", node.log());
    assert_eq!((bells(&task), starts(&node)), (Vec::new(), 1), "{}", node.log());
}
