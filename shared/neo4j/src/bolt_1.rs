//! Version 1 of Bolt, which 3.x speaks and no driver for Rust still does: a login, and statements with a few
//! short rows. Applications log in over Bolt, and it carries every password, which HTTP does not.

use std::{net::SocketAddr, time::Duration};

use secrecy::{ExposeSecret, zeroize::Zeroize};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::{Credentials, Denied, packstream};

const PREAMBLE: [u8; 4] = [0x60, 0x60, 0xb0, 0x17];
/// The handshake offers version 1, and nothing else.
const VERSIONS: [u8; 16] = [0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
const INIT: u8 = 0x01;
const RUN: u8 = 0x10;
const PULL_ALL: u8 = 0x3f;
const SUCCESS: u8 = 0x70;
const RECORD: u8 = 0x71;
const FAILURE: u8 = 0x7f;
/// The longest chunk of a message, bytes.
const CHUNK: usize = 0xffff;
/// The longest message in an answer to the requests of this module, bytes.
const LONGEST: usize = 64 << 10;
/// The most rows of a statement of this module.
const MOST_ROWS: usize = 16;

/// Logs in as `who` at `bolt`, all of it within `deadline`.
pub(crate) async fn login(bolt: SocketAddr, who: &Credentials, deadline: Duration) -> Result<(), Denied> {
    within(deadline, async { Session::open(bolt, Some(who)).await.map(drop) }).await
}

/// Runs `statement` in a session of its own, as `who` or without a login, all of it within `deadline`, and
/// returns its rows. The connection ends with it, also when the future is dropped.
pub(crate) async fn rows(
    bolt: SocketAddr,
    who: Option<&Credentials>,
    statement: &str,
    deadline: Duration,
) -> Result<Vec<Value>, Denied> {
    within(deadline, async { Session::open(bolt, who).await?.rows(statement).await }).await
}

/// Logs in as `who`, writes a node in a transaction of its own, and rolls that back.
pub(crate) async fn write_and_roll_back(
    bolt: SocketAddr,
    who: &Credentials,
    deadline: Duration,
) -> Result<(), Denied> {
    within(deadline, async {
        let mut session = Session::open(bolt, Some(who)).await?;
        session.run("BEGIN").await?;
        // Without a label, because an editor must not create new ones. Closing the connection
        // would roll back as well.
        session.run("CREATE ()").await?;
        session.run("ROLLBACK").await
    })
    .await
}

/// The time covers connecting, logging in and the whole answer.
pub(crate) async fn within<T>(
    deadline: Duration,
    work: impl Future<Output = Result<T, Denied>>,
) -> Result<T, Denied> {
    let silent = || Denied::Unreachable(format!("silent on Bolt for {} ms", deadline.as_millis()));
    timeout(deadline, work).await.unwrap_or_else(|_| Err(silent()))
}

struct Session(TcpStream);

impl Session {
    async fn open(bolt: SocketAddr, who: Option<&Credentials>) -> Result<Self, Denied> {
        let mut stream = TcpStream::connect(bolt).await.map_err(broken)?;
        // Small messages that wait for answers: with Nagle's algorithm each costs 40 ms.
        stream.set_nodelay(true).map_err(broken)?;
        stream.write_all(&[PREAMBLE.as_slice(), &VERSIONS].concat()).await.map_err(broken)?;
        let mut version = [0; 4];
        stream.read_exact(&mut version).await.map_err(broken)?;
        if version != [0, 0, 0, 1] {
            return Err(not_bolt(
                "it does not speak version 1 of Bolt, so it is not a 3.x: check the dialect",
            ));
        }
        let mut session = Self(stream);
        let mut init = vec![0xb2, INIT];
        packstream::text(&mut init, "neo4j-control-plane/1");
        match who {
            Some(who) => packstream::texts(
                &mut init,
                &[
                    ("scheme", "basic"),
                    ("principal", who.user.as_str()),
                    ("credentials", who.password.expose_secret()),
                ],
            ),
            None => packstream::texts(&mut init, &[("scheme", "none")]),
        }
        let sent = session.send(&init).await;
        init.zeroize();
        sent?;
        let welcome = session.answer().await?;
        if welcome["credentials_expired"] == true {
            return Err(Denied::ChangeRequired);
        }
        Ok(session)
    }

    async fn run(&mut self, statement: &str) -> Result<(), Denied> {
        self.rows(statement).await.map(drop)
    }

    async fn rows(&mut self, statement: &str) -> Result<Vec<Value>, Denied> {
        let mut run = vec![0xb2, RUN];
        packstream::text(&mut run, statement);
        packstream::texts(&mut run, &[]);
        self.send(&run).await?;
        self.send(&[0xb0, PULL_ALL]).await?;
        self.answer().await?;
        let mut rows = Vec::new();
        loop {
            match self.next().await? {
                (SUCCESS, _) => return Ok(rows),
                (_, row) if rows.len() < MOST_ROWS => rows.push(row),
                _ => return Err(not_bolt("it answers more rows than anything that was asked for has")),
            }
        }
    }

    async fn send(&mut self, message: &[u8]) -> Result<(), Denied> {
        let mut framed = Vec::with_capacity(message.len() + 8);
        for chunk in message.chunks(CHUNK) {
            framed.extend(u16::try_from(chunk.len()).unwrap_or(u16::MAX).to_be_bytes());
            framed.extend(chunk);
        }
        framed.extend([0, 0]);
        let sent = self.0.write_all(&framed).await.map_err(broken);
        framed.zeroize();
        sent
    }

    /// The metadata of a SUCCESS, where no row can come.
    async fn answer(&mut self) -> Result<Value, Denied> {
        match self.next().await? {
            (SUCCESS, says) => Ok(says),
            _ => Err(not_bolt("it answers a row where it should say that it has begun")),
        }
    }

    /// The next SUCCESS or RECORD.
    async fn next(&mut self) -> Result<(u8, Value), Denied> {
        let message = self.receive().await?;
        match packstream::message(&message) {
            Some((tag @ (SUCCESS | RECORD), says)) => Ok((tag, says)),
            Some((FAILURE, says)) => {
                let field = |name: &str| says[name].as_str().unwrap_or_default().to_owned();
                Err(Denied::of(&field("code"), &field("message")))
            }
            _ => Err(not_bolt("it answers something that is no Bolt")),
        }
    }

    async fn receive(&mut self) -> Result<Vec<u8>, Denied> {
        let mut message = Vec::new();
        loop {
            let mut length = [0; 2];
            self.0.read_exact(&mut length).await.map_err(broken)?;
            let length = usize::from(u16::from_be_bytes(length));
            if length == 0 && !message.is_empty() {
                return Ok(message);
            }
            if message.len() + length > LONGEST {
                return Err(not_bolt("its answer is longer than anything that was asked for"));
            }
            let start = message.len();
            message.resize(start + length, 0);
            self.0.read_exact(&mut message[start..]).await.map_err(broken)?;
        }
    }
}

#[allow(clippy::needless_pass_by_value)] // as map_err hands it over
fn broken(error: std::io::Error) -> Denied {
    Denied::Unreachable(format!("Bolt: {error}"))
}

fn not_bolt(message: &str) -> Denied {
    Denied::Other { code: "Bolt".into(), message: message.into() }
}
