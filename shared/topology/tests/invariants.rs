//! What holds in every round, whatever nodes say and whatever is registered.

use std::{collections::BTreeSet, net::IpAddr, time::Duration};

use proptest::prelude::*;
use topology::{
    Action, Answer, Group, Kind, Memory, Millis, Node, NotKnown, Observation, Policy, Rearm, State, Verdict,
    View, decide,
};

fn policy() -> Policy {
    let (rearm, fence_after) = (Rearm::After(Duration::from_secs(3)), Duration::from_secs(6));
    Policy { rearm, fence_after, ..Policy::of(3, 2) }
}

fn node(index: u8) -> Node {
    let kind = if index < 3 { Kind::Core } else { Kind::SlaveOnly };
    let address = IpAddr::from([10, 0, 0, index]);
    let (slot, task) = (format!("slot-{index}"), format!("task-{index}"));
    Node { slot, kind, id: u32::from(index) + 1, task, address, stopping: index == 1 }
}

fn answer() -> impl Strategy<Value = Option<Answer>> {
    prop_oneof![
        1 => Just(None),
        3 => Just(Some(Answer::Master)),
        4 => Just(Some(Answer::Slave)),
        1 => Just(Some(Answer::NotKnown(NotKnown::Unsettled))),
        2 => Just(Some(Answer::NotKnown(NotKnown::Silent))),
        1 => Just(Some(Answer::NotKnown(NotKnown::Late))),
        1 => Just(Some(Answer::NotKnown(NotKnown::NotAwaited))),
    ]
}

/// Answers of five nodes (`None`: no task), whether the listing was complete, and which calls fail.
type Round = (Vec<Option<Answer>>, bool, bool);

fn rounds() -> impl Strategy<Value = (BTreeSet<u8>, Vec<Round>)> {
    let round = (prop::collection::vec(answer(), 5), any::<bool>(), any::<bool>());
    (prop::collection::btree_set(0_u8..9, 0..6), prop::collection::vec(round, 1..40))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn holds((registered, rounds) in rounds()) {
        let policy = policy();
        let targets = registered.into_iter().map(|index| IpAddr::from([10, 0, 0, index])).collect();
        let mut group = Group { arn: "arn".into(), port: 7474, targets };
        let (mut state, mut memory) = (State::default(), Memory::default());
        for (step, (answers, complete, fails)) in rounds.into_iter().enumerate() {
            let now = Millis(step as u64 * 2000);
            let observations: Vec<Observation> = (0..).zip(&answers)
                .filter_map(|(index, answer)| Some(Observation { node: node(index), answer: (*answer)?, alive: None }))
                .collect();
            let view = View {
                listed_at: now,
                asked_at: Millis(now.0.saturating_sub(1_950)),
                complete,
                observations,
                ended: BTreeSet::new(),
                read: true,
                readers_read: true,
                groups: vec![group.clone()],
                readers: vec![],
            };
            let decision = decide(now, &policy, &state, &memory, &view);

            let core = view.observations.iter().filter(|seen| seen.node.kind == Kind::Core);
            let answered = core.filter(|seen| seen.answer.took_part()).count();
            let claimants: Vec<IpAddr> = view.observations.iter()
                .filter(|seen| seen.node.kind == Kind::Core && seen.answer == Answer::Master)
                .map(|seen| seen.node.address).collect();
            if answered < 2 {
                prop_assert!(decision.actions.is_empty(), "acted without a majority");
                prop_assert_eq!(&decision.state.master, &state.master);
            }
            prop_assert!(decision.actions.is_empty() || decision.writes(&state), "acted without a conditional write");

            let mut after = group.targets.clone();
            for action in &decision.actions {
                match action {
                    Action::Register { address, .. } => {
                        let said = view.observations.iter().find(|seen| seen.node.address == *address);
                        prop_assert!(said.is_some_and(|seen| seen.node.kind == Kind::Core && seen.answer.is_firm()),
                            "registered {} without a firm answer of a core node", address);
                        after.insert(*address);
                    }
                    Action::Deregister { address, .. } => {
                        after.remove(address);
                    }
                    Action::Fence { address, .. } => {
                        let said = view.observations.iter().find(|seen| seen.node.address == *address);
                        prop_assert!(said.is_some_and(|seen| seen.answer == Answer::NotKnown(NotKnown::Silent)),
                            "fenced {} although it is not silent", address);
                        let others = view.observations.iter().filter(|seen| seen.node.address != *address);
                        prop_assert!(others.clone().all(|seen| seen.answer.took_part()), "fenced while another one is missing");
                        prop_assert!(claimants.len() == 1 || others.clone().all(|seen| seen.answer != Answer::Slave),
                            "fenced {} although slaves have a master", address);
                    }
                }
                prop_assert!(group.targets.is_empty() || !after.is_empty(), "emptied the group");
            }
            match decision.verdict {
                Verdict::DualMaster => {
                    let armed = decision.actions.iter().filter(|action| matches!(action, Action::Register { .. }));
                    prop_assert!(armed.count() <= 1, "armed an address beside the incumbent");
                }
                Verdict::NoMaster => {
                    let registers = decision.actions.iter().any(|action| matches!(action, Action::Register { .. }));
                    prop_assert!(!registers, "registered a slave as the writer");
                }
                Verdict::NewMaster if decision.state.master != state.master => {
                    let master = decision.state.master.as_ref().map(|master| master.address);
                    prop_assert_eq!(vec![master.unwrap()], claimants);
                    if state.master.is_some() {
                        prop_assert_eq!(&after, &BTreeSet::from([master.unwrap()]), "the switch did not cut to one");
                    }
                }
                _ => {}
            }
            if !fails {
                group.targets = after;
            }
            state = decision.state;
            memory = decision.memory;
        }
    }
}
