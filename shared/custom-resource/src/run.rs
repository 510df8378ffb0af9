//! One invocation's share of a request: calls the resource until it is done, fails, or a further
//! invocation has to continue.

use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, sleep, sleep_until};

use crate::{
    Call, Data, Failure, HandOver, Invocation, Outcome,
    answer::{Answer, usable},
    continuation::Continuation,
    guard::{Panicked, Stopped, guarded, guarded_until},
    limits::{Limits, Next},
    plan::{Plan, Served, Step},
    request::{Kind, Request},
};

/// How often the hand-over is tried, with pauses that double.
const HAND_OVERS: u32 = 3;
const FIRST_PAUSE: Duration = Duration::from_millis(200);

const OWN_TIME: &str =
    "the function's own time is up; give it a longer timeout, or see in its log what holds this step up";

/// How the work of an invocation ended.
pub(crate) enum Conclusion {
    Answer(Answer),
    HandedOver,
}

impl Conclusion {
    pub(crate) fn of(physical_id: String, result: Result<Data, Failure>) -> Self {
        Self::Answer(Answer { physical_id, result })
    }
}

/// The state between two calls.
pub(crate) struct Run<'a> {
    request: &'a Request<'a>,
    kind: Kind,
    resource: &'a dyn Served,
    limits: Limits,
    begun: Instant,
    /// The time at `begun`, since 1970.
    now: Duration,
    /// When the first invocation began, since 1970.
    started: Duration,
    number: u32,
    /// No call is made before this.
    not_before: Instant,
    progress: Option<Value>,
    waiting_for: String,
    /// The id of what an earlier invocation of a Create may have made.
    begun_as: Option<String>,
}

impl<'a> Run<'a> {
    pub(crate) fn new(
        request: &'a Request<'a>,
        kind: Kind,
        resource: &'a dyn Served,
        begun: Instant,
        invocation: Invocation,
        continuation: Option<Continuation>,
    ) -> Self {
        let now = invocation.now;
        let started = continuation.as_ref().map_or(now, |before| before.started(now));
        let limits =
            Limits::new(begun, invocation.remaining, now.saturating_sub(started), request.service_timeout);
        let wait =
            continuation.as_ref().map_or(Duration::ZERO, |before| before.not_before().saturating_sub(now));
        let (number, progress, waiting_for, begun_as) =
            continuation.map_or((1, None, String::new(), None), |before| {
                (
                    before.number(),
                    Some(before.progress),
                    before.waiting_for,
                    before.physical_id.filter(|id| usable(id)),
                )
            });
        let not_before = begun + wait.min(request.service_timeout);
        // The request of an Update or a Delete has the id itself.
        let begun_as = begun_as.filter(|id| kind == Kind::Create && usable(id));
        Self {
            request,
            kind,
            resource,
            limits,
            begun,
            now,
            started,
            number,
            not_before,
            progress,
            waiting_for,
            begun_as,
        }
    }

    /// Calls the resource until there is a conclusion.
    ///
    /// # Errors
    /// A failure before anything was called, in this invocation or an earlier one, or a failure of a Create
    /// that made nothing: the answer must have an id that belongs to nothing.
    pub(crate) async fn complete<H: HandOver>(mut self, hand_over: &H) -> Result<Conclusion, Failure> {
        // An earlier invocation may have left a pause that is longer than this invocation.
        let left = self.not_before.saturating_duration_since(Instant::now());
        let mut next =
            if left.is_zero() { Next::Here(self.begun) } else { self.limits.next(Instant::now(), left) };
        loop {
            let call = self.call();
            let plan = guarded(|| self.resource.plan(self.kind, self.request, &call));
            let Plan { success, failure, work } = match plan
                .unwrap_or_else(|Panicked(at)| Err(self.fault(&call, &at)))
            {
                Ok(plan) => plan,
                Err(refused) => {
                    // An earlier invocation of the Create may have made something: the
                    // Delete must find it by its id.
                    return self.begun_as.map(|id| Conclusion::of(id, Err(refused.clone()))).ok_or(refused);
                }
            };
            let work = match work {
                Step::Nothing(why) => {
                    tracing::info!(
                        event = "custom-resource-nothing-to-do",
                        logical_id = call.logical_id,
                        "{why}"
                    );
                    return Ok(Conclusion::of(success, Ok(Data::new())));
                }
                Step::Call(work) => work,
            };
            match next {
                Next::Here(at) => sleep_until(at).await,
                Next::HandOver(at) => {
                    // This call was planned only for its ids: the next invocation makes it.
                    drop(work);
                    sleep_until(at).await;
                    return Ok(match self.hand_over(hand_over, &failure).await {
                        Ok(()) => Conclusion::HandedOver,
                        Err(refused) => Conclusion::of(failure, Err(refused)),
                    });
                }
                Next::GiveUp => {
                    return Ok(Conclusion::of(failure, Err(self.timed_out(&call, &self.service_timeout()))));
                }
            }
            match guarded_until(self.limits.work, work).await {
                Ok(Ok(Outcome::Done(data))) => {
                    let answer = Answer { physical_id: success, result: Ok(data) };
                    return Ok(Conclusion::Answer(answer.fitting(&self.request.echo, failure)));
                }
                Ok(Ok(Outcome::Unfinished { progress, after, waiting_for })) => {
                    next = self.limits.next(Instant::now(), after);
                    self.not_before = Instant::now() + after.min(self.request.service_timeout);
                    self.progress = Some(progress);
                    self.waiting_for = waiting_for;
                }
                // Nothing was made, so the answer gets an id whose Delete does nothing.
                Ok(Err(error)) if self.kind == Kind::Create && !error.made_something() => return Err(error),
                Ok(Err(error)) => return Ok(Conclusion::of(failure, Err(error))),
                Err(Stopped::TimedOut) => {
                    let whose = if self.limits.work == self.limits.stack {
                        self.service_timeout()
                    } else {
                        OWN_TIME.to_owned()
                    };
                    return Ok(Conclusion::of(failure, Err(self.timed_out(&call, &whose))));
                }
                Err(Stopped::Panicked(Panicked(at))) => {
                    return Ok(Conclusion::of(failure, Err(self.fault(&call, &at))));
                }
            }
        }
    }

    fn call(&self) -> Call {
        let echo = &self.request.echo;
        let mut call = Call::new(&echo.stack_id, &echo.logical_id, &echo.request_id, self.limits.work);
        call.step(self.kind.step());
        call.progress.clone_from(&self.progress);
        (call.began, call.now) = (self.started, self.now + self.begun.elapsed());
        call
    }

    async fn hand_over<H: HandOver>(&self, hand_over: &H, failure: &str) -> Result<(), Failure> {
        let since = |at: Instant| self.now + at.saturating_duration_since(self.begun);
        // With the id of a FAILED: an invocation that cannot plan any more cannot compute it again.
        let continuation = Continuation::new(
            self.progress.clone().unwrap_or_default(),
            self.started,
            since(self.not_before),
            self.waiting_for.clone(),
            self.number.saturating_add(1),
            failure.to_owned(),
        );
        let (logical_id, number) = (&self.request.echo.logical_id, continuation.number());
        // Not all of the time that is left: a hand-over that fails must still be answered.
        let until = self.limits.hand_over(Instant::now());
        let mut pause = FIRST_PAUSE;
        let mut refused = "no answer in time".to_owned();
        // A try whose answer was lost may have worked. Then two invocations go on,
        // and the work is idempotent.
        for attempt in 1..=HAND_OVERS {
            let event = continuation.within(self.request.event);
            match guarded_until(until, Box::pin(hand_over.invoke(event))).await {
                Ok(Ok(())) => {
                    let waiting_for = &self.waiting_for;
                    tracing::info!(
                        event = "custom-resource-handed-over",
                        logical_id,
                        number,
                        waiting_for,
                        "invocation {number} of this request goes on"
                    );
                    return Ok(());
                }
                Ok(Err(reason)) => refused = reason,
                // What is left of the time is for the answer.
                Err(Stopped::TimedOut) => break,
                Err(Stopped::Panicked(Panicked(at))) => {
                    tracing::error!(
                        event = "custom-resource-panicked",
                        logical_id,
                        at,
                        "the hand-over panicked"
                    );
                    "an internal fault".clone_into(&mut refused);
                }
            }
            if attempt == HAND_OVERS || Instant::now() + pause >= until {
                break;
            }
            sleep(pause).await;
            pause *= 2;
        }
        Err(Failure::new(format_args!(
            "not done when the function's time was up ({}), and it could not be invoked again: {refused}. Let the function's \
             role invoke the function itself, then run the stack operation again",
            self.waiting()
        )))
    }

    fn service_timeout(&self) -> String {
        let seconds = self.request.service_timeout.as_secs();
        format!("CloudFormation waits no longer than the resource's ServiceTimeout, {seconds} s")
    }

    fn timed_out(&self, call: &Call, whose: &str) -> Failure {
        let age = (self.now + self.begun.elapsed()).saturating_sub(self.started);
        Failure::new(format_args!(
            "timed out at step {:?} after {} s ({}): {whose}. What was begun may be done in part; run the stack operation again",
            call.step_under_way(),
            age.as_secs(),
            self.waiting()
        ))
    }

    fn waiting(&self) -> &str {
        if self.waiting_for.is_empty() { "nothing was reported" } else { &self.waiting_for }
    }

    fn fault(&self, call: &Call, at: &str) -> Failure {
        let (logical_id, step) = (&call.logical_id, call.step_under_way());
        tracing::error!(
            event = "custom-resource-panicked",
            logical_id,
            step,
            at,
            "a panic; its message is not logged"
        );
        Failure::new(format_args!(
            "an internal fault at step {step:?} of the {}; the function's log (event custom-resource-panicked) has the place. \
             What was begun may be done in part",
            self.kind.step()
        ))
    }
}
