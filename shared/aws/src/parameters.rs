//! Small records below one path of the Parameter Store.

use aws_config::SdkConfig;
use aws_sdk_ssm::{Client, error::ProvideErrorMetadata, types::ParameterType};

use crate::{Error, Kind};

/// A page has ten parameters; more pages than this are not records of ours.
const MOST_PAGES: usize = 200;

/// The parameters below one path. Clones share their connections.
#[derive(Clone, Debug)]
pub struct Parameters {
    client: Client,
    path: String,
}

impl Parameters {
    /// Those directly below `path`, such as `/stack/users`.
    pub fn new(config: &SdkConfig, path: impl Into<String>) -> Self {
        Self { client: Client::new(config), path: path.into() }
    }

    /// All `(name, value)`, names without the path.
    pub async fn list(&self) -> Result<Vec<(String, String)>, Error> {
        let mut found = Vec::new();
        let mut next = None;
        for _page in 0..MOST_PAGES {
            let call = self.client.get_parameters_by_path().path(&self.path).set_next_token(next.take());
            let page = call.send().await;
            let page = page.map_err(|error| Error::of("ssm:GetParametersByPath", &self.path, &error))?;
            let below = format!("{}/", self.path);
            found.extend(page.parameters().iter().filter_map(|parameter| {
                let name = parameter.name()?.strip_prefix(&below)?;
                Some((name.to_owned(), parameter.value()?.to_owned()))
            }));
            match page.next_token {
                Some(token) if !token.is_empty() => next = Some(token),
                _ => return Ok(found),
            }
        }
        Err(Error {
            call: "ssm:GetParametersByPath",
            what: self.path.clone(),
            reason: format!("there are more than {MOST_PAGES} pages"),
            kind: Kind::Other,
        })
    }

    /// The value of `name`; `None` if absent.
    pub async fn get(&self, name: &str) -> Result<Option<String>, Error> {
        let name = self.full(name);
        match self.client.get_parameter().name(&name).send().await {
            Ok(answer) => Ok(answer.parameter.and_then(|parameter| parameter.value)),
            Err(error) if error.code() == Some("ParameterNotFound") => Ok(None),
            Err(error) => Err(Error::of("ssm:GetParameter", name, &error)),
        }
    }

    /// Writes `name`, whether it exists or not.
    pub async fn put(&self, name: &str, value: &str) -> Result<(), Error> {
        let name = self.full(name);
        let call = self.client.put_parameter().name(&name).value(value).overwrite(true);
        let put = call.r#type(ParameterType::String).send().await;
        put.map(drop).map_err(|error| Error::of("ssm:PutParameter", name, &error))
    }

    /// Writes `name` unless it exists. Returns `false` if it exists, which may be the work of a first try
    /// whose answer was lost: read it.
    pub async fn put_new(&self, name: &str, value: &str) -> Result<bool, Error> {
        let name = self.full(name);
        let call = self.client.put_parameter().name(&name).value(value).overwrite(false);
        match call.r#type(ParameterType::String).send().await {
            Ok(_) => Ok(true),
            Err(error) if error.code() == Some("ParameterAlreadyExists") => Ok(false),
            Err(error) => Err(Error::of("ssm:PutParameter", name, &error)),
        }
    }

    /// Deletes `name`; an absent one is not an error.
    pub async fn delete(&self, name: &str) -> Result<(), Error> {
        let name = self.full(name);
        match self.client.delete_parameter().name(&name).send().await {
            Err(error) if error.code() != Some("ParameterNotFound") => {
                Err(Error::of("ssm:DeleteParameter", name, &error))
            }
            _ => Ok(()),
        }
    }

    fn full(&self, name: &str) -> String {
        format!("{}/{name}", self.path)
    }
}
