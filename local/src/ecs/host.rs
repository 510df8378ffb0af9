//! Hosts: instances that tasks are placed on, each with attributes and a disk of its own.
//!
//! One is made for each slot that a service asks for. It is known by the slot's name, which is another one in every stack.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
};

use serde_json::json;
use tracing::{info, warn};

use super::{Ecs, Running, Service};

/// The attribute by which a service finds the host of its slot.
pub const SLOT: &str = "neo4j.slot";
/// Where a host mounts its slot's volume, below its root.
const VOLUME: &str = "var/lib/neo4j";
/// What the host writes on the volume when it makes it, so that a node knows whose it is.
const IDENTITY: &str = "slot.json";

/// An instance with a container agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// The slot that it was made for.
    pub name: String,
    /// ARN of the cluster that its agent has registered it with.
    pub cluster: String,
    /// What its agent says of it.
    pub attributes: BTreeMap<String, String>,
    /// Its file system.
    pub root: PathBuf,
}

impl Host {
    /// The host of `slot`, with its file system below `hosts`.
    pub fn of(slot: &str, cluster: &str, hosts: &Path) -> Self {
        Self {
            name: slot.to_owned(),
            cluster: cluster.to_owned(),
            attributes: BTreeMap::from([(SLOT.to_owned(), slot.to_owned())]),
            root: hosts.join(slot),
        }
    }

    /// A path of a task definition on this host.
    pub fn path(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// Makes its volume, blank, if there is none: what the start of an instance does before its agent starts. A volume that is there
    /// keeps what it says, or does not say, of itself.
    ///
    /// # Errors
    /// When the disk of this machine does not take it.
    pub fn make_volume(&self) -> io::Result<()> {
        let volume = self.root.join(VOLUME);
        if volume.exists() {
            return Ok(());
        }
        fs::create_dir_all(&volume)?;
        // The cluster has the stack's name.
        let stack = self.cluster.rsplit('/').next().unwrap_or_default();
        let being_written = volume.join(format!("{IDENTITY}.new"));
        fs::write(&being_written, json!({"stack": stack, "slot": self.name}).to_string())?;
        // A node never reads half of it.
        fs::rename(being_written, volume.join(IDENTITY))
    }
}

/// All hosts.
#[derive(Default)]
pub(super) struct Hosts {
    pub all: Vec<Host>,
    /// Those whose instance was taken away.
    pub away: BTreeSet<String>,
}

impl Ecs {
    /// Takes the instance of a slot away, and with it all that could take its place: the tasks on it end with it, and none is
    /// placed there until [`Ecs::give_host`].
    pub fn take_host(&self, slot: &str) {
        info!(slot, "a slot has no host");
        self.running().hosts.away.insert(slot.to_owned());
        self.terminate_instance(slot);
    }

    /// Gives the slot an instance again. It gets the slot's volume.
    pub fn give_host(&self, slot: &str) {
        if self.running().hosts.away.remove(slot) {
            info!(slot, "a slot has a host again");
        }
    }

    /// The slots that have no instance.
    pub fn without_host(&self) -> BTreeSet<String> {
        self.running().hosts.away.clone()
    }

    /// The hosts that were made so far, those that were taken away too.
    pub fn hosts(&self) -> Vec<Host> {
        self.running().hosts.all.clone()
    }

    /// Makes the hosts of the slots that `services` ask for and that have none.
    pub(super) fn make_hosts(&self, services: &[Service]) {
        let mut running = self.running();
        for service in services {
            for slot in service.constraints.iter().filter_map(|constraint| constraint.value_of(SLOT)) {
                if running.hosts.all.iter().any(|host| host.name == slot) {
                    continue;
                }
                let host = Host::of(slot, &service.cluster, &self.0.image.hosts);
                match host.make_volume() {
                    Ok(()) => running.hosts.all.push(host),
                    Err(error) => warn!(slot, %error, "a slot gets no host"),
                }
            }
        }
    }
}

impl Running {
    /// The host of this name, as what a test or an operator calls a slot.
    pub(super) fn host(&self, name: &str) -> Option<&Host> {
        self.hosts.all.iter().find(|host| host.name == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_has_a_disk_of_its_own_and_its_volume_says_whose_it_is() {
        let hosts = std::env::temp_dir().join(format!("hosts-{}", std::process::id()));
        let host = Host::of("s-core-1", "arn:aws:ecs:us-east-1:0:cluster/s", &hosts);
        assert_eq!(host.path("/var/lib/neo4j"), hosts.join("s-core-1/var/lib/neo4j"));
        let identity = host.path("/var/lib/neo4j/slot.json");
        host.make_volume().unwrap();
        assert_eq!(fs::read_to_string(&identity).unwrap(), r#"{"slot":"s-core-1","stack":"s"}"#);
        // Its next start finds the volume as it was.
        fs::remove_file(&identity).unwrap();
        host.make_volume().unwrap();
        assert!(!identity.exists(), "nothing is said of a volume that was there before");
        fs::remove_dir_all(hosts).unwrap();
    }
}
