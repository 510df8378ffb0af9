//! A function that continues its work in a further invocation of itself.

use aws_config::SdkConfig;
use aws_sdk_lambda::{Client, primitives::Blob, types::InvocationType};
use custom_resource::HandOver;
use serde_json::Value;

use crate::{Error, Kind};

/// What Lambda answers when it has queued an asynchronous invocation.
const QUEUED: i32 = 202;

/// One Lambda function, invoked asynchronously. Clones share their connections.
#[derive(Clone, Debug)]
pub struct Invoke {
    client: Client,
    function: String,
}

impl Invoke {
    /// The function `function` (a name or an ARN).
    pub fn new(config: &SdkConfig, function: impl Into<String>) -> Self {
        Self { client: Client::new(config), function: function.into() }
    }

    /// Queues an invocation with `payload` (JSON), without waiting for what it does.
    ///
    /// # Errors
    /// When it was not queued. A call whose answer was lost may have queued the invocation all the same, so
    /// the invoked function must be idempotent.
    pub async fn later(&self, payload: Vec<u8>) -> Result<(), Error> {
        let call = self.client.invoke().function_name(&self.function);
        let call = call.invocation_type(InvocationType::Event).payload(Blob::new(payload));
        let answer =
            call.send().await.map_err(|error| Error::of("lambda:InvokeFunction", &self.function, &error))?;
        match answer.status_code() {
            QUEUED => Ok(()),
            status => Err(Error {
                call: "lambda:InvokeFunction",
                what: self.function.clone(),
                reason: format!("it answered {status} where {QUEUED} says that an invocation is queued"),
                kind: Kind::Other,
            }),
        }
    }
}

/// A custom resource continues in a further invocation of its own function.
impl HandOver for Invoke {
    async fn invoke(&self, event: Value) -> Result<(), String> {
        self.later(event.to_string().into_bytes()).await.map_err(|error| error.to_string())
    }
}
