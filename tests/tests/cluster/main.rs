//! The deployed stack on real Neo4j nodes: one cluster of each dialect for all its tests, broken in order.
//!
//! Heartbeats are slower than the demo's (AWS's defaults, 1 s / 4 s), because a machine that runs other things answers late. Nothing
//! here measures time: every wait is for a condition, with a deadline far above what it takes.

mod agent;
mod backups;
mod busy;
mod causal;
mod election;
mod forming;
mod freezing;
mod processes;
mod restoring;
mod revoked;
mod rolling;
mod slow;
mod thawing;
mod two_stacks;
mod users;

use std::process::ExitCode;

use end_to_end::stage::suite::{self, Suite, Test};
use local::network::Kind;

/// In this order: each test leaves a cluster at rest for the next one.
const HIGH_AVAILABILITY: &[Test] = &[
    ("the_deployed_stack_forms_one_cluster_and_comes_to_rest", forming::forms_and_rests),
    ("every_slave_of_a_new_cluster_has_its_backup_server", forming::backup_servers),
    ("debug_log_reaches_a_stream_of_its_own", forming::debug_log),
    ("what_the_emulator_lacks_was_left_out_and_said", forming::left_out),
    ("each_node_tells_how_many_members_it_sees_alive", forming::member_view),
    ("readers_are_served_by_slaves", forming::readers),
    ("writes_reach_the_master_through_the_balancer", forming::writes),
    ("fault_54_two_stacks_in_one_account_share_nothing_and_one_is_deleted", two_stacks::side_by_side),
    ("the_stacks_users_are_on_every_node_and_may_what_their_roles_say", users::of_the_stack),
    ("fault_7_9_14_a_user_is_created_changed_renamed_and_deleted_through_a_stack", users::through_a_stack),
    ("fault_11_a_create_that_fails_is_rolled_back", users::failing_create),
    ("a_node_that_is_away_is_named_and_a_retry_completes_the_user", users::one_node_away),
    ("a_rotated_password_of_the_administrator_reaches_every_node", users::administrator_rotated),
    ("a_node_that_lost_its_volume_has_its_users_again", users::lost_volume),
    ("a_rename_that_fails_takes_the_new_login_away_again", revoked::a_failed_rename),
    ("a_suspension_during_a_reconcile_stands", revoked::a_suspension_during_a_reconcile),
    ("late_duplicates_of_old_requests_change_nothing", revoked::late_duplicates),
    ("twenty_users_at_once_are_made_and_deleted_under_throttling", revoked::twenty_at_once),
    ("a_backup_from_a_slave_while_writes_flow_is_verified_and_unpacked_by_hand", backups::from_a_slave),
    ("fault_32_requests_that_come_together_are_one_backup", backups::one_at_a_time),
    (
        "fault_31_a_run_task_that_fails_is_named_and_one_whose_answer_is_lost_is_one_worker",
        backups::run_task_fails,
    ),
    ("fault_35_a_worker_that_is_killed_leaves_no_backup_and_another_slave_is_next", backups::worker_killed),
    ("fault_36_a_backup_waits_for_a_slot_that_is_away", backups::no_slave),
    ("nothing_is_founded_from_a_snapshot_that_there_is_not", restoring::refused),
    ("a_cluster_of_three_is_founded_from_a_backup_of_another_one", restoring::a_cluster),
    ("fault_24_with_no_answers_or_too_few_nothing_is_called", election::blind_and_partial),
    ("fault_25_a_deregistration_that_fails_is_made_up_for", election::deregister_fails),
    ("fault_19_43_killed_master_writes_move_on_and_it_returns_with_a_new_address", election::killed),
    ("fault_42_a_dead_neo4j_ends_its_task_and_the_slot_comes_back", processes::dead_jvm),
    ("fault_42_a_stopped_task_stops_neo4j_cleanly", processes::stopped),
    ("fault_47_a_slow_master_at_rest_is_left_alone", slow::master_at_rest),
    ("fault_47_a_slow_master_beside_a_returning_standby_stays", slow::master_beside_a_returning_standby),
    ("fault_47_a_new_master_that_is_slow_is_followed", slow::new_master_that_is_slow),
    ("explain_changes_nothing_and_a_pause_stops_everything", freezing::paused_and_explained),
    ("a_master_whose_http_workers_are_all_taken_is_left_alone", busy::workers_taken),
    ("fault_29_line_0_survivors_of_a_frozen_master_elect_by_themselves", freezing::survivors_elect),
    ("fault_29_a_frozen_slave_is_ended_by_its_watchdog", freezing::jvm_of_a_slave),
    ("doorbells_and_ecs_events_make_the_function_look", election::doorbells),
    ("fault_44_two_nodes_gone_and_a_cold_restart_forms_one_cluster", freezing::two_nodes_gone),
    ("a_user_that_is_deleted_while_nothing_runs_stays_deleted", revoked::a_delete_while_nothing_runs),
    ("another_core_size_of_a_living_stack_is_refused_by_its_name", rolling::another_size),
    ("a_roll_that_fails_ends_in_update_rollback_complete", rolling::that_fails),
    ("a_roll_is_refused_while_a_slot_is_away_and_goes_on_when_it_is_the_mend", rolling::while_a_slot_is_away),
    ("authentication_goes_off_and_on_again_and_no_login_comes_back", revoked::without_authentication),
];
const CAUSAL: &[Test] = &[
    ("causal_cores_form_one_cluster_and_come_to_rest", causal::forms_and_rests),
    ("causal_a_killed_leader_is_followed_and_returns", causal::killed),
    ("causal_a_frozen_leader_is_followed_and_not_fenced", causal::frozen),
];
/// Survivors wait for a frozen master, as they do by Neo4j's defaults: only the other lines of defence are left.
const FROZEN: &[Test] = &[
    ("fault_29_line_1_a_frozen_jvm_of_the_master_is_ended_by_its_watchdog", freezing::jvm_of_the_master),
    (
        "fault_29_line_2_a_frozen_task_of_the_master_is_fenced_by_the_function",
        freezing::whole_task_of_the_master,
    ),
];
/// The same where the fenced node wakes up, or is not stopped: `make test-fencing`. The hold-off is as short as the verification lets
/// it be, because two of these are fences, and a test without one is between them.
const FENCED: &[Test] = &[
    ("fault_29_a_master_that_wakes_up_after_the_fence_is_of_no_use", thawing::after_the_fence),
    ("fault_29_a_master_that_wakes_up_before_the_fence_is_left_alone", thawing::before_the_fence),
    (
        "fault_29_an_agent_that_ignores_stop_task_is_named_and_no_other_node_is_fenced",
        agent::ignores_stop_task,
    ),
];
const PATIENT: &[(&str, &str)] = &[
    ("Dialect", "HA"),
    ("SlaveReadTimeoutSeconds", "20"),
    ("FenceHoldOffSeconds", "90"),
    ("FenceVerifySeconds", "90"),
];
const SUITES: &[Suite] = &[
    suite(&[("Dialect", "HA")], HIGH_AVAILABILITY),
    suite(PATIENT, FROZEN),
    suite(&[("Dialect", "CLUSTER")], CAUSAL),
    Suite { long: true, ..suite(PATIENT, FENCED) },
];

const fn suite(parameters: &'static [(&'static str, &'static str)], tests: &'static [Test]) -> Suite {
    Suite { run: "test", network: Kind::Loopback, parameters, tests, long: false }
}

fn main() -> ExitCode {
    suite::main(SUITES)
}
