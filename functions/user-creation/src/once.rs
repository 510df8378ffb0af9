//! A request is worked on until it is concluded, and then never again: Lambda delivers an event at least
//! once, and a second delivery may come after later requests.

use std::{
    future::Future,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use custom_resource::{Call, Failure, Outcome};
use serde::{Deserialize, Serialize};

use crate::{
    RequestId, Trouble, World,
    said::{Answer, Said},
};

/// The wait between two looks at nodes that are not there yet.
const BETWEEN_LOOKS: Duration = Duration::from_secs(5);
/// After a call to AWS that may succeed in a moment: the first pause...
const FIRST_PAUSE_MS: u64 = 1000;
/// ...which doubles at most this often, to 16 s: the Parameter Store accepts some three writes a second from
/// an account, and twenty users are through within half a minute.
const DOUBLINGS: u32 = 4;

/// What the calls of one request pass on to the next one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Progress {
    /// When the user's record was written, in seconds since 1970; `None` before that.
    pub(crate) since: Option<u64>,
    /// The same for the login of a rename that is rolled back.
    pub(crate) taken_back_since: Option<u64>,
    /// Whether that login has been dealt with: removed, or found to be of another resource.
    pub(crate) taken_back: bool,
    /// Whether this Update undoes one that failed. Found before the failed one's record is replaced.
    pub(crate) undoes: bool,
    /// How many calls to AWS failed in a row.
    pub(crate) failed: u32,
    /// The conclusion, when only remembering it is left.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) answer: Option<Answer>,
}

/// Why there is no success, or not yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The request waits for nodes.
    Nodes(String),
    /// A call to AWS failed, and a retry may succeed in a moment.
    Aws(String),
    /// The request is concluded, by this delivery or by another one.
    Concluded(Answer),
}

impl From<Trouble> for Stop {
    fn from(trouble: Trouble) -> Self {
        if trouble.passes() {
            Self::Aws(trouble.to_string())
        } else {
            Self::Concluded(Answer::failed(&trouble))
        }
    }
}

impl Stop {
    pub(crate) fn failed(reason: &impl ToString) -> Self {
        Self::Concluded(Answer::failed(reason))
    }

    /// The same for a request that has made nothing.
    pub(crate) fn nothing_made(self) -> Self {
        match self {
            Self::Concluded(Answer::Failure { reason, .. }) => {
                Self::Concluded(Answer::Failure { reason, nothing_made: true })
            }
            other => other,
        }
    }
}

impl Progress {
    /// What the call before this one left.
    pub(crate) fn of(call: &Call) -> Self {
        call.left()
    }

    fn waiting(self, after: Duration, waiting_for: String) -> Outcome {
        // Times, booleans and sentences cannot fail.
        let progress = serde_json::to_value(self).unwrap_or_default();
        Outcome::Unfinished { progress, after, waiting_for }
    }

    pub(crate) fn waits_for_nodes(self, waiting_for: String) -> Outcome {
        Self { failed: 0, ..self }.waiting(BETWEEN_LOOKS, waiting_for)
    }

    pub(crate) fn waits_for_aws(self, request: &str, waiting_for: String) -> Outcome {
        let after = pause(self.failed, request);
        Self { failed: self.failed + 1, ..self }.waiting(after, waiting_for)
    }
}

/// Does `work` unless the request was concluded before, and remembers its conclusion before it is answered.
pub(crate) async fn once<W, F>(
    world: &W,
    call: &Call,
    mut progress: Progress,
    work: impl FnOnce(Progress) -> F + Send,
) -> Result<Outcome, Failure>
where
    W: World,
    F: Future<Output = (Progress, Result<Answer, Stop>)> + Send,
{
    let ended = match (progress.answer.clone(), said_before(world, call).await) {
        // A later request may have come since, and the same work again would undo it.
        (_, Ok(Some(said))) => {
            tracing::info!(
                event = "request-answered-before",
                logical_id = call.logical_id,
                request_id = call.request_id,
                "this request was concluded before: it is answered with what was said then, and nothing is changed"
            );
            return said.answer.into_outcome();
        }
        // An earlier call has done the work: only its answer is not remembered yet.
        (Some(answer), _) => Ok(answer),
        (None, Ok(None)) => {
            let ended;
            (progress, ended) = work(progress).await;
            ended
        }
        // It is not known whether the request was concluded, so nothing is changed.
        (None, Err(trouble)) => {
            let stop = Stop::from(trouble);
            Err(if progress.since.is_none() { stop.nothing_made() } else { stop })
        }
    };
    match ended {
        Err(Stop::Nodes(waiting_for)) => Ok(progress.waits_for_nodes(waiting_for)),
        Err(Stop::Aws(waiting_for)) => Ok(progress.waits_for_aws(&call.request_id, waiting_for)),
        Ok(answer) | Err(Stop::Concluded(answer)) => {
            call.step("remember the answer");
            // Before the answer is sent, so that a second delivery finds it.
            match remember(world, call, &answer).await {
                Ok(answer) => answer.into_outcome(),
                Err(trouble) if trouble.passes() => {
                    progress.answer = Some(answer);
                    Ok(progress.waits_for_aws(&call.request_id, trouble.to_string()))
                }
                // The work is done, and a stack must not fail because a late second delivery might come.
                Err(trouble) => {
                    tracing::warn!(
                        event = "request-not-remembered",
                        request_id = call.request_id,
                        "a second delivery of this request would be worked on again: {trouble}"
                    );
                    answer.into_outcome()
                }
            }
        }
    }
}

/// What was answered to this request, if it was concluded. An id that cannot be part of a parameter's name is
/// not CloudFormation's, and is never remembered.
pub(crate) async fn said_before<W: World>(world: &W, call: &Call) -> Result<Option<Said>, Trouble> {
    said_to(world, &call.request_id).await
}

/// What was answered to any request, if it is remembered.
pub(crate) async fn said_to<W: World>(world: &W, request: &str) -> Result<Option<Said>, Trouble> {
    match request.parse::<RequestId>() {
        Ok(id) => world.said(&id).await,
        Err(_) => Ok(None),
    }
}

/// Remembers an answer, and returns the one that counts: another delivery of the same
/// request may have been faster.
async fn remember<W: World>(world: &W, call: &Call, answer: &Answer) -> Result<Answer, Trouble> {
    let Ok(id) = call.request_id.parse::<RequestId>() else { return Ok(answer.clone()) };
    let said = Said { at: now(), answer: answer.clone() };
    Ok(world.say(&id, &said).await?.answer)
}

/// Doubled each time, and longer by up to a half, by the request's id: twenty users of one template must not
/// call at the same moments.
fn pause(failed: u32, request: &str) -> Duration {
    let shortest = FIRST_PAUSE_MS << failed.min(DOUBLINGS);
    let number =
        request.bytes().fold(u64::from(failed), |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
    Duration::from_millis(shortest + number % (shortest / 2))
}

/// The pause after a first failure, for calls that are retried in a loop of their own.
pub(crate) fn first_pause() -> Duration {
    Duration::from_millis(FIRST_PAUSE_MS)
}

/// Seconds since 1970: a continuation runs in another process.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use aws::Kind;

    use super::*;

    #[test]
    fn what_passes_is_waited_for_and_the_rest_is_a_failure() {
        let of = |kind| {
            let error = aws::Error { call: "ssm:PutParameter", what: "p".into(), reason: "r".into(), kind };
            Stop::from(Trouble::from(error))
        };
        for kind in [Kind::Throttled, Kind::Passing] {
            assert!(matches!(of(kind), Stop::Aws(said) if said.contains("ssm:PutParameter")), "{kind:?}");
        }
        for kind in [Kind::Denied, Kind::Other] {
            let Stop::Concluded(Answer::Failure { nothing_made, .. }) = of(kind) else { panic!("{kind:?}") };
            assert!(!nothing_made);
        }
        let missing = Stop::from(Trouble::NoSecret { arn: "arn".into() }).nothing_made();
        assert!(matches!(missing, Stop::Concluded(Answer::Failure { nothing_made: true, .. })));
    }

    #[test]
    fn pauses_grow_to_an_end_and_differ_between_requests() {
        for failed in 0..10 {
            let shortest = 1000 << failed.min(4);
            let pauses: Vec<u64> = (0..20)
                .map(|user| u64::try_from(pause(failed, &format!("request-{user}")).as_millis()).unwrap())
                .collect();
            assert!(pauses.iter().all(|pause| (shortest..shortest * 3 / 2).contains(pause)), "{pauses:?}");
            let different: std::collections::BTreeSet<_> = pauses.iter().collect();
            assert!(different.len() > 10, "{pauses:?}");
        }
        assert!(pause(u32::MAX, "r") < Duration::from_secs(24));
    }

    #[test]
    fn progress_of_another_form_is_no_progress() {
        let mut call = Call::new("arn", "L", "r", tokio::time::Instant::now());
        assert_eq!(Progress::of(&call), Progress::default());
        let left =
            Progress { since: Some(7), failed: 2, answer: Some(Answer::done()), ..Progress::default() };
        call.progress = Some(serde_json::to_value(&left).unwrap());
        assert_eq!(Progress::of(&call), left);
        call.progress = Some("nonsense".into());
        assert_eq!(Progress::of(&call), Progress::default());
    }
}
