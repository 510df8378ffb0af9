//! Templates on their way to the emulator's CloudFormation.

use std::future::Future;
use std::pin::Pin;

use tracing::info;

use super::Form;
use crate::{emulator::Emulator, templates};

/// What is added to a template's key for the local version beside it.
const SUFFIX: &str = ".local";

/// Replaces the template of a stack operation by its local version, nested ones included; other calls stay as they are.
///
/// # Errors
/// One sentence when a template cannot be read or cannot do without what the emulator lacks.
pub async fn localise(emulator: &Emulator, mut form: Form) -> Result<Form, String> {
    if let Some(url) = form.get("TemplateURL") {
        let local = upload_local(emulator, url.clone()).await?;
        form.insert("TemplateURL".into(), local);
    } else if let Some(body) = form.get("TemplateBody") {
        let local = local_body(emulator, body.clone()).await?;
        form.insert("TemplateBody".into(), local);
    }
    Ok(form)
}

/// Writes the local version of the template at `url` beside it and returns its URL.
fn upload_local<'a>(
    emulator: &'a Emulator,
    url: String,
) -> Pin<Box<dyn Future<Output = Result<String, String>> + Send + 'a>> {
    Box::pin(async move {
        let object = templates::bucket_and_key(&url).ok_or_else(|| format!("TemplateURL {url} is not an S3 URL"))?;
        let text = emulator.get_object(&object).await.map_err(|error| error.to_string())?;
        let local = local_body(emulator, String::from_utf8_lossy(&text).into_owned()).await?;
        let beside = format!("{object}{SUFFIX}");
        emulator.put_object(&beside, local.into()).await.map_err(|error| error.to_string())?;
        Ok(format!("http://{}/{beside}", emulator.at))
    })
}

async fn local_body(emulator: &Emulator, text: String) -> Result<String, String> {
    let mut local = templates::without_listed_types(&text).map_err(|error| error.to_string())?;
    for dropped in &local.dropped {
        info!(resource = dropped, "left out: the emulator lacks this type");
    }
    for (logical, url) in templates::nested(&local.template) {
        local.template["Resources"][&logical]["Properties"]["TemplateURL"] = upload_local(emulator, url).await?.into();
    }
    Ok(local.template.to_string())
}
