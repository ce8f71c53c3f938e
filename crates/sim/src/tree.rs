//! What an answer says, before anybody decides whether it goes out as JSON or as XML.
//!
//! Both forms are written from the same tree, so that they cannot disagree. It knows no field by name. Members keep
//! the order in which they were put in.

use serde::{
    Serialize, Serializer,
    ser::{SerializeMap, SerializeSeq},
};
use std::borrow::Cow;

/// A value of an answer or of a question.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Tree {
    Null,
    Bool(bool),
    Int(u64),
    Float(f64),
    Text(String),
    List(Vec<Tree>),
    Record(Vec<(Cow<'static, str>, Tree)>),
}

impl Tree {
    /// A record with these members.
    pub(crate) fn record<const N: usize>(members: [(&'static str, Tree); N]) -> Tree {
        Tree::Record(members.into_iter().map(|(name, value)| (Cow::Borrowed(name), value)).collect())
    }

    /// The same record with one more member; anything else stays what it is.
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<Tree>) -> Tree {
        if let Tree::Record(members) = &mut self {
            members.push((Cow::Borrowed(name), value.into()));
        }
        self
    }

    /// [`Tree::with`] if there is a value.
    pub(crate) fn with_some(self, name: &'static str, value: Option<impl Into<Tree>>) -> Tree {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// The first member of that name.
    pub(crate) fn get(&self, name: &str) -> Option<&Tree> {
        match self {
            Tree::Record(members) => members.iter().find(|(known, _)| known == name).map(|(_, value)| value),
            _ => None,
        }
    }

    /// The text, if it is one.
    pub(crate) fn as_text(&self) -> Option<&str> {
        match self {
            Tree::Text(text) => Some(text),
            _ => None,
        }
    }
}

impl From<&str> for Tree {
    fn from(text: &str) -> Tree {
        Tree::Text(text.to_owned())
    }
}

impl From<String> for Tree {
    fn from(text: String) -> Tree {
        Tree::Text(text)
    }
}

impl From<u64> for Tree {
    fn from(number: u64) -> Tree {
        Tree::Int(number)
    }
}

impl From<u8> for Tree {
    fn from(number: u8) -> Tree {
        Tree::Int(number.into())
    }
}

impl From<bool> for Tree {
    fn from(value: bool) -> Tree {
        Tree::Bool(value)
    }
}

impl<T: Into<Tree>> From<Vec<T>> for Tree {
    fn from(values: Vec<T>) -> Tree {
        Tree::List(values.into_iter().map(Into::into).collect())
    }
}

impl Serialize for Tree {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Tree::Null => serializer.serialize_none(),
            Tree::Bool(value) => serializer.serialize_bool(*value),
            Tree::Int(value) => serializer.serialize_u64(*value),
            Tree::Float(value) => serializer.serialize_f64(*value),
            Tree::Text(value) => serializer.serialize_str(value),
            Tree::List(values) => {
                let mut list = serializer.serialize_seq(Some(values.len()))?;
                values.iter().try_for_each(|value| list.serialize_element(value))?;
                list.end()
            }
            Tree::Record(members) => {
                let mut map = serializer.serialize_map(Some(members.len()))?;
                members.iter().try_for_each(|(name, value)| map.serialize_entry(name, value))?;
                map.end()
            }
        }
    }
}
