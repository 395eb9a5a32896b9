//! The routes in one table: path, method and who may use each. The router, the check of roles and the test of the description
//! all go by it.

use crate::tokens::Role;
use axum::routing::MethodFilter;

/// What a request must show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// Nothing.
    Open,
    /// A token of this role, or that it is no page in a browser where there are no tokens.
    Role(Role),
    /// Nothing, but the console must be on: files that are the same for every user.
    Files,
    /// That it does not come from a page elsewhere.
    OwnPage,
    /// The same, and a token or a session.
    Console,
}

macro_rules! routes {
    ($($(#[doc = $doc:literal])* $route:ident $method:literal $path:literal $door:expr;)*) => {
        /// A route.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Route {
            $($(#[doc = $doc])* $route,)*
        }

        impl Route {
            /// All of them.
            pub const ALL: &'static [Route] = &[$(Route::$route,)*];

            /// Its path.
            pub fn path(self) -> &'static str {
                match self { $(Route::$route => $path,)* }
            }

            /// Its method, as the description has it.
            pub fn method_name(self) -> &'static str {
                match self { $(Route::$route => $method,)* }
            }

            /// What a request must show.
            pub fn door(self) -> Door {
                match self { $(Route::$route => $door,)* }
            }
        }
    };
}

routes! {
    /// Whether control is alive.
    Health "get" "/health" Door::Open;
    /// Control's metrics and the data plane's.
    Metrics "get" "/metrics" Door::Role(Role::Observer);
    /// The description of this interface.
    OpenApi "get" "/v1/openapi.json" Door::Role(Role::Observer);
    /// Everything that control knows.
    Status "get" "/v1/status" Door::Role(Role::Observer);
    /// The snapshots that can be had again.
    Snapshots "get" "/v1/snapshots" Door::Role(Role::Observer);
    /// One of them.
    Snapshot "get" "/v1/snapshots/{number}" Door::Role(Role::Observer);
    /// Publish the configuration.
    Reload "post" "/v1/reload" Door::Role(Role::Operator);
    /// Publish the content of an earlier snapshot.
    Rollback "post" "/v1/snapshots/{number}/rollback" Door::Role(Role::Operator);
    /// The way to the console.
    Root "get" "/" Door::Files;
    /// The same.
    ConsoleRoot "get" "/console" Door::Files;
    /// The page of the console.
    Page "get" "/console/" Door::Files;
    /// A file of the page.
    Asset "get" "/console/assets/{name}" Door::Files;
    /// A session begins.
    SignIn "post" "/console/session" Door::OwnPage;
    /// A session ends.
    SignOut "delete" "/console/session" Door::OwnPage;
    /// Whether the console is to be signed in to.
    WhoAmI "get" "/v1/console/whoami" Door::OwnPage;
    /// The series of the history.
    Catalog "get" "/v1/console/catalog" Door::Console;
    /// Rows of the history.
    History "get" "/v1/console/history" Door::Console;
    /// What needs attention.
    Attention "get" "/v1/console/attention" Door::Console;
    /// What does not come as numbers over time.
    Overview "get" "/v1/console/overview" Door::Console;
    /// Files of the log as a map.
    Disk "get" "/v1/console/disk" Door::Console;
    /// The stored outcome of an id.
    LookUp "get" "/v1/console/lookup/{pcs_id}" Door::Console;
    /// What was refused last.
    Refusals "get" "/v1/console/refusals" Door::Console;
    /// What happened.
    Events "get" "/v1/console/events" Door::Console;
    /// Rows as they come.
    Stream "get" "/v1/console/stream" Door::Console;
}

impl Route {
    /// The role that it needs; none: it is open.
    pub fn role(self) -> Option<Role> {
        match self.door() {
            Door::Open | Door::Files | Door::OwnPage => None,
            Door::Role(role) => Some(role),
            Door::Console => Some(Role::Observer),
        }
    }

    pub(super) fn method(self) -> MethodFilter {
        match self.method_name() {
            "post" => MethodFilter::POST,
            "delete" => MethodFilter::DELETE,
            _ => MethodFilter::GET,
        }
    }
}
