//! Both resources with the real PUT, to a server on this machine.

use std::time::Duration;

use crate::stage::{BACKUPS, Buckets, Cluster, FOUNDING, STATE, event, having_restored, whole};
use custom_resource::{Handled, Https, Invocation, OneInvocation, Protocol};
use serde_json::{Value, json};
use snapshot_bootstrap::{ClusterReady, Record, SnapshotBootstrap};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

/// Reads one whole request and answers 200.
async fn take_one(listener: &TcpListener) -> (String, Value) {
    let (mut client, _) = listener.accept().await.unwrap();
    let mut taken = Vec::new();
    loop {
        let read = client.read_buf(&mut taken).await.unwrap();
        assert!(read > 0, "the request ended early");
        let text = String::from_utf8(taken.clone()).unwrap();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let head = head.to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("a length");
        if body.len() == length.trim().parse::<usize>().unwrap() {
            client
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
                .await
                .unwrap();
            return (head, serde_json::from_str(body).unwrap());
        }
    }
}

#[tokio::test]
async fn the_answer_arrives_whole_where_cloudformation_wants_it() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/answer?X-Amz-Signature=s3cret", listener.local_addr().unwrap());
    let counts = backups::Counts { nodes: 50_000, relationships: 12 };
    // The first object that was written.
    let slots = having_restored(whole(), "\"1\"", counts);
    let (buckets, cluster) = (Buckets::with_backups(), Cluster::default().then(Ok(slots)));
    let record = Record::new(buckets.clone(), STATE, FOUNDING);
    let slots = topology::Slot::numbered(&["core-1", "core-2", "core-3"], &[] as &[&str]);
    let protocol = Protocol::new(Https::new().unwrap(), OneInvocation)
        .with(SnapshotBootstrap::new(
            buckets.clone(),
            record.clone(),
            BACKUPS.into(),
            "3.4.6".parse().unwrap(),
        ))
        .with(ClusterReady::new(cluster.counting(Ok(counts)), record, slots));
    for (name, id) in [
        ("snapshot-bootstrap-create-uri", "neo4j-local-snapshot"),
        ("cluster-ready-create", "neo4j-local-ready"),
    ] {
        let mut request = event(name);
        request["ResponseURL"] = json!(url);
        let invocation = Invocation::at(Duration::from_secs(1_700_000_000), Duration::from_secs(30));
        let (handled, (head, body)) =
            tokio::join!(protocol.handle(&request, invocation), take_one(&listener));
        assert_eq!(handled, Handled::Answered { success: true, physical_id: id.into() });
        assert!(head.starts_with("put /answer?x-amz-signature=s3cret http/1.1"), "{head}");
        assert_eq!((&body["Status"], &body["RequestId"]), (&json!("SUCCESS"), &request["RequestId"]));
        assert!(!body.to_string().contains("s3cret"));
    }
    assert!(buckets.founding().unwrap().is_sealed());
}
