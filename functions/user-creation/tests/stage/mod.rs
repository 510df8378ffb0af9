//! The function as CloudFormation sees it, with AWS in memory and a real Neo4j.

#![allow(dead_code, unused_imports, unused_macros)] // three test programs, each of which uses a part

pub mod cloud;
pub mod logs;
pub mod nasty;

use std::{
    net::IpAddr,
    pin::Pin,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use cloud::{ADMIN_SECRET, Cloud};
use custom_resource::{
    Invocation, Protocol,
    twins::{Mailbox, Queue},
};
use end_to_end::jvm::{Jvm, Release};
use libtest_mimic::{Arguments, Failed, Trial};
use logs::Logs;
use neo4j::{Administration, Credentials, Denied, Instance, Role, UserName};
use serde_json::{Value, json};
use user_creation::{Config, Neo4jUser, Summary, UserRecords, reconcile};

/// The administrator's password once the function has run.
pub const ADMIN_PASSWORD: &str = "Adm1n-of-all-nodes";
/// The secret that the events name.
pub const APP_SECRET: &str = "arn:aws:secretsmanager:us-east-1:000000000000:secret:app";
/// Its content, unless a test says otherwise.
pub const APP_PASSWORD: &str = "app-s-first-password";

pub struct Stage {
    pub cloud: Arc<Cloud>,
    pub config: Config,
    pub address: IpAddr,
    protocol: Protocol<Mailbox, Queue>,
    mailbox: Mailbox,
    queue: Queue,
}

/// One test, on a node that has no user but the administrator.
pub type Test = for<'a> fn(&'a Stage, &'a Logs) -> Pin<Box<dyn Future<Output = ()> + 'a>>;

/// The tests with those names, in that order.
macro_rules! tests {
    ($($name:ident),* $(,)?) => {
        vec![$((stringify!($name), (|stage, logs| Box::pin($name(stage, logs))) as $crate::stage::Test)),*]
    };
}
pub(crate) use tests;

/// Runs `tests` one after the other on one node of `release`.
pub fn run(release: &Release, administration: Administration, tests: Vec<(&'static str, Test)>) -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(1);
    // Listing the tests needs no node.
    let node = (!arguments.list).then(|| (Logs::capture(), Jvm::start(release)));
    let place = node.as_ref().map(|(logs, jvm)| (logs.clone(), jvm.address));
    let trials = tests.into_iter().map(|(name, test)| {
        let place = place.clone();
        Trial::test(name, move || {
            let Some((logs, address)) = place else { return Err(Failed::without_message()) };
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let stage = Stage::new(address, administration);
                stage.clear().await;
                test(&stage, &logs).await;
            });
            Ok(())
        })
    });
    let conclusion = libtest_mimic::run(&arguments, trials.collect());
    // Before the process ends, because that drops nothing.
    drop(node);
    conclusion.exit_code()
}

/// The answer to an event.
pub struct Answer {
    pub value: Value,
    pub took: Duration,
}

impl Stage {
    /// One node, at `address`, and the two secrets.
    pub fn new(address: IpAddr, administration: Administration) -> Self {
        let dialect = match administration {
            Administration::Http => "SINGLE",
            Administration::Bolt => "CLUSTER-5",
        };
        let variables = [
            ("DIALECT", dialect),
            ("CLUSTER", "neo4j-local"),
            ("STACK", "neo4j-local"),
            ("CORE_SERVICES", "core-1"),
            ("ADMIN_SECRET_ARN", ADMIN_SECRET),
            ("AWS_LAMBDA_FUNCTION_NAME", "user-creation"),
        ];
        let variables = runtime::example::CLUSTER.into_iter().chain(variables);
        let read = Config::read(&variables.collect()).expect("parameters that are valid");
        let config = Config { node_wait: Duration::ZERO, call_deadline: Duration::from_secs(15), ..read };
        Self::with(address, config)
    }

    /// The same with another configuration.
    pub fn with(address: IpAddr, config: Config) -> Self {
        let cloud = Arc::new(Cloud::default());
        cloud.node("core-1", Some(address));
        cloud.secret(ADMIN_SECRET, ADMIN_PASSWORD, None);
        cloud.secret(APP_SECRET, APP_PASSWORD, None);
        Self::on(cloud, address, config)
    }

    /// A further function on an existing cloud.
    pub fn on(cloud: Arc<Cloud>, address: IpAddr, config: Config) -> Self {
        let (mailbox, queue) = (Mailbox::new(), Queue::new());
        let protocol = Protocol::new(mailbox.clone(), queue.clone())
            .with(Neo4jUser::new(Arc::clone(&cloud), config.clone()))
            .with(UserRecords::new(Arc::clone(&cloud), config.clone()));
        Self { cloud, config, address, protocol, mailbox, queue }
    }

    /// Sends an event, in as many invocations as it hands itself over to, and returns the one answer.
    pub async fn send(&self, event: Value) -> Answer {
        let (before, start) = (self.mailbox.answers().len(), Instant::now());
        let invocation = || Invocation::until(millis_from_now(Duration::from_secs(120)));
        self.protocol.handle(&event, invocation()).await;
        while let Some(next) = self.queue.take() {
            self.protocol.handle(&next, invocation()).await;
        }
        let answers = self.mailbox.answers();
        assert_eq!(answers.len(), before + 1, "exactly one answer");
        assert!(answers[before].to_string().len() <= 4096);
        Answer { value: answers[before].clone(), took: start.elapsed() }
    }

    pub async fn reconcile(&self) -> Summary {
        self.reconcile_until(tokio::time::Instant::now() + Duration::from_secs(300)).await
    }

    pub async fn reconcile_until(&self, until: tokio::time::Instant) -> Summary {
        reconcile(&*self.cloud, &self.config, until).await.expect("a reconcile")
    }

    pub fn instance(&self) -> Instance {
        Instance {
            http: (self.address, self.config.cluster.http_port).into(),
            bolt: (self.address, self.config.cluster.bolt_port).into(),
            administration: self.config.cluster.dialect.administration(),
            deadline: self.config.call_deadline,
        }
    }

    pub async fn login(&self, user: &str, password: &str) -> Result<(), Denied> {
        self.instance().login(&credentials(user, password)).await
    }

    /// The roles of `user` on the node; `None` if it is absent.
    pub async fn roles(&self, user: &str) -> Option<Vec<String>> {
        let accounts = self.instance().accounts(&admin()).await.expect("a list of users");
        let account = accounts.into_iter().find(|account| account.name == user)?;
        Some(account.roles.unwrap_or_default().into_iter().collect())
    }

    /// Removes what an earlier test may have left.
    pub async fn clear(&self) {
        let none = secrecy::SecretString::default();
        // Before the first resource the administrator has another password, and there is no user to remove.
        let Ok(accounts) = self.instance().accounts(&admin()).await else { return };
        for account in accounts.into_iter().filter(|account| account.name != "neo4j") {
            let user: UserName = account.name.parse().expect("a name that a test made");
            self.instance().change(&admin(), &user, &neo4j::Change::Delete, &none).await.expect("a removal");
        }
    }
}

impl Answer {
    pub fn succeeded(&self) -> &Self {
        assert_eq!(self.value["Status"], "SUCCESS", "{}", self.value);
        self
    }

    /// The reason of a failure.
    pub fn failed(&self) -> &str {
        assert_eq!(self.value["Status"], "FAILED", "{}", self.value);
        self.value["Reason"].as_str().expect("a reason")
    }

    pub fn id(&self) -> &str {
        self.value["PhysicalResourceId"].as_str().expect("an id")
    }
}

/// Another invocation on the same cloud.
pub fn stage_like(stage: &Stage) -> Stage {
    Stage::on(Arc::clone(&stage.cloud), stage.address, stage.config.clone())
}

/// One of the files below `events`, as a request of its own: CloudFormation never repeats an id.
pub fn event(name: &str) -> Value {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let file = format!("{}/../../events/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{file}: {error}"));
    let mut event: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{file}: {error}"));
    event["RequestId"] = json!(format!("{name}-{}", NUMBER.fetch_add(1, Ordering::Relaxed)));
    event
}

/// The event that creates `user` with `role`.
pub fn create(user: &str, role: Role) -> Value {
    let mut event = event("user-create");
    event["LogicalResourceId"] =
        json!(format!("User{}", user.replace(|c: char| !c.is_ascii_alphanumeric(), "")));
    event["ResourceProperties"]["Username"] = json!(user);
    event["ResourceProperties"]["Role"] = json!(role.name());
    event
}

/// The event that deletes what `created` created.
pub fn delete(created: &Value) -> Value {
    let mut event = created.clone();
    event["RequestType"] = json!("Delete");
    event["RequestId"] = json!(format!("delete-of-{}", created["RequestId"].as_str().unwrap()));
    let user = created["ResourceProperties"]["Username"].as_str().unwrap();
    event["PhysicalResourceId"] = json!(format!("neo4j-local/{user}"));
    event
}

/// The administrator, once the function has run.
pub fn admin() -> Credentials {
    credentials("neo4j", ADMIN_PASSWORD)
}

pub fn credentials(user: &str, password: &str) -> Credentials {
    Credentials::new(user, password.to_owned().into())
}

fn millis_from_now(time: Duration) -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    u64::try_from((now + time).as_millis()).unwrap_or(u64::MAX)
}
