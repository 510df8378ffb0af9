//! A master whose packets vanish, both ways, while its sockets stay open. Each node has a network namespace of its own, which
//! takes root; without it the tests are reported as ignored.

use std::{
    net::Ipv4Addr,
    process::ExitCode,
    time::{Duration, Instant, SystemTime},
};

use end_to_end::stage::{
    Outcome, Stage,
    expect::{new_master, no_node_fenced, not_replaced, rejoined, task_of},
    invoke, master, rest, status,
    suite::{self, Suite},
    usable::Sampler,
    wait, write,
};
use local::{cloud::Cloud, network::Kind, observe};

/// `FenceAfterSeconds` of this suite. A silent node beside a healthy master is left alone for three times as long, so there
/// is time to see that: 45 s. More cannot be listened to in one invocation.
const FENCE_AFTER: &str = "15";
/// Of the silence, in which no node may be fenced although `FenceAfterSeconds` have passed.
const SILENT: Duration = Duration::from_secs(26);

const SUITES: &[Suite] = &[Suite {
    run: "test-blackhole",
    network: Kind::Namespaces,
    parameters: &[("Dialect", "HA"), ("FenceAfterSeconds", FENCE_AFTER)],
    tests: &[("fault_29_a_black_holed_master_steps_down_and_nobody_is_fenced", black_holed)],
    long: false,
}];

fn main() -> ExitCode {
    suite::main(SUITES)
}

/// The survivors elect, the isolated one steps down by itself, the group follows, no node is fenced once a new master
/// answers, and when packets pass again the old one rejoins as a slave.
fn black_holed(stage: &Stage) -> Outcome {
    stage.play(async |cloud| {
        let old = master(&rest(cloud).await?)?;
        let (task, since) = (task_of(cloud, &old.0)?, SystemTime::now());
        if role_within(cloud, old.1).await.as_deref() != Ok("200 master") {
            return Err(format!("{} cannot be asked from within its own namespace", old.0));
        }
        let sampler = Sampler::start(cloud);
        cloud.network.black_hole(old.1).map_err(|error| error.to_string())?;
        let begun = Instant::now();
        let alone = isolated(cloud, &old.0, old.1, begun).await;
        cloud.network.heal(old.1).map_err(|error| error.to_string())?;
        alone?;

        rejoined(cloud, old.1).await?;
        rest(cloud).await?;
        sampler.end()?;
        no_node_fenced(cloud, since)?;
        not_replaced(cloud, &old.0, &task)
    })
}

async fn isolated(cloud: &Cloud, service: &str, old: Ipv4Addr, begun: Instant) -> Outcome {
    let new = new_master(cloud, old).await?;
    wait("the isolated master steps down", || async {
        let role = role_within(cloud, old).await.ok()?;
        (role == "404 UNKNOWN").then_some(())
    })
    .await?;
    // The bells of the nodes make the function look; an invocation of ours would listen to the silence to its end.
    wait("the write groups follow the new master", || async {
        let groups = observe::registered(&status(cloud).await.balancers);
        groups.iter().all(|targets| targets.contains(&new) && !targets.contains(&old)).then_some(())
    })
    .await?;
    wait("writes through the balancer", || async { write(cloud, 29).await.ok() }).await?;
    while begun.elapsed() < SILENT {
        if status(cloud).await.nodes.iter().any(|node| node.address == old && node.role != "silent") {
            return Err(format!("{service} is not isolated: it answers, or refuses"));
        }
        // It looks at the silent node while this goes on, and leaves it alone.
        let _looked = tokio::time::timeout(Duration::from_secs(2), invoke(cloud)).await;
    }
    Ok(())
}

/// What a node says of itself to a client in its own namespace, where the black hole is not felt.
async fn role_within(cloud: &Cloud, address: Ipv4Addr) -> Result<String, String> {
    const ASK: &str = "import http.client, sys\n\
        node = http.client.HTTPConnection(sys.argv[1], 7474, timeout=2)\n\
        node.request('GET', '/db/manage/server/ha/available')\n\
        answer = node.getresponse()\n\
        print(answer.status, answer.read().decode())\n";
    let mut python = cloud.network.command(address, &cloud.layout.cloud_python());
    let output = python.args(["-c", ASK, &address.to_string()]).kill_on_drop(true).output();
    let output = tokio::time::timeout(Duration::from_secs(10), output).await.map_err(|_| "no answer")?;
    let output = output.map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
    }
    Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
}
