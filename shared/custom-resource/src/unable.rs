//! A function that cannot work, because a parameter of its environment is invalid, answers all the same: the
//! stack's events name the reason at once, and a roll-back's Delete of what was never made succeeds.
//!
//! ```text
//! Create, Update --> FAILED: the reason, and that nothing was done
//! Delete ----------> Resource::needs_delete: no --> SUCCESS
//!                                           yes --> FAILED: the reason, and how to go on
//! ```

use std::{fmt, marker::PhantomData};

use crate::{
    Call, Failure, Resource,
    plan::{Plan, Served, Step},
    request::{Kind, Request},
};

/// Why a function cannot work: one sentence, which is logged and becomes the Reason of its answers.
#[derive(Clone, Debug)]
pub struct Unable(String);

impl Unable {
    /// Logs `reason`, so create it once, at the function's start.
    pub fn because(reason: impl fmt::Display) -> Self {
        let reason = reason.to_string();
        tracing::error!(
            event = "custom-resource-unable",
            "{reason}; until that is put right every request is answered without being carried out"
        );
        Self(reason)
    }

    pub(crate) fn serving<R: Resource>(&self) -> Without<R> {
        Without { unable: self.clone(), of: PhantomData }
    }
}

/// Prints the reason.
impl fmt::Display for Unable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Serves the type `R` without an instance of `R`.
pub(crate) struct Without<R> {
    unable: Unable,
    of: PhantomData<fn() -> R>,
}

impl<R: Resource> Served for Without<R> {
    fn resource_type(&self) -> &'static str {
        R::TYPE
    }

    fn plan<'a>(&'a self, kind: Kind, request: &Request<'_>, call: &'a Call) -> Result<Plan<'a>, Failure> {
        let (id, unable) = (request.physical_id.unwrap_or_default(), &self.unable);
        if kind != Kind::Delete {
            let done = match call.progress {
                None => "nothing was done",
                Some(_) => "what an earlier invocation began may be done in part",
            };
            return Err(Failure::new(format_args!(
                "{unable}; {done}. Put it right and run the stack operation again"
            )));
        }
        if R::needs_delete(id) {
            return Err(Failure::new(format_args!(
                "{unable}; {id} may exist and was not deleted. Put it right and delete again, or delete the stack and retain \
                 this resource"
            )));
        }
        let work = Step::Nothing("a Delete of this physical id has nothing to do");
        Ok(Plan { success: id.to_owned(), failure: id.to_owned(), work })
    }
}
