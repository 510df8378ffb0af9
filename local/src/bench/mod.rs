//! Figures: how long a fail-over takes beside HAProxy, what the product asks of AWS while nothing happens, and formations.

mod failover;
mod figures;
mod formations;
mod haproxy;
mod prices;
mod rest;
mod series;
mod stall;
mod table;

use crate::{cloud::Cloud, deploy, observe};

pub use failover::play;
pub use figures::Figures;
pub use formations::{run as formations, without_backups};
pub use rest::run as at_rest;
pub use series::{Counts, Series};
pub use stall::longest_gap;
pub use table::{Sample, table};

/// Deploys the stack with `overrides` and waits for its cluster.
async fn form(cloud: &Cloud, overrides: &[(&str, &str)]) -> Result<(), String> {
    deploy::build(&cloud.layout, cloud.endpoint).await.map_err(|error| error.to_string())?;
    cloud.deploy(overrides).await.map_err(|error| error.to_string())?;
    observe::form(cloud).await.map(drop)
}
