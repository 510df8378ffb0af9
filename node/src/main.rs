//! The node program: PID 1 beside Neo4j, and the operator's tool in its container.

use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    node::main().await
}
