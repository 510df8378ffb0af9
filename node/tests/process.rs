//! The node program as a process, with a stand-in for Neo4j that a test can steer: it is started, told signals, dies,
//! freezes. (The real Neo4j is in the end-to-end tests.)

use std::{
    fs,
    io::{Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    os::unix::fs::PermissionsExt,
    time::{Duration, Instant},
};

use crate::task::{OBEYS, PASSWORD, THREE, Task, alone, fetch, real_neo4j};
use rustix::process::{Signal, kill_process};

/// From one check of the template's balancer to the next (`HealthCheckIntervalSeconds`), of which two must fail.
const CUT_OFF: Duration = Duration::from_secs(5);
const IGNORES: &str = "trap '' TERM; echo started; while :; do sleep 0.05; done";

#[test]
fn fault_42_the_program_ends_with_a_failure_when_neo4j_dies() {
    for (test, script, said) in [(1, "exit 0", "exit status: 0"), (2, "exit 3", "exit status: 3")] {
        let task = Task::new(test, script);
        let mut node = task.start(&[]);
        assert_eq!(node.until_ended().code(), Some(1), "{}", node.log());
        assert!(node.log().contains("neo4j-died") && node.log().contains(said), "{}", node.log());
    }
}

#[test]
fn fault_42_sigterm_stops_neo4j_and_ends_well() {
    let task = Task::new(3, OBEYS);
    let mut node = task.start(&[]);
    node.until_log("started\n");
    node.signal(Signal::TERM);
    assert_eq!(node.until_ended().code(), Some(0), "{}", node.log());
    assert!(node.log().contains("\"event\":\"stopped\""), "{}", node.log());
}

#[test]
fn fault_42_what_does_not_stop_is_killed_before_the_stop_timeout() {
    let task = Task::new(4, IGNORES);
    let mut node = task.start(&[("STOP_TIMEOUT_SECONDS", "3")]);
    node.until_log("started\n");
    let asked = Instant::now();
    node.signal(Signal::TERM);
    assert_eq!(node.until_ended().code(), Some(1), "{}", node.log());
    assert!(asked.elapsed() < Duration::from_secs(3), "ECS would have killed the program first");
    assert!(node.log().contains("neo4j-killed") && node.log().contains("stop-not-clean"), "{}", node.log());
}

/// Stops in good order, and takes its time.
const SLOWLY: &str = "trap 'sleep 6; exit 143' TERM; echo started; while :; do sleep 0.05; done";

/// Answers every connection to `port` from `thaws` on; before that the kernel accepts, and nothing else happens.
fn paused(address: Ipv4Addr, port: u16, thaws: Instant, answer: &'static [u8]) {
    let listener = TcpListener::bind((address, port)).unwrap();
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            std::thread::spawn(move || {
                std::thread::sleep(thaws.saturating_duration_since(Instant::now()));
                let mut client = client;
                let _request = client.read(&mut [0; 1024]);
                let _gone = client.write_all(answer);
            });
        }
    });
}

/// What Neo4j says without a cluster, and the version that it chooses.
const HTTP: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 24\r\n\r\n{\"bolt\":\"bolt://h:7687\"}";
const BOLT: &[u8] = &[0, 0, 0, 1];

#[test]
fn a_neo4j_that_is_silent_on_both_for_three_seconds_is_not_waited_for() {
    let task = Task::new(5, OBEYS);
    // What a frozen JVM leaves behind: sockets that the kernel still accepts for, and no process that answers.
    let _silent = [7474, 7687].map(|port| TcpListener::bind((task.address, port)).unwrap());
    let mut node = task.start(&[]);
    node.until_log("started\n");
    kill_process(node.neo4j(), Signal::STOP).unwrap();
    let asked = Instant::now();
    node.signal(Signal::TERM);
    assert_eq!(node.until_ended().code(), Some(1), "{}", node.log());
    assert!(
        asked.elapsed() < Duration::from_secs(10),
        "the stop timeout is 30 s, silence for three is enough"
    );
    assert!(node.log().contains("it answered nothing on HTTP and Bolt for 3 s"), "{}", node.log());
}

#[test]
fn a_neo4j_that_pauses_for_two_seconds_when_it_is_asked_to_stop_stops_in_good_order() {
    let task = Task::new(12, SLOWLY);
    let thaws = Instant::now() + Duration::from_secs(2);
    paused(task.address, 7474, thaws, HTTP);
    paused(task.address, 7687, thaws, BOLT);
    let mut node = task.start(&[]);
    node.until_log("started\n");
    node.signal(Signal::TERM);
    assert_eq!(node.until_ended().code(), Some(0), "{}", node.log());
    assert!(!node.log().contains("neo4j-killed"), "{}", node.log());
}

#[test]
fn a_neo4j_whose_http_alone_is_silent_stops_in_good_order() {
    let now = Instant::now();
    // Bolt answers: every worker of HTTP is taken. Bolt refuses: it is stopping already.
    for (test, bolt) in [(13, true), (14, false)] {
        let task = Task::new(test, SLOWLY);
        let _silent = TcpListener::bind((task.address, 7474)).unwrap();
        if bolt {
            paused(task.address, 7687, now, BOLT);
        }
        let mut node = task.start(&[]);
        node.until_log("started\n");
        node.signal(Signal::TERM);
        assert_eq!(node.until_ended().code(), Some(0), "Bolt answers: {bolt}\n{}", node.log());
    }
}

#[test]
fn the_role_is_served_from_the_start_and_is_never_yes_without_neo4j() {
    let task = Task::new(15, OBEYS);
    let node = task.start(&[]);
    node.until_log("started\n");
    for path in ["/role", "/read"] {
        assert_eq!(fetch(&task, path), (503, "REFUSED".into()), "{path}");
    }
    paused(task.address, 7474, Instant::now(), HTTP);
    assert_eq!(fetch(&task, "/role"), (200, "true".into()));
    assert_eq!(fetch(&task, "/read"), (200, "true".into()));
    assert_eq!(fetch(&task, "/").0, 404);
}

#[test]
fn a_role_that_cannot_be_asked_for_is_said_before_the_balancer_gives_up() {
    let task = Task::new(16, OBEYS);
    let _silent = [7474, 7687].map(|port| TcpListener::bind((task.address, port)).unwrap());
    let node = task.start(&[]);
    node.until_log("started\n");
    let begun = Instant::now();
    assert_eq!(fetch(&task, "/role"), (503, "SILENT".into()));
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
}

#[test]
fn the_status_is_told_in_time_while_the_secret_is_looked_up_slowly() {
    let task = Task::new(17, OBEYS);
    paused(task.address, 7474, Instant::now(), b"HTTP/1.1 401 x\r\ncontent-length: 0\r\n\r\n");
    let on = [("NEO4J_dbms_security_auth__enabled", "true"), ("ADMIN_SECRET_ARN", "arn:slow")];
    let node = task.start(&on);
    node.until_log("started\n");
    for _ in 0..2 {
        let begun = Instant::now();
        let (status, body) = fetch(&task, "/status");
        assert_eq!(status, 200);
        assert!(body.contains("\"alive\":null"), "{body}");
        assert!(
            begun.elapsed() < Duration::from_secs(1),
            "the function waits no longer: {:?}",
            begun.elapsed()
        );
    }
}

/// `POST` as the administrator, by a client that waits.
fn send(task: &Task, path: &str, statement: &str) -> std::io::Result<String> {
    let body = format!("{{\"statements\":[{{\"statement\":\"{statement}\"}}]}}");
    // neo4j and the password of the secret.
    let login = "bmVvNGo6b25seS10aGUtc2VjcmV0LWhhcy1pdA==";
    let mut stream = TcpStream::connect((task.address, 7474))?;
    stream.set_read_timeout(Some(Duration::from_secs(120)))?;
    write!(
        stream,
        "POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Basic {login}\r\ncontent-type: application/json\r\n\
         connection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// Neo4j 3.4.6 as a cluster of one. The balancer's check must not need a worker that queries can take.
#[test]
fn a_real_master_whose_http_workers_are_all_taken_is_the_master_and_stops_in_good_order() {
    let _alone = alone();
    let task = Task::new(18, &real_neo4j());
    let mut node = task.start(&[
        ("DIALECT", "HA"),
        ("CORE_SERVICES", "core-1"),
        ("NEO4J_dbms_security_auth__enabled", "true"),
        ("ADMIN_SECRET_ARN", "arn:admin"),
        ("NEO4J_dbms_memory_heap_max__size", "512m"),
        ("NEO4J_dbms_memory_pagecache_size", "32m"),
    ]);
    node.until_log("neo4j-started");
    let up = Instant::now() + Duration::from_secs(120);
    while fetch(&task, "/role") != (200, "true".into()) {
        assert!(Instant::now() < up && node.child.try_wait().unwrap().is_none(), "{}", node.log());
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(send(&task, "/db/data/transaction/commit", "CREATE (:Lock)").unwrap().contains("\"errors\":[]"));
    assert!(send(&task, "/db/data/transaction", "MATCH (l:Lock) SET l.held = true").unwrap().contains("201"));
    // Half as many again as there are workers.
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..300)
            .map(|_| {
                // As clients come, and not all in one moment.
                std::thread::sleep(Duration::from_millis(10));
                scope.spawn(|| send(&task, "/db/data/transaction/commit", "MATCH (l:Lock) SET l.by = 1"))
            })
            .collect();
        let (mut over_bolt, mut slowest, mut missed) = (0, Duration::ZERO, 0);
        let (mut admitted, deadline) = (Instant::now(), Instant::now() + Duration::from_secs(120));
        // As many checks as a balancer makes in a minute and a half.
        while over_bolt < 20 {
            let begun = Instant::now();
            let answer = fetch(&task, "/role");
            let took = begun.elapsed();
            if answer == (200, "true".into()) {
                (admitted, slowest) = (Instant::now(), slowest.max(took));
                // Later than HTTP alone answers: the workers are taken.
                over_bolt = if took >= Duration::from_millis(250) { over_bolt + 1 } else { 0 };
            } else {
                // The balancer cuts a node off after two failed checks, and not after one: 300 connections within
                // three seconds may take all processors for a moment, and Bolt's first login then takes its time too.
                let since = admitted.elapsed();
                assert!(since < CUT_OFF, "a busy master is a master, and said {answer:?} for {since:?}");
                (over_bolt, missed) = (0, missed + 1);
            }
            assert!(Instant::now() < deadline, "the workers are not taken");
        }
        println!(
            "with every HTTP worker taken 20 role checks in a row took {} ms at most, after {missed} missed ones",
            slowest.as_millis()
        );
        assert!(slowest < Duration::from_secs(2), "the balancer would have given up");
        node.signal(Signal::TERM);
        for writer in writers {
            let _cut_or_not = writer.join();
        }
    });
    let ended = node.until_ended();
    assert!(!node.log().contains("neo4j-killed"), "it is busy, and not frozen: {}", node.log());
    assert_eq!(ended.code(), Some(0), "{}", node.log());
}

#[test]
fn sigquit_is_neo4js_own_matter() {
    let task = Task::new(
        6,
        "trap 'echo threads' QUIT; trap 'exit 143' TERM; echo started; while :; do sleep 0.05; done",
    );
    let mut node = task.start(&[]);
    node.until_log("started\n");
    node.signal(Signal::QUIT);
    node.until_log("threads");
    assert!(node.child.try_wait().unwrap().is_none(), "it goes on");
}

#[test]
fn fault_44_neo4j_starts_only_when_every_slot_has_an_address() {
    let task = Task::new(7, OBEYS);
    task.cloud.peers.lock().unwrap()[0] = Some(task.address);
    let node = task.start(&THREE);
    node.until_log("no address yet of core-2, core-3");
    task.cloud.peers.lock().unwrap()[1] = Some([10, 0, 0, 2].into());
    node.until_log("no address yet of core-3");
    assert!(!node.log().contains("neo4j-started"), "a cluster of two was started:\n{}", node.log());
    task.cloud.peers.lock().unwrap()[2] = Some([10, 0, 0, 3].into());
    node.until_log("neo4j-started");
    let mut conf = String::new();
    fs::File::open(task.dir.join("conf/neo4j.conf")).unwrap().read_to_string(&mut conf).unwrap();
    let hosts = format!("ha.initial_hosts={}:5001,10.0.0.2:5001,10.0.0.3:5001", task.address);
    assert!(conf.lines().any(|line| line == hosts), "{conf}");
}

#[test]
fn fault_44_when_ecs_cannot_be_asked_the_reason_is_said_and_nothing_starts() {
    let task = Task::new(8, OBEYS);
    let mut node = task.start(&[THREE[0], THREE[1], ("AWS_ENDPOINT_URL", "http://127.0.0.1:1")]);
    node.until_log("listing-failed");
    node.until_log("waiting-for-peers");
    assert!(!node.log().contains("neo4j-started"));
    node.signal(Signal::TERM);
    assert_eq!(node.until_ended().code(), Some(0), "asked to stop while it waits: {}", node.log());
}

/// Shows what Neo4j's process would find, then obeys.
const SHOWS: &str = "data=$(sed -n s/^dbms.directories.data=//p \"$NEO4J_CONF/neo4j.conf\"); cat \"$data/dbms/auth.ini\"; \
                     stat -c %a \"$data/dbms/auth.ini\"; env; trap 'exit 143' TERM; echo started; while :; do sleep 0.05; done";

#[test]
fn the_first_password_is_there_before_neo4j_and_nowhere_else() {
    let task = Task::new(10, SHOWS);
    let on = [("NEO4J_dbms_security_auth__enabled", "true"), ("ADMIN_SECRET_ARN", "arn:admin")];
    let node = task.start(&on);
    node.until_log("started\n");
    let log = node.log();
    assert!(log.contains("neo4j:SHA-256,") && log.contains("\n600\n"), "{log}");
    assert!(!log.contains(PASSWORD) && !log.contains("arn:admin"), "{log}");
    let arguments = fs::read(format!("/proc/{}/cmdline", node.child.id())).unwrap();
    assert!(!String::from_utf8_lossy(&arguments).contains(PASSWORD));
    drop(node);
    // Users that are there stay as they are: the reconcile changes the password.
    fs::remove_file(task.volume.join("dbms/auth.ini")).unwrap();
    fs::write(task.volume.join("dbms/auth"), "neo4j:SHA-256,00,00:\n").unwrap();
    let node = task.start(&on);
    node.until_log("started\n");
    assert!(!task.volume.join("dbms/auth.ini").exists());
}

#[test]
fn without_the_password_neo4j_does_not_start() {
    let task = Task::new(11, OBEYS);
    let mut node =
        task.start(&[("NEO4J_dbms_security_auth__enabled", "true"), ("ADMIN_SECRET_ARN", "arn:other")]);
    node.until_log("no-admin-password");
    assert!(!node.log().contains("neo4j-started"));
    node.signal(Signal::TERM);
    assert_eq!(node.until_ended().code(), Some(0), "asked to stop while it waits: {}", node.log());
}

#[test]
fn a_bad_parameter_is_one_line_and_a_failure() {
    let task = Task::new(9, OBEYS);
    for (name, value, said) in [
        ("REPLICATION", "sync", "REPLICATION is"),
        ("NEO4J_ha_server__id", "7", "ha.server_id cannot be set by a NEO4J_ variable or in Neo4jSettings"),
        (
            "NEO4J_SETTINGS",
            "dbms.mode=SINGLE",
            "dbms.mode cannot be set by a NEO4J_ variable or in Neo4jSettings",
        ),
        ("NEO4J_SETTINGS", "a.b=1\nno setting", "line 2 of Neo4jSettings has no `=`"),
        (
            "NEO4J_dbms_logs_query_enabled",
            "true\nha.server_id=7",
            "NEO4J_dbms_logs_query_enabled has a line break",
        ),
    ] {
        let mut node = task.start(&[THREE[0], THREE[1], (name, value)]);
        assert_eq!(node.until_ended().code(), Some(1));
        assert_eq!(node.log().lines().count(), 1, "{}", node.log());
        assert!(node.log().contains(said), "{}", node.log());
        assert!(!task.dir.join("conf/neo4j.conf").exists(), "nothing is written");
    }
}

#[test]
fn neo4j_conf_is_readable_by_its_owner_alone_also_over_one_of_the_image() {
    let task = Task::new(19, OBEYS);
    let file = task.dir.join("conf/neo4j.conf");
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(&file, "dbms.mode=ARBITER\n").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let node = task.start(&[]);
    node.until_log("started\n");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!fs::read_to_string(&file).unwrap().contains("ARBITER"));
}
