//! What a data directory and a snapshot mean together. Pure.

use backups::Snapshot;

use super::marker::{FILE, Marker, Proof, Step};
use crate::store::Facts;

/// What was found in a data directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The marker; as a clause, why it cannot be read.
    pub marker: Result<Option<Marker>, String>,
    /// What is in the place of the store.
    pub store: Seen,
    /// What is in the place where the snapshot is unpacked.
    pub staging: Seen,
}

/// What is in a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Nothing, or an empty folder.
    Nothing,
    /// A folder with a store, as far as its facts can be read.
    Store(Proof),
    /// Anything else: a file, a link, a folder without a store.
    Other,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    /// Nothing is there: everything from the first step on.
    Begin,
    /// An earlier try was cut short: the same, once what it left is removed.
    Again,
    /// The staging folder is whole: it becomes the store.
    Rename(Facts),
    /// The store is there and whole: only the marker does not say so yet.
    Mark(Facts),
    /// It was done before. These were the store's facts then.
    Nothing(Facts),
    /// Nothing is touched.
    Refuse(Refused),
}

/// Why nothing is restored. Each is a clause about the data directory.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error(
        "it has a store already, which no restore has put there, and a store that is there is never overwritten: use an empty volume"
    )]
    NotEmpty,
    #[error(
        "{FILE} says that another snapshot was restored into it, {0}: two restores are never mixed; use an empty volume"
    )]
    Another(String),
    #[error(
        "{FILE} says that a restore of another snapshot was begun in it, {0}, and not ended: restore that one, or, if the volume has \
         nothing that is needed, empty it"
    )]
    AnotherBegun(String),
    #[error(
        "it has a store that is not the one that was unpacked, although {FILE} says that the restore was not ended: something else \
         has put it there, and it is not overwritten; use an empty volume"
    )]
    Foreign,
    #[error(
        "{FILE} says that this snapshot was restored into it, and the store is gone since: it is not restored twice by itself; \
         remove {FILE} to have it restored again"
    )]
    Gone,
    #[error(
        "{FILE} in it cannot be read ({0}), so it is not known what was restored into it: look at it, or use an empty volume"
    )]
    Marker(String),
}

/// What `found` means for a restore of `wanted`.
pub fn plan(found: &Found, wanted: &Snapshot) -> Plan {
    let marker = match &found.marker {
        Err(why) => return Plan::Refuse(Refused::Marker(why.clone())),
        // What is in the staging folder's place was left by a restore whose marker is gone: it proves nothing.
        Ok(None) if found.store == Seen::Nothing => return Plan::Begin,
        Ok(None) => return Plan::Refuse(Refused::NotEmpty),
        Ok(Some(marker)) => marker,
    };
    if !marker.is_of(wanted) {
        let source = marker.source();
        return Plan::Refuse(match marker.step {
            Step::Done { .. } => Refused::Another(source),
            Step::Intent | Step::Unpacked(_) => Refused::AnotherBegun(source),
        });
    }
    match (&marker.step, &found.store, &found.staging) {
        // To restore it again would take away what was written since.
        (Step::Done { .. }, Seen::Nothing, _) => Plan::Refuse(Refused::Gone),
        (Step::Done { facts }, ..) => Plan::Nothing(facts.clone()),
        (Step::Unpacked(proof), Seen::Store(store), _) if store == proof => Plan::Mark(proof.facts.clone()),
        (Step::Unpacked(proof), Seen::Nothing, Seen::Store(staging)) if staging == proof => {
            Plan::Rename(proof.facts.clone())
        }
        // Nothing is proven, or the folder that was is nowhere.
        (Step::Intent | Step::Unpacked(_), Seen::Nothing, _) => Plan::Again,
        // Before the step *unpacked* no restore puts anything there, and after it only the proven folder.
        (Step::Intent | Step::Unpacked(_), ..) => Plan::Refuse(Refused::Foreign),
    }
}

#[cfg(test)]
mod tests {
    use backups::Time;

    use super::*;
    use crate::restore::tests::{facts, snapshot};

    fn proof(inode: u64) -> Proof {
        Proof { inode, facts: facts() }
    }

    fn marker(of: &Snapshot, step: Step) -> Marker {
        Marker::new(of, step, Time::of_epoch(0))
    }

    #[test]
    fn each_state_of_a_data_directory_has_one_meaning() {
        use Seen::{Nothing, Other, Store};
        let wanted = snapshot();
        let own = |step| Ok(Some(marker(&wanted, step)));
        let other = |step| Ok(Some(marker(&Snapshot { etag: "\"f\"".into(), ..snapshot() }, step)));
        let done = || Step::Done { facts: facts() };
        let unpacked = || Step::Unpacked(proof(7));
        // The same inode, and files that were changed since.
        let opened = || {
            let facts = Facts { last_transaction: Some(9999), ..facts() };
            Store(Proof { inode: 7, facts })
        };
        let refuse = Plan::Refuse;
        let table = [
            ("a blank volume", Ok(None), Nothing, Nothing, Plan::Begin),
            ("a marker that was removed by hand", Ok(None), Nothing, Store(proof(7)), Plan::Begin),
            ("a store of its own", Ok(None), Store(proof(7)), Nothing, refuse(Refused::NotEmpty)),
            ("something else there", Ok(None), Other, Nothing, refuse(Refused::NotEmpty)),
            ("killed before unpacking", own(Step::Intent), Nothing, Nothing, Plan::Again),
            ("killed while unpacking", own(Step::Intent), Nothing, Other, Plan::Again),
            ("killed when unpacked, unproven", own(Step::Intent), Nothing, Store(proof(7)), Plan::Again),
            (
                "a store that came beside an intent",
                own(Step::Intent),
                Store(proof(7)),
                Nothing,
                refuse(Refused::Foreign),
            ),
            ("killed before the rename", own(unpacked()), Nothing, Store(proof(7)), Plan::Rename(facts())),
            ("killed after the rename", own(unpacked()), Store(proof(7)), Nothing, Plan::Mark(facts())),
            ("another folder is staged", own(unpacked()), Nothing, Store(proof(8)), Plan::Again),
            ("staged files were changed", own(unpacked()), Nothing, opened(), Plan::Again),
            ("the staged folder is gone", own(unpacked()), Nothing, Nothing, Plan::Again),
            (
                "another folder is the store",
                own(unpacked()),
                Store(proof(8)),
                Store(proof(7)),
                refuse(Refused::Foreign),
            ),
            ("Neo4j ran before the end", own(unpacked()), opened(), Nothing, refuse(Refused::Foreign)),
            ("a link in its place", own(unpacked()), Other, Store(proof(7)), refuse(Refused::Foreign)),
            ("done", own(done()), Store(proof(7)), Nothing, Plan::Nothing(facts())),
            ("done, and used since", own(done()), opened(), Nothing, Plan::Nothing(facts())),
            (
                "done, and copied from the master since",
                own(done()),
                Store(proof(9)),
                Other,
                Plan::Nothing(facts()),
            ),
            ("done, and removed since", own(done()), Nothing, Nothing, refuse(Refused::Gone)),
        ];
        for (case, marker, store, staging, expected) in table {
            assert_eq!(plan(&Found { marker, store, staging }, &wanted), expected, "{case}");
        }
        let source =
            "s3://b/backups/hourly/2026-11-25T21-15-05Z-a1/store.tar.zst in the version \"f\"".to_owned();
        for store in [Nothing, Other, Store(proof(7))] {
            for (step, refused) in [
                (done(), Refused::Another(source.clone())),
                (Step::Intent, Refused::AnotherBegun(source.clone())),
                (unpacked(), Refused::AnotherBegun(source.clone())),
            ] {
                let found = Found { marker: other(step), store: store.clone(), staging: Nothing };
                assert_eq!(plan(&found, &wanted), refuse(refused));
            }
            let found = Found { marker: Err("x".into()), store, staging: Nothing };
            assert_eq!(plan(&found, &wanted), refuse(Refused::Marker("x".into())));
        }
    }

    #[test]
    fn a_store_is_never_overwritten_whatever_the_marker_says() {
        let steps = [Step::Intent, Step::Unpacked(proof(7)), Step::Done { facts: facts() }];
        let markers = steps.into_iter().map(|step| Ok(Some(marker(&snapshot(), step)))).chain([Ok(None)]);
        for marker in markers {
            for store in [Seen::Other, Seen::Store(proof(8)), Seen::Store(proof(7))] {
                let plan =
                    plan(&Found { marker: marker.clone(), store, staging: Seen::Nothing }, &snapshot());
                assert!(matches!(plan, Plan::Refuse(_) | Plan::Nothing(_) | Plan::Mark(_)), "{plan:?}");
            }
        }
    }
}
