//! The deployed stack on real Neo4j nodes: one cluster of each dialect for all its tests, broken in order.
//!
//! Heartbeats are slower than the demo's (1 s / 6 s), because a machine that runs other things answers late. Nothing
//! here measures time: every wait is for a condition, with a deadline far above what it takes.

mod stage;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};
use stage::Stage;

type Test = (&'static str, fn(&Stage) -> Result<(), String>);

/// In this order: each test leaves a cluster at rest for the next one.
const HIGH_AVAILABILITY: [Test; 17] = [
    ("the_deployed_stack_forms_one_cluster_and_comes_to_rest", stage::forming::forms_and_rests),
    ("what_the_emulator_lacks_was_left_out_and_said", stage::forming::left_out),
    ("each_node_tells_how_many_members_it_sees_alive", stage::forming::member_view),
    ("readers_are_served_by_slaves", stage::forming::readers),
    ("writes_reach_the_master_through_the_balancer", stage::forming::writes),
    ("fault_24_with_no_answers_or_too_few_nothing_is_called", stage::election::blind_and_partial),
    ("fault_25_a_deregistration_that_fails_is_made_up_for", stage::election::deregister_fails),
    ("fault_19_43_killed_master_writes_move_on_and_it_returns_with_a_new_address", stage::election::killed),
    ("fault_42_a_dead_neo4j_ends_its_task_and_the_slot_comes_back", stage::processes::dead_jvm),
    ("fault_42_a_stopped_task_stops_neo4j_cleanly", stage::processes::stopped),
    ("explain_changes_nothing_and_a_pause_stops_everything", stage::freezing::paused_and_explained),
    ("fault_29_a_frozen_jvm_of_the_master_is_ended_by_its_watchdog", stage::freezing::jvm_of_the_master),
    (
        "fault_29_a_frozen_task_of_the_master_is_fenced_by_the_function",
        stage::freezing::whole_task_of_the_master,
    ),
    ("fault_29_a_frozen_slave_is_ended_by_its_watchdog", stage::freezing::jvm_of_a_slave),
    ("doorbells_and_ecs_events_make_the_function_look", stage::election::doorbells),
    ("fault_44_two_nodes_gone_and_a_cold_restart", stage::freezing::two_nodes_gone),
    ("fault_44_a_cold_restart_of_all_nodes_forms_one_cluster", stage::processes::cold_restart),
];
const CAUSAL: [Test; 3] = [
    ("causal_cores_form_one_cluster_and_come_to_rest", stage::causal::forms_and_rests),
    ("causal_a_killed_leader_is_followed_and_returns", stage::causal::killed),
    ("causal_a_frozen_leader_is_followed_and_not_fenced", stage::causal::frozen),
];
const SUITES: [(&str, &[Test]); 2] = [("HA", &HIGH_AVAILABILITY), ("CLUSTER", &CAUSAL)];

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // The tests of a suite share one cluster.
    arguments.test_threads = Some(1);
    if arguments.list {
        let all = SUITES.iter().flat_map(|(_, tests)| trials(tests, None)).collect();
        return libtest_mimic::run(&arguments, all).exit_code();
    }
    for (dialect, tests) in SUITES {
        let wanted = |(name, _): &Test| match &arguments.filter {
            Some(filter) if arguments.exact => name == filter,
            Some(filter) => name.contains(filter.as_str()),
            None => true,
        };
        if tests.iter().any(wanted) && !play(dialect, tests, &arguments) {
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn play(dialect: &'static str, tests: &'static [Test], arguments: &Arguments) -> bool {
    let stage = match Stage::set(dialect) {
        Ok(stage) => Box::leak(Box::new(stage)),
        Err(error) => {
            eprintln!("the stage for the tests on a real cluster ({dialect}) cannot be set: {error}");
            return false;
        }
    };
    let conclusion = libtest_mimic::run(arguments, trials(tests, Some(stage)));
    stage.strike(conclusion.has_failed());
    !conclusion.has_failed()
}

fn trials(tests: &'static [Test], stage: Option<&'static Stage>) -> Vec<Trial> {
    tests
        .iter()
        .map(|(name, test)| {
            Trial::test(*name, move || {
                let stage = stage.ok_or("listed only")?;
                test(stage).map_err(|error| {
                    stage.explain();
                    error.into()
                })
            })
        })
        .collect()
}
