//! When waiting cannot help: ECS itself reports why a slot does not come. Pure.

use std::time::{Duration, SystemTime};

use aws::Service;

use crate::{Seen, Sighting, ready::revision};

/// This many tasks that ended by themselves are not an accident: ECS starts the same one again and
/// again, more and more slowly.
const ENDED: usize = 3;
/// A new host registers with the cluster within some minutes, and until then no task can be placed on it.
const PLACED_WITHIN: Duration = Duration::from_secs(600);
/// How the service events begin that report a task that could not be placed ("Amazon ECS service event
/// messages" in the ECS developer guide); the reason follows.
const UNPLACED: &str = "was unable to place a task";
/// The same page: a task was placed.
const STARTED: &str = "has started";

/// Why waiting cannot bring the missing slots in `slots`: a sentence with ECS's own words. A task that
/// ended before `began` belongs to an earlier deployment, and so does a task with another definition than
/// the service's present one.
pub(crate) fn hopeless(
    services: &[Service],
    slots: &[Sighting],
    began: SystemTime,
    now: SystemTime,
) -> Option<String> {
    services.iter().find_map(|service| {
        ends_again_and_again(service, began).or_else(|| cannot_be_placed(service, slots, began, now))
    })
}

fn ends_again_and_again(service: &Service, began: SystemTime) -> Option<String> {
    let of_this = |ended: &&aws::Ended| {
        ended.at >= began && revision(&ended.definition) == revision(&service.definition)
    };
    let ended: Vec<&aws::Ended> = service.ended.iter().filter(of_this).collect();
    let last = ended.iter().max_by_key(|ended| ended.at).filter(|_| ended.len() >= ENDED)?;
    Some(format!(
        "{} does not stay up: {} of its tasks ended by themselves, the last one ({}) with: {}. Its log says more",
        service.name,
        ended.len(),
        revision(&last.definition),
        last.reason
    ))
}

fn cannot_be_placed(
    service: &Service,
    slots: &[Sighting],
    began: SystemTime,
    now: SystemTime,
) -> Option<String> {
    let has_no_task =
        slots.iter().any(|sighting| sighting.slot.name == service.name && sighting.seen == Seen::NoTask);
    let waited = now.duration_since(began).unwrap_or_default();
    if !has_no_task || waited < PLACED_WITHIN {
        return None;
    }
    // ECS reports it once and not again for hours, so its time does not matter: it holds
    // until a task is started.
    let (_, words) =
        service.events.iter().find(|(_, words)| words.contains(UNPLACED) || words.contains(STARTED))?;
    if !words.contains(UNPLACED) {
        return None;
    }
    Some(format!("no task of {} could be placed for {} s; ECS says: {words}", service.name, waited.as_secs()))
}

#[cfg(test)]
mod tests {
    use aws::Ended;
    use topology::{Kind, Slot};

    use super::*;

    const BEGAN: u64 = 1000;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn ended(definition: &str, seconds: u64) -> Ended {
        let definition = format!("arn:task-definition/{definition}");
        let reason = format!("Essential container in task exited; exit code {seconds}");
        Ended { definition, at: at(seconds), reason }
    }

    fn without_a_task() -> Vec<Sighting> {
        let slot = Slot { name: "core-3".into(), kind: Kind::Core, server_id: 3 };
        vec![Sighting { slot, seen: Seen::NoTask }]
    }

    fn said(service: &Service, slots: &[Sighting], after: u64) -> Option<String> {
        hopeless(std::slice::from_ref(service), slots, at(BEGAN), at(BEGAN + after))
    }

    #[test]
    fn three_tasks_that_ended_by_themselves_are_no_accident() {
        let with = |ended: Vec<Ended>| Service {
            name: "core-3".into(),
            definition: "core-3:8".into(),
            ended,
            ..Service::default()
        };
        let two = vec![ended("core-3:8", 1010), ended("core-3:8", 1020)];
        assert_eq!(said(&with(two.clone()), &[], 60), None);
        let another = [two.clone(), vec![ended("core-3:7", 1030)]].concat();
        assert_eq!(said(&with(another), &[], 60), None, "the revision before does not matter to this one");
        let earlier = [two.clone(), vec![ended("core-3:8", 999)]].concat();
        assert_eq!(said(&with(earlier), &[], 60), None, "nor is what happened before");
        let three = [vec![ended("core-3:8", 1030)], two].concat();
        assert_eq!(
            said(&with(three), &[], 60).as_deref(),
            Some(
                "core-3 does not stay up: 3 of its tasks ended by themselves, the last one (core-3:8) with: Essential \
                 container in task exited; exit code 1030. Its log says more"
            )
        );
    }

    #[test]
    fn a_task_that_cannot_be_placed_is_waited_for_as_long_as_a_host_takes() {
        let words = "(service core-3) was unable to place a task because no container instance met all of its requirements.";
        let event = |seconds| Service {
            name: "core-3".into(),
            events: vec![(at(seconds), words.to_owned())],
            ..Service::default()
        };
        assert_eq!(said(&event(1050), &without_a_task(), 599), None);
        let mut placed = event(1050);
        placed.events.insert(0, (at(1060), "(service core-3) has started 1 tasks: (task a).".into()));
        assert_eq!(said(&placed, &without_a_task(), 600), None, "another one was placed since");
        assert!(said(&event(10), &without_a_task(), 600).is_some(), "said once, and true ever since");
        assert_eq!(said(&event(1050), &[], 600), None, "it has a task by now");
        assert_eq!(
            said(&event(1050), &without_a_task(), 600),
            Some(format!("no task of core-3 could be placed for 600 s; ECS says: {words}"))
        );
    }
}
