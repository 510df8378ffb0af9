//! What is logged about users on nodes: a line for each change and each problem, with stable event names.

use neo4j::UserName;
use tracing::{info, warn};

use crate::{Node, Problem, everywhere::Told};

pub(crate) fn tell(user: &UserName, told: &[Told]) {
    for told in told {
        let (place, slot) = (told.node.place(), &told.node.slot);
        match &told.outcome {
            Ok(applied) => {
                if applied.admin_changed {
                    admin_changed(&told.node);
                }
                if !applied.changes.is_empty() {
                    let changes: Vec<String> = applied.changes.iter().map(ToString::to_string).collect();
                    let changes = changes.join(", ");
                    let old = if applied.was_previous { "; the password was still the old one" } else { "" };
                    info!(
                        event = "users-applied", slot, user = %user, changes, previous = applied.was_previous,
                        "{place}: user {user}: {changes}{old}"
                    );
                }
            }
            Err(problem) => {
                warn!(event = "user-out-of-order", slot, user = %user, "{place}: user {user}: {problem}");
            }
        }
    }
}

pub(crate) fn admin_changed(node: &Node) {
    info!(
        event = "admin-password-changed",
        slot = node.slot,
        "{}: the administrator had an older password, and has the secret's now",
        node.place()
    );
}

pub(crate) fn admin_refused(node: &Node, problem: &Problem) {
    warn!(event = "node-not-compared", slot = node.slot, "{}: {problem}", node.place());
}
