//! One HTTP client for every SDK, with deadlines on everything.

use std::time::Duration;

use aws_config::{BehaviorVersion, ConfigLoader, SdkConfig, retry::RetryConfig, timeout::TimeoutConfig};
use aws_smithy_http_client::{
    Builder,
    tls::{Provider, rustls_provider::CryptoMode},
};
use tokio::sync::OnceCell;

/// Within a region a connection takes milliseconds.
const CONNECT: Duration = Duration::from_secs(2);
/// One try. The slowest call here, a listing of a hundred tasks, takes some hundred milliseconds.
const ATTEMPT: Duration = Duration::from_secs(4);
/// All tries together: a sweep has a minute.
const OPERATION: Duration = Duration::from_secs(10);

/// The configuration of all SDK clients: credentials and region as the environment gives them, ring for TLS
/// (aws-lc costs 35 to 50 ms at the first call), no more than three tries. It is loaded once in a process,
/// because reading the native roots is most of that, and all clients share its connections and credentials.
pub async fn sdk_config() -> SdkConfig {
    static LOADED: OnceCell<SdkConfig> = OnceCell::const_new();
    LOADED.get_or_init(load).await.clone()
}

async fn load() -> SdkConfig {
    with_deadlines(aws_config::defaults(BehaviorVersion::latest())).load().await
}

/// The settings of every client, wherever its credentials come from.
pub(crate) fn with_deadlines(loader: ConfigLoader) -> ConfigLoader {
    let http = Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT)
        .operation_attempt_timeout(ATTEMPT)
        .operation_timeout(OPERATION)
        .build();
    loader
        .http_client(http)
        .timeout_config(timeouts)
        .retry_config(RetryConfig::standard().with_max_attempts(3))
}
