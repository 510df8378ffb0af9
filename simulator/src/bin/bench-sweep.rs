//! One sweep over a thousand nodes, every tenth of them silent: its time beyond one deadline, and its memory.
//! The nodes are served by a process of their own.

use std::{
    env, fs,
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::{Command, ExitCode, Stdio},
    time::{Duration, Instant},
};

use neo4j::{Question, probe_all};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use topology::{Answer, NotKnown, PATIENCE as DEADLINE};

const NODES: usize = 1_000;
/// What the project promises: time beyond the deadline, and kilobytes of memory.
const LIMITS: (Duration, u64) = (Duration::from_millis(100), 40 << 10);
const RUNS: usize = 5;

fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    if env::args().nth(1).as_deref() == Some("serve") {
        runtime.block_on(serve());
        return ExitCode::SUCCESS;
    }
    match runtime.block_on(measure()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("bench-sweep: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Prints the addresses of all nodes and answers for them: one master, slaves, and every tenth is silent.
async fn serve() {
    for number in 0..NODES {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        println!("{}", listener.local_addr().expect("a bound port"));
        tokio::spawn(async move {
            let mut kept = Vec::new();
            while let Ok((mut client, _)) = listener.accept().await {
                if is_silent(number) {
                    kept.push(client);
                    continue;
                }
                let answer: &[u8] = if number == 0 {
                    b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ntrue"
                } else {
                    b"HTTP/1.1 404 Not Found\r\ncontent-length: 5\r\n\r\nfalse"
                };
                tokio::spawn(async move {
                    let _request = client.read(&mut [0; 1024]).await;
                    let _gone = client.write_all(answer).await;
                });
            }
        });
    }
    println!("ready");
    std::future::pending::<()>().await;
}

fn is_silent(number: usize) -> bool {
    number % 10 == 9
}

async fn measure() -> Result<bool, Box<dyn std::error::Error>> {
    let mut server = Command::new(env::current_exe()?).arg("serve").stdout(Stdio::piped()).spawn()?;
    let output = server.stdout.take().ok_or("no output of the nodes")?;
    let lines = BufReader::new(output).lines().map_while(Result::ok).take_while(|line| line != "ready");
    // Bolt is asked where the role was silent before; the same listener stands in for both.
    let question =
        |(number, at): (usize, SocketAddr)| Question { role: at, bolt: at, ask_bolt: is_silent(number) };
    let addresses = lines.filter_map(|line| line.parse().ok());
    let nodes: Vec<Question> = addresses.enumerate().map(question).collect();
    let mut slowest = Duration::ZERO;
    let mut right = nodes.len() == NODES;
    for _ in 0..RUNS {
        let begun = Instant::now();
        let answers = probe_all(&nodes, |_| false).await;
        slowest = slowest.max(begun.elapsed());
        let count = |wanted: Answer| answers.iter().filter(|answer| **answer == wanted).count();
        right &= count(Answer::Master) == 1 && count(Answer::Slave) == NODES - 1 - NODES / 10;
        right &= count(Answer::NotKnown(NotKnown::Silent)) == NODES / 10;
    }
    server.kill()?;
    server.wait()?;
    let status = fs::read_to_string("/proc/self/status")?;
    let memory = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    let memory: u64 = memory.trim().trim_end_matches(" kB").parse()?;
    let beside = slowest.saturating_sub(DEADLINE);
    println!("{NODES} nodes, every tenth silent, all answers right: {right}");
    println!(
        "slowest of {RUNS} sweeps  {:>7.1} ms beside the deadline (at most {})",
        ms(beside),
        LIMITS.0.as_millis()
    );
    println!(
        "one after another    {:>7.0} ms for the silent ones alone: {:.0} times as long",
        ms(DEADLINE) * 100.0,
        ms(DEADLINE) * 100.0 / ms(slowest)
    );
    println!(
        "memory               {:>7.1} MB (at most {})",
        f64::from(u32::try_from(memory)?) / 1024.0,
        LIMITS.1 >> 10
    );
    Ok(right && beside <= LIMITS.0 && memory <= LIMITS.1)
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}
