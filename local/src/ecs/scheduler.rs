//! The service scheduler: what the emulator's services ask for, done with tasks of ours.

use std::time::SystemTime;

use serde_json::{Value, json};
use tracing::warn;

use super::{
    Constraint, Ecs, Host, Running, Service, Step, Unplaced, begin::Wanted, definition::Definition,
    interface, place, reconcile,
};
use crate::emulator::Error;

impl Ecs {
    /// Looks at what the emulator's services ask for and does the next steps.
    ///
    /// # Errors
    /// When the emulator does not answer; nothing was changed then.
    pub async fn reconcile(&self) -> Result<(), Error> {
        let begun = SystemTime::now();
        let (clusters, services) = self.services().await?;
        self.make_hosts(&services);
        self.stop_orphans(&clusters, begun);
        let now = SystemTime::now();
        let seen = self.tasks();
        let seen: Vec<_> =
            seen.iter().filter(|task| task.alone.is_none()).map(|task| task.seen(now)).collect();
        for step in reconcile(&services, &seen) {
            match step {
                Step::Stop(task, reason) => {
                    self.tell_of_stop(&task);
                    self.stop(&task, reason, "ServiceSchedulerInitiated");
                }
                Step::Start(service) => {
                    let definition = self.definition(&service.definition).await?;
                    self.start_of(&service, definition);
                }
            }
        }
        let mut running = self.running();
        let tasks = running.tasks.clone();
        running.told.look(&services, &tasks, SystemTime::now());
        Ok(())
    }

    fn tell_of_stop(&self, arn: &str) {
        let mut running = self.running();
        let found = running.tasks.iter().find(|task| task.arn == arn);
        if let Some((service, id)) = found.map(|task| (task.service.clone(), task.id().to_owned())) {
            running.told.stopped(&service, &id, SystemTime::now());
        }
    }

    /// The clusters, and the services in them.
    async fn services(&self) -> Result<(Vec<String>, Vec<Service>), Error> {
        let mut services = Vec::new();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let clusters = self.call("ListClusters", &json!({})).await?;
        let clusters: Vec<String> =
            clusters["clusterArns"].as_array().into_iter().flatten().map(text).collect();
        for cluster in &clusters {
            let names = self.call("ListServices", &json!({"cluster": cluster, "maxResults": 100})).await?;
            let names = names["serviceArns"].as_array().cloned().unwrap_or_default();
            for ten in names.chunks(10) {
                let found =
                    self.call("DescribeServices", &json!({"cluster": cluster, "services": ten})).await?;
                let found = found["services"].as_array().cloned().unwrap_or_default();
                services.extend(found.iter().filter(|service| service["status"] == "ACTIVE").map(
                    |service| Service {
                        cluster: cluster.clone(),
                        name: text(&service["serviceName"]),
                        desired:
                            service["desiredCount"].as_u64().and_then(|n| n.try_into().ok()).unwrap_or(0),
                        definition: text(&service["taskDefinition"]),
                        constraints: Constraint::all(service),
                        subnets: interface::subnets(&service["networkConfiguration"]),
                    },
                ));
            }
        }
        Ok((clusters, services))
    }

    fn start_of(&self, service: &Service, definition: Definition) {
        let mut guard = self.running();
        let running = &mut *guard;
        let host = match running.place(service) {
            Ok(host) => host,
            Err(why) => return running.told.not_placed(&service.name, &why, SystemTime::now()),
        };
        // Each host of a cluster is in another subnet than the one before, as far as there are others.
        let mut of_the_cluster = running.hosts.all.iter().filter(|other| other.cluster == host.cluster);
        let number = of_the_cluster.position(|other| other.name == host.name).unwrap_or_default();
        let interface = running.zones.interface(&service.subnets, number);
        let (cluster, name) = (&service.cluster, &service.name);
        let wanted = Wanted { cluster, service: name, host: Some(host), definition, interface, alone: None };
        match self.begin(running, wanted) {
            Ok(task) => running.told.started(name, task.id(), task.started),
            Err(error) => {
                running.told.did_not_start(name, SystemTime::now());
                warn!(service = name, %error, "a task cannot be started");
            }
        }
    }
}

impl Running {
    /// The host of the service's next task, among those of its cluster.
    fn place(&self, service: &Service) -> Result<Host, Unplaced> {
        let there = |host: &&Host| host.cluster == service.cluster && !self.hosts.away.contains(&host.name);
        let candidates = self.hosts.all.iter().filter(there).map(|host| place::Candidate {
            host,
            connected: !self.dead.has(&host.name),
            tasks: self.unfinished_on(&host.name).len(),
        });
        let candidates: Vec<_> = candidates.collect();
        place::place(&candidates, &service.constraints).cloned()
    }
}
