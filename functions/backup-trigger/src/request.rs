//! What a payload asks for. Every other payload is a tick: schedules and events only say when to look.

use runtime::Cluster;
use serde::Serialize;
use serde_json::Value;
use tracing::info;

use crate::{
    Decision, Stored, Trouble, World,
    runs::{Request as Wanted, Runs},
};

/// Tries of the write: a concurrent tick may win, and then this one starts from the newer state.
const TRIES: u32 = 5;
const EXAMPLE: &str = r#"{"tier":"manual"} or {"tier":"manual","slot":"<name of a slot>"}"#;

/// What an invocation is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Every other payload: look, and act.
    Tick,
    /// `{"tier":"manual"}`: a backup at once, from `slot` if it is named.
    Manual { slot: Option<String> },
    /// `{"catalogue":true}`: what there is, what it is worth, and what becomes of it.
    Catalogue,
    /// `{"history":true}`: the run that is under way, and the last ones that ended.
    History,
    /// `{"explain":true}`: what a tick would do now.
    Explain,
}

/// A malformed request for a backup.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}, so no backup was requested; send {EXAMPLE}")]
pub struct NotUnderstood {
    reason: String,
}

impl Request {
    /// Reads a payload.
    ///
    /// # Errors
    /// One sentence for a malformed request, which must not be taken for a tick: the operator would wait for
    /// a backup that never comes.
    pub fn read(payload: &Value, cluster: &Cluster) -> Result<Self, NotUnderstood> {
        let set = |name: &str| payload.get(name) == Some(&Value::Bool(true));
        let refuse = |reason: String| Err(NotUnderstood { reason });
        if let Some(tier) = payload.get("tier") {
            if tier != "manual" {
                return refuse(format!("the tier {tier} is made by its schedule"));
            }
            let slot = match payload.get("slot") {
                None | Some(Value::Null) => None,
                Some(Value::String(slot)) if cluster.slot(slot).is_some() => Some(slot.clone()),
                Some(other) => {
                    let slots: Vec<&str> = cluster.slots.iter().map(|slot| slot.name.as_str()).collect();
                    return refuse(format!("{other} is not a slot of this cluster ({})", slots.join(", ")));
                }
            };
            return Ok(Self::Manual { slot });
        }
        Ok(match () {
            () if set("catalogue") => Self::Catalogue,
            () if set("history") => Self::History,
            () if set("explain") => Self::Explain,
            () => Self::Tick,
        })
    }
}

/// Writes a request for a manual backup, which the next tick takes.
///
/// # Errors
/// When another request has not come to its end, or the state cannot be read or written.
pub async fn request<W: World>(world: &W, slot: Option<String>) -> Result<(), Unwanted> {
    for _try in 0..TRIES {
        let (found, version) = world.load().await?;
        let now = world.now();
        let mut runs = found.unwrap_or_else(|| Runs::new(now));
        if let Some(Wanted { at, slot }) = runs.requested {
            let slot = slot.unwrap_or_else(|| "any slot".to_owned());
            return Err(Unwanted::Pending { at: at.to_string(), slot });
        }
        runs.requested = Some(Wanted { slot: slot.clone(), at: now });
        if let Stored::Written(_) = world.store(&runs, &version).await? {
            info!(event = "backup-requested", slot, "an operator requested a backup");
            return Ok(());
        }
    }
    Err(Trouble::Contended.into())
}

/// Why a request was not recorded.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Unwanted {
    #[error(
        "a backup from {slot} was requested at {at} and has not come to its end, so this request was not recorded: look at \
         {{\"history\":true}}, and send it again then"
    )]
    Pending { at: String, slot: String },
    #[error(transparent)]
    Trouble(#[from] Trouble),
}

/// The answer to `explain`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explained {
    pub sentence: String,
    /// The calls that a tick would make.
    pub actions: Vec<String>,
    /// Why something that is due would not be begun.
    pub refusal: Option<String>,
}

impl From<Decision> for Explained {
    fn from(decision: Decision) -> Self {
        Self {
            actions: decision.actions.iter().map(ToString::to_string).collect(),
            refusal: decision.refusal.map(|refusal| refusal.to_string()),
            sentence: decision.sentence,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn cluster() -> Cluster {
        Cluster::read(&runtime::example::CLUSTER.into_iter().collect()).unwrap()
    }

    #[test]
    fn payloads_of_operators_are_told_from_those_of_the_cloud() {
        let manual = |slot: Option<&str>| Request::Manual { slot: slot.map(str::to_owned) };
        let table = [
            (json!({}), Request::Tick),
            (json!(null), Request::Tick),
            (json!([]), Request::Tick),
            (
                json!({"source": "aws.scheduler", "detail-type": "Scheduled Event", "detail": "{}"}),
                Request::Tick,
            ),
            (
                json!({"source": "aws.ecs", "detail-type": "ECS Task State Change", "detail": {"tier": "manual"}}),
                Request::Tick,
            ),
            (json!({"catalogue": true}), Request::Catalogue),
            (json!({"catalogue": "no"}), Request::Tick),
            (json!({"history": true}), Request::History),
            (json!({"explain": true}), Request::Explain),
            (json!({"tier": "manual"}), manual(None)),
            (json!({"tier": "manual", "slot": null}), manual(None)),
            (json!({"tier": "manual", "slot": "core-2"}), manual(Some("core-2"))),
        ];
        for (payload, expected) in table {
            assert_eq!(Request::read(&payload, &cluster()), Ok(expected), "{payload}");
        }
    }

    #[test]
    fn a_request_that_is_not_understood_is_refused_with_an_example() {
        for (payload, part) in [
            (json!({"tier": "hourly"}), "the tier \"hourly\" is made by its schedule"),
            (json!({"tier": 1}), "the tier 1 is made"),
            (
                json!({"tier": "manual", "slot": "core-9"}),
                "\"core-9\" is not a slot of this cluster (core-1, core-2",
            ),
            (json!({"tier": "manual", "slot": ["core-1"]}), "is not a slot of this cluster"),
        ] {
            let error = Request::read(&payload, &cluster()).unwrap_err().to_string();
            assert!(error.contains(part) && error.ends_with(EXAMPLE), "{error}");
        }
    }
}
