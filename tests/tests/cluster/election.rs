//! Faults of the election, on real nodes and with the deployed function.

use std::{cell::Cell, net::Ipv4Addr, time::SystemTime};

use local::{
    cloud::Cloud,
    control::HTTP_PORT,
    gateway::Fault,
    observe,
    processes::{Signal, children, signal, signal_group},
};

use end_to_end::stage::{
    Outcome, Stage, count, elb_writes,
    expect::{followed, new_master},
    invoke, master, rest, status, wait, write,
};

/// Freezing JVMs for the time of one invocation is far below the heartbeat timeout of four seconds, so that nobody is
/// elected meanwhile: the prober is blind, the cluster is well.
pub fn blind_and_partial(stage: &Stage) -> Outcome {
    stage.play(async |cloud| {
        for (frozen, expected) in [(2, "PartialView"), (3, "Blind")] {
            let before = rest(cloud).await?;
            let calls = elb_writes(cloud).len();
            let jvms: Vec<i32> =
                before.nodes.iter().take(frozen).flat_map(|node| children(node.pid)).collect();
            if jvms.len() != frozen {
                return Err(format!("{frozen} JVMs expected below the node programs, found {jvms:?}"));
            }
            jvms.iter().for_each(|jvm| signal(*jvm, Signal::STOP));
            let result = invoke(cloud).await;
            jvms.iter().for_each(|jvm| signal(*jvm, Signal::CONT));
            let verdict = result?["verdict"].clone();
            if verdict != expected {
                return Err(format!("{frozen} of 3 silent: verdict {verdict} instead of {expected}"));
            }
            let after = elb_writes(cloud);
            if after.len() != calls {
                return Err(format!(
                    "{expected}, and yet target groups were written to: {:?}",
                    &after[calls..]
                ));
            }
        }
        Ok(())
    })
}

/// The first deregistrations of a switch are refused; the group holds both for a moment, then only the new master.
pub fn deregister_fails(stage: &Stage) -> Outcome {
    stage.play(async |cloud| {
        let before = rest(cloud).await?;
        let old = master(&before)?;
        let from = elb_writes(cloud).len();
        let refused = Fault::refused("elasticloadbalancing", "DeregisterTargets", 3, "Throttling", 400);
        cloud.gateway.faults.inject(refused);
        signal_group(old.2, Signal::KILL);
        let new = new_master(cloud, old.1).await?;
        followed(cloud, old.1, new).await?;
        let tried =
            elb_writes(cloud)[from..].iter().filter(|(action, _)| action == "DeregisterTargets").count();
        if tried <= 3 {
            return Err(format!("{tried} deregistrations were tried: the injected failures were not met"));
        }
        rest(cloud).await.map(drop)
    })
}

pub fn killed(stage: &Stage) -> Outcome {
    stage.play(async |cloud| {
        let before = rest(cloud).await?;
        let old = master(&before)?;
        write(cloud, 2).await?;
        let fault = SystemTime::now();
        signal_group(old.2, Signal::KILL);
        // Fault 19: as long as none is the master nothing is called. The function looks all the time, and is tempted; the last
        // look that found no master is the end of that time.
        let looking = async {
            loop {
                let _looked = invoke(cloud).await;
            }
        };
        let (new, without_master_until) = tokio::select! {
            elected = elected(cloud, old.1, fault) => elected?,
            () = looking => unreachable!("it looks for ever"),
        };
        let premature: Vec<_> = elb_writes(cloud)
            .into_iter()
            .filter(|(_, at)| *at >= fault && *at <= without_master_until)
            .collect();
        if !premature.is_empty() {
            return Err(format!("no master yet, and {premature:?} was called"));
        }
        wait("the function's switch to the new master", || async {
            let result = invoke(cloud).await.ok()?;
            let groups = observe::registered(&status(cloud).await.balancers);
            let cut = groups.iter().all(|targets| !targets.contains(&old.1) && targets.contains(&new));
            (cut && result["verdict"] == "Steady").then_some(())
        })
        .await?;
        wait("writes through the balancer", || async { write(cloud, 3).await.ok() }).await?;
        for number in [2, 3] {
            if count(cloud, (new, HTTP_PORT).into(), number).await? == 0 {
                return Err(format!("the acknowledged write {number} is not on the new master"));
            }
        }
        // Fault 43: the slot comes back as the same member with another address, and the groups follow.
        let after = rest(cloud).await?;
        let back = after.nodes.iter().find(|node| node.service == old.0).ok_or("its slot is gone")?;
        if back.address == old.1 {
            return Err(format!("{} came back with its old address: nothing was shown", old.0));
        }
        let followed =
            observe::registered(&after.balancers).iter().all(|targets| targets.contains(&back.address));
        if followed { Ok(()) } else { Err(format!("the groups do not hold {} at {}", old.0, back.address)) }
    })
}

/// The new master, and when it was seen last that there was none.
async fn elected(cloud: &Cloud, old: Ipv4Addr, fault: SystemTime) -> Result<(Ipv4Addr, SystemTime), String> {
    let none_until = Cell::new(fault);
    wait("a new master", || async {
        let asked = SystemTime::now();
        match observe::master(&status(cloud).await) {
            Some((_, address, _)) if address != old => Some((address, none_until.get())),
            _ => {
                none_until.set(asked);
                None
            }
        }
    })
    .await
}

/// No test invokes here: what nodes and ECS ring is what makes the function look.
pub fn doorbells(stage: &Stage) -> Outcome {
    stage.play(async |cloud| {
        let before = rest(cloud).await?;
        let old = master(&before)?;
        let since = SystemTime::now();
        signal_group(old.2, Signal::KILL);
        let new = new_master(cloud, old.1).await?;
        wait("the groups cut to the new master", || async {
            let groups = observe::registered(&status(cloud).await.balancers);
            groups.iter().all(|targets| targets.contains(&new) && !targets.contains(&old.1)).then_some(())
        })
        .await?;
        let rung = cloud.gateway.calls.of("events", &["PutEvents"]);
        if !rung.iter().any(|call| call.at >= since) {
            return Err("no node rang".into());
        }
        rest(cloud).await.map(drop)
    })
}
