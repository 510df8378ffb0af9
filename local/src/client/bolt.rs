//! A client over version 1 of Bolt, in as few words as it takes: a login, and statements whose rows do not matter. On purpose
//! not the product's own, so that a fault of that one shows.

use std::{fmt::Display, net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::login::Login;

/// The greeting, with version 1 alone.
const HELLO: [u8; 20] = [0x60, 0x60, 0xb0, 0x17, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
const SUCCESS: u8 = 0x70;
const RECORD: u8 = 0x71;

/// An open session.
pub struct Session(TcpStream);

impl Session {
    /// Logs in at `to`, within `within`.
    ///
    /// # Errors
    /// Why not, in words.
    pub async fn open(to: SocketAddr, login: &Login, within: Duration) -> Result<Self, String> {
        let opening = async {
            let mut stream = TcpStream::connect(to).await.map_err(cut)?;
            stream.set_nodelay(true).map_err(cut)?;
            stream.write_all(&HELLO).await.map_err(cut)?;
            let mut version = [0; 4];
            stream.read_exact(&mut version).await.map_err(cut)?;
            if version != [0, 0, 0, 1] {
                return Err(format!("version {version:?}"));
            }
            let mut init = vec![0xb2, 0x01];
            text(&mut init, "local");
            init.push(0xa3);
            let fields = [("scheme", "basic"), ("principal", &login.user), ("credentials", login.password())];
            for (name, value) in fields {
                text(&mut init, name);
                text(&mut init, value);
            }
            let mut session = Self(stream);
            session.send(&init).await?;
            session.success().await?;
            Ok(session)
        };
        timeout(within, opening).await.unwrap_or_else(|_| Err(format!("no login within {within:?}")))
    }

    /// Runs one statement to its end, within `within`. `BEGIN` and `COMMIT` are statements.
    ///
    /// # Errors
    /// Why not, in words.
    pub async fn run(&mut self, statement: &str, within: Duration) -> Result<(), String> {
        let running = async {
            let mut run = vec![0xb2, 0x10];
            text(&mut run, statement);
            run.push(0xa0);
            self.send(&run).await?;
            self.send(&[0xb0, 0x3f]).await?;
            self.success().await?;
            self.success().await
        };
        timeout(within, running).await.unwrap_or_else(|_| Err(format!("no answer within {within:?}")))
    }

    async fn send(&mut self, message: &[u8]) -> Result<(), String> {
        let length = u16::try_from(message.len()).map_err(|_| "a message of one chunk at most".to_owned())?;
        self.0.write_all(&[&length.to_be_bytes(), message, &[0, 0]].concat()).await.map_err(cut)
    }

    async fn success(&mut self) -> Result<(), String> {
        loop {
            let message = self.receive().await?;
            match message.get(1) {
                Some(&SUCCESS) => return Ok(()),
                Some(&RECORD) => {}
                _ => return Err(String::from_utf8_lossy(&message).into_owned()),
            }
        }
    }

    async fn receive(&mut self) -> Result<Vec<u8>, String> {
        let mut message = Vec::new();
        loop {
            let length = usize::from(self.0.read_u16().await.map_err(cut)?);
            if length == 0 {
                return Ok(message);
            }
            let start = message.len();
            message.resize(start + length, 0);
            self.0.read_exact(&mut message[start..]).await.map_err(cut)?;
        }
    }
}

fn text(out: &mut Vec<u8>, text: &str) {
    let length = u16::try_from(text.len()).unwrap_or(u16::MAX);
    out.push(0xd1);
    out.extend(length.to_be_bytes());
    out.extend(text.as_bytes());
}

#[allow(clippy::needless_pass_by_value)] // as map_err hands it over
fn cut(error: impl Display) -> String {
    format!("the connection is cut: {error}")
}
