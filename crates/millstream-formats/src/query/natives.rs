//! Filters of the language that are ours and not definitions: the table, by room.

use jaq_core::native::{Filter, Fun, bome, v};
use jaq_core::{Bind, Error as JaqError, RunPtr};

use super::engine::Kind;
use super::value::{Val, ValR, fault};
use super::{arrays, formats, math, meter, patterns, strings, times};

/// A native, with the kinds of its arguments.
pub(super) type Native = Filter<RunPtr<Kind>>;

/// The interpreter's own natives that we take: all they do is evaluate what they are given.
const LAZY: [&str; 4] = ["first", "last", "limit", "skip"];

/// Every native.
pub(super) fn all() -> impl Iterator<Item = Fun<Kind>> {
    let ours = values()
        .into_iter()
        .chain(paths())
        .chain(arrays::natives())
        .chain(formats::natives())
        .chain(math::natives())
        .chain(patterns::natives())
        .chain(strings::natives())
        .chain(times::natives());
    ours.map(|(name, arguments, pointer)| (name, arguments, jaq_core::Native::<Kind>::new(pointer)))
        .chain(jaq_core::funs().filter(|(name, ..)| LAZY.contains(name)))
}

/// An argument that is a filter.
pub(super) fn filter() -> Box<[Bind]> {
    Box::new([Bind::Fun(())])
}

fn values() -> Vec<Native> {
    vec![
        ("null", v(0), |_| bome(Ok(Val::Null))),
        ("true", v(0), |_| bome(Ok(Val::Bool(true)))),
        ("false", v(0), |_| bome(Ok(Val::Bool(false)))),
        ("error_empty", v(0), |cv| bome(Err(JaqError::new(cv.1)))),
        ("type", v(0), |cv| bome(Ok(Val::str(cv.1.kind())))),
        ("now", v(0), |cv| bome(Ok(Val::Num(cv.0.data().now)))),
    ]
}

/// `path` with a bound on paths into what does not exist, and the deletion of paths.
fn paths() -> Vec<Native> {
    vec![
        #[allow(clippy::default_trait_access)] // The list's type has no public name.
        ("path", filter(), |mut cv| {
            let (filter, context) = cv.0.pop_fun();
            let mut used = 0;
            let start = (context, (cv.1, Default::default()));
            let mut paths = meter::along_path(&mut used, || filter.paths(start));
            let paths = std::iter::from_fn(move || meter::along_path(&mut used, || paths.next()));
            Box::new(paths.map(|path| {
                let (_, path) = path?;
                let mut path: Vec<Val> = path.iter().cloned().collect();
                path.reverse();
                Ok(path.into_iter().collect())
            }))
        }),
        ("delpaths", v(1), |cv| jaq_core::native::unary(cv, delete_paths)),
    ]
}

/// `value` without what is at `paths`: the last first, so that places stay what they were.
fn delete_paths(value: Val, paths: Val) -> ValR {
    let Val::Arr(paths) = paths else {
        return Err(fault("Paths must be specified as an array"));
    };
    let mut paths: Vec<Val> = paths.items().to_vec();
    paths.sort();
    paths.iter().rev().try_fold(value, |value, path| match path {
        Val::Arr(path) => arrays::delete(value, path.items()),
        _ => Err(fault("Path must be specified as an array")),
    })
}
