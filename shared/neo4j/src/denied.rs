//! Why a node did not do what was requested, from the codes of both wires.

/// Neo4j's messages are cut here: they are short, and logs have limits.
const LONGEST_MESSAGE: usize = 300;

/// A node did not do what was requested.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// It is not known whether the node heard the request: refused, silent, or cut off.
    #[error("it does not answer ({0})")]
    Unreachable(String),
    /// The password is wrong, or the user is suspended, or does not exist: Neo4j does not report which.
    #[error("it refuses the login of that user with that password")]
    Unauthorized,
    /// The password is right, and nothing is allowed until it is changed.
    #[error("the password is right but must be changed first")]
    ChangeRequired,
    /// Neo4j refuses the user for 5 s after three wrong passwords (`dbms.security.auth_max_failed_attempts`).
    #[error("the user is locked out after too many logins with a wrong password")]
    LockedOut,
    #[error("that user may not do that ({0})")]
    Forbidden(String),
    #[error("a user of that name is there already")]
    AlreadyThere,
    #[error("there is no such user")]
    NotThere,
    #[error("it has that password already")]
    SamePassword,
    /// Another member of the cluster accepts this request.
    #[error("it is not the leader of its cluster")]
    NotLeader,
    #[error("the password has characters outside Latin-1, which Neo4j 3.x does not take for administration")]
    NotCarried,
    #[error("its edition of Neo4j has no {0}")]
    NotInThisEdition(&'static str),
    /// Any other answer.
    #[error("it answers {code}: {message}")]
    Other {
        /// Neo4j's code, such as `Neo.ClientError.Statement.SyntaxError`, or an HTTP status.
        code: String,
        message: String,
    },
}

impl Denied {
    /// Reads Neo4j's code and message. Codes are few in 3.x (`InvalidArguments` is most of
    /// them), so words decide there.
    pub(crate) fn of(code: &str, message: &str) -> Self {
        let says = |words: &str| message.contains(words);
        match code.rsplit('.').next().unwrap_or_default() {
            "Unauthorized" => Self::Unauthorized,
            "CredentialsExpired" => Self::ChangeRequired,
            "AuthenticationRateLimit" => Self::LockedOut,
            "NotALeader" => Self::NotLeader,
            "Forbidden" if says("required to change") => Self::ChangeRequired,
            "Forbidden" => Self::Forbidden(short(message)),
            "ProcedureNotFound" if says("dbms.security") => Self::NotInThisEdition(
                "users with roles while authentication is off, or in a Community edition",
            ),
            "UnsupportedAdministrationCommand" => Self::NotInThisEdition("roles"),
            _ if says("not available in community edition") => Self::NotInThisEdition("suspended users"),
            _ if says("already exists") => Self::AlreadyThere,
            _ if says("does not exist") && (says("User") || says("user")) => Self::NotThere,
            _ if says("cannot be the same") => Self::SamePassword,
            _ => Self::Other { code: code.to_owned(), message: short(message) },
        }
    }

    /// Whether a retry may succeed in a moment, without a change by an operator.
    pub fn passes(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::LockedOut | Self::NotLeader => true,
            Self::Other { code, .. } => code.contains("TransientError") || code == "503",
            _ => false,
        }
    }
}

fn short(message: &str) -> String {
    message.chars().take(LONGEST_MESSAGE).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_words_of_3_4_6_and_5_26_are_known() {
        let arguments = "Neo.ClientError.General.InvalidArguments";
        let table = [
            ("Neo.ClientError.Security.Unauthorized", "Invalid username or password.", Denied::Unauthorized),
            (
                "Neo.ClientError.Security.Forbidden",
                "User is required to change their password.",
                Denied::ChangeRequired,
            ),
            ("Neo.ClientError.Security.CredentialsExpired", "", Denied::ChangeRequired),
            ("Neo.ClientError.Security.AuthenticationRateLimit", "Too many failed", Denied::LockedOut),
            (
                "Neo.ClientError.Security.Forbidden",
                "Permission denied.",
                Denied::Forbidden("Permission denied.".into()),
            ),
            (arguments, "The specified user 'r1' already exists.", Denied::AlreadyThere),
            (arguments, "User 'nope' does not exist.", Denied::NotThere),
            (arguments, "Old password and new password cannot be the same.", Denied::SamePassword),
            (
                arguments,
                "Role 'nope' does not exist.",
                Denied::Other { code: arguments.into(), message: "Role 'nope' does not exist.".into() },
            ),
            ("Neo.ClientError.Cluster.NotALeader", "", Denied::NotLeader),
            (
                "Neo.DatabaseError.Statement.ExecutionFailed",
                "Failed to alter the specified user 'app': 'SET STATUS' is not available in community edition.",
                Denied::NotInThisEdition("suspended users"),
            ),
        ];
        for (code, message, expected) in table {
            assert_eq!(Denied::of(code, message), expected, "{code} {message}");
        }
        let long = Denied::of("X", &"a\n".repeat(900)).to_string();
        assert!(long.len() < 400 && !long.contains('\n'), "{long}");
    }
}
