//! The ports of a node that the programs use. The template opens them, but for the backup server's, and 7473 for clients. The local
//! cloud keeps its own list on purpose.

/// Neo4j's HTTP.
pub const HTTP: u16 = 7474;
/// Neo4j's Bolt.
pub const BOLT: u16 = 7687;
/// The node program: its node's role, and what it sees of the other members.
pub const STATUS: u16 = 7475;
/// Neo4j's backup server, which asks for no password.
pub const BACKUP: u16 = 6362;
/// Members of high availability among themselves: elections, then transactions.
pub const COORDINATION: u16 = 5001;
pub const DATA: u16 = 6001;
/// The same of causal clustering.
pub const DISCOVERY: u16 = 5000;
pub const TRANSACTION: u16 = 6000;
pub const RAFT: u16 = 7000;
