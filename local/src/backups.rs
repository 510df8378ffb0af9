//! Backups of the deployed stack, as an operator asks for them: events for its backup-trigger, and what is in the catalogue.

use std::{collections::BTreeSet, time::Duration};

use serde_json::{Value, json};

use crate::{cloud::Cloud, observe::until};

const TRIGGER: &str = "backup-trigger";

/// Invokes backup-trigger with an event and returns what it answers.
///
/// # Errors
/// One sentence when it does not answer, or answers with an error.
pub async fn ask(cloud: &Cloud, event: &Value) -> Result<Value, String> {
    cloud.gateway.emulator.ask(&cloud.stack.function(TRIGGER), event).await
}

/// What its schedule sends: a look at everything, and the next step.
///
/// # Errors
/// As of [`ask`].
pub async fn tick(cloud: &Cloud) -> Result<Value, String> {
    ask(cloud, &json!({})).await
}

/// The folders of all backups that there are.
///
/// # Errors
/// As of [`ask`].
pub async fn folders(cloud: &Cloud) -> Result<BTreeSet<String>, String> {
    let entries = entries(cloud).await?;
    Ok(entries.iter().filter_map(|entry| entry["folder"].as_str()).map(str::to_owned).collect())
}

/// Waits for a backup that is not among `known` and returns its line of the catalogue. It ticks all the time: the end of a worker is
/// a bell of ECS's, which may be lost, and nobody here waits for a quarter of an hour.
///
/// # Errors
/// When there is none within `patience`.
pub async fn made(cloud: &Cloud, known: &BTreeSet<String>, patience: Duration) -> Result<Value, String> {
    let new = until(patience, || async {
        let _ticked = tick(cloud).await;
        let entries = entries(cloud).await.ok()?;
        entries
            .into_iter()
            .find(|entry| entry["folder"].as_str().is_some_and(|folder| !known.contains(folder)))
    });
    new.await.ok_or_else(|| format!("no backup was made within {patience:?}"))
}

async fn entries(cloud: &Cloud) -> Result<Vec<Value>, String> {
    let catalogue = ask(cloud, &json!({"catalogue": true})).await?;
    catalogue["entries"].as_array().cloned().ok_or_else(|| format!("no catalogue: {catalogue}"))
}

/// The bucket with the backups of the stack.
///
/// # Errors
/// When there is no such function, or it is not given one.
pub async fn bucket(cloud: &Cloud) -> Result<String, String> {
    let told = cloud.gateway.emulator.function_environment(&cloud.stack.function(TRIGGER)).await;
    let told = told.map_err(|error| error.to_string())?;
    told["BACKUP_BUCKET"]
        .as_str()
        .map(str::to_owned)
        .ok_or_else(|| format!("{TRIGGER} has no bucket: {told}"))
}

/// What a backup's manifest says.
///
/// # Errors
/// When it cannot be read.
pub async fn manifest(cloud: &Cloud, folder: &str) -> Result<Value, String> {
    let at = format!("{}/{folder}/manifest.json", bucket(cloud).await?);
    let read = cloud.gateway.emulator.get_object(&at).await.map_err(|error| format!("{at}: {error}"))?;
    serde_json::from_slice(&read).map_err(|error| format!("{at}: {error}"))
}
