//! Where things are on this machine.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

/// The program beside each Neo4j; all else that is shipped is a function.
pub const NODE: &str = "node";

/// What the functions and nodes of the local cloud run on, as the template's `Architecture` names it: this machine.
pub const ARCHITECTURE: &str = if cfg!(target_arch = "aarch64") { "arm64" } else { "x86_64" };

/// Paths below the checkout. Everything the local cloud makes is under `.local`, which git ignores.
#[derive(Clone, Debug)]
pub struct Layout {
    /// The checkout: where `template.yml` is.
    pub root: PathBuf,
    /// This run's logs, volumes and process journal; emptied when a run starts.
    pub run: PathBuf,
}

/// A part that `make` has to install or build first.
#[derive(Debug, thiserror::Error)]
#[error("{what} is missing at {path}: run `{how}` in {root} first")]
pub struct Missing {
    what: &'static str,
    path: String,
    how: &'static str,
    root: String,
}

impl Layout {
    /// The layout of the checkout that holds the current directory, with its run under `.local/<run>`.
    ///
    /// # Errors
    /// When no directory above has a `template.yml`.
    pub fn find(run: &str) -> io::Result<Self> {
        let here = env::current_dir()?;
        let root = here.ancestors().find(|dir| dir.join("template.yml").is_file()).ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::NotFound,
                format!("no template.yml in {} or above: run this inside the checkout", here.display()),
            )
        })?;
        Ok(Self { root: root.to_owned(), run: root.join(".local").join(run) })
    }

    /// The emulator's Python environment.
    pub fn cloud_python(&self) -> PathBuf {
        self.root.join(".local/venv-cloud/bin/python")
    }

    /// What starts the emulator.
    pub fn launcher(&self) -> PathBuf {
        self.root.join("local/launcher.py")
    }

    /// The SAM command line.
    pub fn sam(&self) -> PathBuf {
        self.root.join(".local/venv-sam/bin/sam")
    }

    /// A Neo4j home with the jars and `bin/neo4j`, as the official image has one.
    pub fn neo4j_home(&self) -> PathBuf {
        self.root.join(".local/neo4j-3.4.6")
    }

    /// The image of the nodes, unpacked: `root`, and `config.json` with what it says of itself.
    pub fn unpacked_image(&self) -> PathBuf {
        self.root.join(".local/image-root")
    }

    /// The names of what is shipped, from the one list of it: the line in the Makefile that compiles them.
    ///
    /// # Errors
    /// When the Makefile cannot be read.
    pub fn shipped(&self) -> io::Result<Vec<String>> {
        let makefile = fs::read_to_string(self.root.join("Makefile"))?;
        let list = makefile.lines().find_map(|line| line.strip_prefix("SHIPPED :=")).unwrap_or_default();
        Ok(list.split_whitespace().map(str::to_owned).collect())
    }

    /// A function or the node program as it is shipped.
    pub fn binary(&self, name: &str) -> PathBuf {
        self.root.join("target/lambda").join(name).join("bootstrap")
    }

    /// What `sam build` made for the local cloud: a directory for each function, and the template.
    pub fn built(&self) -> PathBuf {
        self.root.join(".aws-sam/local/build")
    }

    /// The node program as it is shipped.
    pub fn node_program(&self) -> PathBuf {
        self.binary(NODE)
    }

    /// Log of one process of this run.
    pub fn log(&self, name: &str) -> PathBuf {
        self.run.join("logs").join(format!("{name}.log"))
    }

    /// The list of processes this run started.
    pub fn journal(&self) -> PathBuf {
        self.run.join("processes")
    }

    /// Where the running gateway writes its address for the other commands.
    pub fn gateway_file(&self) -> PathBuf {
        self.run.join("gateway")
    }

    /// Checks that all that `make` prepares is there.
    ///
    /// # Errors
    /// The first missing part, with the command that makes it.
    pub fn check(&self) -> Result<(), Missing> {
        let needed: [(&str, PathBuf, &str); 4] = [
            ("the emulator", self.cloud_python(), "make setup"),
            ("the SAM command line", self.sam(), "make setup"),
            ("Neo4j", self.neo4j_home().join("bin/neo4j"), "make setup"),
            ("the node program", self.node_program(), "make release"),
        ];
        for (what, path, how) in needed {
            if !path.exists() {
                let (path, root) = (path.display().to_string(), self.root.display().to_string());
                return Err(Missing { what, path, how, root });
            }
        }
        Ok(())
    }

    /// An empty run directory.
    pub fn make_run(&self) -> io::Result<()> {
        remove_if_there(&self.run)?;
        fs::create_dir_all(self.run.join("logs"))
    }
}

fn remove_if_there(dir: &Path) -> io::Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
