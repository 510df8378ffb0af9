//! Users on real nodes, made by the deployed function: through the stack, through stacks of their own, and by the reconcile.

use std::{net::SocketAddr, time::Duration};

use local::{
    client::{self, User, Users},
    cloud::Cloud,
    control::{HTTP_PORT, Node},
    login::Login,
    processes::{Signal, signal_group},
};
use serde_json::{Value, json};

use end_to_end::stage::{Outcome, Stage, ask, ask_function, master, rest, stacks, status, wait};

pub const FUNCTION: &str = "user-creation";
pub const RECONCILE: &[u8] = include_bytes!("../../../events/user-reconcile.json");
pub const PAUSE: &[u8] = include_bytes!("../../../events/pause.json");
pub const RESUME: &[u8] = include_bytes!("../../../events/resume.json");
const PATIENCE: Duration = Duration::from_secs(10);
/// Everything that Cypher, a URL, a shell, JSON or the basic scheme might trip over, and that HTTP can carry to 3.4.
const NASTY: &str = "/ ' \" \\ : `$u` %41 {\"password\":1} \u{fc}";

/// The stack made its two users on every node, and each can do what its role says.
pub fn of_the_stack(stage: &Stage) -> Outcome {
    stage.play(async |cloud| {
        let nodes = rest(cloud).await?.nodes;
        Users::of(cloud).await?.on(&nodes).await
    })
}

/// Created, given another role, renamed, deleted; a password that changes in the secret needs no update at all.
pub fn through_a_stack(stage: &Stage) -> Outcome {
    stage.play(async |cloud| {
        let nodes = rest(cloud).await?.nodes;
        stacks::create(cloud, "reports", &stack(cloud, "reports", "reader", NASTY))
            .await?
            .must_be("CREATE_COMPLETE")?;
        let reports = Login::new("reports", NASTY);
        logs_in(&nodes, &reports).await?;
        if may_write(&nodes, &reports).await? {
            return Err("a reader wrote".into());
        }

        stacks::update(cloud, "reports", &stack(cloud, "reports", "publisher", NASTY))
            .await?
            .must_be("UPDATE_COMPLETE")?;
        if !may_write(&nodes, &reports).await? {
            return Err("a publisher cannot write".into());
        }

        put_secret(cloud, &format!("{}/users/reports", cloud.stack), "another one").await?;
        ask_function(cloud, FUNCTION, RECONCILE).await?;
        logs_in(&nodes, &Login::new("reports", "another one")).await?;
        stays_out(&nodes, &reports).await?;

        stacks::update(cloud, "reports", &stack(cloud, "accounts", "reader", NASTY))
            .await?
            .must_be("UPDATE_COMPLETE")?;
        logs_in(&nodes, &Login::new("accounts", NASTY)).await?;
        exists(cloud, &nodes, "reports", false).await?;

        stacks::delete(cloud, "reports").await?;
        exists(cloud, &nodes, "accounts", false).await
    })
}

/// A create that fails is rolled back, and leaves no user behind.
pub fn failing_create(stage: &Stage) -> Outcome {
    stage.play(async |cloud| {
        let nodes = rest(cloud).await?.nodes;
        let mut template = stack(cloud, "nobody", "reader", "x");
        template["Resources"]["User"]["Properties"]["PasswordSecretArn"] =
            json!("arn:aws:secretsmanager:us-east-1:000000000000:secret:no-such-secret-AbCdEf");
        let ended = stacks::create(cloud, "nobody", &template).await?.must_be("ROLLBACK_COMPLETE")?;
        if !ended.reasons().contains("no-such-secret") {
            return Err(format!("the reason does not name the secret: {}", ended.reasons()));
        }
        stacks::delete(cloud, "nobody").await?;
        exists(cloud, &nodes, "nobody", false).await
    })
}

/// Two of three nodes are reached: it fails, names the third, and a retry completes it.
pub fn one_node_away(stage: &Stage) -> Outcome {
    stage.play(async |cloud| {
        let nodes = rest(cloud).await?.nodes;
        let away = nodes.iter().find(|node| node.role == "slave").ok_or("there is no slave")?;
        // Otherwise the election would replace the frozen node, and all three would be there again.
        ask(cloud, PAUSE).await?;
        signal_group(away.pid, Signal::STOP);
        let mut template = stack(cloud, "partly", "reader", "x");
        // As long as the other two nodes take by far, and the third one has not got.
        template["Resources"]["User"]["Properties"]["ServiceTimeout"] = json!(60);
        let failed = stacks::create(cloud, "partly", &template).await;
        signal_group(away.pid, Signal::CONT);
        ask(cloud, RESUME).await?;
        let failed = failed?.must_be("ROLLBACK_COMPLETE")?;
        if !failed.reasons().contains(&away.service) {
            return Err(format!("the reason does not name {}: {}", away.service, failed.reasons()));
        }
        stacks::delete(cloud, "partly").await?;
        let nodes = rest(cloud).await?.nodes;
        stacks::create(cloud, "partly", &stack(cloud, "partly", "reader", "x"))
            .await?
            .must_be("CREATE_COMPLETE")?;
        logs_in(&nodes, &Login::new("partly", "x")).await?;
        stacks::delete(cloud, "partly").await
    })
}

/// Another value in the administrator's secret: the function logs in with the one before, and changes it everywhere.
pub fn administrator_rotated(stage: &Stage) -> Outcome {
    stage.play(async |cloud| {
        let nodes = rest(cloud).await?.nodes;
        let old = cloud.login(User::Admin).await?;
        logs_in(&nodes, &old).await?;
        put_secret(cloud, &cloud.secret(User::Admin).await?, "Rotated0123456789").await?;
        ask_function(cloud, FUNCTION, RECONCILE).await?;
        logs_in(&nodes, &cloud.login(User::Admin).await?).await?;
        stays_out(&nodes, &old).await
    })
}

/// A node that lost its volume has no users; it rings when it has joined, and gets them.
pub fn lost_volume(stage: &Stage) -> Outcome {
    stage.play(async |cloud| {
        let before = rest(cloud).await?;
        let (old, ..) = master(&before)?;
        let slave = before.nodes.iter().find(|node| node.service != old).ok_or("there is no slave")?;
        cloud.gateway.ecs.lose(&slave.service).map_err(|error| error.to_string())?;
        let users = Users::of(cloud).await?;
        wait("the users on a node that lost its volume", || async {
            let now = status(cloud).await;
            let new = now.nodes.iter().find(|node| node.service == slave.service)?;
            let there = new.task != slave.task && new.role == "slave";
            (there && users.on(std::slice::from_ref(new)).await.is_ok()).then_some(())
        })
        .await?;
        rest(cloud).await.map(drop)
    })
}

/// A stack with one user and its secret.
pub fn stack(cloud: &Cloud, user: &str, role: &str, password: &str) -> Value {
    let token = format!("arn:aws:lambda:us-east-1:000000000000:function:{}", cloud.stack.function(FUNCTION));
    json!({"Resources": {
        "Password": {"Type": "AWS::SecretsManager::Secret", "Properties": {
            "Name": format!("{}/users/{user}", cloud.stack), "SecretString": password}},
        "User": {"Type": "Custom::Neo4jUser", "Properties": {
            "ServiceToken": token, "ServiceTimeout": 240, "Username": user, "Role": role,
            "PasswordSecretArn": {"Fn::GetAtt": ["Password", "Id"]}}}}})
}

async fn put_secret(cloud: &Cloud, id: &str, value: &str) -> Outcome {
    let target = "secretsmanager.PutSecretValue";
    let body = json!({"SecretId": id, "SecretString": value, "ClientRequestToken": token()});
    let put = cloud.gateway.emulator.json("secretsmanager", target, &body).await;
    put.map(drop).map_err(|error| error.to_string())
}

/// Unlike any other of this run.
fn token() -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    format!("00000000-0000-0000-0000-{:012x}", now.as_micros() & 0xffff_ffff_ffff)
}

pub fn http(node: &Node) -> SocketAddr {
    (node.address, HTTP_PORT).into()
}

pub async fn logs_in(nodes: &[Node], login: &Login) -> Outcome {
    for node in nodes {
        let tried = client::cypher(http(node), login, "RETURN 1", json!({}), PATIENCE).await;
        tried.map_err(|error| format!("{} does not log in on {}: {error}", login.user, node.service))?;
    }
    Ok(())
}

pub async fn stays_out(nodes: &[Node], login: &Login) -> Outcome {
    for node in nodes {
        match client::cypher(http(node), login, "RETURN 1", json!({}), PATIENCE).await {
            Err(refused) if refused.says("Unauthorized") => {}
            other => return Err(format!("{} on {}: {other:?}", login.user, node.service)),
        }
    }
    Ok(())
}

async fn may_write(nodes: &[Node], login: &Login) -> Result<bool, String> {
    let master = nodes.iter().find(|node| node.role == "master").ok_or("there is no master")?;
    match client::cypher(http(master), login, "CREATE (:Tried)", json!({}), PATIENCE).await {
        Ok(_) => Ok(true),
        Err(refused) if refused.says("Forbidden") => Ok(false),
        Err(error) => Err(error.to_string()),
    }
}

/// A row for each user: name, roles, flags.
pub async fn accounts(cloud: &Cloud, node: &Node) -> Result<Vec<Value>, String> {
    let admin = cloud.login(User::Admin).await?;
    let listed =
        client::cypher(http(node), &admin, "CALL dbms.security.listUsers()", json!({}), PATIENCE).await?;
    Ok(listed["results"][0]["data"].as_array().cloned().unwrap_or_default())
}

pub async fn exists(cloud: &Cloud, nodes: &[Node], user: &str, wanted: bool) -> Outcome {
    for node in nodes {
        let rows = accounts(cloud, node).await?;
        let there = rows.iter().any(|row| row["row"][0] == user);
        if there != wanted {
            return Err(format!("{user} on {}: {there} instead of {wanted}", node.service));
        }
    }
    Ok(())
}
