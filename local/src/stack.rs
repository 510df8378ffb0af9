//! A deployed stack, known by its name, and the names that its template makes of it.

use std::{convert::Infallible, fmt, str::FromStr};

/// A stack of this project's template. What belongs to it is found by names that begin with the stack's, or through CloudFormation
/// ([`crate::stacks::resource`]) where the template gives no name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stack(String);

/// The stack that `samconfig.toml` deploys to the local cloud.
impl Default for Stack {
    fn default() -> Self {
        Self::new("neo4j-local")
    }
}

impl Stack {
    /// The stack of that name.
    pub fn new(name: impl Into<String>) -> Self {
        Self(name.into())
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.0
    }

    /// Its cluster: the template names it after the stack.
    pub fn cluster(&self) -> &str {
        &self.0
    }

    /// One of its functions, such as `master-election`.
    pub fn function(&self, which: &str) -> String {
        format!("{self}-{which}")
    }

    /// The service of its core slot with that server id.
    pub fn core(&self, id: usize) -> String {
        format!("{self}-core-{id}")
    }

    /// Whether `service` is one of its slots: `STACK-KIND-ID`. A longer name of another stack may begin with this one's.
    pub fn has_slot(&self, service: &str) -> bool {
        let kind_and_id = service.strip_prefix(&self.0).and_then(|rest| rest.strip_prefix('-'));
        kind_and_id.and_then(|rest| rest.split_once('-')).is_some_and(|(kind, id)| {
            !kind.is_empty() && !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit())
        })
    }
}

impl fmt::Display for Stack {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl FromStr for Stack {
    type Err = Infallible;

    fn from_str(name: &str) -> Result<Self, Infallible> {
        Ok(Self::new(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_of_one_stack_even_when_names_begin_alike() {
        let (short, long) = (Stack::new("neo4j"), Stack::new("neo4j-core"));
        assert!(short.has_slot(&short.core(1)) && long.has_slot(&long.core(12)));
        assert!(!short.has_slot(&long.core(1)) && !long.has_slot(&short.core(1)));
        assert!(
            !short.has_slot("neo4j-core-") && !short.has_slot("neo4j-core-1-b") && !short.has_slot("neo4j")
        );
    }
}
