//! What calls cost. List prices of us-east-1 in US dollars as of 2026, without free tiers and discounts.

/// A month as AWS's calculator has it.
pub const HOURS: f64 = 730.0;

/// Lambda, x86: a request, and a second with a gigabyte.
pub const LAMBDA_REQUEST: f64 = 0.20 / 1e6;
/// The second.
pub const LAMBDA_GB_SECOND: f64 = 0.000_016_666_7;
/// S3 Standard: `PUT`, `POST` and `LIST`; `GET` and all others.
pub const S3_WRITE: f64 = 0.005 / 1e3;
/// The others.
pub const S3_READ: f64 = 0.000_4 / 1e3;
/// EventBridge Scheduler: an invocation.
pub const SCHEDULED: f64 = 1.00 / 1e6;
/// EventBridge: a custom event.
pub const EVENT: f64 = 1.00 / 1e6;
/// Secrets Manager: a call. Parameter Store's standard throughput costs nothing, nor do calls of ECS and of load balancing.
pub const SECRET_CALL: f64 = 0.05 / 1e4;
/// CloudWatch Logs: a gigabyte taken in.
pub const LOGS_GB: f64 = 0.50;
/// CloudWatch: a custom metric, and an alarm, for a month.
pub const METRIC: f64 = 0.30;
/// The alarm.
pub const ALARM: f64 = 0.10;
/// Secrets Manager: a secret for a month.
pub const SECRET: f64 = 0.40;
