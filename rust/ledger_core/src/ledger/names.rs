//! Names as small numbers. A name lives as long as an event uses it or a key is known for it, so
//! strangers who invent names cannot grow this table beyond the ledger.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::{Hasher, Slot};

/// A name, by number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct NameId(u32);

impl NameId {
    /// No name.
    pub const NONE: NameId = NameId(0);
    /// A name that is in no table: equal to none that is.
    pub const UNHEARD: NameId = NameId(u32::MAX);

    pub fn is_some(self) -> bool {
        self != NameId::NONE
    }
}

struct Row {
    text: Arc<str>,
    uses: u32,
    /// Events that this one answers for.
    authored: u32,
    is_known: bool,
    /// While no key is known: the events that name it, which are forgotten first.
    mentions: BTreeSet<Slot>,
}

pub(crate) struct Names {
    by_text: HashMap<Arc<str>, NameId, Hasher>,
    rows: Vec<Row>,
    free: Vec<NameId>,
}

impl Names {
    pub fn new(hasher: Hasher) -> Names {
        let none = Row {
            text: "".into(),
            uses: 1,
            authored: 0,
            is_known: true,
            mentions: BTreeSet::new(),
        };
        Names {
            by_text: HashMap::with_hasher(hasher),
            rows: vec![none],
            free: Vec::new(),
        }
    }

    pub fn find(&self, text: &str) -> Option<NameId> {
        self.by_text.get(text).copied()
    }

    pub fn text(&self, name: NameId) -> &str {
        &self.row(name).text
    }

    /// The number of this name, with one use more; "" is no name.
    pub fn take(&mut self, text: &str) -> NameId {
        if text.is_empty() {
            return NameId::NONE;
        }
        let name = self.find(text).unwrap_or_else(|| self.add(text));
        self.row_mut(name).uses += 1;
        name
    }

    /// One use less.
    pub fn release(&mut self, name: NameId) {
        if name.is_some() {
            self.row_mut(name).uses -= 1;
            self.drop_unused(name);
        }
    }

    pub fn is_known(&self, name: NameId) -> bool {
        name != NameId::UNHEARD && self.row(name).is_known
    }

    /// A key is known for this name from now on. Returns the events that name it, to be ranked
    /// anew.
    pub fn learn(&mut self, text: &str) -> BTreeSet<Slot> {
        let name = self.find(text).unwrap_or_else(|| self.add(text));
        let row = self.row_mut(name);
        row.is_known = true;
        std::mem::take(&mut row.mentions)
    }

    pub fn mention(&mut self, name: NameId, slot: Slot) {
        let row = self.row_mut(name);
        if !row.is_known {
            row.mentions.insert(slot);
        }
    }

    pub fn unmention(&mut self, name: NameId, slot: Slot) {
        self.row_mut(name).mentions.remove(&slot);
    }

    pub fn author(&mut self, name: NameId) {
        self.row_mut(name).authored += 1;
    }

    pub fn unauthor(&mut self, name: NameId) {
        self.row_mut(name).authored -= 1;
    }

    /// Names that answer for events, and for how many; most first, then by name.
    pub fn authors(&self) -> Vec<(&str, u32)> {
        let mut authors: Vec<_> = self
            .rows
            .iter()
            .filter(|row| row.authored > 0)
            .map(|row| (&*row.text, row.authored))
            .collect();
        authors.sort_unstable_by_key(|&(text, count)| (std::cmp::Reverse(count), text));
        authors
    }

    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    #[cfg(test)]
    pub fn in_use(&self) -> usize {
        self.by_text.len()
    }

    fn add(&mut self, text: &str) -> NameId {
        let text: Arc<str> = text.into();
        let row = Row {
            text: text.clone(),
            uses: 0,
            authored: 0,
            is_known: false,
            mentions: BTreeSet::new(),
        };
        let name = match self.free.pop() {
            Some(name) => {
                *self.row_mut(name) = row;
                name
            }
            None => {
                self.rows.push(row);
                NameId(self.rows.len() as u32 - 1)
            }
        };
        self.by_text.insert(text, name);
        name
    }

    fn drop_unused(&mut self, name: NameId) {
        let row = self.row_mut(name);
        if row.uses == 0 && !row.is_known {
            let text = std::mem::replace(&mut row.text, "".into());
            self.by_text.remove(&text);
            self.free.push(name);
        }
    }

    fn row(&self, name: NameId) -> &Row {
        &self.rows[name.0 as usize]
    }

    fn row_mut(&mut self, name: NameId) -> &mut Row {
        &mut self.rows[name.0 as usize]
    }
}
