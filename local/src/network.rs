//! Where tasks are reached: on loopback, or each in a network namespace of its own, so that its packets can be lost.
//!
//! ```text
//! the sandbox: gateway, emulator, functions, balancers (198.18.0.x)
//!     `-- bridge --- port node-1 === eth0 of task 198.18.1.1
//!               `--- port node-2 === eth0 of task 198.18.1.2
//! ```
//!
//! The sandbox is a network namespace too, and everything in it is gone with its last process.

use std::{
    env,
    io::{self, Write},
    net::Ipv4Addr,
    os::unix::process::CommandExt,
    path::Path,
    process::Stdio,
};

use tokio::process::Command;

use crate::address::AddressPool;

/// The range for tests of networks, RFC 2544: no neighbour of this machine has one of these.
const SERVICES: [u8; 3] = [198, 18, 0];
const TASKS: [u8; 3] = [198, 18, 1];
const BRIDGE: &str = "vpc";
/// `ip netns` keeps names here: a file system of the sandbox's own, so that none is left on the machine.
const NAMES: &str = "mkdir -p /run/netns && mount -t tmpfs tmpfs /run/netns";
/// Set for what runs in the sandbox.
const INSIDE: &str = "LOCAL_SANDBOX";
/// A VPC knows the addresses of all its hosts, so one that has vanished is silent, not unreachable. Here a neighbour that
/// was found once stays known for this many milliseconds.
const NEIGHBOURS: &str = "arp_cache";
const KNOWN_MS: u32 = 3_600_000;

/// How tasks are connected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// Addresses of `127.0.0.0/8`: needs no rights, loses no packet.
    #[default]
    Loopback,
    /// A namespace for each task. Only for what [`enter_sandbox`] has returned to.
    Namespaces,
}

/// The network of one cloud. Clones are the same network.
#[derive(Clone, Debug)]
pub struct Network {
    kind: Kind,
    /// Addresses of the gateway and the balancers.
    pub services: AddressPool,
    tasks: AddressPool,
}

impl Network {
    /// Sets it up.
    ///
    /// # Errors
    /// When `ip` is missing or not allowed.
    pub fn set_up(kind: Kind) -> io::Result<Self> {
        match kind {
            Kind::Loopback => {
                let pool = AddressPool::random();
                Ok(Self { kind, services: pool.clone(), tasks: pool })
            }
            Kind::Namespaces => {
                let [a, b, c] = SERVICES;
                ip(&format!(
                    "link set lo up\n\
                     link add {BRIDGE} type bridge\n\
                     link set {BRIDGE} up\n\
                     address add {a}.{b}.{c}.1/16 dev {BRIDGE}\n\
                     route add local {a}.{b}.{c}.0/24 dev {BRIDGE}\n\
                     ntable change name {NEIGHBOURS} dev {BRIDGE} base_reachable {KNOWN_MS}\n"
                ))?;
                Ok(Self { kind, services: AddressPool::of(SERVICES), tasks: AddressPool::of(TASKS) })
            }
        }
    }

    /// An address for a new task, and all that it takes to reach it.
    ///
    /// # Errors
    /// When its namespace cannot be made.
    pub fn connect(&self) -> io::Result<Ipv4Addr> {
        let address = self.tasks.next();
        if self.kind == Kind::Namespaces {
            let name = name(address);
            ip(&format!(
                "netns add {name}\n\
                 link add {name} type veth peer name eth0 netns {name}\n\
                 link set {name} master {BRIDGE} up\n"
            ))?;
            ip_in(
                &name,
                &format!(
                    "link set lo up\n\
                     link set eth0 up\n\
                     address add {address}/16 dev eth0\n\
                     ntable change name {NEIGHBOURS} dev eth0 base_reachable {KNOWN_MS}\n"
                ),
            )?;
        }
        Ok(address)
    }

    /// The command that runs `program` where `address` is.
    pub fn command(&self, address: Ipv4Addr, program: &Path) -> Command {
        match self.kind {
            Kind::Loopback => Command::new(program),
            Kind::Namespaces => {
                // It becomes the program, so signals reach what they should.
                let mut command = Command::new(tool("ip"));
                command.args(["netns", "exec", &name(address)]).arg(program);
                command
            }
        }
    }

    /// From now on every packet from and to the task at `address` is lost, without a word to either side: its port on the bridge
    /// passes nothing, while the link stays up and sockets stay open.
    ///
    /// # Errors
    /// On loopback, and when `bridge` does not do it.
    pub fn black_hole(&self, address: Ipv4Addr) -> io::Result<()> {
        self.port(address, "disabled")
    }

    /// Packets pass again.
    ///
    /// # Errors
    /// As above.
    pub fn heal(&self, address: Ipv4Addr) -> io::Result<()> {
        self.port(address, "forwarding")
    }

    fn port(&self, address: Ipv4Addr, state: &str) -> io::Result<()> {
        if self.kind == Kind::Loopback {
            return Err(io::Error::other("loopback loses no packets: start the cloud with Kind::Namespaces"));
        }
        let name = name(address);
        run(
            std::process::Command::new(tool("bridge")).args(["link", "set", "dev", &name, "state", state]),
            "",
        )
    }
}

/// Goes on in a sandbox: this program is run again in a network and a mount namespace of its own, in place of this process.
/// Returns only inside.
///
/// # Errors
/// Why there is no sandbox; the process goes on outside then.
pub fn enter_sandbox() -> Result<(), String> {
    if env::var_os(INSIDE).is_some() {
        return Ok(());
    }
    let unshare = |script: &str| {
        let mut command = std::process::Command::new("unshare");
        command.args(["--net", "--mount", "sh", "-c", script]);
        command
    };
    // What the network will need is tried first: after the exec no one is left to say why it failed.
    let trial = format!("{NAMES} && ip link add {BRIDGE} type bridge && ip netns add trial");
    run(&mut unshare(&trial), "").map_err(|error| {
        format!("network namespaces cannot be made (they take root, unshare and iproute2): {error}")
    })?;
    let this = env::current_exe().map_err(|error| error.to_string())?;
    let mut again = unshare(&format!("{NAMES} && exec \"$0\" \"$@\""));
    let error = again.arg(this).args(env::args_os().skip(1)).env(INSIDE, "1").exec();
    Err(format!("unshare cannot be run: {error}"))
}

fn name(address: Ipv4Addr) -> String {
    format!("node-{}", address.octets()[3])
}

fn ip(batch: &str) -> io::Result<()> {
    run(std::process::Command::new(tool("ip")).args(["-batch", "-"]), batch)
}

fn ip_in(namespace: &str, batch: &str) -> io::Result<()> {
    run(std::process::Command::new(tool("ip")).args(["-netns", namespace, "-batch", "-"]), batch)
}

/// They are not in the `PATH` of everybody.
fn tool(name: &str) -> std::path::PathBuf {
    let places = ["/usr/sbin", "/sbin", "/usr/bin", "/bin"];
    let found = places.iter().map(|place| Path::new(place).join(name)).find(|path| path.exists());
    found.unwrap_or_else(|| name.into())
}

fn run(command: &mut std::process::Command, input: &str) -> io::Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let failed = |reason: &dyn std::fmt::Display| io::Error::other(format!("{program}: {reason}"));
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| failed(&error))?;
    child.stdin.take().map_or(Ok(()), |mut stdin| stdin.write_all(input.as_bytes()))?;
    let output = child.wait_with_output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(failed(&String::from_utf8_lossy(&output.stderr).trim()))
}
