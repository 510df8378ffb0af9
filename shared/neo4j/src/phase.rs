//! The phases that a node program reports ([`crate::Status::phase`]), in one place for the program and for those that read them.

/// Neo4j is not started before the other nodes have addresses.
pub const WAITING: &str = "waiting-for-peers";
/// The snapshot that the cluster is founded from is being restored; Neo4j is not started.
pub const RESTORING: &str = "restoring";
/// It is restored, and Neo4j is not started before it is restored on every core node.
pub const RESTORED: &str = "restored";
/// Neo4j is started and has no role: it recovers its store, or copies the master's.
pub const STARTING: &str = "starting";
/// A blank slave has copied the store, and waits for its turn to be started once more.
pub const COPIED: &str = "copied";
/// It is started once more.
pub const RESTARTING: &str = "restarting";
/// From the first role on.
pub const RUNNING: &str = "running";

/// Each of them shows that the node program has started.
pub const ALL: [&str; 7] = [WAITING, RESTORING, RESTORED, STARTING, COPIED, RESTARTING, RUNNING];
