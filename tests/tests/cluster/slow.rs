//! A master that is slow is not frozen: it is followed at rest, while a standby returns, and when it is new (fault 47).
//!
//! Processes are slowed down the way a CPU limit does it: stopped for most of each period. What they are asked meanwhile is answered
//! when they run again, so an answer takes up to that long, and 50 to 100 ms are left of each period.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, SystemTime},
};

use local::{
    cloud::Cloud,
    observe,
    processes::{Signal, children, signal, signal_group},
};

use end_to_end::stage::{
    Outcome, Stage, elb_writes,
    expect::{followed, new_master, no_node_fenced},
    invoke, master, rest, status, wait,
};

/// How late the slowed one answers at most. The patience of the balancer's check and of the function is 2 s.
const LATE: [Duration; 3] =
    [Duration::from_millis(400), Duration::from_millis(900), Duration::from_millis(1_900)];
/// What it runs in between.
const RUNS: Duration = Duration::from_millis(90);
/// Sweeps of a cluster at rest.
const SWEEPS: usize = 4;

/// Processes that are slow until this is dropped.
struct Slow {
    over: Arc<AtomicBool>,
    beat: Option<JoinHandle<()>>,
}

impl Slow {
    fn down(pids: Vec<i32>, late: Duration) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let until = over.clone();
        let beat = thread::spawn(move || {
            while !until.load(Ordering::Relaxed) {
                pids.iter().for_each(|pid| signal(*pid, Signal::STOP));
                thread::sleep(late);
                pids.iter().for_each(|pid| signal(*pid, Signal::CONT));
                thread::sleep(RUNS);
            }
        });
        Self { over, beat: Some(beat) }
    }
}

impl Drop for Slow {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        // It ends with the processes running.
        if let Some(beat) = self.beat.take() {
            let _ = beat.join();
        }
    }
}

/// The JVM of the master has 5 to 18 % of a processor: nothing is called.
pub fn master_at_rest(stage: &Stage) -> Outcome {
    stage.play(async |cloud| {
        for late in LATE {
            let old = master(&rest(cloud).await?)?;
            let (since, calls) = (SystemTime::now(), elb_writes(cloud).len());
            let slow = Slow::down(children(old.2), late);
            let mut verdicts = Vec::new();
            for _ in 0..SWEEPS {
                verdicts.push(invoke(cloud).await?["verdict"].clone());
            }
            drop(slow);
            let written = &elb_writes(cloud)[calls..];
            if !written.is_empty() || verdicts.iter().any(|verdict| verdict != "Steady") {
                return Err(format!("a master at {late:?}: {verdicts:?}, and {written:?} was called"));
            }
            no_node_fenced(cloud, since)?;
        }
        Ok(())
    })
}

/// A killed slave returns beside a master whose node program is slow: the master stays, and the standby is armed again.
pub fn master_beside_a_returning_standby(stage: &Stage) -> Outcome {
    stage.play(async |cloud| {
        for late in LATE {
            let before = rest(cloud).await?;
            let (old, since) = (master(&before)?, SystemTime::now());
            let slave = before.nodes.iter().find(|node| node.role == "slave").ok_or("there is no slave")?;
            let slow = Slow::down(vec![old.2], late);
            signal_group(slave.pid, Signal::KILL);
            wait("the standby is back in the write groups", || async {
                invoke(cloud).await.ok()?;
                let now = status(cloud).await;
                let back = now.nodes.iter().find(|node| node.service == slave.service)?;
                let armed =
                    observe::registered(&now.balancers).iter().all(|group| group.contains(&back.address));
                (back.address != slave.address && armed).then_some(())
            })
            .await?;
            drop(slow);
            stayed(cloud, &old, since).await?;
        }
        Ok(())
    })
}

/// The master is killed, and its successor is slow: it is followed all the same, and not fenced.
pub fn new_master_that_is_slow(stage: &Stage) -> Outcome {
    stage.play(async |cloud| {
        for late in LATE {
            let before = rest(cloud).await?;
            let (old, since) = (master(&before)?, SystemTime::now());
            let others = before.nodes.iter().filter(|node| node.pid != old.2).map(|node| node.pid);
            let slow = Slow::down(others.collect(), late);
            signal_group(old.2, Signal::KILL);
            let new = new_master(cloud, old.1).await?;
            followed(cloud, old.1, new).await?;
            drop(slow);
            no_node_fenced(cloud, since)?;
        }
        rest(cloud).await.map(drop)
    })
}

/// The master is the same and was registered all the time, and no task was stopped.
async fn stayed(cloud: &Cloud, old: &(String, std::net::Ipv4Addr, i32), since: SystemTime) -> Outcome {
    no_node_fenced(cloud, since)?;
    let now = rest(cloud).await?;
    if master(&now)?.1 != old.1 {
        return Err(format!("{} was the master, and is not any more", old.0));
    }
    Ok(())
}
