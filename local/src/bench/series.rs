//! What is played, as data: which cluster, which faults, how often.

use std::time::Duration;

/// A standby is armed as soon as it rings after a return: repetitions follow each other faster.
const REARM: (&str, &str) = ("StandbyRearmSeconds", "3");
/// Longer than the 10 s of a role switch: the survivors of a frozen master do not elect by themselves.
const LINE_0_OFF: (&str, &str) = ("SlaveReadTimeoutSeconds", "20");
/// What a frozen task gets on AWS by default between the SIGTERM that it does not hear and SIGKILL; in the demo it is 30 s.
const STOP_OF_AWS: [(&str, &str); 2] = [("StopTimeoutSeconds", "90"), ("FenceVerifySeconds", "150")];
/// How long a balancer may take on AWS to apply a change; modelled, because AWS states no bound.
pub const PROPAGATION: Duration = Duration::from_secs(60);
/// How long a node stays frozen when nothing ends it.
pub const FREEZE: Duration = Duration::from_secs(45);

/// How often each kind of fault is played.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Counts {
    /// How many kills, and as many freezes, with a balancer that applies changes immediately
    #[arg(long, default_value_t = 15)]
    each: usize,
    /// The same with one that takes a minute (three minutes for each repetition)
    #[arg(long, default_value_t = 2)]
    propagated: usize,
    /// How often a node is frozen with lines of defence switched off, in each of four ways
    #[arg(long, default_value_t = 2)]
    frozen: usize,
    /// How many kills, and as many freezes, with AWS's default heartbeats
    #[arg(long, default_value_t = 2)]
    slow: usize,
}

/// How the cluster is set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setting {
    /// As in the demo: heartbeats 500 ms / 2 s, `FenceAfterSeconds` 10.
    Demo,
    /// The same, and survivors of a frozen master wait for it.
    LineZeroOff,
    /// The same, with the template's stop timeout of 90 s.
    LineZeroOffStopOfAws,
    /// The same, and nothing ends it.
    NobodyFences,
    /// The defaults of the template: heartbeats 1 s / 4 s.
    AwsDefaults,
}

/// What is done to the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// SIGKILL of the whole task of the master.
    Kill,
    /// SIGSTOP of the master's JVM: the watchdog beside it goes on.
    FreezeJvm,
    /// SIGSTOP of the whole task of the master.
    FreezeTask,
    /// SIGSTOP of the JVM of the slave that commits are pushed to.
    FreezeSlave,
}

/// One fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Play {
    /// What is done.
    pub fault: Fault,
    /// How long the balancer takes to apply a change.
    pub propagation: Duration,
    /// When a frozen node is thawed; never, where something ends it.
    pub thaw_after: Option<Duration>,
}

/// The faults of one cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Series {
    /// Its set-up.
    pub setting: Setting,
    /// In this order.
    pub plays: Vec<Play>,
}

impl Setting {
    /// The parameters of the stack that differ from `samconfig.toml`.
    pub fn overrides(self) -> Vec<(&'static str, &'static str)> {
        let special: &[(&str, &str)] = match self {
            Self::Demo => &[],
            Self::LineZeroOff => &[LINE_0_OFF],
            Self::LineZeroOffStopOfAws => &[LINE_0_OFF, STOP_OF_AWS[0], STOP_OF_AWS[1]],
            Self::NobodyFences => &[LINE_0_OFF, ("FenceAfterSeconds", "0")],
            Self::AwsDefaults => &[
                ("HeartbeatIntervalMs", "1000"),
                ("HeartbeatTimeoutMs", "4000"),
                ("FenceAfterSeconds", "12"),
            ],
        };
        [&[REARM], special].concat()
    }
}

impl Counts {
    /// Everything to be played, cluster by cluster; none without a fault.
    pub fn series(&self) -> Vec<Series> {
        let play = |fault| Play { fault, propagation: Duration::ZERO, thaw_after: None };
        let propagated = |fault| Play { propagation: PROPAGATION, ..play(fault) };
        let thawed = |fault| Play { thaw_after: Some(FREEZE), ..play(fault) };
        let master = [Fault::Kill, Fault::FreezeJvm];
        let mut demo = master.map(play).repeat(self.each);
        demo.extend(vec![play(Fault::FreezeSlave); self.frozen]);
        demo.extend(master.map(propagated).repeat(self.propagated));
        let all = [
            (Setting::Demo, demo),
            (Setting::LineZeroOff, [Fault::FreezeJvm, Fault::FreezeTask].map(play).repeat(self.frozen)),
            (Setting::LineZeroOffStopOfAws, vec![play(Fault::FreezeTask); self.frozen.min(2)]),
            (Setting::NobodyFences, [Fault::FreezeJvm, Fault::FreezeSlave].map(thawed).repeat(self.frozen)),
            (Setting::AwsDefaults, master.map(play).repeat(self.slow)),
        ];
        let played = all.into_iter().filter(|(_, plays)| !plays.is_empty());
        played.map(|(setting, plays)| Series { setting, plays }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cluster_is_formed_once_and_only_for_something() {
        use Setting::{Demo, LineZeroOff, LineZeroOffStopOfAws, NobodyFences};
        let counts = Counts { each: 15, propagated: 2, frozen: 1, slow: 0 };
        let series = counts.series();
        let settings: Vec<Setting> = series.iter().map(|series| series.setting).collect();
        assert_eq!(settings, [Demo, LineZeroOff, LineZeroOffStopOfAws, NobodyFences]);
        let demo = &series[0].plays;
        assert_eq!(demo.iter().filter(|play| play.propagation.is_zero()).count(), 31);
        assert_eq!(demo.len(), 35);
        assert!(
            series[3].plays.iter().all(|play| play.thaw_after.is_some()),
            "nothing else would end the freeze"
        );
    }
}
