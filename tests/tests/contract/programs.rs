//! The programs, how each reads its variables, and the variables that the template has nothing to do with.

use runtime::Environment;

use crate::compare::Exception;

/// One program.
pub struct Program {
    pub name: &'static str,
    pub runs: Runs,
    /// Exactly what it does first when it starts.
    pub read: fn(&Environment) -> Result<(), String>,
    /// What the platform sets, with a value as it sets it.
    pub platform: &'static [(&'static str, &'static str)],
    /// Beside the common ones.
    pub exceptions: &'static [Exception],
}

/// Where the template has the variables of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runs {
    /// In the function with this logical id.
    Function(&'static str),
    /// In the container of this name, of whatever task definition.
    Container(&'static str),
}

const LAMBDA: &[(&str, &str)] = &[("AWS_LAMBDA_FUNCTION_NAME", "neo4j-function")];
const AGENT: &[(&str, &str)] = &[("ECS_CONTAINER_METADATA_URI_V4", "http://169.254.170.2/v4/x")];

const TESTS_PORT: &str = "tests run several nodes at one address; the template opens the default ports only";
const NO_SLAVE_ONLY: &str = "the template has no slave-only slots yet";
const SET_BY_LAMBDA: &str = "Lambda sets it";
const SET_BY_THE_IMAGE: &str = "the image sets it, or the local cloud in its place";

/// Of every program: they all read the same facts of the cluster.
pub const COMMON: [Exception; 4] = [
    ("HTTP_PORT", TESTS_PORT),
    ("BOLT_PORT", TESTS_PORT),
    ("STATUS_PORT", TESTS_PORT),
    ("SLAVE_ONLY_SERVICES", NO_SLAVE_ONLY),
];

pub const PROGRAMS: [Program; 6] = [
    Program {
        name: "master-election",
        runs: Runs::Function("MasterElection"),
        read: |environment| told(master_election::Config::read(environment)),
        platform: LAMBDA,
        exceptions: &[],
    },
    Program {
        name: "user-creation",
        runs: Runs::Function("UserCreation"),
        read: |environment| told(user_creation::Config::read(environment)),
        platform: LAMBDA,
        exceptions: &[("AWS_LAMBDA_FUNCTION_NAME", SET_BY_LAMBDA)],
    },
    Program {
        name: "snapshot-bootstrap",
        runs: Runs::Function("SnapshotBootstrap"),
        read: |environment| told(snapshot_bootstrap::Config::read(environment)),
        platform: LAMBDA,
        exceptions: &[("AWS_LAMBDA_FUNCTION_NAME", SET_BY_LAMBDA)],
    },
    Program {
        name: "backup-trigger",
        runs: Runs::Function("BackupTrigger"),
        read: |environment| told(backup_trigger::Config::read(environment)),
        platform: LAMBDA,
        exceptions: &[],
    },
    Program {
        name: "node",
        runs: Runs::Container("neo4j"),
        read: |environment| told(node::check(environment)),
        platform: AGENT,
        exceptions: &[
            ("AWS_REGION", "the SDK reads it, and the agent sets it only since 1.104.0"),
            ("ECS_CONTAINER_METADATA_URI_V4", "the agent sets it"),
            ("NEO4J_HOME", SET_BY_THE_IMAGE),
            ("DATA_DIR", SET_BY_THE_IMAGE),
            ("LOGS_DIR", SET_BY_THE_IMAGE),
            ("CONF_DIR", SET_BY_THE_IMAGE),
            ("ROOT_DISK", SET_BY_THE_IMAGE),
            ("PLUGINS_DIR", SET_BY_THE_IMAGE),
            ("IMPORT_DIR", SET_BY_THE_IMAGE),
            ("SSL_DIR", SET_BY_THE_IMAGE),
            ("EXTRA_CONF_DIR", SET_BY_THE_IMAGE),
            ("ADDRESS", "only without an agent, so never in a task"),
        ],
    },
    Program {
        name: "node backup",
        runs: Runs::Container("backup"),
        read: |environment| told(node::BackupSettings::read(environment)),
        platform: &[],
        exceptions: &[
            ("AWS_REGION", "the SDK reads it"),
            ("ORDER", "backup-trigger gives it with each launch"),
            ("NEO4J_HOME", SET_BY_THE_IMAGE),
            ("SCRATCH", "only in tests; in a task the image's /data"),
        ],
    },
];

fn told<T, E: ToString>(read: Result<T, E>) -> Result<(), String> {
    read.map(|_| ()).map_err(|error| error.to_string())
}
