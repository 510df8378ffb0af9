//! A bell that comes while another invocation acts.

use crate::{Decision, Memory, Millis, Next, Refusal, State, Verdict};

/// What a bell decides before it looks: nothing, when another invocation has the lease. `None`: this
/// invocation has to look itself.
///
/// The news that the bell brings is older than its read of the state, and the invocation with the lease looks
/// once more **after** it has given the lease back. Waiting for that would occupy an invocation for each bell
/// of a burst, and an account has as few as ten for all its functions. A holder that died, ran out of time,
/// could not give its lease back or was denied what it planned may not look again: then the news waits for
/// the next sweep, a minute at most, and a sweep does not give way.
pub fn give_way(now: Millis, state: &State, memory: &Memory) -> Option<Decision> {
    let lease = state.lease.as_ref()?;
    let foreign = lease.owner != memory.owner && now < lease.until;
    // Only the invocation that has listened to a silence knows it: the one that acts may have begun later.
    let listens = !memory.silent.is_empty();
    if !foreign || listens {
        return None;
    }
    let (verdict, refusal) = (Verdict::Leased, Refusal::Leased { owner: lease.owner.clone() });
    Some(Decision {
        verdict,
        actions: Vec::new(),
        sentence: format!("{}; no action; {refusal}.", verdict.description()),
        refusals: vec![refusal],
        state: state.clone(),
        memory: memory.clone(),
        next: Next::Rest,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Lease, Silence};

    fn held(owner: &str, until: u64) -> State {
        State { lease: Some(Lease { owner: owner.to_owned(), until: Millis(until) }), ..State::default() }
    }

    #[test]
    fn only_a_lease_of_another_invocation_that_has_not_ended_is_given_way_to() {
        let (now, own) = (Millis(1_000), Memory::of("own"));
        let decision = give_way(now, &held("other", 1_001), &own).unwrap();
        assert_eq!(decision.verdict, Verdict::Leased);
        assert!(decision.actions.is_empty() && decision.next == Next::Rest);
        assert!(!decision.writes(&held("other", 1_001)));
        for state in [State::default(), held("own", 2_000), held("other", 1_000)] {
            assert_eq!(give_way(now, &state, &own), None);
        }
    }

    #[test]
    fn an_invocation_that_listens_to_a_silence_stays() {
        let memory = Memory { silent: [("task".to_owned(), Silence::default())].into(), ..Memory::of("own") };
        assert_eq!(give_way(Millis(0), &held("other", 1_000), &memory), None);
    }
}
