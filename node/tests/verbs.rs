//! The command line of the real program.

use std::{fs, io::Write};

use rustix::process::{Pid, Signal, kill_process};

use crate::task::{OBEYS, THREE, Task};

const PEERS: [u8; 3] = [1, 2, 3];

fn ended(task: &Task, words: &[&str], changed: &[(&str, &str)]) -> (Option<i32>, String, String) {
    let output = task.command(words, changed).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// As an operator types it in the container of a task that runs: the file that Neo4j was started with is beside it.
#[test]
fn conf_prints_what_run_has_written_and_what_the_next_start_would_change() {
    let task = Task::new(50, OBEYS);
    *task.cloud.peers.lock().unwrap() = PEERS.map(|last| Some([10, 0, 0, last].into())).to_vec();
    let settings = ("NEO4J_SETTINGS", "dbms.logs.query.enabled=true");
    let node = task.start(&[THREE[0], THREE[1], settings]);
    node.until_log("\"event\":\"neo4j-started\"");
    let file = task.dir.join("conf/neo4j.conf");
    let written = fs::read_to_string(&file).unwrap();
    let (code, printed, said) = ended(&task, &["conf"], &[THREE[0], THREE[1], settings]);
    assert_eq!((code, said.as_str()), (Some(0), ""), "{printed}");
    let lines = |text: &str| {
        let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(lines(&printed), lines(&written), "without its comments it is the same file");
    assert!(!printed.contains("# !"), "nothing has changed:\n{printed}");
    for part in [
        &format!("# neo4j.conf of the slot core-1 at {}\n", task.address),
        "# from line 1 of Neo4jSettings\ndbms.logs.query.enabled=true\n",
        "# from the addresses of the core slots, as ECS lists them\nha.initial_hosts=",
        "# from the variable NEO4J_dbms_security_auth__enabled\ndbms.security.auth_enabled=false\n",
    ] {
        assert!(printed.contains(part), "{part:?} is not in:\n{printed}");
    }

    // A peer is somewhere else now, and another one has no task.
    *task.cloud.peers.lock().unwrap() = vec![None, Some([10, 0, 0, 9].into()), None];
    let (_, printed, _) = ended(&task, &["conf"], &[THREE[0], THREE[1], settings]);
    let hosts = format!("{}:5001", task.address);
    for part in [
        "# ECS lists no address of core-3 now, so it is not among the hosts below\n".to_owned(),
        format!(
            "# ! Neo4j was started with {hosts},10.0.0.2:5001,10.0.0.3:5001\nha.initial_hosts={hosts},10.0.0.9:5001\n"
        ),
    ] {
        assert!(printed.contains(&part), "{part:?} is not in:\n{printed}");
    }
    assert_eq!(fs::read_to_string(&file).unwrap(), written, "nothing is written");
}

#[test]
fn what_is_refused_is_one_sentence_and_no_log() {
    let task = Task::new(51, OBEYS);
    let (code, printed, said) = ended(&task, &["conf"], &[("NEO4J_SETTINGS", "evil")]);
    assert_eq!((code, printed.as_str()), (Some(1), ""));
    assert_eq!(
        said,
        "line 1 of Neo4jSettings has no `=`: a line must be `name=value`, empty, or a comment that begins with #\n"
    );
}

/// An image without a command starts nothing by accident.
#[test]
fn without_a_verb_the_verbs_are_listed() {
    let task = Task::new(52, OBEYS);
    let (code, _, listed) = ended(&task, &[], &[]);
    assert_eq!(code, Some(2), "{listed}");
    assert!(listed.contains("Usage: node <COMMAND>"), "{listed}");
    for verb in ["run", "conf", "health", "logs", "backup", "backups", "restore"] {
        assert!(listed.contains(&format!("  {verb} ")), "{listed}");
    }
}

/// As in the official image: any program of it may take the place of the node program.
#[test]
fn another_program_takes_the_place_of_this_one_and_none_is_named() {
    let task = Task::new(53, OBEYS);
    let (code, printed, said) = ended(&task, &["sh", "-c", "echo $STACK; exit 3"], &[]);
    assert_eq!((code, printed.as_str(), said.as_str()), (Some(3), "s\n", ""));
    let (code, printed, said) = ended(&task, &["rnu"], &[]);
    assert_eq!((code, printed.as_str()), (Some(127), ""), "as a shell says it");
    assert!(said.starts_with("rnu is not a verb of this program (`node help` lists them)"), "{said}");
}

#[test]
fn health_is_one_sentence_about_the_node_beside_it() {
    let task = Task::new(54, OBEYS);
    let (code, _, said) = ended(&task, &["health"], &[]);
    assert_eq!(code, Some(1));
    assert!(said.starts_with("the node program does not answer at ") && said.lines().count() == 1, "{said}");
    let node = task.start(&[]);
    node.until_log("started\n");
    let (code, printed, _) = ended(&task, &["health"], &[]);
    assert_eq!(code, Some(0), "{printed}");
    assert!(printed.starts_with("well: Neo4j starts: "), "{printed}");
}

#[test]
fn a_log_is_followed_until_run_has_ended() {
    let task = Task::new(55, OBEYS);
    let mut node = task.start(&[]);
    node.until_log("started\n");
    let log = task.dir.join("logs/debug.log");
    fs::write(&log, "one\n").unwrap();
    let printed = task.dir.join("printed");
    let mut command = task.command(&["logs", "debug.log"], &[]);
    let mut follower = command.stdout(fs::File::create(&printed).unwrap()).spawn().unwrap();
    let deadline = std::time::Instant::now() + crate::task::PATIENCE;
    while fs::read_to_string(&printed).unwrap() != "one\n" {
        assert!(std::time::Instant::now() < deadline, "the first line is not printed");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    // Asked with the others, as ECS does it, while Neo4j still stops.
    let pid = Pid::from_raw(i32::try_from(follower.id()).unwrap()).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    let mut append = fs::File::options().append(true).open(&log).unwrap();
    append.write_all(b"two\n").unwrap();
    node.signal(Signal::TERM);
    node.until_ended();
    assert_eq!(follower.wait().unwrap().code(), Some(0));
    assert_eq!(fs::read_to_string(&printed).unwrap(), "one\ntwo\n");
    let (code, _, said) = ended(&task, &["logs", "../secret"], &[]);
    assert_eq!(code, Some(1));
    assert!(said.contains("is not the name of a file in the directory of the logs"), "{said}");
}
