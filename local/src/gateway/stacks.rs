//! Templates on their way to the emulator's CloudFormation.

use std::{
    collections::BTreeSet,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
};

use crate::{emulator::Emulator, form::Form, templates};

/// The resources that were left out of what was deployed, each as `Logical (Type)`. Clones are the same list.
#[derive(Clone, Debug, Default)]
pub struct LeftOut(Arc<Mutex<BTreeSet<String>>>);

impl LeftOut {
    /// All of them so far.
    pub fn all(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    fn add(&self, dropped: Vec<String>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(dropped);
    }
}

/// What is added to a template's key for the local version beside it.
const SUFFIX: &str = ".local";

/// Replaces the template of a stack operation by its local version, nested ones included; other calls stay as they are.
///
/// # Errors
/// One sentence when a template cannot be read or cannot do without what the emulator lacks.
pub async fn localise(emulator: &Emulator, left_out: &LeftOut, mut form: Form) -> Result<Form, String> {
    if let Some(url) = form.get("TemplateURL") {
        let local = upload_local(emulator, left_out, url.clone()).await?;
        form.insert("TemplateURL".into(), local);
    } else if let Some(body) = form.get("TemplateBody") {
        let local = local_body(emulator, left_out, body.clone()).await?;
        form.insert("TemplateBody".into(), local);
    }
    Ok(form)
}

/// Writes the local version of the template at `url` beside it and returns its URL.
fn upload_local<'a>(
    emulator: &'a Emulator,
    left_out: &'a LeftOut,
    url: String,
) -> Pin<Box<dyn Future<Output = Result<String, String>> + Send + 'a>> {
    Box::pin(async move {
        let object =
            templates::bucket_and_key(&url).ok_or_else(|| format!("TemplateURL {url} is not an S3 URL"))?;
        let text = emulator.get_object(&object).await.map_err(|error| error.to_string())?;
        let local = local_body(emulator, left_out, String::from_utf8_lossy(&text).into_owned()).await?;
        let beside = format!("{object}{SUFFIX}");
        emulator.put_object(&beside, local.into()).await.map_err(|error| error.to_string())?;
        Ok(format!("http://{}/{beside}", emulator.at))
    })
}

async fn local_body(emulator: &Emulator, left_out: &LeftOut, text: String) -> Result<String, String> {
    let mut local = templates::without_listed_types(&text).map_err(|error| error.to_string())?;
    left_out.add(std::mem::take(&mut local.dropped));
    for (logical, url) in templates::nested(&local.template) {
        local.template["Resources"][&logical]["Properties"]["TemplateURL"] =
            upload_local(emulator, left_out, url).await?.into();
    }
    Ok(local.template.to_string())
}
