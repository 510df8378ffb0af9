//! `node backups expire --dry-run`: what retention keeps, what it lets go, and why. It changes nothing: the backup trigger tags what
//! goes, and the lifecycle of the bucket deletes it.

use backups::Time;
use serde::Serialize;

use super::{
    bucket::Stock,
    facts::{self, Backup},
    figures::{Align, size, span, table},
    json,
    list::{Leftover, leftovers},
    policy::Policy,
};

/// The JSON of `expire --dry-run`. A later version may add fields, as long as `format` is 1.
#[derive(Debug, Serialize)]
struct Outlook<'o> {
    /// 1.
    format: u32,
    /// The bucket.
    bucket: &'o str,
    /// The moment for which it is decided.
    now: Time,
    /// What decides.
    retention: &'o Policy,
    /// All backups, newest first, each with `kept` and `why`.
    backups: Vec<Backup>,
    /// Folders without a manifest, newest first.
    leftovers: Vec<Leftover>,
    /// The keys that the backup trigger tags at its next tick: manifests of backups that go, and what is in folders without one.
    tagged_next: Vec<String>,
}

pub(super) fn render(stock: &Stock, bucket: &str, policy: &Policy, now: Time, as_json: bool) -> String {
    let outlook = Outlook {
        format: 1,
        bucket,
        now,
        retention: policy,
        backups: facts::all(&stock.catalogue, &stock.holds, policy, now),
        leftovers: leftovers(stock, None, now),
        tagged_next: policy.retention().expired(now, &stock.catalogue),
    };
    if as_json { json(&outlook) } else { text(&outlook) }
}

fn text(outlook: &Outlook) -> String {
    use Align::{Left, Right};
    let fate = |kept: bool| if kept { "keep" } else { "EXPIRE" }.to_owned();
    let backup = |backup: &Backup| {
        let verdict = backup.verdict.words().to_owned();
        [fate(backup.kept), backup.folder.clone(), backup.age(), backup.size(), verdict, backup.reason()]
    };
    let leftover = |leftover: &Leftover| {
        let prefix = format!("{}/", leftover.folder);
        let goes = outlook.tagged_next.iter().any(|key| key.starts_with(&prefix));
        let why = if goes {
            "it has no manifest, and no backup takes so long"
        } else {
            "it has no manifest: it is under way or held"
        };
        let age = span(std::time::Duration::from_secs(leftover.age_seconds));
        let size = size(leftover.bytes);
        [fate(!goes), leftover.folder.clone(), age, size, "no backup".to_owned(), why.to_owned()]
    };
    let rows: Vec<_> =
        outlook.backups.iter().map(backup).chain(outlook.leftovers.iter().map(leftover)).collect();
    let head = [
        ("FATE", Left),
        ("FOLDER", Left),
        ("AGE", Right),
        ("SIZE", Right),
        ("VERDICT", Left),
        ("BECAUSE", Left),
    ];
    let going = rows.iter().filter(|row| row[0] == fate(false)).count();
    let mut text = format!("backups in s3://{}/{} at {}\n", outlook.bucket, backups::ROOT, outlook.now);
    if rows.is_empty() {
        text += "there is none\n";
    } else {
        text += &table(head, &rows);
    }
    text + &outlook.retention.sentence()
        + &format!(
            "\n{going} of {} folders go: the next tick of the backup trigger tags {} of their objects, the manifest first and the \
             data once it is gone, and the bucket's lifecycle deletes what is tagged. Nothing was changed now.\n",
            rows.len(),
            outlook.tagged_next.len()
        )
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::backups::example::{BUCKET, F6, ORPHANS, now, one_of_each, policy};

    #[test]
    fn each_folder_is_kept_or_goes_with_its_reason() {
        let text = render(&one_of_each(), BUCKET, &policy(), now(), false);
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[1].starts_with("FATE    FOLDER "), "{text}");
        for (line, fate, folder, why) in [
            (
                4,
                "keep  ",
                "backups/hourly/2026-11-25T21-15-05Z-a1",
                "it is the newest verified backup of all, which never expires",
            ),
            (
                7,
                "EXPIRE",
                F6,
                "it is older than the days of its tier, and not among the newest verified ones that are kept",
            ),
            (8, "keep  ", ORPHANS[0], "it has no manifest: it is under way or held"),
            (9, "EXPIRE", ORPHANS[1], "it has no manifest, and no backup takes so long"),
        ] {
            assert!(lines[line].starts_with(&format!("{fate}  {folder} ")), "{text}");
            assert!(lines[line].ends_with(why), "{text}");
        }
        assert!(lines[5].ends_with(" (the audit, by ann, since 2026-11-25T21-00-00Z)"), "{text}");
        assert!(
            lines[11].starts_with(
                "2 of 8 folders go: the next tick of the backup trigger tags 2 of their objects, "
            ) && lines[11].ends_with(" Nothing was changed now."),
            "{text}"
        );
    }

    #[test]
    fn json_has_the_keys_that_are_tagged_next() {
        let json: Value =
            serde_json::from_str(&render(&one_of_each(), BUCKET, &policy(), now(), true)).unwrap();
        let tagged = json!([format!("{F6}/manifest.json"), format!("{}/store.tar.zst", ORPHANS[1])]);
        assert_eq!((&json["format"], &json["tagged_next"]), (&json!(1), &tagged));
        assert_eq!(json["leftovers"].as_array().unwrap().len(), 2);
        let kept = json["backups"].as_array().unwrap().iter().map(|backup| backup["kept"] == true);
        assert_eq!(kept.collect::<Vec<_>>(), [true, true, true, true, true, false]);
    }

    #[test]
    fn an_empty_bucket_is_said() {
        let text = render(&Stock::default(), BUCKET, &policy(), now(), false);
        assert!(text.contains("\nthere is none\n") && text.contains("\n0 of 0 folders go"), "{text}");
    }
}
