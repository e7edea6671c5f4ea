//! Users and groups by name, as the system is set up to find them (NSS).

use std::collections::BTreeMap;
use std::sync::Mutex;

use uzers::{get_group_by_name, get_user_by_name};

/// Who knows users and groups.
pub trait Accounts: Sync {
    /// The number of a user.
    fn user(&self, name: &str) -> Option<u32>;
    /// The number of a group.
    fn group(&self, name: &str) -> Option<u32>;
}

/// Those of this machine. Each name is looked up once.
#[derive(Default)]
pub struct System {
    users: Mutex<BTreeMap<String, Option<u32>>>,
    groups: Mutex<BTreeMap<String, Option<u32>>>,
}

impl Accounts for System {
    fn user(&self, name: &str) -> Option<u32> {
        remembered(&self.users, name, || get_user_by_name(name).map(|user| user.uid()))
    }

    fn group(&self, name: &str) -> Option<u32> {
        remembered(&self.groups, name, || get_group_by_name(name).map(|group| group.gid()))
    }
}

fn remembered(
    known: &Mutex<BTreeMap<String, Option<u32>>>,
    name: &str,
    look: impl FnOnce() -> Option<u32>,
) -> Option<u32> {
    let Ok(mut known) = known.lock() else { return look() };
    *known.entry(name.to_owned()).or_insert_with(look)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_is_known() {
        let system = System::default();
        assert_eq!((system.user("root"), system.group("root")), (Some(0), Some(0)));
        assert_eq!(system.user("nobody of this name"), None);
        assert_eq!(system.group("a:b"), None);
    }
}
