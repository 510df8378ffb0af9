//! The role over version 1 of Bolt, against servers that misbehave on real sockets.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use neo4j::{Credentials, Denied, Dialect, ask_bolt};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use topology::{Answer, NotKnown};

const DEADLINE: Duration = Duration::from_millis(800);
const SUCCESS: &[u8] = b"\xb1\x70\xa0";
const BEAN: &[u8] = b"\xb1\x71\x93\x86master\xc3\xc3";
/// The answer of 3.4.6 in the middle of a switch.
const UNAVAILABLE: &[u8] =
    b"\xb1\x7f\xa2\x84code\xd0\x2eNeo.TransientError.General.DatabaseUnavailable\x87message\x84gone";
const UNAUTHORIZED: &[u8] =
    b"\xb1\x7f\xa2\x84code\xd0%Neo.ClientError.Security.Unauthorized\x87message\x84nope";

/// A server that greets with version 1, reads as many messages as the script says, answers each with the
/// messages beside it, and then keeps the connection open.
async fn server(script: &'static [&'static [&'static [u8]]]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, script));
        }
    });
    at
}

async fn serve(mut stream: TcpStream, script: &[&[&[u8]]]) -> Option<()> {
    stream.read_exact(&mut [0; 20]).await.ok()?;
    stream.write_all(&[0, 0, 0, 1]).await.ok()?;
    for answers in script {
        message(&mut stream).await?;
        for answer in *answers {
            let length = u16::try_from(answer.len()).ok()?.to_be_bytes();
            stream.write_all(&[&length, *answer, &[0, 0]].concat()).await.ok()?;
        }
    }
    // Until the client closes the connection.
    while stream.read(&mut [0; 64]).await.ok()? > 0 {}
    Some(())
}

async fn message(stream: &mut TcpStream) -> Option<()> {
    loop {
        let mut length = [0; 2];
        stream.read_exact(&mut length).await.ok()?;
        let length = usize::from(u16::from_be_bytes(length));
        if length == 0 {
            return Some(());
        }
        stream.read_exact(&mut vec![0; length]).await.ok()?;
    }
}

async fn asked(at: SocketAddr) -> Result<Answer, Denied> {
    let who = Credentials::administrator("secret".to_owned().into());
    let begun = Instant::now();
    let answer = ask_bolt(Dialect::Ha, at, Some(&who), DEADLINE).await;
    assert!(begun.elapsed() < DEADLINE + Duration::from_secs(2), "it outlived its deadline");
    answer
}

#[tokio::test]
async fn the_row_of_the_bean_is_the_role() {
    let at = server(&[&[SUCCESS], &[SUCCESS], &[BEAN, SUCCESS]]).await;
    assert_eq!(asked(at).await, Ok(Answer::Master));
    // Without authentication too.
    assert_eq!(ask_bolt(Dialect::Ha, at, None, DEADLINE).await, Ok(Answer::Master));
    let two = server(&[&[SUCCESS], &[SUCCESS], &[BEAN, BEAN, SUCCESS]]).await;
    assert_eq!(asked(two).await, Ok(Answer::NotKnown(NotKnown::Unexpected)));
}

#[tokio::test]
async fn what_is_not_an_answer_is_denied_and_never_a_role() {
    let unavailable = server(&[&[SUCCESS], &[UNAVAILABLE]]).await;
    assert!(matches!(asked(unavailable).await, Err(Denied::Other { code, .. }) if code.contains("Unavail")));
    assert_eq!(asked(server(&[&[UNAUTHORIZED]]).await).await, Err(Denied::Unauthorized));
    // Silent after the greeting, after the login, and after the first row: a partial answer does not count.
    let silent: [&'static [&'static [&'static [u8]]]; 3] =
        [&[], &[&[SUCCESS]], &[&[SUCCESS], &[SUCCESS], &[BEAN]]];
    for script in silent {
        let denied = asked(server(script).await).await;
        assert!(matches!(denied, Err(Denied::Unreachable(_))), "{denied:?}");
    }
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    assert!(matches!(asked(nobody).await, Err(Denied::Unreachable(_))));
}

#[tokio::test]
async fn endless_rows_and_endless_messages_are_not_read() {
    let endless = |answer: Vec<u8>| async move {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            serve_two(&mut stream).await;
            while stream.write_all(&answer).await.is_ok() {}
        });
        at
    };
    let row = [&[0, BEAN.len().to_be_bytes()[7]], BEAN, &[0, 0]].concat();
    let chunk = [&[0xff, 0xff], vec![0x91; 0xffff].as_slice()].concat();
    for answer in [row, chunk] {
        let begun = Instant::now();
        let at = endless(answer).await;
        let denied = ask_bolt(Dialect::Ha, at, None, Duration::from_secs(60)).await;
        assert!(matches!(denied, Err(Denied::Other { .. })), "{denied:?}");
        assert!(begun.elapsed() < Duration::from_secs(30), "it was read on");
    }
}

/// The greeting, the login, and the statement.
async fn serve_two(stream: &mut TcpStream) {
    stream.read_exact(&mut [0; 20]).await.unwrap();
    stream.write_all(&[0, 0, 0, 1]).await.unwrap();
    for _ in 0..2 {
        message(stream).await.unwrap();
        stream.write_all(&[&[0, 3], SUCCESS, &[0, 0]].concat()).await.unwrap();
    }
}
