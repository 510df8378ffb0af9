//! A hundred thousand events that were valid once: each has exactly one well-formed answer if there is a URL
//! to send it to, and none otherwise.

mod shelf;

use std::time::Duration;

use custom_resource::{
    Handled, Invocation, Protocol,
    twins::{Mailbox, Queue},
};
use serde_json::{Map, Value, json};
use shelf::{NOW, Room, URL, create, delete, update};

const CASES: u64 = 100_000;
/// Mutations must not only be refused at the door.
const REACHED_AT_LEAST: f64 = 0.25;

/// SplitMix64: small, and the same everywhere.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.roll() % limit as u64).unwrap()
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }
}

fn valid(dice: &mut Dice) -> Value {
    let manners = ["Works", "Works", "Works", "Fails", "Refuses", "Panics", "Hangs", "Waits"];
    let properties = json!({
        "ServiceToken": "arn:aws:lambda:eu-west-1:123456789012:function:shelves", "ServiceTimeout": "300",
        "Label": dice.one(&["A", "B", "Bücher"]), "Width": dice.one(&["1", "3", "255"]),
        "Fragile": dice.one(&["true", "false"]), "Password": "hunter2", "Manner": dice.one(&manners),
        "Size": dice.one(&["0", "100", "9000"]), "Calls": dice.one(&["2", "40"]), "Pause": dice.one(&["1", "20", "100"]),
    });
    let old = json!({"Label": "A", "Width": dice.one(&["1", "2"])});
    match dice.below(3) {
        0 => create(&properties),
        1 => update(dice.one(&["library/A", "library/B"]), &properties, &old),
        _ => delete(dice.one(&["library/A", "invented", "Shelf-not-created"]), &properties),
    }
}

/// Some other value in place of `old`.
fn other(dice: &mut Dice, old: &Value) -> Value {
    let text = old.as_str().unwrap_or("text").to_owned();
    match dice.below(16) {
        0 => Value::Null,
        1 => json!(true),
        2 => json!(-1),
        3 => json!(u64::MAX),
        4 => json!(1.5e300),
        5 => json!([old]),
        6 => json!({ "Nested": old }),
        7 => json!(""),
        8 => json!(text.repeat(1 + dice.below(3000))),
        9 => json!(text.chars().take(dice.below(8)).collect::<String>()),
        10 => json!(
            dice.one(&["🦀", "\u{0}", "\"\\\n", "\u{202e}evil", "  ", "e\u{301}", "\u{10ffff}"])
                .repeat(1 + dice.below(2000))
        ),
        11 => (0..dice.below(100)).fold(old.clone(), |inner, _| json!([inner])),
        12 => (0..dice.below(100)).fold(old.clone(), |inner, _| json!({ "a": inner })),
        13 => json!(format!("{text}\u{1}{}", dice.roll())),
        14 => json!(dice.roll().to_string()),
        _ => json!([]),
    }
}

/// Texts that are not URLs. A URL is never changed into another URL, so the test knows which they are
/// without asking the code.
fn no_url(dice: &mut Dice) -> Value {
    let table = [
        Value::Null,
        json!(7),
        json!([URL]),
        json!({"url": URL}),
        json!(""),
        json!("   "),
        json!("/path"),
        json!("ftp://host/x"),
        json!("https://"),
        json!("javascript:alert(1)"),
        json!("https//host/x"),
        json!("host:443"),
        json!("http:///x"),
        json!("https://ho st/x"),
    ];
    table[dice.below(table.len())].clone()
}

fn mutate(dice: &mut Dice, event: &mut Map<String, Value>) {
    let names: Vec<String> = event.keys().filter(|name| *name != "ResponseURL").cloned().collect();
    if names.is_empty() {
        return;
    }
    let name = names[dice.below(names.len())].clone();
    match dice.below(24) {
        0 => drop(event.remove(&name)),
        1 => {
            let value = event.remove(&name).unwrap_or_default();
            event.insert(dice.one(&["Renamed", "requesttype", "StackID", ""]).to_string(), value);
        }
        2 => {
            // The same name twice: a parser keeps one of the two.
            let value = event[&names[dice.below(names.len())]].clone();
            event.insert(name, value);
        }
        3..=5 => {
            let old = event[&name].clone();
            event.insert(name, other(dice, &old));
        }
        6 => drop(event.insert("ResponseURL".into(), no_url(dice))),
        7 => drop(event.remove("ResponseURL")),
        8 => {
            let continuation = json!({"Progress": other(dice, &json!(1)), "Started": dice.roll(), "NotBefore": dice.roll(),
                "WaitingFor": "x".repeat(dice.below(9000)), "Number": 3});
            event.insert("Continuation".into(), continuation);
        }
        9 => {
            let continuation = json!({"Progress": 1, "Started": 1000 * (NOW.as_secs() - dice.below(400) as u64),
                "NotBefore": 0, "WaitingFor": "paint", "Number": 2,
                "PhysicalId": other(dice, &json!("library/A"))});
            event.insert("Continuation".into(), continuation);
        }
        10 => drop(event.insert("Continuation".into(), other(dice, &json!({"Progress": 1})))),
        _ => {
            // Most often: one property of the resource's own, or an unknown one.
            let field = dice.one(&["ResourceProperties", "ResourceProperties", "OldResourceProperties"]);
            let Some(properties) = event.get_mut(field).and_then(Value::as_object_mut) else { return };
            let names: Vec<String> = properties.keys().cloned().collect();
            if names.is_empty() {
                return;
            }
            let name = names[dice.below(names.len())].clone();
            match dice.below(4) {
                0 => drop(properties.remove(&name)),
                1 => drop(properties.insert(format!("{name}?"), json!("🦀"))),
                _ => {
                    let old = properties[&name].clone();
                    properties.insert(name, other(dice, &old));
                }
            }
        }
    }
}

/// What every answer must be, whatever was asked.
fn well_formed(body: &[u8], event: &Value) -> Result<(), String> {
    if body.len() > 4096 {
        return Err(format!("{} bytes", body.len()));
    }
    let answer: Value = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let text = |name: &str| answer[name].as_str().unwrap_or_default();
    let id = text("PhysicalResourceId");
    if id.is_empty() || id.len() > 1536 {
        return Err(format!("a physical id of {} bytes", id.len()));
    }
    match text("Status") {
        "SUCCESS" => {}
        "FAILED" if !text("Reason").trim().is_empty() => {}
        other => return Err(format!("status {other:?}, reason {:?}", text("Reason"))),
    }
    for name in ["StackId", "RequestId", "LogicalResourceId"] {
        let sent = event[name].as_str().filter(|sent| !sent.trim().is_empty());
        // What CloudFormation sends is short; a longer text cannot be echoed as a whole.
        let echoed = match sent {
            Some(sent) if serde_json::to_string(sent).unwrap().len() - 2 <= 512 => text(name) == sent,
            _ => !text(name).is_empty(),
        };
        if !echoed {
            return Err(format!("{name} is not echoed"));
        }
    }
    if text("Status") == "FAILED" && matches!(event["RequestType"].as_str(), Some("Update" | "Delete")) {
        let sent = event["PhysicalResourceId"].as_str().unwrap_or_default();
        if !sent.trim().is_empty() && sent.len() < 256 && id != sent {
            return Err("the old physical id is not echoed".to_owned());
        }
    }
    if body.windows(7).any(|window| window == b"hunter2")
        && !event["ResourceProperties"]["Label"].to_string().contains("hunter2")
    {
        return Err("a secret is in the answer".to_owned());
    }
    Ok(())
}

struct Seen {
    reached: bool,
    answered: bool,
    success: bool,
    handed_over: usize,
}

/// One case: the event, and everything that it hands over.
async fn play(seed: u64) -> Result<Seen, String> {
    let mut dice = Dice(seed);
    let mut event = valid(&mut dice);
    for _ in 0..=dice.below(2) {
        mutate(&mut dice, event.as_object_mut().unwrap());
    }
    let (room, mailbox, queue) = (Room::default(), Mailbox::new(), Queue::new());
    let protocol = Protocol::new(mailbox.clone(), queue.clone()).with(room.clone());
    let begun = tokio::time::Instant::now();
    let mut next = Some(event.clone());
    let mut handed_over = 0;
    let mut last = Handled::NoResponseUrl;
    while let Some(now) = next {
        last = protocol.handle(&now, Invocation::at(NOW + begun.elapsed(), Duration::from_secs(60))).await;
        next = queue.take();
        handed_over += usize::from(next.is_some());
        if next.is_some() != (last == Handled::HandedOver) || (next.is_some() && mailbox.puts() > 0) {
            return Err(format!("{last:?} with {} answers, handed over: {}", mailbox.puts(), next.is_some()));
        }
        if handed_over > 100 {
            return Err("it never ends".to_owned());
        }
    }
    let expected = usize::from(event["ResponseURL"] == URL);
    let bodies = mailbox.bodies();
    if bodies.len() != expected || mailbox.puts() != expected {
        return Err(format!("{} answers where {expected} is right: {last:?}", bodies.len()));
    }
    bodies.iter().try_for_each(|body| well_formed(body, &event))?;
    let success = matches!(last, Handled::Answered { success: true, .. });
    Ok(Seen { reached: !room.calls().is_empty(), answered: expected == 1, success, handed_over })
}

#[test]
fn every_event_with_a_url_has_exactly_one_answer() {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let seeds = match std::env::var("CASE") {
        Ok(case) => vec![case.parse().expect("CASE is the number of a case that failed")],
        Err(_) => (0..CASES).collect(),
    };
    let begun = std::time::Instant::now();
    let (mut reached, mut answered, mut successes, mut handed_over) = (0_u32, 0_u32, 0_u32, 0_usize);
    for &seed in &seeds {
        let seen = runtime.block_on(play(seed)).unwrap_or_else(|wrong| {
            let mut dice = Dice(seed);
            let event = valid(&mut dice);
            panic!("case {seed}: {wrong}\nits event before it was changed: {event}\nagain: CASE={seed} cargo test -p custom-resource --test mutations")
        });
        reached += u32::from(seen.reached);
        answered += u32::from(seen.answered);
        successes += u32::from(seen.success);
        handed_over += seen.handed_over;
    }
    let share = f64::from(reached) / f64::from(u32::try_from(seeds.len()).unwrap());
    println!(
        "{} events: {answered} answered ({successes} SUCCESS), the others have no URL; {:.1} % reached the handler; \
         {handed_over} hand-overs; {:.1} s",
        seeds.len(),
        share * 100.0,
        begun.elapsed().as_secs_f64()
    );
    if seeds.len() > 1 {
        assert!(share > REACHED_AT_LEAST, "only {share:.2} of the cases reached the handler");
        assert!(
            answered > 50_000 && u32::try_from(seeds.len()).unwrap() - answered > 1000 && successes > 10_000
        );
        assert!(handed_over > 1000);
    }
}
