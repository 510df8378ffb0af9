//! One table of everything that was measured, the goals beside the figures.

use std::fmt;

use super::{
    figures::Figures,
    series::{FREEZE, Fault, PROPAGATION, Play, Setting},
};

/// One fault and what was measured, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measured {
    /// After the fault: a survivor said that it is the master.
    pub elected: Option<u64>,
    /// From that moment to the first deregistration at the gateway.
    pub reaction: Option<u64>,
    /// Without an acknowledged write, through the balancer.
    pub outage: u64,
    /// The same through HAProxy.
    pub outage_haproxy: u64,
    /// Acknowledged writes of both clients that are not there.
    pub lost: usize,
    /// Acknowledged writes of both clients.
    pub acknowledged: usize,
}

/// What was measured, and under what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// The cluster's set-up.
    pub setting: Setting,
    /// The fault.
    pub play: Play,
    /// Its figures.
    pub measured: Measured,
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let or_dash = |value: Option<u64>| value.map_or_else(|| "-".to_owned(), |ms| ms.to_string());
        write!(
            f,
            "elected {} ms, reaction {} ms, outage {} ms, through HAProxy {} ms, lost {} of {}",
            or_dash(self.elected),
            or_dash(self.reaction),
            self.outage,
            self.outage_haproxy,
            self.lost,
            self.acknowledged
        )
    }
}

/// What a row must show at a propagation of zero.
#[derive(Clone, Copy)]
enum Goal {
    None,
    /// The median below HAProxy's median of the same faults.
    BelowHaproxy,
    /// The 95th percentile.
    P95(u64),
    /// Each one.
    Each(u64),
}

/// What a row shows. Only an outage has one of HAProxy's beside it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Metric {
    Outage,
    Elected,
    Reaction,
}

impl Metric {
    fn of(self, measured: &Measured) -> Option<u64> {
        match self {
            Self::Outage => Some(measured.outage),
            Self::Elected => measured.elected,
            Self::Reaction => measured.reaction,
        }
    }
}

type Row = (&'static str, Setting, &'static [Fault], Metric, Goal);

/// `FenceAfterSeconds` of the demo and five seconds. Of a task the patience with which it is asked first, and the stop timeout, because
/// a frozen task does not hear SIGTERM.
const JVM_FROZEN: u64 = 15_000;
const TASK_FROZEN: u64 = JVM_FROZEN + 2_000 + 30_000;
const TASK_FROZEN_ON_AWS: u64 = JVM_FROZEN + 2_000 + 90_000;

const ROWS: [Row; 20] = {
    use Fault::{FreezeJvm, FreezeSlave, FreezeTask, Kill};
    use Metric::{Elected, Outage, Reaction};
    use Setting::{AwsDefaults, Demo, LineZeroOff, LineZeroOffStopOfAws, NobodyFences};
    [
        ("outage, SIGKILL of the master", Demo, &[Kill], Outage, Goal::BelowHaproxy),
        ("  new master", Demo, &[Kill], Elected, Goal::None),
        ("outage, SIGSTOP of the master's JVM", Demo, &[FreezeJvm], Outage, Goal::BelowHaproxy),
        ("  new master", Demo, &[FreezeJvm], Elected, Goal::None),
        ("new master to first deregistration", Demo, &[Kill, FreezeJvm], Reaction, Goal::P95(250)),
        ("  after SIGKILL", Demo, &[Kill], Reaction, Goal::P95(250)),
        ("  after SIGSTOP", Demo, &[FreezeJvm], Reaction, Goal::P95(250)),
        ("longest stall, SIGSTOP of a slave's JVM", Demo, &[FreezeSlave], Outage, Goal::None),
        ("line 0 off: outage, JVM frozen", LineZeroOff, &[FreezeJvm], Outage, Goal::Each(JVM_FROZEN)),
        ("  new master", LineZeroOff, &[FreezeJvm], Elected, Goal::None),
        (
            "line 0 off: outage, task frozen, stop timeout 30 s",
            LineZeroOff,
            &[FreezeTask],
            Outage,
            Goal::Each(TASK_FROZEN),
        ),
        ("  new master", LineZeroOff, &[FreezeTask], Elected, Goal::None),
        (
            "  the same with AWS's default stop timeout, 90 s",
            LineZeroOffStopOfAws,
            &[FreezeTask],
            Outage,
            Goal::Each(TASK_FROZEN_ON_AWS),
        ),
        ("  new master", LineZeroOffStopOfAws, &[FreezeTask], Elected, Goal::None),
        ("no line: outage, JVM frozen", NobodyFences, &[FreezeJvm], Outage, Goal::None),
        ("no line: longest stall, a slave frozen", NobodyFences, &[FreezeSlave], Outage, Goal::None),
        ("1 s / 4 s: outage, SIGKILL", AwsDefaults, &[Kill], Outage, Goal::None),
        ("  new master", AwsDefaults, &[Kill], Elected, Goal::None),
        ("1 s / 4 s: outage, SIGSTOP of the JVM", AwsDefaults, &[FreezeJvm], Outage, Goal::None),
        ("  new master", AwsDefaults, &[FreezeJvm], Elected, Goal::None),
    ]
};

/// All figures; a row without a repetition is left out.
pub fn table(samples: &[Sample]) -> String {
    let seconds = PROPAGATION.as_secs();
    let line = |cells: [&str; 5]| {
        let [what, at_once, propagated, haproxy, goal] = cells;
        format!("{what:<51}{at_once:>27}{propagated:>27}{haproxy:>27}   {goal}").trim_end().to_owned() + "\n"
    };
    let mut text = String::from("milliseconds: median [minimum-maximum] of how many\n\n");
    text += &line([
        "BALANCER PROPAGATION",
        "0 s",
        &format!("{seconds} s, modelled"),
        "HAProxy, check 250 ms x 1",
        "GOAL AT 0 s",
    ]);
    for (what, setting, faults, metric, goal) in ROWS {
        let these = |propagated: bool| {
            samples.iter().filter(move |sample| {
                sample.setting == setting
                    && faults.contains(&sample.play.fault)
                    && sample.play.propagation.is_zero() != propagated
            })
        };
        let of = |propagated: bool| {
            Figures::of(these(propagated).filter_map(|sample| metric.of(&sample.measured)))
        };
        let (at_once, propagated) = (of(false), of(true));
        if at_once.is_empty() && propagated.is_empty() {
            continue;
        }
        let haproxy = Figures::of(these(false).map(|sample| sample.measured.outage_haproxy));
        let theirs = if metric == Metric::Outage { haproxy.range() } else { String::new() };
        let verdict = judge(goal, &at_once, &haproxy);
        text += &line([what, &at_once.range(), &propagated.range(), &theirs, &verdict]);
        if matches!(goal, Goal::BelowHaproxy) && !at_once.is_empty() {
            text += &line(["  beside HAProxy's, fault by fault", &beside(these(false)), "", "", ""]);
        }
    }
    let lost: usize = samples.iter().map(|sample| sample.measured.lost).sum();
    let acknowledged: usize = samples.iter().map(|sample| sample.measured.acknowledged).sum();
    text += &format!("\nacknowledged writes lost: {lost} of {acknowledged} (goal 0: {})\n", met(lost == 0));
    text += &format!(
        "HAProxy has no fence: with line 0 off its outage ends when ours ends the freeze. Where nobody does (\"no line\") it is as\n\
         long as the node is frozen, here {} s.\n",
        FREEZE.as_secs()
    );
    text
}

/// Both clients met the same fault, so each outage has one to be compared with.
fn beside<'a>(samples: impl Iterator<Item = &'a Sample>) -> String {
    let signed = |ms: u64| i64::try_from(ms).unwrap_or(i64::MAX);
    let difference =
        |sample: &Sample| signed(sample.measured.outage) - signed(sample.measured.outage_haproxy);
    let figures = Figures::of(samples.map(difference));
    let (least, most) = (figures.percentile(0), figures.maximum());
    format!("{:+} [{least:+} to {most:+}] of {}", figures.median(), figures.len())
}

fn judge(goal: Goal, figures: &Figures<u64>, haproxy: &Figures<u64>) -> String {
    if figures.is_empty() {
        return String::new();
    }
    match goal {
        Goal::None => String::new(),
        Goal::BelowHaproxy => format!("below HAProxy's: {}", met(figures.median() < haproxy.median())),
        Goal::P95(most) => {
            let p95 = figures.percentile(95);
            format!("p95 at most {most}: {p95}, {}", met(p95 <= most))
        }
        Goal::Each(most) => format!("each at most {most}: {}", met(figures.maximum() <= most)),
    }
}

fn met(is: bool) -> &'static str {
    if is { "met" } else { "NOT MET" }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn sample(setting: Setting, fault: Fault, propagation: Duration, outages: (u64, u64)) -> Sample {
        let (outage, outage_haproxy) = outages;
        let measured = Measured {
            elected: Some(1900),
            reaction: Some(20),
            outage,
            outage_haproxy,
            lost: 0,
            acknowledged: 9,
        };
        Sample { setting, play: Play { fault, propagation, thaw_after: None }, measured }
    }

    #[test]
    fn figures_stand_in_their_column_and_goals_are_judged() {
        let zero = Duration::ZERO;
        let text = table(&[
            sample(Setting::Demo, Fault::Kill, zero, (2600, 2500)),
            sample(Setting::Demo, Fault::Kill, PROPAGATION, (2900, 2500)),
            sample(Setting::Demo, Fault::FreezeJvm, zero, (6600, 6700)),
            sample(Setting::LineZeroOff, Fault::FreezeTask, zero, (47_001, 47_000)),
        ]);
        let row = |start: &str| {
            text.lines().find(|line| line.starts_with(start)).unwrap_or_else(|| panic!("{text}"))
        };
        let kill = row("outage, SIGKILL");
        assert!(kill.contains("2600 [2600-2600] of 1") && kill.contains("2900 [2900-2900] of 1"), "{kill}");
        assert!(kill.ends_with("below HAProxy's: NOT MET"), "{kill}");
        assert!(row("  beside HAProxy's").contains("+100 [+100 to +100] of 1"));
        assert!(row("outage, SIGSTOP").ends_with("below HAProxy's: met"));
        assert!(row("new master to first").ends_with("p95 at most 250: 20, met"));
        assert!(row("line 0 off: outage, task").ends_with("each at most 47000: NOT MET"));
        assert!(!text.contains("1 s / 4 s"), "nothing was played there:\n{text}");
        assert!(text.contains("lost: 0 of 36 (goal 0: met)"));
    }
}
