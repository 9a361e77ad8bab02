//! The layers: which folder may use which, and what the engine never touches. Source is read as text, without comments,
//! strings and unit tests.

use std::fs;
use std::path::{Path, PathBuf};

/// A folder (or file) under `src`, what it may use of the crate besides itself, and crates it must not name.
const LAYERS: &[(&str, &[&str], &[&str])] = &[
    ("time", &[], NOT_STD),
    ("rng", &[], NOT_STD),
    ("kafka", &["time", "rng"], NOT_ENGINE),
    ("sim", &["time", "rng", "kafka"], WEB),
    ("scene", &["time", "kafka", "sim"], WEB),
    ("cli", &["time", "rng", "kafka", "sim"], WEB),
    ("ui", &["time", "sim", "kafka", "scene"], &[]),
];

/// What only `ui` may name: these crates know a browser.
const WEB: &[&str] = &["leptos", "web_sys", "js_sys", "wasm_bindgen", "gloo_timers", "plotters", "plotters_canvas"];
const NOT_ENGINE: &[&str] = &[
    "leptos",
    "web_sys",
    "js_sys",
    "wasm_bindgen",
    "gloo_timers",
    "plotters",
    "plotters_canvas",
    "serde",
    "serde_json",
    "toml",
    "clap",
];
const NOT_STD: &[&str] =
    &["serde", "serde_json", "bytes", "toml", "clap", "leptos", "web_sys", "js_sys", "wasm_bindgen"];

/// Words that make two runs differ, or a browser differ from a native run.
const NOT_DETERMINISTIC: &[&str] =
    &["f32", "f64", "HashMap", "HashSet", "SystemTime", "RandomState", "thread", "thread_local"];

/// Clients reach the cluster by message: they name none of its machines. (The placer is none: a rule that Kafka's
/// reassignment tool follows by itself, too.)
const CLIENTS: &[&str] =
    &["producer", "consumer", "tool", "cluster_view", "connection", "workload", "partitioner", "assignor"];
const MACHINES: &[&str] = &[
    "broker",
    "producer_state",
    "replica",
    "log",
    "epochs",
    "purgatory",
    "controller",
    "quorum",
    "coordinator",
    "share",
    "group",
    "group_log",
    "modern_group",
    "lifecycle",
    "observer",
];

#[test]
fn each_folder_uses_only_what_stands_left_of_it() {
    let mut wrong = Vec::new();
    for (layer, allowed, _) in LAYERS {
        for source in sources(layer) {
            for path in source.paths() {
                let Some(used) = path.first().filter(|used| LAYERS.iter().any(|(name, ..)| name == used)) else {
                    continue;
                };
                if used != layer && !allowed.contains(&used.as_str()) {
                    wrong.push(format!("{} names crate::{}", source.name, path.join("::")));
                }
            }
        }
    }
    assert_none(&wrong);
}

#[test]
fn only_the_page_knows_a_browser_and_only_the_right_knows_file_formats() {
    let mut wrong = Vec::new();
    for (layer, _, forbidden) in LAYERS {
        for source in sources(layer) {
            wrong.extend(
                forbidden.iter().filter(|name| source.has(name)).map(|name| format!("{} names {name}", source.name)),
            );
        }
    }
    assert_none(&wrong);
}

#[test]
fn the_engine_has_no_floats_no_hash_order_no_clock_and_no_threads() {
    let mut wrong = Vec::new();
    for source in ["time", "rng", "kafka", "sim"].into_iter().flat_map(sources) {
        wrong.extend(
            NOT_DETERMINISTIC.iter().filter(|word| source.has(word)).map(|word| format!("{}: {word}", source.name)),
        );
        if source.text.contains("Instant::now") {
            wrong.push(format!("{}: Instant::now", source.name));
        }
    }
    assert_none(&wrong);
}

#[test]
fn clients_reach_the_cluster_by_message_only() {
    let mut wrong = Vec::new();
    for client in CLIENTS {
        for source in sources(&format!("kafka/{client}")) {
            let machines = source.paths().into_iter().filter(|path| path.first().is_some_and(|first| first == "kafka"));
            let named = machines.filter(|path| path.get(1).is_some_and(|second| MACHINES.contains(&second.as_str())));
            wrong.extend(named.map(|path| format!("{} names {}", source.name, path.join("::"))));
        }
    }
    assert_none(&wrong);
}

/// A browser's `usize` has 32 bits: what is sent, noted and hashed is of a fixed width.
#[test]
fn what_is_sent_noted_or_stored_has_a_fixed_width() {
    let mut wrong = Vec::new();
    for file in ["ids", "fact", "message", "metadata", "effects", "record"] {
        for source in sources(&format!("kafka/{file}")) {
            for line in source.text.lines().filter(|line| is_field(line)) {
                if words(line).any(|word| word == "usize" || word == "isize") {
                    wrong.push(format!("{}: {}", source.name, line.trim()));
                }
            }
        }
    }
    assert_none(&wrong);
}

#[test]
fn every_file_belongs_to_a_layer() {
    let known: Vec<PathBuf> = LAYERS.iter().flat_map(|(layer, ..)| files(layer)).collect();
    let tops = ["src/lib.rs", "src/main.rs"].map(PathBuf::from);
    let wrong: Vec<String> = tree(Path::new("src"))
        .iter()
        .filter(|file| !known.contains(file) && !tops.contains(file))
        .map(|file| file.display().to_string())
        .collect();
    assert_none(&wrong);
}

/// The test must be able to fail: it sees through groups, `super` and comments.
#[test]
fn the_reader_of_source_sees_what_a_compiler_sees() {
    let text = "use super::super::{config::{A, B}, broker::Broker}; // crate::sim\nlet x: &'a str = \"crate::scene\"; crate::time::Instant";
    let source =
        Source { name: "t".into(), module: vec!["kafka".into(), "tool".into(), "print".into()], text: bare(text) };
    let paths: Vec<String> = source.paths().iter().map(|path| path.join("::")).collect();
    assert_eq!(paths, ["kafka::config::A", "kafka::config::B", "kafka::broker::Broker", "time::Instant"]);
    assert!(source.has("str") && !source.has("sim") && !source.has("scene"));
    assert_eq!(bare("a /* b */ 'c' r#\"d\"# '\\'' e // f"), "a   \"\" ' ' ' ' e ".replace("\"\" ' '", "' ' \"\""));
}

/// One file of source, bare of comments, strings and unit tests.
struct Source {
    name: String,
    module: Vec<String>,
    text: String,
}

impl Source {
    fn read(file: &Path) -> Self {
        let text = fs::read_to_string(file).expect("a source file");
        let under_src = file.strip_prefix("src").expect("a file of src").with_extension("");
        let mut module: Vec<String> = under_src.iter().map(|part| part.to_string_lossy().into_owned()).collect();
        if module.last().is_some_and(|last| last == "mod") {
            module.pop();
        }
        let bare = bare(&text);
        let tests = bare.find("#[cfg(test)]\nmod tests {").unwrap_or(bare.len());
        Self { name: file.display().to_string(), module, text: bare[..tests].to_owned() }
    }

    fn has(&self, word: &str) -> bool {
        words(&self.text).any(|found| found == word)
    }

    /// Every path of the crate that is named, from the crate's root.
    fn paths(&self) -> Vec<Vec<String>> {
        let tokens: Vec<&str> = tokens(&self.text);
        let mut found = Vec::new();
        let mut at = 0;
        while at < tokens.len() {
            let begins = at == 0 || tokens[at - 1] != "::";
            let mut base = match tokens[at] {
                "crate" if begins => Vec::new(),
                "super" if begins => self.module[..self.module.len().saturating_sub(1)].to_vec(),
                _ => {
                    at += 1;
                    continue;
                }
            };
            at += 1;
            while tokens.get(at) == Some(&"::") && tokens.get(at + 1) == Some(&"super") {
                base.pop();
                at += 2;
            }
            if tokens.get(at) == Some(&"::") {
                at = tree_of_paths(&tokens, at + 1, &base, &mut found);
            }
        }
        found
    }
}

/// Reads `a::b` or `a::{b, c::d}` from `at`; returns where it ends.
fn tree_of_paths(tokens: &[&str], mut at: usize, base: &[String], found: &mut Vec<Vec<String>>) -> usize {
    let mut path = base.to_vec();
    loop {
        match tokens.get(at) {
            Some(&"{") => {
                at += 1;
                while !matches!(tokens.get(at), None | Some(&"}")) {
                    at = tree_of_paths(tokens, at, &path, found).max(at + 1);
                    if tokens.get(at) == Some(&",") {
                        at += 1;
                    }
                }
                return at + 1;
            }
            Some(word) if is_word(word) => path.push((*word).to_owned()),
            _ => break,
        }
        at += 1;
        if tokens.get(at) != Some(&"::") {
            break;
        }
        at += 1;
    }
    found.push(path);
    at
}

/// Words, `::`, and single signs.
fn tokens(text: &str) -> Vec<&str> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let word = rest.find(|sign: char| !is_word_sign(sign)).unwrap_or(rest.len());
        let length = if word > 0 {
            word
        } else if rest.starts_with("::") {
            2
        } else {
            first.len_utf8()
        };
        let (token, after) = rest.split_at(length);
        tokens.push(token);
        rest = after.trim_start();
    }
    tokens
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|sign: char| !is_word_sign(sign)).filter(|word| !word.is_empty())
}

fn is_word(token: &str) -> bool {
    token.chars().all(is_word_sign)
}

fn is_word_sign(sign: char) -> bool {
    sign.is_alphanumeric() || sign == '_'
}

/// A field of a struct or of an enum's variant stands on a line of its own: `name: Type,`.
fn is_field(line: &str) -> bool {
    let line = line.trim();
    let declared = line.strip_prefix("pub ").unwrap_or(line);
    let name = declared.split(':').next().unwrap_or_default();
    line.ends_with(',') && declared.contains(": ") && is_word(name.trim()) && !line.contains('(')
}

/// The text with each string and character emptied, and without comments.
fn bare(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let raw = raw_string(rest).filter(|_| !out.ends_with(is_word_sign));
        let (shown, length) = if rest.starts_with("//") {
            ("", rest.find('\n').unwrap_or(rest.len()))
        } else if rest.starts_with("/*") {
            (" ", rest.find("*/").map_or(rest.len(), |end| end + 2))
        } else if let Some(length) = raw {
            ("\"\"", length)
        } else if first == '"' {
            ("\"\"", quoted(rest, '"'))
        } else if first == '\'' && is_character(rest) {
            ("' '", quoted(rest, '\''))
        } else {
            (&rest[..first.len_utf8()], first.len_utf8())
        };
        out.push_str(shown);
        rest = &rest[length..];
    }
    out
}

/// `'a'` and `'\n'`, but not the lifetime `'a`.
fn is_character(text: &str) -> bool {
    let mut signs = text.chars().skip(1);
    matches!((signs.next(), signs.next()), (Some('\\'), _) | (Some(_), Some('\'')))
}

/// The length of a quoted piece, with its quotes.
fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, sign) in text.char_indices().skip(1) {
        match sign {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if sign == quote => return at + sign.len_utf8(),
            _ => {}
        }
    }
    text.len()
}

/// The length of `r"…"` or `r#"…"#`.
fn raw_string(text: &str) -> Option<usize> {
    let hashes = text.strip_prefix('r')?.find('"')?;
    let fence = &text[1..=hashes];
    if !fence.chars().all(|sign| sign == '#') {
        return None;
    }
    let begin = hashes + 2;
    let end = format!("\"{fence}");
    text[begin..].find(&end).map(|at| begin + at + end.len())
}

fn sources(layer: &str) -> Vec<Source> {
    let sources: Vec<Source> =
        files(layer).iter().filter(|file| !is_unit_test(file)).map(|file| Source::read(file)).collect();
    assert!(!sources.is_empty(), "there is no src/{layer}: the test looks at nothing");
    sources
}

fn is_unit_test(file: &Path) -> bool {
    file.ends_with("tests.rs") || file.ends_with("harness.rs")
}

/// `src/X.rs` and everything below `src/X`.
fn files(layer: &str) -> Vec<PathBuf> {
    let file = PathBuf::from(format!("src/{layer}.rs"));
    let mut files = tree(&Path::new("src").join(layer));
    files.extend(file.exists().then_some(file));
    files
}

fn tree(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut files = Vec::new();
    for path in entries.map(|entry| entry.expect("a file of src").path()) {
        if path.is_dir() {
            files.extend(tree(&path));
        } else {
            files.push(path);
        }
    }
    files.sort();
    files
}

fn assert_none(wrong: &[String]) {
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
