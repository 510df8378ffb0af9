//! Whether the services of a cluster are gone for good, which no listing of tasks shows: it is empty during an outage too.

use aws_sdk_ecs::error::ProvideErrorMetadata;

use super::{Inventory, MISSING};
use crate::{Error, Kind};

/// DescribeServices takes at most so many.
const AT_ONCE: usize = 10;
/// More services than this are not of one cluster of this product.
const MOST: usize = 100;
/// The state of a deleted service.
const INACTIVE: &str = "INACTIVE";

impl Inventory {
    /// Whether the cluster is gone, or each of `services` (names) is: ECS calls a deleted service INACTIVE, and later MISSING. A
    /// service that is scaled to zero is there.
    ///
    /// # Errors
    /// When a call failed, or does not report one of them: then nothing is known to be gone.
    pub async fn are_gone(&self, services: &[String]) -> Result<bool, Error> {
        if services.len() > MOST {
            return Err(self.unknown(format!("there are more than {MOST} services"), Kind::Other));
        }
        for names in services.chunks(AT_ONCE) {
            let call = self.client.describe_services().cluster(&self.cluster);
            let described = match call.set_services(Some(names.to_vec())).send().await {
                Err(error) if error.code() == Some("ClusterNotFoundException") => return Ok(true),
                described => {
                    described.map_err(|error| Error::of("ecs:DescribeServices", self.name(), &error))?
                }
            };
            if described.services().iter().any(|service| service.status() != Some(INACTIVE)) {
                return Ok(false);
            }
            if let Some(failure) = described.failures().iter().find(|one| one.reason() != Some(MISSING)) {
                let reason = failure.reason().unwrap_or("without a reason");
                let arn = failure.arn().unwrap_or_default();
                return Err(self.unknown(format!("{arn} {reason}"), Kind::Other));
            }
            if described.services().len() + described.failures().len() < names.len() {
                return Err(self.unknown("the answer leaves services out".into(), Kind::Passing));
            }
        }
        Ok(true)
    }

    fn unknown(&self, reason: String, kind: Kind) -> Error {
        Error { call: "ecs:DescribeServices", what: self.name(), reason, kind }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::fake::Fake;

    /// What is told of these services, each with its status; `MISSING` and `ACCESS_DENIED` are failures. The number of calls.
    async fn told(statuses: &[&str]) -> (Result<bool, Error>, usize) {
        let names: Vec<String> =
            statuses.iter().enumerate().map(|(n, status)| format!("{status}-{n}")).collect();
        let fake = Fake::start(|_, request| {
            let asked: Value = serde_json::from_str(&request.body).unwrap();
            assert_eq!(asked["cluster"], "c");
            let (mut services, mut failures) = (vec![], vec![]);
            for name in asked["services"].as_array().unwrap() {
                match name.as_str().unwrap().split('-').next().unwrap() {
                    reason @ ("MISSING" | "DENIED") => failures.push(json!({"arn": name, "reason": reason})),
                    "SILENT" => {}
                    status => services.push(json!({"serviceName": name, "status": status})),
                }
            }
            Some((200, json!({"services": services, "failures": failures}).to_string()))
        })
        .await;
        let told = Inventory::new(&fake.config, "c").are_gone(&names).await;
        (told, fake.asked().len())
    }

    #[tokio::test]
    async fn services_are_gone_when_each_of_them_is_inactive_or_missing() {
        for (statuses, gone) in [
            (&["INACTIVE", "MISSING"][..], true),
            (&["INACTIVE", "ACTIVE"], false),
            (&["MISSING", "DRAINING"], false),
        ] {
            assert_eq!(told(statuses).await.0, Ok(gone), "{statuses:?}");
        }
        assert_eq!(told(&["MISSING"; 25]).await, (Ok(true), 3), "ten at once");
        let (many, calls) = told(&["MISSING"; 101]).await;
        assert!(many.is_err() && calls == 0);
        assert_eq!(told(&["MISSING", "DENIED"]).await.0.unwrap_err().kind, Kind::Other);
        assert_eq!(told(&["MISSING", "SILENT"]).await.0.unwrap_err().kind, Kind::Passing);
    }

    #[tokio::test]
    async fn with_the_cluster_its_services_are_gone() {
        let gone = r#"{"__type":"ClusterNotFoundException","message":"Cluster not found."}"#;
        let fake = Fake::start(move |_, _| Some((400, gone.into()))).await;
        assert_eq!(Inventory::new(&fake.config, "c").are_gone(&["a".into()]).await, Ok(true));
    }
}
