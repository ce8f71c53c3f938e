//! The texts in a value of JSON, each with the pointer to it.
//!
//! A tree of values would keep one of two members of the same name, refuse numbers that no `f64` holds and give up on
//! deep nesting; behind any of these a hash could hide. So the value is read as a row of tokens, in no more memory
//! than its depth takes.

use super::json::made_readable;
use std::borrow::Cow;
use std::fmt::Write as _;

/// A value with nothing in it, or the beginning of one that has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Leaf<'a> {
    Text(Cow<'a, [u8]>),
    Null,
    /// A number, a truth value, an object or an array.
    Other,
}

/// Where a leaf is.
#[derive(Clone, Copy, Debug)]
pub(super) struct At<'a> {
    /// A JSON pointer (RFC 6901).
    pub(super) pointer: &'a str,
    /// Whether any part of the pointer is the number of an element.
    pub(super) is_in_array: bool,
}

/// An object or an array that is not closed yet.
struct Open {
    /// Of the pointer to it.
    n_bytes: usize,
    /// The number of the element at hand; none in an object.
    element: Option<usize>,
    /// Whether the next text is a member's name.
    awaits_name: bool,
}

/// Hands over what is in a value, in its order. The value has to be JSON; of anything else it makes something.
pub(super) fn each_leaf<'a>(value: &'a [u8], mut each: impl FnMut(At<'_>, Leaf<'a>)) {
    let mut pointer = String::new();
    let mut open: Vec<Open> = Vec::new();
    let mut n_arrays = 0_usize;
    let mut at = 0;
    while let Some(&byte) = value.get(at) {
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' | b':' => at += 1,
            b',' => {
                at += 1;
                if let Some(inner) = open.last_mut() {
                    inner.awaits_name = inner.element.is_none();
                    inner.element = inner.element.map(|number| number + 1);
                }
            }
            b'}' | b']' => {
                at += 1;
                n_arrays -= usize::from(open.pop().is_some_and(|closed| closed.element.is_some()));
            }
            b'"' if open.last().is_some_and(|inner| inner.awaits_name) => {
                let end = end_of_text(value, at);
                let inner = open.last_mut().expect("it was looked at");
                inner.awaits_name = false;
                pointer.truncate(inner.n_bytes);
                push_name(&mut pointer, &value[at..end]);
                at = end;
            }
            _ => {
                if let Some(Open { n_bytes, element: Some(number), .. }) = open.last() {
                    pointer.truncate(*n_bytes);
                    write!(pointer, "/{number}").expect("a String takes every text");
                }
                let here = At { pointer: &pointer, is_in_array: n_arrays > 0 };
                match byte {
                    b'{' | b'[' => {
                        each(here, Leaf::Other);
                        let is_array = byte == b'[';
                        n_arrays += usize::from(is_array);
                        let element = is_array.then_some(0);
                        open.push(Open { n_bytes: pointer.len(), element, awaits_name: !is_array });
                        at += 1;
                    }
                    b'"' => {
                        let end = end_of_text(value, at);
                        each(here, Leaf::Text(text(&value[at..end])));
                        at = end;
                    }
                    _ => {
                        let is_end =
                            |byte: &u8| matches!(byte, b',' | b'}' | b']' | b' ' | b'\t' | b'\r' | b'\n');
                        let rest = &value[at..];
                        let n_bytes = rest.iter().position(is_end).unwrap_or(rest.len()).max(1);
                        each(here, if rest.starts_with(b"null") { Leaf::Null } else { Leaf::Other });
                        at += n_bytes;
                    }
                }
            }
        }
    }
}

/// Behind the quote that closes the text at `start`.
fn end_of_text(value: &[u8], start: usize) -> usize {
    super::json::end_of_string(value, start).unwrap_or(value.len())
}

/// Between the quotes, unescaped.
fn text(token: &[u8]) -> Cow<'_, [u8]> {
    let inner = token.get(1..token.len() - 1).unwrap_or_default();
    if memchr::memchr(b'\\', inner).is_none() {
        return Cow::Borrowed(inner);
    }
    let unescaped = serde_json::from_str::<String>(&made_readable(token));
    unescaped.map_or(Cow::Borrowed(inner), |text| Cow::Owned(text.into_bytes()))
}

fn push_name(pointer: &mut String, token: &[u8]) {
    let name = text(token);
    pointer.push('/');
    for character in String::from_utf8_lossy(&name).chars() {
        match character {
            '~' => pointer.push_str("~0"),
            '/' => pointer.push_str("~1"),
            other => pointer.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    fn leaves(value: &str) -> Vec<(String, bool, Leaf<'_>)> {
        let mut leaves = Vec::new();
        each_leaf(value.as_bytes(), |at, leaf| leaves.push((at.pointer.to_owned(), at.is_in_array, leaf)));
        leaves
    }

    #[test]
    fn every_member_is_found_even_the_second_of_its_name_and_behind_any_number() {
        let deep = format!("{}{}", "[".repeat(500), "]".repeat(500));
        let value = format!(r#"{{"n":1e999,"deep":{deep},"a/~":"x","a/~":"y","z":[null,{{"k":"v"}}]}}"#);
        let texts: Vec<_> = leaves(&value)
            .into_iter()
            .filter_map(|(pointer, is_in_array, leaf)| match leaf {
                Leaf::Text(text) => Some((pointer, is_in_array, text.into_owned())),
                Leaf::Null | Leaf::Other => None,
            })
            .collect();
        let expected = [("/a~1~0", false, "x"), ("/a~1~0", false, "y"), ("/z/1/k", true, "v")];
        let expected = expected.map(|(pointer, of_array, text)| (pointer.to_owned(), of_array, text.into()));
        assert_eq!(texts, expected);
    }

    fn value() -> impl Strategy<Value = Value> {
        let plain = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "[a\"\\\\é\n/~]{0,6}".prop_map(Value::from),
        ];
        plain.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[a/~\"é]{0,3}", inner, 0..4)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn a_tree_has_the_same_at_every_pointer(value in value(), is_pretty: bool) {
            let text =
                if is_pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) };
            let text = text.unwrap();
            for (pointer, _, leaf) in leaves(&text) {
                let there = value.pointer(&pointer).unwrap();
                match leaf {
                    Leaf::Text(text) => prop_assert_eq!(Some(&*String::from_utf8_lossy(&text)), there.as_str()),
                    Leaf::Null => prop_assert!(there.is_null()),
                    Leaf::Other => prop_assert!(!there.is_null() && !there.is_string()),
                }
            }
        }

        #[test]
        fn no_bytes_stop_it(value in "[\\[\\]{}\",: a\\\\1]{0,40}") {
            prop_assert!(leaves(&value).len() <= value.len());
        }
    }
}
