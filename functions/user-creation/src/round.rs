//! One look at all nodes before any user is compared: which nodes answer, which admit the administrator,
//! which users they have. A node that does not answer costs a reconcile one deadline, not one for each user.

use neo4j::ADMINISTRATOR;
use tokio::task::JoinSet;

use crate::{
    Config, Node, Problem,
    admin::{Found, enter},
    events::{admin_changed, admin_refused},
    secrets::Passwords,
};

#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// Nodes on which users can be compared.
    pub reached: Vec<Node>,
    /// Slots that do not answer, or have no task.
    pub away: Vec<String>,
    /// Slots that answer and refuse the administrator.
    pub locked: Vec<String>,
    /// The names of all users on all nodes, without the administrator.
    pub users: Vec<String>,
}

impl Seen {
    pub(crate) fn is_complete(&self) -> bool {
        self.away.is_empty() && self.locked.is_empty()
    }
}

/// Looks at all `nodes` at once, and corrects the administrator's password on the way.
pub(crate) async fn look(config: &Config, nodes: &[Node], admin: &Passwords) -> Seen {
    let mut asked = JoinSet::new();
    for node in nodes.iter().cloned() {
        let (config, admin) = (config.clone(), admin.clone());
        asked.spawn(async move { (users(&config, &node, &admin).await, node) });
    }
    let mut seen = Seen::default();
    for (users, node) in asked.join_all().await {
        match users {
            Ok(users) => {
                seen.users.extend(users);
                seen.reached.push(node);
            }
            Err(problem) => {
                admin_refused(&node, &problem);
                if problem.is_unreachable() { &mut seen.away } else { &mut seen.locked }.push(node.slot);
            }
        }
    }
    seen.reached.sort_by(|a, b| a.slot.cmp(&b.slot));
    for names in [&mut seen.away, &mut seen.locked, &mut seen.users] {
        names.sort();
        names.dedup();
    }
    seen
}

async fn users(config: &Config, node: &Node, admin: &Passwords) -> Result<Vec<String>, Problem> {
    let at = config.instance(node.address.ok_or(Problem::NoTask)?);
    let (admin, found) = enter(&at, admin).await?;
    if found != Found::InOrder {
        admin_changed(node);
    }
    let accounts = at.accounts(&admin).await.map_err(|denied| Problem::denied("list the users", denied))?;
    Ok(accounts.into_iter().map(|account| account.name).filter(|name| name != ADMINISTRATOR).collect())
}
