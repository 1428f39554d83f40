//! Reading the fields of an object whose types `schema` has checked: null and absent are alike.

use crate::json::Node;
use crate::verdict::Verdict;

/// Is this text fit to be a name? nara joins names by ":" without escaping.
pub fn is_name(text: &str) -> bool {
    if text.is_ascii() {
        let fits = |c: u8| c != b':' && c.is_ascii_graphic();
        return (1..=64).contains(&text.len()) && text.bytes().all(fits);
    }
    let fits = |c: char| c != ':' && !c.is_whitespace() && !c.is_control();
    (1..=64).contains(&text.chars().take(65).count()) && text.chars().all(fits)
}

pub(crate) fn text<'n>(node: &'n Node<'_>, key: &str) -> Option<&'n str> {
    match node.get(key)? {
        Node::Str(text) => Some(text),
        _ => None,
    }
}

pub(crate) fn text_or_empty<'n>(node: &'n Node<'_>, key: &str) -> &'n str {
    text(node, key).unwrap_or_default()
}

pub(crate) fn whole(node: &Node<'_>, key: &str) -> Option<i64> {
    match node.get(key)? {
        Node::Int(value) => Some(*value),
        _ => None,
    }
}

pub(crate) fn whole_or_zero(node: &Node<'_>, key: &str) -> i64 {
    whole(node, key).unwrap_or_default()
}

pub(crate) fn number(node: &Node<'_>, key: &str) -> f64 {
    match node.get(key) {
        Some(Node::Float(value)) => *value,
        Some(Node::Int(value)) => *value as f64,
        Some(Node::UInt(value)) => *value as f64,
        _ => 0.0,
    }
}

pub(crate) fn strings<'n>(node: &'n Node<'_>, key: &str) -> Vec<&'n str> {
    let Some(Node::Array(items)) = node.get(key) else {
        return Vec::new();
    };
    let text = |item: &'n Node<'_>| match item {
        Node::Str(text) => Some(&**text),
        _ => None,
    };
    items.iter().filter_map(text).collect()
}

/// A name, or "" where it is left out.
pub(crate) fn name<'n>(node: &'n Node<'_>, key: &str) -> Result<&'n str, Verdict> {
    match text_or_empty(node, key) {
        "" => Ok(""),
        text if is_name(text) => Ok(text),
        _ => Err(Verdict::BadName),
    }
}

/// A name that must be there.
pub(crate) fn needed_name<'n>(node: &'n Node<'_>, key: &str) -> Result<&'n str, Verdict> {
    match name(node, key)? {
        "" => Err(Verdict::BadPayload),
        name => Ok(name),
    }
}
