//! What the status port tells backups about: how large the store is, and whether its backup server was started.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::sleep;

use crate::{Settings, tree::bytes_below};

/// From one look at the files to the next. The size decides how much storage a backup's task is given, with reserve.
const LOOK: Duration = Duration::from_secs(60);
const BACKUP_SERVER: &str = "dbms.backup.enabled=";

/// The store of the own node. Clones look at the same one.
#[derive(Clone)]
pub struct Store(Arc<Known>);

struct Known {
    database: PathBuf,
    conf: PathBuf,
    facts: Mutex<Facts>,
}

#[derive(Clone, Copy, Default)]
struct Facts {
    bytes: Option<u64>,
    backup_server: Option<bool>,
}

impl Store {
    /// Looks at its size from now on, once a minute, on a thread that may block.
    pub fn watch(settings: &Settings) -> Self {
        let store = Self::of(settings);
        let watched = store.clone();
        tokio::spawn(async move {
            loop {
                let looked = watched.clone();
                // It fails only when it panics, and then the size is what it was.
                let _looked = tokio::task::spawn_blocking(move || looked.look()).await;
                sleep(LOOK).await;
            }
        });
        store
    }

    fn of(settings: &Settings) -> Self {
        let database = settings.cluster.version.default_database();
        let database = settings.data.join("databases").join(database);
        Self(Arc::new(Known { database, conf: settings.neo4j_conf(), facts: Mutex::default() }))
    }

    fn look(&self) {
        // Before the first start there is no store.
        let bytes = bytes_below(&self.0.database).ok();
        self.facts(|facts| facts.bytes = bytes);
    }

    /// Neo4j is started with the configuration that is there now.
    pub fn started(&self) {
        let backup_server = backup_server(&self.0.conf);
        self.facts(|facts| facts.backup_server = backup_server);
    }

    /// Bytes of the database's directory, as they were at most a minute ago; `None` without one.
    pub fn bytes(&self) -> Option<u64> {
        self.facts(|facts| facts.bytes)
    }

    /// Whether Neo4j was started with its backup server; `None` before it was started.
    pub fn backup_server(&self) -> Option<bool> {
        self.facts(|facts| facts.backup_server)
    }

    fn facts<T>(&self, with: impl FnOnce(&mut Facts) -> T) -> T {
        with(&mut self.0.facts.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn backup_server(conf: &Path) -> Option<bool> {
    let conf = fs::read_to_string(conf).ok()?;
    conf.lines().find_map(|line| line.strip_prefix(BACKUP_SERVER))?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_store_has_a_size_and_a_backup_server_once_they_are_there() {
        let dir = std::env::temp_dir().join(format!("store-{}", std::process::id()));
        let _absent = fs::remove_dir_all(&dir);
        let (data, conf) = (dir.join("data"), dir.join("conf"));
        let own = [
            ("DATA_DIR", data.to_str().unwrap()),
            ("CONF_DIR", conf.to_str().unwrap()),
            ("DIALECT", "SINGLE"),
            ("CORE_SERVICES", "core-1"),
            ("ADMIN_SECRET_ARN", "arn:secret"),
            runtime::example::LICENSE,
        ];
        let settings = Settings::read(&runtime::example::CLUSTER.into_iter().chain(own).collect()).unwrap();
        let store = Store::of(&settings);
        store.look();
        store.started();
        assert_eq!((store.bytes(), store.backup_server()), (None, None));
        fs::create_dir_all(data.join("databases/graph.db")).unwrap();
        fs::write(data.join("databases/graph.db/neostore"), [0; 9]).unwrap();
        fs::write(data.join("databases/store_lock"), [0; 5]).unwrap();
        fs::create_dir_all(&conf).unwrap();
        for (line, told) in [("true", Some(true)), ("false", Some(false)), ("perhaps", None)] {
            let text = format!("# dbms.backup.enabled=no\ndbms.mode=HA\ndbms.backup.enabled={line}\n");
            fs::write(conf.join("neo4j.conf"), text).unwrap();
            store.look();
            store.started();
            assert_eq!((store.bytes(), store.backup_server()), (Some(9), told), "{line}");
        }
        fs::remove_dir_all(&dir).unwrap();
    }
}
