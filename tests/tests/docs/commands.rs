//! Commands: the targets of `make` and the commands of the local cloud that pages name.

use std::collections::BTreeSet;

use super::{code, is_of_name, none, pages, prose, spans, text};

/// `make` targets and commands of the local cloud that are named and do not exist.
fn unknown_commands(pages: &[(String, String)], makefile: &str, commands: &BTreeSet<String>) -> Vec<String> {
    let is_target = |name: &str| makefile.lines().any(|line| line.starts_with(&format!("{name}:")));
    let mut complaints = Vec::new();
    for (page, text) in pages {
        // In a block the bare word may stand in a drawing.
        let blocks = code(text).filter(|line| !line.trim_start().starts_with("local"));
        for line in prose(text).flat_map(spans).chain(blocks) {
            let line = line.split('#').next().unwrap_or_default();
            for command in line.split("&&").map(str::trim) {
                let mut words = command.split_whitespace();
                match words.next() {
                    Some("make") => {
                        let targets =
                            words.take_while(|word| *word != "...").filter(|word| !word.contains('='));
                        complaints.extend(
                            targets
                                .filter(|target| !target.starts_with('-') && !is_target(target))
                                .map(|target| format!("{page}: there is no `make {target}`")),
                        );
                    }
                    Some("local" | "target/debug/local") => {
                        // Alone it is the folder, or the crate.
                        let Some(name) = words.next() else { continue };
                        if !commands.contains(name) {
                            complaints.push(format!("{page}: the local cloud has no command {name}"));
                        }
                    }
                    _ => {}
                }
            }
        }
    }
    complaints
}

/// The variants of the local cloud's commands, as they are typed.
fn commands(cli: &str) -> BTreeSet<String> {
    let variants = cli.split("pub enum Command {").nth(1).and_then(|rest| rest.split("\n}").next());
    let lines = variants.unwrap_or_default().lines().filter_map(|line| line.strip_prefix("    "));
    let names = lines.filter(|line| line.starts_with(|first: char| first.is_ascii_uppercase()));
    names.map(|name| kebab(name.split(|one| !is_of_name(one)).next().unwrap_or_default())).collect()
}

fn kebab(name: &str) -> String {
    let mut text = String::new();
    for one in name.chars() {
        if one.is_ascii_uppercase() && !text.is_empty() {
            text.push('-');
        }
        text.push(one.to_ascii_lowercase());
    }
    text
}

#[test]
fn pages_name_only_commands_that_exist() {
    let mut pages = pages();
    pages.push(("CHANGELOG.md".to_owned(), text("CHANGELOG.md")));
    let commands = commands(&text("local/src/cli.rs"));
    assert!(commands.contains("kill-agent") && commands.contains("status"), "{commands:?}");
    none(&unknown_commands(&pages, &text("Makefile"), &commands));
}

#[test]
fn a_command_of_yesterday_is_complained_of() {
    let page = "`make test` and `make old DIALECT=HA`, `local status`, `local dance core-1`, `local`\n\
        ```sh\nmake setup older && sam build   # make oldest\n```\n";
    let makefile = "test: setup\nsetup:\n\t@true\n";
    let commands =
        commands("pub enum Command {\n    /// Shows\n    Status,\n    KillAgent(Slot),\n}\nOther,\n");
    assert_eq!(commands.iter().collect::<Vec<_>>(), ["kill-agent", "status"]);
    assert_eq!(
        unknown_commands(&[("page".to_owned(), page.to_owned())], makefile, &commands),
        [
            "page: there is no `make old`",
            "page: the local cloud has no command dance",
            "page: there is no `make older`"
        ]
    );
}
