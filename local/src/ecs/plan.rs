//! What the service scheduler does next: a function of what is asked for and what runs.

use std::time::Duration;

use super::place::Constraint;

/// A service as the emulator's CloudFormation made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// ARN of its cluster.
    pub cluster: String,
    /// Its name, unique in the cluster.
    pub name: String,
    /// How many tasks it wants.
    pub desired: usize,
    /// ARN of its task definition.
    pub definition: String,
    /// What the host of its tasks must have.
    pub constraints: Vec<Constraint>,
    /// Where the network interfaces of its tasks may be.
    pub subnets: Vec<String>,
}

/// What the scheduler needs to know of one task.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The task's ARN.
    pub task: String,
    /// ARN of its cluster.
    pub cluster: String,
    /// Name of its service.
    pub service: String,
    /// ARN of the definition it was started from.
    pub definition: String,
    /// It was not asked to stop, and did not end.
    pub wanted: bool,
    /// Its processes are gone: how long it had run, and how long ago that was.
    pub ended: Option<(Duration, Duration)>,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Start a task of this service.
    Start(Service),
    /// Stop this task, with the reason that `DescribeTasks` will show.
    Stop(String, &'static str),
}

/// A task that ends sooner counts as failed to start, and the next one waits.
const SHORT_LIVED: Duration = Duration::from_secs(10);
/// The longest such wait here; on AWS it grows to 27 minutes, too long for operators at a terminal.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// The steps that bring `tasks` to what `services` ask for.
///
/// With `minimumHealthyPercent` 0 a task of an old definition is stopped before the new one starts: two tasks never
/// share a slot's volume.
pub fn reconcile(services: &[Service], tasks: &[Seen]) -> Vec<Step> {
    let mut steps = Vec::new();
    for task in tasks.iter().filter(|task| task.wanted) {
        match services.iter().find(|service| service.owns(task)) {
            None => {
                steps.push(Step::Stop(task.task.clone(), "Scaling activity initiated by service removal"));
            }
            Some(service) if service.definition != task.definition => {
                steps.push(Step::Stop(task.task.clone(), "Scaling activity initiated by deployment"));
            }
            Some(_) => {}
        }
    }
    for service in services {
        let own = || tasks.iter().filter(|task| service.owns(task));
        let current = || own().filter(|task| task.wanted && task.definition == service.definition);
        for task in current().skip(service.desired) {
            steps.push(Step::Stop(task.task.clone(), "Scaling activity initiated by desired count"));
        }
        // A task that still stops holds the slot's volume.
        let alive = own().filter(|task| task.ended.is_none()).count();
        if !waits(own()) {
            steps.extend((alive..service.desired).map(|_| Step::Start(service.clone())));
        }
    }
    steps
}

/// Whether the service's last tasks ended so soon that the next one has to wait.
fn waits<'a>(tasks: impl Iterator<Item = &'a Seen>) -> bool {
    let mut ends: Vec<(Duration, Duration)> = tasks.filter_map(|task| task.ended).collect();
    ends.sort_by_key(|(_, ago)| *ago);
    let failures = ends.iter().take_while(|(ran, _)| *ran < SHORT_LIVED).count();
    let Some((_, ago)) = ends.first() else { return false };
    let doubled = 1_u32.checked_shl(u32::try_from(failures).unwrap_or(u32::MAX)).unwrap_or(u32::MAX);
    failures > 0 && *ago < Duration::from_secs(doubled.into()).min(LONGEST_WAIT)
}

impl Service {
    fn owns(&self, task: &Seen) -> bool {
        self.cluster == task.cluster && self.name == task.service
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(desired: usize, definition: &str) -> Service {
        let (cluster, name, definition) = ("c".into(), "core-1".into(), definition.into());
        Service { cluster, name, desired, definition, constraints: Vec::new(), subnets: Vec::new() }
    }

    fn task(name: &str, wanted: bool, ended: Option<(u64, u64)>) -> Seen {
        Seen {
            task: name.into(),
            cluster: "c".into(),
            service: "core-1".into(),
            definition: "d:1".into(),
            wanted,
            ended: ended.map(|(ran, ago)| (Duration::from_secs(ran), Duration::from_secs(ago))),
        }
    }

    #[test]
    fn a_missing_task_is_started_and_a_running_one_left_alone() {
        let one = service(1, "d:1");
        assert_eq!(reconcile(std::slice::from_ref(&one), &[]), [Step::Start(one.clone())]);
        assert!(reconcile(&[one], &[task("a", true, None)]).is_empty());
    }

    #[test]
    fn the_next_one_starts_only_when_the_stopping_one_let_go() {
        let one = service(1, "d:1");
        assert!(reconcile(std::slice::from_ref(&one), &[task("a", false, None)]).is_empty());
        assert_eq!(
            reconcile(std::slice::from_ref(&one), &[task("a", false, Some((99, 0)))]),
            [Step::Start(one)]
        );
    }

    #[test]
    fn a_new_definition_stops_the_old_task_first() {
        let steps = reconcile(&[service(1, "d:2")], &[task("a", true, None)]);
        assert_eq!(steps, [Step::Stop("a".into(), "Scaling activity initiated by deployment")]);
    }

    #[test]
    fn a_service_that_is_gone_or_scaled_in_stops_its_tasks() {
        assert!(matches!(reconcile(&[], &[task("a", true, None)])[..], [Step::Stop(..)]));
        assert!(matches!(reconcile(&[service(0, "d:1")], &[task("a", true, None)])[..], [Step::Stop(..)]));
    }

    #[test]
    fn tasks_that_end_at_once_are_started_ever_more_slowly() {
        let one = [service(1, "d:1")];
        let starts = |tasks: &[Seen]| !reconcile(&one, tasks).is_empty();
        assert!(!starts(&[task("a", false, Some((1, 1)))]), "one failure waits two seconds");
        assert!(starts(&[task("a", false, Some((1, 2)))]));
        let five: Vec<Seen> = (0..5).map(|ago| task("x", false, Some((1, 31 + ago)))).collect();
        assert!(!starts(&five), "five failures wait 32 seconds");
        assert!(starts(&[task("a", false, Some((1, 60)))]), "nothing waits longer than a minute");
        let recovered = [task("a", false, Some((100, 0))), task("b", false, Some((1, 100)))];
        assert!(starts(&recovered), "a task that ran well ends the count");
    }
}
