//! What kind of call an endpoint is: a small set of classes, each with a question that has a name.
//!
//! A set and not an enum, because classes combine: a WebSocket handshake is labelled and opted out at once.

use std::fmt;

/// A set of endpoint classes.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Classes(u8);

impl Classes {
    /// Nothing is asked of the call.
    pub const NONE: Self = Self(0);
    /// It brings data that must carry a customer's label.
    pub const LABELLED: Self = Self(1);
    /// The service honours opting out on it.
    pub const OPT_OUT: Self = Self(1 << 1);
    /// It is a WebSocket handshake.
    pub const WEBSOCKET: Self = Self(1 << 2);
    /// It takes training data, which must hold no personal data.
    pub const TRAINING: Self = Self(1 << 3);
    /// It returns logged data and can be filtered by customer.
    pub const LOG_QUERY: Self = Self(1 << 4);
    /// It deletes a customer's data by label.
    pub const ERASE: Self = Self(1 << 5);
    /// It is, or at some time was, a beta or experimental feature.
    pub const BETA: Self = Self(1 << 6);
    /// It carries customers' data, but the service knows no label for it.
    pub const CARRIES_DATA: Self = Self(1 << 7);

    /// Every class by the name that profiles use, in the order in which lists show them.
    pub const NAMED: [(&'static str, Self); 8] = [
        ("labelled", Self::LABELLED),
        ("opt-out", Self::OPT_OUT),
        ("websocket", Self::WEBSOCKET),
        ("training", Self::TRAINING),
        ("log-query", Self::LOG_QUERY),
        ("erase", Self::ERASE),
        ("beta", Self::BETA),
        ("carries-data", Self::CARRIES_DATA),
    ];

    /// The classes for which the gate acts on a call, so that no spelling may get round them (P9). The others are
    /// only counted, or say how the call is made.
    const GOVERNED: Self = Self(!(Self::WEBSOCKET.0 | Self::CARRIES_DATA.0));

    /// The classes that a call is refused for when its path can be read in two ways, even if both readings are governed
    /// alike: what is indexed, erased or rewritten must be exactly what the upstream reads.
    const STRICT: Self = Self(Self::LABELLED.0 | Self::OPT_OUT.0 | Self::ERASE.0 | Self::LOG_QUERY.0);

    /// The class of this name, if there is one.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::NAMED.iter().find(|(known, _)| *known == name).map(|(_, class)| *class)
    }

    /// Both sets together.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// This set less the other.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether all of `other` are in this set.
    #[must_use]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether no class is in it.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether its data must carry a label.
    #[must_use]
    pub const fn labelled(self) -> bool {
        self.has(Self::LABELLED)
    }

    /// Whether it is to be opted out.
    #[must_use]
    pub const fn opt_out(self) -> bool {
        self.has(Self::OPT_OUT)
    }

    /// Whether it is a WebSocket handshake.
    #[must_use]
    pub const fn websocket(self) -> bool {
        self.has(Self::WEBSOCKET)
    }

    /// Whether it takes training data.
    #[must_use]
    pub const fn training(self) -> bool {
        self.has(Self::TRAINING)
    }

    /// Whether it returns logged data.
    #[must_use]
    pub const fn log_query(self) -> bool {
        self.has(Self::LOG_QUERY)
    }

    /// Whether it erases by label.
    #[must_use]
    pub const fn erase(self) -> bool {
        self.has(Self::ERASE)
    }

    /// Whether it is a beta feature.
    #[must_use]
    pub const fn beta(self) -> bool {
        self.has(Self::BETA)
    }

    /// Whether it carries data that cannot be labelled.
    #[must_use]
    pub const fn carries_data(self) -> bool {
        self.has(Self::CARRIES_DATA)
    }

    /// Those of its classes for which the gate acts.
    #[must_use]
    pub const fn governed(self) -> Self {
        Self(self.0 & Self::GOVERNED.0)
    }

    /// Whether a doubtful spelling near it is always refused.
    pub(super) const fn is_strict(self) -> bool {
        self.0 & Self::STRICT.0 != 0
    }

    /// Their names, in the order of [`Self::NAMED`].
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Self::NAMED.into_iter().filter(move |(_, class)| self.has(*class)).map(|(name, _)| name)
    }
}

impl FromIterator<Self> for Classes {
    fn from_iter<I: IntoIterator<Item = Self>>(classes: I) -> Self {
        classes.into_iter().fold(Self::NONE, Self::with)
    }
}

impl fmt::Display for Classes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, name) in self.names().enumerate() {
            if index > 0 {
                f.write_str(", ")?;
            }
            f.write_str(name)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Classes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Classes({self})")
    }
}
