//! AWS in memory: nodes, secrets and records that a test sets, and counts of what was called.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use aws::{Secret, Stage};
use neo4j::UserName;
use user_creation::{Node, NotARecord, Record, Trouble, World};

pub const ADMIN_SECRET: &str = "arn:aws:secretsmanager:us-east-1:000000000000:secret:admin";

#[derive(Default)]
pub struct Cloud {
    pub nodes: Mutex<Vec<Node>>,
    pub secrets: Mutex<BTreeMap<(String, Stage), String>>,
    pub records: Mutex<BTreeMap<String, String>>,
    /// A user whose record is removed at the moment the nodes are listed: a Delete that comes in between.
    pub deleted_meanwhile: Mutex<Option<String>>,
    pub calls: AtomicUsize,
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

    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }

    fn called(&self) {
        self.calls.fetch_add(1, Ordering::Relaxed);
    }
}

impl World for Cloud {
    async fn nodes(&self) -> Result<Vec<Node>, Trouble> {
        self.called();
        if let Some(user) = self.deleted_meanwhile.lock().unwrap().take() {
            self.records.lock().unwrap().remove(&user);
        }
        Ok(self.nodes.lock().unwrap().clone())
    }

    async fn secret(&self, arn: &str, stage: Stage) -> Result<Option<Secret>, Trouble> {
        self.called();
        let text = self.secrets.lock().unwrap().get(&(arn.to_owned(), stage)).cloned();
        Ok(text.map(|text| Secret { text: text.into(), version: "v".into() }))
    }

    async fn records(&self) -> Result<Vec<Result<Record, NotARecord>>, Trouble> {
        self.called();
        Ok(self.records.lock().unwrap().iter().map(|(user, value)| Record::read(user, value)).collect())
    }

    async fn record(&self, user: &UserName) -> Result<Option<Record>, Trouble> {
        self.called();
        let value = self.records.lock().unwrap().get(user.as_str()).cloned();
        Ok(value.map(|value| Record::read(user.as_str(), &value)).transpose()?)
    }

    async fn write(&self, record: &Record) -> Result<(), Trouble> {
        self.called();
        self.records.lock().unwrap().insert(record.user.to_string(), record.to_json());
        Ok(())
    }

    async fn forget(&self, user: &UserName) -> Result<(), Trouble> {
        self.called();
        self.records.lock().unwrap().remove(user.as_str());
        Ok(())
    }
}
