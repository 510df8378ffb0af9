//! What a target group is set to do.

use std::time::Duration;

use http::StatusCode;

/// Settings and attributes of a target group, as far as the data plane follows them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Port of a target that is registered without one.
    pub port: u16,
    /// How targets are checked.
    pub check: Check,
    /// `deregistration_delay.timeout_seconds`.
    pub deregistration_delay: Duration,
    /// `deregistration_delay.connection_termination.enabled`.
    pub terminate_deregistered: bool,
    /// `target_health_state.unhealthy.connection_termination.enabled`.
    pub terminate_unhealthy: bool,
}

/// The health check of a target group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// HTTP with this path and matcher; TCP when there is none.
    pub http: Option<(String, Matcher)>,
    /// A port of its own; none for `traffic-port`.
    pub port: Option<u16>,
    /// From one check to the next.
    pub interval: Duration,
    /// No answer within this is a failure.
    pub timeout: Duration,
    /// Consecutive successes that make an unhealthy target healthy.
    pub healthy: u32,
    /// Consecutive failures that make a target unhealthy.
    pub unhealthy: u32,
}

/// The status codes that count as success: `200`, `200,204` or `200-399`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matcher(Vec<(u16, u16)>);

impl Matcher {
    /// Reads the `HttpCode` of a matcher; none when it is not one.
    pub fn parse(text: &str) -> Option<Self> {
        let code =
            |text: &str| text.trim().parse::<u16>().ok().filter(|code| StatusCode::from_u16(*code).is_ok());
        let range = |part: &str| match part.split_once('-') {
            Some((from, to)) => Some((code(from)?, code(to)?)),
            None => code(part).map(|code| (code, code)),
        };
        text.split(',').map(range).collect::<Option<Vec<_>>>().map(Self)
    }

    /// Whether `status` is a success.
    pub fn matches(&self, status: u16) -> bool {
        self.0.iter().any(|(from, to)| (*from..=*to).contains(&status))
    }
}

#[cfg(test)]
mod tests {
    use super::Matcher;

    #[test]
    fn a_matcher_is_codes_and_ranges() {
        let matcher = Matcher::parse("200,301-302").unwrap();
        assert!([200, 301, 302].into_iter().all(|code| matcher.matches(code)));
        assert!([199, 201, 300, 303, 404].into_iter().all(|code| !matcher.matches(code)));
        assert!(["", "ok", "200-", "9"].into_iter().all(|text| Matcher::parse(text).is_none()));
    }
}
