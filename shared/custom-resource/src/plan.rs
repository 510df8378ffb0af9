//! What a request means for a resource: decided before anything is called.

use std::pin::Pin;

use crate::{
    Call, Failure, Outcome, Resource, answer, properties,
    request::{Kind, Request},
};

type Work<'a> = Pin<Box<dyn Future<Output = Result<Outcome, Failure>> + Send + 'a>>;

/// The ids of both answers, and the work that leads to one of them.
pub(crate) struct Plan<'a> {
    /// The id in a SUCCESS.
    pub(crate) success: String,
    /// The id in a FAILED that may have left something behind.
    pub(crate) failure: String,
    pub(crate) work: Step<'a>,
}

pub(crate) enum Step<'a> {
    /// Nothing to call, and the reason.
    Nothing(&'static str),
    Call(Work<'a>),
}

/// A resource of any type.
pub(crate) trait Served: Send + Sync {
    fn resource_type(&self) -> &'static str;
    fn plan<'a>(&'a self, kind: Kind, request: &Request<'_>, call: &'a Call) -> Result<Plan<'a>, Failure>;
}

impl<R: Resource> Served for R {
    fn resource_type(&self) -> &'static str {
        R::TYPE
    }

    fn plan<'a>(&'a self, kind: Kind, request: &Request<'_>, call: &'a Call) -> Result<Plan<'a>, Failure> {
        let sent = request.physical_id.unwrap_or_default().to_owned();
        let new = || properties::read::<R::Properties>(request.event, "ResourceProperties");
        let stays = |step| Ok(Plan { success: sent.clone(), failure: sent.clone(), work: step });
        if kind == Kind::Delete {
            // CloudFormation may have invented this id, because a Create never answered. There is nothing to
            // delete, and a FAILED would keep the stack from rolling back.
            if !self.owns(call, &sent) {
                return stays(Step::Nothing("the physical id is none that this resource makes"));
            }
            // Malformed properties must not keep a resource from being deleted.
            let properties = new().ok();
            let work = {
                let sent = sent.clone();
                async move { self.delete(call, &sent, properties.as_ref()).await }
            };
            return stays(Step::Call(Box::pin(work)));
        }
        // Before anything is called, so that nothing has been made when one of these fails.
        let new = new().map_err(Failure::new)?;
        self.validate(&new)?;
        // A new `ServiceToken` or `ServiceTimeout` alone does not change the resource.
        if kind == Kind::Update && properties::unchanged(request.event) {
            return stays(Step::Nothing("no property changed"));
        }
        let success = self.physical_id(call, &new);
        // What the resource makes under an id that it would not delete again would be left behind.
        if !answer::usable(&success) || !self.owns(call, &success) {
            return Err(Failure::new(format_args!(
                "an internal fault of {}: the physical id it made is empty, longer than 1024 bytes, or one that it would not \
                 delete again; nothing was done",
                R::TYPE
            )));
        }
        // Another id on an Update is a replacement: it is created, and CloudFormation
        // deletes the old one later.
        if kind == Kind::Update && success == sent {
            let old = properties::read::<R::Properties>(request.event, "OldResourceProperties").ok();
            let work = async move { self.update(call, &new, old.as_ref()).await };
            return stays(Step::Call(Box::pin(work)));
        }
        // A failed replacement leaves the old resource in force, so a FAILED keeps the old id.
        let failure = if kind == Kind::Create { success.clone() } else { sent };
        let work = Box::pin(async move { self.create(call, &new).await });
        Ok(Plan { success, failure, work: Step::Call(work) })
    }
}
