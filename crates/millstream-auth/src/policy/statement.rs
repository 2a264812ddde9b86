//! One statement: whom, what, on what, when, and with what effect.

use serde::Deserialize;

use super::condition::Condition;
use super::pattern::Pattern;
use super::principal::{Naming, Principal};
use super::{Applies, PolicyError, RequestContext, Verdict};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(super) enum Effect {
    Allow,
    Deny,
}

/// `Action` or `NotAction`, `Resource` or `NotResource`.
#[derive(Clone, Debug)]
pub(super) enum Selected<T> {
    These(Vec<T>),
    AllBut(Vec<T>),
}

impl<T> Selected<T> {
    pub(super) fn listed(&self) -> &[T] {
        match self {
            Self::These(listed) | Self::AllBut(listed) => listed,
        }
    }

    pub(super) fn try_map<U>(
        self,
        map: impl Fn(T) -> Result<U, PolicyError>,
    ) -> Result<Selected<U>, PolicyError> {
        Ok(match self {
            Self::These(listed) => {
                Selected::These(listed.into_iter().map(map).collect::<Result<_, _>>()?)
            }
            Self::AllBut(listed) => {
                Selected::AllBut(listed.into_iter().map(map).collect::<Result<_, _>>()?)
            }
        })
    }

    fn selects(&self, matches: impl Fn(&T) -> Applies) -> Applies {
        let any = Applies::any(self.listed().iter().map(matches));
        match self {
            Self::These(_) => any,
            Self::AllBut(_) => any.not(),
        }
    }
}

#[derive(Clone, Debug)]
pub(super) enum Principals {
    /// A policy of an identity speaks of that identity.
    TheIdentity,
    These(Vec<Principal>),
    AllBut(Vec<Principal>),
}

impl Principals {
    fn name(&self, caller: &crate::VerifiedCaller) -> Naming {
        let strongest = |listed: &[Principal]| {
            listed.iter().map(|principal| principal.names(caller)).max().unwrap_or_default()
        };
        match self {
            Self::TheIdentity => Naming::Directly,
            Self::These(listed) => strongest(listed),
            // Naming the account spares its users too.
            Self::AllBut(listed) if strongest(listed) == Naming::NotAtAll => Naming::Directly,
            Self::AllBut(_) => Naming::NotAtAll,
        }
    }
}

#[derive(Clone, Debug)]
pub(super) struct Statement {
    pub(super) effect: Effect,
    pub(super) principals: Principals,
    pub(super) actions: Selected<Pattern>,
    pub(super) resources: Selected<Pattern>,
    pub(super) conditions: Vec<Condition>,
}

impl Statement {
    /// Adds what this statement says of a request to what others have said.
    pub(super) fn add_to(&self, verdict: &mut Verdict, context: &RequestContext<'_>) {
        let naming = self.principals.name(context.caller);
        if naming == Naming::NotAtAll {
            return;
        }
        match (self.effect, self.applies(context)) {
            (Effect::Allow, Applies::Yes) => {
                verdict.allows = true;
                verdict.allows_directly |= naming == Naming::Directly;
            }
            // What is not understood denies, and never allows.
            (Effect::Deny, Applies::Yes | Applies::Unknown) => verdict.denies = true,
            (Effect::Allow, Applies::No | Applies::Unknown) | (Effect::Deny, Applies::No) => {}
        }
    }

    fn applies(&self, context: &RequestContext<'_>) -> Applies {
        let action = self.actions.selects(|it| it.matches_any_case(context.action, context));
        if action == Applies::No {
            return Applies::No;
        }
        let resource = self.resources.selects(|it| it.matches_arn(context.resource_arn, context));
        let conditions = self.conditions.iter().map(|condition| condition.holds(context));
        action.and(resource).and(Applies::all(conditions))
    }
}
