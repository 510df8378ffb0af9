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

use end_to_end::repository::{root, template};
use local::{
    ecs::{
        Tmpfs,
        bundle::{Built, Container},
    },
    processes::{Signal, signal},
};

const WHY: &str = "make test-image builds the image first";
/// Of the node program and its container, before Neo4j is started.
const OURS: Duration = Duration::from_millis(300);
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
            tmpfs: task_tmpfs(),
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
        text(&asked.output().unwrap())
    }
}

fn text(output: &Output) -> String {
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
        (output.status.code().unwrap_or(-1), text(&output))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _gone = Command::new("runc").args(["delete", "--force", &self.name]).output();
        let _gone = self.child.wait();
    }
}

/// The memory of the template's container.
fn task_tmpfs() -> Vec<Tmpfs> {
    let task = template("cluster/task.yml");
    let container = &task["Resources"]["Definition"]["Properties"]["ContainerDefinitions"][0];
    let all = container["LinuxParameters"]["Tmpfs"].as_array().unwrap().iter();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let options = |of: &serde_json::Value| of.as_array().into_iter().flatten().map(text).collect();
    all.map(|of| Tmpfs {
        path: text(&of["ContainerPath"]),
        mib: of["Size"].as_u64().unwrap(),
        options: options(&of["MountOptions"]),
    })
    .collect()
}

#[test]
#[ignore = "make test-image builds the image first"]
fn neo4j_starts_stops_cleanly_and_finds_its_store_again() {
    let mut place = Place::new(1);
    let unrestricted = [("NEO4J_SETTINGS", "dbms.security.procedures.unrestricted=apoc.*")];
    let mut first = place.start(&["run"], &unrestricted);
    let started = first.until("started", || first.log().contains("neo4j-started"));
    println!("from the container's start to Neo4j's own: {} ms", started.as_millis());
    assert!(started < OURS, "{started:?} of ours before Neo4j's own start");
    first.until("well", || first.exec(&["node", "health"]).1.starts_with("well: it is master"));
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
    let log = fs::read_to_string(place.dir.join("logs/debug.log")).unwrap();
    assert!(!log.contains("Recovery required"), "the stop was not clean");
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

    fs::create_dir(place.dir.join("data/databases")).unwrap();
    let (code, said) = place.output(&["run"], &[]);
    let refusals: Vec<&str> = said.lines().filter(|line| line.contains("\"level\":\"ERROR\"")).collect();
    assert_eq!((code, refusals.len()), (1, 1), "{said}");
    assert!(refusals[0].contains("/data") && refusals[0].contains("7474"), "{said}");

    let (code, said) = place.output(&["neo4j-admn"], &[]);
    assert_eq!(code, 127);
    assert!(said.starts_with("neo4j-admn is not a verb of this program"), "{said}");
}

#[test]
#[ignore = "make test-image builds the image first"]
fn other_programs_of_the_image_take_the_place_of_the_node_program() {
    let mut place = Place::new(4);
    let (code, said) = place.output(&["neo4j-admin", "help"], &[]);
    assert!(code == 0 && said.contains("check-consistency"), "{code}: {said}");
    // In the container of a node it finds the configuration, and with it the data.
    let running = place.start(&["run"], &[]);
    running.until("well", || running.exec(&["node", "health"]).1.starts_with("well: it is master"));
    let (_, said) =
        running.exec(&["neo4j-admin", "check-consistency", "--database=graph.db", "--report-dir=/tmp"]);
    assert!(said.contains("/data/databases/graph.db") || said.contains("in use"), "{said}");
}

#[test]
#[ignore = "make test-image builds the image first"]
fn a_plugin_with_another_checksum_is_refused_before_an_image_is_built() {
    let dir = root().join(".local/test-image/plugins");
    let plugin = format!("org.neo4j.procedure:apoc:3.4.0.2#{}", "0".repeat(64));
    let output =
        Command::new(root().join("cluster/image/plugins.sh")).arg(&dir).arg(plugin).output().unwrap();
    assert!(!output.status.success());
    let said = text(&output);
    assert!(
        said.contains("PLUGINS: org.neo4j.procedure:apoc:3.4.0.2 does not have the SHA-256 0000"),
        "{said}"
    );
    assert!(!dir.exists(), "it is not left where an image would take it from");
}

/// Kept while its registry runs.
struct Registry(Child);

impl Drop for Registry {
    fn drop(&mut self) {
        let _gone = (self.0.kill(), self.0.wait());
    }
}

/// A real registry, with a certificate of its own; only the login is not ECR's.
fn registry(dir: &Path, at: &str) -> Registry {
    let (ip, _) = at.split_once(':').unwrap();
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=registry",
            "-addext",
        ])
        .arg(format!("subjectAltName=IP:{ip}"))
        .arg("-keyout")
        .arg(dir.join("key.pem"))
        .arg("-out")
        .arg(dir.join("cert.pem"))
        .output()
        .expect("openssl");
    assert!(made.status.success(), "{}", text(&made));
    let here = dir.display();
    let config = format!(
        "version: 0.1\nstorage: {{filesystem: {{rootdirectory: {here}/registry}}}}\n\
         http: {{addr: \"{at}\", tls: {{certificate: {here}/cert.pem, key: {here}/key.pem}}}}\n"
    );
    fs::write(dir.join("registry.yml"), config).unwrap();
    fs::create_dir_all(dir.join("bin")).unwrap();
    fs::write(dir.join("bin/aws"), format!("#!/bin/sh\necho \"$@\" >{here}/asked\necho a-password\n"))
        .unwrap();
    fs::set_permissions(dir.join("bin/aws"), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let log = File::create(dir.join("registry.log")).unwrap();
    let mut serving = Command::new("docker-registry");
    serving.arg("serve").arg(dir.join("registry.yml")).stdout(log.try_clone().unwrap()).stderr(log);
    let serving = Registry(serving.spawn().expect("docker-registry"));
    let deadline = Instant::now() + PATIENCE;
    while std::net::TcpStream::connect(at).is_err() {
        assert!(Instant::now() < deadline, "the registry does not listen");
        thread::sleep(Duration::from_millis(50));
    }
    serving
}

#[test]
#[ignore = "make test-image builds the image first"]
fn the_image_is_pushed_and_what_is_printed_is_its_digest() {
    let place = Place::new(6);
    let at = format!("{}:5000", place.address);
    let _serving = registry(&place.dir, &at);
    let path = format!("{}/bin:{}", place.dir.display(), std::env::var("PATH").unwrap());
    let tag = fs::read_to_string(root().join(".local/image-root/tag")).unwrap();
    let push = |changed: &[(&str, &str)]| {
        let mut command = Command::new(root().join("cluster/image/push.sh"));
        command.args(["buildah", tag.trim()]).current_dir(root()).env("PATH", &path);
        command.env("STORAGE_DRIVER", "vfs").env("SSL_CERT_FILE", place.dir.join("cert.pem"));
        command.env_remove("NEO_ECR_REPO").env("NEO_AWS_REGION", "eu-west-1").envs(changed.iter().copied());
        command.output().unwrap()
    };
    let refused = push(&[]);
    assert!(!refused.status.success());
    assert!(text(&refused).contains("NEO_ECR_REPO: must be the ARN or the URI of an ECR repository"));

    let pushed = push(&[("NEO_ECR_REPO", &format!("{at}/team/neo4j"))]);
    assert!(pushed.status.success(), "{}", text(&pushed));
    let printed = String::from_utf8(pushed.stdout).unwrap();
    let asked = fs::read_to_string(place.dir.join("asked")).unwrap();
    assert_eq!(asked, "ecr get-login-password --region eu-west-1\n");
    let manifest = format!("https://{at}/v2/team/neo4j/manifests/{}", tag.trim().rsplit(':').next().unwrap());
    let accept = "accept: application/vnd.docker.distribution.manifest.v2+json";
    let mut curl = Command::new("curl");
    curl.args(["-sSI", "--cacert"]).arg(place.dir.join("cert.pem")).args(["-H", accept, &manifest]);
    let found = text(&curl.output().unwrap());
    let digest = printed.trim().strip_prefix(&format!("Image={at}/team/neo4j@")).expect(&printed);
    assert!(digest.starts_with("sha256:") && found.contains(digest), "{printed}{found}");
}
