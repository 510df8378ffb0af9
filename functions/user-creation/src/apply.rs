//! Makes a user what its resource says, on every node.

use std::{collections::BTreeMap, time::Duration};

use custom_resource::Call;
use neo4j::UserName;
use tokio::time::Instant;

use crate::{
    Desired, Neo4jUser, Record, Trouble, World,
    events::tell,
    everywhere::{Told, done_on, everywhere, problems},
    follow::{Ground, follow, take_back},
    node::{Problem, Target},
    once::{Progress, Stop, now, said_before, said_to},
    properties::Properties,
    said::{Answer, Said},
    secrets::Passwords,
};

/// Kept of an invocation's time for the look at the record after nodes were changed.
const FOR_THE_RECORD: Duration = Duration::from_secs(20);

/// What a request is to the ones before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind<'a> {
    Create,
    /// It undoes a failed one if the record that is there is of a failed one.
    Update,
    /// The roll-back of a rename to this login.
    RenameBack(&'a UserName),
}

/// What a node that is away means for the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Away {
    /// It is waited for, and then a failure.
    Fails,
    /// A failed update is being rolled back: the node had this user before, and the reconcile completes what it lacks.
    IsCompletedLater,
}

/// What the record says of the request that applies it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// It is this request's.
    Wanted,
    /// A later request wants the user to be something else.
    Changed,
    /// The user is to be absent.
    Unwanted,
}

fn standing(mine: &Record, found: Option<&Record>) -> Standing {
    match found {
        Some(found) if found.is(mine) => Standing::Wanted,
        Some(found) if found.desired.is_some() => Standing::Changed,
        _ => Standing::Unwanted,
    }
}

impl<W: World> Neo4jUser<W> {
    /// Records what is wanted, applies it everywhere, and looks whether it is wanted still.
    pub(crate) async fn apply(
        &self,
        call: &Call,
        properties: &Properties,
        kind: Kind<'_>,
        progress: &mut Progress,
    ) -> Result<Answer, Stop> {
        let recorded = progress.since.is_some();
        let unless_recorded = |trouble: Trouble| {
            let stop = Stop::from(trouble);
            if recorded { stop } else { stop.nothing_made() }
        };
        let desired = properties.desired().map_err(|failure| Stop::failed(&failure).nothing_made())?;
        let record = self.record_of(call, &desired.user, Some(desired.clone()));
        call.step("read the secrets");
        let passwords = Passwords::read(&*self.world, &desired.secret_arn).await.map_err(unless_recorded)?;
        let admin = self.admin().await.map_err(unless_recorded)?;
        if !recorded {
            call.step("record the user");
            let found = self.found(&desired.user).await.map_err(unless_recorded)?;
            // Set by an earlier call too, which has written the record and was stopped right after it.
            progress.undoes |= match (kind, &found) {
                (Kind::Create, _) | (Kind::Update, None) => false,
                (Kind::Update, Some(found)) => {
                    self.has_failed(&record, found).await.map_err(unless_recorded)?
                }
                (Kind::RenameBack(_), _) => true,
            };
            self.record(call, &record, found).await?;
        }
        let begun = *progress.since.get_or_insert_with(now);
        call.step(format!("look for the nodes of user {}", desired.user));
        let nodes = self.world.nodes().await?;
        let until = (Instant::now() + call.remaining()).checked_sub(FOR_THE_RECORD);
        let until = until.unwrap_or_else(Instant::now);
        let ground = Ground { nodes: &nodes, complete: true, admin: &admin, until };
        if recorded {
            // A Delete may have come during the pause.
            self.still_wanted(call, &record, &ground).await?;
        }
        call.step(format!("make user {} on {} nodes", desired.user, nodes.len()));
        let target = Target { user: desired.user.clone(), wanted: Some((desired.clone(), passwords)) };
        let told = everywhere(&self.config, &nodes, &admin, &target, true).await;
        tell(&desired.user, &told);
        self.still_wanted(call, &record, &ground).await?;
        let waited = Duration::from_secs(now().saturating_sub(begun));
        let away = if progress.undoes { Away::IsCompletedLater } else { Away::Fails };
        conclude(&desired, &told, away, waited < self.config.node_wait)
    }

    /// Whether the record that is there is of an earlier request of the same resource, and that one failed. CloudFormation says of no
    /// Update that it is a roll-back; after a failed Update comes the one back.
    async fn has_failed(&self, mine: &Record, found: &Record) -> Result<bool, Trouble> {
        if found.owner != mine.owner || found.request == mine.request {
            return Ok(false);
        }
        let said = said_to(&*self.world, &found.request).await?;
        Ok(matches!(said, Some(Said { answer: Answer::Failure { .. }, .. })))
    }

    /// Writes the record of a request. An earlier delivery of the same request may have been concluded, and undone by a later request,
    /// since this one asked.
    pub(crate) async fn record(
        &self,
        call: &Call,
        record: &Record,
        found: Option<Record>,
    ) -> Result<(), Stop> {
        if found.as_ref().is_some_and(|found| found.is(record)) {
            // Another delivery has written it. Were it written again, a Delete that has come since would be undone.
            return Ok(());
        }
        // What was found may be a later request's.
        if let Some(said) = said_before(&*self.world, call).await? {
            return Err(Stop::Concluded(said.answer));
        }
        let was_there = found.is_some();
        let written = if record.desired.is_some() { record.clone().after(found) } else { record.clone() };
        let is_new = self.put(&written, was_there).await?;
        let Some(said) = said_before(&*self.world, call).await? else { return Ok(()) };
        // Concluded between look and write. If there was no record at either, a later request has deleted the user. One that was there is
        // not put back: it is older than the conclusion.
        if is_new && self.found(&record.user).await?.is_some_and(|now| now.is(record)) {
            self.world.forget(record.user.as_str()).await?;
        }
        Err(Stop::Concluded(said.answer))
    }

    /// Writes a record; returns whether there was none at that moment.
    async fn put(&self, written: &Record, was_there: bool) -> Result<bool, Stop> {
        let refused = |trouble: Trouble| {
            let denied = matches!(&trouble, Trouble::Call(error) if error.kind == aws::Kind::Denied);
            let stop = Stop::from(trouble);
            // A Delete of what was not written would be denied too, and the roll-back fail with it.
            if denied { stop.nothing_made() } else { stop }
        };
        if !was_there {
            if self.world.write_new(written).await.map_err(refused)? {
                return Ok(true);
            }
            match self.world.record(&written.user).await {
                Ok(Some(now)) if now.is(written) => return Ok(false),
                // It cannot be read, so it was not found.
                Err(Trouble::Record(_)) => {}
                Ok(_) => {
                    let user = &written.user;
                    return Err(Stop::Aws(format!("the record of user {user} was written concurrently")));
                }
                Err(trouble) => return Err(trouble.into()),
            }
        }
        self.world.write(written).await.map_err(refused)?;
        Ok(false)
    }

    /// A Delete or another Update may have come meanwhile: the record says. What was made of a user that is not wanted any more is
    /// removed again.
    async fn still_wanted(&self, call: &Call, record: &Record, ground: &Ground<'_>) -> Result<(), Stop> {
        call.step("look whether it is wanted still");
        let user = &record.user;
        match standing(record, self.world.record(user).await?.as_ref()) {
            Standing::Wanted => Ok(()),
            Standing::Changed => {
                // What this request has made last is what the later one has made first.
                if let Err(trouble) = follow(&*self.world, &self.config, ground, user).await {
                    not_followed(user, &trouble);
                }
                Err(Stop::failed(&format_args!(
                    "user {user} was changed by a later request while this one ran: that one counts, and this one gave up"
                )))
            }
            Standing::Unwanted => {
                let told = take_back(&*self.world, &self.config, ground, &record.absent()).await?;
                Err(Stop::failed(&format_args!(
                    "user {user} was deleted while it was being made: what was made is removed again{}",
                    match problems(&told) {
                        none if none.is_empty() => String::new(),
                        left => format!(", but not everywhere: {left}"),
                    }
                )))
            }
        }
    }

    /// The record that is there; one that cannot be read is replaced by what this request says.
    pub(crate) async fn found(&self, user: &UserName) -> Result<Option<Record>, Trouble> {
        match self.world.record(user).await {
            Err(Trouble::Record(_)) => Ok(None),
            found => found,
        }
    }
}

/// The record could not be followed at once; the reconcile does it.
pub(crate) fn not_followed(user: &UserName, trouble: &Trouble) {
    tracing::warn!(event = "user-out-of-order", user = %user, "user {user}: {trouble}");
}

/// `may_wait`: its nodes have been waited for less long than they may be.
fn conclude(desired: &Desired, told: &[Told], away: Away, may_wait: bool) -> Result<Answer, Stop> {
    let left: Vec<&Problem> = told.iter().filter_map(|told| told.outcome.as_ref().err()).collect();
    let later = away == Away::IsCompletedLater && left.iter().all(|problem| problem.is_unreachable());
    if left.is_empty() || later {
        if !left.is_empty() {
            tracing::warn!(
                event = "user-applied-in-part", user = %desired.user,
                "user {} is put back where it can be, and elsewhere as soon as the node answers: {}",
                desired.user, problems(told)
            );
        }
        let data = [
            ("Username", desired.user.to_string()),
            ("Role", desired.role.to_string()),
            ("Nodes", told.len().to_string()),
        ];
        let data = BTreeMap::from(data.map(|(name, value)| (name.to_owned(), value)));
        return Ok(Answer::Success { data });
    }
    if left.iter().all(|problem| problem.passes()) && may_wait {
        return Err(Stop::Nodes(problems(told)));
    }
    Err(Stop::failed(&format_args!(
        "user {} is not what it should be on {} of {} nodes: {}; {}. When they are in order, deploy again: what is done already is \
         left as it is",
        desired.user,
        left.len(),
        told.len(),
        problems(told),
        done_on(told)
    )))
}
