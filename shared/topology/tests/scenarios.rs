//! Golden scenarios: a folder each, `rounds.txt` in, `expected.txt` out. `UPDATE_GOLDEN=1` writes what comes
//! out, to be read before it is committed.
//!
//! `rounds.txt`: a policy line, then rounds. Groups are given once and follow the decided actions, but for
//! the calls that a round says fail; a round says only what changes of the nodes.
//!
//! ```text
//! policy core=3 slave-only=0 rearm=60 confirmations=2
//! group 7474 10.0.0.1 10.0.0.2
//! at 0
//!   core-1 10.0.0.1 master
//! at 1 incomplete fails=deregister invocation
//!   core-1 gone
//! through 20 every 2
//! ```
//!
//! In a round with a late or silent node the questions were sent [`PATIENCE`] before its time. `through`
//! plays rounds and prints only those that act.

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    net::IpAddr,
    path::Path,
    time::Duration,
};

use topology::{
    Action, Answer, Group, Kind, Lease, Memory, Millis, Mode, Next, Node, NotKnown, Observation, PATIENCE,
    Pause, Policy, Rearm, Refusal, State, Verdict, View, decide, give_way,
};

#[test]
fn every_scenario_ends_as_expected() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let mut folders: Vec<_> = fs::read_dir(&root).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    assert!(folders.len() >= 12, "scenarios are missing: {folders:?}");
    let mut wrong = Vec::new();
    let mut seen = BTreeSet::new();
    for folder in folders {
        for file in fs::read_dir(&folder).unwrap() {
            let name = file.unwrap().file_name();
            assert!(
                name == "rounds.txt" || name == "expected.txt",
                "{}: {name:?} is a file that no test reads",
                folder.display()
            );
        }
        let happened = play(&fs::read_to_string(folder.join("rounds.txt")).unwrap(), &mut seen);
        let golden = folder.join("expected.txt");
        if env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&golden, &happened).unwrap();
        }
        if fs::read_to_string(&golden).unwrap_or_default() != happened {
            wrong.push(format!("== {}\n{happened}", folder.display()));
        }
    }
    assert!(wrong.is_empty(), "not as expected; this happened:\n{}", wrong.join("\n"));
    let all = Verdict::NAMES.iter().chain(Refusal::NAMES);
    let untold: Vec<_> = all.filter(|name| !seen.contains(**name)).collect();
    assert!(untold.is_empty(), "no scenario has {untold:?}");
}

/// A cluster as a scenario describes it.
struct Stage {
    policy: Policy,
    groups: Vec<Group>,
    readers: Vec<Group>,
    /// The members that a node reports alive.
    alive: BTreeMap<String, BTreeSet<u32>>,
    /// Tasks that ECS reports STOPPED.
    ended: BTreeSet<String>,
    nodes: BTreeMap<String, (Node, Answer)>,
    state: State,
    memory: Memory,
}

fn play(text: &str, seen: &mut BTreeSet<&'static str>) -> String {
    let mut lines = text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
    let policy = policy(lines.next().expect("a policy line"));
    let mut stage = Stage {
        policy,
        groups: vec![],
        readers: vec![],
        alive: BTreeMap::new(),
        ended: BTreeSet::new(),
        nodes: BTreeMap::new(),
        state: State::default(),
        memory: Memory::default(),
    };
    let mut told = String::new();
    let mut round: Option<&str> = None;
    for line in lines {
        if let Some(group) = line.strip_prefix("group ") {
            let (port, targets) = group.split_once(' ').unwrap_or((group, ""));
            let targets = targets.split_whitespace().map(address).collect();
            stage.groups.push(Group { arn: format!("arn:{port}"), port: port.parse().unwrap(), targets });
        } else if let Some(group) = line.strip_prefix("read-group ") {
            let (port, targets) = group.split_once(' ').unwrap_or((group, ""));
            let targets = targets.split_whitespace().map(address).collect();
            stage.readers.push(Group {
                arn: format!("arn:read:{port}"),
                port: port.parse().unwrap(),
                targets,
            });
        } else if let Some(head) = line.strip_prefix("at ") {
            if let Some(head) = round.replace(head) {
                told += &stage.round(head, seen);
            }
        } else if let Some(span) = line.strip_prefix("through ") {
            let head = round.take().expect("rounds go through after one");
            told += &stage.round(head, seen);
            told += &stage.through(head, span, seen);
        } else {
            stage.node(line);
        }
    }
    match round {
        Some(head) => told + &stage.round(head, seen),
        None => told,
    }
}

impl Stage {
    /// `SLOT ADDRESS [slave-only] ANSWER [stopping]`, `SLOT gone`, `SLOT ended`, `SLOT sees ID,ID`, or
    /// `SLOT sees ?` when it does not report.
    fn node(&mut self, line: &str) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            [slot, "sees", "?"] => drop(self.alive.remove(slot)),
            [slot, "sees", alive] => {
                let ids = alive.split(',').map(|id| id.parse().unwrap());
                self.alive.insert(slot.to_owned(), ids.collect());
            }
            [slot, "gone"] => {
                self.nodes.remove(slot).expect("a node that was there");
            }
            [slot, "ended"] => {
                let (node, _) = self.nodes.remove(slot).expect("a node that was there");
                self.ended.insert(node.task);
            }
            [slot, ip, ref rest @ ..] => {
                let stopping = rest.last() == Some(&"stopping");
                let rest = if stopping { &rest[..rest.len() - 1] } else { rest };
                let kind = if rest[0] == "slave-only" { Kind::SlaveOnly } else { Kind::Core };
                let number: u32 =
                    slot.rsplit('-').next().and_then(|id| id.parse().ok()).expect("a slot has a number");
                let cores = u32::try_from(self.policy.core_size).unwrap();
                let id = if kind == Kind::Core { number } else { cores + number };
                let (slot, task) = (slot.to_owned(), format!("task-{ip}"));
                let node = Node { slot: slot.clone(), kind, id, task, address: address(ip), stopping };
                self.nodes.insert(slot, (node, answer(rest[rest.len() - 1])));
            }
            _ => panic!("not a node: {line}"),
        }
    }

    /// Rounds after the one at `head`: `SECONDS every SECONDS`.
    fn through(&mut self, head: &str, span: &str, seen: &mut BTreeSet<&'static str>) -> String {
        let time = |text: &str| text.trim().parse::<f64>().unwrap();
        let (until, every) = span.split_once(" every ").expect("through SECONDS every SECONDS");
        let mut at = time(head.split_whitespace().next().unwrap());
        let mut told = format!("  ... every {every} s\n");
        while at + time(every) <= time(until) {
            at += time(every);
            let round = self.round(&format!("{at:.1}"), seen);
            let acts = round.lines().nth(1).is_some_and(|sentence| !sentence.contains("no action"));
            if acts {
                told += &round;
            }
        }
        told
    }

    /// `SECONDS[.TENTHS] [incomplete] [unread] [fails=register|deregister] [invocation] [pause=SECONDS] [resume] [leased=SECONDS] [bell]`
    fn round(&mut self, head: &str, seen: &mut BTreeSet<&'static str>) -> String {
        let mut words = head.split_whitespace();
        let (seconds, tenths) = words.next().map(|time| time.split_once('.').unwrap_or((time, "0"))).unwrap();
        let now = Millis(seconds.parse::<u64>().unwrap() * 1000 + tenths.parse::<u64>().unwrap() * 100);
        let (mut complete, mut read, mut fails, mut bell) = (true, true, "", false);
        for word in words {
            match word {
                "incomplete" => complete = false,
                "unread" => read = false,
                "invocation" => self.memory = Memory::of(head),
                "bell" => bell = true,
                "resume" => self.state.pause(now, None),
                other => match other.split_once('=') {
                    Some(("fails", what)) => fails = what,
                    Some(("pause", seconds)) => {
                        let until = now.after(Duration::from_secs(seconds.parse().unwrap()));
                        self.state.pause(now, Some(Pause { owner: "ada".into(), until }));
                    }
                    // Another invocation has the lease for this many seconds.
                    Some(("leased", seconds)) => {
                        let until = now.after(Duration::from_secs(seconds.parse().unwrap()));
                        self.state.lease = Some(Lease { owner: "other".into(), until });
                    }
                    _ => panic!("not a word of a round: {other}"),
                },
            }
        }
        let patient = self.nodes.values().any(|(_, answer)| answer.is_unanswered());
        let asked_at = if patient { Millis(now.0.saturating_sub(2_000)) } else { now };
        assert_eq!(PATIENCE.as_secs(), 2);
        let observations = self
            .nodes
            .values()
            .map(|(node, answer)| Observation {
                node: node.clone(),
                answer: *answer,
                alive: self.alive.get(&node.slot).cloned(),
            })
            .collect();
        let view = View {
            listed_at: now,
            asked_at,
            complete,
            observations,
            ended: self.ended.clone(),
            read,
            readers_read: read,
            groups: if read { self.groups.clone() } else { vec![] },
            readers: if read { self.readers.clone() } else { vec![] },
        };
        let gives_way = give_way(now, &self.state, &self.memory).filter(|_| bell);
        let decision =
            gives_way.unwrap_or_else(|| decide(now, &self.policy, &self.state, &self.memory, &view));
        seen.insert(decision.verdict.name());
        seen.extend(decision.refusals.iter().map(Refusal::name));
        for action in &decision.actions {
            let mut groups = self.groups.iter_mut().chain(&mut self.readers);
            let Some(group) = groups.find(|group| Some(group.arn.as_str()) == action.group()) else {
                continue;
            };
            match action {
                Action::Register { address, .. } if fails != "register" => group.targets.insert(*address),
                Action::Deregister { address, .. } if fails != "deregister" => group.targets.remove(address),
                _ => true,
            };
        }
        let mut told = format!("at {head}: {}", decision.verdict);
        if decision.writes(&self.state) {
            told += &format!(", writes generation {}", decision.state.generation);
        }
        if decision.next == Next::LookAgain {
            told += ", looks again";
        }
        told += &format!("\n  {}\n", decision.sentence);
        for group in &self.groups {
            let targets: Vec<String> = group.targets.iter().map(ToString::to_string).collect();
            told += &format!("  {} -> {}\n", group.port, targets.join(" "));
        }
        for group in &self.readers {
            let targets: Vec<String> = group.targets.iter().map(ToString::to_string).collect();
            told += &format!("  {} reads -> {}\n", group.port, targets.join(" "));
        }
        self.state = decision.state;
        self.memory = decision.memory;
        told
    }
}

fn policy(line: &str) -> Policy {
    let words = line.strip_prefix("policy ").expect("a policy line first");
    let values: BTreeMap<&str, i64> = words
        .split_whitespace()
        .map(|word| word.split_once('=').unwrap())
        .map(|(k, v)| (k, v.parse().unwrap()))
        .collect();
    let size = |name: &str| usize::try_from(values[name]).unwrap();
    let seconds = |name: &str, default: u64| {
        Duration::from_secs(values.get(name).map_or(default, |seconds| u64::try_from(*seconds).unwrap()))
    };
    Policy {
        confirmations: u32::try_from(values["confirmations"]).unwrap(),
        rearm: u64::try_from(values["rearm"])
            .map_or(Rearm::Never, |seconds| Rearm::After(Duration::from_secs(seconds))),
        fence_after: seconds("fence", 0),
        fence_hold_off: seconds("hold-off", 300),
        fence_verify: seconds("verify", 150),
        mode: if values.contains_key("raft") { Mode::Cluster } else { Mode::Ha },
        read_from_core: values.get("read-from-core").is_some_and(|flag| *flag == 1),
        ..Policy::of(size("core"), size("slave-only"))
    }
}

fn answer(word: &str) -> Answer {
    match word {
        "master" => Answer::Master,
        "slave" => Answer::Slave,
        "unsettled" => Answer::NotKnown(NotKnown::Unsettled),
        "refused" => Answer::NotKnown(NotKnown::Refused),
        "late" => Answer::NotKnown(NotKnown::Late),
        "silent" => Answer::NotKnown(NotKnown::Silent),
        "not-awaited" => Answer::NotKnown(NotKnown::NotAwaited),
        "unexpected" => Answer::NotKnown(NotKnown::Unexpected),
        other => panic!("not an answer: {other}"),
    }
}

fn address(word: &str) -> IpAddr {
    word.parse().unwrap_or_else(|_| panic!("not an address: {word}"))
}
