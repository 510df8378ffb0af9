//! The data plane of one listener: connections are passed through to a target until one side ends them.

use std::{
    collections::HashMap,
    hash::{BuildHasher, Hasher, RandomState},
    io,
    net::{SocketAddr, SocketAddrV4},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    sync::oneshot,
    time::timeout,
};

/// A target that does not answer the handshake at all.
const CONNECT: Duration = Duration::from_secs(5);
const BUFFER: usize = 32 << 10;

/// The connections through one target group. Clones are the same connections.
#[derive(Clone, Default)]
pub struct Connections(Arc<Open>);

#[derive(Default)]
struct Open {
    next: AtomicU64,
    ends: Mutex<HashMap<u64, (SocketAddrV4, oneshot::Sender<()>)>>,
}

impl Connections {
    /// Ends every connection to `target` with a reset.
    pub fn terminate(&self, target: SocketAddrV4) {
        let ended = self.ends().extract_if(|_, (to, _)| *to == target).collect::<Vec<_>>();
        ended.into_iter().for_each(|(_, (_, end))| {
            let _ended_meanwhile = end.send(());
        });
    }

    fn begin(&self, target: SocketAddrV4) -> (u64, oneshot::Receiver<()>) {
        let id = self.0.next.fetch_add(1, Ordering::Relaxed);
        let (end, ended) = oneshot::channel();
        self.ends().insert(id, (target, end));
        (id, ended)
    }

    fn ends(&self) -> std::sync::MutexGuard<'_, HashMap<u64, (SocketAddrV4, oneshot::Sender<()>)>> {
        self.0.ends.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Accepts connections and passes each to one of `routable`, chosen by its source as a flow hash does.
pub async fn serve(
    listener: TcpListener,
    connections: Connections,
    idle: Duration,
    routable: impl Fn() -> Vec<SocketAddrV4>,
) {
    let hash = RandomState::new();
    loop {
        let Ok((client, from)) = listener.accept().await else {
            // Out of file descriptors: others have to end first.
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        let Some(target) = choose(&routable(), &hash, from) else {
            reset(&client);
            continue;
        };
        let connections = connections.clone();
        tokio::spawn(async move {
            let (id, ended) = connections.begin(target);
            pass(client, target, idle, ended).await;
            connections.ends().remove(&id);
        });
    }
}

fn choose(targets: &[SocketAddrV4], hash: &RandomState, from: SocketAddr) -> Option<SocketAddrV4> {
    let mut hasher = hash.build_hasher();
    hasher.write_u16(from.port());
    let length = u64::try_from(targets.len()).ok().filter(|length| *length > 0)?;
    targets.get(usize::try_from(hasher.finish() % length).ok()?).copied()
}

async fn pass(mut client: TcpStream, target: SocketAddrV4, idle: Duration, mut ended: oneshot::Receiver<()>) {
    let connecting = timeout(CONNECT, TcpStream::connect(target));
    let server = tokio::select! {
        server = connecting => server,
        _ = &mut ended => return reset(&client),
    };
    let Ok(Ok(mut server)) = server else { return reset(&client) };
    let _best_effort = (client.set_nodelay(true), server.set_nodelay(true));
    let activity = Activity::default();
    let finished = {
        let (client_read, client_write) = client.split();
        let (server_read, server_write) = server.split();
        let up = copy(client_read, server_write, &activity);
        let down = copy(server_read, client_write, &activity);
        tokio::select! {
            both = async { tokio::try_join!(up, down) } => both.is_ok(),
            _ = &mut ended => false,
            () = activity.idle_for(idle) => false,
        }
    };
    if !finished {
        reset(&client);
        reset(&server);
    }
}

async fn copy(mut from: ReadHalf<'_>, mut to: WriteHalf<'_>, activity: &Activity) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        let read = from.read(&mut buffer).await?;
        activity.note();
        if read == 0 {
            // Half-closed: the other direction may still have something to say.
            return to.shutdown().await;
        }
        to.write_all(&buffer[..read]).await?;
    }
}

/// Closing with a linger of zero sends a reset instead of a polite end, as the balancer does.
fn reset(stream: &TcpStream) {
    let _gone_already = stream.set_zero_linger();
}

/// When bytes last passed in either direction.
struct Activity(Mutex<Instant>);

impl Default for Activity {
    fn default() -> Self {
        Self(Mutex::new(Instant::now()))
    }
}

impl Activity {
    fn note(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    async fn idle_for(&self, time: Duration) {
        loop {
            let quiet = self.0.lock().unwrap_or_else(PoisonError::into_inner).elapsed();
            if quiet >= time {
                return;
            }
            tokio::time::sleep(time.checked_sub(quiet).unwrap()).await;
        }
    }
}
