//! By when things must have happened, while calls work, nothing is paused, a majority answers,
//! and the schedule invokes.

use std::{collections::BTreeMap, net::IpAddr};

use topology::{Master, Rearm};

use crate::{cloud::Cloud, cluster::Cluster, counts::Counts, setting::Setting, truth};

/// The schedule's period, milliseconds, as all times here.
pub const SWEEP: u64 = 60_000;
/// The time of a lease that an invocation left behind.
const LEASE: u64 = 20_000;
/// How long a round takes when a node does not answer: its patience, the listing, and the pause.
const PATIENT_ROUND: u64 = 2_500;
/// The calls of a plan: three ports, five targets each in the write group and in the read group: 30 calls of
/// 105 ms in the mean, 3.2 s with 0.3 s of deviation, and the write of the state.
const CALLS: u64 = 5_000;

/// From the state that follows N to N alone in the write groups, whatever happened to the
/// invocation that decided it.
const CUT_AT_LAST: u64 = SWEEP + LEASE + 2 * PATIENT_ROUND + CALLS;
/// From the first round that saw N with the lease free: its calls.
const CUT: u64 = CALLS;
/// From two writers that the function hears, and a round that saw them, to one: its calls;
/// then the data plane follows.
const TWO_WRITERS: u64 = CALLS;
/// From a new master that answers until it is followed: with the most confirmations.
const FOLLOWED: u64 = SWEEP + LEASE + 10 * PATIENT_ROUND + CALLS;
/// How long a foreign address may stay in a write group: the groups of a cluster at rest are read every fifth
/// sweep, one later when clocks differ, and the second complete listing without it is the next sweep's.
const FOREIGN: u64 = 6 * SWEEP + SWEEP + LEASE + PATIENT_ROUND + CALLS;
/// Two clocks that are wrong by half a second each.
const SKEW: u64 = 1_500;

/// The names of bounds: counted when one was in force, and held.
pub const NAMES: [&str; 5] =
    ["N alone after a switch", "N alone after a round", "one writer", "followed", "no foreign address"];

/// The clocks of all bounds.
#[derive(Clone, Debug, Default)]
pub struct Bounds {
    follows: Option<Follows>,
    /// Two members that accept writes, since when, and the first round that saw both.
    writers: Option<(Vec<IpAddr>, u64, Option<u64>)>,
    /// A master that answers and is not followed, since when.
    unfollowed: Option<(IpAddr, u64)>,
    foreign: BTreeMap<IpAddr, u64>,
    /// Rounds that will have seen the master when their write succeeds: the invocation, when
    /// it began, and the master.
    pending: Vec<(String, u64, IpAddr)>,
}

#[derive(Clone, Debug)]
struct Follows {
    task: String,
    address: IpAddr,
    /// Whether there was a master before, which must be cut.
    predecessor: bool,
    /// When first no other core address was registered.
    cut_at: Option<u64>,
    /// Since when it is heard, with a majority, and calls work.
    well: Option<u64>,
    /// The first round since then that saw it with the lease free, and its invocation.
    saw: Option<(String, u64)>,
}

impl Bounds {
    /// The written state follows `master`.
    pub fn follows(&mut self, master: Option<&Master>) {
        let same =
            |before: &Follows, after: &Master| before.task == after.task && before.address == after.address;
        match (&self.follows, master) {
            (Some(before), Some(after)) if same(before, after) => {}
            (before, Some(after)) => {
                self.follows = Some(Follows {
                    task: after.task.clone(),
                    address: after.address,
                    predecessor: before.is_some(),
                    cut_at: None,
                    well: None,
                    saw: None,
                });
            }
            (_, None) => self.follows = None,
        }
    }

    /// Whether a standby may be registered: for a first master at once, otherwise when the
    /// time since the cut is over.
    pub fn may_arm(&self, now: u64, rearm: Rearm) -> bool {
        match (&self.follows, rearm) {
            (None, _) => true,
            (Some(_), Rearm::Never) => false,
            (Some(follows), Rearm::After(wait)) => {
                let wait = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
                !follows.predecessor || follows.cut_at.is_some_and(|at| now + SKEW >= at + wait)
            }
        }
    }

    pub fn followed(&self) -> Option<IpAddr> {
        self.follows.as_ref().map(|follows| follows.address)
    }

    /// Whether a switch is incomplete.
    pub fn is_uncut(&self) -> bool {
        self.follows.as_ref().is_some_and(|follows| follows.predecessor && follows.cut_at.is_none())
    }

    /// A round found a master on which it may act, with the lease free: now, or when its write succeeds.
    pub fn found(&mut self, (owner, master): (&str, IpAddr), began: u64, now: u64, writes: bool) {
        self.pending.retain(|(by, ..)| by != owner);
        if writes {
            self.pending.push((owner.to_owned(), began, master));
        } else {
            self.saw((owner, master), began, now);
        }
    }

    pub fn stored(&mut self, owner: &str, now: u64) {
        if let Some(index) = self.pending.iter().position(|(by, ..)| by == owner) {
            let (by, began, master) = self.pending.swap_remove(index);
            self.saw((&by, master), began, now);
        }
    }

    fn saw(&mut self, (owner, master): (&str, IpAddr), began: u64, now: u64) {
        if let Some(follows) = self.follows.as_mut().filter(|follows| follows.address == master) {
            follows.saw.get_or_insert_with(|| (owner.to_owned(), now));
        }
        if let Some((_, since, saw)) = &mut self.writers
            && began >= *since
        {
            saw.get_or_insert(now);
        }
    }

    /// An invocation ended in the middle of a round: the next one continues, when the lease is over.
    pub fn broke_off(&mut self, owner: &str) {
        self.pending.retain(|(by, ..)| by != owner);
        if let Some(follows) = self.follows.as_mut() {
            follows.saw.take_if(|(by, _)| by == owner);
        }
        if let Some((.., saw)) = &mut self.writers {
            *saw = None;
        }
    }

    /// Looks at the world, and returns what is late.
    pub fn look(
        &mut self,
        now: u64,
        works: bool,
        cluster: &Cluster,
        cloud: &mut Cloud,
        setting: &Setting,
        counts: &mut Counts,
    ) -> Option<String> {
        let core = cluster.members.iter().filter(|member| member.kind == topology::Kind::Core);
        let works = works && core.filter(|m| m.answers_well(now)).count() >= setting.majority();
        let alone = self.alone(now, works, cluster, cloud, setting, counts);
        let followed = self.is_followed(now, works, cluster, cloud, counts);
        let foreign = self.no_foreign(now, works, cluster, cloud, counts);
        alone.or(followed).or(foreign).or(self.one_writer(now, works, cluster, cloud, setting, counts))
    }

    fn alone(
        &mut self,
        now: u64,
        works: bool,
        cluster: &Cluster,
        cloud: &Cloud,
        setting: &Setting,
        counts: &mut Counts,
    ) -> Option<String> {
        let may_arm = self.may_arm(now, setting.policy.rearm);
        let follows = self.follows.as_mut()?;
        let others = || {
            let mut all = cloud.write.iter().flat_map(|group| &group.targets);
            all.find(|address| **address != follows.address && cluster.is_core(**address)).copied()
        };
        if may_arm && (follows.cut_at.is_some() || !follows.predecessor) {
            return None;
        }
        let other = others();
        let claims =
            cluster.members.iter().any(|m| m.address == follows.address && m.claims(now) && !m.stopping);
        if other.is_none() {
            for (was, name) in [(follows.well.is_some(), NAMES[0]), (follows.saw.is_some(), NAMES[1])] {
                if was && follows.cut_at.is_none() {
                    counts.count("bound", name);
                }
            }
            follows.cut_at.get_or_insert(now);
        }
        if other.is_none() || !works || !claims {
            (follows.well, follows.saw) = (None, None);
            return None;
        }
        let well = *follows.well.get_or_insert(now);
        if now - well > CUT_AT_LAST {
            return Some(format!(
                "{other:?} is in a write group {} ms after the state follows {}",
                now - well,
                follows.address
            ));
        }
        let (by, saw) = follows.saw.as_ref()?;
        (now - saw > CUT).then(|| {
            format!(
                "{other:?} is in a write group {} ms after {by} saw the master {}",
                now - saw,
                follows.address
            )
        })
    }

    /// Members that accept writes through the balancer: registered as far as the data plane knows, and
    /// masters in their own eyes.
    fn one_writer(
        &mut self,
        now: u64,
        works: bool,
        cluster: &Cluster,
        cloud: &mut Cloud,
        setting: &Setting,
        counts: &mut Counts,
    ) -> Option<String> {
        let heard = |member: &&crate::member::Member| works && member.answers_well(now);
        if !works || cluster.writers().filter(heard).count() < 2 {
            self.writers = None;
            return None;
        }
        let visible = cloud.visible(now);
        let writers: Vec<IpAddr> = cluster
            .writers()
            .filter(|member| visible.contains(&member.address))
            .map(|member| member.address)
            .collect();
        let all_heard = cluster.writers().all(|member| member.answers_well(now));
        if writers.len() < 2 || !all_heard {
            if self.writers.take().is_some_and(|(.., saw)| saw.is_some()) {
                counts.count("bound", NAMES[2]);
            }
            return None;
        }
        if self.writers.as_ref().is_none_or(|(before, ..)| *before != writers) {
            self.writers = Some((writers, now, None));
            return None;
        }
        let (writers, since, saw) = self.writers.as_ref()?;
        let late = saw.is_some_and(|saw| now - saw > TWO_WRITERS + setting.propagation);
        late.then(|| format!("{writers:?} take writes since {since} ms"))
    }

    fn is_followed(
        &mut self,
        now: u64,
        works: bool,
        cluster: &Cluster,
        cloud: &Cloud,
        counts: &mut Counts,
    ) -> Option<String> {
        let claimants = cluster.members.iter().filter(|member| member.claims(now)).count();
        let master = truth::master(cluster, now).filter(|master| works && master.answers && claimants == 1);
        let followed = cloud.state().and_then(|state| state.master.as_ref()).map(|master| master.address);
        let Some(master) = master else {
            self.unfollowed = None;
            return None;
        };
        if followed == Some(master.address) {
            if self.unfollowed.take().is_some() {
                counts.count("bound", NAMES[3]);
            }
            return None;
        }
        let since = match self.unfollowed {
            Some((address, since)) if address == master.address => since,
            _ => now,
        };
        self.unfollowed = Some((master.address, since));
        (now - since > FOLLOWED).then(|| format!("{} answers as the master since {since} ms", master.address))
    }

    fn no_foreign(
        &mut self,
        now: u64,
        works: bool,
        cluster: &Cluster,
        cloud: &Cloud,
        counts: &mut Counts,
    ) -> Option<String> {
        let ours = |address: &IpAddr| cluster.members.iter().any(|m| m.address == *address && m.listed());
        // A group that would be empty without it keeps it.
        let groups = cloud.write.iter().filter(|group| works && group.targets.iter().any(ours));
        let mut late = None;
        let mut gone = self.foreign.clone();
        for address in groups.flat_map(|group| &group.targets).filter(|address| !ours(address)) {
            gone.remove(address);
            let since = *self.foreign.entry(*address).or_insert(now);
            if now - since > FOREIGN {
                late = Some(format!("{address} is no task of ours and registered since {since} ms"));
            }
        }
        for address in gone.keys() {
            self.foreign.remove(address);
            if works {
                counts.count("bound", NAMES[4]);
            }
        }
        late
    }
}
