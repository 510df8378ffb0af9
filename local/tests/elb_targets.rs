//! Targets of a network load balancer as AWS documents them: one case per sentence that the local cloud claims to
//! follow, on the pure part, where time is an argument.
//!
//! Pages are of docs.aws.amazon.com: `nlb/...` of the guide for network load balancers, `API/...` of the API reference.

use std::{
    net::SocketAddrV4,
    time::{Duration, Instant},
};

use local::elb::{
    group::{Failure, Group},
    rules::{Check, Matcher, Rules},
};

const SECOND: Duration = Duration::from_secs(1);

fn rules() -> Rules {
    Rules {
        port: 7474,
        check: Check {
            http: Some(("/role".into(), Matcher::parse("200").unwrap())),
            port: Some(7475),
            interval: 5 * SECOND,
            timeout: 2 * SECOND,
            healthy: 3,
            unhealthy: 2,
        },
        deregistration_delay: Duration::ZERO,
        terminate_deregistered: true,
        terminate_unhealthy: true,
    }
}

fn target(last: u8) -> SocketAddrV4 {
    SocketAddrV4::new([10, 0, 0, last].into(), 7474)
}

/// A group of two at `now`: the first healthy, the second unhealthy.
fn master_and_slave(rules: Rules, now: Instant) -> Group {
    let mut group = Group::new(rules, Duration::ZERO);
    for last in [1, 2] {
        group.register(now, target(last));
    }
    group.check_ended(now, target(1), Ok(()));
    for _ in 0..2 {
        group.check_ended(now, target(2), Err(Failure::Mismatch));
    }
    group
}

fn states(group: &Group, now: Instant) -> Vec<(&'static str, Option<&'static str>)> {
    group.describe(now).iter().map(|target| (target.state, target.reason)).collect()
}

/// nlb/target-group-health-checks: a target must pass initial health checks before it receives requests; its status
/// is `initial` until then, with the reason `Elb.InitialHealthChecking`, and one good check makes it healthy.
#[test]
fn a_new_target_is_initial_and_one_good_check_makes_it_healthy() {
    let now = Instant::now();
    let mut group = master_and_slave(rules(), now);
    group.register(now, target(3));
    assert_eq!(states(&group, now)[2], ("initial", Some("Elb.InitialHealthChecking")));
    assert_eq!(group.routable(now), [target(1)]);
    group.check_ended(now, target(3), Ok(()));
    assert_eq!(states(&group, now)[2], ("healthy", None));
    assert_eq!(group.routable(now), [target(1), target(3)]);
}

/// nlb/target-group-health-checks, UnhealthyThresholdCount: the number of consecutive failed checks required before a
/// target is considered unhealthy.
#[test]
fn only_failures_in_a_row_make_a_target_unhealthy() {
    let now = Instant::now();
    let mut group = master_and_slave(rules(), now);
    for outcome in [Err(Failure::Timeout), Ok(()), Err(Failure::Timeout)] {
        group.check_ended(now, target(1), outcome);
        assert_eq!(states(&group, now)[0], ("healthy", None));
    }
    group.check_ended(now, target(1), Err(Failure::Timeout));
    assert_eq!(states(&group, now)[0], ("unhealthy", Some("Target.Timeout")));
}

/// nlb/target-group-health-checks, HealthyThresholdCount: the number of consecutive successful checks required before
/// an unhealthy target is considered healthy.
#[test]
fn only_successes_in_a_row_make_an_unhealthy_target_healthy() {
    let now = Instant::now();
    let mut group = master_and_slave(rules(), now);
    for outcome in [Ok(()), Ok(()), Err(Failure::Mismatch), Ok(()), Ok(())] {
        group.check_ended(now, target(2), outcome);
        assert_eq!(states(&group, now)[1].0, "unhealthy");
    }
    group.check_ended(now, target(2), Ok(()));
    assert_eq!(states(&group, now)[1], ("healthy", None));
}

/// API/TargetHealth, Reason: `Target.ResponseCodeMismatch`, `Target.Timeout`, `Target.FailedHealthChecks`.
#[test]
fn an_unhealthy_target_says_what_its_last_check_found() {
    let now = Instant::now();
    let mut group = master_and_slave(rules(), now);
    let reasons = [
        (Failure::Mismatch, "Target.ResponseCodeMismatch"),
        (Failure::Timeout, "Target.Timeout"),
        (Failure::Connection, "Target.FailedHealthChecks"),
    ];
    for (failure, reason) in reasons {
        group.check_ended(now, target(2), Err(failure));
        assert_eq!(states(&group, now)[1], ("unhealthy", Some(reason)));
    }
}

/// nlb/target-group-health-checks: with at least one healthy target, requests go to the healthy ones only; if all
/// targets are unhealthy the balancer fails open and sends requests to all registered targets.
#[test]
fn without_any_healthy_target_all_are_used() {
    let now = Instant::now();
    let mut group = master_and_slave(rules(), now);
    assert_eq!(group.routable(now), [target(1)]);
    for _ in 0..2 {
        group.check_ended(now, target(1), Err(Failure::Connection));
    }
    assert_eq!(group.routable(now), [target(1), target(2)], "fail-open");
    group.deregister(now, target(1));
    assert_eq!(group.routable(now), [target(2)], "fail-open to the only one that is registered");
    group.deregister(now, target(2));
    assert!(group.routable(now).is_empty());
}

/// nlb/target-group-health-checks: the balancer starts to route requests to a new target as soon as it passes the initial
/// health checks; if all targets fail health checks at the same time it fails open, to all targets regardless of their health.
#[test]
fn targets_that_wait_for_their_first_checks_get_no_connections_before_a_target_has_failed() {
    let now = Instant::now();
    let mut group = Group::new(rules(), Duration::ZERO);
    group.register(now, target(1));
    group.register(now, target(2));
    assert!(group.routable(now).is_empty(), "both are initial");
    group.check_ended(now, target(1), Err(Failure::Mismatch));
    assert!(group.routable(now).is_empty(), "one failure is not enough");
    group.check_ended(now, target(1), Err(Failure::Mismatch));
    assert_eq!(group.routable(now), [target(1), target(2)], "fail-open");
    group.check_ended(now, target(2), Ok(()));
    assert_eq!(group.routable(now), [target(2)]);
}

/// nlb/edit-target-group-attributes, deregistration delay: the state of a deregistering target is `draining`, it gets no
/// new connections, and after the delay it is gone.
#[test]
fn a_deregistered_target_drains_for_the_delay_without_new_connections() {
    let (now, delay) = (Instant::now(), 300 * SECOND);
    let mut group = master_and_slave(Rules { deregistration_delay: delay, ..rules() }, now);
    group.deregister(now, target(1));
    assert_eq!(states(&group, now)[0], ("draining", Some("Target.DeregistrationInProgress")));
    assert!(!group.routable(now).contains(&target(1)));
    assert!(group.expire((now + delay).checked_sub(SECOND).unwrap()).is_empty());
    assert_eq!(group.expire(now + delay), [target(1)]);
    assert_eq!(group.describe(now + delay).len(), 1);
}

/// The same page, connection termination: if enabled, connections are closed at the end of the delay, whatever they do.
#[test]
fn connections_of_a_deregistered_target_end_with_the_delay_only_if_asked_for() {
    let (now, delay) = (Instant::now(), 10 * SECOND);
    for terminate in [true, false] {
        let rules = Rules { deregistration_delay: delay, terminate_deregistered: terminate, ..rules() };
        let mut group = master_and_slave(rules, now);
        group.deregister(now, target(1));
        assert!(group.expire(now).is_empty(), "not before the delay is over");
        assert_eq!(!group.expire(now + delay).is_empty(), terminate);
    }
}

/// The same page: a target that is deregistered can be registered again; API/RegisterTargets then starts its checks again.
#[test]
fn a_draining_target_that_is_registered_again_starts_anew() {
    let (now, delay) = (Instant::now(), 300 * SECOND);
    let mut group = master_and_slave(Rules { deregistration_delay: delay, ..rules() }, now);
    group.deregister(now, target(1));
    group.register(now + SECOND, target(1));
    let described = group.describe(now + SECOND);
    assert_eq!(described.iter().filter(|told| told.at == target(1)).count(), 1);
    assert_eq!(described.last().map(|told| told.state), Some("initial"));
    assert!(group.expire(now + delay).is_empty(), "the old deregistration is forgotten");
}

/// API/RegisterTargets: a target that is registered already stays as it is.
#[test]
fn registering_twice_changes_nothing() {
    let now = Instant::now();
    let mut group = master_and_slave(rules(), now);
    group.register(now + SECOND, target(1));
    assert_eq!(states(&group, now)[0], ("healthy", None));
    assert_eq!(group.describe(now).len(), 2);
}

/// nlb/edit-target-group-attributes, connection termination for unhealthy targets: if enabled, connections end when a target
/// becomes unhealthy; connections made to it later, by fail-open, do not.
#[test]
fn connections_end_when_a_target_becomes_unhealthy_only_if_asked_for() {
    let now = Instant::now();
    for terminate in [true, false] {
        let mut group = master_and_slave(Rules { terminate_unhealthy: terminate, ..rules() }, now);
        group.register(now, target(3));
        group.check_ended(now, target(3), Ok(()));
        let mut fails = || group.check_ended(now, target(1), Err(Failure::Timeout));
        assert!(!fails(), "one failure is not enough");
        assert_eq!(fails(), terminate);
        assert!(!fails(), "it is unhealthy already");
    }
}

/// nlb/target-group-health-checks: if a target becomes unhealthy, the balancer sends a reset for packets on its connections,
/// unless the unhealthy target triggers the load balancer to fail open.
#[test]
fn connections_stay_when_the_target_was_the_last_healthy_one() {
    let now = Instant::now();
    let mut group = master_and_slave(rules(), now);
    for _ in 0..2 {
        assert!(!group.check_ended(now, target(1), Err(Failure::Timeout)));
    }
    assert_eq!(group.routable(now), [target(1), target(2)], "fail-open");
}

/// nlb/target-group-register-targets: it takes time until a registration is in effect (`Elb.RegistrationInProgress`);
/// a field report saw requests reach a target two minutes after its deregistration.
#[test]
fn a_call_reaches_the_data_plane_after_the_propagation() {
    let (now, propagation) = (Instant::now(), 60 * SECOND);
    let mut group = Group::new(rules(), propagation);
    group.register(now, target(1));
    assert_eq!(states(&group, now), [("initial", Some("Elb.RegistrationInProgress"))]);
    assert!(group.checked_targets((now + propagation).checked_sub(SECOND).unwrap()).is_empty());
    assert_eq!(group.checked_targets(now + propagation), [target(1)]);

    let later = now + 10 * propagation;
    group.check_ended(now, target(1), Ok(()));
    group.deregister(later, target(1));
    assert_eq!(states(&group, later)[0].0, "draining");
    assert_eq!(
        group.routable((later + propagation).checked_sub(SECOND).unwrap()),
        [target(1)],
        "the data plane has not heard of it"
    );
    assert!(group.expire((later + propagation).checked_sub(SECOND).unwrap()).is_empty());
    assert!(group.routable(later + propagation).is_empty());
    assert_eq!(group.expire(later + propagation), [target(1)]);
}

/// The same pages: what a call has asked for is not overtaken by a balancer that has become faster or slower since.
#[test]
fn a_change_of_the_propagation_is_for_later_calls() {
    let now = Instant::now();
    let mut group = Group::new(rules(), Duration::ZERO);
    group.register(now, target(1));
    group.propagation = 60 * SECOND;
    assert_eq!(group.checked_targets(now), [target(1)], "it was known before");
    group.register(now, target(2));
    group.deregister(now, target(1));
    group.propagation = Duration::ZERO;
    assert_eq!(group.checked_targets(now + 59 * SECOND), [target(1)]);
    assert_eq!(group.checked_targets(now + 60 * SECOND), [target(2)]);
}
