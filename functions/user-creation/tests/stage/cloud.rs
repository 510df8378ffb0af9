//! AWS in memory: nodes, secrets and records that a test sets, calls that fail or wait as it
//! wants, and counts of them.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use aws::{Error, Kind, Secret, Stage};
use neo4j::UserName;
use tokio::{sync::Notify, time::timeout};
use user_creation::{Node, NotARecord, Record, RequestId, Said, Trouble, World};

pub const ADMIN_SECRET: &str = "arn:aws:secretsmanager:us-east-1:000000000000:secret:admin";

#[derive(Default)]
pub struct Cloud {
    pub nodes: Mutex<Vec<Node>>,
    pub secrets: Mutex<BTreeMap<(String, Stage), String>>,
    pub records: Mutex<BTreeMap<String, String>>,
    pub requests: Mutex<BTreeMap<String, String>>,
    /// Whether the cluster or all its services are gone.
    pub gone: AtomicBool,
    calls: Mutex<Vec<String>>,
    gates: Mutex<Vec<(String, Arc<Gate>)>>,
    failures: Mutex<Vec<(String, Kind)>>,
}

/// A call that waits until a test releases it.
#[derive(Default)]
pub struct Gate {
    reached: Notify,
    opened: Notify,
}

impl Gate {
    /// Waits until the call is made.
    pub async fn reached(&self) {
        let reached = timeout(Duration::from_secs(30), self.reached.notified()).await;
        reached.expect("the call is made");
    }

    pub fn open(&self) {
        self.opened.notify_one();
    }
}

impl Cloud {
    pub fn node(&self, slot: &str, address: Option<IpAddr>) {
        let mut nodes = self.nodes.lock().unwrap();
        nodes.retain(|node| node.slot != slot);
        nodes.push(Node { slot: slot.into(), address });
    }

    pub fn secret(&self, arn: &str, current: &str, previous: Option<&str>) {
        let mut secrets = self.secrets.lock().unwrap();
        secrets.insert((arn.into(), Stage::Current), current.into());
        secrets.remove(&(arn.into(), Stage::Previous));
        if let Some(previous) = previous {
            secrets.insert((arn.into(), Stage::Previous), previous.into());
        }
    }

    /// Makes the next call of that name wait: `nodes`, `write app`, `secret arn:...`.
    pub fn hold(&self, call: &str) -> Arc<Gate> {
        let gate = Arc::new(Gate::default());
        self.gates.lock().unwrap().push((call.to_owned(), Arc::clone(&gate)));
        gate
    }

    /// Makes the next `times` calls fail whose name starts with `call`.
    pub fn fail(&self, call: &str, kind: Kind, times: usize) {
        self.failures.lock().unwrap().extend(std::iter::repeat_n((call.to_owned(), kind), times));
    }

    pub fn record_of(&self, user: &str) -> Option<Record> {
        let value = self.records.lock().unwrap().get(user).cloned()?;
        Some(Record::read(user, &value).expect("a record"))
    }

    pub fn calls(&self) -> usize {
        self.calls.lock().unwrap().len()
    }

    /// How many calls there were whose name starts with `call`.
    pub fn count(&self, call: &str) -> usize {
        self.calls.lock().unwrap().iter().filter(|name| name.starts_with(call)).count()
    }

    /// How many failures no call has met; they are withdrawn.
    pub fn spare_failures(&self) -> usize {
        std::mem::take(&mut *self.failures.lock().unwrap()).len()
    }

    async fn called(&self, call: String) -> Result<(), Trouble> {
        self.calls.lock().unwrap().push(call.clone());
        let gate = {
            let mut gates = self.gates.lock().unwrap();
            let found = gates.iter().position(|(name, _)| *name == call);
            found.map(|index| gates.remove(index).1)
        };
        if let Some(gate) = gate {
            gate.reached.notify_one();
            gate.opened.notified().await;
        }
        let mut failures = self.failures.lock().unwrap();
        match failures.iter().position(|(name, _)| call.starts_with(name)) {
            Some(index) => {
                let kind = failures.remove(index).1;
                Err(Error { call: "aws:Call", what: call, reason: format!("{kind:?}"), kind }.into())
            }
            None => Ok(()),
        }
    }
}

impl World for Cloud {
    async fn nodes(&self) -> Result<Vec<Node>, Trouble> {
        self.called("nodes".into()).await?;
        Ok(self.nodes.lock().unwrap().clone())
    }

    async fn secret(&self, arn: &str, stage: Stage) -> Result<Option<Secret>, Trouble> {
        self.called(format!("secret {arn}")).await?;
        let text = self.secrets.lock().unwrap().get(&(arn.to_owned(), stage)).cloned();
        Ok(text.map(|text| Secret { text: text.into(), version: "v".into() }))
    }

    async fn records(&self) -> Result<Vec<Result<Record, NotARecord>>, Trouble> {
        self.called("records".into()).await?;
        Ok(self.records.lock().unwrap().iter().map(|(user, value)| Record::read(user, value)).collect())
    }

    async fn record(&self, user: &UserName) -> Result<Option<Record>, Trouble> {
        self.called(format!("record {user}")).await?;
        let value = self.records.lock().unwrap().get(user.as_str()).cloned();
        Ok(value.map(|value| Record::read(user.as_str(), &value)).transpose()?)
    }

    async fn write(&self, record: &Record) -> Result<(), Trouble> {
        self.called(format!("write {}", record.user)).await?;
        self.records.lock().unwrap().insert(record.user.to_string(), record.to_json());
        Ok(())
    }

    async fn write_new(&self, record: &Record) -> Result<bool, Trouble> {
        self.called(format!("write {}", record.user)).await?;
        let mut records = self.records.lock().unwrap();
        let is_new = !records.contains_key(record.user.as_str());
        records.entry(record.user.to_string()).or_insert_with(|| record.to_json());
        Ok(is_new)
    }

    async fn forget(&self, user: &str) -> Result<(), Trouble> {
        self.called(format!("forget {user}")).await?;
        self.records.lock().unwrap().remove(user);
        Ok(())
    }

    async fn gone(&self) -> Result<bool, Trouble> {
        self.called("gone".into()).await?;
        Ok(self.gone.load(Ordering::Relaxed))
    }

    async fn said(&self, request: &RequestId) -> Result<Option<Said>, Trouble> {
        self.called(format!("said {}", request.as_str())).await?;
        Ok(self.requests.lock().unwrap().get(request.as_str()).and_then(|value| Said::read(value)))
    }

    async fn say(&self, request: &RequestId, said: &Said) -> Result<Said, Trouble> {
        self.called(format!("say {}", request.as_str())).await?;
        let mut requests = self.requests.lock().unwrap();
        let value = requests.entry(request.as_str().to_owned()).or_insert_with(|| said.to_json());
        Ok(Said::read(value).expect("a conclusion"))
    }

    async fn requests(&self) -> Result<Vec<(String, String)>, Trouble> {
        self.called("requests".into()).await?;
        let requests = self.requests.lock().unwrap();
        Ok(requests.iter().map(|(name, value)| (name.clone(), value.clone())).collect())
    }

    async fn forget_request(&self, name: &str) -> Result<(), Trouble> {
        self.called(format!("forget request {name}")).await?;
        self.requests.lock().unwrap().remove(name);
        Ok(())
    }
}
