//! A revoked login stays revoked: what CloudFormation, Lambda's queue and an outage may do to users, on real nodes.

use std::time::Duration;

use local::{
    client,
    cloud::Cloud,
    control::Node,
    login::Login,
    observe,
    processes::{Signal, signal_group},
};
use serde_json::{Value, json};

use end_to_end::stage::{Outcome, Stage, ask, ask_function, rest, stacks, status, wait};

use crate::users::{FUNCTION, PAUSE, RECONCILE, RESUME, accounts, exists, http, logs_in, stack, stays_out};

/// A login is refused at once.
const PATIENCE: Duration = Duration::from_secs(10);

/// What SSM takes of PutParameter in a second by default.
const PUTS_A_SECOND: f64 = 3.0;
const USERS: usize = 20;

/// A rename that fails on one node is rolled back, and takes the new login away again.
pub fn a_failed_rename(stage: &Stage) -> Outcome {
    stage.play(async |cloud| {
        let nodes = rest(cloud).await?.nodes;
        let first = stack(cloud, "before", "reader", "x");
        stacks::create(cloud, "renamed", &first).await?.must_be("CREATE_COMPLETE")?;
        let away = nodes.iter().find(|node| node.role == "slave").ok_or("there is no slave")?;
        // Otherwise the election would replace the frozen node, and all three would be there again.
        ask(cloud, PAUSE).await?;
        signal_group(away.pid, Signal::STOP);
        let mut second = stack(cloud, "after", "reader", "x");
        second["Resources"]["User"]["Properties"]["ServiceTimeout"] = json!(60);
        let failed = stacks::update(cloud, "renamed", &second).await;
        signal_group(away.pid, Signal::CONT);
        ask(cloud, RESUME).await?;
        failed?.must_be("UPDATE_ROLLBACK_COMPLETE")?;
        let nodes = rest(cloud).await?.nodes;
        ask_function(cloud, FUNCTION, RECONCILE).await?;
        exists(cloud, &nodes, "after", false).await?;
        logs_in(&nodes, &Login::new("before", "x")).await?;
        stacks::delete(cloud, "renamed").await?;
        exists(cloud, &nodes, "before", false).await
    })
}

/// All services are scaled to zero, the user's stack is deleted, and the services come back: with them the files that still
/// have the user.
pub fn a_delete_while_nothing_runs(stage: &Stage) -> Outcome {
    stage.play(async |cloud| {
        let nodes = rest(cloud).await?.nodes;
        stacks::create(cloud, "revoked", &stack(cloud, "revoked", "reader", "x"))
            .await?
            .must_be("CREATE_COMPLETE")?;
        logs_in(&nodes, &Login::new("revoked", "x")).await?;
        scale(cloud, 0).await?;
        wait("all tasks are gone", || async { status(cloud).await.nodes.is_empty().then_some(()) }).await?;
        let deleted = stacks::delete(cloud, "revoked").await;
        scale(cloud, 1).await?;
        deleted?;
        observe::form(cloud).await?;
        let nodes = rest(cloud).await?.nodes;
        ask_function(cloud, FUNCTION, RECONCILE).await?;
        stays_out(&nodes, &Login::new("revoked", "x")).await?;
        exists(cloud, &nodes, "revoked", false).await
    })
}

/// A reconcile waits for a user that an application has locked out; meanwhile another user is suspended.
pub fn a_suspension_during_a_reconcile(stage: &Stage) -> Outcome {
    stage.play(async |cloud| {
        let nodes = rest(cloud).await?.nodes;
        let (held, leaked) = ("a-held-up", "leaked");
        for user in [held, leaked] {
            stacks::create(cloud, user, &stack(cloud, user, "reader", "x"))
                .await?
                .must_be("CREATE_COMPLETE")?;
        }
        let mut suspended = stack(cloud, leaked, "reader", "x");
        suspended["Resources"]["User"]["Properties"]["Suspended"] = json!(true);
        lock_out(&nodes, held).await;
        let (reconciled, updated) =
            tokio::join!(ask_function(cloud, FUNCTION, RECONCILE), stacks::update(cloud, leaked, &suspended));
        updated?.must_be("UPDATE_COMPLETE")?;
        reconciled?;
        stays_out(&nodes, &Login::new(leaked, "x")).await?;
        for user in [held, leaked] {
            stacks::delete(cloud, user).await?;
        }
        Ok(())
    })
}

/// Lambda's queue delivers an old Create after the Delete, and an old Update after a newer one.
pub fn late_duplicates(stage: &Stage) -> Outcome {
    stage.play(async |cloud| {
        let nodes = rest(cloud).await?.nodes;
        stacks::create(cloud, "late", &stack(cloud, "late", "reader", "x"))
            .await?
            .must_be("CREATE_COMPLETE")?;
        for role in ["admin", "reader"] {
            stacks::update(cloud, "late", &stack(cloud, "late", role, "x"))
                .await?
                .must_be("UPDATE_COMPLETE")?;
        }
        again(cloud, "Update", "late", "admin").await?;
        if roles(cloud, &nodes, "late").await? != json!(vec!["reader"; nodes.len()]) {
            return Err(format!(
                "a late duplicate gave a role back: {}",
                roles(cloud, &nodes, "late").await?
            ));
        }
        stacks::delete(cloud, "late").await?;
        exists(cloud, &nodes, "late", false).await?;
        again(cloud, "Create", "late", "reader").await?;
        exists(cloud, &nodes, "late", false).await?;
        ask_function(cloud, FUNCTION, RECONCILE).await?;
        exists(cloud, &nodes, "late", false).await
    })
}

/// One template with twenty users, while the Parameter Store takes three writes a second.
pub fn twenty_at_once(stage: &Stage) -> Outcome {
    stage.play(async |cloud| {
        let nodes = rest(cloud).await?.nodes;
        let names: Vec<String> = (1..=USERS).map(|number| format!("many-{number}")).collect();
        let mut resources = serde_json::Map::new();
        for (number, name) in names.iter().enumerate() {
            let mut one = stack(cloud, name, "reader", "x");
            let password = json!({"Fn::GetAtt": [format!("Password{number}"), "Id"]});
            one["Resources"]["User"]["Properties"]["PasswordSecretArn"] = password;
            for logical in ["Password", "User"] {
                resources.insert(format!("{logical}{number}"), one["Resources"][logical].take());
            }
        }
        cloud.gateway.rates.limit("ssm", "PutParameter", PUTS_A_SECOND, PUTS_A_SECOND);
        let created = stacks::create(cloud, "many", &json!({ "Resources": resources })).await;
        let created = created.and_then(|created| created.must_be("CREATE_COMPLETE"));
        let there = match &created {
            Ok(_) => exists_all(cloud, &nodes, &names, true).await,
            Err(_) => Ok(()),
        };
        let deleted = stacks::delete(cloud, "many").await;
        cloud.gateway.rates.lift();
        created.map(drop).and(there).and(deleted)?;
        exists_all(cloud, &nodes, &names, false).await
    })
}

/// Off and on again: the function answers all the while, the nodes' files keep their users, and one that was deleted meanwhile does
/// not come back.
pub fn without_authentication(stage: &Stage) -> Outcome {
    stage.play(async |cloud| {
        let nodes = rest(cloud).await?.nodes;
        stacks::create(cloud, "meanwhile", &stack(cloud, "meanwhile", "reader", "x"))
            .await?
            .must_be("CREATE_COMPLETE")?;
        logs_in(&nodes, &Login::new("meanwhile", "x")).await?;

        stage.redeploy(cloud, &[("AuthEnabled", "false")]).await?.must_be("UPDATE_COMPLETE")?;
        let nodes = rest(cloud).await?.nodes;
        // Neo4j looks at no password any more.
        logs_in(&nodes, &Login::new("anyone", "anything")).await?;
        let refused = stacks::create(cloud, "refused", &stack(cloud, "refused", "reader", "x")).await?;
        let refused = refused.must_be("ROLLBACK_COMPLETE")?;
        if !refused.reasons().contains("AuthEnabled") {
            return Err(format!("the reason does not name AuthEnabled: {}", refused.reasons()));
        }
        stacks::delete(cloud, "refused").await?;
        stacks::delete(cloud, "meanwhile").await?;

        stage.redeploy(cloud, &[]).await?.must_be("UPDATE_COMPLETE")?;
        let nodes = rest(cloud).await?.nodes;
        client::Users::of(cloud).await?.on(&nodes).await?;
        ask_function(cloud, FUNCTION, RECONCILE).await?;
        stays_out(&nodes, &Login::new("meanwhile", "x")).await?;
        exists(cloud, &nodes, "meanwhile", false).await
    })
}

/// Sets how many tasks every service of the stack wants, as a person does for maintenance.
async fn scale(cloud: &Cloud, tasks: u32) -> Outcome {
    for number in 1..=observe::CORE_SIZE {
        let service = cloud.stack.core(number);
        let request = json!({"cluster": cloud.stack.cluster(), "service": service, "desiredCount": tasks});
        let target = "AmazonEC2ContainerServiceV20141113.UpdateService";
        cloud.gateway.emulator.json("ecs", target, &request).await.map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// Lambda's queue delivers the last request of that type for `user` with that role once more.
async fn again(cloud: &Cloud, request: &str, user: &str, role: &str) -> Outcome {
    let wanted = |function: &str, event: &Value| {
        let properties = &event["ResourceProperties"];
        function.ends_with(FUNCTION)
            && event["RequestType"] == request
            && (&properties["Username"], &properties["Role"]) == (&json!(user), &json!(role))
    };
    match cloud.gateway.deliveries.again(wanted).await {
        Some(_) => Ok(()),
        None => Err(format!("no {request} of {user} as {role} is remembered")),
    }
}

/// Three wrong passwords, as an application with an old one tries.
async fn lock_out(nodes: &[Node], user: &str) {
    for node in nodes {
        for _try in 0..3 {
            let wrong = Login::new(user, "an old one");
            let _refused = client::cypher(http(node), &wrong, "RETURN 1", json!({}), PATIENCE).await;
        }
    }
}

/// The only role of `user` on each node.
async fn roles(cloud: &Cloud, nodes: &[Node], user: &str) -> Result<Value, String> {
    let mut roles = Vec::new();
    for node in nodes {
        let rows = accounts(cloud, node).await?;
        let row = rows.into_iter().find(|row| row["row"][0] == user);
        roles.push(row.map(|row| row["row"][1][0].clone()).unwrap_or_default());
    }
    Ok(roles.into())
}

async fn exists_all(cloud: &Cloud, nodes: &[Node], users: &[String], wanted: bool) -> Outcome {
    for node in nodes {
        let rows = accounts(cloud, node).await?;
        for user in users {
            if rows.iter().any(|row| row["row"][0] == user.as_str()) != wanted {
                return Err(format!("{user} on {}: {} instead of {wanted}", node.service, !wanted));
            }
        }
    }
    Ok(())
}
