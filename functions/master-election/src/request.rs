//! What a payload asks for. Every other payload is a sweep: schedules and doorbells only say when to look.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use topology::{Decision, Millis, Past, Pause, State};

/// The longest pause: an operator who needs more asks again, so that a forgotten pause ends within a day.
const LONGEST_PAUSE_MINUTES: u64 = 24 * 60;
const DEFAULT_PAUSE_MINUTES: u64 = 30;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Every other payload: look, and act.
    Sweep {
        /// A doorbell: an event of a node or of ECS, so something may have changed. The schedule's own
        /// event is not a doorbell.
        rung: bool,
    },
    /// `{"explain":true}`: what a sweep would find and do now.
    Explain,
    /// `{"pause":{"owner":"ada","minutes":30}}`: nothing is done for a while.
    Pause {
        /// The operator who asks.
        owner: String,
        time: Duration,
    },
    /// `{"resume":true}`: ends a pause.
    Resume,
    /// `{"history":true}`: the last things that were done, and what is known.
    History,
}

/// A malformed pause, resume, explain or history.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotUnderstood(String);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    owner: String,
    minutes: Option<u64>,
}

impl Request {
    /// Reads a payload.
    ///
    /// # Errors
    /// One sentence for a pause without an owner, or one that is too long: a malformed pause must
    /// not be taken for a sweep.
    pub fn read(payload: &Value) -> Result<Self, NotUnderstood> {
        let set = |name: &str| payload.get(name) == Some(&Value::Bool(true));
        if let Some(pause) = payload.get("pause") {
            let asked = serde_json::from_value::<Asked>(pause.clone());
            let asked =
                asked.map_err(|error| NotUnderstood(format!("pause: {error}; send {PAUSE_EXAMPLE}")))?;
            let minutes = asked.minutes.unwrap_or(DEFAULT_PAUSE_MINUTES);
            if asked.owner.trim().is_empty() || !(1..=LONGEST_PAUSE_MINUTES).contains(&minutes) {
                let rule = format!(
                    "pause needs an owner and 1 to {LONGEST_PAUSE_MINUTES} minutes; send {PAUSE_EXAMPLE}"
                );
                return Err(NotUnderstood(rule));
            }
            return Ok(Self::Pause { owner: asked.owner, time: Duration::from_secs(minutes * 60) });
        }
        Ok(match () {
            () if set("explain") => Self::Explain,
            () if set("resume") => Self::Resume,
            () if set("history") => Self::History,
            () => {
                Self::Sweep { rung: payload["detail-type"].is_string() && payload["detail-type"] != SCHEDULE }
            }
        })
    }

    /// The pause to write into the state; `None` ends one.
    pub(crate) fn pause(&self, now: Millis) -> Option<Pause> {
        match self {
            Self::Pause { owner, time } => Some(Pause { owner: owner.clone(), until: now.after(*time) }),
            _ => None,
        }
    }
}

/// The `detail-type` of an event that EventBridge Scheduler sends without an input of its own.
const SCHEDULE: &str = "Scheduled Event";
const PAUSE_EXAMPLE: &str = r#"{"pause":{"owner":"your name","minutes":30}}"#;

#[derive(Clone, Debug, Serialize)]
pub struct Explained {
    /// The name of the condition, and its one line.
    pub verdict: String,
    pub sentence: String,
    /// The calls that it would make.
    pub actions: Vec<String>,
    /// The calls that it would not make, and why.
    pub refusals: Vec<String>,
}

impl From<Decision> for Explained {
    fn from(decision: Decision) -> Self {
        let text = |items: &[String]| items.to_vec();
        let actions: Vec<String> = decision.actions.iter().map(ToString::to_string).collect();
        let refusals: Vec<String> = decision.refusals.iter().map(ToString::to_string).collect();
        Self {
            verdict: format!("{}: {}", decision.verdict, decision.verdict.description()),
            sentence: decision.sentence,
            actions: text(&actions),
            refusals: text(&refusals),
        }
    }
}

/// The answer to `history`, `pause` and `resume`.
#[derive(Clone, Debug, Serialize)]
pub struct Told {
    /// The sentence of the last round that changed something.
    pub sentence: String,
    /// The master that is followed, as `slot at address`.
    pub master: Option<String>,
    pub pause: Option<Pause>,
    /// An invocation that still executes a plan from before the pause; absent if none does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acting: Option<Acting>,
    /// The last things that were done, oldest first.
    pub history: Vec<Past>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Acting {
    /// Its request id and a random part.
    pub owner: String,
    /// When it will have ended at the latest.
    pub until: Millis,
}

impl From<State> for Told {
    fn from(state: State) -> Self {
        let master = state.master.map(|master| format!("{} at {}", master.slot, master.address));
        Self { sentence: state.sentence, master, pause: state.pause, acting: None, history: state.history }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn payloads_of_people_are_told_from_those_of_the_cloud() {
        let table = [
            (json!({}), Request::Sweep { rung: false }),
            (json!(null), Request::Sweep { rung: false }),
            (
                json!({"source": "aws.scheduler", "detail-type": "Scheduled Event", "detail": "{}"}),
                Request::Sweep { rung: false },
            ),
            (
                json!({"source": "neo4j.node", "detail-type": "joined", "detail": {}}),
                Request::Sweep { rung: true },
            ),
            (json!({"explain": true}), Request::Explain),
            (json!({"explain": "no"}), Request::Sweep { rung: false }),
            (json!({"resume": true}), Request::Resume),
            (json!({"history": true}), Request::History),
            (
                json!({"source": "aws.ecs", "detail-type": "ECS Task State Change", "detail": {"pause": {}}}),
                Request::Sweep { rung: true },
            ),
            (
                json!({"pause": {"owner": "ada"}}),
                Request::Pause { owner: "ada".into(), time: Duration::from_secs(1800) },
            ),
        ];
        for (payload, expected) in table {
            assert_eq!(Request::read(&payload), Ok(expected), "{payload}");
        }
    }

    #[test]
    fn a_pause_that_is_not_understood_is_refused_with_an_example() {
        for pause in [
            json!(true),
            json!({}),
            json!({"owner": ""}),
            json!({"owner": "ada", "minutes": 0}),
            json!({"owner": "ada", "minutes": 9999}),
            json!({"owner": "ada", "hours": 1}),
        ] {
            let error = Request::read(&json!({ "pause": pause })).unwrap_err().to_string();
            assert!(error.contains(PAUSE_EXAMPLE), "{pause}: {error}");
        }
    }
}
