//! Logs as one JSON object a line, each with a stable `event` that dashboards and operators can search for.

use std::{fmt, sync::OnceLock};

use serde_json::Value;
use tracing::{Event, Subscriber};
use tracing_subscriber::{
    EnvFilter,
    fmt::{FmtContext, FormatEvent, FormatFields, format::Writer},
    registry::LookupSpan,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sink {
    /// A function: Lambda adds the time.
    Lambda,
    /// A container: the time is in the line.
    Container,
}

/// The slot of this process, once it is known.
static SLOT: OnceLock<String> = OnceLock::new();

/// Starts logging to standard output: `{"level":"INFO","event":"retarget",...}`. `RUST_LOG` sets the level,
/// `info` otherwise. A second call is a no-op.
pub fn log_json(sink: Sink) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let json = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(false)
        .with_target(false)
        .with_env_filter(filter);
    // It fails only if it was started before, as in tests.
    let _started = match sink {
        Sink::Lambda => json.without_time().try_init(),
        Sink::Container => json.map_event_format(WithSlot).try_init(),
    };
}

/// From now on every line of a container has `"slot"`: all slots have one task definition, so the name of a
/// log stream does not show which slot it is of. The first call counts.
pub fn name_slot(slot: &str) {
    let _named_already = SLOT.set(slot.to_owned());
}

/// Adds the slot to the end of a line that another format has written.
struct WithSlot<F>(F);

impl<S, N, F> FormatEvent<S, N> for WithSlot<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut line = String::new();
        self.0.format_event(context, Writer::new(&mut line), event)?;
        writer.write_str(&with_slot(line, SLOT.get()))
    }
}

fn with_slot(line: String, slot: Option<&String>) -> String {
    match (slot, line.trim_end().strip_suffix('}')) {
        (Some(slot), Some(fields)) => format!("{fields},\"slot\":{}}}\n", Value::from(slot.as_str())),
        _ => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_the_slot_once_it_is_known() {
        let line = "{\"level\":\"INFO\",\"message\":\"a}\"}\n";
        let slot = "s-core-1\"".to_owned();
        assert_eq!(with_slot(line.into(), None), line);
        let with = with_slot(line.into(), Some(&slot));
        assert_eq!(with.matches('\n').count(), 1);
        let parsed: Value = serde_json::from_str(&with).unwrap();
        assert_eq!((&parsed["slot"], &parsed["message"]), (&Value::from("s-core-1\""), &Value::from("a}")));
        assert_eq!(with_slot("no object\n".into(), Some(&slot)), "no object\n");
    }
}
