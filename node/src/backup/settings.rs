//! What `node backup` is told: little, because its task is not a node.

use std::path::PathBuf;

use neo4j::Dialect;
use runtime::{Cluster, Environment, Invalid};

use crate::settings::accepts_license;

/// What the task definition of backups says, and the order of one run.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What the template sets for every program.
    pub cluster: Cluster,
    /// The dialect's name, as the manifest has it.
    pub dialect: String,
    /// The bucket of backups.
    pub bucket: String,
    /// What this run is to do, as the backup trigger wrote it; `None` outside of a run.
    pub order: Option<String>,
    /// Heap of the backup's JVM, and then of the check's.
    pub heap: String,
    /// Page cache of the same.
    pub page_cache: String,
    /// Neo4j's home, with `bin/neo4j-admin` in it.
    pub home: PathBuf,
    /// Where the copy is put, until it is uploaded.
    pub scratch: PathBuf,
}

impl Settings {
    /// Reads all parameters.
    ///
    /// # Errors
    /// The first that is invalid, in one sentence that names it.
    pub fn read(environment: &Environment) -> Result<Self, Invalid> {
        let cluster = Cluster::read(environment)?;
        accepts_license(environment)?;
        if cluster.version.major != 3 {
            let value = cluster.version.to_string();
            let reason = "`node backup` speaks to the backup server of 3.x, and later ones have another tool"
                .to_owned();
            return Err(Invalid::Value { name: "NEO4J_VERSION", value, reason });
        }
        let path = |name, default: &str| PathBuf::from(environment.text(name).unwrap_or(default));
        Ok(Self {
            cluster,
            dialect: environment.need("DIALECT")?.to_owned(),
            bucket: environment.need("BACKUP_BUCKET")?.to_owned(),
            order: environment.text("ORDER").map(str::to_owned),
            heap: memory(environment, "BACKUP_HEAP")?,
            page_cache: memory(environment, "BACKUP_PAGE_CACHE")?,
            home: path("NEO4J_HOME", "/var/lib/neo4j"),
            scratch: path("SCRATCH", "/data"),
        })
    }

    /// What the backup server speaks. `any` would try the wrong one first, and report that one's failure.
    pub fn protocol(&self) -> &'static str {
        match self.cluster.dialect {
            Dialect::Ha | Dialect::Single => "common",
            Dialect::Cluster(_) => "catchup",
        }
    }
}

/// An amount that a JVM and Neo4j read alike, such as `512m`.
fn memory(environment: &Environment, name: &'static str) -> Result<String, Invalid> {
    let text = environment.text(name).unwrap_or("512m");
    let digits = text.strip_suffix(['k', 'm', 'g', 'K', 'M', 'G']).unwrap_or_default();
    if digits.parse::<u32>().is_ok_and(|amount| amount > 0) && !digits.starts_with('+') {
        return Ok(text.to_owned());
    }
    let reason = "it must be a number and k, m or g, such as 512m".to_owned();
    Err(Invalid::Value { name, value: text.to_owned(), reason })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(changed: &[(&'static str, &'static str)]) -> Result<Settings, Invalid> {
        let own = [("BACKUP_BUCKET", "b"), runtime::example::LICENSE];
        let all = runtime::example::CLUSTER.into_iter().chain(own).chain(changed.iter().copied());
        Settings::read(&all.collect())
    }

    #[test]
    fn what_is_not_set_is_where_the_image_has_it() {
        let settings = read(&[]).unwrap();
        assert_eq!((settings.heap.as_str(), settings.page_cache.as_str()), ("512m", "512m"));
        assert_eq!((settings.home, settings.scratch), ("/var/lib/neo4j".into(), "/data".into()));
        assert_eq!((settings.order, settings.dialect.as_str()), (None, "HA"));
    }

    #[test]
    fn each_dialect_is_backed_up_by_what_its_server_speaks() {
        for (dialect, protocol) in [("HA", "common"), ("CLUSTER", "catchup"), ("CLUSTER-3.5", "catchup")] {
            assert_eq!(read(&[("DIALECT", dialect)]).unwrap().protocol(), protocol);
        }
        let single = [("DIALECT", "SINGLE"), ("CORE_SERVICES", "core-1")];
        assert_eq!(read(&single).unwrap().protocol(), "common");
    }

    #[test]
    fn every_invalid_parameter_is_named_in_one_sentence() {
        let table = [
            ("BACKUP_BUCKET", "", "BACKUP_BUCKET is not set"),
            ("STACK", "", "STACK is not set"),
            ("NEO4J_ACCEPT_LICENSE_AGREEMENT", "no", "NEO4J_ACCEPT_LICENSE_AGREEMENT is \"no\""),
            ("NEO4J_VERSION", "5.26.0", "NEO4J_VERSION is \"5.26.0\": `node backup` speaks to the backup"),
            ("BACKUP_HEAP", "512", "BACKUP_HEAP is \"512\": it must be a number and k, m or g"),
            ("BACKUP_HEAP", "0m", "BACKUP_HEAP is \"0m\""),
            ("BACKUP_HEAP", "512m -version", "BACKUP_HEAP is \"512m -version\""),
            ("BACKUP_PAGE_CACHE", "+1g", "BACKUP_PAGE_CACHE is \"+1g\""),
        ];
        for (name, value, sentence) in table {
            let error = read(&[(name, value)]).unwrap_err().to_string();
            assert!(error.starts_with(sentence) && !error.contains('\n'), "{name}={value}: {error}");
        }
    }
}
