//! Makes a user match its resource, on every node.

use std::{collections::BTreeMap, time::Duration};

use custom_resource::Call;
use neo4j::UserName;
use tokio::time::Instant;

use crate::{
    Desired, Neo4jUser, Record, Trouble, World,
    converge::{Problem, Proof, Target},
    events::tell,
    everywhere::{Told, done_on, everywhere, problems},
    follow::{Ground, follow, take_back},
    once::{Progress, Stop, now, said_before, said_to},
    properties::Properties,
    said::{Answer, Said},
    secrets::Passwords,
};

/// Kept of an invocation's time, to look at the record after nodes were changed.
const FOR_THE_RECORD: Duration = Duration::from_secs(20);

/// How a request relates to the ones before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind<'a> {
    Create,
    /// It undoes an Update that failed, if the found record is of such a one.
    Update,
    /// The roll-back of a rename to this login.
    RenameBack(&'a UserName),
}

/// What a node that is away means for the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Away {
    /// The request waits for it, and then fails.
    Fails,
    /// A failed update is being rolled back: the node had this user before, and the reconcile
    /// completes what it lacks.
    IsCompletedLater,
}

/// What the record says about the request that applies it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// The record is this request's.
    Wanted,
    /// A later request changed what the user should be.
    Changed,
    /// The user must be absent.
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
    /// Records the wanted user, applies it everywhere, and looks whether it is still wanted.
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
        // Before the record is written: a request that fails here has made nothing.
        let passwords = Passwords::read(&*self.world, &desired.secret_arn).await.map_err(unless_recorded)?;
        let admin = self.admin().await.map_err(unless_recorded)?;
        if !recorded {
            call.step("record the user");
            let found = self.found(&desired.user).await.map_err(unless_recorded)?;
            // An earlier call may have set it too, written the record, and been stopped right after that.
            progress.undoes |= match (kind, &found) {
                (Kind::Create, _) | (Kind::Update, None) => false,
                (Kind::Update, Some(found)) => {
                    self.has_failed(&record, found).await.map_err(unless_recorded)?
                }
                (Kind::RenameBack(_), _) => true,
            };
            // The record first, the nodes second: the reconcile completes what this invocation does not.
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
        let told = everywhere(&self.config, &nodes, &admin, &target, Proof::Always).await;
        tell(&desired.user, &told);
        // Once more after the nodes were changed: a Delete may have come meanwhile.
        self.still_wanted(call, &record, &ground).await?;
        let waited = Duration::from_secs(now().saturating_sub(begun));
        let away = if progress.undoes { Away::IsCompletedLater } else { Away::Fails };
        conclude(&desired, &told, away, waited < self.config.node_wait)
    }

    /// Whether the found record is of an earlier request of the same resource, and that request failed.
    /// CloudFormation marks no Update as a roll-back; after a failed Update comes the one that undoes it.
    async fn has_failed(&self, mine: &Record, found: &Record) -> Result<bool, Trouble> {
        if found.owner != mine.owner || found.request == mine.request {
            return Ok(false);
        }
        let said = said_to(&*self.world, &found.request).await?;
        Ok(matches!(said, Some(Said { answer: Answer::Failure { .. }, .. })))
    }

    /// Writes the record of a request. Since this delivery looked, an earlier delivery of the same request
    /// may have been concluded, and undone by a later request.
    pub(crate) async fn record(
        &self,
        call: &Call,
        record: &Record,
        found: Option<Record>,
    ) -> Result<(), Stop> {
        if found.as_ref().is_some_and(|found| found.is(record)) {
            // Another delivery has written it. To write it again would undo a Delete that has come since.
            return Ok(());
        }
        // The found record may be of a later request, which came after this one was concluded.
        if let Some(said) = said_before(&*self.world, call).await? {
            return Err(Stop::Concluded(said.answer));
        }
        let was_there = found.is_some();
        let written = if record.desired.is_some() { record.clone().after(found) } else { record.clone() };
        let is_new = self.put(&written, was_there).await?;
        // Once more after the write, because the Parameter Store has no conditional overwrite.
        let Some(said) = said_before(&*self.world, call).await? else { return Ok(()) };
        // Concluded between look and write. If there was no record at either moment, a later request has
        // deleted the user. A record that was there is not put back: it is older than the conclusion.
        if is_new && self.found(&record.user).await?.is_some_and(|now| now.is(record)) {
            self.world.forget(record.user.as_str()).await?;
        }
        Err(Stop::Concluded(said.answer))
    }

    /// Writes a record. Returns whether it was absent at that moment.
    async fn put(&self, written: &Record, was_there: bool) -> Result<bool, Stop> {
        let refused = |trouble: Trouble| {
            let denied = matches!(&trouble, Trouble::Call(error) if error.kind == aws::Kind::Denied);
            let stop = Stop::from(trouble);
            // A Delete of an unwritten record would be denied too, and the roll-back would fail with it.
            if denied { stop.nothing_made() } else { stop }
        };
        if !was_there {
            // An absent parameter can be written conditionally, an existing one cannot.
            if self.world.write_new(written).await.map_err(refused)? {
                return Ok(true);
            }
            match self.world.record(&written.user).await {
                Ok(Some(now)) if now.is(written) => return Ok(false),
                // A malformed record counts as absent, and is overwritten.
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

    /// A Delete or another Update may have come meanwhile, which the record shows. What was made of a user
    /// that is not wanted any more is removed again.
    async fn still_wanted(&self, call: &Call, record: &Record, ground: &Ground<'_>) -> Result<(), Stop> {
        call.step("look whether it is wanted still");
        let user = &record.user;
        match standing(record, self.world.record(user).await?.as_ref()) {
            Standing::Wanted => Ok(()),
            Standing::Changed => {
                // This request may have applied the older record last, so the later one is applied again.
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

    /// The existing record; a malformed one counts as absent, and this request replaces it.
    pub(crate) async fn found(&self, user: &UserName) -> Result<Option<Record>, Trouble> {
        match self.world.record(user).await {
            Err(Trouble::Record(_)) => Ok(None),
            found => found,
        }
    }
}

/// Logs that the record could not be applied at once; the reconcile applies it.
pub(crate) fn not_followed(user: &UserName, trouble: &Trouble) {
    tracing::warn!(event = "user-out-of-order", user = %user, "user {user}: {trouble}");
}

/// `may_wait`: the request has waited for its nodes for less long than it may.
fn conclude(desired: &Desired, told: &[Told], away: Away, may_wait: bool) -> Result<Answer, Stop> {
    let left: Vec<&Problem> = told.iter().filter_map(|told| told.outcome.as_ref().err()).collect();
    // A roll-back must not fail because of a node that does not answer: the reconcile completes it there.
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
    // A node that was replaced is back in a minute or two, so the request waits before it fails.
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
