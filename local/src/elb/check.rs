//! One health check of one target.

use std::{net::SocketAddrV4, time::Duration};

use tokio::{net::TcpStream, time::timeout};

use super::{group::Failure, rules::Check};
use crate::http as wire;

/// Asks `target` once, as `check` says.
pub async fn ask(target: SocketAddrV4, check: &Check) -> Result<(), Failure> {
    let at = SocketAddrV4::new(*target.ip(), check.port.unwrap_or(target.port()));
    match &check.http {
        None => connect(at, check.timeout).await,
        Some((path, matcher)) => match wire::get(at.into(), path, check.timeout).await {
            Ok((status, _)) if matcher.matches(status) => Ok(()),
            Ok(_) => Err(Failure::Mismatch),
            Err(wire::Failure::Timeout(..)) => Err(Failure::Timeout),
            Err(wire::Failure::Connection(..)) => Err(Failure::Connection),
        },
    }
}

async fn connect(at: SocketAddrV4, within: Duration) -> Result<(), Failure> {
    match timeout(within, TcpStream::connect(at)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(_)) => Err(Failure::Connection),
        Err(_) => Err(Failure::Timeout),
    }
}
