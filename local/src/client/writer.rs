//! A client that writes: a new connection for every write, one every 50 ms, each with a second to be acknowledged.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use serde_json::json;
use tokio::task::JoinHandle;

use super::{Error, cypher};
use crate::login::Login;

const EVERY: Duration = Duration::from_millis(50);
const PATIENCE: Duration = Duration::from_secs(1);
/// Counting reads every write of the run at once.
const COUNTING: Duration = Duration::from_secs(30);

/// One write, numbered as it was sent.
#[derive(Clone, Debug)]
pub struct Write {
    /// Its number, which is stored.
    pub number: u64,
    /// When its connection was opened.
    pub sent: Instant,
    /// When the database said that it is committed.
    pub acknowledged: Option<Instant>,
    /// What it was answered instead, or how its connection ended. `None` too while nothing was heard, however late.
    pub refused: Option<String>,
}

/// A client that writes until it is stopped.
pub struct Writer {
    writes: Arc<Mutex<Vec<Write>>>,
    sending: JoinHandle<()>,
}

/// A test that failed stops writing.
impl Drop for Writer {
    fn drop(&mut self) {
        self.sending.abort();
    }
}

impl Writer {
    /// Starts to write to `endpoint` over HTTP as `login`, each write marked as this `client`'s.
    pub fn start(endpoint: SocketAddr, login: Login, client: &'static str) -> Self {
        let writes: Arc<Mutex<Vec<Write>>> = Arc::default();
        let sending = tokio::spawn(send_all(endpoint, login, client, Arc::clone(&writes)));
        Self { writes, sending }
    }

    /// Stops sending, waits for what is under way and returns every write.
    pub async fn stop(self) -> Vec<Write> {
        self.sending.abort();
        tokio::time::sleep(PATIENCE + EVERY).await;
        self.writes()
    }

    /// All writes so far.
    pub fn writes(&self) -> Vec<Write> {
        self.writes.lock().expect("no panic while the writes are held").clone()
    }

    /// Writes sent after `since` that were acknowledged.
    pub fn acknowledged_since(&self, since: Instant) -> usize {
        self.writes().iter().filter(|write| write.sent > since && write.acknowledged.is_some()).count()
    }
}

async fn send_all(endpoint: SocketAddr, login: Login, client: &'static str, writes: Arc<Mutex<Vec<Write>>>) {
    let mut tick = tokio::time::interval(EVERY);
    for number in 0.. {
        tick.tick().await;
        writes.lock().expect("as above").push(Write {
            number,
            sent: Instant::now(),
            acknowledged: None,
            refused: None,
        });
        let (writes, login) = (Arc::clone(&writes), login.clone());
        tokio::spawn(async move {
            let ended = write(endpoint, &login, client, number).await;
            let index = usize::try_from(number).expect("a run has fewer writes than memory");
            let write = &mut writes.lock().expect("as above")[index];
            match ended {
                Ok(()) => write.acknowledged = Some(Instant::now()),
                Err(late) if late.is_late() => {}
                Err(error) => write.refused = Some(error.to_string()),
            }
        });
    }
}

async fn write(endpoint: SocketAddr, login: &Login, client: &str, number: u64) -> Result<(), Error> {
    let create = "CREATE (:Write {client: $client, number: $number})";
    let parameters = json!({ "client": client, "number": number });
    cypher(endpoint, login, create, parameters, PATIENCE).await.map(drop)
}

/// The numbers of `client` stored on `node`.
pub async fn stored(node: SocketAddr, login: &Login, client: &str) -> Result<Vec<u64>, String> {
    let matching = "MATCH (w:Write {client: $client}) RETURN w.number";
    let answer = cypher(node, login, matching, json!({ "client": client }), COUNTING).await?;
    let rows = answer["results"][0]["data"].as_array().cloned().unwrap_or_default();
    Ok(rows.iter().filter_map(|row| row["row"][0].as_u64()).collect())
}

/// Deletes all writes, so that the next clients start from nothing.
pub async fn forget(node: SocketAddr, login: &Login) -> Result<(), String> {
    cypher(node, login, "MATCH (w:Write) DELETE w", json!({}), COUNTING).await?;
    Ok(())
}

/// The longest time without a committed write around a fault: last acknowledged before to first acknowledged after.
pub fn outage(writes: &[Write], fault: Instant) -> Option<(Instant, Instant)> {
    let before = writes.iter().filter_map(|write| write.acknowledged).filter(|at| *at <= fault).max()?;
    let after =
        writes.iter().filter(|write| write.sent > fault).filter_map(|write| write.acknowledged).min()?;
    Some((before, after))
}

/// The acknowledged writes that are not among the `stored` ones.
pub fn lost(writes: &[Write], stored: &[u64]) -> Vec<u64> {
    let stored: std::collections::HashSet<&u64> = stored.iter().collect();
    let acknowledged = writes.iter().filter(|write| write.acknowledged.is_some()).map(|write| write.number);
    acknowledged.filter(|number| !stored.contains(number)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_is_from_the_last_write_before_to_the_first_one_after() {
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let write = |number, sent, acked: Option<u64>| Write {
            number,
            sent: at(sent),
            acknowledged: acked.map(at),
            refused: None,
        };
        let writes = [
            write(0, 0, Some(10)),
            write(1, 50, Some(60)),
            // In flight when the fault came, and acknowledged by luck after it: no proof that the cluster is writable.
            write(2, 95, Some(120)),
            write(3, 150, None),
            write(4, 2000, Some(2010)),
            write(5, 2050, Some(2060)),
        ];
        assert_eq!(outage(&writes, at(100)), Some((at(60), at(2010))));
        assert_eq!(outage(&writes[..4], at(100)), None, "not over yet");
        assert_eq!(lost(&writes, &[0, 2, 4, 5]), [1]);
        assert!(lost(&writes, &[0, 1, 2, 3, 4, 5]).is_empty(), "one more than was acknowledged is no loss");
    }
}
