//! Bolt's greeting: a sign of life from other threads than HTTP's, without a login.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// Bolt's magic, and the versions 4 to 1 in the order of preference: any Neo4j answers with
/// one of them, or with zero.
const HELLO: [u8; 20] = [0x60, 0x60, 0xB0, 0x17, 0, 0, 0, 4, 0, 0, 0, 3, 0, 0, 0, 2, 0, 0, 0, 1];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hello {
    /// It chose a version: the JVM runs.
    Answered,
    /// Refused, closed or reset: a process that starts, stops or is gone. The kernel of a
    /// frozen one does not refuse.
    Refused,
    /// No answer within the deadline.
    Silent,
}

/// Greets the Bolt port at `bolt`, within `deadline`. It occupies a thread of the network layer for a moment,
/// and no worker of HTTP or of a query.
pub async fn hello(bolt: SocketAddr, deadline: Duration) -> Hello {
    let greeting = async {
        let mut stream = TcpStream::connect(bolt).await?;
        stream.write_all(&HELLO).await?;
        stream.read_exact(&mut [0; 4]).await
    };
    match timeout(deadline, greeting).await {
        Ok(Ok(_)) => Hello::Answered,
        Ok(Err(_)) => Hello::Refused,
        Err(_) => Hello::Silent,
    }
}
