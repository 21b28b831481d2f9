//! Prints the public interface of a crate, one item a line, from its rustdoc JSON file, and counts
//! the named items on the standard error output.
//!
//! ```text
//! pinfold-interface FILE.json [WITHOUT.json]
//! ```
//!
//! With a second file, only the items that are not in it are printed and counted.

use public_api::PublicApi;
use public_api::tokens::Token;
use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;

fn main() -> ExitCode {
    let files: Vec<String> = std::env::args().skip(1).collect();
    let (file, without) = match files.as_slice() {
        [file] => (file, None),
        [file, without] => (file, Some(without)),
        _ => return fail("usage: pinfold-interface FILE.json [WITHOUT.json]"),
    };
    let left_out = match without.map(|path| read(path)).transpose() {
        Ok(api) => api.iter().flat_map(lines).collect(),
        Err(error) => return fail(&error),
    };
    match read(file) {
        Ok(api) => {
            list(&api, &left_out);
            ExitCode::SUCCESS
        }
        Err(error) => fail(&error),
    }
}

fn fail(message: &str) -> ExitCode {
    eprintln!("interface: {message}");
    ExitCode::FAILURE
}

fn read(path: &str) -> Result<PublicApi, String> {
    public_api::Builder::from_rustdoc_json(path)
        .omit_blanket_impls(true)
        .omit_auto_trait_impls(true)
        .omit_auto_derived_impls(true)
        .build()
        .map_err(|error| format!("{path}: {error}"))
}

fn lines(api: &PublicApi) -> BTreeSet<String> {
    api.items().map(ToString::to_string).collect()
}

/// Prints the items that are not left out, and counts the named ones: types, traits, functions,
/// constants and macros, each once, however many paths lead to it. Modules do not count.
fn list(api: &PublicApi, left_out: &BTreeSet<String>) {
    let mut counted = BTreeSet::new();
    let mut kinds: BTreeMap<&str, u32> = BTreeMap::new();
    let modules: BTreeSet<String> = api
        .items()
        .filter(|item| kind(item) == "mod")
        .map(path)
        .collect();
    for item in api.items() {
        let line = item.to_string();
        if left_out.contains(&line) {
            continue;
        }
        println!("{line}");
        let path = path(item);
        let in_module = path
            .rsplit_once("::")
            .is_some_and(|(parent, _)| modules.contains(parent));
        let kind = kind(item);
        let named = in_module && !matches!(kind, "" | "mod" | "impl" | "use");
        if named && counted.insert(item.id()) {
            *kinds.entry(kind).or_default() += 1;
        }
    }
    let by_kind: Vec<String> = kinds
        .iter()
        .map(|(kind, n)| format!("{n} {kind}"))
        .collect();
    eprintln!("{} named items: {}", counted.len(), by_kind.join(", "));
}

/// What kind of item it is; empty for a field or a variant.
fn kind(item: &public_api::PublicItem) -> &str {
    item.tokens()
        .find_map(|token| match token {
            Token::Kind(kind) => Some(kind.as_str()),
            _ => None,
        })
        .unwrap_or("")
}

/// The path of an item, without generic arguments: what follows the kind.
fn path(item: &public_api::PublicItem) -> String {
    let mut path = String::new();
    let mut depth = 0u32;
    let after_kind = item
        .tokens()
        .skip_while(|token| !matches!(token, Token::Kind(_)))
        .skip(2);
    for token in after_kind {
        match (token, token.text()) {
            (_, "<") => depth += 1,
            (_, ">") => depth = depth.saturating_sub(1),
            _ if depth > 0 => {}
            (Token::Whitespace, _) => break,
            (Token::Symbol(_), symbol) if symbol != "::" => break,
            (_, text) => path.push_str(text),
        }
    }
    path
}
