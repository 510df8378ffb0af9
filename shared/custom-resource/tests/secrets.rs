//! What readers of logs and of the stack's events must not see.

mod shelf;

use std::{
    io::Write,
    panic::{set_hook, take_hook},
    sync::{Arc, Mutex},
    time::Duration,
};

use custom_resource::{
    Invocation, Protocol,
    twins::{Mailbox, Queue},
};
use serde_json::{Value, json};
use shelf::{NOW, Room, create, delete, update};
use tracing_subscriber::fmt::MakeWriter;

#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Captured {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// Two hundred passwords that break quoting, escaping, cutting or counting somewhere. Each has a part that
/// can be found after any escaping.
fn nasty() -> Vec<(String, String)> {
    let frames = [
        ("", ""),
        ("'", "'"),
        ("\"", "\""),
        ("\\", "\\"),
        ("\n", "\r\n"),
        ("\u{0}", "\u{1f}"),
        ("ß", "🦀"),
        ("${", "}"),
        ("{{resolve:secretsmanager:", "}}"),
        ("%s%n", "%x"),
        ("<script>", "</script>"),
        ("');DROP", "--"),
        ("{\"a\":\"", "\"}"),
        ("../", "/.."),
        ("\u{202e}", "\u{202d}"),
        (" ", " "),
        ("e\u{301}", "\u{fffd}"),
        ("`", "$(id)"),
        ("a:b@", "?x=#"),
        ("[REDACTED]", "***"),
    ];
    (0..200)
        .map(|number| {
            let (before, after) = frames[number % frames.len()];
            let core = format!("pw{number}x{}", "k".repeat(1 + number * number % 4000));
            (core.clone(), format!("{before}{core}{after}"))
        })
        .collect()
}

#[test]
fn secrets_are_in_no_log_line_and_no_reason() {
    let captured = Captured::default();
    let subscriber = tracing_subscriber::fmt()
        .with_writer(captured.clone())
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .finish();
    // Whatever a panic prints goes through the hook that was set before.
    let printed = Arc::new(Mutex::new(Vec::new()));
    let others = take_hook();
    let seen = Arc::clone(&printed);
    set_hook(Box::new(move |panic| seen.lock().unwrap().push(panic.to_string())));

    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let mut bodies = Vec::new();
    tracing::subscriber::with_default(subscriber, || {
        for (_, secret) in nasty() {
            for manner in ["Fails", "Panics", "PanicsInValidation", "Hangs", "Waits"] {
                let properties = |password: Value| json!({"Label": "A", "Width": "3", "Password": password, "Manner": manner, "Calls": "2", "Pause": "70"});
                let mut signed = create(&properties(json!(secret)));
                signed["ResponseURL"] =
                    json!(format!("https://host/x?X-Amz-Signature={}", "pw0xk".repeat(3)));
                let events = [
                    signed,
                    update("library/A", &properties(json!(secret)), &json!({})),
                    delete("library/A", &properties(json!(secret))),
                    create(&properties(json!([secret]))),
                    create(&properties(json!({ "Secret": secret }))),
                    create(&json!({"Label": "A", "Width": secret, "Fragile": secret, "Manner": manner})),
                    create(&json!({"Label": "A", "Width": "3", "Manner": secret})),
                ];
                for event in events {
                    // 403 logs the URL, without its signature.
                    let mailbox = Mailbox::new().then(Ok(500)).then(Ok(200));
                    let refusing = Mailbox::new().then(Ok(403));
                    let queue = Queue::new().refusing("throttled");
                    for post in [&mailbox, &refusing] {
                        let protocol = Protocol::new(post.clone(), queue.clone()).with(Room::default());
                        let invocation = Invocation::at(NOW, Duration::from_secs(60));
                        runtime.block_on(protocol.handle(&event, invocation));
                    }
                    bodies.extend(mailbox.bodies());
                }
            }
        }
    });
    set_hook(others);

    let bodies: Vec<String> = bodies.into_iter().map(|body| String::from_utf8(body).unwrap()).collect();
    let logs = String::from_utf8(captured.0.lock().unwrap().clone()).unwrap();
    // The capture works, and every path was taken.
    for event in [
        "custom-resource-failed",
        "-panicked",
        "-handed-over",
        "-answered",
        "-answer-refused",
        "-answer-retried",
    ] {
        assert!(logs.contains(event), "no {event} in the logs");
    }
    assert!(logs.contains("REDACTED") && bodies.iter().any(|body| body.contains("REDACTED")));
    assert!(bodies.len() > 5000, "{}", bodies.len());
    let bodies = bodies.concat();
    for (core, _) in nasty() {
        assert!(!logs.contains(&core), "{core} is in the logs");
        assert!(!bodies.contains(&core), "{core} is in an answer");
    }
    assert_eq!(*printed.lock().unwrap(), Vec::<String>::new(), "a panic was printed");
}
