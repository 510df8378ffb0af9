//! Who is registered and who is healthy, as a function of what happened when. No sockets and no clock.

use std::{
    net::SocketAddrV4,
    time::{Duration, Instant},
};

use super::rules::Rules;

/// A target group's targets.
#[derive(Clone, Debug)]
pub struct Group {
    /// What it is set to do.
    pub rules: Rules,
    /// From a call to the moment the data plane knows of it; of calls from now on.
    pub propagation: Duration,
    targets: Vec<Target>,
}

#[derive(Clone, Debug)]
struct Target {
    at: SocketAddrV4,
    /// When the data plane learns that it is registered, and that it is not any more.
    known: Instant,
    gone: Option<Instant>,
    health: Health,
    /// Consecutive checks that contradict `health`.
    streak: u32,
}

/// What the checks have found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// Not enough checks yet.
    Initial,
    /// It gets connections.
    Healthy,
    /// It gets none, unless no target is healthy.
    Unhealthy(Failure),
}

/// Why a check failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// A status that the matcher does not match.
    Mismatch,
    /// No answer in time.
    Timeout,
    /// No connection, or an answer that is not HTTP.
    Connection,
}

/// A target as `DescribeTargetHealth` tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Described {
    /// The target.
    pub at: SocketAddrV4,
    /// `initial`, `healthy`, `unhealthy`, `draining` or `unused`.
    pub state: &'static str,
    /// Why, unless it is healthy.
    pub reason: Option<&'static str>,
}

impl Failure {
    /// The reason code.
    pub fn code(self) -> &'static str {
        match self {
            Self::Mismatch => "Target.ResponseCodeMismatch",
            Self::Timeout => "Target.Timeout",
            Self::Connection => "Target.FailedHealthChecks",
        }
    }
}

impl Group {
    /// An empty group.
    pub fn new(rules: Rules, propagation: Duration) -> Self {
        Self { rules, propagation, targets: Vec::new() }
    }

    /// `RegisterTargets`: a target that is registered already stays as it is, one that drains starts again.
    pub fn register(&mut self, now: Instant, at: SocketAddrV4) {
        if self.targets.iter().any(|target| target.at == at && target.gone.is_none()) {
            return;
        }
        self.targets.retain(|target| target.at != at);
        let (known, gone, health) = (now + self.propagation, None, Health::Initial);
        self.targets.push(Target { at, known, gone, health, streak: 0 });
    }

    /// `DeregisterTargets`: one that is not registered is no error.
    pub fn deregister(&mut self, now: Instant, at: SocketAddrV4) {
        for target in self.targets.iter_mut().filter(|target| target.at == at) {
            target.gone.get_or_insert(now + self.propagation);
        }
    }

    /// The targets that are checked now.
    pub fn checked_targets(&self, now: Instant) -> Vec<SocketAddrV4> {
        self.live(now).map(|target| target.at).collect()
    }

    /// Takes the outcome of a check; whether connections to the target are to be terminated. They stay when the target that
    /// becomes unhealthy was the last healthy one, so that the balancer fails open.
    pub fn check_ended(&mut self, now: Instant, at: SocketAddrV4, outcome: Result<(), Failure>) -> bool {
        let check = &self.rules.check;
        let Some(target) = self.targets.iter_mut().find(|target| target.at == at) else { return false };
        let (next, needed) = match (target.health, outcome) {
            (Health::Initial, Ok(())) => (Health::Healthy, 1),
            (Health::Unhealthy(_), Ok(())) => (Health::Healthy, check.healthy),
            (Health::Initial | Health::Healthy, Err(failure)) => {
                (Health::Unhealthy(failure), check.unhealthy)
            }
            (Health::Unhealthy(_), Err(failure)) => {
                (target.health, target.streak) = (Health::Unhealthy(failure), 0);
                return false;
            }
            (Health::Healthy, Ok(())) => {
                target.streak = 0;
                return false;
            }
        };
        target.streak += 1;
        if target.streak < needed {
            return false;
        }
        (target.health, target.streak) = (next, 0);
        matches!(next, Health::Unhealthy(_))
            && self.rules.terminate_unhealthy
            && self.live(now).any(|target| target.health == Health::Healthy)
    }

    /// Where a new connection may go: to the healthy targets; without one to all, once a target has failed its checks
    /// (fail-open); nowhere while all wait for their first checks.
    pub fn routable(&self, now: Instant) -> Vec<SocketAddrV4> {
        let healthy = self.live(now).filter(|target| target.health == Health::Healthy);
        let healthy: Vec<_> = healthy.map(|target| target.at).collect();
        let failed = self.live(now).any(|target| matches!(target.health, Health::Unhealthy(_)));
        if healthy.is_empty() && failed { self.checked_targets(now) } else { healthy }
    }

    /// Forgets targets that have drained; returns those whose connections are to be terminated.
    pub fn expire(&mut self, now: Instant) -> Vec<SocketAddrV4> {
        let delay = self.rules.deregistration_delay;
        let terminate = self.rules.terminate_deregistered;
        let mut ended = Vec::new();
        self.targets.retain(|target| {
            let drained = target.gone.is_some_and(|gone| now >= gone + delay);
            if drained && terminate {
                ended.push(target.at);
            }
            !drained
        });
        ended
    }

    /// The path of the check, and every target as it is reported.
    pub fn told(&self, now: Instant) -> (String, Vec<Described>) {
        let path = self.rules.check.http.as_ref().map(|(path, _)| path.clone());
        (path.unwrap_or_default(), self.describe(now))
    }

    /// Every target as it is reported.
    pub fn describe(&self, now: Instant) -> Vec<Described> {
        let describe = |target: &Target| {
            let (state, reason) = if target.gone.is_some() {
                ("draining", Some("Target.DeregistrationInProgress"))
            } else if now < target.known {
                ("initial", Some("Elb.RegistrationInProgress"))
            } else {
                match target.health {
                    Health::Initial => ("initial", Some("Elb.InitialHealthChecking")),
                    Health::Healthy => ("healthy", None),
                    Health::Unhealthy(failure) => ("unhealthy", Some(failure.code())),
                }
            };
            Described { at: target.at, state, reason }
        };
        self.targets.iter().map(describe).collect()
    }

    /// The targets that the data plane knows of: a call takes `propagation` to reach it, in both directions.
    fn live(&self, now: Instant) -> impl Iterator<Item = &Target> {
        let is_live =
            move |target: &&Target| now >= target.known && target.gone.is_none_or(|gone| now < gone);
        self.targets.iter().filter(is_live)
    }
}
