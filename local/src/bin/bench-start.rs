//! Size of each function's package, and how soon after exec it polls the Runtime API for the first time.

use std::{
    error::Error,
    fs,
    io::Read,
    net::TcpListener,
    path::Path,
    process::{Command, ExitCode},
    time::{Duration, Instant},
};

use local::{
    layout::{Layout, NODE},
    runtime_api::{TEMPLATE, environment},
};

const RUNS: usize = 21;
/// What the project promises: bytes of the zip, milliseconds to the first poll, kilobytes of memory.
const LIMITS: (u64, u128, u64) = (4 << 20, 15, 20 << 10);

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("bench-start: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<bool, Box<dyn Error>> {
    let layout = Layout::find("run")?;
    let mut all_met = true;
    for function in layout.shipped()?.iter().filter(|name| *name != NODE) {
        println!("{function}");
        all_met &= measure(&layout.binary(function)).map_err(|error| format!("{function}: {error}"))?;
    }
    Ok(all_met)
}

fn measure(binary: &Path) -> Result<bool, Box<dyn Error>> {
    let zip = zip_size(binary)?;
    // The first run warms the page cache and is not counted.
    start(binary)?;
    let mut runs = (0..RUNS).map(|_| start(binary)).collect::<Result<Vec<_>, _>>()?;
    runs.sort_by_key(|(took, _)| *took);
    let (median, slowest) = (runs[RUNS / 2].0, runs[RUNS - 1].0);
    let memory = runs.iter().map(|(_, memory)| *memory).max().unwrap_or_default();
    println!("  zip                      {:>8.2} MB   (at most {} MB)", megabytes(zip), LIMITS.0 >> 20);
    println!(
        "  exec to first poll       {:>8.1} ms   median of {RUNS}, slowest {:.1} (at most {} ms)",
        millis(median),
        millis(slowest),
        LIMITS.1
    );
    println!(
        "  memory at the first poll {:>8.1} MB   (at most {} MB)",
        megabytes(memory << 10),
        LIMITS.2 >> 10
    );
    Ok(zip <= LIMITS.0 && median.as_millis() <= LIMITS.1 && memory <= LIMITS.2)
}

/// The size of a zip with the binary in it, as `sam deploy` uploads it.
fn zip_size(binary: &Path) -> Result<u64, Box<dyn Error>> {
    let zip = binary.with_extension("zip");
    let made = Command::new("python3").args(["-m", "zipfile", "-c"]).arg(&zip).arg(binary).status()?;
    if !made.success() {
        return Err(format!("{} cannot be zipped", binary.display()).into());
    }
    let size = fs::metadata(&zip)?.len();
    fs::remove_file(zip)?;
    Ok(size)
}

/// Time from exec to the first `GET …/next`, and the resident memory then in kilobytes.
fn start(binary: &Path) -> Result<(Duration, u64), Box<dyn Error>> {
    let runtime = TcpListener::bind("127.0.0.1:0")?;
    let begun = Instant::now();
    let mut child = Command::new(binary)
        .env_clear()
        .envs(environment("bench", runtime.local_addr()?))
        .envs(TEMPLATE)
        .envs(OWN)
        .spawn()?;
    let polled = runtime.accept().and_then(|(mut stream, _)| {
        let mut head = [0; 512];
        let read = stream.read(&mut head)?;
        let took = begun.elapsed();
        let status = fs::read_to_string(format!("/proc/{}/status", child.id()))?;
        // No answer: a poll waits until there is an event.
        child.kill()?;
        Ok((took, String::from_utf8_lossy(&head[..read]).into_owned(), status))
    });
    // One that never polled still runs.
    child.kill()?;
    child.wait()?;
    let (took, head, status) = polled?;
    if !head.contains("/invocation/next") {
        return Err(format!("the first request was not a poll: {head}").into());
    }
    let memory = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    Ok((took, memory.trim().trim_end_matches(" kB").parse()?))
}

/// What else a function reads.
const OWN: [(&str, &str); 9] = [
    ("SLAVE_ONLY_SERVICES", ""),
    ("WRITE_GROUPS", "7687=arn:bolt,7474=arn:http"),
    ("STATE_BUCKET", "bench"),
    ("HEARTBEAT_TIMEOUT_MS", "4000"),
    ("STACK_ID", "arn:aws:cloudformation:us-east-1:000000000000:stack/bench/1"),
    ("DAILY_BACKUP_AT", "02:00"),
    ("BACKUP_BUCKET", "bench-backups"),
    ("BACKUP_TASK", "arn:aws:ecs:us-east-1:000000000000:task-definition/bench-backup:1"),
    ("BACKUP_SECURITY_GROUP", "sg-0"),
];

#[allow(clippy::cast_precision_loss)] // sizes of files and memory are far below 2^52
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}
