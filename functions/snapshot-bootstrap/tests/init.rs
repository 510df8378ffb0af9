//! The start of the real binary: an invalid parameter keeps it only from its work, and
//! without roots it cannot answer.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::{TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// Far longer than a start takes.
const PATIENCE: Duration = Duration::from_secs(20);

struct Started {
    function: Child,
    runtime: TcpListener,
    /// Kept open: closing it would be an error of its own, which the function logs.
    poll: Option<TcpStream>,
    log: std::path::PathBuf,
}

impl Started {
    fn with(test: &str, changed: &[(&str, &str)]) -> Self {
        let runtime = TcpListener::bind("127.0.0.1:0").unwrap();
        runtime.set_nonblocking(true).unwrap();
        let at = runtime.local_addr().unwrap().to_string();
        let good = [
            ("AWS_LAMBDA_RUNTIME_API", at.as_str()),
            ("ADMIN_SECRET_ARN", "arn:admin"),
            ("STATE_BUCKET", "b"),
        ];
        let log = std::env::temp_dir().join(format!("init-{}-{test}.log", std::process::id()));
        let environment = runtime::example::LAMBDA
            .into_iter()
            .chain(runtime::example::CLUSTER)
            .chain(good)
            .chain(changed.iter().copied());
        let function = Command::new(env!("CARGO_BIN_EXE_snapshot-bootstrap"))
            .env_clear()
            .envs(environment)
            .stdout(fs::File::create(&log).unwrap())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self { function, runtime, poll: None, log }
    }

    /// The request line of the first poll; `None` if the process ended without one.
    fn first_poll(&mut self) -> Option<String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Ok((stream, _)) = self.runtime.accept() {
                stream.set_nonblocking(false).unwrap();
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                let mut line = String::new();
                BufReader::new(&stream).read_line(&mut line).unwrap();
                self.poll = Some(stream);
                return Some(line);
            }
            if self.function.try_wait().unwrap().is_some() {
                return None;
            }
            assert!(Instant::now() < deadline, "neither a poll nor an end: {}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        let _ended = self.function.kill();
        let _ended = self.function.wait();
        let _absent = fs::remove_file(&self.log);
    }
}

#[test]
fn with_a_bad_parameter_it_polls_and_has_logged_the_reason_once() {
    let table = [
        ("DIALECT", "ORACLE", "DIALECT is \\\"ORACLE\\\""),
        ("NEO4J_VERSION", "latest", "NEO4J_VERSION is \\\"latest\\\""),
        ("STATE_BUCKET", "", "STATE_BUCKET is not set"),
        ("AWS_LAMBDA_FUNCTION_NAME", "", "AWS_LAMBDA_FUNCTION_NAME is not set"),
    ];
    for (name, value, sentence) in table {
        let mut started = Started::with(name, &[(name, value)]);
        let poll = started.first_poll();
        let log = started.log();
        assert!(poll.is_some_and(|line| line.contains("/invocation/next")), "{name}={value} ended it: {log}");
        assert_eq!(log.lines().count(), 1, "{log}");
        assert!(log.contains("\"event\":\"custom-resource-unable\"") && log.contains(sentence), "{log}");
    }
}

#[test]
fn without_root_certificates_it_ends_and_says_so() {
    let mut started = Started::with("roots", &[("SSL_CERT_FILE", "/nowhere/roots.pem")]);
    assert_eq!(started.first_poll(), None);
    assert!(!started.function.wait().unwrap().success());
    let log = started.log();
    assert_eq!(log.lines().count(), 1, "{log}");
    assert!(log.contains("\"event\":\"init-failed\"") && log.contains("no answer can be sent"), "{log}");
}
