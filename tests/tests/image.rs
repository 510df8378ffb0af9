//! Neo4j from the built image's root file system, with the node program as PID 1 of namespaces of its own, by runc, as ECS's hosts
//! start it. `make test-image` builds the image and runs this; it needs root.

use std::{
    fs::{self, File},
    net::Ipv4Addr,
    os::unix::fs::{MetadataExt, chown},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use end_to_end::repository::root;
use local::{
    ecs::bundle::{Built, Container},
    processes::{Signal, signal},
};

const WHY: &str = "make test-image builds the image first";
const PATIENCE: Duration = Duration::from_secs(120);
/// What a container of `docker run` is given for one node without a password.
const ALONE: [(&str, &str); 8] = [
    ("NEO4J_ACCEPT_LICENSE_AGREEMENT", "yes"),
    ("DIALECT", "SINGLE"),
    ("NEO4J_VERSION", "3.4.6"),
    ("STACK", "try"),
    ("CLUSTER", "try"),
    ("CORE_SERVICES", "try-core-1"),
    ("NEO4J_dbms_security_auth__enabled", "false"),
    ("NEO4J_dbms_memory_heap_max__size", "512m"),
];

/// A container's volumes and address. Each test has its own.
struct Place {
    built: Built,
    dir: PathBuf,
    address: Ipv4Addr,
    containers: u32,
}

impl Place {
    fn new(test: u8) -> Self {
        let dir = root().join(format!(".local/test-image/{test}"));
        let _absent = fs::remove_dir_all(&dir);
        let built = Built::find(&root().join(".local/image-root")).expect(WHY);
        let (user, group) = built.user();
        for volume in ["data", "logs"] {
            fs::create_dir_all(dir.join(volume)).unwrap();
            chown(dir.join(volume), Some(user), Some(group)).unwrap();
        }
        fs::write(dir.join("data/slot.json"), r#"{"stack":"try","slot":"try-core-1"}"#).unwrap();
        let process = std::process::id().to_be_bytes();
        Self { built, dir, address: Ipv4Addr::new(127, 230, process[3], test), containers: 0 }
    }

    /// A container with this command and these variables changed, under a name of its own, with its output in the file.
    fn start(&mut self, command: &[&str], changed: &[(&str, &str)]) -> Running {
        self.containers += 1;
        let bundle = self.dir.join(format!("bundle-{}", self.containers));
        let command: Vec<String> = command.iter().map(|word| (*word).to_owned()).collect();
        let own = [
            ("ADDRESS".to_owned(), self.address.to_string()),
            ("ROOT_DISK".to_owned(), "/proc/version".to_owned()),
        ];
        let given =
            ALONE.iter().chain(changed).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let container = Container {
            command: &command,
            environment: own.into_iter().chain(given).collect(),
            mounts: vec![
                (self.dir.join("data"), "/data".into(), false),
                (self.dir.join("logs"), "/logs".into(), false),
            ],
            tmpfs: vec!["/tmp".into(), "/run/neo4j".into()],
            read_only: true,
        };
        self.built.write(&bundle, &container).unwrap();
        let name = format!("test-image-{}-{}", self.address.octets()[3], bundle.metadata().unwrap().ino());
        let log = bundle.join("log");
        let output = File::create(&log).unwrap();
        let begun = Instant::now();
        let child = Command::new("runc")
            .args(["run", "--pid-file"])
            .arg(bundle.join("pid"))
            .arg("--bundle")
            .args([bundle.as_os_str(), name.as_ref()])
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .expect("runc");
        Running { child, name, bundle, log, begun }
    }

    /// The output of a container that ends by itself.
    fn output(&mut self, command: &[&str], changed: &[(&str, &str)]) -> (i32, String) {
        let mut running = self.start(command, changed);
        let code = running.until_ended();
        (code, running.log())
    }

    fn cypher(&self, statement: &str) -> String {
        let body = format!(r#"{{"statements":[{{"statement":"{statement}"}}]}}"#);
        let url = format!("http://{}:7474/db/data/transaction/commit", self.address);
        let mut asked = Command::new("curl");
        asked.args(["-sS", "-m", "20", "-H", "content-type: application/json", "-d", &body, &url]);
        text(asked.output().unwrap())
    }
}

fn text(output: Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

struct Running {
    child: Child,
    name: String,
    bundle: PathBuf,
    log: PathBuf,
    begun: Instant,
}

impl Running {
    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    fn pid(&self) -> i32 {
        fs::read_to_string(self.bundle.join("pid")).unwrap().trim().parse().unwrap()
    }

    fn until(&self, what: &str, is: impl Fn() -> bool) -> Duration {
        while !is() {
            assert!(self.begun.elapsed() < PATIENCE, "not {what}:\n{}", self.log());
            thread::sleep(Duration::from_millis(10));
        }
        self.begun.elapsed()
    }

    fn until_ended(&mut self) -> i32 {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code().unwrap_or(-1);
            }
            assert!(begun.elapsed() < PATIENCE, "it still runs:\n{}", self.log());
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// A program in the running container, as `docker exec` starts it.
    fn exec(&self, words: &[&str]) -> (i32, String) {
        let output = Command::new("runc").args(["exec", &self.name]).args(words).output().unwrap();
        (output.status.code().unwrap_or(-1), text(output))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _gone = Command::new("runc").args(["delete", "--force", &self.name]).output();
        let _gone = self.child.wait();
    }
}

#[test]
#[ignore = "make test-image builds the image first"]
fn neo4j_starts_stops_cleanly_and_finds_its_store_again() {
    let mut place = Place::new(1);
    let unrestricted = [("NEO4J_SETTINGS", "dbms.security.procedures.unrestricted=apoc.*")];
    let mut first = place.start(&["run"], &unrestricted);
    let started = first.until("started", || first.log().contains("neo4j-started"));
    println!("from the container's start to Neo4j's own: {} ms", started.as_millis());
    first.until("well", || first.exec(&["node", "health"]).1.starts_with("well: it is master"));
    assert_eq!(
        fs::read_link(format!("/proc/{}/root", first.pid())).unwrap(),
        Path::new("/"),
        "PID 1 is the node program"
    );
    let (_, status) = first.exec(&["cat", "/proc/1/status"]);
    assert!(status.contains("Name:\tnode\n"), "{status}");
    assert!(place.cypher("CREATE (:Kept {n: 7}) RETURN 1").contains("\"errors\":[]"));
    let apoc = place.cypher("RETURN apoc.version()");
    assert!(apoc.contains("3.4.0.2"), "{apoc}");

    signal(first.pid(), Signal::TERM);
    assert_eq!(first.until_ended(), 0, "{}", first.log());
    assert!(first.log().contains("\"event\":\"stopped\""), "{}", first.log());
    let log = fs::read_to_string(place.dir.join("logs/debug.log")).unwrap();
    assert!(log.contains("SHUTDOWN") || log.contains("Shutdown"), "Neo4j has stopped by itself");

    let second = place.start(&["run"], &[]);
    second.until("well", || second.exec(&["node", "health"]).1.starts_with("well: it is master"));
    let found = place.cypher("MATCH (k:Kept) RETURN k.n");
    assert!(found.contains("\"row\":[7]"), "{found}");
    assert!(!second.log().contains("recover"), "{}", second.log());
}

#[test]
#[ignore = "make test-image builds the image first"]
fn the_user_writes_to_its_volumes_and_to_memory_only() {
    let mut place = Place::new(2);
    let script = "id -u; for d in / /etc /usr/local/bin /var/lib/neo4j /var/lib/neo4j/lib /plugins /conf /import /ssl; do \
                  touch $d/x 2>/dev/null && echo wrote $d; done; \
                  for d in /data /logs /run/neo4j /tmp; do touch $d/x || echo refused $d; done; \
                  grep -c ' / ' /proc/self/mountinfo";
    let (code, said) = place.output(&["sh", "-c", script], &[]);
    assert_eq!(code, 0, "{said}");
    assert!(said.starts_with("7474\n") && !said.contains("wrote") && !said.contains("refused"), "{said}");
    // Not by the mount alone: the files are not the user's.
    let bin = place.built.root.join("var/lib/neo4j/bin/neo4j").metadata().unwrap();
    assert_eq!((bin.uid(), bin.mode() & 0o022), (0, 0));
}

#[test]
#[ignore = "make test-image builds the image first"]
fn what_is_refused_is_one_sentence() {
    let mut place = Place::new(3);
    let (code, said) = place.output(&["run"], &[("NEO4J_ACCEPT_LICENSE_AGREEMENT", "no")]);
    assert_eq!((code, said.lines().count()), (1, 1), "{said}");
    assert!(
        said.contains("NEO4J_ACCEPT_LICENSE_AGREEMENT") && said.contains("https://neo4j.com/licensing"),
        "{said}"
    );

    chown(place.dir.join("data"), Some(0), Some(0)).unwrap();
    let (code, said) = place.output(&["run"], &[]);
    let refusals: Vec<&str> = said.lines().filter(|line| line.contains("\"level\":\"ERROR\"")).collect();
    assert_eq!((code, refusals.len()), (1, 1), "{said}");
    assert!(refusals[0].contains("/data") && refusals[0].contains("7474"), "{said}");

    let (code, said) = place.output(&["neo4j-admn"], &[]);
    assert_eq!(code, 127);
    assert!(said.starts_with("neo4j-admn is no verb of this program"), "{said}");
}

#[test]
#[ignore = "make test-image builds the image first"]
fn other_programs_of_the_image_take_the_place_of_the_node_program() {
    let mut place = Place::new(4);
    let (code, said) = place.output(&["neo4j-admin", "help"], &[]);
    assert!(code == 0 && said.contains("check-consistency"), "{code}: {said}");
}

#[test]
#[ignore = "make test-image builds the image first"]
fn a_plugin_with_another_checksum_is_refused_before_an_image_is_built() {
    let dir = root().join(".local/test-image/plugins");
    let plugin = format!("org.neo4j.procedure:apoc:3.4.0.2#{}", "0".repeat(64));
    let output =
        Command::new(root().join("cluster/image/plugins.sh")).arg(&dir).arg(plugin).output().unwrap();
    assert!(!output.status.success());
    let said = text(output);
    assert!(
        said.contains("PLUGINS: org.neo4j.procedure:apoc:3.4.0.2 does not have the SHA-256 0000"),
        "{said}"
    );
    assert_eq!(fs::read_dir(&dir).unwrap().count(), 0, "it is not left where an image would take it from");
}
