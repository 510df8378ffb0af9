//! One real Neo4j with authentication on, for the length of a test run.

use std::{
    fs,
    io::Write,
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    time::{Duration, Instant},
};

use crate::repository::root;

const STARTS_WITHIN: Duration = Duration::from_secs(120);

/// A Neo4j that ends when this value is dropped, or when the process of the test ends, however that ends.
pub struct Jvm {
    pub address: IpAddr,
    dir: PathBuf,
    shell: Child,
    input: ChildStdin,
}

/// A Neo4j below `.local`, and what its configuration says.
pub struct Release {
    pub home: &'static str,
    pub settings: fn(address: IpAddr, dir: &Path) -> String,
}

pub const V3_4_6: Release = Release {
    home: "neo4j-3.4.6",
    settings: |address, dir| {
        let dir = dir.display();
        format!(
            "dbms.mode=SINGLE\n\
             dbms.connectors.default_listen_address={address}\n\
             dbms.connectors.default_advertised_address={address}\n\
             dbms.connector.bolt.enabled=true\ndbms.connector.http.enabled=true\ndbms.connector.https.enabled=false\n\
             dbms.backup.enabled=false\ndbms.udc.enabled=false\ndbms.threads.worker_count=16\n\
             dbms.memory.heap.initial_size=256m\ndbms.memory.heap.max_size=256m\ndbms.memory.pagecache.size=32m\n\
             dbms.directories.data={dir}/data\ndbms.directories.logs={dir}/logs\ndbms.directories.run={dir}/logs\n\
             dbms.directories.certificates={dir}/certificates\n"
        )
    },
};

pub const V5_26: Release = Release {
    home: "neo4j-5.26",
    settings: |address, dir| {
        let dir = dir.display();
        format!(
            "server.default_listen_address={address}\nserver.default_advertised_address={address}\n\
             server.bolt.enabled=true\nserver.http.enabled=true\nserver.https.enabled=false\n\
             dbms.usage_report.enabled=false\n\
             server.memory.heap.initial_size=256m\nserver.memory.heap.max_size=256m\nserver.memory.pagecache.size=32m\n\
             server.directories.data={dir}/data\nserver.directories.logs={dir}/logs\nserver.directories.run={dir}/logs\n"
        )
    },
};

impl Jvm {
    /// Starts it on a loopback address of its own, and waits until it answers.
    pub fn start(release: &Release) -> Self {
        // Neo4j 5 refuses a path that is not normalized.
        let home = root().join(".local").join(release.home).canonicalize().ok();
        let home = home.unwrap_or_else(|| panic!("{} is missing: run `make setup`", release.home));
        let program = home.join("bin/neo4j");
        let address = free_address();
        let dir = std::env::temp_dir().join(format!("jvm-{}-{address}", std::process::id()));
        for name in ["conf", "data", "logs"] {
            fs::create_dir_all(dir.join(name)).expect("a directory below the temporary one");
        }
        fs::write(dir.join("conf/neo4j.conf"), (release.settings)(address, &dir)).expect("a configuration");
        let console = fs::File::create(dir.join("console.log")).expect("a log");
        // The shell ends the JVM when its input ends, which happens when this process
        // ends, and then ends itself.
        let watch = "\"$0\" console & jvm=$!; exec 3<&0; { read -r _ <&3; kill -KILL $jvm; } & wait $jvm";
        let mut shell = Command::new("bash")
            .args(["-c", watch])
            .arg(&program)
            .env("NEO4J_HOME", &home)
            .env("NEO4J_CONF", dir.join("conf"))
            .stdin(Stdio::piped())
            .stdout(console.try_clone().expect("the log again"))
            .stderr(console)
            .spawn()
            .expect("bash");
        let open = shell.stdin.take().expect("its input");
        let mut jvm = Self { address, dir, shell, input: open };
        jvm.wait();
        jvm
    }

    fn wait(&mut self) {
        let (until, address) = (Instant::now() + STARTS_WITHIN, self.address);
        let answers = |port: u16| {
            let at = SocketAddr::from((address, port));
            std::net::TcpStream::connect_timeout(&at, Duration::from_millis(200)).is_ok()
        };
        // Bolt comes first; when HTTP answers, everything is up.
        while !(answers(7687) && answers(7474)) {
            let console = || fs::read_to_string(self.dir.join("console.log")).unwrap_or_default();
            let ended = self.shell.try_wait().expect("bash");
            assert!(ended.is_none() && Instant::now() < until, "Neo4j is not up ({ended:?}):\n{}", console());
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for Jvm {
    fn drop(&mut self) {
        // Closing its input would be enough; a line does it without waiting for the field's own drop.
        let _told = self.input.write_all(b"end\n");
        let _ended = self.shell.wait();
        let _removed = fs::remove_dir_all(&self.dir);
    }
}

/// A loopback address on which both ports are free; other tests on this machine have other addresses.
pub fn free_address() -> IpAddr {
    let process = std::process::id();
    let candidates = (0..200).map(|step| {
        let number = process.wrapping_mul(7).wrapping_add(step * 251);
        let [_, _, c, d] = number.to_be_bytes();
        IpAddr::from(Ipv4Addr::new(127, 77, c, d.clamp(1, 254)))
    });
    let free =
        |address: &IpAddr| [7474, 7687].into_iter().all(|port| TcpListener::bind((*address, port)).is_ok());
    candidates.into_iter().find(free).expect("a free loopback address")
}
