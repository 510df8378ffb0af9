//! Two hundred passwords that some layer between a template and a disk may change. Each contains a word of
//! its own that no encoding changes, so that logs can be searched for it.

/// `(password, its word)`.
pub fn passwords() -> Vec<(String, String)> {
    let pieces = [
        "'",
        "\"",
        "\\",
        "/",
        "`",
        "$",
        "$p",
        "{}",
        "{p}",
        "%",
        "%00",
        "&",
        "#",
        ";",
        ":",
        "::",
        ",",
        "=",
        "?",
        "+",
        "*",
        "|",
        "<",
        ">",
        "(",
        ")",
        "[",
        "]",
        "!",
        "~",
        "^",
        "@",
        "-",
        "--",
        "//",
        "/*",
        "*/",
        " ",
        "  ",
        "\t",
        "\n",
        "\r\n",
        "\r",
        "\u{0}",
        "\u{1}",
        "\u{7f}",
        "\u{85}",
        "\u{a0}",
        "\u{e4}",
        "\u{fc}\u{df}",
        "\u{ff}",
        "\u{100}",
        "\u{20ac}",
        "\u{65e5}\u{672c}",
        "\u{1f600}",
        "\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467}",
        "e\u{301}",
        "\u{202e}",
        "\u{200b}",
        "\u{2028}",
        "\u{feff}",
        "\u{fffd}",
        "\\n",
        "\\u0000",
        "${HOME}",
        "$(id)",
    ];
    let mut nasty = Vec::new();
    let mut add = |text: &dyn Fn(&str) -> String| {
        let word = format!("Zq{:03}xW", nasty.len());
        nasty.push((text(&word), word));
    };
    for piece in pieces {
        add(&|word| format!("{piece}{word}"));
        add(&|word| format!("{word}{piece}"));
        add(&|word| format!("{word}{piece}{word}{piece}{piece}"));
    }
    add(&|word| format!("{word}{}", "x".repeat(1000)));
    add(&|word| format!("{}{word}", "\u{e4}\"\\".repeat(400)));
    // Not the secret in an object, but a password that looks like a truncated one.
    add(&|word| format!("{{\"password\":\"{word}"));
    add(&|word| format!("\"{word}\""));
    add(&|word| format!("') CALL dbms.security.deleteUser('neo4j') //{word}"));
    nasty
}

/// What a careless layer would make of `password`; it always differs.
pub fn variant(password: &str) -> String {
    let trimmed = password.trim();
    let ascii: String = password.chars().map(|c| if c.is_ascii() { c } else { '?' }).collect();
    let unescaped = password.replace('\\', "");
    let changed = [trimmed.to_owned(), ascii, unescaped].into_iter().find(|other| other != password);
    changed.unwrap_or_else(|| format!("{password} "))
}
