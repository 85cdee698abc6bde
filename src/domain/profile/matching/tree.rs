//! The endpoints of one method as a tree of segments, read from the last to the first.
//!
//! Paths match at their end, under any prefix, so the last segment is the first question; it also tells most calls apart.

use std::cmp::Ordering;

use super::super::template::{PathTemplate, Segment};

/// The number of an endpoint in its profile.
pub(super) type Index = usize;

#[derive(Clone, Default)]
struct Node {
    /// Sorted by [`by_length`].
    fixed: Vec<(Box<str>, usize)>,
    variable: Option<usize>,
    plain: Option<Index>,
    websocket: Option<Index>,
}

/// The tree; node 0 is its root.
#[derive(Clone)]
pub(super) struct Tree(Vec<Node>);

impl Default for Tree {
    fn default() -> Self {
        Self(vec![Node::default()])
    }
}

impl Tree {
    /// Adds an endpoint. Of two with the same path and kind the later one stays; the reader refuses such profiles.
    pub(super) fn insert(&mut self, template: &PathTemplate, websocket: bool, endpoint: Index) {
        let end = template.segments().iter().rev().fold(0, |node, segment| self.child(node, segment));
        if let Some(node) = self.0.get_mut(end) {
            let place = if websocket { &mut node.websocket } else { &mut node.plain };
            *place = Some(endpoint);
        }
    }

    fn child(&mut self, node: usize, segment: &Segment) -> usize {
        let next = self.0.len();
        let Some(parent) = self.0.get_mut(node) else { return node };
        let child = match segment {
            Segment::Variable(_) => *parent.variable.get_or_insert(next),
            Segment::Fixed(text) => match parent.fixed.binary_search_by(|(known, _)| by_length(known, text)) {
                Ok(at) => parent.fixed.get(at).map_or(next, |(_, child)| *child),
                Err(at) => {
                    parent.fixed.insert(at, (text.clone(), next));
                    next
                }
            },
        };
        if child == next {
            self.0.push(Node::default());
        }
        child
    }

    /// The endpoint that matches the most segments at the end of the path; of those with as many, the one that is
    /// fixed where the others are variable. A handshake prefers the endpoint that is one.
    pub(super) fn find(&self, segments: &[&str], websocket: bool) -> Option<Index> {
        let mut best = None;
        self.descend(0, segments, websocket, &mut best);
        best.map(|(_, endpoint)| endpoint)
    }

    fn descend(&self, node: usize, rest: &[&str], websocket: bool, best: &mut Option<(usize, Index)>) {
        let Some(node) = self.0.get(node) else { return };
        let here = if websocket { node.websocket.or(node.plain) } else { node.plain };
        if let Some(endpoint) = here
            && best.is_none_or(|(left, _)| rest.len() < left)
        {
            *best = Some((rest.len(), endpoint));
        }
        let Some((last, before)) = rest.split_last() else { return };
        if let Ok(at) = node.fixed.binary_search_by(|(known, _)| by_length(known, last))
            && let Some((_, child)) = node.fixed.get(at)
        {
            self.descend(*child, before, websocket, best);
        }
        if let Some(child) = node.variable {
            self.descend(child, before, websocket, best);
        }
    }
}

/// Shorter texts first: most questions are then answered by a number, and few by comparing bytes.
fn by_length(one: &str, other: &str) -> Ordering {
    one.len().cmp(&other.len()).then_with(|| one.cmp(other))
}
