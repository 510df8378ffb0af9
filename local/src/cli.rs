//! The commands.

use std::{
    error::Error,
    fs,
    net::SocketAddr,
    process::ExitCode,
    time::{Duration, Instant},
};

use clap::Parser;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use crate::{
    arguments::{AtRest, Bench, Demo, Formations, Options, Shown, Slot, Target},
    bench,
    cloud::{self, Cloud, Nodes},
    control::{Act, Order, Status},
    demo, deploy, http as wire,
    layout::Layout,
    observe,
    processes::{self, Processes},
    report,
};

/// The run that people use; tests have runs of their own.
const RUN: &str = "run";
const STARTING: Duration = Duration::from_secs(45);
const ASK: Duration = Duration::from_secs(10);

/// The local cloud: deploys template.yml on this machine and runs its ECS tasks as real Neo4j processes.
#[derive(Debug, Parser)]
#[command(name = "local")]
pub enum Command {
    /// Starts the cloud in the background, deploys the stack and prints its endpoints
    Up(Options),
    /// Runs the cloud in the foreground, without a stack, until Ctrl-C
    Serve(Options),
    /// Ends every process of the cloud
    Down,
    /// Shows nodes, roles, target groups and health, of every stack or of one
    Status(Shown),
    /// Kills a node: core-1, core-2, ... or master
    Kill(Target),
    /// Freezes a node; its sockets stay open
    Freeze(Target),
    /// Thaws a frozen node
    Thaw(Target),
    /// Kills a node whose volume is lost with it
    Lose(Target),
    /// Lets the container agent of a slot die: StopTask is accepted there, and nothing happens
    KillAgent(Slot),
    /// Starts a dead agent again; it stops what should have stopped
    ReviveAgent(Slot),
    /// Terminates the instance of a slot with all that is on it; the next one gets its volume
    TerminateInstance(Slot),
    /// Takes the instance of a slot away: its task ends, and no new one is placed
    TakeHost(Slot),
    /// Gives the slot an instance again
    GiveHost(Slot),
    /// Kills and freezes the master again and again, side by side with HAProxy in front of the same nodes
    BenchFailover(Bench),
    /// Leaves a cluster at rest and counts what is asked of AWS
    BenchRest(AtRest),
    /// Forms the cluster from blank volumes again and again
    BenchFormation(Formations),
    /// Deploys, kills the master under a writing client, and watches the writes move on
    Demo(Demo),
}

type Outcome = Result<(), Box<dyn Error>>;

impl Command {
    /// Runs it; a failure is one message on standard error and exit code 1.
    pub fn run(self) -> ExitCode {
        let filter =
            EnvFilter::try_from_env("LOCAL_LOG").unwrap_or_else(|_| EnvFilter::new("warn,local=info"));
        let quiet = !matches!(self, Self::Serve(_));
        let filter = if quiet { EnvFilter::new("error") } else { filter };
        tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_target(false)
            .with_writer(std::io::stderr)
            .init();
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
        let outcome = runtime.map_err(Into::into).and_then(|runtime| runtime.block_on(self.perform()));
        match outcome {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("local: {error}");
                ExitCode::FAILURE
            }
        }
    }

    async fn perform(self) -> Outcome {
        let layout = Layout::find(RUN)?;
        match self {
            Self::Up(options) => up(layout, &options).await,
            Self::Serve(options) => serve(layout, &options).await,
            Self::Down => down(&layout).await,
            Self::Status(shown) => {
                let all = status(&layout).await?;
                print!("{}", report::status(&shown.stack.iter().fold(all, Status::of)));
                Ok(())
            }
            Self::Kill(target) => act(&layout, target, Act::Kill).await,
            Self::Freeze(target) => act(&layout, target, Act::Freeze).await,
            Self::Thaw(target) => act(&layout, target, Act::Thaw).await,
            Self::Lose(target) => act(&layout, target, Act::Lose).await,
            Self::KillAgent(slot) => act(&layout, slot.into(), Act::KillAgent).await,
            Self::ReviveAgent(slot) => act(&layout, slot.into(), Act::ReviveAgent).await,
            Self::TerminateInstance(slot) => act(&layout, slot.into(), Act::TerminateInstance).await,
            Self::TakeHost(slot) => act(&layout, slot.into(), Act::TakeHost).await,
            Self::GiveHost(slot) => act(&layout, slot.into(), Act::GiveHost).await,
            Self::Demo(demo) => {
                on_stage(layout, &demo.cloud, async |cloud| demo::run(cloud, &demo.dialect).await).await
            }
            Self::BenchFailover(bench) => failovers(&layout, &bench.counts).await,
            Self::BenchRest(rest) => {
                on_stage(layout, &Options::default(), async |cloud| bench::at_rest(cloud, rest.minutes).await)
                    .await
            }
            Self::BenchFormation(formations) => {
                let rounds = formations.rounds;
                on_stage(layout, &Options::default(), async |cloud| bench::formations(cloud, rounds).await)
                    .await
            }
        }
    }
}

/// Plays on a cloud of its own, and ends it whatever happens.
async fn on_stage(
    layout: Layout,
    options: &Options,
    play: impl AsyncFnOnce(&Cloud) -> Result<(), String>,
) -> Outcome {
    let cloud = Cloud::start(layout, &options.settings()).await?;
    let outcome = tokio::select! {
        outcome = play(&cloud) => outcome.map_err(Into::into),
        () = interrupted() => Err("interrupted; everything it started has been ended".into()),
    };
    cloud.shutdown().await;
    outcome
}

/// Plays every series on a cloud of its own, and prints what was measured even when a later one fails.
async fn failovers(layout: &Layout, counts: &bench::Counts) -> Outcome {
    let mut samples = Vec::new();
    let mut outcome = Ok(());
    for series in counts.series() {
        let play = async |cloud: &Cloud| bench::play(cloud, &series, &mut samples).await;
        outcome = on_stage(layout.clone(), &Options::default(), play).await;
        if outcome.is_err() {
            break;
        }
    }
    println!("\n{}", bench::table(&samples));
    outcome
}

async fn up(layout: Layout, options: &Options) -> Outcome {
    if let Ok(at) = gateway(&layout)
        && wire::get(at, "/_local/calls", ASK).await.is_ok()
    {
        return Err(format!("a local cloud is up already at {at}: run `make down` first").into());
    }
    layout.check()?;
    cloud::end_leftovers(&layout);
    layout.make_run()?;
    let mut command = tokio::process::Command::new(std::env::current_exe()?);
    command
        .args(["serve", "--propagation-ms", &options.propagation_ms.to_string()])
        .args(["--nodes", if options.nodes == Nodes::Image { "image" } else { "programs" }])
        .current_dir(&layout.root);
    // Not in the journal: that one is the cloud's own, made when it starts.
    let journal = layout.run.with_extension("serve");
    let log = layout.run.with_extension("log");
    let _running = fs::remove_file(&journal);
    let mut child = Processes::new(journal).start("local cloud", command, &log)?;
    let deadline = Instant::now() + STARTING;
    let at = loop {
        if let Some(status) = child.try_wait()? {
            return Err(format!("the local cloud ended ({status}):\n{}", processes::tail(&log, 20)).into());
        }
        match gateway(&layout) {
            Ok(at) => break at,
            Err(_) if Instant::now() < deadline => tokio::time::sleep(Duration::from_millis(100)).await,
            Err(error) => return Err(error),
        }
    };
    println!("local cloud at http://{at}");
    println!("building the functions' packages (sam build)");
    deploy::build(&layout, at).await?;
    let stack = &options.stack.name;
    println!("deploying the stack {stack} (sam deploy)");
    deploy::deploy(&layout, at, stack, &[]).await?;
    println!("{}", report::left_out(&status(&layout).await?));
    println!("waiting for the cluster to form");
    let status = observe::until(observe::FORMING, || async {
        let status = status(&layout).await.ok()?.of(stack);
        observe::formed(&status, observe::CORE_SIZE).then_some(status)
    });
    let status = status.await.ok_or("the cluster did not form; `local status` shows what each node says")?;
    print!("{}", report::status(&status));
    println!("{}", report::what_next(at, &status));
    Ok(())
}

async fn serve(layout: Layout, options: &Options) -> Outcome {
    let cloud = Cloud::start(layout, &options.settings()).await?;
    println!("local cloud at http://{}; Ctrl-C ends it", cloud.endpoint);
    let ending = cloud.gateway.ending.clone();
    tokio::select! {
        () = interrupted() => {}
        () = ending.notified() => {}
    }
    cloud.shutdown().await;
    Ok(())
}

async fn down(layout: &Layout) -> Outcome {
    if let Ok(at) = gateway(layout) {
        let _gone = wire::post(at, "/_local/shutdown", bytes::Bytes::new(), ASK).await;
    }
    let journal = layout.run.with_extension("serve");
    let served = processes::entries(&journal);
    let deadline = Instant::now() + ASK;
    while served.iter().any(processes::Entry::is_alive) && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let (layout, at) = (layout.clone(), journal.clone());
    let left = tokio::task::spawn_blocking(move || {
        processes::end_all(&at, Duration::from_secs(5)).len() + cloud::end_leftovers(&layout)
    });
    let left = left.await?;
    let _absent = fs::remove_file(journal);
    match (served.len(), left) {
        (0, 0) => println!("no local cloud was up"),
        (_, 0) => println!("the local cloud is down"),
        (_, left) => println!("the local cloud is down; {left} processes had to be ended by their ids"),
    }
    Ok(())
}

async fn act(layout: &Layout, target: Target, act: Act) -> Outcome {
    let stack = target.stack.name.name().to_owned();
    let order = json!(Order { stack, node: target.node, act, jvm: target.jvm });
    let (status, body) = wire::post(gateway(layout)?, "/_local/act", order.to_string().into(), ASK).await?;
    let body = String::from_utf8_lossy(&body);
    if status != 200 {
        return Err(body.into());
    }
    println!("{act:?}: {body}");
    Ok(())
}

async fn status(layout: &Layout) -> Result<Status, Box<dyn Error>> {
    let (_, body) = wire::get(gateway(layout)?, "/_local/status", ASK).await?;
    Ok(serde_json::from_slice(&body)?)
}

fn gateway(layout: &Layout) -> Result<SocketAddr, Box<dyn Error>> {
    let text =
        fs::read_to_string(layout.gateway_file()).map_err(|_| "no local cloud is up: run `make up` first")?;
    Ok(text.trim().parse()?)
}

/// SIGINT or SIGTERM.
async fn interrupted() {
    let (Ok(mut int), Ok(mut term)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = int.recv() => {}
        _ = term.recv() => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::Stack;

    #[test]
    fn a_slots_agent_and_instance_are_broken_by_name() {
        for (word, act) in [
            ("kill-agent", Act::KillAgent),
            ("revive-agent", Act::ReviveAgent),
            ("terminate-instance", Act::TerminateInstance),
            ("take-host", Act::TakeHost),
            ("give-host", Act::GiveHost),
        ] {
            let command = Command::try_parse_from(["local", word, "core-2"]).unwrap();
            let (Command::KillAgent(slot)
            | Command::ReviveAgent(slot)
            | Command::TerminateInstance(slot)
            | Command::TakeHost(slot)
            | Command::GiveHost(slot)) = command
            else {
                panic!("{word} is {command:?}")
            };
            assert_eq!((slot.slot.as_str(), slot.stack.name), ("core-2", Stack::default()));
            // What POST /_local/act takes.
            assert_eq!(json!(act), word);
            assert!(Command::try_parse_from(["local", word]).is_err(), "{word} of which slot?");
        }
    }
}
