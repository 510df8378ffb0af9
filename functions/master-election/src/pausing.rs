//! `pause` and `resume`. A pause that has been answered is one in which nothing happens any more.

use std::time::Duration;

use topology::Millis;

use crate::{Acting, Request, Stored, Told, Trouble, World};

/// A sweep may write at the same moment: then it is tried again on what that one wrote.
const TRIES: u32 = 5;
/// How often it is looked whether the invocation that acts has ended.
const LOOK: Duration = Duration::from_millis(500);

/// Writes the pause, or its end, and waits until no invocation executes a plan that it made before: its lease is given back, or is
/// over. When `until` comes first, the answer names the one that still acts.
///
/// # Errors
/// When the state can not be read or written.
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
        world.pause(LOOK).await;
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
