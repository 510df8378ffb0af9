//! HAProxy in front of the same nodes, as people set it up for Neo4j HA: a check of the role endpoint every 250 ms, one
//! answer decides.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use tokio::process::{Child, Command};

use crate::{
    layout::Layout,
    processes::{Processes, Signal, signal_group},
};

/// Beside the gateway, on its address.
const PORT: u16 = 8474;
const WHERE: [&str; 3] = ["/usr/sbin/haproxy", "/usr/local/sbin/haproxy", "/usr/bin/haproxy"];

/// A running HAProxy.
pub struct Haproxy {
    /// Where it listens.
    pub endpoint: SocketAddr,
    child: Child,
}

impl Haproxy {
    /// Starts it in front of `nodes`.
    pub async fn start(
        layout: &Layout,
        processes: &Processes,
        ip: IpAddr,
        nodes: &[Ipv4Addr],
    ) -> Result<Self, String> {
        let program = WHERE.iter().map(PathBuf::from).find(|path| path.exists());
        let program = program.ok_or("haproxy is missing: sudo apt install haproxy")?;
        let endpoint = SocketAddr::from((ip, PORT));
        let file = layout.run.join("haproxy.cfg");
        fs::write(&file, configuration(endpoint, nodes)).map_err(|error| error.to_string())?;
        let mut command = Command::new(program);
        command.arg("-db").arg("-f").arg(&file);
        let child =
            processes.start("haproxy", command, &layout.log("haproxy")).map_err(|error| error.to_string())?;
        // Its first checks.
        tokio::time::sleep(Duration::from_secs(1)).await;
        Ok(Self { endpoint, child })
    }

    /// Ends it.
    pub async fn stop(mut self) {
        if let Some(pid) = self.child.id().and_then(|pid| i32::try_from(pid).ok()) {
            signal_group(pid, Signal::KILL);
        }
        let _ended = self.child.wait().await;
    }
}

fn configuration(endpoint: SocketAddr, nodes: &[Ipv4Addr]) -> String {
    let mut text = format!(
        "defaults\n  mode tcp\n  timeout connect 1s\n  timeout client 1h\n  timeout server 1h\n  timeout check 250ms\n\
         listen master\n  bind {endpoint}\n  option httpchk GET /db/manage/server/ha/master\n  http-check expect status 200\n\
         \u{20} default-server inter 250ms fall 1 rise 1 on-marked-down shutdown-sessions\n"
    );
    for (number, node) in nodes.iter().enumerate() {
        text += &format!("  server n{number} {node}:7474 check\n");
    }
    text
}
