//! `pause` and `resume`. Once a pause has been answered, nothing happens any more.

use std::time::Duration;

use topology::Millis;

use crate::{Acting, Request, Stored, Told, Trouble, World};

/// Tries of the write: a concurrent write of a sweep may win, and then this one starts from the newer state.
const TRIES: u32 = 5;
/// How often to look whether the invocation that acts has ended.
const LOOK: Duration = Duration::from_millis(500);

/// Writes the pause, or its end, and waits until no invocation executes an earlier plan: until its lease is
/// given back, or over. If `until` comes first, the answer names the invocation that still acts.
///
/// # Errors
/// When the state cannot be read or written.
pub async fn pause<W: World>(world: &W, request: &Request, until: Millis) -> Result<Told, Trouble> {
    let written = write(world, request).await?;
    if written.pause.is_none() {
        return Ok(written);
    }
    loop {
        let (state, _) = world.load().await?;
        let now = world.now();
        let acting = state.lease.clone().filter(|lease| now < lease.until);
        let acting = acting.map(|lease| Acting { owner: lease.owner, until: lease.until });
        if acting.is_none() || now.after(LOOK) >= until {
            return Ok(Told { acting, ..state.into() });
        }
        world.sleep(LOOK).await;
    }
}

async fn write<W: World>(world: &W, request: &Request) -> Result<Told, Trouble> {
    for _try in 0..TRIES {
        let (mut state, version) = world.load().await?;
        let now = world.now();
        state.pause(now, request.pause(now));
        if let Stored::Written(_) = world.store(&state, &version).await? {
            tracing::warn!(event = "pause", pause = ?state.pause, "the pause was changed");
            return Ok(state.into());
        }
    }
    Err(Trouble::Contended)
}
