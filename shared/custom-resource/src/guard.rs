//! Runs code of others: a panic becomes a value, and its message is not printed.

use std::{
    cell::RefCell,
    panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook},
    pin::Pin,
    sync::Once,
    task::Poll,
};

use tokio::time::{Instant, timeout_at};

/// Where it panicked, as `src/file.rs:12`. The message may hold anything, so it is kept nowhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Panicked(pub(crate) String);

thread_local! {
    /// While guarded code runs: where it panicked. `None` outside.
    static GUARDED: RefCell<Option<String>> = const { RefCell::new(None) };
}
static HOOK: Once = Once::new();

/// Calls `work`, and turns a panic into a value.
pub(crate) fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, Panicked> {
    HOOK.call_once(|| {
        let others = take_hook();
        set_hook(Box::new(move |panic| {
            let place =
                panic.location().map_or("somewhere".to_owned(), |at| format!("{}:{}", at.file(), at.line()));
            // A thread that ends has no such variable any more.
            let silenced = GUARDED.try_with(|guarded| match guarded.borrow_mut().as_mut() {
                Some(guarded) => {
                    *guarded = place;
                    true
                }
                None => false,
            });
            if !silenced.unwrap_or(false) {
                others(panic);
            }
        }));
    });
    let outside = GUARDED.replace(Some(String::new()));
    let result = catch_unwind(AssertUnwindSafe(work));
    let place = GUARDED.replace(outside).unwrap_or_default();
    result.map_err(|payload| {
        // Even dropping what was thrown may panic; it is a few bytes.
        std::mem::forget(payload);
        Panicked(place)
    })
}

/// Why there is no result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stopped {
    Panicked(Panicked),
    TimedOut,
}

/// Polls `future` to its end or until the time is up, each time guarded.
pub(crate) async fn guarded_until<T>(
    until: Instant,
    mut future: Pin<Box<dyn Future<Output = T> + Send + '_>>,
) -> Result<T, Stopped> {
    let polled = std::future::poll_fn(|context| match guarded(|| future.as_mut().poll(context)) {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(value)) => Poll::Ready(Ok(value)),
        Err(panicked) => Poll::Ready(Err(Stopped::Panicked(panicked))),
    });
    let result = timeout_at(until, polled).await.unwrap_or(Err(Stopped::TimedOut));
    // What a future holds is dropped here, which may panic too.
    let dropped = guarded(|| drop(future));
    result.and_then(|value| dropped.map(|()| value).map_err(Stopped::Panicked))
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::time::Duration;

    struct PanicsWhenDropped;

    impl Drop for PanicsWhenDropped {
        fn drop(&mut self) {
            panic!("hunter2");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_panic_is_a_place_without_a_message() {
        let until = Instant::now() + Duration::from_secs(1);
        let panics = guarded_until::<()>(
            until,
            Box::pin(async {
                tokio::task::yield_now().await;
                panic!("hunter2");
            }),
        );
        let Err(Stopped::Panicked(Panicked(place))) = panics.await else { panic!("not caught") };
        assert!(place.contains("guard.rs:") && !place.contains("hunter2"), "{place}");
        assert_eq!(guarded_until(until, Box::pin(async { 3 })).await, Ok(3));
        let hangs = guarded_until::<()>(
            until,
            Box::pin(async {
                let _held = PanicsWhenDropped;
                std::future::pending::<()>().await;
            }),
        );
        assert_eq!(hangs.await, Err(Stopped::TimedOut));
        assert_eq!(Instant::now(), until);
    }

    #[test]
    fn guards_within_guards() {
        let outer = guarded(|| {
            assert!(guarded(|| panic!("inner")).map(|(): ()| ()).is_err());
            panic!("outer");
        });
        assert!(outer.map(|(): ()| ()).unwrap_err().0.contains("guard.rs:"));
        assert!(GUARDED.with_borrow(|guarded| guarded.is_none()));
    }
}
