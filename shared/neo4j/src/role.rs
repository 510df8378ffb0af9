//! The role as the node program serves it on its own port, in the same words for every dialect.
//!
//! ```text
//! 200 true  404 false  404 UNKNOWN   what its Neo4j says, over HTTP or over Bolt
//! 503 SILENT | REFUSED | NOT-KNOWN   it could not ask: never yes
//! ```

use std::{net::SocketAddr, time::Duration};

use topology::{Answer, NotKnown};

use crate::wire::get;

/// The path of the role: the writers' balancer and the function ask it.
pub const ROLE_PATH: &str = "/role";
/// The path that the readers' balancer asks: yes in either role.
pub const READ_PATH: &str = "/read";
/// How long the node program takes to answer, whatever its Neo4j does. It is below [`topology::PATIENCE`],
/// for which the balancer and the function wait, so that its answer arrives instead of silence; and below it
/// by no more than the way takes, so that a master that answers in 1.9 s counts as one.
pub const ROLE_BUDGET: Duration = Duration::from_millis(1950);
/// The longest body that has a meaning, in bytes.
pub const LONGEST_ROLE: usize = 16;

/// Status and word for `answer`, as the node program serves them on [`ROLE_PATH`].
pub fn role_response(answer: Answer) -> (u16, &'static str) {
    match answer {
        Answer::Master => (200, "true"),
        Answer::Slave => (404, "false"),
        Answer::NotKnown(NotKnown::Unsettled) => (404, "UNKNOWN"),
        Answer::NotKnown(NotKnown::Silent | NotKnown::Late) => (503, "SILENT"),
        Answer::NotKnown(NotKnown::Refused) => (503, "REFUSED"),
        Answer::NotKnown(_) => (503, "NOT-KNOWN"),
    }
}

/// Status and word for `answer` on [`READ_PATH`]: a node with either role serves readers. Which nodes are in
/// the read groups is the election's decision, so that the master serves readers when there is no slave.
pub fn read_response(answer: Answer) -> (u16, &'static str) {
    if answer.is_firm() { (200, "true") } else { role_response(answer) }
}

/// Asks the node program at `node` for its role, within `deadline`. `Silent`: no answer, or the node program
/// got none from its Neo4j.
pub async fn role(node: SocketAddr, deadline: Duration) -> Answer {
    match get(node, ROLE_PATH, LONGEST_ROLE, deadline).await {
        Ok((status, body)) => meaning(status, &body),
        Err(kind) => Answer::NotKnown(kind),
    }
}

fn meaning(status: u16, body: &[u8]) -> Answer {
    Answer::NotKnown(match (status, body) {
        (200, b"true") => return Answer::Master,
        (404, b"false") => return Answer::Slave,
        (404, b"UNKNOWN") => NotKnown::Unsettled,
        (503, b"SILENT") => NotKnown::Silent,
        (503, b"REFUSED") => NotKnown::Refused,
        (401 | 403, _) => NotKnown::Forbidden,
        _ => NotKnown::Unexpected,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use NotKnown::{Forbidden, Late, NotAwaited, Refused, Silent, Unexpected, Unsettled};

    #[test]
    fn what_the_node_program_serves_is_read_as_what_it_means() {
        let table = [
            (Answer::Master, Answer::Master),
            (Answer::Slave, Answer::Slave),
            (Answer::NotKnown(Unsettled), Answer::NotKnown(Unsettled)),
            (Answer::NotKnown(Silent), Answer::NotKnown(Silent)),
            (Answer::NotKnown(Late), Answer::NotKnown(Silent)),
            (Answer::NotKnown(Refused), Answer::NotKnown(Refused)),
            (Answer::NotKnown(Forbidden), Answer::NotKnown(Unexpected)),
            (Answer::NotKnown(NotAwaited), Answer::NotKnown(Unexpected)),
            (Answer::NotKnown(Unexpected), Answer::NotKnown(Unexpected)),
        ];
        for (said, read) in table {
            let (status, word) = role_response(said);
            assert!(word.len() <= LONGEST_ROLE, "{word}");
            assert_eq!(meaning(status, word.as_bytes()), read, "{said:?}");
        }
    }

    #[test]
    fn the_word_of_the_node_program_arrives_before_it_is_given_up() {
        let on_the_way = Duration::from_millis(50);
        assert!(ROLE_BUDGET + on_the_way <= topology::PATIENCE);
    }

    #[test]
    fn anything_but_the_exact_words_is_not_known() {
        for (status, body) in [
            (200, ""),
            (200, "false"),
            (200, "true\n"),
            (404, "true"),
            (404, "GET /status"),
            (404, ""),
            (500, "false"),
            (503, "true"),
            (503, ""),
        ] {
            let answer = meaning(status, body.as_bytes());
            assert_eq!(answer, Answer::NotKnown(Unexpected), "{status} {body:?}");
        }
        assert_eq!(meaning(403, b"true"), Answer::NotKnown(Forbidden));
    }

    #[test]
    fn readers_are_served_in_either_role_and_in_no_other_state() {
        assert_eq!(read_response(Answer::Master), (200, "true"));
        assert_eq!(read_response(Answer::Slave), (200, "true"));
        assert_eq!(read_response(Answer::NotKnown(Unsettled)), (404, "UNKNOWN"));
        for kind in [Silent, Late, Refused, Forbidden, Unexpected, NotAwaited] {
            assert_eq!(read_response(Answer::NotKnown(kind)).0, 503, "{kind:?}");
            assert_eq!(role_response(Answer::NotKnown(kind)).0, 503, "{kind:?}");
        }
    }
}
