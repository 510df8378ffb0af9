//! `Custom::Neo4jUser`.

use std::sync::Arc;

use custom_resource::{Call, Data, Failure, Outcome, Resource};
use neo4j::UserName;

use crate::{
    Config, Desired, Record, Trouble, World,
    apply::Kind,
    desired::name,
    once::{Progress, Stop, once},
    properties::Properties,
    reconcile::prune,
    said::Answer,
    secrets::Passwords,
};

/// One Neo4j user, the same on every node.
pub struct Neo4jUser<W> {
    pub(crate) world: Arc<W>,
    pub(crate) config: Config,
}

impl<W: World> Neo4jUser<W> {
    pub fn new(world: Arc<W>, config: Config) -> Self {
        Self { world, config }
    }

    /// Does `work` once, over all calls and deliveries of the request.
    async fn concluded<F>(
        &self,
        call: &Call,
        work: impl FnOnce(Progress) -> F + Send,
    ) -> Result<Outcome, Failure>
    where
        F: Future<Output = (Progress, Result<Answer, Stop>)> + Send,
    {
        if !self.config.auth_enabled {
            // Without authentication no schedule runs, so no reconcile forgets old requests.
            prune(&*self.world).await;
        }
        once(&*self.world, call, Progress::of(call), work).await
    }

    /// Creates or changes the user.
    async fn make(
        &self,
        call: &Call,
        properties: &Properties,
        kind: Kind<'_>,
        progress: &mut Progress,
    ) -> Result<Answer, Stop> {
        // First, because nothing else would ever remove that login.
        if let Kind::RenameBack(renamed) = kind
            && !progress.taken_back
        {
            self.take_rename_back(call, renamed, &mut progress.taken_back_since).await?;
            progress.taken_back = true;
        }
        if !self.config.auth_enabled {
            return Err(Stop::failed(&format_args!(
                "AuthEnabled of stack {} is false, so its nodes ask for no login and have no users to make: set it to true first, \
                 or remove this resource",
                self.config.cluster.stack
            ))
            .nothing_made());
        }
        self.apply(call, properties, kind, progress).await
    }

    pub(crate) async fn admin(&self) -> Result<Passwords, Trouble> {
        Passwords::read(&*self.world, &self.config.admin_secret).await
    }

    pub(crate) fn record_of(&self, call: &Call, user: &UserName, desired: Option<Desired>) -> Record {
        let (owner, request) = (self.owner(call), call.request_id.clone());
        Record { user: user.clone(), desired, owner, request, before: None }
    }

    /// The resource that a record belongs to.
    #[allow(clippy::unused_self)] // beside `user_of`, its counterpart
    pub(crate) fn owner(&self, call: &Call) -> String {
        format!("{}/{}", call.stack_id, call.logical_id)
    }

    fn user_of(&self, physical_id: &str) -> Option<UserName> {
        name(physical_id.strip_prefix(&self.config.cluster.stack)?.strip_prefix('/')?).ok()
    }
}

impl<W: World> Resource for Neo4jUser<W> {
    type Properties = Properties;

    const TYPE: &'static str = "Custom::Neo4jUser";

    fn validate(&self, properties: &Properties) -> Result<(), Failure> {
        properties.desired().map(drop)
    }

    fn physical_id(&self, _call: &Call, properties: &Properties) -> String {
        format!("{}/{}", self.config.cluster.stack, properties.username)
    }

    async fn create(&self, call: &Call, properties: &Properties) -> Result<Outcome, Failure> {
        self.concluded(call, |mut progress| async move {
            let ended = self.make(call, properties, Kind::Create, &mut progress).await;
            (progress, ended)
        })
        .await
    }

    async fn update(
        &self,
        call: &Call,
        properties: &Properties,
        old: Option<&Properties>,
    ) -> Result<Outcome, Failure> {
        // The physical id contains the user's name, so an Update whose old properties have another name is
        // the roll-back of a rename.
        let renamed = old.filter(|old| old.username != properties.username);
        let renamed = renamed.and_then(|old| name(&old.username).ok());
        let kind = renamed.as_ref().map_or(Kind::Update, Kind::RenameBack);
        self.concluded(call, |mut progress| async move {
            let ended = self.make(call, properties, kind, &mut progress).await;
            (progress, ended)
        })
        .await
    }

    async fn delete(
        &self,
        call: &Call,
        physical_id: &str,
        _properties: Option<&Properties>,
    ) -> Result<Outcome, Failure> {
        let Some(user) = self.user_of(physical_id) else { return Ok(Outcome::Done(Data::new())) };
        self.concluded(call, |mut progress| async move {
            let ended = self.remove(call, &user, &mut progress.since).await;
            (progress, ended.map(|()| Answer::done()))
        })
        .await
    }

    fn owns(&self, _call: &Call, physical_id: &str) -> bool {
        self.user_of(physical_id).is_some()
    }

    /// Without the function's own parameters the stack in the id is not known (the resource may be in a
    /// template of another stack), so every `something/user` may be a user of this cluster. An id that
    /// CloudFormation invents has no slash.
    fn needs_delete(physical_id: &str) -> bool {
        physical_id.rsplit_once('/').is_some_and(|(_, user)| name(user).is_ok())
    }
}
