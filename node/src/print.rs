//! `node conf`: the `neo4j.conf` of this task, and what each of its lines follows from.
//!
//! It is computed again, from the same inputs as at the start: so it also shows what the next start would change, beside the file that
//! Neo4j was started with.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs::File,
    io::{self, Read as _},
    net::IpAddr,
    path::Path,
};

use neo4j::Dialect;
use runtime::Environment;

use crate::{
    Settings, addresses,
    conf::{Conf, MARK, conf},
    disks::Disks,
    place::{self, Place},
    settings,
};

/// A `neo4j.conf` of every setting there is has some hundred kilobytes.
const LARGEST: u64 = 4 << 20;
/// In a setting that opens something: in its name (`dbms.security.ldap.authorization.system_password`), or in its value
/// (`dbms.jvm.additional=-Djavax.net.ssl.keyStorePassword=...`).
const SECRET: [&str; 7] =
    ["password", "passwd", "passphrase", "secret", "token", "credential", "private_key"];
const HIDDEN: &str = "(not shown)";

/// Why it cannot be printed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Settings(#[from] settings::Error),
    #[error("a start of this task would end here: {0}")]
    Place(#[from] place::Error),
    #[error(
        "the addresses of the other nodes are not known, and the line of the initial hosts with them: {0}"
    )]
    Peers(#[from] aws::Error),
    #[error("{0} cannot be read: {1}")]
    File(String, io::Error),
}

/// The text for the terminal.
///
/// # Errors
/// When the settings are invalid, or the task's slot, its address or its peers are not known.
pub async fn run(environment: &Environment) -> Result<String, Error> {
    let settings = settings::check(environment)?;
    let place = place::find(&settings).await?;
    let (hosts, missing) = peers(&settings, &place).await?;
    let computed = conf(&settings, &place.slot, place.address, &hosts, Disks::look(&settings));
    let computed = computed.map_err(settings::Error::from)?;
    let file = settings.neo4j_conf();
    let started = read(&file).map_err(|error| Error::File(file.display().to_string(), error))?;
    let mut text = format!("# neo4j.conf of the slot {} at {}\n", place.slot.name, place.address);
    for slot in missing {
        text += &format!("# ECS lists no address of {slot} now, so it is not among the hosts below\n");
    }
    Ok(text + &annotated(&computed, &file, started.as_deref()))
}

/// The addresses of the core slots, and the slots without one.
async fn peers(settings: &Settings, own: &Place) -> Result<(Vec<IpAddr>, Vec<String>), aws::Error> {
    let cluster = &settings.cluster;
    if cluster.dialect == Dialect::Single {
        return Ok((vec![own.address], Vec::new()));
    }
    let inventory = aws::Inventory::new(&aws::sdk_config().await, &cluster.cluster);
    let slots = addresses::look(cluster, own, &inventory).await?;
    let missing = slots.iter().filter(|(_, address)| address.is_none()).map(|(slot, _)| slot.clone());
    Ok((slots.iter().filter_map(|(_, address)| *address).collect(), missing.collect()))
}

/// The file that `node run` has written; `None` without one.
fn read(file: &Path) -> io::Result<Option<String>> {
    let mut text = String::new();
    match File::open(file) {
        Ok(open) => open.take(LARGEST).read_to_string(&mut text).map(|_| Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Each line below what it follows from, and beside what `file` has instead. It has the form of a `neo4j.conf`, and is for reading:
/// secrets are not in it.
fn annotated(conf: &Conf, file: &Path, found: Option<&str>) -> String {
    // Before its first start a task may find the file of its image there.
    let started = found.filter(|text| text.starts_with(MARK));
    let file = file.display();
    let mut text = match started {
        Some(_) => {
            format!("# lines that {file}, with which Neo4j was started, has otherwise are marked with !\n")
        }
        None => format!("# `node run` has not written {file}: Neo4j was not started here\n"),
    };
    let mut there: BTreeMap<&str, &str> = started.unwrap_or_default().lines().filter_map(pair).collect();
    for (name, line) in conf.lines() {
        text += &format!("\n# from {}\n", line.origin);
        let was = there.remove(name);
        if started.is_some() && was != Some(line.value.trim_start()) {
            let was = was.map_or("nothing".to_owned(), |was| shown(name, was).to_owned());
            text += &format!("# ! Neo4j was started with {was}\n");
        }
        let _infallible = writeln!(text, "{name}={}", shown(name, &line.value));
    }
    for (name, value) in there {
        text += &format!("\n# ! only in {file}\n# {name}={}\n", shown(name, value));
    }
    text
}

fn pair(line: &str) -> Option<(&str, &str)> {
    // As Java reads properties: blanks before a value are skipped, and those after it are part of it.
    let line = line.trim_start();
    let (name, value) = line.split_once('=').filter(|_| !line.starts_with('#'))?;
    Some((name.trim(), value.trim_start()))
}

/// What may be on a terminal, or in the log of a session.
fn shown<'a>(name: &str, value: &'a str) -> &'a str {
    let setting = format!("{name}={value}").to_ascii_lowercase();
    // `jdbc:mysql://host/?user=...` has its password in a word of the list, `scheme://user:password@host` has not.
    let is_login = setting.split_once("://").is_some_and(|(_, rest)| rest.contains('@'));
    if is_login || SECRET.iter().any(|part| setting.contains(part)) { HIDDEN } else { value }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Volume;

    fn printed(started: Option<&str>) -> String {
        let own = [
            ("DIALECT", "SINGLE"),
            ("CORE_SERVICES", "core-1"),
            ("ADMIN_SECRET_ARN", "arn:secret"),
            ("NEO4J_dbms_memory_heap_max__size", "2g"),
            runtime::example::LICENSE,
            (
                "NEO4J_SETTINGS",
                "# slow queries\ndbms.logs.query.enabled=true\ndbms.ldap.system_password=evil",
            ),
        ];
        let environment: Environment = runtime::example::CLUSTER.into_iter().chain(own).collect();
        let settings = Settings::read(&environment).unwrap();
        let slot = settings.cluster.slots[0].clone();
        let conf = conf(
            &settings,
            &slot,
            [10, 0, 0, 1].into(),
            &[],
            Disks { volume: Volume::Filled, ..Disks::UNKNOWN },
        )
        .unwrap();
        annotated(&conf, Path::new("/conf/neo4j.conf"), started)
    }

    #[test]
    fn each_line_is_below_what_it_follows_from() {
        let text = printed(None);
        for part in [
            "# `node run` has not written /conf/neo4j.conf: Neo4j was not started here\n",
            "# from line 2 of Neo4jSettings\ndbms.logs.query.enabled=true\n",
            "# from the variable NEO4J_dbms_memory_heap_max__size\ndbms.memory.heap.max_size=2g\n",
            "# from this program's default; Neo4jSettings may set another value\ndbms.udc.enabled=false\n",
            "# from the task's address\ndbms.connectors.default_listen_address=10.0.0.1\n",
            "# from the variable DATA_DIR, or its default\ndbms.directories.data=/data\n",
        ] {
            assert!(text.contains(part), "{part:?} is not in:\n{text}");
        }
    }

    #[test]
    fn what_neo4j_was_started_with_is_marked_where_it_differs() {
        let started =
            format!("{MARK}\ndbms.memory.heap.max_size=1g\ndbms.udc.enabled=false\nold.setting=1\n");
        let text = printed(Some(&started));
        for part in [
            "# ! Neo4j was started with 1g\ndbms.memory.heap.max_size=2g\n",
            "may set another value\ndbms.udc.enabled=false\n",
            "# ! Neo4j was started with nothing\ndbms.logs.query.enabled=true\n",
            "# ! only in /conf/neo4j.conf\n# old.setting=1\n",
        ] {
            assert!(text.contains(part), "{part:?} is not in:\n{text}");
        }
    }

    /// While the task still waits for its peers.
    #[test]
    fn a_file_that_the_image_has_brought_is_not_what_neo4j_was_started_with() {
        let text = printed(Some("dbms.memory.heap.max_size=1g\n"));
        assert!(text.starts_with("# `node run` has not written") && !text.contains("# !"), "{text}");
    }

    #[test]
    fn no_secret_is_printed() {
        let others =
            "dbms.jvm.additional=-DkeyStorePassword=evil\napoc.url=jdbc://a:evil@host/x\nx.Private_Key=evil";
        let text = printed(Some(&format!("{MARK}\ndbms.ldap.system_password=older-evil\n{others}\n")));
        assert!(text.contains("dbms.ldap.system_password=(not shown)") && !text.contains("evil"), "{text}");
    }
}
