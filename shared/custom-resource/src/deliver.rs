//! The PUT of the answer, with its retries.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::{
    Answers, Broken, ResponseUrl,
    guard::{Stopped, guarded_until},
};

/// One try: a PUT within the region takes some ten milliseconds, half of them for TLS.
const TRY: Duration = Duration::from_secs(2);
/// With less time than this a try cannot succeed.
const SHORTEST_TRY: Duration = Duration::from_millis(100);
/// The pause doubles from this...
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// ...to this.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Kept for the log line after the answer, and for Lambda to notice that the function is done.
const LAST: Duration = Duration::from_millis(150);
/// The limit for all tries together, however much time the invocation has left.
const LONGEST: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Delivery {
    Taken,
    Refused(u16),
    Lost,
}

/// Sends `body` until it is accepted, refused, or the `deadline` of the function is near. A PUT without an
/// answer may have arrived; the PUT is idempotent.
pub(crate) async fn deliver<A: Answers>(
    answers: &A,
    url: &ResponseUrl,
    body: Vec<u8>,
    deadline: Instant,
) -> Delivery {
    let now = Instant::now();
    let until = (now + deadline.saturating_duration_since(now).saturating_sub(LAST)).min(now + LONGEST);
    let mut pause = FIRST_PAUSE;
    let mut attempt = 0_u32;
    loop {
        attempt += 1;
        let left = until.saturating_duration_since(Instant::now());
        let within = TRY.min((left / 2).max(SHORTEST_TRY));
        let put =
            guarded_until(Instant::now() + within, Box::pin(answers.put(url, body.clone(), within))).await;
        let put = put.unwrap_or_else(|stopped| {
            Err(match stopped {
                Stopped::TimedOut => Broken::TimedOut,
                Stopped::Panicked(_) => Broken::Connection("an internal fault of the client".to_owned()),
            })
        });
        let trouble = match put {
            Ok(200..300) => return Delivery::Taken,
            Ok(status @ (429 | 500..)) => format!("status {status}"),
            Ok(status) => {
                tracing::error!(
                    event = "custom-resource-answer-refused",
                    status,
                    url = url.without_query(),
                    "the answer was refused with status {status}: it is not sent again. CloudFormation waits until its \
                     timeout unless it has an answer already"
                );
                return Delivery::Refused(status);
            }
            Err(broken) => broken.to_string(),
        };
        if Instant::now() + pause + SHORTEST_TRY > until {
            tracing::error!(
                event = "custom-resource-answer-lost",
                attempt,
                url = url.without_query(),
                trouble,
                "no try to answer was taken, and there is no time for another one"
            );
            return Delivery::Lost;
        }
        tracing::warn!(event = "custom-resource-answer-retried", attempt, %url, trouble, "the answer is sent again");
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}
