//! The role over Bolt: the same answer as the role endpoint's, from threads that HTTP's queries cannot take.

use std::{net::SocketAddr, time::Duration};

use serde_json::Value;
use topology::{Answer, NotKnown};

use crate::{Credentials, Denied, Dialect, Release, bolt_1};

/// The management bean "High Availability", of which three attributes are enough. Through a kill and a freeze
/// of the master it reports the same as the role endpoint at every moment, within some 20 ms, in 4 to 42 ms
/// each (measured on 3.4.6).
const HA: &str = "CALL dbms.queryJmx('org.neo4j:instance=kernel#0,name=High Availability') YIELD attributes \
                  RETURN attributes.Role.value, attributes.Alive.value, attributes.Available.value";
/// Causal clustering has no such bean; this is its own procedure, for members of every kind.
const CLUSTER: &str = "CALL dbms.cluster.role()";
/// A single node is the master as long as it answers.
const SINGLE: &str = "RETURN 1";

/// Asks one Neo4j over Bolt (version 1, which 3.x speaks) as `who`, or without a login
/// when authentication is off.
///
/// # Errors
/// When Neo4j did not report its role: nothing follows from that, above all not a yes. `Unreachable` when it
/// was silent or refused, `Unauthorized` when that password must not be retried soon.
pub async fn ask_bolt(
    dialect: Dialect,
    bolt: SocketAddr,
    who: Option<&Credentials>,
    deadline: Duration,
) -> Result<Answer, Denied> {
    let statement = match dialect {
        Dialect::Ha => HA,
        Dialect::Cluster(Release::V3_4 | Release::V3_5) => CLUSTER,
        // These releases do not speak version 1 of Bolt.
        Dialect::Cluster(Release::V4) => return Ok(Answer::NotKnown(NotKnown::Unexpected)),
        Dialect::Single => SINGLE,
    };
    let rows = bolt_1::rows(bolt, who, statement, deadline).await?;
    Ok(meaning(dialect, &rows))
}

fn meaning(dialect: Dialect, rows: &[Value]) -> Answer {
    const UNSETTLED: Answer = Answer::NotKnown(NotKnown::Unsettled);
    const UNEXPECTED: Answer = Answer::NotKnown(NotKnown::Unexpected);
    let [Value::Array(row)] = rows else { return UNEXPECTED };
    match (dialect, &row[..]) {
        // A master that is not available yet, or not any more, is between roles, as the
        // role endpoint reports it.
        (Dialect::Ha, [Value::String(role), alive, available]) => match role.as_str() {
            "master" if *alive == true && *available == true => Answer::Master,
            "slave" => Answer::Slave,
            _ => UNSETTLED,
        },
        (Dialect::Cluster(_), [Value::String(role)]) => match role.as_str() {
            "LEADER" => Answer::Master,
            "FOLLOWER" => Answer::Slave,
            // A read replica is not a member of the core, and the core's role endpoint refuses it.
            _ => UNEXPECTED,
        },
        (Dialect::Single, [Value::Number(_)]) => Answer::Master,
        _ => UNEXPECTED,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const UNSETTLED: Answer = Answer::NotKnown(NotKnown::Unsettled);
    const UNEXPECTED: Answer = Answer::NotKnown(NotKnown::Unexpected);
    const CORE: Dialect = Dialect::Cluster(Release::V3_4);

    #[test]
    fn the_bean_means_what_the_role_endpoint_says() {
        let table = [
            (json!(["master", true, true]), Answer::Master),
            (json!(["master", true, false]), UNSETTLED),
            (json!(["master", false, true]), UNSETTLED),
            (json!(["master", "true", "true"]), UNSETTLED),
            (json!(["slave", true, true]), Answer::Slave),
            (json!(["slave", true, false]), Answer::Slave),
            (json!(["UNKNOWN", true, false]), UNSETTLED),
            (json!(["MASTER", true, true]), UNSETTLED),
            (json!(["master"]), UNEXPECTED),
            (json!([null, null, null]), UNEXPECTED),
            (json!([1, true, true]), UNEXPECTED),
            (json!("master"), UNEXPECTED),
        ];
        for (row, expected) in table {
            assert_eq!(meaning(Dialect::Ha, std::slice::from_ref(&row)), expected, "{row}");
        }
        let master = json!(["master", true, true]);
        assert_eq!(meaning(Dialect::Ha, &[]), UNEXPECTED, "no such bean");
        assert_eq!(meaning(Dialect::Ha, &[master.clone(), master]), UNEXPECTED);
    }

    #[test]
    fn a_leader_is_the_master_and_a_single_node_is_when_it_answers() {
        assert_eq!(meaning(CORE, &[json!(["LEADER"])]), Answer::Master);
        assert_eq!(meaning(CORE, &[json!(["FOLLOWER"])]), Answer::Slave);
        assert_eq!(meaning(CORE, &[json!(["READ_REPLICA"])]), UNEXPECTED);
        assert_eq!(meaning(CORE, &[json!([1])]), UNEXPECTED);
        assert_eq!(meaning(Dialect::Single, &[json!([1])]), Answer::Master);
        assert_eq!(meaning(Dialect::Single, &[]), UNEXPECTED);
    }
}
