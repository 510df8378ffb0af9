//! Events that make the election look at once.

use aws_config::SdkConfig;
use aws_sdk_eventbridge::{Client, types::PutEventsRequestEntry};

use crate::{Error, Kind};

/// The source that the stack's rule matches.
const SOURCE: &str = "neo4j.node";

/// An event bus that a stack listens to.
#[derive(Clone, Debug)]
pub struct Bell {
    client: Client,
    bus: String,
    stack: String,
}

impl Bell {
    /// The bus `bus` (a name or an ARN), for the stack `stack`.
    pub fn new(config: &SdkConfig, bus: String, stack: String) -> Self {
        Self { client: Client::new(config), bus, stack }
    }

    /// Puts one event: `detail-type` is `what`, the detail names stack and slot. Nothing may be
    /// decided from its content.
    ///
    /// # Errors
    /// When it was not accepted, which a `PutEvents` that answers 200 may report for its entry.
    pub async fn ring(&self, what: &str, slot: &str) -> Result<(), Error> {
        let detail = format!("{{\"stack\":\"{}\",\"slot\":\"{slot}\"}}", self.stack);
        let entry = PutEventsRequestEntry::builder().source(SOURCE).detail_type(what).detail(detail);
        let entry = entry.event_bus_name(&self.bus).build();
        let put = self.client.put_events().entries(entry).send().await;
        let put = put.map_err(|error| Error::of("events:PutEvents", &self.bus, &error))?;
        match put.entries().iter().find_map(|entry| entry.error_code()) {
            None => Ok(()),
            Some(code) => Err(Error {
                call: "events:PutEvents",
                what: self.bus.clone(),
                reason: code.into(),
                kind: Kind::Other,
            }),
        }
    }
}
