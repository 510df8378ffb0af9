//! CloudFormation custom resources on Lambda that always answer, exactly once.
//!
//! ```text
//! event --> envelope --> plan: ids, and what to call --> run: call, pause, call again ... --> answer --> PUT, retried
//!           (each field       (properties that cannot     |  under a deadline and a
//!            by itself)        be read: FAILED)            |  panic guard
//!                                                         `--> time is up: the same event, with its progress, to a further
//!                                                              invocation, which answers in place of this one
//! ```
//!
//! A stack whose custom resource never answers hangs for an hour, and then for another one when it
//! rolls back. So everything that can go wrong ends in a `FAILED` that says what failed and where:
//! malformed properties, a panic, a function whose time is nearly up, work that takes longer than
//! CloudFormation waits, a function whose own parameters are invalid ([`Unable`]). A resource is a
//! small implementation of [`Resource`]:
//!
//! ```
//! use custom_resource::{Call, Data, Failure, Invocation, Outcome, Protocol, Resource, twins};
//! use serde::Deserialize;
//! use serde_json::json;
//!
//! struct Greetings;
//!
//! #[derive(Deserialize)]
//! #[serde(rename_all = "PascalCase")]
//! struct Greeting {
//!     name: String,
//!     #[serde(default)]
//!     times: Option<u8>, // CloudFormation sends "3"
//! }
//!
//! impl Resource for Greetings {
//!     type Properties = Greeting;
//!     const TYPE: &'static str = "Custom::Greeting";
//!
//!     fn validate(&self, greeting: &Greeting) -> Result<(), Failure> {
//!         if greeting.name.is_empty() { Err(Failure::new("Name is empty")) } else { Ok(()) }
//!     }
//!     fn physical_id(&self, call: &Call, greeting: &Greeting) -> String {
//!         format!("{}/{}", call.stack_name, greeting.name)
//!     }
//!     fn owns(&self, call: &Call, physical_id: &str) -> bool {
//!         physical_id.split_once('/').is_some_and(|(stack, _)| stack == call.stack_name)
//!     }
//!     async fn create(&self, call: &Call, greeting: &Greeting) -> Result<Outcome, Failure> {
//!         call.step("greet");
//!         let greeted = format!("Hello {}! ", greeting.name).repeat(greeting.times.unwrap_or(1).into());
//!         Ok(Outcome::Done(Data::new().with("Greeting", greeted)))
//!     }
//!     async fn update(&self, call: &Call, new: &Greeting, _old: Option<&Greeting>) -> Result<Outcome, Failure> {
//!         self.create(call, new).await
//!     }
//!     async fn delete(&self, _: &Call, _: &str, _: Option<&Greeting>) -> Result<Outcome, Failure> {
//!         Ok(Outcome::Done(Data::new()))
//!     }
//! }
//!
//! # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
//! // In a function: `custom_resource::serve(Protocol::new(Https::new()?, ...).with(Greetings)).await`. In a test, the ports have twins in memory:
//! let mailbox = twins::Mailbox::new();
//! let protocol = Protocol::new(mailbox.clone(), twins::Queue::new()).with(Greetings);
//! let event = json!({
//!     "RequestType": "Create", "ResponseURL": "https://bucket.example/signed", "RequestId": "1",
//!     "StackId": "arn:aws:cloudformation:eu-west-1:123456789012:stack/demo/51af3dc0", "LogicalResourceId": "Hi",
//!     "ResourceType": "Custom::Greeting", "ResourceProperties": {"Name": "Ada", "Times": "2"},
//! });
//! protocol.handle(&event, Invocation::at(Default::default(), std::time::Duration::from_secs(60))).await;
//! let answer = &mailbox.answers()[0];
//! assert_eq!((&answer["Status"], &answer["PhysicalResourceId"]), (&json!("SUCCESS"), &json!("demo/Ada")));
//! assert_eq!(answer["Data"]["Greeting"], "Hello Ada! Hello Ada! ");
//! # });
//! ```
//!
//! # What the template must provide
//! * `ServiceTimeout` on the resource: an hour is CloudFormation's default.
//! * `DependsOn` everything its Delete needs to answer: routes, endpoints, policies, the log group.
//! * For [`Outcome::Unfinished`]: a function timeout of several minutes, `lambda:InvokeFunction` on itself,
//!   and `RecursiveLoop: Allow`, because Lambda otherwise drops the event of a function that has invoked itself
//!   some sixteen times in a row, without reporting it anywhere.
//!
//! # Features
//! `https` ([`Https`], the PUT with hyper, rustls and ring), `lambda` ([`serve`]),
//! `twins` ([`twins`], for tests).
//!
//! # Logs
//! [`tracing`] events with these names in their field `event`: `custom-resource-answered`, `-failed` (with
//! the Reason), `-nothing-to-do`, `-handed-over`, `-panicked`, `-answer-retried`, `-answer-refused`,
//! `-answer-lost`, `-unanswerable`, `-unable` (with the reason). None has a property, a panic's message or
//! the URL's signature in it.

#![warn(missing_docs)]

mod answer;
mod call;
mod continuation;
mod deliver;
mod guard;
#[cfg(feature = "https")]
mod https;
#[cfg(feature = "lambda")]
mod lambda;
mod limits;
mod plan;
mod ports;
mod properties;
mod protocol;
mod request;
mod resource;
mod run;
pub mod text;
#[cfg(feature = "twins")]
pub mod twins;
mod unable;
mod url;

pub use call::Call;
#[cfg(feature = "https")]
pub use https::{Https, NoRoots};
#[cfg(feature = "lambda")]
pub use lambda::{lenient, serve, serve_beside};
pub use ports::{Answers, Broken, HandOver, OneInvocation};
pub use protocol::{Handled, Invocation, Protocol};
pub use request::is_request;
pub use resource::{Data, Failure, Outcome, Resource};
pub use unable::Unable;
pub use url::ResponseUrl;
