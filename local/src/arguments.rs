//! What the commands are given.

use std::time::Duration;

use crate::{
    bench,
    cloud::{Nodes, Settings},
    stack::Stack,
};

/// Settings of a cloud.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Options {
    /// Milliseconds until a registration reaches the balancers' data plane
    #[arg(long, default_value_t = 0)]
    pub propagation_ms: u64,
    /// What nodes are started from: this machine's programs, or the unpacked image (needs root and runc)
    #[arg(long, value_enum, default_value_t)]
    pub nodes: Nodes,
    #[command(flatten)]
    pub stack: Chosen,
}

/// The stack that is meant.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Chosen {
    /// The stack that is meant
    #[arg(long = "stack", value_name = "NAME", default_value_t)]
    pub name: Stack,
}

/// The stack that is shown.
#[derive(Debug, clap::Args)]
pub struct Shown {
    /// Only this stack
    #[arg(long, value_name = "NAME")]
    pub stack: Option<Stack>,
}

/// Settings of a demo.
#[derive(Debug, clap::Args)]
pub struct Demo {
    /// HA (high availability), or CLUSTER (causal clustering)
    #[arg(long, default_value = "HA", value_parser = ["HA", "CLUSTER"])]
    pub dialect: String,
    #[command(flatten)]
    pub cloud: Options,
}

/// Settings of a benchmark.
#[derive(Debug, clap::Args)]
pub struct Bench {
    #[command(flatten)]
    pub counts: bench::Counts,
}

/// Settings of a benchmark at rest.
#[derive(Debug, clap::Args)]
pub struct AtRest {
    /// For how long calls are counted; the users are compared every five minutes, so a multiple of it counts all as often
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    pub minutes: u32,
}

/// Settings of the formations.
#[derive(Debug, clap::Args)]
pub struct Formations {
    /// How many
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    pub rounds: u32,
}

/// A node to break.
#[derive(Debug, clap::Args)]
pub struct Target {
    /// core-1, core-2, ..., a task id, or master; of stand-alone tasks the family or its end, such as backup
    pub node: String,
    /// Only the JVM, not the node program beside it
    #[arg(long)]
    pub jvm: bool,
    #[command(flatten)]
    pub stack: Chosen,
}

/// A slot whose instance is meant.
#[derive(Debug, clap::Args)]
pub struct Slot {
    /// core-1, core-2, ..., or master
    pub slot: String,
    #[command(flatten)]
    pub stack: Chosen,
}

impl From<Slot> for Target {
    fn from(slot: Slot) -> Self {
        Self { node: slot.slot, jvm: false, stack: slot.stack }
    }
}

impl Options {
    /// The same for the cloud.
    pub fn settings(&self) -> Settings {
        Settings {
            propagation: Duration::from_millis(self.propagation_ms),
            nodes: self.nodes,
            stack: self.stack.name.clone(),
            ..Settings::default()
        }
    }
}
