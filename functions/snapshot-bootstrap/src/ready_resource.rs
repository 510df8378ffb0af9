//! `Custom::ClusterReady`: waits until the cluster, or one slot, is ready; seals the
//! founding of a whole cluster.

use std::time::Duration;

use backups::{Counts, Founding};
use custom_resource::{Call, Data, Failure, Outcome, Resource, text};
use serde::Deserialize;
use topology::{Kind, Slot};

use crate::{
    Expected, Readiness, Record, Sighting, Standing, Storage, Uncounted, Wanted, World, not_restored,
    progress::{PAUSE, Progress},
    ready,
    roll::{Degraded, degraded},
    sole_master,
};

const SUFFIX: &str = "-ready";
/// The pause after a wrong password, which must not be tried often enough for Neo4j to lock the user out.
const PAUSE_UNAUTHORIZED: Duration = Duration::from_secs(15);

/// Looks again and again, in further invocations if necessary, until the expected state is seen.
pub struct ClusterReady<W, S> {
    pub(crate) world: W,
    record: Record<S>,
    slots: Vec<Slot>,
}

/// The properties in the template. Unknown properties are ignored on purpose: changing one triggers an
/// Update, which runs the check again.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Properties {
    /// Number of nodes that must be sure of their role; required unless there is a `Slot`.
    #[serde(default, deserialize_with = "text::optional_number")]
    expect_nodes: Option<usize>,
    /// Whether one of them must be the master; true by default.
    #[serde(default, deserialize_with = "text::optional_boolean")]
    expect_master: Option<bool>,
    /// `true`: only until every core slot has restored the snapshot that the cluster is founded from.
    #[serde(default, deserialize_with = "text::optional_boolean")]
    restored: Option<bool>,
    /// What must be in the graph, until the founding is sealed.
    #[serde(default)]
    expect_counts: ExpectCounts,
    /// One slot, by its server id, in place of the whole cluster: on Create until it waits for its peers,
    /// later until it has rejoined and the next slot may be stopped.
    #[serde(default, deserialize_with = "text::optional_number")]
    pub(crate) slot: Option<u32>,
    /// `yes`: later only until it has rejoined, whatever the state of the other slots.
    #[serde(default, deserialize_with = "degraded")]
    pub(crate) roll_when_degraded: Degraded,
    /// The task definition that the slot must run.
    #[serde(default)]
    definition: String,
    /// The other settings of the slot's service whose change replaces its task.
    #[serde(default)]
    network: String,
}

/// The expected counts; empty for one that is not known.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct ExpectCounts {
    #[serde(deserialize_with = "text::optional_number")]
    nodes: Option<u64>,
    #[serde(deserialize_with = "text::optional_number")]
    relationships: Option<u64>,
}

impl Properties {
    fn waits_for_restores(&self) -> bool {
        self.restored == Some(true)
    }

    fn wanted(&self) -> Wanted {
        let ExpectCounts { nodes, relationships } = self.expect_counts;
        Wanted { nodes, relationships }
    }
}

impl<W: World, S: Storage> ClusterReady<W, S> {
    /// A check of the cluster with these slots.
    pub fn new(world: W, record: Record<S>, slots: Vec<Slot>) -> Self {
        Self { world, record, slots }
    }

    async fn look(&self, call: &Call, properties: &Properties, is_update: bool) -> Result<Outcome, Failure> {
        call.step("look at the nodes");
        let mut progress = Progress::of(call);
        let slots = match self.world.look(&self.looked_at(properties, is_update)).await {
            Ok(slots) => slots,
            Err(error) if error.kind == aws::Kind::Denied => return Err(Failure::new(error)),
            Err(error) => return Ok(progress.not_yet(&error, PAUSE)),
        };
        progress.note_master(&slots, call.now);
        let readiness = match properties.slot {
            None if properties.waits_for_restores() => match self.record.load().await {
                Ok(founding) => match founding.as_ref().and_then(Founding::to_restore) {
                    Some(snapshot) => ready(&Expected::Restored(Box::new(snapshot.clone())), &slots),
                    // A sealed cluster was restored once, or never.
                    None => Readiness::Ready,
                },
                Err(untold) => return progress.may_pass(untold),
            },
            None => ready(&properties.cluster(), &slots),
            Some(_) if !is_update => ready(&self.slot(properties, Standing::WaitsForPeers), &slots),
            Some(_) => self.slot_rejoined(call, properties, &mut progress, &slots).await,
        };
        if let Readiness::NotYet(says) = readiness {
            let Some(why) = self.hopeless(call, properties, &slots, &mut progress).await else {
                return Ok(progress.not_yet(&says, PAUSE));
            };
            // A slot that was away before the deployment is away after its roll-back too, which must
            // not fail because of that.
            if !is_update || progress.rolls_back(&self.world, call).await != Ok(true) {
                return Err(Failure::new(format_args!("{why}; the deployment waited for this: {says}")));
            }
            tracing::warn!(
                event = "roll-back-goes-on",
                "this is a roll-back, so that it goes on although {why}"
            );
        }
        match properties.slot {
            Some(_) => Ok(Outcome::Done(data(&self.own(properties, slots), None))),
            None if properties.waits_for_restores() => Ok(Outcome::Done(data(&slots, None))),
            None => self.whole(call, properties, &slots).await,
        }
    }

    /// All nodes are ready: counts what they have, and seals the founding.
    async fn whole(
        &self,
        call: &Call,
        properties: &Properties,
        slots: &[Sighting],
    ) -> Result<Outcome, Failure> {
        let progress = Progress::of(call);
        call.step("read the founding record");
        let founding = match self.record.load().await {
            Ok(founding) => founding,
            Err(untold) => return progress.may_pass(untold),
        };
        if let Some(snapshot) = founding.as_ref().and_then(Founding::to_restore)
            && let Some(says) = not_restored(slots, snapshot)
        {
            return Ok(progress.not_yet(&says, PAUSE));
        }
        call.step("count what is in the graph");
        let counted = match sole_master(slots) {
            Some((_, address)) => Some(self.world.count(address).await),
            None => None,
        };
        // The counts of a living cluster change every minute.
        let is_sealed = founding.as_ref().is_some_and(Founding::is_sealed);
        let wanted = if is_sealed { Wanted::default() } else { properties.wanted() };
        let counts = match (counted, wanted.is_any()) {
            (Some(Err(Uncounted { reason, unauthorized })), true) => {
                let pause = if unauthorized { PAUSE_UNAUTHORIZED } else { PAUSE };
                return Ok(progress
                    .not_yet(&format_args!("the master's graph could not be counted: {reason}"), pause));
            }
            (None, true) => {
                return Ok(progress.not_yet(&"there is no master whose graph could be counted", PAUSE));
            }
            (counted, _) => counted.and_then(Result::ok),
        };
        if let Some(differs) = counts.and_then(|counts| wanted.differs(counts)) {
            return Ok(progress.not_yet(&differs, PAUSE));
        }
        call.step("seal the founding record");
        match self.record.seal().await {
            Ok(()) => Ok(Outcome::Done(data(slots, counts))),
            Err(untold) => progress.may_pass(untold),
        }
    }

    /// The slots to look at. For a slot that is created, only itself, because the others are created after
    /// it. Later the whole core too, which must be well before the next slot is stopped; other slave-only
    /// slots come and go by design.
    pub(crate) fn looked_at(&self, properties: &Properties, is_update: bool) -> Vec<&Slot> {
        let core = is_update.then_some(Kind::Core);
        let looks = |slot: &&Slot| match properties.slot {
            None => true,
            Some(own) => slot.server_id == own || Some(slot.kind) == core,
        };
        self.slots.iter().filter(looks).collect()
    }

    pub(crate) fn slot(&self, properties: &Properties, standing: Standing) -> Expected {
        let definition = Some(properties.definition.clone()).filter(|definition| !definition.is_empty());
        Expected::Slot { name: self.name(properties).to_owned(), standing, definition }
    }

    fn own(&self, properties: &Properties, slots: Vec<Sighting>) -> Vec<Sighting> {
        slots.into_iter().filter(|sighting| sighting.slot.name == self.name(properties)).collect()
    }

    /// The service of the slot; the properties have been validated.
    pub(crate) fn name(&self, properties: &Properties) -> &str {
        let slot = self.slots.iter().find(|slot| Some(slot.server_id) == properties.slot);
        slot.map(|slot| slot.name.as_str()).unwrap_or_default()
    }
}

impl Properties {
    fn cluster(&self) -> Expected {
        Expected::Cluster {
            nodes: self.expect_nodes.unwrap_or_default(),
            master: self.expect_master.unwrap_or(true),
        }
    }
}

/// Every attribute is always present; an empty one is not known.
fn data(slots: &[Sighting], counts: Option<Counts>) -> Data {
    let master = sole_master(slots);
    let count = |of: fn(Counts) -> u64| counts.map(|counts| of(counts).to_string()).unwrap_or_default();
    let names: Vec<&str> = slots.iter().map(|sighting| sighting.slot.name.as_str()).collect();
    Data::new()
        .with("Master", master.map(|(name, _)| name).unwrap_or_default())
        .with("MasterAddress", master.map(|(_, address)| address.to_string()).unwrap_or_default())
        .with("Nodes", names.join(","))
        .with("NodeCount", count(|counts| counts.nodes))
        .with("RelationshipCount", count(|counts| counts.relationships))
}

impl<W: World, S: Storage> Resource for ClusterReady<W, S> {
    type Properties = Properties;
    const TYPE: &'static str = "Custom::ClusterReady";

    fn validate(&self, properties: &Properties) -> Result<(), Failure> {
        let all = self.slots.len();
        match (properties.slot, properties.expect_nodes) {
            (Some(id), _) if self.slots.iter().all(|slot| slot.server_id != id) => {
                Err(Failure::new(format_args!("Slot is {id}, and the cluster has slots 1 to {all}")))
            }
            (None, None) if properties.waits_for_restores() => Ok(()),
            (None, None) => Err(Failure::new(format_args!(
                "ExpectNodes is missing: it says how many nodes the cluster must have, 1 to {all}; or give one Slot"
            ))),
            (None, Some(nodes)) if !(1..=all).contains(&nodes) => Err(Failure::new(format_args!(
                "ExpectNodes is {nodes}, and the cluster has {all} slots: it would wait for ever"
            ))),
            (None, Some(_)) if properties.wanted().is_any() && properties.expect_master == Some(false) => {
                Err(Failure::new(
                    "ExpectCounts is counted on the master, so ExpectMaster must not be false beside it",
                ))
            }
            (Some(_), _) | (None, Some(_)) => Ok(()),
        }
    }

    fn physical_id(&self, call: &Call, properties: &Properties) -> String {
        match properties.slot {
            Some(slot) => format!("{}{SUFFIX}-slot-{slot}", call.stack_name),
            None if properties.waits_for_restores() => format!("{}{SUFFIX}-restored", call.stack_name),
            None => format!("{}{SUFFIX}", call.stack_name),
        }
    }

    async fn create(&self, call: &Call, properties: &Properties) -> Result<Outcome, Failure> {
        self.look(call, properties, false).await
    }

    async fn update(
        &self,
        call: &Call,
        properties: &Properties,
        old: Option<&Properties>,
    ) -> Result<Outcome, Failure> {
        let replaces = |of: &Properties| (of.slot, of.definition.clone(), of.network.clone());
        if properties.slot.is_some() && old.is_some_and(|old| replaces(old) == replaces(properties)) {
            // The slot's task stays the same, so there is nothing to wait for.
            return Ok(Outcome::Done(data(&[], None)));
        }
        self.look(call, properties, true).await
    }

    /// The cluster may be gone already, and nothing waits for it: this resource made nothing.
    async fn delete(
        &self,
        _call: &Call,
        _id: &str,
        _properties: Option<&Properties>,
    ) -> Result<Outcome, Failure> {
        Ok(Outcome::Done(Data::new()))
    }

    fn owns(&self, call: &Call, physical_id: &str) -> bool {
        physical_id.strip_prefix(&call.stack_name).is_some_and(|rest| rest.starts_with(SUFFIX))
    }

    /// A Delete is a no-op, whatever the id.
    fn needs_delete(_physical_id: &str) -> bool {
        false
    }
}
