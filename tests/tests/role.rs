//! The role over Bolt, on a real Neo4j 3.4.6 that is a cluster of one: the same answer as the role endpoint's, also when queries
//! have taken every worker that could give that.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use end_to_end::jvm::{Jvm, Release, V3_4_6};
use neo4j::{Administration, Credentials, Denied, Dialect, Hello, Instance, ask_bolt, commit, hello, probe};
use serde_json::json;
use tokio::task::JoinSet;
use topology::{Answer, NotKnown, PATIENCE};

/// Longer than anything takes on a busy machine.
const LONG: Duration = Duration::from_secs(60);
/// More than there are workers, which are at least as many as the connectors need beside those of the settings.
const WRITERS: usize = 80;

const HA: Release = Release {
    home: V3_4_6.home,
    settings: |address, dir| {
        let single = (V3_4_6.settings)(address, dir).replace("dbms.mode=SINGLE", "dbms.mode=HA");
        format!(
            "{single}ha.server_id=1\nha.initial_hosts={address}:5001\nha.host.coordination={address}:5001\n\
             ha.host.data={address}:6001\ndbms.security.ha_status_auth_enabled=false\n"
        )
    },
};

#[tokio::test]
async fn a_master_whose_http_workers_are_all_taken_says_over_bolt_that_it_is_the_master() {
    let jvm = Jvm::start(&HA);
    let (http, bolt): (SocketAddr, SocketAddr) = ((jvm.address, 7474).into(), (jvm.address, 7687).into());
    let deadline = Instant::now() + LONG;
    while probe(Dialect::Ha, http, PATIENCE).await != Answer::Master {
        assert!(Instant::now() < deadline, "it is not the master");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let first = Credentials::administrator("neo4j".to_owned().into());
    assert_eq!(ask_bolt(Dialect::Ha, bolt, Some(&first), LONG).await, Err(Denied::ChangeRequired));
    let who = Credentials::administrator("a-b-c".to_owned().into());
    let instance = Instance { http, bolt, administration: Administration::Http, deadline: LONG };
    instance.change_own_password(&first, &who.password).await.unwrap();
    let asked = async |dialect| ask_bolt(dialect, bolt, Some(&who), LONG).await;
    assert_eq!(asked(Dialect::Ha).await, Ok(Answer::Master), "the same as over HTTP");
    assert_eq!(asked(Dialect::Single).await, Ok(Answer::Master));
    assert!(asked("CLUSTER".parse().unwrap()).await.is_err(), "it is not of a causal cluster");
    assert_eq!(ask_bolt(Dialect::Ha, bolt, Some(&first), LONG).await, Err(Denied::Unauthorized));

    let run = |statement: &'static str| {
        let who = who.clone();
        async move { commit(http, &who, statement, &json!({}), LONG).await }
    };
    run("CREATE (:Lock)").await.unwrap();
    // An open transaction holds the lock, and no worker; Neo4j rolls it back after a minute without a request.
    let statement = json!({"statements": [{"statement": "MATCH (l:Lock) SET l.held = true"}]}).to_string();
    let login = local::login::Login::new("neo4j", "a-b-c");
    let opened = local::http::post_as(&login, http, "/db/data/transaction", statement.into(), LONG).await;
    assert_eq!(opened.unwrap().0, 201);
    let mut writers: JoinSet<_> = (0..WRITERS).map(|_| run("MATCH (l:Lock) SET l.by = 1")).collect();
    let deadline = Instant::now() + LONG;
    while probe(Dialect::Ha, http, PATIENCE).await != Answer::NotKnown(NotKnown::Silent) {
        assert!(Instant::now() < deadline, "the workers are not taken");
    }
    let mut slowest = Duration::ZERO;
    for _ in 0..20 {
        let begun = Instant::now();
        assert_eq!(asked(Dialect::Ha).await, Ok(Answer::Master));
        slowest = slowest.max(begun.elapsed());
    }
    assert_eq!(hello(bolt, PATIENCE).await, Hello::Answered);
    let http_now = probe(Dialect::Ha, http, PATIENCE).await;
    println!("with every HTTP worker taken the role over Bolt took {} ms at most", slowest.as_millis());
    assert_eq!(http_now, Answer::NotKnown(NotKnown::Silent), "HTTP was silent for all of it");
    writers.shutdown().await;
}
