//! The real world: AWS.

use aws::{Inventory, Parameters, Secret, Secrets, Services, Stage};
use neo4j::UserName;

use crate::{Config, Node, Record, RequestId, Said, Trouble, World, desired::NotARecord};

/// Clients that are made once and used by every invocation.
pub(crate) struct Live {
    inventory: Inventory,
    ecs: Services,
    services: Vec<String>,
    secrets: Secrets,
    records: Parameters,
    requests: Parameters,
}

impl Live {
    pub(crate) fn new(sdk: &aws::SdkConfig, config: &Config) -> Self {
        Self {
            inventory: Inventory::new(sdk, &config.cluster.cluster),
            ecs: Services::new(sdk, &config.cluster.cluster),
            services: config.cluster.slots.iter().map(|slot| slot.name.clone()).collect(),
            secrets: Secrets::new(sdk),
            records: Parameters::new(sdk, config.users_path()),
            requests: Parameters::new(sdk, config.requests_path()),
        }
    }
}

impl World for Live {
    async fn nodes(&self) -> Result<Vec<Node>, Trouble> {
        let mut nodes = Vec::new();
        let listed = match self.inventory.tasks_of_each(&self.services).await {
            // A stack that is deleted has no cluster in the end, and a deleted cluster has no tasks.
            Err(error) if is_gone(&error) => vec![Vec::new(); self.services.len()],
            listed => listed?,
        };
        for (service, tasks) in self.services.iter().zip(listed) {
            let running = tasks.into_iter().filter(|task| task.running);
            let before = nodes.len();
            nodes.extend(
                running.filter_map(|task| Some(Node { slot: service.clone(), address: Some(task.address?) })),
            );
            if nodes.len() == before {
                nodes.push(Node { slot: service.clone(), address: None });
            }
        }
        Ok(nodes)
    }

    async fn gone(&self) -> Result<bool, Trouble> {
        Ok(self.ecs.are_gone(&self.services).await?)
    }

    async fn secret(&self, arn: &str, stage: Stage) -> Result<Option<Secret>, Trouble> {
        Ok(self.secrets.read(arn, stage).await?)
    }

    async fn records(&self) -> Result<Vec<Result<Record, NotARecord>>, Trouble> {
        let found = self.records.list().await?;
        Ok(found.iter().map(|(user, value)| Record::read(user, value)).collect())
    }

    async fn record(&self, user: &UserName) -> Result<Option<Record>, Trouble> {
        let value = self.records.get(user.as_str()).await?;
        Ok(value.map(|value| Record::read(user.as_str(), &value)).transpose()?)
    }

    async fn write(&self, record: &Record) -> Result<(), Trouble> {
        Ok(self.records.put(record.user.as_str(), &record.to_json()).await?)
    }

    async fn write_new(&self, record: &Record) -> Result<bool, Trouble> {
        Ok(self.records.put_new(record.user.as_str(), &record.to_json()).await?)
    }

    async fn forget(&self, user: &str) -> Result<(), Trouble> {
        Ok(self.records.delete(user).await?)
    }

    async fn said(&self, request: &RequestId) -> Result<Option<Said>, Trouble> {
        let value = self.requests.get(request.as_str()).await?;
        Ok(value.and_then(|value| {
            let said = Said::read(&value);
            if said.is_none() {
                let request = request.as_str();
                tracing::warn!(
                    event = "request-unreadable",
                    request,
                    "what was answered to request {request} cannot be read, so it is worked on again"
                );
            }
            said
        }))
    }

    async fn say(&self, request: &RequestId, said: &Said) -> Result<Said, Trouble> {
        if self.requests.put_new(request.as_str(), &said.to_json()).await? {
            return Ok(said.clone());
        }
        Ok(self.said(request).await?.unwrap_or_else(|| said.clone()))
    }

    async fn requests(&self) -> Result<Vec<(String, String)>, Trouble> {
        Ok(self.requests.list().await?)
    }

    async fn forget_request(&self, name: &str) -> Result<(), Trouble> {
        Ok(self.requests.delete(name).await?)
    }
}

fn is_gone(error: &aws::Error) -> bool {
    error.reason.starts_with("ClusterNotFoundException")
}
